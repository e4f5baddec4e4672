/* Clients: good and slow ones, those that pipeline, use BDAT, hang up anywhere, say nothing, say nonsense, smuggle.  */
#include "sim/town.h"

#include <stdarg.h>

enum { REPLY_MAX = 1 << 16, EXPECTED_MAX = 64, PATIENCE_MS = 30 * 60 * 1000 };

/* What the next reply is about.  */
enum asked {
	ASKED_GREETING,
	ASKED_EHLO,
	ASKED_MAIL,
	ASKED_RCPT,
	ASKED_DATA,
	ASKED_END,
	ASKED_PART,
	ASKED_QUIT,
	ASKED_NONSENSE
};

struct client {
	struct list link;
	struct town *town;
	struct io_stream stream;
	struct timer pump; /* more of `out` may go */
	struct timer patience;
	struct rng rng;
	struct net_address address;
	bool relays; /* may send to anywhere */
	/* Its manners.  */
	bool pipelines, bdat, slow, silent, nonsense, impolite;
	uint64_t cut_at; /* octets after which it hangs up; 0: never */
	int64_t letters_left;

	struct letter *letter; /* under way */
	uint32_t accepted;     /* of its recipients */
	uint32_t next_rcpt;    /* whose reply comes next */
	struct buf in, out, content;
	uint64_t sent;   /* octets of `out` that went */
	uint64_t end_at; /* when so many have gone, the end of the letter has; 0: not yet known */
	uint8_t expected[EXPECTED_MAX];
	uint32_t expected_count;
	bool connected, over;
};

/* ---- sending ---- */

static void client_free(struct client *c)
{
	io_timer_cancel(&c->town->outside, &c->pump);
	io_timer_cancel(&c->town->outside, &c->patience);
	io_close(&c->stream);
	buf_release(&c->in);
	buf_release(&c->out);
	buf_release(&c->content);
	list_remove(&c->link);
	free(c);
}

static void note_sent(struct client *c)
{
	if (!c->letter || c->end_at == 0 || c->sent < c->end_at || c->letter->fate != LETTER_UNSENT)
		return;
	c->letter->fate = LETTER_SENT;
	c->letter->sent_us = c->town->world.now_us;
}

static void pump(struct timer *timer)
{
	struct client *c = CONTAINER_OF(timer, struct client, pump);
	if (c->over) return client_free(c);
	if (c->out.len == 0) return;
	size_t n = c->out.len;
	if (c->slow) n = (size_t)sim_skewed(&c->rng, 1, (int64_t)n);
	if (n > 100000) n = 100000;
	if (c->cut_at && c->sent + n > c->cut_at) n = (size_t)(c->cut_at - c->sent);
	/* Before: what is sent may be read, and have its effect, at once.  */
	c->sent += n;
	note_sent(c);
	if (n > 0 && !io_send(&c->stream, str_head(buf_str(&c->out), n))) {
		c->sent -= n; /* too much at once, or dead: then it will be told */
		io_timer_set(&c->town->outside, &c->pump, io_now(&c->town->outside) + 1000);
		return;
	}
	buf_consume(&c->out, n);
	if (c->cut_at && c->sent == c->cut_at) {
		if (sim_chance(&c->rng, 0.5)) io_abort(&c->stream);
		return client_free(c);
	}
	if (c->out.len == 0) return;
	msec pause = c->slow ? sim_skewed(&c->rng, 1, 20000) : 1;
	io_timer_set(&c->town->outside, &c->pump, io_now(&c->town->outside) + pause);
}

static void give(struct client *c, struct str octets, enum asked asked)
{
	buf_add(&c->out, octets);
	ASSERT(buf_ok(&c->out));
	ASSERT(c->expected_count < EXPECTED_MAX);
	c->expected[c->expected_count++] = (uint8_t)asked;
	if (!timer_is_set(&c->pump))
		io_timer_set(&c->town->outside, &c->pump, io_now(&c->town->outside));
}

