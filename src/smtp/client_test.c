#include "smtp/client.h"

#include "base/test.h"

/* A dialogue, one string a step:
 *   <TEXT   the peer says TEXT and CRLF            >TEXT   we have said exactly TEXT and CRLF
 *   >>TEXT  the same without CRLF                  =       nothing more is said, no event waits
 *   !TEXT   the next event: ready content:N done:N starttls auth:CHALLENGE failed:OUTCOME closed
 *   #N TEXT the outcome of recipient N of the transaction that was done last
 *   begin N: transaction N   content TEXT   secured   auth MECH RESPONSE   answer TEXT   quit
 *   lost   expire   deadline MS: so much later   ready / not-ready / busy / idle
 * Every dialogue runs three times: replies whole, replies that follow each other in one piece,
 * octet by octet.  */
enum { ALL_RECIPIENTS = 4, TRANSACTIONS = 3 };

struct setup {
	struct smtp_client_config config;
	uint32_t flags; /* of the envelope */
	uint32_t count; /* recipients of each transaction; 0: one */
	uint64_t size;  /* of the content; 0: 7 ("hello\r\n") */
	bool empty;     /* size is really 0 */
	bool dsn_relay;
	const char *reverse_path;
	const char *first_recipient;
};

struct rig {
	struct smtp_client client;
	struct smtp_client_config config;
	struct envelope envelope;
	struct recipient recipients[ALL_RECIPIENTS];
	struct smtp_transaction transactions[TRANSACTIONS];
	struct outcome outcomes[TRANSACTIONS][ALL_RECIPIENTS];
	struct arena arena;
	const struct smtp_transaction *done; /* the last */
	msec now;
	const char *step;
};

static const uint32_t indices[ALL_RECIPIENTS] = {0, 1, 2, 3};

static void rig_init(struct rig *r, const struct setup *setup)
{
	*r = (struct rig){.config = setup->config, .now = 1000};
	if (!r->config.helo.len) r->config.helo = STR("me.example");
	arena_init(&r->arena, 1 << 20);
	r->recipients[0] = (struct recipient){.address = STR("a@x.example"),
		.orcpt = STR("rfc822;A@x.example"),
		.notify = NOTIFY_SUCCESS | NOTIFY_DELAY};
	if (setup->first_recipient) r->recipients[0].address = str_from_c(setup->first_recipient);
	r->recipients[1] =
		(struct recipient){.address = STR("b@x.example"), .notify = NOTIFY_NEVER};
	r->recipients[2] = (struct recipient){.address = STR("c@x.example")};
	r->recipients[3] = (struct recipient){.address = STR("d@x.example")};
	r->envelope = (struct envelope){.reverse_path = STR("s@y.example"),
		.envid = STR("QQ+2B1"),
		.flags = setup->flags,
		.recipients = r->recipients,
		.recipient_count = ALL_RECIPIENTS};
	if (setup->reverse_path) r->envelope.reverse_path = str_from_c(setup->reverse_path);
	for (size_t i = 0; i < TRANSACTIONS; i++)
		r->transactions[i] = (struct smtp_transaction){.envelope = &r->envelope,
			.recipients = indices,
			.recipient_count = setup->count ? setup->count : 1,
			.size = setup->empty  ? 0
				: setup->size ? setup->size
					      : 7,
			.outcomes = r->outcomes[i],
			.arena = &r->arena,
			.dsn_relay = setup->dsn_relay};
	assert_true(smtp_client_init(&r->client, &r->config, r->now));
}

static void rig_release(struct rig *r)
{
	smtp_client_release(&r->client);
	arena_release(&r->arena);
}

static void describe_outcome(struct buf *out, const struct outcome *o)
{
	buf_printf(out, "%s %u ", outcome_name(o->class), o->code);
	enhanced_add(out, o->enhanced);
	if (o->text.len) buf_add_c(out, ' ');
	buf_add(out, o->text);
	if (o->doubtful) buf_add(out, STR(" (doubtful)"));
	if (o->dsn_passed) buf_add(out, STR(" (dsn passed)"));
}

static void next_event(struct rig *r, struct buf *out)
{
	static const char *const names[] = {
		[SMTP_CLIENT_EVENT_READY] = "ready",
		[SMTP_CLIENT_EVENT_STARTTLS] = "starttls",
		[SMTP_CLIENT_EVENT_AUTH] = "auth:",
		[SMTP_CLIENT_EVENT_CONTENT] = "content:",
		[SMTP_CLIENT_EVENT_DONE] = "done:",
		[SMTP_CLIENT_EVENT_FAILED] = "failed:",
		[SMTP_CLIENT_EVENT_CLOSED] = "closed",
	};
	struct smtp_client_event e;
	if (!smtp_client_next(&r->client, &e)) {
		buf_add(out, STR("no event"));
		return;
	}
	buf_add(out, str_from_c(names[e.type]));
	buf_add(out, e.challenge);
	if (e.transaction) buf_printf(out, "%u", (unsigned)(e.transaction - r->transactions));
	if (e.type == SMTP_CLIENT_EVENT_DONE) r->done = e.transaction;
	if (e.type == SMTP_CLIENT_EVENT_FAILED) describe_outcome(out, &e.outcome);
}

static void expect(struct rig *r, struct str got, struct str wanted)
{
	if (!str_eq(got, wanted)) fail_msg("at \"%s\": got \"" STR_FMT "\"", r->step, STR_ARG(got));
}

static void expect_event(struct rig *r, struct str wanted)
{
	struct buf got;
	buf_init(&got, 2000);
	next_event(r, &got);
	expect(r, buf_str(&got), wanted);
	buf_release(&got);
}

static void expect_outcome(struct rig *r, struct str wanted)
{
	struct buf got;
	buf_init(&got, 2000);
	size_t at = (size_t)(wanted.ptr[0] - '0');
	assert_non_null(r->done);
	describe_outcome(&got, &r->done->outcomes[at]);
	expect(r, buf_str(&got), str_skip(wanted, 2));
	buf_release(&got);
}

static void expect_output(struct rig *r, struct str wanted, bool line)
{
	struct str got = smtp_client_output(&r->client);
	size_t len = wanted.len + (line ? 2 : 0);
	expect(r, str_head(got, wanted.len), wanted);
	if (line) expect(r, str_skip(str_head(got, len), wanted.len), STR("\r\n"));
	smtp_client_sent(&r->client, len);
}

static void say(struct rig *r, struct str bytes, bool octets)
{
	if (!octets) smtp_client_feed(&r->client, r->now, bytes);
	for (size_t i = 0; octets && i < bytes.len; i++)
		smtp_client_feed(&r->client, r->now, str_of(bytes.ptr + i, 1));
}

