#include "base/test.h"
#include "outbound/token.h"

/* What comes of it: "TOKEN for MS", or "no: WHY".  */
static void read_as(bool json, const char *said, const char *wanted)
{
	struct buf token, why, all;
	msec life = 0;
	buf_init(&token, 100);
	buf_init(&why, 400);
	buf_init(&all, 1000);
	if (token_read(str_from_c(said), json, &token, &life, &why))
		buf_printf(&all, STR_FMT " for %lld", STR_ARG(buf_str(&token)), (long long)life);
	else
		buf_printf(&all, "no: " STR_FMT, STR_ARG(buf_str(&why)));
	if (!str_eq(buf_str(&all), str_from_c(wanted)))
		fail_msg("\"%s\": \"" STR_FMT "\"", said, STR_ARG(buf_str(&all)));
	buf_release(&token);
	buf_release(&why);
	buf_release(&all);
}

static void says(const char *said, const char *wanted) { read_as(false, said, wanted); }

static void test_lines(void **state)
{
	(void)state;
	says("ya29.abc-_~+/=\n", "ya29.abc-_~+/= for 300000");
	says("  t\r\n\n", "t for 300000");
	says("", "no: nothing was said where a token is due");
	says("\n", "no: nothing was said where a token is due");
	says("two words", "no: what was said is no token");
	says("two\nlines", "no: what was said is no token");
	says("<html>", "no: what was said is no token");
	says("\x01", "no: what was said is no token");
	says("t\xc3\xb6", "no: what was said is no token");
}

static void test_json(void **state)
{
	(void)state;
	/* RFC 6749 5.1 */
	says("{\"access_token\":\"2YotnFZFEjr1zCsicMWpAA\",\"token_type\":\"example\","
	     "\"expires_in\":3600,\"example_parameter\":\"example_value\"}",
		"2YotnFZFEjr1zCsicMWpAA for 3600000");
	says(" {\"access_token\": \"t\"} ", "t for 300000");
	says("{\"access_token\":\"t\",\"expires_in\":-1}", "t for 300000");
	says("{\"access_token\":\"t\",\"expires_in\":99999999999999}", "t for 604800000");
	says("{\"access_token\":\"t\",\"expires_in\":\"soon\"}", "t for 300000");
	/* 5.2 */
	says("{\"error\":\"invalid_client\"}", "no: invalid_client");
	says("{\"error\":\"invalid_client\",\"error_description\":\"who?\"}",
		"no: invalid_client: who?");
	says("{}", "no: the answer has no access_token");
	says("{\"access_token\":7}", "no: the answer has no access_token");
	says("{\"access_token\":\"\"}", "no: the answer has no access_token");
	says("{\"access_token\":\"a\\u0001auth=\"}", "no: the answer has no access_token");
	says("{\"access_token\":\"a\",\"access_token\":\"b\"}", "no: what was said is no JSON");
	says("{\"access_token\":", "no: what was said is no JSON");
	says("{", "no: what was said is no JSON");
	read_as(true, "{\"access_token\":\"t\"}", "t for 300000");
	says("{\"access_token\":\"a\\u0000b\"}", "no: what was said is no JSON");
	read_as(true, "token", "no: what was said is no JSON");
	read_as(true, "[\"access_token\"]", "no: the answer has no access_token");
	read_as(true, "", "no: what was said is no JSON");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
