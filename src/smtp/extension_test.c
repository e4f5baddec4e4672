#include "smtp/extension.h"

#include "base/test.h"

static const struct smtp_server_config mx = {
	.hostname = STR("mx.example.com"),
	.message_max = 52428800,
	.recipients_max = 1000,
	.offer_starttls = true,
	.auth_tls = STR("PLAIN LOGIN"),
};
static const struct smtp_server_config submission = {
	.hostname = STR("mx.example.com"),
	.submission = true,
	.auth_plain = STR("PLAIN"),
	.hold_max = HOURS(24),
};

static void offers(const struct smtp_server_config *config, bool secured, const char *wanted)
{
	struct smtp_terms terms = {.config = config, .secured = secured};
	struct buf out;
	buf_init(&out, 1000);
	smtp_extension_offer(&out, &terms, 1795324367123);
	assert_str(buf_str(&out), wanted);
	buf_release(&out);
}

static void test_offer(void **state)
{
	(void)state;
	offers(&mx, false,
		"\nPIPELINING\nSIZE 52428800\nSTARTTLS\nENHANCEDSTATUSCODES\n8BITMIME\nDSN\n"
		"SMTPUTF8\n"
		"CHUNKING\nBINARYMIME\nLIMITS RCPTMAX=1000");
	offers(&mx, true,
		"\nPIPELINING\nSIZE 52428800\nAUTH PLAIN LOGIN\nENHANCEDSTATUSCODES\n8BITMIME\n"
		"DSN\nSMTPUTF8\n"
		"CHUNKING\nBINARYMIME\nREQUIRETLS\nLIMITS RCPTMAX=1000");
	offers(&submission, false,
		"\nPIPELINING\nSIZE\nAUTH PLAIN\nENHANCEDSTATUSCODES\n8BITMIME\nDSN\nSMTPUTF8\n"
		"CHUNKING\nBINARYMIME\nFUTURERELEASE 86400 2026-11-23T05:12:47.123Z");
}

static void test_listed(void **state)
{
	(void)state;
	assert_true(smtp_extension_listed(STR("PLAIN LOGIN"), STR("login")));
	assert_true(smtp_extension_listed(STR("PLAIN LOGIN"), STR("PLAIN")));
	assert_false(smtp_extension_listed(STR("PLAIN LOGIN"), STR("LOG")));
	assert_false(smtp_extension_listed(STR("PLAIN LOGIN"), STR("PLAIN LOGIN")));
	assert_false(smtp_extension_listed(STR(""), STR("PLAIN")));
	assert_false(smtp_extension_listed(STR("PLAIN"), STR("")));
}

/* The code of the refusal, 0 for none, and what was understood.  */
static unsigned mail(const char *params, const struct smtp_terms *terms, struct smtp_event *e)
{
	struct smtp_refusal refusal;
	*e = (struct smtp_event){0};
	return smtp_extension_mail(str_from_c(params), terms, e, &refusal) ? 0 : refusal.code;
}