static void act(struct rig *r, struct str line)
{
	struct smtp_client *c = &r->client;
	struct str verb, rest = line, mechanism;
	str_cut(&rest, ' ', &verb);
	uint64_t n = 0;
	str_to_u64(rest, UINT64_MAX, &n);
	if (str_eq(verb, STR("begin")))
		smtp_client_begin(c, r->now, &r->transactions[n]);
	else if (str_eq(verb, STR("content")))
		assert_true(smtp_client_content(c, r->now, rest));
	else if (str_eq(verb, STR("secured")))
		smtp_client_secured(c, r->now);
	else if (str_eq(verb, STR("answer")))
		smtp_client_auth(c, r->now, STR_NONE, rest, true);
	else if (str_eq(verb, STR("quit")))
		smtp_client_quit(c, r->now);
	else if (str_eq(verb, STR("lost")))
		smtp_client_lost(c, r->now, rest);
	else if (str_eq(verb, STR("abandon")))
		smtp_client_abandon(c, rest);
	else if (str_eq(verb, STR("auth-failed")))
		smtp_client_auth_failed(c, rest);
	else if (str_eq(verb, STR("expire")))
		smtp_client_expire(c, r->now);
	else if (str_eq(verb, STR("ready")))
		assert_true(smtp_client_ready(c));
	else if (str_eq(verb, STR("not-ready")))
		assert_false(smtp_client_ready(c));
	else if (str_eq(verb, STR("busy")))
		assert_true(smtp_client_busy(c));
	else if (str_eq(verb, STR("idle")))
		assert_false(smtp_client_busy(c));
	else if (str_eq(verb, STR("no-deadline")))
		assert_true(smtp_client_deadline(c) == MSEC_NEVER);
	else if (str_eq(verb, STR("deadline"))) {
		r->now += (msec)n;
		assert_int_equal(smtp_client_deadline(c), r->now);
	} else if (str_eq(verb, STR("auth"))) {
		bool has = str_cut(&rest, ' ', &mechanism);
		smtp_client_auth(c, r->now, mechanism, rest, has);
	} else
		fail_msg("no such step: %s", r->step);
}

static void take_step(struct rig *r, struct buf *said, struct str next, bool joined, bool octets)
{
	struct str s = str_from_c(r->step);
	if (s.ptr[0] == '<') {
		buf_add(said, str_skip(s, 1));
		buf_add(said, STR("\r\n"));
		if (joined && next.len && next.ptr[0] == '<') return;
		say(r, buf_str(said), octets);
		buf_clear(said);
	} else if (str_starts(s, STR(">>"))) {
		expect_output(r, str_skip(s, 2), false);
	} else if (s.ptr[0] == '>') {
		expect_output(r, str_skip(s, 1), true);
	} else if (s.ptr[0] == '!') {
		expect_event(r, str_skip(s, 1));
	} else if (s.ptr[0] == '#') {
		expect_outcome(r, str_skip(s, 1));
	} else if (s.ptr[0] == '=') {
		expect(r, smtp_client_output(&r->client), STR_NONE);
		expect_event(r, STR("no event"));
	} else {
		act(r, s);
	}
}

static void run_once(const struct setup *setup, const char *const *steps, bool joined, bool octets)
{
	struct rig r;
	struct buf said;
	rig_init(&r, setup);
	buf_init(&said, 1 << 20);
	for (; *steps; steps++) {
		r.step = *steps;
		take_step(&r, &said, str_from_c(steps[1]), joined, octets);
	}
	r.step = "the end";
	expect(&r, smtp_client_output(&r.client), STR_NONE);
	expect_event(&r, STR("no event"));
	buf_release(&said);
	rig_release(&r);
}

static void run(const struct setup *setup, const char *const *steps)
{
	run_once(setup, steps, false, false);
	run_once(setup, steps, true, false);
	run_once(setup, steps, false, true);
}

#define DIALOG(setup_, ...)                                                                        \
	do {                                                                                       \
		const struct setup the_setup = setup_;                                             \
		run(&the_setup, (const char *const[]){__VA_ARGS__, NULL});                         \
	} while (0)
#define SETUP(...) ((struct setup){__VA_ARGS__})

#define HELLO(...) "<220 hi", ">EHLO me.example", __VA_ARGS__, "!ready"
#define PLAIN HELLO("<250 mx")
#define ESMTP HELLO("<250-mx", "<250-SIZE 1000000", "<250-8BITMIME", "<250 DSN")
#define PIPED HELLO("<250-mx", "<250-PIPELINING", "<250 ENHANCEDSTATUSCODES")
#define CHUNKED HELLO("<250-mx", "<250-PIPELINING", "<250 CHUNKING")
#define STEPWISE_CHUNKED HELLO("<250-mx", "<250 CHUNKING")
#define MAIL_A "begin 0", ">MAIL FROM:<s@y.example>", "<250 ok", ">RCPT TO:<a@x.example>"

/* ---- a whole session ---- */

static void test_one_message_stepwise(void **state)
{
	(void)state;
	DIALOG(SETUP(.count = 1), "=", PLAIN, "idle", "ready", "no-deadline", MAIL_A, "not-ready",
		"busy", "=", "<250 ok", ">DATA", "=", "<354 go", "!content:0", "not-ready",
		"content hello\r\n", ">hello", ">.", "not-ready", "<250 2.0.0 queued", "!done:0",
		"#0 delivered 250 2.0.0 queued", "idle", "ready", "quit", ">QUIT", "not-ready",
		"<221 bye", "!closed", "no-deadline");
}

static void test_content_is_stuffed_and_ended(void **state)
{
	(void)state;
	DIALOG(SETUP(.size = 13), PLAIN, MAIL_A, "<250 ok", ">DATA", "<354 go", "!content:0",
		"content .a\r\n", "content .", "content \r\n..b\r\nc", ">..a", ">..", ">...b", ">c",
		">.", "<250 ok", "!done:0", "#0 delivered 250 2.0.0 ok");
	DIALOG(SETUP(.empty = true), PLAIN, MAIL_A, "<250 ok", ">DATA", "<354 go", ">.", "<250 ok",
		"!done:0", "#0 delivered 250 2.0.0 ok");
}

static void test_pipelined(void **state)
{
	(void)state;
	DIALOG(SETUP(.count = 3), PIPED, "begin 0", ">MAIL FROM:<s@y.example>",
		">RCPT TO:<a@x.example>", ">RCPT TO:<b@x.example>", ">RCPT TO:<c@x.example>",
		">DATA", "=", "<250 ok", "<250 ok", "<550 5.1.1 who?", "<251 forwards", "<354 go",
		"!content:0", "content hello\r\n", ">hello", ">.", "ready", "begin 1",
		">MAIL FROM:<s@y.example>", ">RCPT TO:<a@x.example>", ">RCPT TO:<b@x.example>",
		">RCPT TO:<c@x.example>", ">DATA", "not-ready", "=", "<250 2.6.0 first", "!done:0",
		"#0 delivered 250 2.6.0 first", "#1 failed 550 5.1.1 who?",
		"#2 delivered 250 2.6.0 first", "not-ready", "<250 ok", "<250 ok", "<250 ok",
		"<250 ok", "<354 go", "!content:1", "content hello\r\n", ">hello", ">.", "begin 0",
		">MAIL FROM:<s@y.example>", ">RCPT TO:<a@x.example>", ">RCPT TO:<b@x.example>",
		">RCPT TO:<c@x.example>", ">DATA", "<554 5.7.1 no", "<250 ok", "<450 4.2.1 later",
		"<450 4.2.1 later", "<250 ok", "<354 go", "!done:1", "#2 failed 554 5.7.1 no",
		"!content:0", "content hello\r\n", ">hello", ">.", "quit", ">QUIT", "<250 third",
		"!done:0", "#0 deferred 450 4.2.1 later", "#2 delivered 250 2.0.0 third",
		"<221 bye", "!closed");
}

