#include "smtp/server_play_test.h"

static struct smtp_server_config with_tls(void)
{
	struct smtp_server_config c = play_plain;
	c.offer_starttls = true;
	c.auth_tls = STR("PLAIN LOGIN");
	return c;
}

static struct smtp_server_config submission(void)
{
	struct smtp_server_config c = with_tls();
	c.submission = true;
	c.auth_plain = STR("PLAIN");
	c.hold_max = HOURS(1);
	c.wall_ahead = 1795324367123;
	return c;
}

static void test_session(void **state)
{
	(void)state;
	play_dialogue(&play_plain,
		STR("helo Client.example\n"
		    "mail from: a@b.c\n"
		    "rcpt to: bob@example.com  \r\n"
		    "Rcpt To:<carol@example.com>\r\n"
		    "DATA\n"
		    "Subject: x\r\n\r\n..hi\r\n.\r\n"
		    "noop\r\nQUIT\r\nNOOP\r\n"),
		"250 mx.example.com\r\n250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n" GO QUEUED
		"250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n",
		"HELO H Client.example\nMAIL <a@b.c>\nRCPT <bob@example.com>\n"
		"RCPT <carol@example.com>\n"
		"DATA\nEND size=19 flags=0\nRESET\nCLOSE 0\n",
		"Subject: x\r\n\r\n.hi\r\n");
}

static void test_pipelining(void **state)
{
	(void)state;
	play_dialogue(&play_plain,
		STR("EHLO x\r\n" FRAME "DATA\r\nA\r\n.\r\n" FRAME
		    "DATA\r\n\xc3\xb6\r\n.\r\nQUIT\r\n"),
		EHLO_REPLY FRAMED GO QUEUED FRAMED GO QUEUED "221 2.0.0 Bye\r\n",
		"HELO E x\nMAIL <a@b.c>\nRCPT <bob@example.com>\nDATA\nEND size=3 flags=0\nRESET\n"
		"MAIL <a@b.c>\nRCPT <bob@example.com>\nDATA\nEND size=4 flags=1\nRESET\nCLOSE 0\n",
		"A\r\n\xc3\xb6\r\n");
	play_dialogue(&play_plain,
		STR("EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<nobody@example.com>\r\n"
		    "RCPT TO:<x@y.z>\r\nDATA\r\nRSET\r\n"),
		EHLO_REPLY
		"250 2.1.0 Ok\r\n550 5.1.1 User unknown\r\n550 5.7.1 Relay access denied\r\n"
		"554 5.5.1 Error: no valid recipients\r\n250 2.0.0 Ok\r\n",
		"HELO E x\nMAIL <a@b.c>\nRCPT <nobody@example.com>\nRCPT <x@y.z>\nRESET\n", "");
	play_dialogue(&play_plain,
		STR("EHLO x\r\nMAIL FROM:<refused@example.org>\r\nRCPT TO:<bob@example.com>\r\n"
		    "DATA\r\n"),
		EHLO_REPLY "550 5.7.1 Sender refused\r\n503 5.5.1 Error: need mail command\r\n"
			   "503 5.5.1 Error: need RCPT command\r\n",
		NULL, "");
}

static void test_parameters(void **state)
{
	(void)state;
	play_dialogue(&play_plain,
		STR("EHLO x\r\nMAIL FROM:<> SIZE=500 BODY=8BITMIME RET=HDRS ENVID=a+2Bb\r\n"
		    "RCPT TO:<Postmaster> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b@c\r\n"),
		EHLO_REPLY FRAMED,
		"HELO E x\nMAIL <> flags=33 size=500 envid=a+2Bb\n"
		"RCPT <Postmaster> notify=10 orcpt=rfc822;b@c\n",
		"");
	play_dialogue(&play_plain,
		STR("EHLO x\r\nMAIL FROM:<a@b.c> SIZE=1001\r\nMAIL FROM:<a@b.c> FOO=x\r\n"
		    "MAIL FROM:<a@b.c> HOLDFOR=5\r\n"
		    "MAIL FROM:<a@b.c> AUTH=<>\r\nMAIL FROM:<a@b.c> REQUIRETLS\r\n"
		    "MAIL FROM:<\xc3\xb6@b.c>\r\n"),
		EHLO_REPLY "552 5.3.4 Message size exceeds fixed limit\r\n"
			   "555 5.5.4 Unsupported option: FOO=x\r\n"
			   "555 5.5.4 Unsupported option: HOLDFOR=5\r\n"
			   "555 5.5.4 Unsupported option: AUTH=<>\r\n"
			   "555 5.5.4 Unsupported option: REQUIRETLS\r\n"
			   "553 5.6.7 Error: this sender address needs SMTPUTF8\r\n",
		"HELO E x\n", "");
	play_dialogue(&play_plain,
		STR("EHLO x\r\nMAIL FROM:<\xc3\xb6@b.c> SMTPUTF8\r\n"
		    "RCPT TO:<\xc3\xb6@example.com>\r\nRSET\r\n"
		    "MAIL FROM:<a@b.c>\r\nRCPT TO:<\xc3\xb6@example.com>\r\n"),
		EHLO_REPLY FRAMED "250 2.0.0 Ok\r\n250 2.1.0 Ok\r\n"
				  "553 5.6.7 Error: this recipient address needs SMTPUTF8\r\n",
		NULL, "");
}