static void command(struct client *c, enum asked asked, const char *format, ...) PRINTF_LIKE(3, 4);
static void command(struct client *c, enum asked asked, const char *format, ...)
{
	char line[300];
	va_list arguments;
	va_start(arguments, format);
	int len = vsnprintf(line, sizeof line - 2, format, arguments);
	va_end(arguments);
	memcpy(line + len, "\r\n", 2);
	give(c, str_of(line, (size_t)len + 2), asked);
}

/* ---- a letter ---- */

static void say_mail(struct client *c)
{
	struct buf sender;
	buf_init(&sender, 100);
	letter_sender(c->letter, &sender);
	command(c, ASKED_MAIL, "MAIL FROM:<" STR_FMT ">%s", STR_ARG(buf_str(&sender)),
		c->letter->kind == LETTER_8BIT ? " BODY=8BITMIME" : "");
	buf_release(&sender);
}

static void say_rcpt(struct client *c, uint32_t i)
{
	command(c, ASKED_RCPT, "RCPT TO:<%s>%s", c->letter->recipients[i],
		c->letter->never ? " NOTIFY=NEVER" : "");
}

static void stuff(struct buf *out, struct str content)
{
	bool begin = true;
	for (size_t i = 0; i < content.len; i++) {
		if (begin && content.ptr[i] == '.') buf_add_c(out, '.');
		buf_add_c(out, content.ptr[i]);
		begin = content.ptr[i] == '\n' && i > 0 && content.ptr[i - 1] == '\r';
	}
}

static void say_data_content(struct client *c)
{
	struct buf octets;
	buf_init(&octets, 8 << 20);
	if (c->letter->kind == LETTER_SMUGGLING)
		buf_add(&octets, buf_str(&c->content)); /* its dots are meant as they stand */
	else if (c->accepted > 0)
		stuff(&octets, buf_str(&c->content));
	buf_add(&octets, STR(".\r\n"));
	if (c->accepted > 0) c->end_at = c->sent + c->out.len + octets.len;
	give(c, buf_str(&octets), ASKED_END);
	buf_release(&octets);
}

static void say_bdat(struct client *c)
{
	struct str rest = buf_str(&c->content);
	while (rest.len > 0 || c->end_at == 0) {
		size_t n = c->expected_count < EXPECTED_MAX - 10
			? (size_t)sim_skewed(&c->rng, 0, (int64_t)rest.len)
			: rest.len;
		bool last = n == rest.len;
		struct buf part;
		buf_init(&part, 8 << 20);
		buf_printf(&part, "BDAT %zu%s\r\n", n, last ? " LAST" : "");
		buf_add(&part, str_head(rest, n));
		if (last) c->end_at = c->sent + c->out.len + part.len;
		give(c, buf_str(&part), last ? ASKED_END : ASKED_PART);
		buf_release(&part);
		rest = str_skip(rest, n);
		if (last) return;
	}
}

static void quit(struct client *c)
{
	c->letter = NULL;
	command(c, ASKED_QUIT, "QUIT");
}

/* A domain that is not there, or wants no mail: its mail is returned.  */
static void note_reasons(struct town *t, struct letter *letter)
{
	for (uint32_t i = 0; i < letter->recipient_count; i++) {
		struct str address = str_from_c(letter->recipients[i]);
		const struct dns_domain *d =
			dns_find_domain(&t->dns, str_skip(address, str_find(address, '@') + 1));
		letter->may_fail[i] = d && (d->gone || d->null_mx);
	}
}