static void test_nothing_taken(void **state)
{
	(void)state;
	/* Pipelined, and DATA is refused as it should be: the transaction that is left is reset
	 * before the next.  */
	DIALOG(SETUP(.count = 2), PIPED, "begin 0", ">MAIL FROM:<s@y.example>",
		">RCPT TO:<a@x.example>", ">RCPT TO:<b@x.example>", ">DATA", "<250 ok",
		"<550 5.1.1 a?", "<450 4.2.0 b?", "=", "<554 no valid recipients", "!done:0",
		"#0 failed 550 5.1.1 a?", "#1 deferred 450 4.2.0 b?", "begin 1", ">RSET",
		">MAIL FROM:<s@y.example>", ">RCPT TO:<a@x.example>", ">RCPT TO:<b@x.example>",
		">DATA", "<250 ok", "<550 5.7.1 you?", "<503 first MAIL", "<503 first MAIL",
		"<503 first MAIL", "!done:1", "#0 failed 550 5.7.1 you?",
		"#1 failed 550 5.7.1 you?", "begin 0", ">MAIL FROM:<s@y.example>",
		">RCPT TO:<a@x.example>", ">RCPT TO:<b@x.example>", ">DATA", "lost", "!done:0",
		"!failed:deferred 451 4.4.2 lost connection while waiting for the reply to MAIL");
	/* 354 all the same: a lone dot, whose reply changes nothing.  */
	DIALOG(SETUP(.count = 1), PIPED, "begin 0", ">MAIL FROM:<s@y.example>",
		">RCPT TO:<a@x.example>", ">DATA", "<250 ok", "<550 5.1.1 a?", "<354 go", ">.", "=",
		"<250 thanks", "!done:0", "#0 failed 550 5.1.1 a?", "begin 1",
		">MAIL FROM:<s@y.example>", ">RCPT TO:<a@x.example>", ">DATA", "<450 no", "<250 ok",
		"<354 go", ">.", "<554 no", "!done:1", "#0 deferred 450 4.0.0 no", "ready");
	/* Stepwise DATA is not even said.  */
	DIALOG(SETUP(.count = 2), PLAIN, MAIL_A, "<550 5.1.1 a?", ">RCPT TO:<b@x.example>",
		"<550 5.1.1 b?", "!done:0", "#1 failed 550 5.1.1 b?", "begin 1", ">RSET", "=",
		"<250 ok", ">MAIL FROM:<s@y.example>", "<452 4.3.1 full", "!done:1",
		"#0 deferred 452 4.3.1 full", "#1 deferred 452 4.3.1 full", "begin 2",
		">MAIL FROM:<s@y.example>", "lost reset by peer", "!done:2",
		"#0 deferred 451 4.4.2 lost connection while waiting for the reply to MAIL: reset by peer",
		"!failed:deferred 451 4.4.2 lost connection while waiting for the reply to MAIL: reset by peer");
	DIALOG(SETUP(.count = 1), PLAIN, MAIL_A, "<550 no", "!done:0", "begin 1", ">RSET",
		"<500 what?", "!done:1", "#0 deferred 500 5.0.0 what?",
		"!failed:deferred 500 5.0.0 what?", ">QUIT");
}

static void test_chunks(void **state)
{
	(void)state;
	/* One group, content and all; RSET before the next, since the chunk could be refused.  */
	DIALOG(SETUP(.count = 2), CHUNKED, "begin 0", "!content:0", "content .hello\r", "ready",
		"begin 1", "!content:1", "content .hello\r", "not-ready",
		">MAIL FROM:<s@y.example>", ">RCPT TO:<a@x.example>", ">RCPT TO:<b@x.example>",
		">BDAT 7 LAST", ">>.hello\r", ">RSET", ">MAIL FROM:<s@y.example>",
		">RCPT TO:<a@x.example>", ">RCPT TO:<b@x.example>", ">BDAT 7 LAST", ">>.hello\r",
		"<250 ok", "<250 ok", "<550 5.1.1 b?", "<250 7 octets", "!done:0",
		"#0 delivered 250 2.0.0 7 octets", "#1 failed 550 5.1.1 b?", "<250 reset",
		"<250 ok", "<550 5.1.1 a?", "<550 5.1.1 b?", "=", "<554 no valid recipients",
		"!done:1", "#0 failed 550 5.1.1 a?", "begin 2", "!content:2", ">RSET",
		">MAIL FROM:<s@y.example>", ">RCPT TO:<a@x.example>", ">RCPT TO:<b@x.example>",
		"<250 ok", "<250 ok", "<250 ok", "<250 ok", "content .hello\r", ">BDAT 7 LAST",
		">>.hello\r", "<452 4.3.1 full", "!done:2", "#0 deferred 452 4.3.1 full",
		"#1 deferred 452 4.3.1 full");
	/* A chunk that follows an answered one needs no RSET.  */
	DIALOG(SETUP(.count = 1), CHUNKED, "begin 0", "!content:0", "content hello\r\n",
		">MAIL FROM:<s@y.example>", ">RCPT TO:<a@x.example>", ">BDAT 7 LAST", ">hello",
		"<250 ok", "<250 ok", "<250 ok", "!done:0", "begin 1", "!content:1",
		">MAIL FROM:<s@y.example>", ">RCPT TO:<a@x.example>", "<550 no", "<503 first MAIL",
		"!done:1", "#0 failed 550 5.0.0 no");
	DIALOG(SETUP(.empty = true), CHUNKED, "begin 0", ">MAIL FROM:<s@y.example>",
		">RCPT TO:<a@x.example>", ">BDAT 0 LAST", "<250 ok", "<250 ok", "<250 ok",
		"!done:0", "#0 delivered 250 2.0.0 ok");
	/* Stepwise: one chunk, when the recipients are known.  */
	DIALOG(SETUP(.count = 1), STEPWISE_CHUNKED, MAIL_A, "=", "<250 ok", "!content:0",
		"content hello", "content \r\n", ">BDAT 7 LAST", ">hello", "<250 ok", "!done:0",
		"#0 delivered 250 2.0.0 ok", MAIL_A, "<550 no", "!done:0",
		"#0 failed 550 5.0.0 no");
}