/* ---- Lines ---- */

static void test_line_lengths(void **state)
{
	(void)state;
	char in[14000];
	for (size_t len = 2046; len <= 2051; len++) {
		memset(in, ' ', sizeof(in));
		memcpy(in, "NOOP", 4);
		memcpy(in + len, "\r\nNOOP\r\n", 9);
		const char *out = len <= 2048
			? "250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n"
			: "500 5.5.2 Error: line too long\r\n250 2.0.0 Ok\r\n";
		play_dialogue(&play_plain, str_from_c(in), out, "", "");
		memcpy(in + len, "\nNOOP\r\n", 8);
		play_dialogue(&play_plain, str_from_c(in), out, "", "");
	}
}

static void test_endless_line_costs_nothing(void **state)
{
	(void)state;
	struct play p;
	char piece[65536];
	memset(piece, 'x', sizeof(piece));
	play_run(&play_plain, STR("EHLO x\r\n"), 0, &p);
	buf_clear(&p.out);
	for (size_t i = 0; i < 1600; i++) {
		play_feed(&p, str_of(piece, sizeof(piece)));
		assert_int_equal(p.s.line.cap, 0);
	}
	assert_int_equal(p.out.len, 0);
	play_feed(&p, STR("\r\nNOOP\r\n"));
	assert_str(buf_str(&p.out), "500 5.5.2 Error: line too long\r\n250 2.0.0 Ok\r\n");
	assert_int_equal(p.s.errors, 1);
	play_end(&p);
}

static void test_odd_lines(void **state)
{
	(void)state;
	play_dialogue(&play_plain,
		STR("\r\n\n  \t\r\nNO\0OP\r\nNOOP\rQUIT\r\nNOOP\x7f\r\n  noop  x \t\r\n"
		    "NOOP\tx\r\nFOO\r\n\xff\r\n"),
		"500 5.5.2 Error: bad syntax\r\n500 5.5.2 Error: bad syntax\r\n"
		"500 5.5.2 Error: bad syntax\r\n"
		"500 5.5.2 Error: bad syntax\r\n500 5.5.2 Error: bad syntax\r\n"
		"500 5.5.2 Error: bad syntax\r\n"
		"250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n500 5.5.2 Error: command not recognized\r\n"
		"500 5.5.2 Error: command not recognized\r\n",
		"", "");
}

static void test_helo_is_kept_printable(void **state)
{
	(void)state;
	struct smtp_server_config c = play_plain;
	c.words.helo = STR("Hello %{helo}, pleased to meet you at %{hostname} 100%");
	play_dialogue(&c, STR("HELO %{hostname}\xff\r\n"),
		"250 Hello %{hostname}?, pleased to meet you at mx.example.com 100%\r\n",
		"HELO H %{hostname}?\n", "");
	char in[600] = "HELO ";
	memset(in + 5, 'h', 500);
	memcpy(in + 505, "\r\n", 3);
	struct play p;
	play_run(&play_plain, str_from_c(in), 0, &p);
	assert_int_equal(smtp_server_helo(&p.s).len, 255);
	assert_false(smtp_server_esmtp(&p.s));
	play_end(&p);
}

static void test_words(void **state)
{
	(void)state;
	struct smtp_server_config c = play_plain;
	c.words = (struct smtp_words){
		.banner = STR("%{hostname} ESMTP rockdove"),
		.mail = STR("Sender fine, %{helo}"),
		.rcpt = STR("Recipient fine"),
		.data = STR("Go ahead"),
		.queued = STR("Kept as %{id} by %{hostname} %{nothing}"),
		.quit = STR("Farewell %{helo}"),
	};
	play_dialogue(&c, STR("HELO x\r\n" FRAME "DATA\r\n.\r\nQUIT\r\n"),
		"250 mx.example.com\r\n250 2.1.0 Sender fine, x\r\n250 2.1.5 Recipient fine\r\n"
		"354 Go ahead\r\n"
		"250 2.0.0 Kept as 3XAMPLE1D by mx.example.com %{nothing}\r\n"
		"221 2.0.0 Farewell x\r\n",
		NULL, "");
	struct play p;
	c.words.banner = STR("ESMTP Postfix (Ubuntu)");
	play_begin(&p, &c);
	smtp_server_greet(&p.s, 0, NULL);
	play_events(&p);
	assert_str(buf_str(&p.out), "220 ESMTP Postfix (Ubuntu)\r\n");
	play_end(&p);
}

/* ---- Who is thrown out ---- */

