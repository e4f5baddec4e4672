#include "smtp/xclient.h"

#include "base/test.h"

static void test_attributes(void **state)
{
	(void)state;
	struct smtp_xclient x;
	assert_true(smtp_xclient_parse(
		STR("NAME=spike.porcupine.org ADDR=168.100.189.2 PORT=4711 PROTO=ESMTP HELO=spike "
		    "LOGIN=alice+40example.com DESTADDR=192.0.2.1 DESTPORT=25"),
		&x));
	assert_int_equal(x.given, 255);
	assert_true(x.esmtp);
	assert_str(x.helo, "spike");
	assert_str(x.login, "alice@example.com");
	struct net_address wanted;
	assert_true(net_parse(STR("168.100.189.2"), &wanted));
	assert_true(net_same_host(&x.address, &wanted));
	assert_true(smtp_xclient_parse(STR("addr=IPV6:2001:db8::7 \t proto=smtp"), &x));
	assert_int_equal(x.given, SMTP_XCLIENT_ADDR | SMTP_XCLIENT_PROTO);
	assert_true(net_parse(STR("2001:db8::7"), &wanted));
	assert_true(net_same_host(&x.address, &wanted));
	assert_false(x.esmtp);
	assert_true(smtp_xclient_parse(STR("HELO=a+20b+2Bc+2bd"), &x));
	assert_str(x.helo, "a b+c+d");
}

static void test_what_is_not_known(void **state)
{
	(void)state;
	struct smtp_xclient x;
	assert_true(smtp_xclient_parse(
		STR("NAME=[TEMPUNAVAIL] ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] PROTO=[UNAVAILABLE] "
		    "HELO=[UNAVAILABLE] LOGIN=[unavailable] DESTADDR=[UNAVAILABLE] DESTPORT=[UNAVAILABLE]"),
		&x));
	assert_int_equal(x.given, 255);
	assert_int_equal(x.address.family, NET_NONE);
	assert_str(x.helo, "");
	assert_str(x.login, "");
}

static void test_refused(void **state)
{
	(void)state;
	static const char *const all[] = {"", " ", "NAME", "NAME=", "=x", "FOO=bar",
		"ADDR=localhost", "ADDR=192.0.2.256", "ADDR=IPV6:192.0.2.1", "ADDR=[192.0.2.1]",
		"ADDR=IPV6:", "PORT=65536", "PORT=x", "PROTO=LMTP", "HELO=a+0Ab", "HELO=a+0",
		"HELO=a+zz", "HELO=+00", "HELO=a+7F", "LOGIN=a+20b", "ADDR=192.0.2.1 FOO=x",
		"ADDR=192.0.2.1 ADDR=192.0.2.2", "DESTADDR=x", "DESTPORT=-1", "ADDR 192.0.2.1"};
	struct smtp_xclient x;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (smtp_xclient_parse(str_from_c(all[i]), &x)) fail_msg("taken: %s", all[i]);
	char text[5 + SMTP_XCLIENT_VALUE_MAX + 1] = "HELO=";
	memset(text + 5, 'x', sizeof text - 5);
	assert_true(smtp_xclient_parse(str_of(text, sizeof text - 1), &x));
	assert_int_equal(x.helo.len, SMTP_XCLIENT_VALUE_MAX);
	assert_false(smtp_xclient_parse(str_of(text, sizeof text), &x));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_what_is_not_known),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
