#include "base/clock.h"
#include "base/test.h"

static void assert_made(void (*add)(struct buf *, msec), msec value, const char *wanted)
{
	struct buf b;
	buf_init(&b, 100);
	add(&b, value);
	assert_true(buf_ok(&b));
	assert_str(buf_str(&b), wanted);
	buf_release(&b);
}

static void test_rfc5322(void **state)
{
	(void)state;
	assert_made(clock_add_rfc5322, 0, "Thu, 1 Jan 1970 00:00:00 +0000");
	assert_made(clock_add_rfc5322, 1795324367999, "Sun, 22 Nov 2026 05:12:47 +0000");
	assert_made(clock_add_rfc5322, 951782400000, "Tue, 29 Feb 2000 00:00:00 +0000");
	assert_made(clock_add_rfc5322, 4107542399000, "Sun, 28 Feb 2100 23:59:59 +0000");
	assert_made(clock_add_rfc5322, 4107542400000, "Mon, 1 Mar 2100 00:00:00 +0000");
	assert_made(clock_add_rfc5322, -1, "Wed, 31 Dec 1969 23:59:59 +0000");
}

static void test_rfc3339(void **state)
{
	(void)state;
	assert_made(clock_add_rfc3339, 1795324367123, "2026-11-22T05:12:47.123Z");
	assert_made(clock_add_rfc3339, 0, "1970-01-01T00:00:00.000Z");
	assert_made(clock_add_rfc3339, -1, "1969-12-31T23:59:59.999Z");
	assert_made(clock_add_rfc3339, 253402300799999, "9999-12-31T23:59:59.999Z");
}

/* Each day of 1600 to 2400 against the C library's calendar, and back.  */
static void test_every_day(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 100);
	for (int64_t day = -135140; day <= 157054; day++) {
		time_t seconds = day * 86400 + 45296;
		struct tm tm;
		char text[64];
		gmtime_r(&seconds, &tm);
		strftime(text, sizeof(text), "%a, %-d %b %Y %H:%M:%S +0000", &tm);
		buf_clear(&b);
		clock_add_rfc5322(&b, seconds * 1000);
		if (!str_eq(buf_str(&b), str_from_c(text))) fail_msg("wanted %s", text);
		msec back = 0;
		buf_clear(&b);
		clock_add_rfc3339(&b, seconds * 1000 + 7);
		if (!clock_parse_rfc3339(buf_str(&b), &back) || back != seconds * 1000 + 7)
			fail_msg("%s is not read back", text);
	}
	buf_release(&b);
}

static void test_parse(void **state)
{
	(void)state;
	const struct {
		const char *text;
		msec wall;
	} good[] = {
		{"2026-11-22T05:12:47Z", 1795324367000},
		{"2026-11-22t05:12:47z", 1795324367000},
		{"2026-11-22T05:12:47.1Z", 1795324367100},
		{"2026-11-22T05:12:47.1239999999999999999Z", 1795324367123},
		{"2026-11-22T07:42:47+02:30", 1795324367000},
		{"2026-11-21T21:12:47-08:00", 1795324367000},
		{"2026-11-22T05:12:47.050-00:00", 1795324367050},
		{"2016-12-31T23:59:60Z", 1483228800000},
		{"2024-02-29T00:00:00Z", 1709164800000},
		{"0001-01-01T00:00:00Z", -62135596800000},
	};
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		msec wall = 0;
		if (!clock_parse_rfc3339(str_from_c(good[i].text), &wall) || wall != good[i].wall)
			fail_msg("%s", good[i].text);
	}
}

static void test_parse_refuses(void **state)
{
	(void)state;
	const char *bad[] = {
		"",
		"2026",
		"2026-11-22",
		"2026-11-22T05:12:47",
		"2026-11-22 05:12:47Z",
		"2026-11-22T05:12Z",
		"2026-13-22T05:12:47Z",
		"2026-00-22T05:12:47Z",
		"2026-11-31T05:12:47Z",
		"2026-11-00T05:12:47Z",
		"2025-02-29T00:00:00Z",
		"2100-02-29T00:00:00Z",
		"2026-11-22T24:00:00Z",
		"2026-11-22T05:60:00Z",
		"2026-11-22T05:12:61Z",
		"2026-11-22T05:12:47.Z",
		"2026-11-22T05:12:47ZZ",
		"2026-11-22T05:12:47+0200",
		"2026-11-22T05:12:47+24:00",
		"2026-11-22T05:12:47+02:60",
		"2026-11-22T05:12:47+02:00 ",
		"26-11-22T05:12:47Z",
		"+026-11-22T05:12:47Z",
		"2026-1-22T05:12:47Z",
		"2026/11/22T05:12:47Z",
		"2026-11-22T05:12:47*02:00",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		msec wall = 5;
		if (clock_parse_rfc3339(str_from_c(bad[i]), &wall))
			fail_msg("%s was taken", bad[i]);
		assert_int_equal(wall, 5);
	}
	struct str whole = STR("2026-11-22T05:12:47.123+02:00");
	for (size_t len = 0; len < whole.len; len++) {
		msec wall;
		char *exact = malloc(len ? len : 1);
		memcpy(exact, whole.ptr, len);
		assert_false(clock_parse_rfc3339(str_of(exact, len), &wall));
		free(exact);
	}
}

static void test_span(void **state)
{
	(void)state;
	assert_made(clock_add_span, 0, "0ms");
	assert_made(clock_add_span, 350, "350ms");
	assert_made(clock_add_span, 999, "999ms");
	assert_made(clock_add_span, 1000, "1s");
	assert_made(clock_add_span, 1560, "1.5s");
	assert_made(clock_add_span, 5000, "5s");
	assert_made(clock_add_span, 59999, "59.9s");
	assert_made(clock_add_span, MINUTES(1), "1m");
	assert_made(clock_add_span, SECONDS(90), "1m 30s");
	assert_made(clock_add_span, HOURS(1) + MINUTES(4) + SECONDS(59), "1h 4m");
	assert_made(clock_add_span, HOURS(2) + SECONDS(5), "2h");
	assert_made(clock_add_span, DAYS(5), "5d");
	assert_made(clock_add_span, DAYS(1) + HOURS(23), "1d 23h");
	assert_made(clock_add_span, -1500, "-1.5s");
	assert_made(clock_add_span, MSEC_NEVER, "never");
	assert_made(clock_add_span, INT64_MIN, "-106751991167d 7h");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc5322),
		cmocka_unit_test(test_rfc3339),
		cmocka_unit_test(test_every_day),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_span),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
