#include "spool/test.h"

enum { SEGMENT = 256 << 10 };

static void accepts_and_reads(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	bench_init(&b, SEGMENT);
	bench_open(&b);
	slot s = bench_accept(&b, &m, 1, 4096);
	assert_int_equal(spool_find(spool_index(b.spool), m.id), s);
	assert_int_equal(bench_read(&b, s, 4096), 0);
	spool_check(b.spool);
	bench_end(&b);
}

static void survives_reopening(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	uint64_t sizes[] = {0, 1, 4096, 30000, 32768, 32769, 100000, 65536};
	uint64_t ids[ARRAY_LEN(sizes)];
	bench_init(&b, SEGMENT);
	bench_open(&b);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		slot s = bench_accept(&b, &m, 1 + (uint32_t)i % 3, sizes[i]);
		ids[i] = m.id;
		assert_int_equal(bench_read(&b, s, sizes[i]), 0);
	}
	spool_check(b.spool);
	for (int round = 0; round < 3; round++) {
		bench_close(&b);
		bench_open(&b);
		spool_check(b.spool);
		assert_int_equal(b.report.messages, ARRAY_LEN(sizes));
		assert_int_equal(b.report.damaged_records, 0);
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			slot s = spool_find(spool_index(b.spool), ids[i]);
			assert_int_not_equal(s, 0);
			assert_int_equal(bench_read(&b, s, sizes[i]), 0);
		}
	}
	bench_end(&b);
}

static void remembers_outcomes(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	bench_init(&b, SEGMENT);
	bench_open(&b);
	slot s = bench_accept(&b, &m, 3, 1000);
	slot r0 = bench_recipient(&b, s, 0), r1 = bench_recipient(&b, s, 1), r2 = bench_recipient(&b, s, 2);
	struct outcome deferred = bench_outcome(OUTCOME_DEFERRED, "greylisted"), sent = bench_outcome(OUTCOME_DELIVERED, "ok");
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
	const struct spool_recipient *r = spool_recipient(spool_index(b.spool), bench_recipient(&b, s, 0));
	assert_int_equal(r->due, 2000);
	assert_int_equal(r->attempts, 2);
	assert_int_equal(r->state, RECIPIENT_DUE);
	assert_int_equal(spool_recipient(spool_index(b.spool), bench_recipient(&b, s, 1))->state, RECIPIENT_DONE);
	assert_int_equal(spool_recipient(spool_index(b.spool), bench_recipient(&b, s, 2))->state, RECIPIENT_HELD);
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

static void refuses_a_second_server(void **state)
{
	(void)state;
	struct bench b;
	bench_init(&b, SEGMENT);
	bench_open(&b);
	struct spool *other;
	struct spool_report report;
	const char *why;
	assert_int_equal(spool_open(b.io, &b.options, &other, &report, &why), -EWOULDBLOCK);
	assert_non_null(why);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_and_reads),
		cmocka_unit_test(survives_reopening),
		cmocka_unit_test(remembers_outcomes),
		cmocka_unit_test(refuses_a_second_server),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
