#include "server/units.h"

#include "base/test.h"

static void times(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		msec wanted;
	} fine[] = {
		{"0", 0},
		{"7", 7000},
		{"350ms", 350},
		{"5s", 5000},
		{"5m", 300000},
		{"2h", 7200000},
		{"5d", 432000000},
		{"1w", 604800000},
		{"1h30m", 5400000},
		{"0.5s", 500},
		{"1.25m", 75000},
		{"0.0009s", 0},
		{"5M", 300000},
		{"106751991d", 106751991 * DAYS(1)},
	};
	static const char *const wrong[] = {"", "m", "5x", "5 m", " 5m", "-5m", "5m ", ".5s", "5.",
		"5.s", "1e3", "5mm", "106751991168d", "99999999999999999999s"};
	msec got;
	for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
		if (!units_time(str_from_c(fine[i].text), &got))
			fail_msg("%s is refused", fine[i].text);
		if (got != fine[i].wanted) fail_msg("%s is %lld", fine[i].text, (long long)got);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (units_time(str_from_c(wrong[i]), &got)) fail_msg("\"%s\" is taken", wrong[i]);
}

static void sizes(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t wanted;
	} fine[] = {
		{"0", 0},
		{"4096", 4096},
		{"10k", 10240},
		{"10K", 10240},
		{"50M", 52428800},
		{"50MB", 52428800},
		{"1G", 1073741824},
		{"2t", UINT64_C(2) << 40},
		{"9223372036854775807", INT64_MAX},
	};
	static const char *const wrong[] = {"", "k", "10x", "10 k", "-1", "1.5M", "10kk", "10bb",
		"9223372036854775808", "8388608T", "b"};
	uint64_t got;
	for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
		if (!units_size(str_from_c(fine[i].text), &got))
			fail_msg("%s is refused", fine[i].text);
		assert_int_equal(got, fine[i].wanted);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (units_size(str_from_c(wrong[i]), &got)) fail_msg("\"%s\" is taken", wrong[i]);
}

static void rates(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint32_t count;
		msec per;
	} fine[] = {
		{"0", 0, 1000},
		{"100/m", 100, 60000},
		{"5/10s", 5, 10000},
		{"1 / h", 1, 3600000},
		{"3/500ms", 3, 500},
	};
	static const char *const wrong[] = {
		"", "100", "100/", "/m", "x/m", "100/0s", "100/x", "4294967296/s", "1/2/3"};
	uint32_t count;
	msec per;
	for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
		if (!units_rate(str_from_c(fine[i].text), &count, &per))
			fail_msg("%s is refused", fine[i].text);
		assert_int_equal(count, fine[i].count);
		assert_int_equal(per, fine[i].per);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (units_rate(str_from_c(wrong[i]), &count, &per))
			fail_msg("\"%s\" is taken", wrong[i]);
}

static void hosts(void **state)
{
	(void)state;
	static const struct {
		const char *text, *host;
		uint16_t port;
	} fine[] = {
		{"a", "a", 25},
		{"a.example:2525", "a.example", 2525},
		{"192.0.2.1:1", "192.0.2.1", 1},
		{"[::1]", "::1", 25},
		{"[::1]:26", "::1", 26},
		{"2001:db8::1", "2001:db8::1", 25},
		{"a:0", "a", 0},
	};
	static const char *const wrong[] = {
		"", ":25", "[]", "[::1", "[::1]25", "a:", "a:x", "a:65536"};
	struct str host;
	uint16_t port;
	for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
		if (!units_host_port(str_from_c(fine[i].text), 25, &host, &port))
			fail_msg("%s", fine[i].text);
		assert_str(host, fine[i].host);
		assert_int_equal(port, fine[i].port);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (units_host_port(str_from_c(wrong[i]), 25, &host, &port))
			fail_msg("\"%s\" is taken", wrong[i]);
}

static void distances(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		unsigned wanted;
	} all[] = {
		{"", "", 0},
		{"abc", "", 3},
		{"", "abc", 3},
		{"abc", "abc", 0},
		{"abc", "ABC", 0},
		{"abc", "abd", 1},
		{"abc", "ac", 1},
		{"ac", "abc", 1},
		{"recipents", "recipients", 1},
		{"hsotname", "hostname", 1},
		{"kitten", "sitting", 3},
		{"ab", "ba", 1},
	};
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		assert_int_equal(
			units_distance(str_from_c(all[i].a), str_from_c(all[i].b)), all[i].wanted);
	/* Long words are cut, not read past.  */
	char a[100], b[100];
	memset(a, 'a', sizeof a), memset(b, 'b', sizeof b);
	assert_int_equal(units_distance(str_of(a, sizeof a), str_of(b, sizeof b)), 64);
	assert_true(units_near(STR("rat"), 1));
	assert_false(units_near(STR("rat"), 2));
	assert_true(units_near(STR("recipient"), 3));
	assert_false(units_near(STR("recipient"), 4));
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(times),
		cmocka_unit_test(sizes),
		cmocka_unit_test(rates),
		cmocka_unit_test(hosts),
		cmocka_unit_test(distances),
	};
	return cmocka_run_group_tests(all, NULL, NULL);
}
