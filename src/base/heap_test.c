#include "base/heap.h"
#include "base/rng.h"
#include "base/test.h"

static void assert_sound(const struct heap *h)
{
	for (uint32_t i = 0; i < h->len; i++) {
		assert_int_equal(h->nodes[i]->place, i + 1);
		if (i) assert_true(h->nodes[(i - 1) / 2]->key <= h->nodes[i]->key);
	}
}

/* Random operations against the plainest model: an array that is searched.  */
static void test_against_a_model(void **state)
{
	(void)state;
	enum { NODES = 60, STEPS = 20000 };
	struct heap_node nodes[NODES] = {0};
	struct heap h;
	struct rng r;
	heap_init(&h);
	rng_init(&r, 1);
	for (int step = 0; step < STEPS; step++) {
		struct heap_node *n = &nodes[rng_below(&r, NODES)];
		int64_t key = (int64_t)rng_below(&r, 40) - 20;
		if (rng_below(&r, 3) == 0)
			heap_remove(&h, n);
		else
			assert_true(heap_set(&h, n, key));
		assert_sound(&h);

		uint32_t in = 0;
		int64_t least = INT64_MAX;
		for (int i = 0; i < NODES; i++) {
			if (!heap_has(&nodes[i])) continue;
			in++;
			if (nodes[i].key < least) least = nodes[i].key;
		}
		assert_int_equal(h.len, in);
		if (in) assert_int_equal(heap_first(&h)->key, least);
	}
	heap_release(&h);
	for (int i = 0; i < NODES; i++) assert_false(heap_has(&nodes[i]));
}

static void test_comes_out_sorted(void **state)
{
	(void)state;
	static struct heap_node nodes[1000];
	struct heap h;
	heap_init(&h);
	for (int i = 0; i < 1000; i++) assert_true(heap_set(&h, &nodes[i], i * 7919 % 1000));
	for (int i = 0; i < 1000; i++) {
		struct heap_node *first = heap_first(&h);
		assert_int_equal(first->key, i);
		heap_remove(&h, first);
	}
	assert_null(heap_first(&h));
	heap_release(&h);
}

static void test_extreme_keys_and_absent_nodes(void **state)
{
	(void)state;
	struct heap h;
	struct heap_node a = {0}, b = {0}, absent = {0};
	heap_init(&h);
	heap_remove(&h, &absent);
	assert_true(heap_set(&h, &a, INT64_MAX));
	assert_true(heap_set(&h, &b, INT64_MIN));
	assert_ptr_equal(heap_first(&h), &b);
	assert_true(heap_set(&h, &b, INT64_MAX));
	assert_true(heap_set(&h, &a, INT64_MIN));
	assert_ptr_equal(heap_first(&h), &a);
	heap_release(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_a_model),
		cmocka_unit_test(test_comes_out_sorted),
		cmocka_unit_test(test_extreme_keys_and_absent_nodes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