static void test_large_content_in_chunks(void **state)
{
	(void)state;
	enum { PIECE = 40000, SIZE = 3 * SMTP_CLIENT_CHUNK + 5 };
	static char octets[SIZE];
	for (int refuse = -1; refuse < 4; refuse++) {
		struct rig r;
		rig_init(&r, &SETUP(.count = 1, .size = SIZE));
		memset(octets, 'x', sizeof(octets));
		const char *hello[] = {CHUNKED, "begin 0", ">MAIL FROM:<s@y.example>",
			">RCPT TO:<a@x.example>", "=", "<250 ok", "<250 ok", "!content:0", NULL};
		struct buf said;
		buf_init(&said, 1000);
		for (const char **step = hello; *step; step++) {
			r.step = *step;
			take_step(&r, &said, STR_NONE, false, false);
		}
		buf_release(&said);
		uint64_t given = 0, sent = 0;
		int replies = 0;
		struct smtp_client_event e = {0};
		while (!smtp_client_next(&r.client, &e)) {
			size_t piece = SIZE - given < PIECE ? SIZE - given : PIECE;
			assert_true(smtp_client_content(
				&r.client, r.now, str_of(octets + given, piece)));
			given += piece;
			sent += smtp_client_output(&r.client).len;
			smtp_client_sent(&r.client, smtp_client_output(&r.client).len);
			/* Each chunk is answered when the next has begun.  */
			while (r.client.answered < r.client.sent - (given < SIZE)) {
				bool bad = replies++ == refuse;
				smtp_client_feed(&r.client, r.now,
					bad ? STR("552 5.3.4 big\r\n") : STR("250 ok\r\n"));
			}
		}
		assert_int_equal(e.type, SMTP_CLIENT_EVENT_DONE);
		assert_int_equal(
			r.outcomes[0][0].class, refuse < 0 ? OUTCOME_DELIVERED : OUTCOME_FAILED);
		const size_t headers = 3 * strlen("BDAT 65536\r\n") + strlen("BDAT 5 LAST\r\n");
		if (refuse < 0 || refuse == 3) assert_int_equal(sent, SIZE + headers);
		/* Once one is refused, no more than the chunk that is under way is sent.  */
		if (refuse == 0)
			assert_int_equal(sent, 2 * (SMTP_CLIENT_CHUNK + strlen("BDAT 65536\r\n")));
		assert_true(smtp_client_ready(&r.client));
		assert_true(smtp_client_content(&r.client, r.now, STR("late"))); /* dropped */
		assert_int_equal(smtp_client_output(&r.client).len, 0);
		rig_release(&r);
	}
}

static void test_output_is_bounded(void **state)
{
	(void)state;
	enum { SIZE = 2000000 };
	static char octets[SMTP_CLIENT_PIECE_MAX];
	memset(octets, '.', sizeof(octets));
	struct rig r;
	rig_init(&r, &SETUP(.count = 1, .size = SIZE));
	smtp_client_feed(&r.client, 0, STR("220 hi\r\n250-mx\r\n250 PIPELINING\r\n"));
	smtp_client_begin(&r.client, 0, &r.transactions[0]);
	smtp_client_feed(&r.client, 0, STR("250 ok\r\n250 ok\r\n354 go\r\n"));
	uint64_t given = 0, refused = 0;
	while (given < SIZE) {
		size_t piece = SIZE - given < sizeof(octets) ? SIZE - given : sizeof(octets);
		if (smtp_client_content(&r.client, 0, str_of(octets, piece)))
			given += piece;
		else {
			assert_true(smtp_client_output(&r.client).len > SMTP_CLIENT_OUT_MAX / 4);
			smtp_client_sent(&r.client, 1 + refused % 50000);
			refused++;
		}
		assert_true(smtp_client_output(&r.client).len <= SMTP_CLIENT_OUT_MAX);
	}
	assert_true(refused > 10);
	rig_release(&r);
}

/* Lines that were in it.  */
static uint64_t send_some(struct rig *r, size_t octets)
{
	struct str out = str_head(smtp_client_output(&r->client), octets);
	uint64_t lines = 0;
	for (size_t i = 0; i < out.len; i++) lines += out.ptr[i] == '\n';
	smtp_client_sent(&r->client, out.len);
	return lines;
}

/* More recipients than the output holds: they follow as it is sent, and the replies that come
 * meanwhile count.  */
static void test_many_recipients(void **state)
{
	(void)state;
	enum { COUNT = 30000 };
	static struct recipient recipients[COUNT];
	static uint32_t which[COUNT];
	static struct outcome outcomes[COUNT];
	struct rig r;
	rig_init(&r, &SETUP(.count = 1));
	for (uint32_t i = 0; i < COUNT; i++) {
		recipients[i].address = STR("someone@a-rather-long-name.example.com");
		which[i] = i;
	}
	r.envelope.recipients = recipients;
	r.envelope.recipient_count = COUNT;
	r.transactions[0].recipients = which;
	r.transactions[0].recipient_count = COUNT;
	r.transactions[0].outcomes = outcomes;
	smtp_client_feed(&r.client, 0, STR("220 hi\r\n250-mx\r\n250 PIPELINING\r\n"));
	smtp_client_sent(&r.client, smtp_client_output(&r.client).len);
	smtp_client_begin(&r.client, 0, &r.transactions[0]);
	assert_true(r.client.sent < COUNT);
	smtp_client_feed(&r.client, 0, STR("250 ok\r\n"));
	uint64_t lines = 0;
	struct smtp_client_event e;
	while (!smtp_client_next(&r.client, &e) || e.type == SMTP_CLIENT_EVENT_READY) {
		lines += send_some(&r, 5000);
		while (r.client.answered < r.client.sent && r.client.answered + 1 < COUNT + 2)
			smtp_client_feed(&r.client, 0,
				r.client.answered % 2 ? STR("250 ok\r\n") : STR("550 no\r\n"));
		if (r.client.answered == COUNT + 1 && r.client.sent == COUNT + 2)
			smtp_client_feed(&r.client, 0, STR("354 go\r\n"));
	}
	assert_int_equal(e.type, SMTP_CLIENT_EVENT_CONTENT);
	lines += send_some(&r, SMTP_CLIENT_OUT_MAX);
	assert_int_equal(lines, COUNT + 2);
	smtp_client_lost(&r.client, 0, STR_NONE);
	for (uint32_t i = 0; i < COUNT; i++)
		assert_int_equal(outcomes[i].class, i % 2 ? OUTCOME_FAILED : OUTCOME_DEFERRED);
	rig_release(&r);
}

/* ---- EHLO and what follows from it ---- */

static void test_helo(void **state)
{
	(void)state;
	DIALOG(SETUP(.flags = ENVELOPE_8BIT | ENVELOPE_RET_FULL, .dsn_relay = true), "<220 hi",
		">EHLO me.example", "<502 5.5.1 what?", ">HELO me.example", "<250-mx",
		"<250 PIPELINING", "!ready", MAIL_A, "=", "lost", "!done:0",
		"!failed:deferred 451 4.4.2 lost connection while waiting for the reply to RCPT");
	DIALOG(SETUP(.count = 1), "<220 hi", ">EHLO me.example", "<550 you?", ">HELO me.example",
		"<554 no", ">QUIT", "!failed:deferred 554 5.0.0 no");
	DIALOG(SETUP(.count = 1), "<220 hi", ">EHLO me.example", "<451 4.3.2 later", ">QUIT",
		"!failed:deferred 451 4.3.2 later");
	DIALOG(SETUP(.config.lmtp = true), "<220 hi", ">LHLO me.example", "<500 what?", ">QUIT",
		"!failed:deferred 500 5.0.0 what?");
	DIALOG(SETUP(.count = 1), "<554-5.7.1 go", "<554 5.7.1 away", ">QUIT",
		"!failed:deferred 554 5.7.1 go away");
	DIALOG(SETUP(.count = 1), "quit", ">>", "!closed", "=");
}

static struct smtp_offer offer_of(const char *lines)
{
	struct rig r;
	rig_init(&r, &SETUP(.count = 1));
	smtp_client_feed(&r.client, 0, STR("220 hi\r\n"));
	smtp_client_feed(&r.client, 0, str_from_c(lines));
	struct smtp_offer offer = r.client.offer;
	rig_release(&r);
	return offer;
}

