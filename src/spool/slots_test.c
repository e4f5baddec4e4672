#include "spool/slots.h"

#include "base/rng.h"
#include "base/test.h"

static slot add(struct spool_index *x, uint64_t id, uint32_t recipients)
{
	slot s = slots_take(x, recipients);
	assert_int_not_equal(s, 0);
	slots_publish(x, s, id, RECIPIENT_DUE);
	return s;
}

static void finds_what_was_published(void **state)
{
	(void)state;
	struct spool_index x;
	slots_init(&x);
	assert_int_equal(spool_find(&x, 1), 0);
	assert_int_equal(spool_message(&x, 0)->id, 0);
	assert_int_equal(spool_recipient(&x, 0)->state, RECIPIENT_FREE);
	slot a = add(&x, 10, 1), b = add(&x, 11, 3);
	assert_int_equal(spool_find(&x, 10), a);
	assert_int_equal(spool_find(&x, 11), b);
	assert_int_equal(spool_find(&x, 12), 0);
	assert_int_equal(spool_find(&x, 0), 0);
	slots_check(&x);
	assert_int_equal(spool_message_count(&x), 2);
	assert_int_equal(spool_recipient_count(&x), 4);
	slot hidden = slots_take(&x, 2);
	assert_int_equal(spool_message_count(&x), 2);
	slots_free(&x, hidden);
	slots_free(&x, a);
	assert_int_equal(spool_find(&x, 10), 0);
	assert_int_equal(spool_message(&x, a)->id, 0);
	slots_check(&x);
	slots_release(&x);
}

static void keeps_the_order_of_recipients(void **state)
{
	(void)state;
	struct spool_index x;
	slots_init(&x);
	slot s = add(&x, 5, 1000);
	uint32_t n = 0;
	for (slot t = spool_message(&x, s)->recipients; t;
		t = spool_recipient(&x, t)->sibling, n++) {
		assert_int_equal(spool_recipient(&x, t)->index, n);
		assert_int_equal(spool_recipient(&x, t)->message, s);
	}
	assert_int_equal(n, 1000);
	slots_release(&x);
}

/* More than one block, random order of freeing, against a plain array.  */
static void agrees_with_an_array(void **state)
{
	(void)state;
	enum { IDS = 150000 };
	struct spool_index x;
	struct rng rng;
	slot *slots = calloc(IDS, sizeof(*slots));
	slots_init(&x);
	rng_init(&rng, 3);
	for (uint64_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < IDS; i++)
			if (!slots[i]) slots[i] = add(&x, ((uint64_t)i + 1) << 13, 1 + i % 2);
		for (uint32_t i = 0; i < IDS; i++) {
			if (rng_below(&rng, 3) == 0) continue;
			slots_free(&x, slots[i]);
			slots[i] = 0;
		}
		for (uint32_t i = 0; i < IDS; i++)
			assert_int_equal(spool_find(&x, ((uint64_t)i + 1) << 13), slots[i]);
		slots_check(&x);
	}
	free(slots);
	slots_release(&x);
}

static void memory_is_little_and_comes_back(void **state)
{
	(void)state;
	enum { MANY = 500000 };
	struct spool_index x;
	slots_init(&x);
	for (uint64_t i = 1; i <= MANY; i++) (void)add(&x, i, 1);
	assert_true(spool_index_memory(&x) <= 62u * MANY);
	slot end = spool_message_end(&x);
	for (uint64_t i = 1; i <= MANY; i++) slots_free(&x, spool_find(&x, i));
	assert_true(spool_index_memory(&x) < (4u << 20));
	assert_true(spool_message_end(&x) < end);
	/* Slots of blocks that are gone read as nobody.  */
	for (slot s = 1; s < end; s += 1000) assert_int_equal(spool_message(&x, s)->id, 0);
	(void)add(&x, 7, 1);
	slots_check(&x);
	slots_release(&x);
}

static void ids_have_a_text(void **state)
{
	(void)state;
	char text[SPOOL_ID_LEN + 1], before[SPOOL_ID_LEN + 1] = "";
	uint64_t ids[] = {1, 30, 31, 1792000000000ull << 20, (1792000000000ull << 20) + 1,
		UINT64_MAX - 1, UINT64_MAX},
		 back;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		struct str s = spool_id_text(ids[i], text);
		assert_int_equal(s.len, SPOOL_ID_LEN);
		assert_true(spool_id_parse(s, &back));
		assert_true(back == ids[i]);
		assert_true(strcmp(before, text) < 0); /* they sort as the numbers do */
		memcpy(before, text, sizeof(text));
	}
	assert_true(spool_id_parse(STR("000000000000b"), &back));
	assert_int_equal(back, 10);
	assert_false(spool_id_parse(STR("0000000000000"), &back));
	assert_false(spool_id_parse(STR("000000000000"), &back));
	assert_false(spool_id_parse(STR("00000000000010"), &back));
	assert_false(spool_id_parse(STR("000000000000A"), &back));
	assert_false(spool_id_parse(STR("ZZZZZZZZZZZZZ"), &back)); /* past 64 bits */
	assert_false(spool_id_parse(str_of("00000000000\0"
					   "1",
					    13),
		&back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_published),
		cmocka_unit_test(keeps_the_order_of_recipients),
		cmocka_unit_test(agrees_with_an_array),
		cmocka_unit_test(memory_is_little_and_comes_back),
		cmocka_unit_test(ids_have_a_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
