#include "base/rng.h"
#include "base/test.h"

/* The first outputs for the state {1, 2, 3, 4}, worked out by hand from the definition.  */
static void test_is_xoshiro256starstar(void **state)
{
	(void)state;
	struct rng r = {{1, 2, 3, 4}};
	const uint64_t wanted[] = {11520, 0, 1509978240, 1215971899390074240};
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) assert_true(rng_next(&r) == wanted[i]);
}

/* splitmix64 of seed 0, as its authors give it, fills the state.  */
static void test_seeding(void **state)
{
	(void)state;
	struct rng r;
	rng_init(&r, 0);
	assert_true(r.s[0] == 0xe220a8397b1dcdaf);
	assert_true(r.s[1] == 0x6e789e6aa1b965f4);
	assert_true(r.s[2] == 0x06c45d188009454f);
	assert_true(r.s[3] == 0xf88bb8a8724c81ec);
}

static void test_same_seed_same_numbers(void **state)
{
	(void)state;
	struct rng a, b, c;
	rng_init(&a, 7), rng_init(&b, 7), rng_init(&c, 8);
	bool differs = false;
	for (int i = 0; i < 100; i++) {
		uint64_t x = rng_next(&a);
		assert_true(x == rng_next(&b));
		differs |= x != rng_next(&c);
	}
	assert_true(differs);
}

static void test_below_is_even(void **state)
{
	(void)state;
	struct rng r;
	rng_init(&r, 3);
	int seen[7] = {0};
	for (int i = 0; i < 70000; i++) {
		uint64_t x = rng_below(&r, 7);
		assert_true(x < 7);
		seen[x]++;
	}
	for (int i = 0; i < 7; i++) assert_in_range(seen[i], 9600, 10400);
	for (int i = 0; i < 100; i++) assert_int_equal(rng_below(&r, 1), 0);
	/* Three quarters of all values: without redrawing, the lowest would come twice as often.  */
	uint64_t n = UINT64_MAX / 4 * 3;
	int low = 0;
	for (int i = 0; i < 30000; i++) low += rng_below(&r, n) < n / 3;
	assert_in_range(low, 9600, 10400);
}

static void test_unit(void **state)
{
	(void)state;
	struct rng r;
	rng_init(&r, 4);
	double sum = 0;
	for (int i = 0; i < 10000; i++) {
		double x = rng_unit(&r);
		assert_true(x >= 0 && x < 1);
		sum += x;
	}
	assert_true(sum > 4850 && sum < 5150);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_xoshiro256starstar),
		cmocka_unit_test(test_seeding),
		cmocka_unit_test(test_same_seed_same_numbers),
		cmocka_unit_test(test_below_is_even),
		cmocka_unit_test(test_unit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
