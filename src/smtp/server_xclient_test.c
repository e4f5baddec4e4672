#include "smtp/server_play_test.h"

static const char offer[] =
	"250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r\n250 LIMITS RCPTMAX=3\r\n";

/* What comes out behind the banner, with XCLIENT offered; octet by octet when `slow`.  */
static void talk(struct play *p, const char *in, bool slow)
{
	play_begin(p, &play_plain);
	smtp_server_offer_xclient(&p->s);
	smtp_server_greet(&p->s, p->now, NULL);
	play_events(p);
	buf_clear(&p->out);
	if (!slow) play_feed(p, str_from_c(in));
	for (size_t i = 0; slow && in[i]; i++) play_feed(p, str_of(in + i, 1));
}

static void says(const char *in, const char *out, const char *events)
{
	for (int slow = 0; slow < 2; slow++) {
		struct play p;
		talk(&p, in, slow);
		assert_str(buf_str(&p.out), out);
		assert_str(buf_str(&p.events), events);
		play_end(&p);
	}
}

static void test_offered(void **state)
{
	(void)state;
	struct play p;
	talk(&p, "EHLO x\r\n", false);
	assert_true(str_contains(buf_str(&p.out), str_from_c(offer)));
	play_end(&p);
	play_dialogue(&play_plain, STR("EHLO x\r\nXCLIENT ADDR=192.0.2.1\r\n"),
		EHLO_REPLY "550 5.7.0 Error: insufficient authorization\r\n", "HELO E x\n", "");
}

/* The session begins anew, as somebody else's.  */
static void test_forgets(void **state)
{
	(void)state;
	says("HELO x\r\nxclient ADDR=192.0.2.1\r\nMAIL FROM:<a@b.c>\r\n",
		"250 mx.example.com\r\n" BANNER "503 5.5.1 Error: send HELO/EHLO first\r\n",
		"HELO H x\nXCLIENT ADDR=192.0.2.1\n");
	says("XCLIENT NAME=a\r\nXCLIENT NAME=b PORT=1\r\nHELO y\r\n",
		BANNER BANNER "250 mx.example.com\r\n",
		"XCLIENT NAME=a\nXCLIENT NAME=b PORT=1\nHELO H y\n");
	struct play p;
	talk(&p, "HELO x\r\n", false);
	smtp_server_authenticated(&p.s);
	play_feed(&p, STR("XCLIENT PROTO=SMTP\r\n"));
	assert_false(p.s.authenticated);
	assert_false(smtp_server_esmtp(&p.s));
	assert_int_equal(smtp_server_helo(&p.s).len, 0);
	play_end(&p);
}

/* A client that has said hello to the one before us needs not say it again.  */
static void test_told_helo(void **state)
{
	(void)state;
	struct play p;
	talk(&p, "XCLIENT HELO=far+2Bx PROTO=ESMTP\r\nMAIL FROM:<a@b.c>\r\n", true);
	assert_str(buf_str(&p.out), BANNER "250 2.1.0 Ok\r\n");
	assert_str(smtp_server_helo(&p.s), "far+x");
	assert_true(smtp_server_esmtp(&p.s));
	play_end(&p);
}

static void test_refusals(void **state)
{
	(void)state;
	says("XCLIENT\r\nXCLIENT FOO=x\r\nXCLIENT ADDR=x\r\n",
		"501 5.5.4 Error: bad XCLIENT attribute name or value\r\n"
		"501 5.5.4 Error: bad XCLIENT attribute name or value\r\n"
		"501 5.5.4 Error: bad XCLIENT attribute name or value\r\n",
		"");
	says("HELO x\r\nMAIL FROM:<a@b.c>\r\nXCLIENT NAME=x\r\n",
		"250 mx.example.com\r\n250 2.1.0 Ok\r\n503 5.5.1 Error: MAIL transaction in progress\r\n",
		"HELO H x\nMAIL <a@b.c>\n");
	says("XCLIENT ADDR=192.0.2.99\r\nHELO x\r\n", "421 4.7.0 too many\r\n",
		"XCLIENT ADDR=192.0.2.99\nCLOSE 3\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offered),
		cmocka_unit_test(test_forgets),
		cmocka_unit_test(test_told_helo),
		cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
