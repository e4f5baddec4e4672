#include "policy/access.h"

#include "base/test.h"

static struct net_address address(const char *text)
{
	struct net_address a;
	assert_true(net_parse(str_from_c(text), &a));
	return a;
}

static void test_ranges(void **state)
{
	(void)state;
	struct net_range ranges[2];
	assert_true(net_parse_range(STR("127.0.0.0/8"), &ranges[0]));
	assert_true(net_parse_range(STR("2001:db8::/32"), &ranges[1]));
	struct access_list list = {ranges, 2}, nobody = {0};
	struct net_address in4 = address("127.9.9.9"), out4 = address("128.0.0.1");
	struct net_address in6 = address("2001:db8:ffff::1"), out6 = address("2001:db9::1");
	struct net_address mapped = address("::ffff:127.0.0.1");
	assert_true(access_allows(&list, &in4));
	assert_true(access_allows(&list, &in6));
	assert_true(access_allows(&list, &mapped));
	assert_false(access_allows(&list, &out4));
	assert_false(access_allows(&list, &out6));
	assert_false(access_allows(&nobody, &in4));
}

static void test_total(void **state)
{
	(void)state;
	struct connection_counts c;
	connections_init(&c, 1);
	c.max_total = 2, c.max_client = 2;
	struct net_address a = address("192.0.2.1"), b = address("192.0.2.2"),
			   d = address("192.0.2.3");
	assert_int_equal(connections_enter(&c, &a), CONNECTION_WELCOME);
	assert_int_equal(connections_enter(&c, &b), CONNECTION_WELCOME);
	assert_int_equal(connections_enter(&c, &d), CONNECTION_TOO_MANY);
	connections_leave(&c, &a);
	assert_int_equal(connections_enter(&c, &d), CONNECTION_WELCOME);
	assert_int_equal(c.total, 2);
	connections_release(&c);
}

static void test_per_client(void **state)
{
	(void)state;
	struct connection_counts c;
	connections_init(&c, 1);
	c.max_total = 100, c.max_client = 2;
	struct net_address a = address("192.0.2.1"), mapped = address("::ffff:192.0.2.1");
	assert_int_equal(connections_enter(&c, &a), CONNECTION_WELCOME);
	assert_int_equal(connections_enter(&c, &mapped), CONNECTION_WELCOME);
	assert_int_equal(connections_enter(&c, &a), CONNECTION_TOO_MANY_OF_CLIENT);
	/* A refused one is not counted.  */
	assert_int_equal(c.total, 2);
	connections_leave(&c, &mapped);
	assert_int_equal(connections_enter(&c, &a), CONNECTION_WELCOME);
	connections_leave(&c, &a);
	connections_leave(&c, &a);
	assert_int_equal(c.total, 0);
	assert_int_equal(c.clients.len, 0); /* nothing is remembered of those who left */
	connections_release(&c);
}

/* Octets that are letters of different case must not be one client; neighbours in a /64 must
 * be.  */
static void test_what_is_one_client(void **state)
{
	(void)state;
	struct connection_counts c;
	connections_init(&c, 1);
	c.max_total = 100, c.max_client = 1;
	struct net_address upper = address("65.65.65.65"), lower = address("97.97.97.97");
	assert_int_equal(connections_enter(&c, &upper), CONNECTION_WELCOME);
	assert_int_equal(connections_enter(&c, &lower), CONNECTION_WELCOME);
	struct net_address six = address("2001:db8:0:1::1"), same = address("2001:db8:0:1:ffff::2");
	struct net_address other = address("2001:db8:0:2::1");
	assert_int_equal(connections_enter(&c, &six), CONNECTION_WELCOME);
	assert_int_equal(connections_enter(&c, &same), CONNECTION_TOO_MANY_OF_CLIENT);
	assert_int_equal(connections_enter(&c, &other), CONNECTION_WELCOME);
	struct net_address local = {.family = NET_UNIX, .path = "/a"},
			   local2 = {.family = NET_UNIX, .path = "/b"};
	assert_int_equal(connections_enter(&c, &local), CONNECTION_WELCOME);
	assert_int_equal(connections_enter(&c, &local2), CONNECTION_TOO_MANY_OF_CLIENT);
	assert_int_equal(c.total, 5);
	connections_release(&c);
}

/* A load balancer is nobody until it tells for whom it speaks.  */
static void test_moving(void **state)
{
	(void)state;
	struct connection_counts c;
	connections_init(&c, 1);
	c.max_total = 4, c.max_client = 1;
	struct net_address nobody = {0}, a = address("192.0.2.1"), b = address("192.0.2.2");
	for (int i = 0; i < 4; i++)
		assert_int_equal(connections_enter(&c, &nobody), CONNECTION_WELCOME);
	assert_int_equal(connections_enter(&c, &nobody), CONNECTION_TOO_MANY);
	assert_true(connections_move(&c, &nobody, &a));
	assert_false(connections_move(&c, &nobody, &a));
	assert_true(connections_move(&c, &nobody, &b));
	assert_false(connections_move(&c, &a, &b));
	assert_true(connections_move(&c, &a, &nobody));
	assert_true(connections_move(&c, &nobody, &a));
	assert_int_equal(c.total, 4);
	connections_leave(&c, &a);
	connections_leave(&c, &b);
	connections_leave(&c, &nobody);
	connections_leave(&c, &nobody);
	assert_int_equal(c.total, 0);
	assert_int_equal(c.clients.len, 0);
	connections_release(&c);
}

static void test_many_clients(void **state)
{
	(void)state;
	struct connection_counts c;
	connections_init(&c, 1);
	c.max_total = 70000, c.max_client = 1;
	struct net_address a = address("10.0.0.0");
	for (int i = 0; i < 65536; i++) {
		a.octets[2] = (uint8_t)(i >> 8), a.octets[3] = (uint8_t)i;
		assert_int_equal(connections_enter(&c, &a), CONNECTION_WELCOME);
	}
	for (int i = 0; i < 65536; i++) {
		a.octets[2] = (uint8_t)(i >> 8), a.octets[3] = (uint8_t)i;
		connections_leave(&c, &a);
	}
	assert_int_equal(c.total, 0);
	assert_int_equal(c.clients.len, 0);
	connections_release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_total),
		cmocka_unit_test(test_per_client),
		cmocka_unit_test(test_what_is_one_client),
		cmocka_unit_test(test_moving),
		cmocka_unit_test(test_many_clients),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