static void test_errors(void **state)
{
	(void)state;
	struct smtp_server_config c = play_plain;
	c.errors_max = 3;
	play_dialogue(&c, STR("FOO\r\nNOOP\r\nMAIL\r\nHELO x\r\nHELO\r\nNOOP\r\n"),
		"500 5.5.2 Error: command not recognized\r\n250 2.0.0 Ok\r\n"
		"503 5.5.1 Error: send HELO/EHLO first\r\n"
		"250 mx.example.com\r\n501 Syntax: HELO hostname\r\n"
		"421 4.7.0 mx.example.com Error: too many errors\r\n",
		"HELO H x\nCLOSE 1\n", "");
	/* A chunk out of order counts when it is answered.  */
	play_dialogue(&c, STR("FOO\r\nFOO\r\nBDAT 3\r\nabcNOOP\r\n"),
		"500 5.5.2 Error: command not recognized\r\n"
		"500 5.5.2 Error: command not recognized\r\n"
		"503 5.5.1 Error: send HELO/EHLO first\r\n"
		"421 4.7.0 mx.example.com Error: too many errors\r\n",
		"CLOSE 1\n", "");
	/* Recipients that policy refuses, and what follows from it, are no bad commands.  */
	struct play p;
	play_run(&c, STR("EHLO x\r\n"), 0, &p);
	for (int i = 0; i < 20; i++)
		play_feed(&p,
			STR("MAIL FROM:<a@b.c>\r\nRCPT TO:<nobody@example.com>\r\nDATA\r\n"
			    "RSET\r\n"));
	assert_false(p.closed);
	assert_int_equal(p.s.errors, 0);
	play_end(&p);
}

static void test_other_protocols(void **state)
{
	(void)state;
	play_dialogue(&play_plain, STR("GET / HTTP/1.1\r\nHost: x\r\n\r\nHELO x\r\n"),
		"221 2.7.0 Error: I can break rules, too. Goodbye.\r\n", "CLOSE 4\n", "");
	play_dialogue(&play_plain, STR("post /x HTTP/1.0\r\n" E FRAME),
		"221 2.7.0 Error: I can break rules, too. Goodbye.\r\n", "CLOSE 4\n", "");
	play_dialogue(&play_plain, STR("CONNECT mx:25 HTTP/1.0\r\n"),
		"221 2.7.0 Error: I can break rules, too. Goodbye.\r\n", "CLOSE 4\n", "");
}

static void test_recipients_max(void **state)
{
	(void)state;
	play_dialogue(&play_plain,
		STR(E "MAIL FROM:<>\r\nRCPT TO:<nobody@example.com>\r\n"
		      "RCPT TO:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n"
		      "RCPT TO:<c@example.com>\r\nRCPT TO:<d@example.com>\r\nRSET\r\n" FRAME),
		EHLO_REPLY
		"250 2.1.0 Ok\r\n550 5.1.1 User unknown\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n"
		"250 2.1.5 Ok\r\n"
		"452 4.5.3 Error: too many recipients\r\n250 2.0.0 Ok\r\n" FRAMED,
		NULL, "");
}

/* ---- TLS and AUTH ---- */

static void test_starttls(void **state)
{
	(void)state;
	struct smtp_server_config c = with_tls();
	struct play p;
	play_run(&c,
		STR("STARTTLS\r\nEHLO x\r\nSTARTTLS x\r\n" FRAME
		    "STARTTLS\r\nRSET\r\nSTARTTLS\r\n"),
		0, &p);
	assert_true(str_contains(
		buf_str(&p.out), STR("503 5.5.1 Error: send HELO/EHLO first\r\n250-mx")));
	assert_true(str_contains(buf_str(&p.out), STR("250-STARTTLS\r\n250-ENHANCED")));
	assert_true(str_contains(buf_str(&p.out),
		STR("501 5.5.4 Syntax: STARTTLS\r\n" FRAMED
		    "503 5.5.1 Error: MAIL transaction in progress\r\n250 2.0.0 Ok\r\n"
		    "220 2.0.0 Ready to start TLS\r\n")));
	smtp_server_secured(&p.s);
	assert_int_equal(p.s.state, SMTP_SERVER_FRESH);
	assert_int_equal(smtp_server_helo(&p.s).len, 0);
	buf_clear(&p.out);
	play_feed(&p,
		STR("MAIL FROM:<>\r\nEHLO y\r\nSTARTTLS\r\n"
		    "MAIL FROM:<a@b.c> REQUIRETLS AUTH=<>\r\n"));
	assert_str(buf_str(&p.out),
		"503 5.5.1 Error: send HELO/EHLO first\r\n"
		"250-mx.example.com\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-AUTH PLAIN LOGIN\r\n"
		"250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n"
		"250-CHUNKING\r\n"
		"250-BINARYMIME\r\n250-REQUIRETLS\r\n250 LIMITS RCPTMAX=3\r\n"
		"554 5.5.1 Error: TLS already active\r\n250 2.1.0 Ok\r\n");
	play_end(&p);
	play_dialogue(&play_plain, STR("HELO x\r\nSTARTTLS\r\n"),
		"250 mx.example.com\r\n502 5.5.1 Error: command not implemented\r\n", NULL, "");
}

/* What comes in clear behind STARTTLS is thrown away, and the session with it.  */
static void test_injected_behind_starttls(void **state)
{
	(void)state;
	struct smtp_server_config c = with_tls();
	play_dialogue(&c, STR("HELO x\r\nSTARTTLS\r\n" FRAME "QUIT\r\n"),
		"250 mx.example.com\r\n220 2.0.0 Ready to start TLS\r\n",
		"HELO H x\nSTARTTLS\nCLOSE 4\n", "");
}

