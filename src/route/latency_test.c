#include "route/latency.h"

#include "base/test.h"

static struct net_address host(uint32_t n)
{
	struct net_address a = {.family = NET_IPV4, .port = 25};
	a.octets[0] = 10, a.octets[1] = (uint8_t)(n >> 16), a.octets[2] = (uint8_t)(n >> 8),
	a.octets[3] = (uint8_t)n;
	return a;
}

static void test_average(void **state)
{
	(void)state;
	struct latency *l = latency_new(10, 1);
	struct net_address a = host(1), b = host(2);
	assert_int_equal(latency_of(l, &a, 0), 0);
	latency_note(l, &a, 1000, 0);
	assert_int_equal(latency_of(l, &a, 0), 1000);
	assert_int_equal(latency_of(l, &b, 0), 0);
	latency_note(l, &a, 2000, 0);
	assert_int_equal(latency_of(l, &a, 0), 1250); /* a quarter of the new */
	for (int i = 0; i < 50; i++) latency_note(l, &a, 9000, 0);
	assert_in_range(latency_of(l, &a, 0), 8990, 9000);
	latency_note(l, &b, 0, 0);
	assert_int_equal(latency_of(l, &b, 0), 1); /* 0 would be "unknown" */
	latency_free(l);
}

static void test_age(void **state)
{
	(void)state;
	struct latency *l = latency_new(10, 1);
	struct net_address a = host(1);
	latency_note(l, &a, 1000, 0);
	latency_note(l, &a, 2000, MINUTES(30));
	assert_int_equal(latency_of(l, &a, MINUTES(30)), 1625); /* between a quarter and all */
	assert_int_equal(latency_of(l, &a, MINUTES(90)), 1625);
	assert_int_equal(latency_of(l, &a, MINUTES(90) + 1), 0);
	latency_note(l, &a, 5000, MINUTES(91));
	assert_int_equal(latency_of(l, &a, MINUTES(91)), 5000);
	latency_free(l);
}

static void test_failure(void **state)
{
	(void)state;
	struct latency *l = latency_new(10, 1);
	struct net_address a = host(1);
	latency_note(l, &a, 1000, 0);
	latency_failed(l, &a, 0);
	assert_in_range(latency_of(l, &a, 0), 7000000, 8000000);
	latency_note(l, &a, 1000, 0);
	assert_in_range(latency_of(l, &a, 0), 5000000, 6000000);
	latency_free(l);
}

static void test_one_host_whatever_the_port_and_form(void **state)
{
	(void)state;
	struct latency *l = latency_new(10, 1);
	struct net_address a = host(1), same = host(1), mapped;
	same.port = 2525;
	assert_true(net_parse(STR("::ffff:10.0.0.1"), &mapped));
	latency_note(l, &a, 1000, 0);
	assert_int_equal(latency_of(l, &same, 0), 1000);
	assert_int_equal(latency_of(l, &mapped, 0), 1000);
	struct net_address path = {.family = NET_UNIX, .path = "/x"}, none = {0};
	latency_note(l, &path, 1000, 0);
	latency_note(l, &none, 1000, 0);
	assert_int_equal(latency_of(l, &path, 0), 0);
	assert_int_equal(latency_of(l, &none, 0), 0);
	latency_free(l);
}

static void test_least_recently_noted_goes(void **state)
{
	(void)state;
	enum { MAX = 1000, ALL = 5000 };
	struct latency *l = latency_new(MAX, 1);
	struct net_address first = host(0);
	for (uint32_t i = 0; i < ALL; i++) {
		struct net_address a = host(i);
		latency_note(l, &a, i + 1, 0);
		latency_note(l, &first, 1, 0); /* kept by use */
	}
	assert_int_equal(latency_of(l, &first, 0), 1);
	uint32_t known = 0;
	for (uint32_t i = 0; i < ALL; i++) {
		struct net_address a = host(i);
		uint32_t us = latency_of(l, &a, 0);
		assert_true(us == 0 || us == i + 1);
		assert_int_equal(us != 0, i == 0 || i > ALL - MAX);
		known += us != 0;
	}
	assert_int_equal(known, MAX);
	latency_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_average),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_one_host_whatever_the_port_and_form),
		cmocka_unit_test(test_least_recently_noted_goes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