static void test_offer(void **state)
{
	(void)state;
	struct smtp_offer o = offer_of(
		"250-mx PIPELINING\r\n250-size 35882577\r\n250-8bitMIME\r\n250-SMTPUTF8\r\n"
		"250-Chunking\r\n250-BINARYMIME\r\n250-STARTTLS\r\n250-REQUIRETLS\r\n250-DSN\r\n"
		"250-ENHANCEDSTATUSCODES\r\n250-AUTH=LOGIN\r\n250-AUTH  PLAIN  LOGIN\r\n"
		"250 LIMITS RCPTMAX=20 FOO=1 mailmax=7 RCPTDOMAINMAX=3 RCPTMAX=x\r\n");
	assert_true(
		o.esmtp && o.size && o.eightbit && o.utf8 && o.chunking && o.binary && o.starttls);
	assert_true(o.requiretls && o.dsn && o.enhanced);
	assert_false(o.pipelining); /* in the greeting it is no keyword */
	assert_int_equal(o.size_max, 35882577);
	assert_int_equal(o.rcpt_max, 20);
	assert_int_equal(o.mail_max, 7);
	assert_int_equal(o.rcpt_domain_max, 3);
	assert_string_equal(o.auth, "LOGIN PLAIN LOGIN");
	o = offer_of(
		"250-mx\r\n250-SIZE\r\n250-AUTH=PLAIN LOGIN\r\n250-LIMITS\r\n250 PIPELINING2\r\n");
	assert_true(o.size && o.size_max == 0 && !o.pipelining && o.rcpt_max == 0);
	assert_string_equal(o.auth, "PLAIN LOGIN");
	assert_string_equal(
		offer_of("250-mx\r\n250-AUTH PLAIN\r\n250 AUTH=PLAIN LOGIN\r\n").auth, "PLAIN");
	o = offer_of("250-mx\r\n250-SIZE 99999999999999999999999\r\n250-AUTH\r\n250 \r\n");
	assert_true(o.size && o.size_max == 0 && o.auth[0] == '\0');
	char many[600] = "250-mx\r\n250 AUTH PLAIN ";
	memset(many + strlen(many), 'x', 300);
	memcpy(many + strlen(many), " LOGIN\r\n", 9);
	assert_string_equal(offer_of(many).auth, "PLAIN LOGIN");
}

static void fits_over(
	bool tls, const char *offered, uint32_t flags, uint64_t size, const char *wanted)
{
	struct rig r;
	rig_init(&r, &SETUP(.flags = flags, .size = size, .config.implicit_tls = tls));
	smtp_client_feed(&r.client, 0, STR("220 hi\r\n250-mx\r\n"));
	smtp_client_feed(&r.client, 0, str_from_c(offered));
	struct buf got;
	buf_init(&got, 1000);
	struct outcome o = smtp_client_fits(&r.client, &r.transactions[0]);
	if (o.class != OUTCOME_NONE) enhanced_add(&got, o.enhanced);
	assert_str(buf_str(&got), wanted);
	buf_release(&got);
	rig_release(&r);
}

static void fits(const char *offered, uint32_t flags, uint64_t size, const char *wanted)
{
	fits_over(true, offered, flags, size, wanted);
}

static void test_fits(void **state)
{
	(void)state;
	fits("250 X\r\n", 0, 1000, "");
	fits("250 SIZE 1000\r\n", 0, 1000, "");
	fits("250 SIZE 1000\r\n", 0, 1001, "5.3.4");
	fits("250 SIZE 0\r\n", 0, 1001, "");
	fits("250 X\r\n", ENVELOPE_8BIT, 1, "5.6.3");
	fits("250 8BITMIME\r\n", ENVELOPE_8BIT, 1, "");
	fits("250-CHUNKING\r\n250 8BITMIME\r\n", ENVELOPE_BINARY, 1, "5.6.3");
	fits("250-BINARYMIME\r\n250 8BITMIME\r\n", ENVELOPE_BINARY, 1, "5.6.3");
	fits("250-BINARYMIME\r\n250 CHUNKING\r\n", ENVELOPE_BINARY, 1, "");
	fits("250 8BITMIME\r\n", ENVELOPE_UTF8, 1, "5.6.7");
	fits("250 SMTPUTF8\r\n", ENVELOPE_UTF8, 1, "");
	fits("250 X\r\n", ENVELOPE_REQUIRETLS, 1, "5.7.30");
	fits("250 REQUIRETLS\r\n", ENVELOPE_REQUIRETLS, 1, "");
	fits_over(false, "250 REQUIRETLS\r\n", ENVELOPE_REQUIRETLS, 1, "5.7.30");
}

static void test_parameters(void **state)
{
	(void)state;
	DIALOG(SETUP(.count = 2, .dsn_relay = true,
		       .flags = ENVELOPE_8BIT | ENVELOPE_RET_HDRS | ENVELOPE_REQUIRETLS),
		ESMTP, "begin 0",
		">MAIL FROM:<s@y.example> SIZE=7 BODY=8BITMIME RET=HDRS ENVID=QQ+2B1", "<250 ok",
		">RCPT TO:<a@x.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;A@x.example", "<250 ok",
		">RCPT TO:<b@x.example> NOTIFY=NEVER", "<250 ok", ">DATA", "<354 go", "!content:0",
		"content hello\r\n", ">hello", ">.", "<250 ok", "!done:0",
		"#0 delivered 250 2.0.0 ok (dsn passed)");
	DIALOG(SETUP(.count = 1, .flags = ENVELOPE_RET_FULL, .reverse_path = ""), ESMTP, "begin 0",
		">MAIL FROM:<> SIZE=7", "<250 ok", ">RCPT TO:<a@x.example>", "lost", "!done:0",
		"!failed:deferred 451 4.4.2 lost connection while waiting for the reply to RCPT");
	DIALOG(SETUP(.dsn_relay = true,
		       .flags = ENVELOPE_RET_FULL | ENVELOPE_UTF8 | ENVELOPE_BINARY,
		       .first_recipient = "\xc3\xa4@x.example"),
		HELLO("<250-mx", "<250-SMTPUTF8", "<250-DSN", "<250-CHUNKING", "<250 BINARYMIME"),
		"begin 0",
		">MAIL FROM:<s@y.example> BODY=BINARYMIME SMTPUTF8 RET=FULL ENVID=QQ+2B1",
		"<250 ok",
		">RCPT TO:<\xc3\xa4@x.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;A@x.example",
		"<550 no", "!done:0", "#0 failed 550 5.0.0 no");
}

static void test_addresses_that_cannot_be_said(void **state)
{
	(void)state;
	DIALOG(SETUP(.count = 2, .first_recipient = "a\r\nRCPT TO:<evil>@x"), PIPED, "begin 0",
		">MAIL FROM:<s@y.example>", ">RCPT TO:<b@x.example>", ">DATA", "<250 ok", "<250 ok",
		"<354 go", "!content:0", "content hello\r\n", ">hello", ">.", "<250 ok", "!done:0",
		"#0 failed 550 5.1.3 the address cannot be written in SMTP",
		"#1 delivered 250 2.0.0 ok");
	DIALOG(SETUP(.count = 1, .first_recipient = "a\x7f@x"), CHUNKED, "begin 0", "!done:0",
		"ready", "=");
	DIALOG(SETUP(.count = 1, .first_recipient = "\xc3\xa4@x"), PIPED, "begin 0", "!done:0",
		"#0 failed 550 5.6.7 the address needs SMTPUTF8, the message came without it",
		"ready", "=");
	DIALOG(SETUP(.count = 2, .reverse_path = "s\n@y"), PLAIN, "begin 0", "!done:0",
		"#1 failed 550 5.1.3 the address cannot be written in SMTP", "ready", "=");
}

