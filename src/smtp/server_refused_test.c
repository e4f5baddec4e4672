/* The refusals that a driver is told of, so that each can have its line in the log.  */
#include "smtp/server_play_test.h"

static void tells(const struct smtp_server_config *config, const char *octets, const char *wanted)
{
	struct str in = str_from_c(octets);
	for (size_t cut = 0; cut <= in.len + 1; cut++) {
		struct play p;
		play_run(config, in, cut, &p);
		assert_str(buf_str(&p.refused), wanted);
		play_end(&p);
	}
}

static void test_refusals_are_told(void **state)
{
	(void)state;
	struct smtp_server_config submission = play_plain, required = play_plain;
	submission.submission = true;
	submission.auth_tls = STR("PLAIN");
	required.tls_required = required.offer_starttls = true;
	tells(&play_plain, "MAIL FROM:<a@b.c>\r\n",
		"503 Error: send HELO/EHLO first [MAIL FROM:<a@b.c>]\n");
	tells(&play_plain, E "MAIL FROM:<a@b.c> SIZE=1001\r\n",
		"552 Message size exceeds fixed limit [MAIL FROM:<a@b.c> SIZE=1001]\n");
	tells(&play_plain, E FRAME FRAME "RCPT TO:<x@example.com>\r\nRCPT TO:<z@example.com>\r\n",
		"503 Error: nested MAIL command [MAIL FROM:<a@b.c>]\n452 Error: too many recipients [RCPT TO:<z@example.com>]\n");
	tells(&play_plain, E "MAIL FROM:<a@b.c> X=y\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n",
		"555 Unsupported option: X=y [MAIL FROM:<a@b.c> X=y]\n"
		"503 Error: need mail command [RCPT TO:<bob@example.com>]\n503 Error: need RCPT command [DATA]\n");
	tells(&required, E "MAIL FROM:<a@b.c>\r\n",
		"530 Must issue a STARTTLS command first [MAIL FROM:<a@b.c>]\n");
	tells(&submission, E "MAIL FROM:<a@b.c>\r\n",
		"530 Authentication required [MAIL FROM:<a@b.c>]\n");
	/* What shows a password is not told.  */
	tells(&play_plain, E "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n",
		"503 Error: authentication not enabled [AUTH]\n");
	tells(&play_plain, E FRAME "BDAT 1001 LAST\r\n",
		"552 Message size exceeds fixed limit [BDAT 1001 LAST]\n");
	tells(&play_plain, E "BDAT 0\r\nBDAT 2\r\nxx",
		"503 Error: need RCPT command [BDAT 0]\n"
		"503 Error: need RCPT command [BDAT 2]\n");
}

/* Syntax, what the driver itself has refused, and what follows from that.  */
static void test_what_is_not_told(void **state)
{
	(void)state;
	tells(&play_plain, E "MAIL\r\nMAIL FROM:<a b@c>\r\nFOO\r\nEXPN x\r\nSTARTTLS\r\n", "");
	tells(&play_plain, E "MAIL FROM:<refused@example.org>\r\n", "");
	tells(&play_plain,
		E "MAIL FROM:<a@b.c>\r\nRCPT TO:<nobody@example.com>\r\nDATA\r\nRSET\r\nQUIT\r\n",
		"");
	tells(&play_plain, E FRAME "DATA\r\na\rb\r\n.\r\n", ""); /* ABANDON tells it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals_are_told),
		cmocka_unit_test(test_what_is_not_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
