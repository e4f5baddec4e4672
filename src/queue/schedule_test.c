#include "queue/schedule.h"

#include "base/rng.h"
#include "base/test.h"

/* Only the recipients' links are wanted here: the index is an array.  */
struct spool_index {
	struct spool_recipient *recipients;
};

struct spool_recipient *spool_recipient(const struct spool_index *x, slot recipient)
{
	return &x->recipients[recipient];
}

struct world {
	struct spool_index index;
	struct schedule s;
	uint32_t count;
};

static void setup(struct world *w, uint32_t count)
{
	w->count = count;
	w->index.recipients = calloc(count + 1, sizeof(struct spool_recipient));
	schedule_init(&w->s, &w->index);
}

static void teardown(struct world *w) { free(w->index.recipients); }

static void add(struct world *w, slot at, uint32_t due)
{
	w->index.recipients[at].due = due;
	schedule_add(&w->s, at);
}

static slot next(struct world *w, uint32_t now)
{
	uint32_t budget = UINT32_MAX;
	return schedule_next(&w->s, now, &budget);
}

enum { START = 1700000000 };

static void each_comes_at_its_second(void **state)
{
	(void)state;
	static const uint32_t delays[] = {
		1, 2, 59, 255, 256, 257, 3600, 65535, 65536, 65537, 432000, 1 << 24, 40000000};
	for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
		struct world w;
		setup(&w, 1);
		assert_int_equal(next(&w, START), 0);
		assert_int_equal(schedule_when(&w.s), UINT32_MAX);
		add(&w, 1, START + delays[i]);
		assert_int_equal(schedule_when(&w.s), START + 1);
		for (uint32_t t = 0; t < delays[i]; t += 1 + (delays[i] - t) / 3)
			assert_int_equal(next(&w, START + t), 0);
		assert_int_equal(next(&w, START + delays[i] - 1), 0);
		assert_int_equal(next(&w, START + delays[i]), 1);
		assert_int_equal(next(&w, START + delays[i]), 0);
		teardown(&w);
	}
}

static void random_times_come_in_order_and_removed_ones_never(void **state)
{
	(void)state;
	enum { COUNT = 20000 };
	struct rng rng;
	rng_init(&rng, 1);
	struct world w;
	setup(&w, COUNT);
	next(&w, START);
	for (slot at = 1; at <= COUNT; at++)
		add(&w, at,
			START + 1 + (uint32_t)rng_below(&rng, rng_below(&rng, 2) ? 300 : 200000));
	uint32_t removed = 0;
	for (slot at = 1; at <= COUNT; at += 1 + (slot)rng_below(&rng, 5)) {
		schedule_remove(&w.s, at);
		w.index.recipients[at].due = 0;
		removed++;
	}
	uint32_t came = 0;
	for (uint32_t now = START; came + removed < COUNT;
		now += 1 + (uint32_t)rng_below(&rng, 40)) {
		assert_true(now < START + 300000);
		for (slot at; (at = next(&w, now));) {
			uint32_t due = w.index.recipients[at].due;
			assert_true(due > 0 && due <= now && due + 41 > now);
			came++;
		}
	}
	assert_int_equal(next(&w, START + 400000), 0);
	for (uint32_t i = 0; i < SCHEDULE_LEVELS; i++) assert_int_equal(w.s.filled[i], 0);
	teardown(&w);
}

static void what_is_added_before_the_time_is_known_is_looked_at(void **state)
{
	(void)state;
	struct world w;
	setup(&w, 3);
	add(&w, 1, START + 10);
	add(&w, 2, START - 10);
	add(&w, 3, 0);
	assert_int_equal(schedule_when(&w.s), 0);
	assert_int_equal(next(&w, START), 2);
	assert_int_equal(next(&w, START), 3);
	assert_int_equal(next(&w, START), 0);
	assert_int_equal(next(&w, START + 10), 1);
	teardown(&w);
}

static void work_is_cut_in_slices(void **state)
{
	(void)state;
	enum { COUNT = 1000 };
	struct world w;
	setup(&w, COUNT);
	next(&w, START);
	for (slot at = 1; at <= COUNT; at++) add(&w, at, START + 5000);
	uint32_t came = 0, calls = 0;
	while (came < COUNT) {
		uint32_t budget = 10;
		while (schedule_next(&w.s, START + 5000, &budget)) came++;
		assert_true(++calls < 500);
	}
	/* Looked at on each level, at most, and not more than ten at once.  */
	assert_true(calls >= COUNT / 10);
	teardown(&w);
}

static void first_in_first_out_within_a_second(void **state)
{
	(void)state;
	struct world w;
	setup(&w, 100);
	next(&w, START);
	for (slot at = 1; at <= 100; at++) add(&w, at, START + 70000);
	for (slot at = 1; at <= 100; at++) assert_int_equal(next(&w, START + 70000), at);
	teardown(&w);
}

static void a_clock_that_was_wrong_does_not_park_mail(void **state)
{
	(void)state;
	struct world w;
	setup(&w, 2);
	w.s.limit = 7200;
	w.index.recipients[1].attempts = 1;
	add(&w, 1, START + 100000000);
	add(&w, 2, START + 100000000); /* never tried: its sender may wish so */
	assert_int_equal(next(&w, START), 0);
	assert_int_equal(next(&w, START + 7199), 0);
	assert_int_equal(next(&w, START + 7200), 1);
	assert_int_equal(next(&w, START + 99999999), 0);
	assert_int_equal(next(&w, START + 100000000), 2);
	teardown(&w);
}

static void a_clock_put_back_stops_nothing_that_is_due(void **state)
{
	(void)state;
	struct world w;
	setup(&w, 2);
	next(&w, START);
	add(&w, 1, START + 5);
	assert_int_equal(next(&w, START + 10), 1);
	assert_int_equal(next(&w, START + 10), 0);
	add(&w, 2, START + 7);
	assert_int_equal(next(&w, START - 1000), 2);
	teardown(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_comes_at_its_second),
		cmocka_unit_test(random_times_come_in_order_and_removed_ones_never),
		cmocka_unit_test(what_is_added_before_the_time_is_known_is_looked_at),
		cmocka_unit_test(work_is_cut_in_slices),
		cmocka_unit_test(first_in_first_out_within_a_second),
		cmocka_unit_test(a_clock_that_was_wrong_does_not_park_mail),
		cmocka_unit_test(a_clock_put_back_stops_nothing_that_is_due),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
