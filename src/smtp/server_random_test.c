/* Sessions made of words that mean something, in any order, with any verdict, cut anywhere: the
 * core never asserts, says the same however it is cut, and ends all content that it began.  */
#include "smtp/server_play_test.h"

#include "base/rng.h"

static const char *const words[] = {
	"EHLO x\r\n",
	"HELO x\n",
	"MAIL FROM:<a@b.c>\r\n",
	"MAIL FROM:<> SIZE=90 BODY=BINARYMIME\r\n",
	"RCPT TO:<bob@example.com>\r\n",
	"RCPT TO:<x@y.z>\r\n",
	"DATA\r\n",
	"BDAT 5\r\n",
	"BDAT 7 LAST\r\n",
	"BDAT 0 LAST\r\n",
	"BDAT 0\r\n",
	"BDAT 200\r\n",
	"BDAT x\r\n",
	"RSET\r\n",
	"NOOP\r\n",
	"VRFY x\r\n",
	"AUTH PLAIN\r\n",
	"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n",
	"*\r\n",
	"STARTTLS\r\n",
	"GET / HTTP/1.0\r\n",
	"\r\n",
	".\r\n",
	"\r\n.\r\n",
	"\n.\n",
	"\r.\r",
	"text\r\n",
	"..\r\n",
	"\r",
	"\n",
	".",
	"a",
	"\xc3\xb6",
	"end of email\r\n",
	"end of",
	"QUIT\r\n",
};
enum { TRANSACTIONS = 40, QUIT = ARRAY_LEN(words) - 1 };

static void make_session(struct rng *rng, struct buf *in)
{
	buf_clear(in);
	buf_add(in, STR(E));
	uint64_t count = 1 + rng_below(rng, 30);
	for (uint64_t i = 0; i < count; i++) {
		/* Whole frames often enough that content is reached; the farewell seldom.  */
		uint64_t pick = rng_below(rng, ARRAY_LEN(words) + TRANSACTIONS);
		if (pick == QUIT && rng_below(rng, 4)) continue;
		if (pick >= ARRAY_LEN(words)) buf_add(in, STR(FRAME));
		if (pick >= ARRAY_LEN(words) + TRANSACTIONS / 2) buf_add(in, STR("DATA\r\n"));
		if (pick < ARRAY_LEN(words)) buf_add(in, str_from_c(words[pick]));
		if (rng_below(rng, 4) == 0) buf_add(in, STR("\r\n.\r\n"));
		if (rng_below(rng, 40) == 0) buf_add_c(in, (char)rng_below(rng, 256));
	}
}

static struct smtp_server_config make_config(struct rng *rng)
{
	struct smtp_server_config c = play_plain;
	c.message_max = 60 + rng_below(rng, 100);
	c.errors_max = 10;
	c.normalize = rng_below(rng, 2);
	if (rng_below(rng, 2)) c.data_end = STR("end of email");
	c.offer_starttls = rng_below(rng, 2);
	c.submission = rng_below(rng, 8) == 0;
	if (rng_below(rng, 2)) c.auth_plain = STR("PLAIN");
	return c;
}

/* DATA that was let come is followed by exactly one of END and ABANDON before the next one.  */
static size_t check_events(struct str events)
{
	struct str line;
	bool open = false;
	size_t ends = 0;
	while (events.len) {
		str_cut(&events, '\n', &line);
		bool end = str_starts(line, STR("END")), abandon = str_eq(line, STR("ABANDON"));
		if (str_eq(line, STR("DATA"))) {
			assert_false(open);
			open = true;
		}
		if (end || abandon) assert_true(open);
		if (end || abandon) open = false;
		ends += end;
		if (str_starts(line, STR("CLOSE"))) assert_false(open);
	}
	return ends;
}

static void test_any_cut_is_the_same(void **state)
{
	(void)state;
	struct rng rng;
	struct buf in;
	size_t ends = 0, abandoned = 0;
	rng_init(&rng, 1);
	buf_init(&in, 1 << 16);
	for (int session = 0; session < 4000; session++) {
		struct smtp_server_config config = make_config(&rng);
		struct play whole, cut;
		make_session(&rng, &in);
		play_run(&config, buf_str(&in), 0, &whole);
		ends += check_events(buf_str(&whole.events));
		abandoned += str_contains(buf_str(&whole.events), STR("ABANDON"));
		for (int i = 0; i < 4; i++) {
			play_run(&config, buf_str(&in), i ? rng_below(&rng, in.len) : SIZE_MAX,
				&cut);
			if (!str_eq(buf_str(&cut.out), buf_str(&whole.out)) ||
				!str_eq(buf_str(&cut.events), buf_str(&whole.events)) ||
				!str_eq(buf_str(&cut.messages), buf_str(&whole.messages)))
				fail_msg("session %d: \"" STR_FMT "\"", session,
					STR_ARG(buf_str(&in)));
			play_end(&cut);
		}
		play_end(&whole);
	}
	buf_release(&in);
	/* It was about something.  */
	assert_true(ends > 1000);
	assert_true(abandoned > 500);
}

static struct smtp_reply any_verdict(struct rng *rng, const struct smtp_event *e)
{
	static const uint16_t codes[] = {250, 250, 250, 354, 550, 452, 421};
	struct smtp_reply r = {.code = codes[rng_below(rng, ARRAY_LEN(codes))]};
	if (e->type == SMTP_EVENT_AUTH && rng_below(rng, 3)) r.code = 334;
	r.close = rng_below(rng, 30) == 0;
	if (rng_below(rng, 2)) r.text = STR("why\nnot");
	return r;
}

static void take_events(struct play *p, struct smtp_event *ret_last)
{
	while (smtp_server_next(&p->s, ret_last)) {
		play_note(p, ret_last);
		bool over =
			ret_last->type == SMTP_EVENT_END || ret_last->type == SMTP_EVENT_ABANDON;
		if (over) buf_clear(&p->content);
	}
}

/* Verdicts of every kind, late ones, time-outs and shut-downs in between.  */
static void test_any_verdict(void **state)
{
	(void)state;
	struct rng rng;
	struct buf in;
	rng_init(&rng, 2);
	buf_init(&in, 1 << 16);
	for (int session = 0; session < 20000; session++) {
		struct smtp_server_config config = make_config(&rng);
		struct play p;
		struct smtp_event e;
		make_session(&rng, &in);
		play_begin(&p, &config);
		if (rng_below(&rng, 8) == 0) smtp_server_secured(&p.s);
		smtp_server_greet(&p.s, p.now, NULL);
		struct str rest = buf_str(&in);
		for (int idle = 0; idle < 50 && rest.len; idle++) {
			struct str piece = str_head(rest, 1 + rng_below(&rng, 20));
			rest = str_skip(rest, smtp_server_feed(&p.s, ++p.now, piece));
			take_events(&p, &e);
			if (rng_below(&rng, 50) == 0)
				smtp_server_shut(&p.s, SMTP_REPLY(421, 4, 3, 2, "bye"));
			if (rng_below(&rng, 50) == 0) smtp_server_expire(&p.s, p.now += MINUTES(6));
			if (!smtp_server_waits(&p.s) || rng_below(&rng, 2)) continue;
			take_events(&p, &e);
			smtp_server_answer(&p.s, any_verdict(&rng, &e));
			if (p.s.tls_begins && rng_below(&rng, 2)) smtp_server_secured(&p.s);
			idle = 0;
		}
		play_end(&p);
	}
	buf_release(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_cut_is_the_same),
		cmocka_unit_test(test_any_verdict),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