/* Nothing can be said in the middle of a handshake, neither that it took too long nor that we
 * leave.  */
static void test_silent_while_tls_begins(void **state)
{
	(void)state;
	struct smtp_server_config c = with_tls();
	for (int how = 0; how < 2; how++) {
		struct play p;
		play_run(&c, STR("HELO x\r\nSTARTTLS\r\n"), 0, &p);
		buf_clear(&p.out);
		if (how) smtp_server_expire(&p.s, HOURS(1));
		if (how)
			smtp_server_expire(&p.s, HOURS(2));
		else
			smtp_server_shut(
				&p.s, SMTP_REPLY(421, 4, 3, 2, "mx.example.com shutting down"));
		play_events(&p);
		assert_int_equal(p.out.len, 0);
		assert_true(p.closed);
		smtp_server_secured(&p.s); /* too late */
		assert_int_equal(p.s.state, SMTP_SERVER_CLOSED);
		play_end(&p);
	}
}

static void test_tls_required(void **state)
{
	(void)state;
	struct smtp_server_config c = with_tls();
	c.tls_required = true;
	play_dialogue(&c,
		STR("HELO x\r\nMAIL FROM:<>\r\nNOOP\r\nVRFY x\r\nBDAT 6\r\nQUIT\r\nAUTH PLAIN\r\n"
		    "HELP MAIL\r\nRSET\r\nQUIT\r\n"),
		"250 mx.example.com\r\n530 5.7.0 Must issue a STARTTLS command first\r\n"
		"250 2.0.0 Ok\r\n"
		"530 5.7.0 Must issue a STARTTLS command first\r\n"
		"530 5.7.0 Must issue a STARTTLS command first\r\n"
		"530 5.7.0 Must issue a STARTTLS command first\r\n"
		"214 2.0.0 Syntax: MAIL FROM:<address> [SIZE=n] [BODY=8BITMIME] ...\r\n"
		"250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n",
		NULL, "");
}

static void test_auth(void **state)
{
	(void)state;
	struct smtp_server_config c = submission();
	play_dialogue(&c,
		STR("HELO x\r\nMAIL FROM:<>\r\nAUTH\r\nAUTH PLAIN a b\r\nAUTH LOGIN\r\n"
		    "AUTH FOO\r\nauth plain wrong\r\n"
		    "auth Plain\r\n*\r\nAUTH PLAIN =\r\nAUTH plain\r\nAGFsaWNlAHNlY3JldA==\r\n"
		    "AUTH PLAIN\r\n" FRAME "AUTH PLAIN\r\n"),
		"250 mx.example.com\r\n530 5.7.0 Authentication required\r\n"
		"501 5.5.4 Syntax: AUTH mechanism\r\n"
		"501 5.5.4 Syntax: AUTH mechanism\r\n"
		"538 5.7.11 Encryption required for requested authentication mechanism\r\n"
		"504 5.5.4 Error: unrecognized authentication mechanism\r\n535 5.7.8 Error: no\r\n"
		"334 \r\n501 5.7.0 Authentication aborted\r\n535 5.7.8 Error: no\r\n334 \r\n"
		"235 2.7.0 Authentication successful\r\n"
		"503 5.5.1 Error: already authenticated\r\n" FRAMED
		"503 5.5.1 Error: MAIL transaction in progress\r\n",
		"HELO H x\nAUTH [PLAIN] 1 [wrong]\nAUTH [PLAIN] 0 []\nAUTH [PLAIN] 1 []\n"
		"AUTH [PLAIN] 0 []\n"
		"AUTH [] 0 [AGFsaWNlAHNlY3JldA==]\nMAIL <a@b.c>\nRCPT <bob@example.com>\n",
		"");
	play_dialogue(&play_plain, STR("HELO x\r\nAUTH PLAIN\r\n"),
		"250 mx.example.com\r\n503 5.5.1 Error: authentication not enabled\r\n", NULL, "");
	/* An empty line is an empty response; one too long ends the exchange.  */
	play_dialogue(&c, STR("HELO x\r\nAUTH PLAIN\r\n\r\nNOOP\r\n"),
		"250 mx.example.com\r\n334 \r\n535 5.7.8 Error: no\r\n250 2.0.0 Ok\r\n",
		"HELO H x\nAUTH [PLAIN] 0 []\nAUTH [] 0 []\n", "");
}

static void test_auth_lines(void **state)
{
	(void)state;
	struct smtp_server_config c = submission();
	char line[12400];
	for (size_t len = 12287; len <= 12290; len++) {
		for (int how = 0; how < 2; how++) {
			struct play p;
			play_run(&c, how ? STR("HELO x\r\nAUTH PLAIN\r\n") : STR("HELO x\r\n"), 0,
				&p);
			buf_clear(&p.out);
			memset(line, 'A', sizeof(line));
			if (!how) memcpy(line, "AUTH PLAIN ", 11);
			memcpy(line + len, "\r\nNOOP\r\n", 9);
			for (struct str rest = str_from_c(line); rest.len;) {
				struct str piece = str_head(rest, 1000);
				play_feed(&p, piece);
				rest = str_skip(rest, piece.len);
			}
			const char *fits = "535 5.7.8 Error: no\r\n250 2.0.0 Ok\r\n";
			const char *not = how
				? "500 5.5.6 Authentication exchange line is too long\r\n"
				  "250 2.0.0 Ok\r\n"
				: "500 5.5.2 Error: line too long\r\n250 2.0.0 Ok\r\n";
			assert_str(buf_str(&p.out), len <= 12288 ? fits : not );
			play_end(&p);
		}
	}
}

