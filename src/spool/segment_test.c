#include "spool/segment.h"

#include "base/test.h"

static const struct io_file none = {-1};

static void names_are_read_back(void **state)
{
	(void)state;
	char name[SEGMENT_NAME_MAX];
	uint32_t number;
	segment_name(17, name);
	assert_string_equal(name, "log-000017");
	assert_true(segment_name_parse(name, &number));
	assert_int_equal(number, 17);
	const char *wrong[] = {"log-000000", "log-17", "log-065536", "log-00001x", "log-0000017",
		"lock", "", "xog-000017"};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(segment_name_parse(wrong[i], &number));
}

static void the_table_counts(void **state)
{
	(void)state;
	struct segments all;
	assert_true(segments_init(&all));
	assert_int_equal(segments_number(&all), 1);
	struct segment *a = segment_add(&all, 1, 8192, none), *b = segment_add(&all, 3, 8192, none);
	assert_int_equal(segments_number(&all), 2);
	assert_int_equal(all.top, 4);
	segment_give_free(&all, b);
	assert_ptr_equal(segment_take_free(&all), b);
	assert_null(segment_take_free(&all));
	segment_enter(&all, b, SEGMENT_OPEN);
	segment_hold(&all, b, 2, 500);
	assert_int_equal(all.octets, 8192);
	assert_int_equal(all.live, 500);
	segment_let_go(&all, b, 2, 500);
	segment_enter(&all, b, SEGMENT_SEALED);
	segment_enter(&all, b, SEGMENT_FREEING);
	segment_enter(&all, b, SEGMENT_FREE);
	assert_int_equal(all.octets, 0);
	segment_drop(NULL, &all, b);
	assert_int_equal(all.top, 2);
	assert_ptr_equal(segment_at(&all, 1), a);
	assert_null(segment_at(&all, 3));
	assert_null(segment_at(&all, 1 << 20));
	segments_release(NULL, &all);
}

static void needs_are_forgotten_with_the_segment(void **state)
{
	(void)state;
	struct segments all;
	assert_true(segments_init(&all));
	struct segment *g = segment_add(&all, 70, 8192, none);
	segment_need(g, 70); /* itself is no need */
	assert_false(segment_is_needed(g));
	segment_need(g, 1);
	segment_need(g, 65535);
	assert_true(segment_is_needed(g));
	segments_forget(&all, 1);
	assert_true(segment_is_needed(g));
	segments_forget(&all, 65535);
	assert_false(segment_is_needed(g));
	segments_release(NULL, &all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_read_back),
		cmocka_unit_test(the_table_counts),
		cmocka_unit_test(needs_are_forgotten_with_the_segment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
