#include "base/pool.h"
#include "base/test.h"

static void test_dry_is_an_answer(void **state)
{
	(void)state;
	struct pool p;
	pool_init(&p, 100, 3, 2);
	char *got[3];
	for (int i = 0; i < 3; i++) {
		got[i] = pool_take(&p);
		assert_non_null(got[i]);
		memset(got[i], i, 100);
	}
	assert_null(pool_take(&p));
	assert_int_equal(p.in_use, 3);
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 100; j++) assert_int_equal(got[i][j], i);
	pool_give(&p, got[0]);
	got[0] = pool_take(&p);
	assert_non_null(got[0]);
	assert_null(pool_take(&p));
	for (int i = 0; i < 3; i++) pool_give(&p, got[i]);
	assert_int_equal(p.in_use, 0);
	pool_release(&p);
}

static void test_keeps_no_more_than_told(void **state)
{
	(void)state;
	struct pool p;
	pool_init(&p, 64, 10, 4);
	void *got[10];
	for (int i = 0; i < 10; i++) got[i] = pool_take(&p);
	for (int i = 0; i < 10; i++) pool_give(&p, got[i]);
	assert_int_equal(p.spare, 4);
	void *again = pool_take(&p);
	assert_ptr_equal(again, got[3]); /* the last that was kept */
	assert_int_equal(p.spare, 3);
	pool_give(&p, again);
	pool_release(&p);
	assert_int_equal(p.spare, 0);
}

static void test_objects_smaller_than_a_pointer(void **state)
{
	(void)state;
	struct pool p;
	pool_init(&p, 1, 2, 2);
	void *a = pool_take(&p), *b = pool_take(&p);
	pool_give(&p, a), pool_give(&p, b);
	assert_ptr_equal(pool_take(&p), b);
	assert_ptr_equal(pool_take(&p), a);
	pool_give(&p, a), pool_give(&p, b);
	pool_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dry_is_an_answer),
		cmocka_unit_test(test_keeps_no_more_than_told),
		cmocka_unit_test(test_objects_smaller_than_a_pointer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
