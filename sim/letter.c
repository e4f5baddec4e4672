#include "sim/ledger.h"

void letter_sender(const struct letter *letter, struct buf *out)
{
	if (!letter->null_sender)
		buf_printf(out, "s%llu@senders.example", (unsigned long long)letter->number);
}

/* What a server that takes a bare LF for a line end would take for the end, and then for commands.  */
static void add_smuggling(struct buf *out, struct rng *rng)
{
	static const char *const ends[] = {
		"\n.\n", "\n.\r\n", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\r.\r", "\n.\r"};
	buf_add(out, str_from_c(ends[rng_below(rng, ARRAY_LEN(ends))]));
	buf_add(out,
		STR("MAIL FROM:<smuggled@evil.example>\r\nRCPT TO:<victim@d0.example>\r\nDATA\r\n"
		    "Subject: smuggled\r\n\r\nsmuggled\r\n"));
}

static void add_line(struct buf *out, struct rng *rng, const struct letter *letter)
{
	static const char *const odd[] = {
		".", "..", ".From me", "From the start", "", " ", "QUIT", "\t", "-- "};
	bool eight = letter->kind == LETTER_8BIT;
	if (letter->kind == LETTER_SMUGGLING) {
		buf_add(out, STR("nothing with a dot in front: it goes as it stands"));
	} else if (sim_chance(rng, 0.2)) {
		buf_add(out, str_from_c(odd[rng_below(rng, ARRAY_LEN(odd))]));
	} else {
		int64_t len = sim_chance(rng, 0.05) ? sim_between(rng, 900, 998)
						    : sim_skewed(rng, 1, 200);
		for (int64_t i = 0; i < len; i++) {
			char c = (char)sim_between(rng, ' ', '~');
			if (eight && sim_chance(rng, 0.05)) c = (char)sim_between(rng, 0xa0, 0xff);
			buf_add_c(out, c);
		}
	}
	buf_add(out, STR("\r\n"));
}

void letter_content(const struct letter *letter, struct buf *out)
{
	struct rng rng;
	rng_init(&rng, letter->number * 7919);
	buf_printf(out,
		"From: sender <s%llu@senders.example>\r\nX-Sim: %llu\r\nSubject: letter\r\n",
		(unsigned long long)letter->number, (unsigned long long)letter->number);
	buf_printf(out,
		"Date: Sun, 22 Nov 2026 05:12:47 +0000\r\nMessage-ID: <%llu@sim.example>\r\n",
		(unsigned long long)letter->number);
	if (letter->kind == LETTER_8BIT)
		buf_add(out,
			STR("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n"));
	buf_add(out, STR("\r\n"));
	size_t until = out->len + letter->size;
	while (out->len < until) add_line(out, &rng, letter);
	if (letter->kind == LETTER_SMUGGLING) add_smuggling(out, &rng);
}

void letter_invent(struct letter *letter, struct rng *rng, char (*domains)[32],
	uint32_t domain_count, double odd)
{
	letter->recipient_count = (uint32_t)sim_skewed(rng, 1, LETTER_RECIPIENTS);
	letter->size = (uint32_t)(sim_chance(rng, 0.05) ? sim_skewed(rng, 0, 300000)
							: sim_skewed(rng, 0, 5000));
	letter->null_sender = sim_chance(rng, 0.1);
	letter->never = !letter->null_sender && sim_chance(rng, 0.1);
	if (sim_chance(rng, 0.2)) letter->kind = LETTER_8BIT;
	if (sim_chance(rng, odd)) letter->kind = LETTER_SMUGGLING;
	bool has_local = false;
	for (uint32_t i = 0; i < letter->recipient_count; i++) {
		bool local = !has_local && sim_chance(rng, 0.2);
		if (local)
			snprintf(letter->recipients[i], sizeof letter->recipients[i],
				"u%d+r%llu.%u@home.example", (int)rng_below(rng, 3),
				(unsigned long long)letter->number, i);
		else
			snprintf(letter->recipients[i], sizeof letter->recipients[i], "r%llu.%u@%s",
				(unsigned long long)letter->number, i,
				domains[rng_below(rng, domain_count)]);
		letter->local[i] = local;
		has_local = has_local || local;
	}
}
