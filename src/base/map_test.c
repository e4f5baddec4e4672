#include "base/map.h"
#include "base/rng.h"
#include "base/test.h"

static void test_empty(void **state)
{
	(void)state;
	struct map m;
	map_init(&m, 1);
	assert_null(map_find(&m, STR("x")));
	assert_null(map_next(&m, NULL));
	map_release(&m);
}

static void test_case_does_not_matter(void **state)
{
	(void)state;
	struct map m;
	struct map_node n;
	map_init(&m, 1);
	assert_true(map_insert(&m, &n, STR("Example.NET")));
	assert_ptr_equal(map_find(&m, STR("example.net")), &n);
	assert_ptr_equal(map_find(&m, STR("EXAMPLE.net")), &n);
	assert_null(map_find(&m, STR("example.ne")));
	assert_null(map_find(&m, STR("")));
	map_remove(&m, &n);
	assert_null(map_find(&m, STR("example.net")));
	assert_true(map_insert(&m, &n, STR("")));
	assert_ptr_equal(map_find(&m, STR_NONE), &n);
	map_release(&m);
}

/* Random insertions and removals, through several doublings, against flags in an array.  */
static void test_against_a_model(void **state)
{
	(void)state;
	enum { KEYS = 500 };
	static struct map_node nodes[KEYS];
	static char keys[KEYS][8];
	bool in[KEYS] = {0};
	struct map m;
	struct rng r;
	map_init(&m, 42);
	rng_init(&r, 2);
	for (int i = 0; i < KEYS; i++) snprintf(keys[i], sizeof(keys[i]), "k%d", i);
	for (int step = 0; step < 20000; step++) {
		size_t i = rng_below(&r, KEYS);
		struct str key = str_from_c(keys[i]);
		struct map_node *found = map_find(&m, key);
		assert_ptr_equal(found, in[i] ? &nodes[i] : NULL);
		if (in[i])
			map_remove(&m, found);
		else
			assert_true(map_insert(&m, &nodes[i], key));
		in[i] = !in[i];
	}
	size_t here = 0, visited = 0;
	for (int i = 0; i < KEYS; i++) here += in[i];
	assert_int_equal(m.len, here);
	for (struct map_node *n = map_next(&m, NULL); n; n = map_next(&m, n), visited++) {
		assert_true(in[n - nodes]);
		in[n - nodes] = false; /* a second visit would fail */
	}
	assert_int_equal(visited, here);
	map_release(&m);
	assert_int_equal(m.len, 0);
}

static void test_chains_stay_short(void **state)
{
	(void)state;
	enum { KEYS = 10000 };
	static struct map_node nodes[KEYS];
	static char keys[KEYS][24];
	struct map m;
	map_init(&m, 7);
	for (int i = 0; i < KEYS; i++) {
		int n = snprintf(keys[i], sizeof(keys[i]), "10.0.%d.%d", i / 256, i % 256);
		assert_true(map_insert(&m, &nodes[i], str_of(keys[i], (size_t)n)));
	}
	for (size_t i = 0; i < m.cap; i++) {
		int chain = 0;
		for (struct map_node *n = m.buckets[i]; n; n = n->next) chain++;
		assert_in_range(chain, 0, 12);
	}
	map_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_case_does_not_matter),
		cmocka_unit_test(test_against_a_model),
		cmocka_unit_test(test_chains_stay_short),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
