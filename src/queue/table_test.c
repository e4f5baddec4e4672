#include "queue/table.h"

#include "base/test.h"

static void gives_numbers_and_uses_them_again(void **state)
{
	(void)state;
	struct table t;
	table_init(&t);
	uint64_t objects[100];
	for (uint32_t i = 0; i < 100; i++) assert_int_equal(table_add(&t, &objects[i]), i + 1);
	for (uint32_t i = 0; i < 100; i++) assert_ptr_equal(table_get(&t, i + 1), &objects[i]);
	table_remove(&t, 7);
	table_remove(&t, 50);
	assert_int_equal(table_add(&t, &objects[1]), 50);
	assert_int_equal(table_add(&t, &objects[2]), 7);
	assert_int_equal(table_add(&t, &objects[3]), 101);
	assert_ptr_equal(table_get(&t, 50), &objects[1]);
	table_release(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(gives_numbers_and_uses_them_again)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
