#include "route/mx.h"

#include "base/test.h"

enum { ROUNDS = 20000 };

static void assert_permutation(const struct mx_choice *choices, uint32_t count)
{
	uint64_t seen = 0;
	for (uint32_t i = 0; i < count; i++) seen |= 1ull << choices[i].index;
	assert_int_equal(seen, count == 64 ? UINT64_MAX : (1ull << count) - 1);
}

static void test_preference_rules(void **state)
{
	(void)state;
	struct rng rng;
	rng_init(&rng, 1);
	for (int round = 0; round < 2000; round++) {
		struct mx_choice c[64];
		uint32_t count = (uint32_t)rng_below(&rng, 65);
		for (uint32_t i = 0; i < count; i++)
			c[i] = (struct mx_choice){i, (uint16_t)rng_below(&rng, 5),
				(uint32_t)rng_below(&rng, 3) * 1000};
		mx_order(c, count, &rng);
		assert_permutation(c, count);
		for (uint32_t i = 1; i < count; i++)
			assert_true(c[i - 1].preference <= c[i].preference);
	}
}

/* How often each of three comes first.  */
static void firsts(void (*order)(struct mx_choice *, uint32_t, struct rng *),
	const uint32_t latencies[3], double ret_share[3])
{
	struct rng rng;
	rng_init(&rng, 7);
	uint32_t first[3] = {0};
	for (int round = 0; round < ROUNDS; round++) {
		struct mx_choice c[3];
		for (uint32_t i = 0; i < 3; i++) c[i] = (struct mx_choice){i, 10, latencies[i]};
		order(c, 3, &rng);
		assert_permutation(c, 3);
		first[c[0].index]++;
	}
	for (int i = 0; i < 3; i++) ret_share[i] = (double)first[i] / ROUNDS;
}

static void assert_about(double share, double wanted)
{
	if (share < wanted - 0.02 || share > wanted + 0.02) fail_msg("%f, not %f", share, wanted);
}

static void test_equals_share_by_latency(void **state)
{
	(void)state;
	double share[3];
	firsts(mx_order, (uint32_t[]){0, 0, 0}, share);
	for (int i = 0; i < 3; i++) assert_about(share[i], 1.0 / 3);
	firsts(mx_order, (uint32_t[]){1000, 2000, 4000}, share);
	assert_about(share[0], 4.0 / 7);
	assert_about(share[1], 2.0 / 7);
	assert_about(share[2], 1.0 / 7);
	/* An unknown one weighs as much as the quickest.  */
	firsts(mx_order, (uint32_t[]){1000, 3000, 0}, share);
	assert_about(share[0], 3.0 / 7);
	assert_about(share[1], 1.0 / 7);
	assert_about(share[2], 3.0 / 7);
	/* One that fails is hardly tried.  */
	firsts(mx_order, (uint32_t[]){1000, 1000, 30000000}, share);
	assert_about(share[2], 0);
}

static void test_latency_rules(void **state)
{
	(void)state;
	struct rng rng;
	rng_init(&rng, 1);
	struct mx_choice c[3] = {{0, 10, 3000}, {1, 20, 1000}, {2, 5, 2000}};
	mx_order_by_latency(c, 3, &rng);
	assert_int_equal(c[0].index, 1);
	assert_int_equal(c[1].index, 2);
	assert_int_equal(c[2].index, 0);
	mx_order_by_latency(c, 0, &rng);
	mx_order_by_latency(c, 1, &rng);
}

static void test_one_unknown_is_tried_first(void **state)
{
	(void)state;
	struct rng rng;
	rng_init(&rng, 1);
	uint32_t first[5] = {0};
	for (int round = 0; round < 3000; round++) {
		struct mx_choice c[5] = {
			{0, 40, 9000}, {1, 30, 0}, {2, 10, 8000}, {3, 20, 0}, {4, 10, 0}};
		mx_order_by_latency(c, 5, &rng);
		assert_permutation(c, 5);
		assert_int_equal(c[0].latency_us, 0);
		assert_int_equal(c[1].latency_us, 8000);
		assert_int_equal(c[2].latency_us, 9000);
		assert_true(c[3].preference < c[4].preference);
		first[c[0].index]++;
	}
	assert_in_range(first[1], 900, 1100);
	assert_in_range(first[3], 900, 1100);
	assert_in_range(first[4], 900, 1100);
}

/* "6a 4b": family and a letter; latencies follow the letters a=100, b=200, ..., upper case is
 * unknown.  */
static void interleave(const char *from, const char *wanted)
{
	struct net_address addresses[16];
	uint32_t latencies[16], count = 0;
	for (const char *s = from; *s; s += s[2] ? 3 : 2) {
		addresses[count] = (struct net_address){.family = *s == '6' ? NET_IPV6 : NET_IPV4};
		addresses[count].octets[3] = (uint8_t)s[1];
		latencies[count++] = s[1] >= 'a' ? (uint32_t)(s[1] - 'a' + 1) * 100 : 0;
	}
	mx_interleave(addresses, latencies, count);
	char got[64] = "", *at = got;
	for (uint32_t i = 0; i < count; i++) {
		if (i) *at++ = ' ';
		*at++ = addresses[i].family == NET_IPV6 ? '6' : '4';
		*at++ = (char)addresses[i].octets[3];
		uint32_t belongs = addresses[i].octets[3] >= 'a'
			? (uint32_t)(addresses[i].octets[3] - 'a' + 1) * 100
			: 0;
		assert_int_equal(latencies[i], belongs);
	}
	*at = '\0';
	assert_string_equal(got, wanted);
}

static void test_families_take_turns(void **state)
{
	(void)state;
	interleave("", "");
	interleave("4A", "4A");
	interleave("4A 4B 4C", "4A 4B 4C");
	interleave("4A 4B 6C 6D", "6C 4A 6D 4B");
	interleave("4A 4B 4C 6D", "6D 4A 4B 4C");
	interleave("6A 6B 6C 4D", "6A 4D 6B 6C");
	interleave("4a 6b", "4a 6b"); /* known to be quicker */
	interleave("4b 6a", "6a 4b");
	interleave("4a 6B", "6B 4a"); /* IPv6 has not been tried */
	interleave("4a 4b 6c 6d", "4a 6c 4b 6d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_preference_rules),
		cmocka_unit_test(test_equals_share_by_latency),
		cmocka_unit_test(test_latency_rules),
		cmocka_unit_test(test_one_unknown_is_tried_first),
		cmocka_unit_test(test_families_take_turns),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
