#include "mail/trace.h"

#include "base/test.h"

static struct recipient one[] = {
	{.address = STR("bob@example.com")}, {.address = STR("x@example.com")}};

static void received(struct envelope e, const char *wanted)
{
	struct buf out;
	buf_init(&out, 2000);
	e.created = 1795324367123;
	assert_true(trace_add_received(&out, &e, STR("mx.example.com"), STR("3XAMPLE1D")));
	assert_str(buf_str(&out), wanted);
	buf_release(&out);
}

static void test_received(void **state)
{
	(void)state;
	received((struct envelope){.helo = STR("client.example.org"),
			 .client = {.family = NET_IPV4, .octets = {192, 0, 2, 1}},
			 .recipients = one,
			 .recipient_count = 1,
			 .flags = ENVELOPE_ESMTP},
		"Received: from client.example.org ([192.0.2.1])\r\n"
		"\tby mx.example.com with ESMTP id 3XAMPLE1D\r\n"
		"\tfor <bob@example.com>;\r\n"
		"\tSun, 22 Nov 2026 05:12:47 +0000\r\n");
	received((struct envelope){.helo = STR("[IPv6:2001:db8::1]"),
			 .client = {.family = NET_IPV6, .octets = {0x20, 1, 0xd, 0xb8, [15] = 1}},
			 .tls = STR("TLSv1.3 TLS_AES_256_GCM_SHA384"),
			 .recipients = one,
			 .recipient_count = 2,
			 .flags = ENVELOPE_ESMTP | ENVELOPE_TLS | ENVELOPE_AUTHENTICATED},
		"Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n"
		"\tby mx.example.com with ESMTPSA id 3XAMPLE1D\r\n"
		"\ttls TLS_AES_256_GCM_SHA384 (TLSv1.3);\r\n"
		"\tSun, 22 Nov 2026 05:12:47 +0000\r\n");
	received((struct envelope){0},
		"Received: by mx.example.com with SMTP id 3XAMPLE1D;\r\n"
		"\tSun, 22 Nov 2026 05:12:47 +0000\r\n");
}

static void test_for_names_what_was_said(void **state)
{
	(void)state;
	struct recipient aliased[] = {
		{.address = STR("bob@example.com"), .original = STR("sales@example.com")}};
	received((struct envelope){.recipients = aliased, .recipient_count = 1, .helo = STR("h")},
		"Received: from h\r\n\tby mx.example.com with SMTP id 3XAMPLE1D\r\n"
		"\tfor <sales@example.com>;\r\n\tSun, 22 Nov 2026 05:12:47 +0000\r\n");
}

static void test_with_protocols(void **state)
{
	(void)state;
	static const struct {
		uint32_t flags;
		const char *name;
	} rows[] = {
		{0, "SMTP"},
		{ENVELOPE_TLS, "SMTP"},
		{ENVELOPE_ESMTP, "ESMTP"},
		{ENVELOPE_ESMTP | ENVELOPE_AUTHENTICATED, "ESMTPA"},
		{ENVELOPE_ESMTP | ENVELOPE_TLS, "ESMTPS"},
		{ENVELOPE_ESMTP | ENVELOPE_UTF8, "UTF8SMTP"},
		{ENVELOPE_ESMTP | ENVELOPE_UTF8 | ENVELOPE_AUTHENTICATED, "UTF8SMTPA"},
		{ENVELOPE_ESMTP | ENVELOPE_UTF8 | ENVELOPE_TLS, "UTF8SMTPS"},
		{ENVELOPE_ESMTP | ENVELOPE_UTF8 | ENVELOPE_TLS | ENVELOPE_AUTHENTICATED,
			"UTF8SMTPSA"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char wanted[200];
		snprintf(wanted, sizeof(wanted),
			"Received: by mx.example.com with %s id 3XAMPLE1D;\r\n"
			"\tSun, 22 Nov 2026 05:12:47 +0000\r\n",
			rows[i].name);
		received((struct envelope){.flags = rows[i].flags}, wanted);
	}
}

/* A client's name opens no comment, ends no clause and no line.  */
static void test_helo_cannot_break_out(void **state)
{
	(void)state;
	received((struct envelope){.helo = STR("a b(c)<d>;\r\nX: \"y\"\xc3\xb6\0")},
		"Received: from a?b?c??d????X:??y????\r\n"
		"\tby mx.example.com with SMTP id 3XAMPLE1D;\r\n"
		"\tSun, 22 Nov 2026 05:12:47 +0000\r\n");
	received((struct envelope){.helo = STR("m\xc3\xbcnchen.de"), .flags = ENVELOPE_UTF8},
		"Received: from m\xc3\xbcnchen.de\r\n"
		"\tby mx.example.com with SMTP id 3XAMPLE1D;\r\n"
		"\tSun, 22 Nov 2026 05:12:47 +0000\r\n");
	/* SMTPUTF8 lets UTF-8 into the header, not any octets.  */
	received((struct envelope){.helo = STR("m\xfcnchen\xc3"), .flags = ENVELOPE_UTF8},
		"Received: from m?nchen?\r\n"
		"\tby mx.example.com with SMTP id 3XAMPLE1D;\r\n"
		"\tSun, 22 Nov 2026 05:12:47 +0000\r\n");
}

static void test_final(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 2000);
	assert_true(trace_add_final(&out, STR("alice@example.org"), STR("bob@example.com")));
	assert_true(trace_add_final(&out, STR(""), STR("bob@example.com")));
	assert_str(buf_str(&out),
		"Return-Path: <alice@example.org>\r\nDelivered-To: bob@example.com\r\n"
		"Return-Path: <>\r\nDelivered-To: bob@example.com\r\n");
	buf_release(&out);
	buf_init(&out, 20);
	assert_false(trace_add_final(&out, STR("alice@example.org"), STR("bob@example.com")));
	assert_false(trace_add_received(&out, &(struct envelope){0}, STR("x"), STR("y")));
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_received),
		cmocka_unit_test(test_for_names_what_was_said),
		cmocka_unit_test(test_with_protocols),
		cmocka_unit_test(test_helo_cannot_break_out),
		cmocka_unit_test(test_final),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
