/* Group commit: what shares a batch, and what asks for a sync.  */
#define SPOOL_TEST_FAULTS
#include "spool/test.h"

enum { SEGMENT = 1 << 20, MANY = 100 };

static void many_share_a_sync(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message *m = calloc(MANY, sizeof(*m));
	struct spool_stats before, after;
	bench_init(&b, SEGMENT);
	bench_open(&b);
	bench_accept(&b, &m[0], 1, 100);
	bench_run(&b, 50); /* until the files are made */
	spool_stats(b.spool, &before);
	unsigned long syncs = fault.syncs;
	for (uint32_t i = 0; i < MANY; i++) assert_int_equal(bench_submit(&b, &m[i], 1, 2000), 0);
	assert_true(bench_wait(&b, &m[MANY - 1].done, 5000));
	for (uint32_t i = 0; i < MANY; i++) assert_true(m[i].done && m[i].error == 0);
	spool_stats(b.spool, &after);
	assert_int_equal(after.batch_messages - before.batch_messages, MANY);
	assert_int_equal(after.batches - before.batches, 1);
	assert_int_equal(fault.syncs - syncs, 1);
	/* Padded as a batch, not as records.  */
	assert_true(after.octets_written - before.octets_written < MANY * 2300);
	assert_int_equal(b.spool->open->end % RECORD_BLOCK, 0);
	free(m);
	bench_end(&b);
}

static void what_comes_during_a_batch_is_in_the_next(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message first, rest[20];
	struct spool_stats before, after;
	bench_init(&b, SEGMENT);
	bench_open(&b);
	bench_accept(&b, &first, 1, 100);
	spool_stats(b.spool, &before);
	for (int round = 0; round < 10; round++) {
		bool never = false;
		assert_int_equal(bench_submit(&b, &first, 1, 90000),
			0); /* too large to be run on the loop */
		never = true;
		(void)bench_wait(&b, &never, 1000); /* one turn: the batch is on its way */
		if (!first.done)
			for (uint32_t i = 0; i < ARRAY_LEN(rest); i++)
				assert_int_equal(bench_submit(&b, &rest[i], 1, 50), 0);
		else
			rest[ARRAY_LEN(rest) - 1].done = true;
		assert_true(bench_wait(&b, &rest[ARRAY_LEN(rest) - 1].done, 5000));
		assert_true(first.done);
	}
	spool_stats(b.spool, &after);
	assert_true(after.syncs - before.syncs <= 2 * 10 + 2);
	bench_end(&b);
}

static void chunks_alone_ask_for_no_sync(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m, large = {0};
	char piece[64 << 10] = {0};
	bench_init(&b, SEGMENT);
	bench_open(&b);
	bench_accept(&b, &m, 1, 10);
	bench_run(&b, 50);
	unsigned long syncs = fault.syncs;
	uint64_t end = b.spool->open->end;
	assert_int_equal(spool_begin(b.spool, &large.writer, bench_resumed), 0);
	for (int i = 0; i < 3; i++)
		assert_int_not_equal(
			spool_write(&large.writer, str_of(piece, sizeof(piece))), SPOOL_REFUSED);
	bench_run(&b, 50);
	assert_true(b.spool->open->end > end);
	assert_true(b.spool->open->synced == end);
	assert_int_equal(fault.syncs, syncs);
	bench_envelope(&large, 1, 3 * sizeof(piece));
	large.op.done = bench_done;
	spool_commit(&large.writer, &large.envelope, 0, &large.op);
	assert_true(bench_wait(&b, &large.done, 5000));
	assert_int_equal(fault.syncs, syncs + 1);
	assert_int_equal(b.spool->open->synced, b.spool->open->end);
	bench_end(&b);
}

static void closing_writes_what_waits(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	bench_init(&b, SEGMENT);
	b.options.outcome_delay = 60000;
	bench_open(&b);
	slot s = bench_accept(&b, &m, 1, 10);
	spool_hold(b.spool, bench_recipient(&b, s, 0), true);
	bench_close(&b);
	bench_open(&b);
	s = spool_find(spool_index(b.spool), m.id);
	assert_int_equal(spool_recipient(spool_index(b.spool), bench_recipient(&b, s, 0))->state,
		RECIPIENT_HELD);
	/* On a disk that refuses it ends all the same, and says so.  */
	spool_hold(b.spool, bench_recipient(&b, s, 0), false);
	fault.sync_error = EIO;
	bench_close(&b);
	no_faults();
	assert_true(bench_was_told(&b, "spool-outcomes-lost"));
	bench_open(&b);
	assert_int_equal(b.report.messages, 1);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_share_a_sync),
		cmocka_unit_test(what_comes_during_a_batch_is_in_the_next),
		cmocka_unit_test(chunks_alone_ask_for_no_sync),
		cmocka_unit_test(closing_writes_what_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
