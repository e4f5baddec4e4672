#include "smtp/server_play_test.h"

/* Whatever an attacker takes for an end is none, and what is behind it is no command.  */
static void test_smuggling(void **state)
{
	(void)state;
	static const struct {
		const char *end, *said;
	} rows[] = {
		{"\n.\n", "550 5.6.11 Error: bare <LF> in message content\r\n"},
		{"\n.\r\n", "550 5.6.11 Error: bare <LF> in message content\r\n"},
		{"\r\n.\n", "550 5.6.11 Error: bare <LF> in message content\r\n"},
		{"\r.\r\n", "550 5.6.11 Error: bare <CR> in message content\r\n"},
		{"\r\n.\r", "550 5.6.11 Error: bare <CR> in message content\r\n"},
		{"\r.\r", "550 5.6.11 Error: bare <CR> in message content\r\n"},
		{"\r\n.\r\r\n", "550 5.6.11 Error: bare <CR> in message content\r\n"},
		{"\r\n\r.\r\n", "550 5.6.11 Error: bare <CR> in message content\r\n"},
	};
	struct smtp_server_config normalizing = play_plain;
	normalizing.normalize = true;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char in[400], out[400];
		snprintf(in, sizeof(in),
			"HELO x\r\n" FRAME
			"DATA\r\none%sMAIL FROM:<evil@b.c>\r\nRCPT TO:<x@example.com>\r\n"
			"DATA\r\ntwo\r\n.\r\nQUIT\r\n",
			rows[i].end);
		snprintf(out, sizeof(out), "250 mx.example.com\r\n" FRAMED GO "%s221 2.0.0 Bye\r\n",
			rows[i].said);
		play_dialogue(&play_plain, str_from_c(in), out,
			"HELO H x\nMAIL <a@b.c>\nRCPT <bob@example.com>\nDATA\nABANDON\nRESET\n"
			"CLOSE 0\n",
			"");
		for (size_t cut = 0; cut <= strlen(in) + 1; cut++) {
			struct play p;
			play_run(&normalizing, str_from_c(in), cut, &p);
			assert_true(str_contains(buf_str(&p.out), STR(QUEUED "221")));
			assert_true(str_contains(
				buf_str(&p.messages), STR("MAIL FROM:<evil@b.c>\r\n")));
			assert_false(str_contains(buf_str(&p.events), STR("evil")));
			play_end(&p);
		}
	}
	play_dialogue(&normalizing, STR("HELO x\r\n" FRAME "DATA\r\na\0b\r\n.\r\nNOOP\r\n"),
		"250 mx.example.com\r\n" FRAMED GO
		"550 5.6.11 Error: NUL in message content\r\n250 2.0.0 Ok\r\n",
		NULL, "");
}

static void test_too_large(void **state)
{
	(void)state;
	char in[1400];
	int n = snprintf(in, sizeof(in), "HELO x\r\n" FRAME "DATA\r\n");
	memset(in + n, 'x', 999);
	memcpy(in + n + 400, "\r\nNOOP\r\n.", 9);
	memcpy(in + n + 999, "\r\n.\r\nNOOP\r\n", 12);
	const char *refused = "250 mx.example.com\r\n" FRAMED GO
			      "552 5.3.4 Message size exceeds fixed limit\r\n250 2.0.0 Ok\r\n";
	/* 999 and the line end, less a stuffed dot: exactly as much as fits, then one more.  */
	struct smtp_server_config exact = play_plain;
	struct play p;
	play_run(&exact, str_from_c(in), 0, &p);
	assert_true(str_contains(buf_str(&p.out), STR(QUEUED)));
	assert_int_equal(p.messages.len, 1000);
	play_end(&p);
	exact.message_max = 999;
	play_dialogue(&exact, str_from_c(in), refused,
		"HELO H x\nMAIL <a@b.c>\nRCPT <bob@example.com>\nDATA\nABANDON\nRESET\n", "");
}

static void test_bdat(void **state)
{
	(void)state;
	play_dialogue(&play_plain, STR(E FRAME "BDAT 6\r\nA\r\n..\rBDAT 2 last\r\n\n\xffNOOP\r\n"),
		EHLO_REPLY FRAMED "250 2.0.0 Ok: 6 bytes\r\n" QUEUED "250 2.0.0 Ok\r\n",
		"HELO E x\nMAIL <a@b.c>\nRCPT <bob@example.com>\nDATA\nEND size=8 flags=1\nRESET\n",
		"A\r\n..\r\n\xff");
	play_dialogue(&play_plain, STR(E FRAME "BDAT 0 LAST\r\nNOOP\r\n"),
		EHLO_REPLY FRAMED QUEUED "250 2.0.0 Ok\r\n", NULL, "");
	play_dialogue(&play_plain, STR(E FRAME "BDAT 0\r\nBDAT 3\r\n.\r\nBDAT 0 LAST\r\n"),
		EHLO_REPLY FRAMED "250 2.0.0 Ok: 0 bytes\r\n250 2.0.0 Ok: 3 bytes\r\n" QUEUED, NULL,
		".\r\n");
}

