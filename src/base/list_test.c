#include "base/list.h"
#include "base/test.h"

struct item {
	int value;
	struct list link;
};

static void assert_order(struct list *l, const char *wanted)
{
	char got[16] = {0};
	size_t n = 0;
	LIST_EACH (l, node) got[n++] = (char)CONTAINER_OF(node, struct item, link)->value;
	assert_string_equal(got, wanted);
	struct list *back = l->prev; /* the other direction agrees */
	while (n > 0) {
		assert_int_equal(CONTAINER_OF(back, struct item, link)->value, got[--n]);
		back = back->prev;
	}
	assert_ptr_equal(back, l);
}

static void test_push_remove_pop(void **state)
{
	(void)state;
	struct list l;
	struct item a = {'a', {0}}, b = {'b', {0}}, c = {'c', {0}};
	list_init(&l);
	assert_true(list_empty(&l));
	assert_null(list_pop(&l));
	list_push_back(&l, &b.link);
	list_push_back(&l, &c.link);
	list_push_front(&l, &a.link);
	assert_order(&l, "abc");
	list_remove(&b.link);
	assert_order(&l, "ac");
	list_remove(&b.link); /* in none: harmless */
	assert_order(&l, "ac");
	assert_ptr_equal(list_pop(&l), &a.link);
	assert_true(list_empty(&a.link));
	assert_ptr_equal(list_pop(&l), &c.link);
	assert_true(list_empty(&l));
}

static void test_each_safe_allows_removal(void **state)
{
	(void)state;
	struct list l;
	struct item items[5];
	list_init(&l);
	for (int i = 0; i < 5; i++) {
		items[i].value = '0' + i;
		list_push_back(&l, &items[i].link);
	}
	LIST_EACH_SAFE (&l, node)
		if (CONTAINER_OF(node, struct item, link)->value % 2) list_remove(node);
	assert_order(&l, "024");
	LIST_EACH_SAFE (&l, node) list_remove(node);
	assert_true(list_empty(&l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_push_remove_pop),
		cmocka_unit_test(test_each_safe_allows_removal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
