#define SPOOL_TEST_FAULTS
#include "spool/test.h"

enum { SEGMENT = 256 << 10 };

static void remembers_outcomes(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	bench_init(&b, SEGMENT);
	bench_open(&b);
	slot s = bench_accept(&b, &m, 3, 1000);
	slot r0 = bench_recipient(&b, s, 0), r1 = bench_recipient(&b, s, 1),
	     r2 = bench_recipient(&b, s, 2);
	struct outcome deferred = bench_outcome(OUTCOME_DEFERRED, "greylisted"),
		       sent = bench_outcome(OUTCOME_DELIVERED, "ok");
	assert_false(spool_outcome(b.spool, r0, &deferred, 1000));
	assert_false(spool_outcome(b.spool, r1, &sent, 0));
	spool_hold(b.spool, r2, true);
	spool_delay_told(b.spool, s);
	deferred.text = STR("still greylisted");
	assert_false(spool_outcome(b.spool, r0, &deferred, 2000));
	spool_check(b.spool);
	bench_sync(&b);
	spool_check(b.spool);
	bench_close(&b);
	bench_open(&b);
	spool_check(b.spool);
	s = spool_find(spool_index(b.spool), m.id);
	assert_int_not_equal(s, 0);
	const struct spool_message *x = spool_message(spool_index(b.spool), s);
	assert_int_equal(x->open, 2);
	assert_true(x->flags & SPOOL_MESSAGE_DELAY_TOLD);
	const struct spool_recipient *r =
		spool_recipient(spool_index(b.spool), bench_recipient(&b, s, 0));
	assert_int_equal(r->due, 2000);
	assert_int_equal(r->attempts, 2);
	assert_int_equal(r->state, RECIPIENT_DUE);
	assert_int_equal(spool_recipient(spool_index(b.spool), bench_recipient(&b, s, 1))->state,
		RECIPIENT_DONE);
	assert_int_equal(spool_recipient(spool_index(b.spool), bench_recipient(&b, s, 2))->state,
		RECIPIENT_HELD);
	struct arena arena;
	struct outcome o;
	arena_init(&arena, 1 << 20);
	assert_true(spool_reason(b.spool, bench_recipient(&b, s, 0), &arena, &o));
	assert_str(o.text, "still greylisted");
	assert_false(spool_reason(b.spool, bench_recipient(&b, s, 2), &arena, &o));
	arena_release(&arena);
	assert_false(spool_outcome(b.spool, bench_recipient(&b, s, 0), &sent, 0));
	assert_true(spool_outcome(b.spool, bench_recipient(&b, s, 2), &sent, 0));
	assert_int_equal(spool_find(spool_index(b.spool), m.id), 0);
	bench_close(&b);
	bench_open(&b);
	assert_int_equal(b.report.messages, 0);
	spool_check(b.spool);
	bench_end(&b);
}

/* Of batches alone: new segments are synced in the background.  */
static uint64_t syncs_of(struct bench *b)
{
	struct spool_stats stats;
	spool_stats(b->spool, &stats);
	return stats.syncs;
}

static void outcomes_leave_within_the_delay(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	struct outcome o = bench_outcome(OUTCOME_DEFERRED, "later");
	bench_init(&b, SEGMENT);
	b.options.outcome_delay = 30;
	bench_open(&b);
	slot s = bench_accept(&b, &m, 1, 100);
	bench_run(&b, 50);
	uint64_t syncs = syncs_of(&b);
	spool_outcome(b.spool, bench_recipient(&b, s, 0), &o, 5);
	bench_run(&b, 10);
	assert_int_equal(syncs_of(&b), syncs); /* none of its own */
	assert_int_equal(waiting_count(&b.spool->states), 1);
	bench_run(&b, 60);
	assert_int_equal(syncs_of(&b), syncs + 1);
	assert_int_equal(waiting_count(&b.spool->states), 0);
	/* With an accept they leave at once, in its batch.  */
	spool_outcome(b.spool, bench_recipient(&b, s, 0), &o, 6);
	syncs = syncs_of(&b);
	bench_accept(&b, &m, 1, 100);
	assert_int_equal(waiting_count(&b.spool->states), 0);
	assert_int_equal(syncs_of(&b), syncs + 1);
	bench_end(&b);
}