static void test_future_release(void **state)
{
	(void)state;
	struct smtp_server_config c = submission();
	struct play p;
	play_run(&c, STR("EHLO x\r\nAUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"), 0, &p);
	assert_true(str_contains(
		buf_str(&p.out), STR("250-FUTURERELEASE 3600 2026-11-22T06:12:48.123Z\r\n")));
	static const struct {
		const char *param, *reply;
	} rows[] = {
		{"HOLDFOR=3600", "250 "},
		{"HOLDFOR=3601", "501 5.5.4"},
		{"HOLDFOR=0", "501 5.5.4"},
		{"HOLDUNTIL=2026-11-22T06:12:48Z", "250 "},
		{"HOLDUNTIL=2026-11-22T06:12:49Z", "501 5.5.4"},
		{"HOLDUNTIL=tomorrow", "501 5.5.4"},
		{"HOLDFOR=1 HOLDUNTIL=2026-11-22T06:12:48Z", "501 5.5.4"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char in[200];
		snprintf(in, sizeof(in), "RSET\r\nMAIL FROM:<a@b.c> %s\r\n", rows[i].param);
		buf_clear(&p.out);
		play_feed(&p, str_from_c(in));
		assert_true(str_starts(str_skip(buf_str(&p.out), 14), str_from_c(rows[i].reply)));
	}
	play_end(&p);
}

/* ---- Every verb in every state ---- */

enum { IN_FRESH, IN_READY, IN_MAIL, IN_RCPT, IN_BDAT, IN_DEAD, IN_ALL };

static const char *const ways[IN_ALL] = {
	[IN_FRESH] = "",
	[IN_READY] = "EHLO x\r\n",
	[IN_MAIL] = "EHLO x\r\nMAIL FROM:<a@b.c>\r\n",
	[IN_RCPT] = E FRAME,
	[IN_BDAT] = E FRAME "BDAT 1\r\na",
	[IN_DEAD] = E FRAME "BDAT 1\r\n\n",
};

static const struct {
	const char *line;
	int code[IN_ALL];
	enum smtp_server_state then[IN_ALL];
} matrix[] = {
#define S(a, b, c, d, e, f)                                                                        \
	{                                                                                          \
		SMTP_SERVER_##a, SMTP_SERVER_##b, SMTP_SERVER_##c, SMTP_SERVER_##d,                \
			SMTP_SERVER_##e, SMTP_SERVER_##f                                           \
	}
	{"HELO x", {250, 250, 250, 250, 250, 250}, S(READY, READY, READY, READY, READY, READY)},
	{"EHLO x", {250, 250, 250, 250, 250, 250}, S(READY, READY, READY, READY, READY, READY)},
	{"HELO", {501, 501, 501, 501, 501, 501}, S(FRESH, READY, MAIL, RCPT, BDAT, BDAT)},
	{"EHLO", {501, 501, 501, 501, 501, 501}, S(FRESH, READY, MAIL, RCPT, BDAT, BDAT)},
	{"MAIL FROM:<b@c>", {503, 250, 503, 503, 503, 503}, S(FRESH, MAIL, MAIL, RCPT, BDAT, BDAT)},
	{"MAIL FROM:<refused@example.org>", {503, 550, 503, 503, 503, 503},
		S(FRESH, READY, MAIL, RCPT, BDAT, BDAT)},
	{"MAIL FROM:", {503, 501, 503, 503, 503, 503}, S(FRESH, READY, MAIL, RCPT, BDAT, BDAT)},
	{"RCPT TO:<b@example.com>", {503, 503, 250, 250, 503, 503},
		S(FRESH, READY, RCPT, RCPT, BDAT, BDAT)},
	{"RCPT TO:<b@example.net>", {503, 503, 550, 550, 503, 503},
		S(FRESH, READY, MAIL, RCPT, BDAT, BDAT)},
	{"RCPT TO:<>", {503, 503, 501, 501, 503, 503}, S(FRESH, READY, MAIL, RCPT, BDAT, BDAT)},
	{"DATA", {503, 503, 554, 354, 503, 503}, S(FRESH, READY, MAIL, DATA, BDAT, BDAT)},
	{"DATA x", {503, 503, 554, 501, 503, 503}, S(FRESH, READY, MAIL, RCPT, BDAT, BDAT)},
	{"BDAT 0", {503, 503, 554, 250, 250, 503}, S(FRESH, READY, MAIL, BDAT, BDAT, BDAT)},
	{"BDAT 0 LAST", {503, 503, 554, 250, 250, 503}, S(FRESH, READY, MAIL, READY, READY, BDAT)},
	{"BDAT 9", {0, 0, 0, 0, 0, 0}, S(CHUNK, CHUNK, CHUNK, CHUNK, CHUNK, CHUNK)},
	{"BDAT x", {521, 521, 521, 521, 521, 521},
		S(CLOSED, CLOSED, CLOSED, CLOSED, CLOSED, CLOSED)},
	{"RSET", {250, 250, 250, 250, 250, 250}, S(FRESH, READY, READY, READY, READY, READY)},
	{"RSET x", {501, 501, 501, 501, 501, 501}, S(FRESH, READY, MAIL, RCPT, BDAT, BDAT)},
	{"NOOP x", {250, 250, 250, 250, 250, 250}, S(FRESH, READY, MAIL, RCPT, BDAT, BDAT)},
	{"VRFY x@y", {252, 252, 252, 252, 252, 252}, S(FRESH, READY, MAIL, RCPT, BDAT, BDAT)},
	{"EXPN x", {502, 502, 502, 502, 502, 502}, S(FRESH, READY, MAIL, RCPT, BDAT, BDAT)},
	{"HELP", {214, 214, 214, 214, 214, 214}, S(FRESH, READY, MAIL, RCPT, BDAT, BDAT)},
	{"STARTTLS", {503, 220, 503, 503, 503, 503}, S(FRESH, READY, MAIL, RCPT, BDAT, BDAT)},
	{"AUTH FOO", {503, 504, 503, 503, 503, 503}, S(FRESH, READY, MAIL, RCPT, BDAT, BDAT)},
	{"AUTH PLAIN", {503, 334, 503, 503, 503, 503}, S(FRESH, AUTH, MAIL, RCPT, BDAT, BDAT)},
	{"XCLIENT NAME=x", {550, 550, 503, 503, 503, 503}, S(FRESH, READY, MAIL, RCPT, BDAT, BDAT)},
	{"FOO", {500, 500, 500, 500, 500, 500}, S(FRESH, READY, MAIL, RCPT, BDAT, BDAT)},
	{"", {500, 500, 500, 500, 500, 500}, S(FRESH, READY, MAIL, RCPT, BDAT, BDAT)},
	{"GET / HTTP/1.1", {221, 221, 221, 221, 221, 221},
		S(CLOSED, CLOSED, CLOSED, CLOSED, CLOSED, CLOSED)},
	{"QUIT", {221, 221, 221, 221, 221, 221}, S(CLOSED, CLOSED, CLOSED, CLOSED, CLOSED, CLOSED)},
};

static void test_matrix(void **state)
{
	(void)state;
	struct smtp_server_config c = with_tls();
	c.auth_plain = STR("PLAIN");
	for (size_t i = 0; i < ARRAY_LEN(matrix); i++) {
		for (int in = 0; in < IN_ALL; in++) {
			struct play p;
			play_run(&c, str_from_c(ways[in]), 0, &p);
			buf_clear(&p.out);
			play_feed(&p, str_from_c(matrix[i].line));
			play_feed(&p, STR("\n"));
			uint64_t code = 0;
			str_to_u64(str_head(buf_str(&p.out), 3), 999, &code);
			if (code != (uint64_t)matrix[i].code[in] || p.s.state != matrix[i].then[in])
				fail_msg("\"%s\" after \"%s\": %d, state %d", matrix[i].line,
					ways[in], (int)code, p.s.state);
			assert_int_equal(p.closed, p.s.state == SMTP_SERVER_CLOSED);
			/* Content that began comes to an end whatever happens.  */
			if (p.closed && in == IN_BDAT)
				assert_true(
					str_contains(buf_str(&p.events), STR("ABANDON\nCLOSE")));
			play_end(&p);
		}
	}
}

/* ---- Time, and ends from outside ---- */

static void test_silence(void **state)
{
	(void)state;
	struct play p;
	play_run(&play_plain, STR("HELO x\r\n"), 0, &p);
	assert_int_equal(smtp_server_deadline(&p.s), 1000 + MINUTES(5));
	p.now = 50000;
	play_feed(&p, STR("NO"));
	assert_int_equal(smtp_server_deadline(&p.s), 50000 + MINUTES(5));
	buf_clear(&p.out);
	smtp_server_expire(&p.s, 50000 + MINUTES(5) - 1);
	play_events(&p);
	assert_false(p.closed);
	smtp_server_expire(&p.s, 50000 + MINUTES(5));
	play_events(&p);
	assert_str(buf_str(&p.out), "421 4.4.2 mx.example.com Error: timeout exceeded\r\n");
	assert_true(str_contains(buf_str(&p.events), STR("CLOSE 2")));
	assert_int_equal(smtp_server_deadline(&p.s), MSEC_NEVER);
	play_end(&p);
}

/* A verdict does not make the client's time longer.  */
static void test_silence_after_a_verdict(void **state)
{
	(void)state;
	struct play p;
	play_run(&play_plain, STR("HELO x\r\nMAIL FROM:<a@b.c>\r\n"), 0, &p);
	smtp_server_expire(&p.s, 1000 + MINUTES(5));
	play_events(&p);
	assert_true(p.closed);
	play_end(&p);
}

static void test_silence_in_content(void **state)
{
	(void)state;
	struct play p;
	play_run(&play_plain, STR(E FRAME "DATA\r\nx"), 0, &p);
	smtp_server_expire(&p.s, HOURS(1));
	play_events(&p);
	/* The last verdict was given before those octets came: the silence is the client's.  */
	assert_true(str_contains(buf_str(&p.events), STR("DATA\nABANDON\nCLOSE 2\n")));
	play_end(&p);
}

static void test_slow_verdict_is_not_silence(void **state)
{
	(void)state;
	struct play p;
	struct smtp_event e;
	play_run(&play_plain, STR("HELO x\r\n"), 0, &p);
	struct str in = STR("MAIL FROM:<a@b.c>\r\n");
	assert_int_equal(smtp_server_feed(&p.s, p.now, in), in.len);
	assert_true(smtp_server_next(&p.s, &e));
	assert_int_equal(smtp_server_deadline(&p.s), MSEC_NEVER);
	smtp_server_expire(&p.s, HOURS(1)); /* means nothing while we are the silent one */
	smtp_server_answer(&p.s, (struct smtp_reply){.code = 250});
	smtp_server_expire(&p.s, HOURS(2));
	assert_int_equal(p.s.state, SMTP_SERVER_MAIL);
	assert_int_equal(smtp_server_deadline(&p.s), HOURS(2) + MINUTES(5));
	smtp_server_expire(&p.s, HOURS(2) + MINUTES(5));
	assert_int_equal(p.s.state, SMTP_SERVER_CLOSED);
	play_end(&p);
}

static void test_shut(void **state)
{
	(void)state;
	const struct smtp_reply bye = SMTP_REPLY(421, 4, 3, 2, "mx.example.com shutting down");
	struct play p;
	struct smtp_event e;
	play_run(&play_plain, STR("HELO x\r\n"), 0, &p);
	buf_clear(&p.out);
	smtp_server_shut(&p.s, bye);
	play_events(&p);
	assert_str(buf_str(&p.out), "421 4.3.2 mx.example.com shutting down\r\n");
	assert_true(p.closed);
	play_end(&p);

	/* A message whose end is in is acknowledged first.  */
	play_run(&play_plain, STR(E FRAME "DATA\r\nx\r\n"), 0, &p);
	buf_clear(&p.out);
	assert_int_equal(smtp_server_feed(&p.s, 0, STR(".\r\nNOOP\r\n")), 3);
	assert_true(smtp_server_next(&p.s, &e));
	assert_int_equal(e.type, SMTP_EVENT_END);
	smtp_server_shut(&p.s, bye);
	smtp_server_shut(&p.s, bye);
	assert_false(smtp_server_next(&p.s, &e));
	assert_int_equal(smtp_server_output(&p.s).len, 0);
	smtp_server_answer(&p.s, SMTP_REPLY(250, 0, 0, 0, "ID"));
	play_events(&p);
	assert_str(buf_str(&p.out),
		"250 2.0.0 Ok: queued as ID\r\n421 4.3.2 mx.example.com shutting down\r\n");
	assert_true(p.closed);
	play_end(&p);

	/* Waiting for leave to take a chunk that would complete the message at once.  */
	play_run(&play_plain, STR(E FRAME), 0, &p);
	buf_clear(&p.out);
	assert_int_equal(smtp_server_feed(&p.s, 0, STR("BDAT 0 LAST\r\n")), 13);
	assert_true(smtp_server_next(&p.s, &e));
	smtp_server_shut(&p.s, bye);
	smtp_server_answer(&p.s, (struct smtp_reply){.code = 354});
	play_events(&p);
	assert_str(buf_str(&p.out), QUEUED "421 4.3.2 mx.example.com shutting down\r\n");
	assert_true(p.closed);
	play_end(&p);
}

/* A chunk that is refused while we leave: nobody waits for its octets.  */
static void test_shut_and_chunk_refused(void **state)
{
	(void)state;
	struct play p;
	struct smtp_event e;
	play_run(&play_plain, STR(E FRAME), 0, &p);
	buf_clear(&p.out);
	assert_int_equal(smtp_server_feed(&p.s, 0, STR("BDAT 6\r\n")), 8);
	assert_true(smtp_server_next(&p.s, &e));
	smtp_server_shut(&p.s, SMTP_REPLY(421, 4, 3, 2, "shutting down"));
	smtp_server_answer(&p.s, SMTP_REPLY(452, 4, 3, 1, "no room"));
	play_events(&p);
	assert_str(buf_str(&p.out), "452 4.3.1 no room\r\n421 4.3.2 shutting down\r\n");
	assert_true(p.closed);
	play_end(&p);
}

static void test_answer_that_closes(void **state)
{
	(void)state;
	struct play p;
	struct smtp_event e;
	play_run(&play_plain, STR(E), 0, &p);
	buf_clear(&p.out);
	struct str in = STR("MAIL FROM:<a@b.c>\r\nRCPT TO:<bob@example.com>\r\n");
	assert_int_equal(smtp_server_feed(&p.s, 0, in), 19);
	assert_true(smtp_server_next(&p.s, &e));
	struct smtp_reply reply = SMTP_REPLY(421, 4, 7, 0, "go away");
	reply.close = true;
	smtp_server_answer(&p.s, reply);
	play_events(&p);
	assert_str(buf_str(&p.out), "421 4.7.0 go away\r\n");
	assert_true(p.closed);
	assert_int_equal(smtp_server_feed(&p.s, 0, in), in.len);
	assert_false(smtp_server_next(&p.s, &e));
	play_end(&p);
}

static void test_greeting(void **state)
{
	(void)state;
	struct play p;
	const struct smtp_reply busy =
		SMTP_REPLY(421, 4, 7, 0, "mx.example.com too many connections");
	play_begin(&p, &play_plain);
	assert_int_equal(
		smtp_server_feed(&p.s, 0, STR("EHLO x\r\n")), 0); /* too early: later, then */
	assert_int_equal(smtp_server_deadline(&p.s), MSEC_NEVER);
	smtp_server_greet(&p.s, 0, &busy);
	play_events(&p);
	assert_str(buf_str(&p.out), "421 4.7.0 mx.example.com too many connections\r\n");
	assert_str(buf_str(&p.events), "CLOSE 3\n");
	play_end(&p);
	play_begin(&p, &play_plain);
	smtp_server_secured(&p.s);
	smtp_server_greet(&p.s, 0, NULL);
	play_feed(&p, STR("EHLO x\r\n"));
	assert_true(str_contains(buf_str(&p.out), STR("REQUIRETLS")));
	play_end(&p);
}

/* ---- Memory ---- */

static void test_idle_is_small(void **state)
{
	(void)state;
	struct play p;
	assert_true(sizeof(struct smtp_server) <= 320);
	play_run(&play_plain,
		STR(E FRAME "DATA\r\nx\r\n.\r\nRSET\r\n" FRAME "RSET\r\nFOO\r\nBDAT 1\r\nx"), 0,
		&p);
	assert_int_equal(p.s.out.cap + p.s.line.cap + p.s.late.cap, 0);
	assert_int_equal(p.s.helo.cap, 64);
	play_end(&p);
}

/* A client may send ahead as far as anybody does; who asks for endless replies is sent away.  */
static void test_output_is_bounded(void **state)
{
	(void)state;
	struct play p;
	struct smtp_event e;
	char in[65536];
	for (size_t i = 0; i < sizeof(in); i++) in[i] = "NOOP\n"[i % 5];
	play_run(&play_plain, STR(E), 0, &p);
	assert_int_equal(smtp_server_feed(&p.s, 0, str_of(in, sizeof(in))), sizeof(in));
	assert_int_equal(smtp_server_output(&p.s).len, sizeof(in) / 5 * 14);
	assert_false(smtp_server_next(&p.s, &e));
	play_end(&p);

	for (size_t i = 0; i < sizeof(in); i++) in[i] = "HELP\n"[i % 5];
	play_run(&play_plain, STR(E), 0, &p);
	size_t used = smtp_server_feed(&p.s, 0, str_of(in, sizeof(in)));
	assert_true(used < sizeof(in));
	assert_true(smtp_server_output(&p.s).len < SMTP_SERVER_OUT_MAX + 1000);
	play_events(&p);
	assert_true(str_contains(buf_str(&p.out),
		STR("421 4.7.0 mx.example.com Error: too many commands at once\r\n")));
	assert_true(p.closed);
	play_end(&p);
}

static void test_sent_in_pieces(void **state)
{
	(void)state;
	struct smtp_server s;
	struct buf out;
	smtp_server_init(&s, &play_plain);
	buf_init(&out, 100);
	smtp_server_greet(&s, 0, NULL);
	while (smtp_server_output(&s).len) {
		buf_add(&out, str_head(smtp_server_output(&s), 1));
		smtp_server_sent(&s, 1);
	}
	assert_str(buf_str(&out), BANNER);
	smtp_server_release(&s);
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_pipelining),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_line_lengths),
		cmocka_unit_test(test_endless_line_costs_nothing),
		cmocka_unit_test(test_odd_lines),
		cmocka_unit_test(test_helo_is_kept_printable),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_other_protocols),
		cmocka_unit_test(test_recipients_max),
		cmocka_unit_test(test_starttls),
		cmocka_unit_test(test_injected_behind_starttls),
		cmocka_unit_test(test_silent_while_tls_begins),
		cmocka_unit_test(test_tls_required),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_auth_lines),
		cmocka_unit_test(test_future_release),
		cmocka_unit_test(test_matrix),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_silence_after_a_verdict),
		cmocka_unit_test(test_silence_in_content),
		cmocka_unit_test(test_slow_verdict_is_not_silence),
		cmocka_unit_test(test_shut),
		cmocka_unit_test(test_shut_and_chunk_refused),
		cmocka_unit_test(test_answer_that_closes),
		cmocka_unit_test(test_greeting),
		cmocka_unit_test(test_idle_is_small),
		cmocka_unit_test(test_output_is_bounded),
		cmocka_unit_test(test_sent_in_pieces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
