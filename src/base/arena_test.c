#include "base/arena.h"
#include "base/test.h"

static void test_nothing_before_the_first(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 10000);
	assert_int_equal(a.used, 0);
	assert_null(a.first);
	arena_release(&a);
}

static void test_zeroed_aligned_and_apart(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 1 << 20);
	unsigned char *got[300];
	for (size_t i = 0; i < ARRAY_LEN(got); i++) {
		got[i] = arena_alloc(&a, i);
		assert_non_null(got[i]);
		assert_int_equal((uintptr_t)got[i] % 16, 0);
		for (size_t j = 0; j < i; j++) assert_int_equal(got[i][j], 0);
		memset(got[i], (int)i, i);
	}
	for (size_t i = 0; i < ARRAY_LEN(got); i++)
		for (size_t j = 0; j < i; j++) assert_int_equal(got[i][j], (unsigned char)i);
	assert_ptr_not_equal(got[0], got[1]);
	arena_release(&a);
	assert_int_equal(a.used, 0);
}

static void test_never_more_than_the_maximum(void **state)
{
	(void)state;
	for (size_t max = 0; max < 5000; max += 100) {
		struct arena a;
		arena_init(&a, max);
		size_t given = 0;
		while (arena_alloc(&a, 48)) given += 48;
		assert_true(a.used <= max);
		assert_true(given <= max);
		assert_true(max < 200 || given > max / 2);
		assert_null(arena_alloc(&a, 48));
		arena_release(&a);
		assert_true(max < 200 || arena_alloc(&a, 48)); /* usable again */
		arena_release(&a);
	}
}

static void test_absurd_sizes(void **state)
{
	(void)state;
	struct arena a;
	struct str copy;
	arena_init(&a, SIZE_MAX);
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, SIZE_MAX - 40));
	assert_null(arena_alloc(&a, (size_t)UINT32_MAX + 1));
	assert_false(arena_copy(&a, str_of("", SIZE_MAX), &copy));
	assert_int_equal(a.used, 0);
	arena_release(&a);
}

static void test_large_among_small(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 1 << 20);
	assert_non_null(arena_alloc(&a, 10));
	char *large = arena_alloc(&a, 300000);
	assert_non_null(large);
	memset(large, 'L', 300000);
	char *small = arena_alloc(&a, 10);
	assert_non_null(small);
	assert_int_equal(small[0], 0);
	arena_release(&a);
}

static void test_copy_ends_with_nul(void **state)
{
	(void)state;
	struct arena a;
	struct str copy;
	arena_init(&a, 2000);
	assert_true(arena_copy(&a, str_head(STR("alice@example.net"), 5), &copy));
	assert_str(copy, "alice");
	assert_int_equal(copy.ptr[5], 0);
	assert_true(arena_copy(&a, STR_NONE, &copy));
	assert_int_equal(copy.len, 0);
	assert_int_equal(copy.ptr[0], 0);
	static const char long_text[3000];
	assert_false(arena_copy(&a, str_of(long_text, sizeof(long_text)), &copy));
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_before_the_first),
		cmocka_unit_test(test_zeroed_aligned_and_apart),
		cmocka_unit_test(test_never_more_than_the_maximum),
		cmocka_unit_test(test_absurd_sizes),
		cmocka_unit_test(test_large_among_small),
		cmocka_unit_test(test_copy_ends_with_nul),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
