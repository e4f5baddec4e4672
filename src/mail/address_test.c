#include "mail/address.h"

#include "base/test.h"

enum { PLAIN = 0, UTF8 = 1, BARE = 2 };

static bool parses(struct str s, int how, struct address *ret)
{
	return address_parse(s, how & UTF8, how & BARE, ret);
}

static void test_good(void **state)
{
	(void)state;
	static const struct {
		const char *text, *local, *domain;
		int how;
		bool quoted, literal, utf8;
	} rows[] = {
		{"a@b", "a", "b", PLAIN, false, false, false},
		{"alice@example.com", "alice", "example.com", PLAIN, false, false, false},
		{"Alice.B+tag@EXAMPLE.com", "Alice.B+tag", "EXAMPLE.com", PLAIN, false, false,
			false},
		{"!#$%&'*+-/=?^_`{|}~@x.y", "!#$%&'*+-/=?^_`{|}~", "x.y", PLAIN, false, false,
			false},
		{"1@2.3", "1", "2.3", PLAIN, false, false, false},
		{"a@my_host.example", "a", "my_host.example", PLAIN, false, false, false},
		{"a@x-y.example", "a", "x-y.example", PLAIN, false, false, false},
		{"a@xn--mnchen-3ya.de", "a", "xn--mnchen-3ya.de", PLAIN, false, false, false},
		{"\"a b\"@x", "\"a b\"", "x", PLAIN, true, false, false},
		{"\"\"@x", "\"\"", "x", PLAIN, true, false, false},
		{"\"a\\\"@\\\\b\"@x", "\"a\\\"@\\\\b\"", "x", PLAIN, true, false, false},
		{"\"<a@b>\"@x", "\"<a@b>\"", "x", PLAIN, true, false, false},
		{"a@[192.0.2.1]", "a", "[192.0.2.1]", PLAIN, false, true, false},
		{"a@[IPv6:2001:db8::1]", "a", "[IPv6:2001:db8::1]", PLAIN, false, true, false},
		{"a@[ipv6:::1]", "a", "[ipv6:::1]", PLAIN, false, true, false},
		{"postmaster", "postmaster", "", BARE, false, false, false},
		{"\"a b\"", "\"a b\"", "", BARE, true, false, false},
		{"j\xc3\xb6rg@m\xc3\xbcnchen.de", "j\xc3\xb6rg", "m\xc3\xbcnchen.de", UTF8, false,
			false, true},
		{"\"\xe6\x97\xa5 \xe6\x9c\xac\"@x", "\"\xe6\x97\xa5 \xe6\x9c\xac\"", "x", UTF8,
			true, false, true},
		{"a@\xe6\x97\xa5\xe6\x9c\xac", "a", "\xe6\x97\xa5\xe6\x9c\xac", UTF8, false, false,
			true},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct address a;
		if (!parses(str_from_c(rows[i].text), rows[i].how, &a))
			fail_msg("%s", rows[i].text);
		assert_str(a.text, rows[i].text);
		assert_str(a.local, rows[i].local);
		assert_str(a.domain, rows[i].domain);
		assert_int_equal(a.quoted, rows[i].quoted);
		assert_int_equal(a.literal, rows[i].literal);
		assert_int_equal(a.utf8, rows[i].utf8);
	}
}

