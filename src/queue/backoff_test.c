#include "queue/backoff.h"

#include "base/test.h"

static const msec retry[] = {MINUTES(1), MINUTES(5), HOURS(4)};

static void each_attempt_has_its_entry_and_the_last_repeats(void **state)
{
	(void)state;
	struct rng rng;
	rng_init(&rng, 3);
	static const struct {
		uint32_t attempts;
		msec wanted;
	} cases[] = {{0, MINUTES(1)}, {1, MINUTES(1)}, {2, MINUTES(5)}, {3, HOURS(4)},
		{4, HOURS(4)}, {255, HOURS(4)}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		msec least = MSEC_NEVER, most = 0;
		for (int n = 0; n < 2000; n++) {
			msec got = backoff_message(retry, 3, cases[i].attempts, &rng);
			if (got < least) least = got;
			if (got > most) most = got;
		}
		/* Within a tenth, and most of that is used.  */
		assert_true(
			least >= cases[i].wanted * 9 / 10 && least < cases[i].wanted * 91 / 100);
		assert_true(
			most <= cases[i].wanted * 11 / 10 && most > cases[i].wanted * 109 / 100);
	}
}

static void a_destination_waits_an_hour_at_most(void **state)
{
	(void)state;
	struct rng rng;
	rng_init(&rng, 3);
	for (int n = 0; n < 100; n++)
		assert_true(backoff_destination(retry, 3, 9, &rng) <= MINUTES(66));
	assert_true(backoff_destination(retry, 3, 1, &rng) <= 66000);
}

static void an_empty_table_is_a_minute(void **state)
{
	(void)state;
	struct rng rng;
	rng_init(&rng, 3);
	msec got = backoff_message(NULL, 0, 5, &rng);
	assert_true(got >= 54000 && got <= 66000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_attempt_has_its_entry_and_the_last_repeats),
		cmocka_unit_test(a_destination_waits_an_hour_at_most),
		cmocka_unit_test(an_empty_table_is_a_minute),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
