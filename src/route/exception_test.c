#include "route/exception.h"

#include "base/test.h"

static void test_days(void **state)
{
	(void)state;
	msec end, begin;
	assert_true(tls_exception_day(STR("2027-01-31"), &end));
	assert_true(clock_parse_rfc3339(STR("2027-02-01T00:00:00Z"), &begin));
	assert_int_equal(end, begin);
	static const char *const wrong[] = {"", "2027-1-31", "2027-02-30", "2027-13-01",
		"31.01.2027", "2027-01-31T", "tomorrow!!", "2027/01/31"};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(tls_exception_day(str_from_c(wrong[i]), &end));
}

static const struct tls_exception list[] = {
	{.domain = STR("example.net"), .end = 100},
	{.domain = STR(".example.net"), .end = 200},
	{.domain = STR(".eu.example.net"), .end = 50},
	{.domain = STR("mail.example.net"), .end = 300},
};

static const char *found(const char *domain, msec wall)
{
	const struct tls_exceptions all = {list, ARRAY_LEN(list)};
	const struct tls_exception *e = tls_exception_find(&all, str_from_c(domain), wall);
	return e ? e->domain.ptr : "none";
}

static void test_which(void **state)
{
	(void)state;
	assert_string_equal(found("example.net", 99), "example.net");
	assert_string_equal(found("Example.NET", 0), "example.net");
	assert_string_equal(found("example.net", 100), "none");
	assert_string_equal(found("www.example.net", 100), ".example.net");
	assert_string_equal(found("x.eu.example.net", 10), ".eu.example.net");
	assert_string_equal(
		found("x.eu.example.net", 50), ".example.net"); /* the other has ended */
	assert_string_equal(found("mail.example.net", 250), "mail.example.net");
	assert_string_equal(found("notexample.net", 0), "none");
	assert_string_equal(found(".example.net", 0), "none");
	assert_string_equal(found("", 0), "none");
	assert_null(tls_exception_find(&(struct tls_exceptions){0}, STR("example.net"), 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_which),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