static void test_bad(void **state)
{
	(void)state;
	static const struct {
		struct str text;
		int how;
	} rows[] = {
		{STR(""), BARE},
		{STR("@"), BARE},
		{STR("a@"), BARE},
		{STR("@b"), BARE},
		{STR("a"), PLAIN},
		{STR("a@b@c"), PLAIN},
		{STR("a b@c"), PLAIN},
		{STR("a@b c"), PLAIN},
		{STR("a@b "), PLAIN},
		{STR(".a@b"), PLAIN},
		{STR("a.@b"), PLAIN},
		{STR("a..b@c"), PLAIN},
		{STR("a@b."), PLAIN},
		{STR("a@.b"), PLAIN},
		{STR("a@b..c"), PLAIN},
		{STR("a@-b"), PLAIN},
		{STR("a@b-"), PLAIN},
		{STR("a@b-.c"), PLAIN},
		{STR("<a@b>"), PLAIN},
		{STR("a(x)@b"), PLAIN},
		{STR("a@b/c"), PLAIN},
		{STR("\"a@b"), PLAIN},
		{STR("\"a\"b@c"), PLAIN},
		{STR("\"a\\\""), BARE},
		{STR("\"a\\"), BARE},
		{STR("\""), BARE},
		{STR("\"a\rb\"@c"), PLAIN},
		{STR("\"a\\\nb\"@c"), PLAIN},
		{STR("\"a\0b\"@c"), PLAIN},
		{STR("a\0@b"), PLAIN},
		{STR("a@b\0"), PLAIN},
		{STR("a\x7f@b"), PLAIN},
		{STR("a\t@b"), PLAIN},
		{STR("\"a\tb\"@c"), PLAIN},
		{STR("a@[192.0.2]"), PLAIN},
		{STR("a@[192.0.2.256]"), PLAIN},
		{STR("a@[::1]"), PLAIN},
		{STR("a@[IPv6:192.0.2.1]"), PLAIN},
		{STR("a@[]"), PLAIN},
		{STR("a@["), PLAIN},
		{STR("a@[[192.0.2.1]]"), PLAIN},
		{STR("a@[x400:y]"), PLAIN},
		{STR("a@[192.0.2.1]x"), PLAIN},
		{STR("j\xc3\xb6rg@x"), PLAIN},
		{STR("a@m\xc3\xbcnchen.de"), PLAIN},
		{STR("\xc3@x"), UTF8},
		{STR("\xed\xa0\x80@x"), UTF8},
		{STR("\"\xff\"@x"), UTF8},
		{STR("a@\xc0\x80"), UTF8},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct address a;
		if (parses(rows[i].text, rows[i].how, &a)) fail_msg(STR_FMT, STR_ARG(rows[i].text));
	}
}

/* Every octet as the middle of a local part and of a domain: what RFC 5321 names, nothing else.  */
static void test_every_octet(void **state)
{
	(void)state;
	static const char specials[] = "()<>[]:;@\\,\" ";
	for (int c = 0; c < 256; c++) {
		char local[] = {'a', (char)c, 'b', '@', 'c'},
		     domain[] = {'a', '@', 'b', (char)c, 'c'};
		struct address a;
		bool printable = c > 32 && c < 127;
		bool atom = printable && !(c != 0 && strchr(specials, c));
		assert_int_equal(parses(str_of(local, 5), UTF8, &a), atom);
		bool host = c < 128 && (ascii_alnum((char)c) || c == '-' || c == '_' || c == '.');
		assert_int_equal(parses(str_of(domain, 5), UTF8, &a), host);
	}
}

static struct str repeat(char *room, char c, size_t n)
{
	memset(room, c, n);
	return str_of(room, n);
}

static void test_lengths(void **state)
{
	(void)state;
	char room[600];
	assert_true(domain_valid(repeat(room, 'a', 63), false));
	assert_false(domain_valid(repeat(room, 'a', 64), false));
	for (size_t n = 250; n < 260; n++) {
		repeat(room, 'a', n);
		for (size_t i = 50; i < n; i += 51) room[i] = '.';
		room[n - 1] = 'a';
		assert_int_equal(domain_valid(str_of(room, n), false), n <= 255);
		room[10] = '@';
		struct address a;
		assert_int_equal(parses(str_of(room, n), PLAIN, &a), n <= ADDRESS_PATH_MAX);
	}
	/* A label of characters to be encoded: its octets may be more.  */
	for (size_t i = 0; i < 90; i += 3) memcpy(room + i, "\xe6\x97\xa5", 3);
	assert_true(domain_valid(str_of(room, 90), true));
	assert_false(domain_valid(str_of(room, 90), false));
}

static void test_literal_is_an_address(void **state)
{
	(void)state;
	struct net_address a;
	assert_true(domain_literal(STR("[192.0.2.7]"), &a));
	assert_int_equal(a.family, NET_IPV4);
	assert_int_equal(a.octets[3], 7);
	assert_true(domain_literal(STR("[IPv6:2001:db8::7]"), &a));
	assert_int_equal(a.family, NET_IPV6);
	assert_int_equal(a.octets[15], 7);
	assert_false(domain_literal(STR("192.0.2.7"), &a));
	assert_false(domain_literal(STR("["), &a));
	assert_false(domain_literal(STR(""), &a));
	assert_false(domain_literal(STR("[::1]"), &a));
}

static void test_plain_local_part(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"bob@x", "bob"},
		{"\"bob\"@x", "bob"},
		{"\"b o\\b\\\"\\\\\"@x", "b ob\"\\"},
		{"\"\"@x", ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct address a;
		struct buf out;
		buf_init(&out, 100);
		assert_true(parses(str_from_c(rows[i][0]), PLAIN, &a));
		assert_true(address_local_plain(&a, &out));
		assert_str(buf_str(&out), rows[i][1]);
		buf_release(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_every_octet),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_literal_is_an_address),
		cmocka_unit_test(test_plain_local_part),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