static void test_limits(void **state)
{
	(void)state;
	DIALOG(SETUP(.count = 1), HELLO("<250-mx", "<250 LIMITS MAILMAX=2"), MAIL_A, "<550 no",
		"!done:0", "ready", "begin 1", ">RSET", "<250 ok", ">MAIL FROM:<s@y.example>",
		"<550 no", "!done:1", "not-ready");
	/* "Too many" after some were taken is no word on the recipient.  */
	DIALOG(SETUP(.count = 4), PIPED, "begin 0", ">MAIL FROM:<s@y.example>",
		">RCPT TO:<a@x.example>", ">RCPT TO:<b@x.example>", ">RCPT TO:<c@x.example>",
		">RCPT TO:<d@x.example>", ">DATA", "<250 ok", "<452 4.5.3 too many", "<250 ok",
		"<552 too many", "<452 4.2.2 full", "<354 go", "!content:0", "content hello\r\n",
		">hello", ">.", "<250 ok", "!done:0", "#0 deferred 452 4.5.3 too many",
		"#1 delivered 250 2.0.0 ok", "#2 deferred 552 4.5.3 too many",
		"#3 deferred 452 4.2.2 full");
	DIALOG(SETUP(.count = 2), PIPED, "begin 0", ">MAIL FROM:<s@y.example>",
		">RCPT TO:<a@x.example>", ">RCPT TO:<b@x.example>", ">DATA", "<250 ok",
		"<552 too many", "<552 5.2.2 full", "<503 no", "!done:0",
		"#0 failed 552 5.0.0 too many", "#1 failed 552 5.2.2 full");
}

/* ---- TLS and AUTH ---- */

static void test_starttls(void **state)
{
	(void)state;
	DIALOG(SETUP(.config.starttls = true), "<220 hi", ">EHLO me.example", "<250-mx",
		"<250-PIPELINING", "<250 STARTTLS", ">STARTTLS", "=", "<220 go", "!starttls",
		"secured", ">EHLO me.example", "<250-mx", "<250 STARTTLS", "!ready", MAIL_A, "=",
		"lost", "!done:0",
		"!failed:deferred 451 4.4.2 lost connection while waiting for the reply to RCPT");
	DIALOG(SETUP(.config.starttls = true), "<220 hi", ">EHLO me.example", "<250-mx",
		"<250 STARTTLS", ">STARTTLS", "<454 4.7.0 no", "!ready", "ready");
	DIALOG(SETUP(.config.starttls_required = true), "<220 hi", ">EHLO me.example", "<250-mx",
		"<250 STARTTLS", ">STARTTLS", "<454 4.7.0 no", "!failed:deferred 454 4.7.0 no",
		">QUIT");
	DIALOG(SETUP(.config.starttls_required = true), "<220 hi", ">EHLO me.example", "<250 mx",
		"!failed:deferred 451 4.7.4 TLS is required, the next hop does not offer STARTTLS");
	DIALOG(SETUP(.config.starttls_required = true), "<220 hi", ">EHLO me.example", "<500 what?",
		">HELO me.example", "<250 mx",
		"!failed:deferred 451 4.7.4 TLS is required, the next hop does not offer STARTTLS");
	DIALOG(SETUP(.config.starttls_required = true, .config.implicit_tls = true), PLAIN,
		"ready");
	DIALOG(SETUP(.config.starttls = true), "<220 hi", ">EHLO me.example", "<250-mx",
		"<250 STARTTLS", ">STARTTLS", "<220 go", "!starttls", "deadline 300000", "expire",
		"!failed:deferred 451 4.4.2 timed out while starting TLS");
	/* What stands behind the 220 in clear was never said under TLS.  */
	struct rig r;
	struct smtp_client_event e;
	rig_init(&r, &SETUP(.config.starttls = true));
	smtp_client_feed(
		&r.client, 0, STR("220 hi\r\n250-mx\r\n250 STARTTLS\r\n220 go\r\n250 x\r\n"));
	assert_true(smtp_client_next(&r.client, &e));
	assert_int_equal(e.type, SMTP_CLIENT_EVENT_FAILED);
	assert_str(e.outcome.text, "invalid reply to STARTTLS, more came in clear");
	rig_release(&r);
}

static void test_auth(void **state)
{
	(void)state;
#define LOGIN_OFFERED "<220 hi", ">EHLO me.example", "<250-mx", "<250 AUTH PLAIN LOGIN", "!auth:"
	DIALOG(SETUP(.config.auth = true), LOGIN_OFFERED, "no-deadline",
		"auth PLAIN AGEAYg==", ">AUTH PLAIN AGEAYg==", "<235 2.7.0 ok", "!ready", "ready");
	DIALOG(SETUP(.config.auth = true), LOGIN_OFFERED, "auth LOGIN", ">AUTH LOGIN",
		"<334 VXNlcm5hbWU6", "!auth:VXNlcm5hbWU6", "answer YQ==", ">YQ==", "<334 ",
		"!auth:", "answer ", ">", "deadline 300000", "<235 ok", "!ready");
	DIALOG(SETUP(.config.auth = true), LOGIN_OFFERED, "auth EXTERNAL ",
		">AUTH EXTERNAL =", "<535 5.7.8 wrong", "!failed:deferred 535 5.7.8 wrong",
		">QUIT");
	DIALOG(SETUP(.config.auth = true), LOGIN_OFFERED, "auth-failed no password",
		"!failed:deferred 451 4.7.0 logging in failed: no password");
	DIALOG(SETUP(.config.auth = true), LOGIN_OFFERED, "lost",
		"!failed:deferred 451 4.4.2 lost connection while logging in");
	DIALOG(SETUP(.config.auth = true), "<220 hi", ">EHLO me.example", "<250 mx",
		"!failed:deferred 451 4.7.4 a log-in is configured, the next hop does not offer AUTH");
}

/* ---- LMTP ---- */