static void test_bdat_out_of_order(void **state)
{
	(void)state;
	/* Octets of a chunk are never commands, wherever it came.  */
	play_dialogue(&play_plain,
		STR("BDAT 6\r\nQUIT\r\n" E
		    "BDAT 6 LAST\r\nQUIT\r\nMAIL FROM:<a@b.c>\r\nBDAT 6\r\nQUIT\r\nNOOP\r\n"),
		"503 5.5.1 Error: send HELO/EHLO first\r\n" EHLO_REPLY
		"503 5.5.1 Error: need RCPT command\r\n"
		"250 2.1.0 Ok\r\n554 5.5.1 Error: no valid recipients\r\n250 2.0.0 Ok\r\n",
		NULL, "");
	play_dialogue(&play_plain,
		STR(E FRAME "BDAT 1\r\naDATA\r\nRCPT TO:<b@example.com>\r\nMAIL FROM:<>\r\nRSET\r\n"
			    "NOOP\r\n"),
		EHLO_REPLY FRAMED
		"250 2.0.0 Ok: 1 bytes\r\n503 5.5.1 Error: DATA after BDAT\r\n"
		"503 5.5.1 Error: RCPT after BDAT\r\n503 5.5.1 Error: nested MAIL command\r\n"
		"250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n",
		"HELO E x\nMAIL <a@b.c>\nRCPT <bob@example.com>\nDATA\nABANDON\nRESET\n", "");
	static const char *const bad[] = {"BDAT", "BDAT x", "BDAT -1", "BDAT 1 2",
		"BDAT 99999999999999999999", "BDAT 1 LAST x"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char in[200];
		snprintf(in, sizeof(in), E FRAME "%s\r\nNOOP\r\n", bad[i]);
		play_dialogue(&play_plain, str_from_c(in),
			EHLO_REPLY FRAMED "521 5.5.4 Syntax: BDAT count [LAST]\r\n",
			"HELO E x\nMAIL <a@b.c>\nRCPT <bob@example.com>\nCLOSE 4\n", "");
	}
}

static void test_bdat_faults(void **state)
{
	(void)state;
	static const char lf[] = "550 5.6.11 Error: bare <LF> in message content\r\n";
	static const char dead[] = "503 5.5.1 Error: need RSET after a failed BDAT\r\n";
	char out[1000];
	snprintf(out, sizeof(out),
		EHLO_REPLY FRAMED
		"%s%s%s503 5.5.1 Error: DATA after BDAT\r\n250 2.0.0 Ok\r\n" FRAMED QUEUED,
		lf, dead, dead);
	play_dialogue(&play_plain,
		STR(E FRAME "BDAT 8\r\na\nNOOP\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nDATA\r\n"
			    "RSET\r\n" FRAME "BDAT 2 LAST\r\nok"),
		out,
		"HELO E x\nMAIL <a@b.c>\nRCPT <bob@example.com>\nDATA\nABANDON\nRESET\n"
		"MAIL <a@b.c>\nRCPT <bob@example.com>\nDATA\nEND size=2 flags=0\nRESET\n",
		"ok");
	/* CR at the border, and at the very end; the last chunk ends the transaction, good or
	 * bad.  */
	play_dialogue(&play_plain,
		STR(E FRAME "BDAT 2\r\na\rBDAT 1\r\nb"
			    "RSET\r\n" FRAME "BDAT 2 LAST\r\na\r"
			    "MAIL FROM:<>\r\n"),
		EHLO_REPLY FRAMED
		"250 2.0.0 Ok: 2 bytes\r\n550 5.6.11 Error: bare <CR> in message content\r\n"
		"250 2.0.0 Ok\r\n" FRAMED
		"550 5.6.11 Error: bare <CR> in message content\r\n250 2.1.0 Ok\r\n",
		NULL, "");
	struct smtp_server_config normalizing = play_plain;
	normalizing.normalize = true;
	play_dialogue(&normalizing, STR(E FRAME "BDAT 4\r\na\nb\rBDAT 2 LAST\r\nc\r"),
		EHLO_REPLY FRAMED "250 2.0.0 Ok: 4 bytes\r\n" QUEUED,
		"HELO E x\nMAIL <a@b.c>\nRCPT <bob@example.com>\nDATA\nEND size=9 flags=0\nRESET\n",
		"a\r\nb\r\nc\r\n");
}

