/* What a moved message takes along.  */
#include "spool/test.h"

enum { SEGMENT = 64 << 10, FILLERS = 80 };

/* Fill segments with mail that ends at once, until those that hold m have been emptied.  */
static void push_out(struct bench *b, const struct bench_message *m)
{
	struct outcome sent = {.class = OUTCOME_DELIVERED};
	struct bench_message one;
	struct spool_stats before, now;
	spool_stats(b->spool, &before);
	for (uint32_t i = 0; i < FILLERS; i++) {
		slot s = bench_accept(b, &one, 1, 5000);
		spool_outcome(b->spool, bench_recipient(b, s, 0), &sent, 0);
		bench_run(b, 3);
		spool_check(b->spool);
	}
	spool_stats(b->spool, &now);
	assert_true(now.moved_messages > before.moved_messages);
	assert_int_not_equal(spool_find(spool_index(b->spool), m->id), 0);
}

static void a_message_with_chunks_moves_whole(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	bench_init(&b, SEGMENT);
	bench_open(&b);
	bench_accept(&b, &m, 2, 13000); /* one chunk, and the rest */
	push_out(&b, &m);
	assert_int_equal(bench_read(&b, spool_find(spool_index(b.spool), m.id), 13000), 0);
	bench_close(&b);
	bench_open(&b);
	assert_int_equal(b.report.damaged_records, 0);
	assert_int_equal(bench_read(&b, spool_find(spool_index(b.spool), m.id), 13000), 0);
	bench_end(&b);
}

static void states_and_reasons_move_along(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	struct outcome o, later = bench_outcome(OUTCOME_DEFERRED, "first"),
			  sent = bench_outcome(OUTCOME_DELIVERED, "ok");
	struct arena arena;
	bench_init(&b, SEGMENT);
	bench_open(&b);
	slot s = bench_accept(&b, &m, 4, 100);
	spool_outcome(b.spool, bench_recipient(&b, s, 0), &later, 11);
	later.text = STR("second");
	spool_outcome(b.spool, bench_recipient(&b, s, 1), &later, 22);
	spool_hold(b.spool, bench_recipient(&b, s, 1), true);
	spool_outcome(b.spool, bench_recipient(&b, s, 2), &sent, 0);
	spool_delay_told(b.spool, s);
	for (int round = 0; round < 4; round++) {
		if (round % 2 == 0) push_out(&b, &m);
		arena_init(&arena, 1 << 20);
		s = spool_find(spool_index(b.spool), m.id);
		const struct spool_message *x = spool_message(spool_index(b.spool), s);
		assert_int_equal(x->open, 3);
		assert_true(x->flags & SPOOL_MESSAGE_DELAY_TOLD);
		assert_true(spool_reason(b.spool, bench_recipient(&b, s, 0), &arena, &o));
		assert_str(o.text, "first");
		assert_true(spool_reason(b.spool, bench_recipient(&b, s, 1), &arena, &o));
		assert_str(o.text, "second");
		assert_false(spool_reason(b.spool, bench_recipient(&b, s, 3), &arena, &o));
		const struct spool_recipient *r =
			spool_recipient(spool_index(b.spool), bench_recipient(&b, s, 1));
		assert_int_equal(r->state, RECIPIENT_HELD);
		assert_int_equal(r->due, 22);
		arena_release(&arena);
		bench_close(&b);
		bench_open(&b);
	}
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_with_chunks_moves_whole),
		cmocka_unit_test(states_and_reasons_move_along),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