static void test_lmtp(void **state)
{
	(void)state;
#define LMTP_HELLO "<220 hi", ">LHLO me.example", "<250-mx", "<250 PIPELINING", "!ready"
#define LMTP_THREE                                                                                 \
	LMTP_HELLO, "begin 0", ">MAIL FROM:<s@y.example>", ">RCPT TO:<a@x.example>",               \
		">RCPT TO:<b@x.example>", ">RCPT TO:<c@x.example>", ">DATA", "<250 ok", "<250 ok", \
		"<550 b?", "<250 ok", "<354 go", "!content:0", "content hello\r\n", ">hello", ">."
	DIALOG(SETUP(.count = 3, .config.lmtp = true), LMTP_THREE, "begin 1",
		">MAIL FROM:<s@y.example>", ">RCPT TO:<a@x.example>", ">RCPT TO:<b@x.example>",
		">RCPT TO:<c@x.example>", ">DATA", "<250 a", "=", "<452 4.2.2 full", "!done:0",
		"#0 delivered 250 2.0.0 a", "#1 failed 550 5.0.0 b?", "#2 deferred 452 4.2.2 full",
		"<421 bye", "!done:1", "#2 deferred 421 4.0.0 bye",
		"!failed:deferred 421 4.0.0 bye");
	DIALOG(SETUP(.count = 3, .config.lmtp = true), LMTP_THREE, "<250 a", "lost", "!done:0",
		"#0 delivered 250 2.0.0 a",
		"#2 deferred 451 4.4.2 lost connection while waiting for the reply to the end of the message (doubtful)",
		"!failed:deferred 451 4.4.2 lost connection while waiting for the reply to the end of the message");
	DIALOG(SETUP(.count = 3, .config.lmtp = true), LMTP_THREE, "<421 a", "!done:0",
		"#0 deferred 421 4.0.0 a", "#2 deferred 421 4.0.0 a (doubtful)",
		"!failed:deferred 421 4.0.0 a");
	DIALOG(SETUP(.count = 3, .config.lmtp = true), LMTP_THREE, "<250 a", "<250 c", "!done:0",
		"<250 what?", "!failed:deferred 451 4.5.0 invalid reply: 250 what?");
	DIALOG(SETUP(.count = 1, .config.lmtp = true), LMTP_HELLO, "begin 0",
		">MAIL FROM:<s@y.example>", ">RCPT TO:<a@x.example>", ">DATA", "<250 ok", "<550 a?",
		"<354 go", "!done:0", "#0 failed 550 5.0.0 a?",
		"!failed:deferred 451 4.5.0 invalid reply to DATA after no recipient was taken");
	/* BDAT waits for the recipients, since the number of replies depends on them.  */
	DIALOG(SETUP(.count = 2, .config.lmtp = true), "<220 hi", ">LHLO me.example", "<250-mx",
		"<250-CHUNKING", "<250 PIPELINING", "!ready", "begin 0", ">MAIL FROM:<s@y.example>",
		">RCPT TO:<a@x.example>", ">RCPT TO:<b@x.example>", "=", "<250 ok", "<250 ok",
		"<250 ok", "!content:0", "content hello\r\n", ">BDAT 7 LAST", ">hello", "<550 a",
		"<250 b", "!done:0", "#0 failed 550 5.0.0 a", "#1 delivered 250 2.0.0 b");
}

/* ---- every mad reply at every point ---- */

enum { POINTS = 6 }; /* banner, EHLO, MAIL, RCPT, DATA or nothing, end */

static const char *const mad[] = {
	"421 4.3.2 leaving",
	"354 go",
	"250 ok",
	"450 4.0.0 later",
	"550 5.0.0 no",
	"150 wait",
	"SSH-2.0-x",
	"250-a\r\n354 b",
	NULL /* endless */,
	"" /* close */,
	"25" /* close within a reply */,
};

/* Rows are points, columns the replies above.  D delivered, F failed, q deferred and the
 * session lives, d deferred and the session failed, ? the same in doubt.  */
struct mad_table {
	const char *offer;
	bool lmtp;
	const char *wanted[POINTS];
};

static const struct mad_table mad_tables[] = {
	{"250 mx\r\n", false,
		{"ddDdddddddd", "ddDdDdddddd", "ddDqFdddddd", "ddDqFdddddd", "dDdqFdddddd",
			"d?DqF??????"}},
	{"250-mx\r\n250 PIPELINING\r\n", false,
		{"ddDdddddddd", "ddDdDdddddd", "ddDqFdddddd", "ddDqFdddddd", "dDdqFdddddd",
			"d?DqF??????"}},
	/* With LMTP 354 to DATA is wrong when nobody was taken.  */
	{"250-mx\r\n250 PIPELINING\r\n", true,
		{"ddDdddddddd", "ddDdddddddd", "ddDdFdddddd", "ddDdFdddddd", "dDdqFdddddd",
			"d?DqF??????"}},
	{"250-mx\r\n250 CHUNKING\r\n", false,
		{"ddDdddddddd", "ddDdDdddddd", "ddDqFdddddd", "ddDqFdddddd", "", "d?DqF??????"}},
	{"250-mx\r\n250-CHUNKING\r\n250 PIPELINING\r\n", false,
		{"ddDdddddddd", "ddDdDdddddd", "d?DqF??????", "d?DqF??????", "", "d?DqF??????"}},
};

struct mad_run {
	struct rig r;
	bool ready, done, failed, closed, begun;
};

static void drain(struct mad_run *m)
{
	struct smtp_client_event e;
	do {
		while (smtp_client_next(&m->r.client, &e)) {
			assert_false(m->failed);
			if (e.type == SMTP_CLIENT_EVENT_CONTENT)
				assert_true(smtp_client_content(
					&m->r.client, m->r.now, STR("hello\r\n")));
			if (e.type == SMTP_CLIENT_EVENT_DONE) {
				assert_false(m->done);
				assert_int_not_equal(m->r.outcomes[0][0].class, OUTCOME_NONE);
				m->done = true;
			}
			m->failed |= e.type == SMTP_CLIENT_EVENT_FAILED;
			m->closed |= e.type == SMTP_CLIENT_EVENT_CLOSED;
		}
		if (!m->begun && smtp_client_ready(&m->r.client)) {
			m->begun = true;
			smtp_client_begin(&m->r.client, m->r.now, &m->r.transactions[0]);
		}
		smtp_client_sent(&m->r.client, smtp_client_output(&m->r.client).len);
	} while (m->r.client.event_count);
}

static void say_endless(struct mad_run *m)
{
	for (int i = 0; i < 1000000 && !m->failed; i++) {
		smtp_client_feed(&m->r.client, m->r.now, STR("250-and\r\n"));
		drain(m);
	}
	assert_true(m->failed);
}

static char mad_outcome(const struct mad_table *t, size_t point, const char *reply)
{
	const char *normal[POINTS] = {
		"220 hi\r\n", t->offer, "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 ok\r\n"};
	struct mad_run m = {0};
	rig_init(&m.r, &SETUP(.config.lmtp = t->lmtp));
	for (size_t i = 0; i < POINTS; i++) {
		drain(&m);
		if (i == 4 && m.r.client.offer.chunking) continue;
		struct str text = str_from_c(i == point ? reply : normal[i]);
		bool close = i == point && text.len < 3;
		if (i == point && !reply) {
			say_endless(&m);
		} else {
			smtp_client_feed(&m.r.client, m.r.now, text);
			if (i == point && !close)
				smtp_client_feed(&m.r.client, m.r.now, STR("\r\n"));
			if (close) smtp_client_lost(&m.r.client, m.r.now, STR_NONE);
		}
		drain(&m);
		if (m.done || m.failed) break;
		/* The fallback wants one more reply.  */
		if (i == 1 && m.r.client.state == SMTP_CLIENT_HELO)
			smtp_client_feed(&m.r.client, m.r.now, STR("250 mx\r\n"));
	}
	assert_true(m.failed || m.done);
	assert_true(!m.begun || m.failed == (m.r.client.state == SMTP_CLIENT_CLOSED));
	const struct outcome *o = &m.r.outcomes[0][0];
	char result = m.failed ? 'd' : 'q';
	if (o->class == OUTCOME_DELIVERED) result = 'D';
	if (o->class == OUTCOME_FAILED) result = 'F';
	if (o->doubtful) result = '?';
	rig_release(&m.r);
	return result;
}