static void test_binarymime(void **state)
{
	(void)state;
	play_dialogue(&play_plain,
		STR(E "MAIL FROM:<a@b.c> BODY=BINARYMIME\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n"
		      "BDAT 5\r\n\0\n.\r.BDAT 1 LAST\r\n\r"),
		EHLO_REPLY FRAMED
		"503 5.5.1 Error: BINARYMIME needs BDAT\r\n250 2.0.0 Ok: 5 bytes\r\n" QUEUED,
		NULL, NULL);
	struct play p;
	play_run(&play_plain,
		STR(E "MAIL FROM:<a@b.c> BODY=BINARYMIME\r\nRCPT TO:<bob@example.com>\r\n"
		      "BDAT 5 LAST\r\n\0\n.\r."),
		0, &p);
	assert_true(str_eq(buf_str(&p.messages), STR("\0\n.\r.")));
	play_end(&p);
}

static void test_bdat_limits(void **state)
{
	(void)state;
	play_dialogue(&play_plain, STR(E FRAME "BDAT 1\r\naBDAT 1000\r\n"),
		EHLO_REPLY FRAMED "250 2.0.0 Ok: 1 bytes\r\n",
		"HELO E x\nMAIL <a@b.c>\nRCPT <bob@example.com>\nDATA\nABANDON\n", "");
	struct smtp_server_config small = play_plain;
	small.message_max = 4;
	static const char reply[] = "250-mx.example.com\r\n250-PIPELINING\r\n250-SIZE 4\r\n";
	struct str in = STR(E FRAME "BDAT 3\r\nabcBDAT 2\r\ndeBDAT 1\r\nfRSET\r\n" FRAME
				    "BDAT 5 LAST\r\nQUIT\nNOOP\r\n");
	for (size_t cut = 0; cut <= in.len + 1; cut++) {
		struct play p;
		play_run(&small, in, cut, &p);
		assert_true(str_starts(
			str_skip(buf_str(&p.out), sizeof(BANNER) - 1), str_from_c(reply)));
		assert_true(str_contains(buf_str(&p.out),
			STR("250 2.0.0 Ok: 3 bytes\r\n"
			    "552 5.3.4 Message size exceeds fixed limit\r\n"
			    "503 5.5.1 Error: need RSET after a failed BDAT\r\n"
			    "250 2.0.0 Ok\r\n" FRAMED
			    "552 5.3.4 Message size exceeds fixed limit\r\n250 2.0.0 Ok\r\n")));
		assert_str(buf_str(&p.events),
			"HELO E x\nMAIL <a@b.c>\nRCPT <bob@example.com>\nDATA\nABANDON\nRESET\n"
			"MAIL <a@b.c>\nRCPT <bob@example.com>\nRESET\n");
		play_end(&p);
	}
}

static void test_no_room(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"DATA\r\nRSET\r\n", "452 4.3.1 Insufficient system storage\r\n250 2.0.0 Ok\r\n"},
		{"BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nRSET\r\n",
			"452 4.3.1 Insufficient system storage\r\n"
			"503 5.5.1 Error: need RSET after a failed BDAT\r\n250 2.0.0 Ok\r\n"},
		{"BDAT 6 LAST\r\nQUIT\r\nMAIL FROM:<>\r\n",
			"452 4.3.1 Insufficient system storage\r\n250 2.1.0 Ok\r\n"},
		{"BDAT 0 LAST\r\nNOOP\r\n",
			"452 4.3.1 Insufficient system storage\r\n250 2.0.0 Ok\r\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct play p;
		play_begin(&p, &play_plain);
		p.full = true;
		smtp_server_greet(&p.s, p.now, NULL);
		play_feed(&p, STR(E FRAME));
		buf_clear(&p.out);
		for (const char *c = rows[i].in; *c; c++) play_feed(&p, str_of(c, 1));
		assert_str(buf_str(&p.out), rows[i].out);
		assert_false(str_contains(buf_str(&p.events), STR("ABANDON")));
		play_end(&p);
	}
}

static void test_data_end(void **state)
{
	(void)state;
	struct smtp_server_config c = play_plain;
	c.data_end = STR("end of email");
	play_dialogue(&c,
		STR("HELO x\r\n" FRAME "DATA\r\nhi\r\nend of mail\r\nend of email\r\n" FRAME
		    "DATA\r\nho\r\n.\r\nQUIT\r\n"),
		"250 mx.example.com\r\n" FRAMED GO QUEUED FRAMED GO QUEUED "221 2.0.0 Bye\r\n",
		NULL, "hi\r\nend of mail\r\nho\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smuggling),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_bdat),
		cmocka_unit_test(test_bdat_out_of_order),
		cmocka_unit_test(test_bdat_faults),
		cmocka_unit_test(test_binarymime),
		cmocka_unit_test(test_bdat_limits),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_data_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