static void next_letter(struct client *c)
{
	struct town *t = c->town;
	c->letter = NULL;
	c->end_at = 0;
	if (c->nonsense && sim_chance(&c->rng, 0.5)) {
		static const char *const lines[] = {"HELP me", "", "MAIL FROM:", "RCPT TO:<>",
			"DATA now", "BDAT -1", "VRFY root", "\1\2\3",
			"MAIL FROM:<a@b> SIZE=99999999999", "EXPN x", "AUTH PLAIN", "STARTTLS"};
		command(c, ASKED_NONSENSE, "%s", lines[rng_below(&c->rng, ARRAY_LEN(lines))]);
		return;
	}
	if (c->letters_left-- <= 0 || t->ledger.count >= t->letters) return quit(c);
	c->letter = ledger_letter(&t->ledger);
	letter_invent(c->letter, &c->rng, t->domains, t->domain_count, t->odd);
	note_reasons(t, c->letter);
	buf_clear(&c->content);
	letter_content(c->letter, &c->content);
	c->accepted = c->next_rcpt = 0;
	say_mail(c);
	if (!c->pipelines) return;
	for (uint32_t i = 0; i < c->letter->recipient_count; i++) say_rcpt(c, i);
	if (!c->bdat) command(c, ASKED_DATA, "DATA");
}

static void abandon_letter(struct client *c)
{
	if (c->letters_left > 0 && sim_chance(&c->rng, 0.5)) {
		c->letter = NULL;
		command(c, ASKED_NONSENSE, "RSET");
	} else {
		quit(c);
	}
}

/* ---- replies ---- */

static void on_rcpt_reply(struct client *c, int code)
{
	struct letter *letter = c->letter;
	uint32_t i = c->next_rcpt++;
	if (code / 100 == 2) {
		if (!c->relays && !letter->local[i])
			sim_violation(&c->town->world, "a stranger may send to %s",
				letter->recipients[i]);
		letter->taken[i] = true;
		c->accepted++;
	}
	if (c->next_rcpt < letter->recipient_count) {
		if (!c->pipelines) say_rcpt(c, c->next_rcpt);
		return;
	}
	if (c->pipelines && !c->bdat) return; /* DATA is under way */
	if (c->accepted == 0) return abandon_letter(c);
	if (c->bdat)
		say_bdat(c);
	else
		command(c, ASKED_DATA, "DATA");
}

static void on_end_reply(struct client *c, int code)
{
	struct town *t = c->town;
	struct letter *letter = c->letter;
	if (c->end_at == 0) return next_letter(c); /* nothing but the dot */
	if (code / 100 == 2) {
		if (letter->kind == LETTER_SMUGGLING)
			sim_violation(&t->world, "letter %llu smuggles, and was accepted",
				(unsigned long long)letter->number);
		letter->fate = LETTER_ACCEPTED;
		letter->accepted_us = t->world.now_us;
		t->accepted_replies++;
	} else {
		letter->fate = LETTER_REFUSED;
		t->refused_replies++;
	}
	world_note(&t->world, "answered", letter->number, (uint64_t)code);
	next_letter(c);
}

static void on_reply(struct client *c, int code)
{
	if (c->expected_count == 0) {
		if (code == 421) return;
		sim_violation(&c->town->world, "a reply that nobody asked for: %d", code);
	}
	enum asked asked = c->expected[0];
	memmove(c->expected, c->expected + 1, --c->expected_count);
	if (code == 421) {
		c->over = true;
		return;
	}
	switch (asked) {
	case ASKED_GREETING:
		if (code / 100 != 2)
			c->over = true;
		else
			command(c, ASKED_EHLO, "EHLO client.example");
		break;
	case ASKED_EHLO: next_letter(c); break;
	case ASKED_MAIL:
		if (c->pipelines) break;
		if (code / 100 == 2)
			say_rcpt(c, 0);
		else
			abandon_letter(c);
		break;
	case ASKED_RCPT: on_rcpt_reply(c, code); break;
	case ASKED_DATA:
		if (code == 354)
			say_data_content(c);
		else
			abandon_letter(c);
		break;
	case ASKED_END: on_end_reply(c, code); break;
	case ASKED_PART: break;
	case ASKED_NONSENSE: next_letter(c); break;
	case ASKED_QUIT: c->over = true; break;
	}
}

