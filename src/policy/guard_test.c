#include "base/test.h"
#include "policy/guard.h"

static struct net_address host(const char *text)
{
	struct net_address a;
	assert_true(net_parse(str_from_c(text), &a));
	return a;
}

static void make(struct guard *g, uint32_t failures, uint32_t max)
{
	guard_init(g, max, 1);
	g->options = (struct guard_options){failures, MINUTES(10)};
}

static void test_slower_then_refused(void **state)
{
	(void)state;
	struct guard g;
	make(&g, 5, 100);
	struct net_address a = host("192.0.2.1"), b = host("192.0.2.2");
	static const msec delays[] = {1000, 2000, 4000, 8000, 16000};
	for (uint32_t i = 0; i < 5; i++) {
		assert_false(guard_refuses(&g, &a, 100));
		struct guard_verdict v = guard_failed(&g, &a, i + 1, 100);
		assert_int_equal(v.delay, delays[i]);
		assert_int_equal(v.failures, i + 1);
		assert_int_equal(v.refused_for, i == 4 ? MINUTES(10) : 0);
	}
	assert_true(guard_refuses(&g, &a, 100));
	assert_false(guard_refuses(&g, &b, 100));
	assert_true(guard_refuses(&g, &a, 100 + MINUTES(10) - 1));
	assert_false(guard_refuses(&g, &a, 100 + MINUTES(10)));
	guard_release(&g);
}

/* A failure that was under way when the client was refused is not told as another decision.  */
static void test_one_decision(void **state)
{
	(void)state;
	struct guard g;
	make(&g, 2, 100);
	struct net_address a = host("192.0.2.1");
	uint32_t decisions = 0;
	for (uint64_t i = 0; i < 50; i++) decisions += guard_failed(&g, &a, i, 7).refused_for > 0;
	assert_int_equal(decisions, 1);
	guard_release(&g);
}

static void test_failures_are_forgotten(void **state)
{
	(void)state;
	struct guard g;
	make(&g, 5, 100); /* each of them for two minutes */
	struct net_address a = host("192.0.2.1");
	for (msec now = 0; now < HOURS(10); now += MINUTES(2))
		assert_int_equal(guard_failed(&g, &a, (uint64_t)now + 1, now).failures, 1);
	assert_int_equal(guard_failed(&g, &a, 1, HOURS(11)).failures, 1);
	assert_int_equal(guard_failed(&g, &a, 2, HOURS(11) + MINUTES(1)).failures, 2);
	guard_release(&g);
}

static void test_every_pause_is_longer(void **state)
{
	(void)state;
	struct guard g;
	make(&g, 1, 100);
	struct net_address a = host("192.0.2.1");
	msec now = 0;
	for (int i = 0; i < 8; i++) {
		msec pause = guard_failed(&g, &a, 0, now).refused_for;
		assert_int_equal(pause, MINUTES(10) << (i < 5 ? i : 5));
		now += pause;
	}
	assert_int_equal(guard_failed(&g, &a, 0, now + DAYS(1)).refused_for, MINUTES(10));
	guard_release(&g);
}

static void test_the_same_again_is_no_guess(void **state)
{
	(void)state;
	struct guard g;
	make(&g, 3, 100);
	struct net_address a = host("192.0.2.1");
	for (int i = 0; i < 100; i++) {
		assert_int_equal(guard_failed(&g, &a, 77, i).refused_for, 0);
		assert_false(guard_refuses(&g, &a, i));
	}
	guard_failed(&g, &a, 0, 100); /* nobody knows what was tried */
	assert_int_equal(guard_failed(&g, &a, 0, 100).refused_for, MINUTES(10));
	guard_release(&g);
}

static void test_never(void **state)
{
	(void)state;
	struct guard g;
	make(&g, 0, 100);
	struct net_address a = host("192.0.2.1");
	for (uint64_t i = 1; i < 1000; i++)
		assert_int_equal(guard_failed(&g, &a, i, 0).refused_for, 0);
	assert_int_equal(guard_failed(&g, &a, 1, 0).delay, 16000);
	assert_false(guard_refuses(&g, &a, 0));
	guard_release(&g);
}

static void test_networks_and_bounds(void **state)
{
	(void)state;
	struct guard g;
	make(&g, 1, 2);
	struct net_address a = host("2001:db8::1"), neighbour = host("2001:db8::2"),
			   b = host("2001:db8:0:1::1"), c = host("192.0.2.1");
	guard_failed(&g, &a, 0, 1);
	assert_true(guard_refuses(&g, &neighbour, 1));
	guard_failed(&g, &b, 0, 2);
	guard_failed(&g, &neighbour, 0, 3); /* now b's is the oldest */
	guard_failed(&g, &c, 0, 4);
	assert_int_equal(g.clients.len, 2);
	assert_true(guard_refuses(&g, &a, 4));
	assert_false(guard_refuses(&g, &b, 4));
	assert_true(guard_refuses(&g, &c, 4));
	guard_release(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slower_then_refused),
		cmocka_unit_test(test_one_decision),
		cmocka_unit_test(test_failures_are_forgotten),
		cmocka_unit_test(test_every_pause_is_longer),
		cmocka_unit_test(test_the_same_again_is_no_guess),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_networks_and_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
