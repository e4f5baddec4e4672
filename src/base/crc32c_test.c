/* Includes the source: the way by table must be seen on machines that take the other one, too.  */
#include "base/crc32c.c"
#include "base/rng.h"
#include "base/test.h"

/* The definition, a bit at a time.  */
static uint32_t by_bit(uint32_t crc, struct str octets)
{
	crc = ~crc;
	for (size_t i = 0; i < octets.len; i++) {
		crc ^= (uint8_t)octets.ptr[i];
		for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

/* RFC 3720 B.4.  */
static void test_published_values(void **state)
{
	(void)state;
	char octets[32];
	assert_int_equal(crc32c(0, STR("123456789")), 0xe3069283);
	assert_int_equal(crc32c(0, STR("")), 0);
	memset(octets, 0, sizeof(octets));
	assert_int_equal(crc32c(0, str_of(octets, 32)), 0x8a9136aa);
	memset(octets, 0xff, sizeof(octets));
	assert_int_equal(crc32c(0, str_of(octets, 32)), 0x62a8ab43);
	for (int i = 0; i < 32; i++) octets[i] = (char)i;
	assert_int_equal(crc32c(0, str_of(octets, 32)), 0x46dd794e);
}

static void test_both_ways_are_the_definition(void **state)
{
	(void)state;
	char octets[300];
	struct rng r;
	rng_init(&r, 1);
	for (size_t i = 0; i < sizeof(octets); i++) octets[i] = (char)rng_next(&r);
	for (size_t from = 0; from < 9; from++) {
		for (size_t len = 0; len + from <= sizeof(octets); len++) {
			struct str s = str_of(octets + from, len);
			uint32_t seed = (uint32_t)rng_next(&r), wanted = by_bit(seed, s);
			assert_int_equal(crc32c(seed, s), wanted);
			assert_int_equal(~by_table(~seed, s), wanted);
		}
	}
}

static void test_continues_at_every_split(void **state)
{
	(void)state;
	struct str s = STR("The quick brown fox jumps over the lazy dog, twice over.");
	for (size_t at = 0; at <= s.len; at++)
		assert_int_equal(crc32c(crc32c(7, str_head(s, at)), str_skip(s, at)), crc32c(7, s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_values),
		cmocka_unit_test(test_both_ways_are_the_definition),
		cmocka_unit_test(test_continues_at_every_split),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