/* Of a message in a row: each record names the one before, wherever the batches were cut.  */
static void records_of_a_message_are_a_chain(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	struct outcome o = bench_outcome(OUTCOME_DEFERRED, "later");
	bench_init(&b, SEGMENT);
	bench_open(&b);
	slot s = bench_accept(&b, &m, 4, 100);
	const struct spool_message *x = spool_message(spool_index(b.spool), s);
	uint64_t before = 0;
	for (uint32_t i = 0; i < 12; i++) {
		spool_outcome(b.spool, bench_recipient(&b, s, i % 4), &o, i);
		assert_int_equal(x->state_segment, 0);
		assert_int_equal(x->state_offset, STATE_WAITING);
		if (i % 3 == 1) bench_sync(&b);
		spool_check(b.spool);
	}
	bench_sync(&b);
	uint32_t count = 0;
	struct buf octets;
	buf_init(&octets, 1 << 20);
	for (uint32_t number = x->state_segment, offset = x->state_offset; number; count++) {
		struct disk_record r;
		struct disk_state at;
		struct str payload;
		buf_clear(&octets);
		assert_int_equal(segment_read(b.spool, spool_segment(b.spool, number), offset, 4096,
					 &octets, RECORD_STATE, m.id, &r, &payload),
			0);
		assert_true(before == 0 || offset < before);
		before = offset;
		memcpy(&at, payload.ptr, sizeof(at));
		number = at.number;
		offset = at.offset;
	}
	assert_int_equal(count, 12);
	buf_release(&octets);
	bench_end(&b);
}

static void what_changes_nothing_is_not_written(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	bench_init(&b, SEGMENT);
	bench_open(&b);
	slot s = bench_accept(&b, &m, 1, 100), r = bench_recipient(&b, s, 0);
	spool_hold(b.spool, r, true);
	spool_set_due(b.spool, r, 9);
	spool_delay_told(b.spool, s);
	assert_int_equal(waiting_count(&b.spool->states), 3);
	spool_hold(b.spool, r, true);
	spool_set_due(b.spool, r, 9);
	spool_delay_told(b.spool, s);
	assert_int_equal(waiting_count(&b.spool->states), 3);
	spool_hold(b.spool, r, false);
	assert_int_equal(spool_recipient(spool_index(b.spool), r)->state, RECIPIENT_DUE);
	bench_end(&b);
}

static void a_sync_tells_even_when_nothing_waits(void **state)
{
	(void)state;
	struct bench b;
	bench_init(&b, SEGMENT);
	bench_open(&b);
	bench_sync(&b);
	struct bench_message m;
	slot s = bench_accept(&b, &m, 1, 100);
	uint64_t syncs = syncs_of(&b);
	bench_sync(&b);
	assert_int_equal(syncs_of(&b), syncs);
	spool_hold(b.spool, bench_recipient(&b, s, 0), true);
	bench_sync(&b);
	assert_int_equal(syncs_of(&b), syncs + 1);
	/* Attempts stay at 255.  */
	struct outcome o = bench_outcome(OUTCOME_DEFERRED, "later");
	for (int i = 0; i < 300; i++) spool_outcome(b.spool, bench_recipient(&b, s, 0), &o, 1);
	assert_int_equal(
		spool_recipient(spool_index(b.spool), bench_recipient(&b, s, 0))->attempts, 255);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remembers_outcomes),
		cmocka_unit_test(outcomes_leave_within_the_delay),
		cmocka_unit_test(records_of_a_message_are_a_chain),
		cmocka_unit_test(what_changes_nothing_is_not_written),
		cmocka_unit_test(a_sync_tells_even_when_nothing_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