static void test_mad_replies(void **state)
{
	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(mad_tables); t++) {
		for (size_t point = 0; point < POINTS; point++) {
			const char *wanted = mad_tables[t].wanted[point];
			if (!*wanted) continue;
			assert_int_equal(strlen(wanted), ARRAY_LEN(mad));
			for (size_t i = 0; i < ARRAY_LEN(mad); i++) {
				char got = mad_outcome(&mad_tables[t], point, mad[i]);
				if (got != wanted[i])
					fail_msg(
						"table %zu point %zu reply %zu (%s): %c, wanted %c",
						t, point, i, mad[i] ? mad[i] : "endless", got,
						wanted[i]);
			}
		}
	}
}

static void test_unasked_replies(void **state)
{
	(void)state;
	DIALOG(SETUP(.count = 1), PLAIN, "<421 4.4.2 idle too long",
		"!failed:deferred 421 4.4.2 idle too long", "not-ready");
	DIALOG(SETUP(.count = 1), PLAIN, "<250 more",
		"!failed:deferred 451 4.5.0 invalid reply: 250 more");
	DIALOG(SETUP(.count = 1), PLAIN, "lost",
		"!failed:deferred 451 4.4.2 lost connection while idle", "lost", "=");
	DIALOG(SETUP(.count = 1), PLAIN, MAIL_A, "<250 ok", ">DATA", "<354 go", "!content:0",
		"content hel", ">>hel", "<552 5.3.4 enough", "!done:0",
		"#0 deferred 451 4.5.0 invalid reply: 552 enough",
		"!failed:deferred 451 4.5.0 invalid reply: 552 enough", "content lo\r\n", "=");
	DIALOG(SETUP(.count = 1), PLAIN, MAIL_A, "<250 ok", ">DATA", "<354 go", "!content:0",
		"content hel", ">>hel", "abandon EIO", "!done:0",
		"#0 deferred 451 4.3.0 the message cannot be read: EIO",
		"!failed:deferred 451 4.3.0 the message cannot be read: EIO");
	DIALOG(SETUP(.count = 1), PLAIN, "quit", ">QUIT", "lost", "!closed", "lost", "=");
	DIALOG(SETUP(.count = 1), PLAIN, "quit", ">QUIT", "<421 x", "!closed", "<250 x", "=");
	DIALOG(SETUP(.count = 1), PLAIN, "quit", ">QUIT", "deadline 120000", "expire", "!closed");
	/* A dot that has not left cannot have done anything.  */
	DIALOG(SETUP(.count = 1), PLAIN, MAIL_A, "<250 ok", ">DATA", "<354 go", "!content:0",
		"content hello\r\n", ">hello", ">>.\r", "lost", "!done:0",
		"#0 deferred 451 4.4.2 lost connection while waiting for the reply to the end of the message",
		"!failed:deferred 451 4.4.2 lost connection while waiting for the reply to the end of the message",
		">>\n");
}

static void test_text_of_outcomes(void **state)
{
	(void)state;
	DIALOG(SETUP(.count = 1), PLAIN, MAIL_A, "<550-5.1.1 No\tsuch ", "<550-5.1.1",
		"<550 5.1.1  user\x1b[31m\x7f", "!done:0",
		"#0 failed 550 5.1.1 No such user?[31m?");
	DIALOG(SETUP(.count = 1), PLAIN, MAIL_A, "<550 2.0.0 fine", "!done:0",
		"#0 failed 550 5.0.0 2.0.0 fine");
	DIALOG(SETUP(.count = 1), PLAIN, MAIL_A, "<450", "!done:0", "#0 deferred 450 4.0.0");
	for (size_t len = 500; len < 520; len++) {
		char reply[700] = "450 ";
		for (size_t i = 0; i < len; i++) reply[4 + i] = i % 2 ? '\xa4' : '\xc3';
		memcpy(reply + 4 + len, "\r\n", 3);
		struct rig r;
		rig_init(&r, &SETUP(.count = 1));
		smtp_client_feed(&r.client, 0, str_from_c(reply));
		struct smtp_client_event e;
		assert_true(smtp_client_next(&r.client, &e));
		assert_int_equal(e.outcome.text.len, len <= 512 ? len : 512);
		memcpy(reply + 4, "x", 1); /* now a character would be cut */
		rig_release(&r);
		rig_init(&r, &SETUP(.count = 1));
		smtp_client_feed(&r.client, 0, str_from_c(reply));
		assert_true(smtp_client_next(&r.client, &e));
		assert_true(e.outcome.text.len <= OUTCOME_TEXT_MAX);
		rig_release(&r);
	}
}

static void test_timeouts(void **state)
{
	(void)state;
	DIALOG(SETUP(.count = 1), "deadline 300000", "expire",
		"!failed:deferred 451 4.4.2 timed out while waiting for the banner", "no-deadline");
	DIALOG(SETUP(.count = 1), "<220 hi", ">EHLO me.example", "deadline 300000", "<250 mx",
		"!ready", "no-deadline", "begin 0", ">MAIL FROM:<s@y.example>", "deadline 300000",
		"<250 ok", ">RCPT TO:<a@x.example>", "deadline 300000", "<250 ok", ">DATA",
		"deadline 120000", "<354 go", "!content:0", "deadline 180000", "content hello\r\n",
		">hello", ">.", "deadline 600000", "expire", "!done:0",
		"#0 deferred 451 4.4.2 timed out while waiting for the reply to the end of the message (doubtful)",
		"!failed:deferred 451 4.4.2 timed out while waiting for the reply to the end of the message");
	/* Content: while octets go out, time is given; when they do not, it is up.  */
	DIALOG(SETUP(.count = 1), PLAIN, MAIL_A, "<250 ok", ">DATA", "<354 go", "!content:0",
		"content hel", ">>h", "deadline 180000", "expire", "deadline 180000", "expire",
		"!done:0", "#0 deferred 451 4.4.2 timed out while sending the message",
		"!failed:deferred 451 4.4.2 timed out while sending the message", ">>el");
	DIALOG(SETUP(.config.timeout = 5000), "deadline 5000", "<220 hi", ">EHLO me.example",
		"deadline 5000", "expire",
		"!failed:deferred 451 4.4.2 timed out while waiting for the reply to EHLO");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_message_stepwise),
		cmocka_unit_test(test_content_is_stuffed_and_ended),
		cmocka_unit_test(test_pipelined),
		cmocka_unit_test(test_nothing_taken),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_large_content_in_chunks),
		cmocka_unit_test(test_output_is_bounded),
		cmocka_unit_test(test_many_recipients),
		cmocka_unit_test(test_helo),
		cmocka_unit_test(test_offer),
		cmocka_unit_test(test_fits),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_addresses_that_cannot_be_said),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_starttls),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_lmtp),
		cmocka_unit_test(test_mad_replies),
		cmocka_unit_test(test_unasked_replies),
		cmocka_unit_test(test_text_of_outcomes),
		cmocka_unit_test(test_timeouts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