static void take_replies(struct client *c)
{
	for (;;) {
		struct str in = buf_str(&c->in);
		size_t end = str_find(in, '\n');
		if (end == in.len || c->over) return;
		struct str line = str_trim(str_head(in, end));
		uint64_t code;
		if (line.len < 3 || !str_to_u64(str_head(line, 3), 599, &code) || code < 200)
			sim_violation(&c->town->world, "not a reply: " STR_FMT, STR_ARG(line));
		bool more = line.len > 3 && line.ptr[3] == '-';
		buf_consume(&c->in, end + 1);
		if (!more) on_reply(c, (int)code);
	}
}

static void received(struct io_stream *stream, struct str octets)
{
	struct client *c = CONTAINER_OF(stream, struct client, stream);
	buf_add(&c->in, octets);
	if (!buf_ok(&c->in)) sim_violation(&c->town->world, "replies without an end");
	if (!c->silent) take_replies(c);
	if (c->over) client_free(c);
}

static void connected(struct io_stream *stream, int error)
{
	struct client *c = CONTAINER_OF(stream, struct client, stream);
	if (error) return client_free(c);
	c->connected = true;
	io_read_on(stream);
}

static void ended(struct io_stream *stream, int error)
{
	(void)error;
	client_free(CONTAINER_OF(stream, struct client, stream));
}

static void drained(struct io_stream *stream) { (void)stream; }

static const struct io_stream_events client_events = {
	.connected = connected, .received = received, .drained = drained, .ended = ended};

static void patience_ends(struct timer *timer)
{
	client_free(CONTAINER_OF(timer, struct client, patience));
}

/* ---- arriving ---- */

static void choose_manners(struct client *c)
{
	struct town *t = c->town;
	c->relays = sim_chance(&c->rng, 0.85);
	c->pipelines = sim_chance(&c->rng, 0.5);
	c->bdat = sim_chance(&c->rng, 0.3);
	c->letters_left = sim_skewed(&c->rng, 1, 8);
	if (t->calm || !sim_chance(&c->rng, t->rude_clients)) return;
	switch (rng_below(&c->rng, 5)) {
	case 0: c->slow = true; break;
	case 1: c->silent = sim_chance(&c->rng, 0.5); break;
	case 2: c->nonsense = true; break;
	default: c->cut_at = (uint64_t)sim_skewed(&c->rng, 1, 20000); break;
	}
}

void client_begin(struct town *t)
{
	struct client *c = calloc(1, sizeof *c);
	ASSERT(c);
	c->town = t;
	rng_init(&c->rng, rng_next(&t->load));
	c->pump.fire = pump;
	c->patience.fire = patience_ends;
	buf_init(&c->in, REPLY_MAX);
	buf_init(&c->out, 16 << 20);
	buf_init(&c->content, 8 << 20);
	choose_manners(c);
	c->address = (struct net_address){.family = NET_IPV4,
		.octets = {c->relays ? 198 : 203, c->relays ? 51 : 0, c->relays ? 100 : 113,
			(uint8_t)sim_between(&c->rng, 1, 9)}};
	c->expected[c->expected_count++] = ASKED_GREETING;
	list_push_back(&t->clients, &c->link);
	struct net_address server = {.family = NET_IPV4, .port = 25, .octets = {192, 0, 2, 1}};
	io_timer_set(&t->outside, &c->patience, io_now(&t->outside) + PATIENCE_MS);
	int error = io_connect(&t->outside, &c->stream, &client_events, &server, &c->address);
	ASSERT(!error);
}

uint32_t clients_open(const struct town *t)
{
	uint32_t count = 0;
	LIST_EACH (&t->clients, node) count++;
	return count;
}

void clients_close(struct town *t)
{
	while (!list_empty(&t->clients))
		client_free(CONTAINER_OF(t->clients.next, struct client, link));
}
