#include "queue/window.h"

#include "base/test.h"

static void starts_small_and_grows_by_success(void **state)
{
	(void)state;
	struct window w;
	window_init(&w, 20);
	assert_int_equal(w.size, 5);
	for (uint32_t i = 6; i <= 20; i++) {
		window_served(&w);
		assert_int_equal(w.size, i);
	}
	window_served(&w);
	assert_int_equal(w.size, 20);
	window_init(&w, 3);
	assert_int_equal(w.size, 3);
	window_init(&w, 0);
	assert_int_equal(w.size, 1);
}

static void failures_of_one_moment_halve_it_once(void **state)
{
	(void)state;
	struct window w;
	window_init(&w, 20);
	for (int i = 0; i < 20; i++) window_served(&w);
	for (uint32_t left = 20; left > 0; left--) window_failed(&w, left);
	assert_int_equal(w.size, 10);
	window_failed(&w, 1);
	assert_int_equal(w.size, 5);
	for (int i = 0; i < 10; i++) window_failed(&w, 1);
	assert_int_equal(w.size, 1);
}

static void beyond_what_failed_it_grows_slowly(void **state)
{
	(void)state;
	struct window w;
	window_init(&w, 20);
	for (int i = 0; i < 20; i++) window_served(&w);
	window_failed(&w, 1);
	assert_int_equal(w.size, 10);
	for (int i = 0; i < 9; i++) window_served(&w);
	assert_int_equal(w.size, 10);
	window_served(&w);
	assert_int_equal(w.size, 11);
	for (int i = 0; i < 10; i++) window_served(&w);
	assert_int_equal(w.size, 11);
	window_served(&w);
	assert_int_equal(w.size, 12);
}

static void another_limit_holds_at_once(void **state)
{
	(void)state;
	struct window w;
	window_init(&w, 20);
	for (int i = 0; i < 20; i++) window_served(&w);
	window_limit(&w, 7);
	assert_int_equal(w.size, 7);
	window_limit(&w, 30);
	for (int i = 0; i < 30; i++) window_served(&w);
	assert_int_equal(w.size, 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_small_and_grows_by_success),
		cmocka_unit_test(failures_of_one_moment_halve_it_once),
		cmocka_unit_test(beyond_what_failed_it_grows_slowly),
		cmocka_unit_test(another_limit_holds_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
