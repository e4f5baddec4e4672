#include "smtp/client_play_test.h"

/* ---- much of everything ---- */

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
		cmocka_unit_test(test_large_content_in_chunks),
		cmocka_unit_test(test_output_is_bounded),
		cmocka_unit_test(test_many_recipients),
		cmocka_unit_test(test_mad_replies),
		cmocka_unit_test(test_unasked_replies),
		cmocka_unit_test(test_text_of_outcomes),
		cmocka_unit_test(test_timeouts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