static void test_mail(void **state)
{
	(void)state;
	const struct smtp_terms terms = {.config = &mx};
	static const struct {
		const char *params;
		unsigned code;
		uint32_t flags;
		uint64_t size;
	} rows[] = {
		{"", 0, 0, 0},
		{"SIZE=0", 0, 0, 0},
		{"size=12345", 0, 0, 12345},
		{"SIZE=18446744073709551615", 0, 0, UINT64_MAX},
		{"SIZE=18446744073709551616", 501, 0, 0},
		{"SIZE=", 501, 0, 0},
		{"SIZE", 501, 0, 0},
		{"SIZE=1k", 501, 0, 0},
		{"SIZE=-1", 501, 0, 0},
		{"SIZE=1 SIZE=1", 501, 0, 0},
		{"BODY=7bit", 0, 0, 0},
		{"BODY=8BITMIME", 0, ENVELOPE_8BIT, 0},
		{"body=BinaryMime \t SIZE=7", 0, ENVELOPE_BINARY, 7},
		{"BODY=9BIT", 501, 0, 0},
		{"BODY", 501, 0, 0},
		{"SMTPUTF8", 0, ENVELOPE_UTF8, 0},
		{"SMTPUTF8=", 501, 0, 0},
		{"SMTPUTF8=x", 501, 0, 0},
		{"RET=FULL", 0, ENVELOPE_RET_FULL, 0},
		{"RET=hdrs", 0, ENVELOPE_RET_HDRS, 0},
		{"RET=NONE", 501, 0, 0},
		{"RET=FULL RET=HDRS", 501, 0, 0},
		{"ENVID=QQ+3D314159", 0, 0, 0},
		{"ENVID=a=b", 501, 0, 0},
		{"ENVID=a+b", 501, 0, 0},
		{"ENVID=a+3", 501, 0, 0},
		{"ENVID=a+3d", 501, 0, 0},
		{"ENVID=\xc3\xb6", 501, 0, 0},
		{"ENVID=", 501, 0, 0},
		{"AUTH=<>", 555, 0, 0},
		{"REQUIRETLS", 555, 0, 0},
		{"HOLDFOR=1", 555, 0, 0},
		{"FOO", 555, 0, 0},
		{"=x", 555, 0, 0},
		{"NOTIFY=NEVER", 555, 0, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct smtp_event e;
		unsigned code = mail(rows[i].params, &terms, &e);
		if (code != rows[i].code) fail_msg("%s: %u", rows[i].params, code);
		if (code) continue;
		assert_int_equal(e.flags, rows[i].flags);
		assert_int_equal(e.size, rows[i].size);
	}
}

static void test_what_is_offered_is_known(void **state)
{
	(void)state;
	const struct smtp_terms secured = {.config = &mx, .secured = true},
				sub = {.config = &submission};
	struct smtp_event e;
	assert_int_equal(mail("AUTH=a+40b REQUIRETLS", &secured, &e), 0);
	assert_str(e.auth_param, "a+40b");
	assert_int_equal(e.flags, ENVELOPE_REQUIRETLS);
	assert_int_equal(mail("AUTH=<>", &secured, &e), 0);
	assert_int_equal(mail("AUTH=a@=b", &secured, &e), 501);
	assert_int_equal(mail("HOLDFOR=1", &secured, &e), 555);
	assert_int_equal(mail("HOLDFOR=86400", &sub, &e), 0);
	assert_int_equal(e.hold_for, HOURS(24));
	assert_int_equal(mail("HOLDFOR=1000000000", &sub, &e), 501);
	assert_int_equal(mail("HOLDUNTIL=2026-11-22T05:12:47Z", &sub, &e), 0);
	assert_int_equal(e.hold_until, 1795324367000);
	assert_int_equal(mail("HOLDUNTIL=2026-11-22", &sub, &e), 501);
	assert_int_equal(mail("HOLDFOR=1 HOLDUNTIL=2026-11-22T05:12:47Z", &sub, &e), 501);
	assert_int_equal(mail("HOLDUNTIL=2026-11-22T05:12:47Z HOLDFOR=1", &sub, &e), 501);
}

static void test_lengths(void **state)
{
	(void)state;
	const struct smtp_terms terms = {.config = &mx};
	struct smtp_event e;
	struct smtp_refusal refusal;
	char param[600];
	for (size_t len = 99; len <= 102; len++) {
		memset(param, 'x', sizeof(param));
		memcpy(param, "ENVID=", 6);
		param[6 + len] = 0;
		assert_int_equal(mail(param, &terms, &e), len <= 100 ? 0 : 501);
	}
	for (size_t len = 499; len <= 502; len++) {
		memset(param, 'x', sizeof(param));
		memcpy(param, "ORCPT=rfc822;", 13);
		bool good = smtp_extension_rcpt(str_of(param, 6 + len), &terms, &e, &refusal);
		assert_int_equal(good, len <= 500);
	}
}

static void test_rcpt(void **state)
{
	(void)state;
	const struct smtp_terms terms = {.config = &mx};
	static const struct {
		const char *params;
		unsigned code;
		uint8_t notify;
		const char *orcpt;
	} rows[] = {
		{"", 0, 0, ""},
		{"NOTIFY=NEVER", 0, NOTIFY_NEVER, ""},
		{"notify=success,Failure,DELAY", 0, NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY,
			""},
		{"NOTIFY=FAILURE ORCPT=rfc822;Bob+2Bx@b", 0, NOTIFY_FAILURE, "rfc822;Bob+2Bx@b"},
		{"NOTIFY=", 501, 0, ""},
		{"NOTIFY=NEVER,DELAY", 501, 0, ""},
		{"NOTIFY=DELAY,", 501, 0, ""},
		{"NOTIFY=,DELAY", 501, 0, ""},
		{"NOTIFY=DELAY NOTIFY=DELAY", 501, 0, ""},
		{"ORCPT=x400;a/b", 0, 0, "x400;a/b"},
		{"ORCPT=utf-8;\\x{F6}@b", 0, 0, "utf-8;\\x{F6}@b"},
		{"ORCPT=utf-8;\xc3\xb6@b", 0, 0, "utf-8;\xc3\xb6@b"},
		{"ORCPT=utf-8;\xff@b", 501, 0, ""},
		{"ORCPT=rfc822;\xc3\xb6@b", 501, 0, ""},
		{"ORCPT=rfc822;", 501, 0, ""},
		{"ORCPT=;a", 501, 0, ""},
		{"ORCPT=a@b", 501, 0, ""},
		{"ORCPT=r c;a", 501, 0, ""},
		{"ORCPT=r(c;a", 501, 0, ""},
		{"ORCPT=rfc822;a=b", 501, 0, ""},
		{"SIZE=1", 555, 0, ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct smtp_event e = {0};
		struct smtp_refusal refusal;
		unsigned code =
			smtp_extension_rcpt(str_from_c(rows[i].params), &terms, &e, &refusal)
			? 0
			: refusal.code;
		if (code != rows[i].code) fail_msg("%s: %u", rows[i].params, code);
		if (code) continue;
		assert_int_equal(e.notify, rows[i].notify);
		assert_str(e.orcpt, rows[i].orcpt);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offer),
		cmocka_unit_test(test_listed),
		cmocka_unit_test(test_mail),
		cmocka_unit_test(test_what_is_offered_is_known),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_rcpt),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
