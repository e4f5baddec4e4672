#include "base/net.h"
#include "base/test.h"

static struct net_address address(const char *text)
{
	struct net_address a;
	if (!net_parse(str_from_c(text), &a)) fail_msg("%s was refused", text);
	return a;
}

static void assert_made(void (*add)(struct buf *, const struct net_address *), struct net_address a,
	const char *wanted)
{
	struct buf b;
	buf_init(&b, 200);
	add(&b, &a);
	assert_str(buf_str(&b), wanted);
	buf_release(&b);
}

static void test_parse(void **state)
{
	(void)state;
	const struct {
		const char *text, *made;
		enum net_family family;
	} good[] = {
		{"192.0.2.1", "192.0.2.1", NET_IPV4},
		{"[192.0.2.1]", "192.0.2.1", NET_IPV4},
		{"0.0.0.0", "0.0.0.0", NET_IPV4},
		{"2001:DB8:0:0:0:0:0:1", "2001:db8::1", NET_IPV6},
		{"[2001:db8::1]", "2001:db8::1", NET_IPV6},
		{"[IPv6:2001:db8::1]", "2001:db8::1", NET_IPV6},
		{"[ipV6:::1]", "::1", NET_IPV6},
		{"::", "::", NET_IPV6},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.1", NET_IPV6},
		{"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NET_IPV6},
	};
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct net_address a = address(good[i].text);
		assert_int_equal(a.family, good[i].family);
		assert_made(net_add, a, good[i].made);
	}
}

static void test_parse_refuses(void **state)
{
	(void)state;
	const struct str bad[] = {STR(""), STR("[]"), STR("["), STR("]"), STR("1.2.3"),
		STR("1.2.3.4.5"), STR("256.1.1.1"), STR("1.2.3.4 "), STR("01.2.3.4"),
		STR("1.2.3.4:25"), STR(":::"), STR("1::2::3"), STR("12345::"), STR("fe80::1%eth0"),
		STR("[::1"), STR("::1]"), STR("IPv6:::1"), STR("[IPv6:192.0.2.1]"), STR("[IPv6:]"),
		STR("localhost"), STR("1.2.3.4\0"), STR("::1\0x"),
		STR("1111:2222:3333:4444:5555:6666:7777:8888:9999"),
		STR("0000000000000000000000000000000000000000000000000000001")};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct net_address a;
		if (net_parse(bad[i], &a)) fail_msg(STR_FMT " was taken", STR_ARG(bad[i]));
	}
}

static void test_parse_port(void **state)
{
	(void)state;
	const struct {
		const char *text, *made;
	} good[] = {
		{"192.0.2.1:25", "192.0.2.1:25"},
		{"192.0.2.1", "192.0.2.1:2525"},
		{"[2001:db8::1]:25", "[2001:db8::1]:25"},
		{"[2001:db8::1]", "[2001:db8::1]:2525"},
		{"2001:db8::1", "[2001:db8::1]:2525"},
		{":25", "0.0.0.0:25"},
		{"[::]:0", "[::]:0"},
		{"[192.0.2.1]:65535", "192.0.2.1:65535"},
		{"::25", "[::25]:2525"},
	};
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct net_address a;
		if (!net_parse_port(str_from_c(good[i].text), 2525, &a))
			fail_msg("%s was refused", good[i].text);
		assert_made(net_add_port, a, good[i].made);
	}
	const char *bad[] = {"", ":", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:x",
		"192.0.2.1:-1", "host:25", "25", "[::1]25", "[]:25", "2001:db8::1:99999",
		"1:2:3:4:5:6:7:8:25", "[::1]:25:25", "::1:x"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct net_address a;
		if (net_parse_port(str_from_c(bad[i]), 2525, &a)) fail_msg("%s was taken", bad[i]);
	}
}

static bool in_range(const char *host, const char *range_text)
{
	struct net_range range;
	struct net_address a = address(host);
	if (!net_parse_range(str_from_c(range_text), &range))
		fail_msg("%s was refused", range_text);
	return net_in_range(&a, &range);
}

static void test_ranges(void **state)
{
	(void)state;
	assert_true(in_range("10.255.0.1", "10.0.0.0/8"));
	assert_false(in_range("11.0.0.0", "10.0.0.0/8"));
	assert_true(in_range("192.0.2.129", "192.0.2.128/25"));
	assert_true(in_range("192.0.2.255", "192.0.2.128/25"));
	assert_false(in_range("192.0.2.127", "192.0.2.128/25"));
	assert_true(in_range("192.0.2.1", "192.0.2.1"));
	assert_false(in_range("192.0.2.2", "192.0.2.1"));
	assert_true(in_range("192.0.2.77", "192.0.2.1/24")); /* host bits are not looked at */
	assert_true(in_range("8.8.8.8", "0.0.0.0/0"));
	assert_true(in_range("::1", "::1"));
	assert_false(in_range("::2", "::1"));
	assert_true(in_range("2001:db8:8000::1", "2001:db8:8000::/33"));
	assert_false(in_range("2001:db8:7fff::1", "2001:db8:8000::/33"));
	assert_true(in_range("2001:db8::", "::/0"));
	assert_false(in_range("8.8.8.8", "::/0"));
	assert_false(in_range("2001:db8::", "0.0.0.0/0"));
}

