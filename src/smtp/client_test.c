#include "smtp/client_play_test.h"

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

/* Whatever is going on: politely where the peer listens, and once.  */
static void test_leaving_early(void **state)
{
	(void)state;
	DIALOG(SETUP(.config = {.auth = true}), "<220 hi", ">EHLO me.example", "<250-mx",
		"<250 AUTH PLAIN", "!auth:", "quit", ">QUIT", "!closed", "quit", "=");
	DIALOG(SETUP(.config = {.auth = true}), "<220 hi", ">EHLO me.example", "<250-mx",
		"<250 AUTH PLAIN", "!auth:", "auth PLAIN AGEAYg==", ">AUTH PLAIN AGEAYg==", "quit",
		"!closed", "=");
	DIALOG(SETUP(.config = {.starttls = true}), "<220 hi", ">EHLO me.example", "<250-mx",
		"<250 STARTTLS", ">STARTTLS", "<220 go", "!starttls", "quit", "!closed", "=");
	DIALOG(SETUP(.count = 1), PLAIN, "quit", ">QUIT", "quit", "lost gone", "!closed", "lost",
		"no-deadline", "=");
}

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_message_stepwise),
		cmocka_unit_test(test_content_is_stuffed_and_ended),
		cmocka_unit_test(test_pipelined),
		cmocka_unit_test(test_nothing_taken),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_helo),
		cmocka_unit_test(test_offer),
		cmocka_unit_test(test_fits),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_addresses_that_cannot_be_said),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_starttls),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_leaving_early),
		cmocka_unit_test(test_lmtp),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
