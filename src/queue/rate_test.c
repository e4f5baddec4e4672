#include "queue/rate.h"

#include "base/test.h"

/* How many go in the span when one asks every ms.  */
static uint32_t run(struct rate *r, msec from, msec span, uint32_t *ret_most_in_a_second)
{
	uint32_t total = 0, most = 0, second = 0;
	for (msec now = from; now < from + span; now++) {
		if ((now - from) % 1000 == 0) second = 0;
		while (rate_when(r) <= now) {
			assert_true(rate_tokens(r, now) > 0);
			rate_take(r, now);
			total++, second++;
		}
		assert_int_equal(rate_tokens(r, now), 0);
		if (second > most) most = second;
	}
	if (ret_most_in_a_second) *ret_most_in_a_second = most;
	return total;
}

static void the_rate_is_exact_in_the_long_run(void **state)
{
	(void)state;
	static const struct route_rate rates[] = {
		{100, MINUTES(1)},
		{1, SECONDS(1)},
		{7, SECONDS(1)},
		{3, 100},
		{1000, SECONDS(1)},
		{5000, SECONDS(1)},
		{1, MINUTES(1)},
		{9999, HOURS(1)},
	};
	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		struct rate r;
		rate_init(&r, rates[i]);
		uint32_t burst = (uint32_t)r.burst, most;
		uint32_t got = run(&r, 1000000, MINUTES(10), &most);
		double wanted = (double)rates[i].messages * MINUTES(10) / (double)rates[i].per;
		assert_true(got >= (uint32_t)wanted && got <= (uint32_t)wanted + burst + 1);
		/* One second's worth at once, and the same again as it drips in.  */
		assert_true(most <= 2 * burst + 1);
	}
}

static void slow_rates_have_no_burst_and_are_even(void **state)
{
	(void)state;
	struct rate r;
	rate_init(&r, (struct route_rate){100, MINUTES(1)}); /* one each 600 ms */
	msec now = 5000;
	assert_true(rate_when(&r) <= now);
	for (int i = 0; i < 1000; i++) {
		rate_take(&r, now);
		assert_int_equal(rate_tokens(&r, now), 0);
		assert_int_equal(rate_when(&r), now + 600);
		now += 600;
	}
	now += HOURS(1); /* what was not used is not saved */
	assert_int_equal(rate_tokens(&r, now), 1);
	rate_take(&r, now);
	assert_int_equal(rate_tokens(&r, now), 0);
}

static void thirds_of_a_millisecond_are_not_rounded(void **state)
{
	(void)state;
	struct rate r;
	rate_init(&r, (struct route_rate){3, 1000});
	assert_int_equal(rate_tokens(&r, 9000), 3);
	for (int i = 0; i < 3; i++) rate_take(&r, 9000);
	assert_int_equal(rate_when(&r), 9334);
	assert_int_equal(rate_full(&r), 10000);
	rate_take(&r, 9334);
	assert_int_equal(rate_when(&r), 9667);
	rate_take(&r, 9667);
	assert_int_equal(rate_when(&r), 10000);
}

static void no_limit_is_no_limit(void **state)
{
	(void)state;
	struct rate r;
	rate_init(&r, (struct route_rate){0, 0});
	for (int i = 0; i < 100; i++) rate_take(&r, 1);
	assert_int_equal(rate_when(&r), 0);
	assert_int_equal(rate_tokens(&r, 1), UINT32_MAX);
}

static void another_limit_does_not_forgive(void **state)
{
	(void)state;
	struct rate r;
	rate_init(&r, (struct route_rate){1, MINUTES(1)});
	rate_take(&r, 1000);
	rate_limit(&r, (struct route_rate){1, SECONDS(10)}, 1000);
	assert_int_equal(rate_when(&r), 11000);
	rate_limit(&r, (struct route_rate){0, 0}, 1000);
	assert_int_equal(rate_when(&r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rate_is_exact_in_the_long_run),
		cmocka_unit_test(slow_rates_have_no_burst_and_are_even),
		cmocka_unit_test(thirds_of_a_millisecond_are_not_rounded),
		cmocka_unit_test(no_limit_is_no_limit),
		cmocka_unit_test(another_limit_does_not_forgive),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