static void test_ranges_take_mapped_as_ipv4(void **state)
{
	(void)state;
	assert_true(in_range("::ffff:10.1.1.1", "10.0.0.0/8"));
	assert_true(in_range("10.200.1.1", "::ffff:10.0.0.0/104"));
	assert_false(in_range("11.1.1.1", "::ffff:10.0.0.0/104"));
	assert_true(in_range("11.1.1.1", "::ffff:0:0/96"));
	assert_false(in_range("::ffff:10.1.1.1", "::/0"));
	assert_true(in_range("::fffe:10.1.1.1", "::/0"));
}

static void test_ranges_refused(void **state)
{
	(void)state;
	const char *bad[] = {"", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/8/8",
		"10.0.0.0/-1", "10/8", "10.0.0.0/255.0.0.0"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct net_range range;
		if (net_parse_range(str_from_c(bad[i]), &range)) fail_msg("%s was taken", bad[i]);
	}
	struct net_range any = {.base.family = NET_IPV4};
	struct net_address local = {.family = NET_UNIX, .path = "/run/x"}, none = {0};
	assert_false(net_in_range(&local, &any));
	any.base.family = NET_NONE;
	assert_false(net_in_range(&none, &any));
}

static void test_same_host(void **state)
{
	(void)state;
	struct net_address v4 = address("192.0.2.1"), mapped = address("::ffff:192.0.2.1");
	struct net_address other = address("192.0.2.2"), v6 = address("::192.0.2.1"), none = {0};
	struct net_address path = {.family = NET_UNIX, .path = "/a"}, same_path = path,
			   other_path = path;
	char again[] = "/a";
	same_path.path = again;
	other_path.path = "/b";
	mapped.port = 25; /* ports do not count */
	assert_true(net_same_host(&v4, &mapped));
	assert_true(net_hash_host(&v4, 1) == net_hash_host(&mapped, 1));
	assert_true(net_hash_host(&v4, 1) != net_hash_host(&other, 1));
	assert_true(net_hash_host(&v4, 1) != net_hash_host(&v4, 2));
	assert_false(net_same_host(&v4, &other));
	assert_false(net_same_host(&v4, &v6));
	assert_false(net_same_host(&none, &none));
	assert_true(net_same_host(&path, &same_path));
	assert_true(net_hash_host(&path, 1) == net_hash_host(&same_path, 1));
	assert_false(net_same_host(&path, &other_path));
	assert_false(net_same_host(&path, &v4));
}

static void test_loopback(void **state)
{
	(void)state;
	const char *loopback[] = {"127.0.0.1", "127.255.1.2", "::1", "::ffff:127.0.0.1"};
	const char *others[] = {"128.0.0.1", "126.0.0.1", "0.0.0.0", "::", "::2", "1::1",
		"::127.0.0.1", "::ffff:10.0.0.1"};
	for (size_t i = 0; i < ARRAY_LEN(loopback); i++) {
		struct net_address a = address(loopback[i]);
		assert_true(net_is_loopback(&a));
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		struct net_address a = address(others[i]);
		assert_false(net_is_loopback(&a));
	}
	struct net_address path = {.family = NET_UNIX, .path = "/a"}, none = {0};
	assert_true(net_is_loopback(&path));
	assert_false(net_is_loopback(&none));
}

static void test_add(void **state)
{
	(void)state;
	struct net_address path = {.family = NET_UNIX, .path = "/run/lmtp"}, none = {0};
	assert_made(net_add, path, "/run/lmtp");
	assert_made(net_add_port, path, "/run/lmtp");
	assert_made(net_add, none, "");
	assert_made(net_add_literal, address("192.0.2.1"), "[192.0.2.1]");
	assert_made(net_add_literal, address("2001:db8::1"), "[IPv6:2001:db8::1]");
	assert_made(net_add_literal, address("::ffff:192.0.2.1"), "[192.0.2.1]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_parse_port),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_ranges_take_mapped_as_ipv4),
		cmocka_unit_test(test_ranges_refused),
		cmocka_unit_test(test_same_host),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_add),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
