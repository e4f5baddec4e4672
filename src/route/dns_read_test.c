#include "base/test.h"
#include "route/resolver.h"

#define WIRE(octets) str_of(octets, sizeof(octets) - 1)

static void test_names(void **state)
{
	(void)state;
	char name[256];
	assert_true(dns_read_name(WIRE("\3mx1\7example\3net\0"), name));
	assert_string_equal(name, "mx1.example.net");
	assert_true(dns_read_name(WIRE("\0"), name));
	assert_string_equal(name, "");
	assert_true(dns_read_name(WIRE("\1_\1-\0"), name));
	assert_string_equal(name, "_.-");
}

static void test_damaged_names(void **state)
{
	(void)state;
	char name[256];
	assert_false(dns_read_name(STR_NONE, name));
	assert_false(dns_read_name(WIRE("\3mx1"), name));    /* no end */
	assert_false(dns_read_name(WIRE("\3mx"), name));     /* cut */
	assert_false(dns_read_name(WIRE("\3mx1\0x"), name)); /* something behind */
	assert_false(dns_read_name(WIRE("\300\14"), name));  /* a pointer */
	assert_false(dns_read_name(WIRE("\3a.b\0"), name));  /* would read as two labels */
	assert_false(dns_read_name(WIRE("\3a b\0"), name));
	assert_false(dns_read_name(WIRE("\3a\0b\0"), name));
	assert_false(dns_read_name(WIRE("\2\303\244\0"), name));
}

/* Every cut of a good name is refused, and read without going past its end.  */
static void test_every_cut(void **state)
{
	(void)state;
	static const char wire[] = "\0\12\3mx1\7example\3net";
	char name[256];
	uint16_t preference;
	for (size_t n = 0; n < sizeof(wire); n++) {
		char *exact = malloc(n + 1);
		memcpy(exact, wire, n);
		assert_false(dns_read_mx(str_of(exact, n), &preference, name));
		free(exact);
	}
	assert_true(dns_read_mx(str_of(wire, sizeof(wire)), &preference, name));
	assert_int_equal(preference, 10);
}

static void test_longest(void **state)
{
	(void)state;
	char wire[300], name[256];
	size_t len = 0;
	for (int label = 0; label < 4; label++) {
		size_t octets = label < 3 ? 63 : 61;
		wire[len++] = (char)octets;
		memset(wire + len, 'a', octets);
		len += octets;
	}
	wire[len++] = 0;
	assert_true(dns_read_name(str_of(wire, len), name));
	assert_int_equal(strlen(name), 253);
	len--;
	memcpy(wire + len, "\1a\0", 3);
	assert_false(dns_read_name(str_of(wire, len + 3), name));
}

static void test_mx(void **state)
{
	(void)state;
	char name[256];
	uint16_t preference;
	assert_true(dns_read_mx(WIRE("\1\2\2mx\2nu\0"), &preference, name));
	assert_int_equal(preference, 258);
	assert_string_equal(name, "mx.nu");
	assert_true(dns_read_mx(WIRE("\0\0\0"), &preference, name)); /* RFC 7505 */
	assert_int_equal(preference, 0);
	assert_string_equal(name, "");
	assert_true(dns_read_mx(WIRE("\377\377\1x\0"), &preference, name));
	assert_int_equal(preference, 65535);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_damaged_names),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_mx),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
