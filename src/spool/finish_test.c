/* What follows from batches that fail.  */
#define SPOOL_TEST_FAULTS
#include "spool/test.h"

enum { SEGMENT = 64 << 10 };

/* The octets of the refused message are on the disk, whole: only the list in the next segment
 * makes them void.  */
static void a_failed_sync_refuses_and_passes(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message first, second, lost, later;
	bench_init(&b, SEGMENT);
	open_quick(&b);
	slot s = bench_accept(&b, &first, 2, 1000);
	slot ends = bench_accept(&b, &second, 1, 1000);
	fault.sync_error = EIO;
	struct outcome o = bench_outcome(OUTCOME_DEFERRED, "come again"),
		       sent = bench_outcome(OUTCOME_DELIVERED, "ok");
	spool_outcome(b.spool, bench_recipient(&b, s, 1), &o, 77);
	assert_true(spool_outcome(b.spool, bench_recipient(&b, ends, 0), &sent, 0));
	assert_int_equal(submit_and_wait(&b, &lost, 1000), -EIO);
	spool_check(b.spool);
	assert_int_equal(spool_find(spool_index(b.spool), lost.id), 0);
	struct spool_stats stats;
	spool_stats(b.spool, &stats);
	assert_true(stats.sick);
	assert_int_equal(bench_submit(&b, &later, 1, 10), -EIO);
	bench_run(&b, 80); /* some trials fail */
	assert_int_equal(count_told(&b, "spool-sick"), 1);
	assert_int_equal(b.recovered, 0);
	spool_check(b.spool);
	no_faults();
	wait_well(&b);
	spool_check(b.spool);
	assert_int_equal(submit_and_wait(&b, &later, 500), 0);
	for (int round = 0; round < 2; round++) {
		spool_check(b.spool);
		assert_int_equal(spool_find(spool_index(b.spool), lost.id), 0);
		assert_int_equal(spool_find(spool_index(b.spool), second.id), 0);
		assert_int_not_equal(spool_find(spool_index(b.spool), later.id), 0);
		s = spool_find(spool_index(b.spool), first.id);
		assert_int_not_equal(s, 0);
		const struct spool_recipient *r =
			spool_recipient(spool_index(b.spool), bench_recipient(&b, s, 1));
		assert_int_equal(r->due, 77);
		assert_int_equal(r->attempts, 1);
		assert_int_equal(bench_read(&b, s, 1000), 0);
		bench_close(&b);
		bench_open(&b);
		assert_int_equal(b.report.damaged_records, 0);
	}
	bench_end(&b);
}

static void the_first_batch_of_a_spool_may_fail(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	bench_init(&b, SEGMENT);
	open_quick(&b);
	bench_run(&b, 20);
	fault.sync_error = EIO;
	assert_int_equal(submit_and_wait(&b, &m, 100), -EIO);
	uint64_t lost = m.id;
	bench_run(&b, 200);
	spool_check(b.spool);
	struct spool_stats stats;
	spool_stats(b.spool, &stats);
	assert_true(stats.segments <= 4); /* trials leave no files behind */
	no_faults();
	wait_well(&b);
	assert_int_equal(submit_and_wait(&b, &m, 100), 0);
	bench_close(&b);
	bench_open(&b);
	assert_int_equal(b.report.messages, 1);
	assert_int_equal(spool_find(spool_index(b.spool), lost), 0);
	bench_end(&b);
}

/* The chunks that were written before the failure are in doubt, though their own write had
 * succeeded.  */
static void a_message_with_chunks_in_doubt_is_refused(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message large, other;
	char piece[4096] = {0};
	bench_init(&b, SEGMENT);
	open_quick(&b);
	bench_accept(&b, &other, 1, 10);
	large = (struct bench_message){0};
	assert_int_equal(spool_begin(b.spool, &large.writer, bench_resumed), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(
			spool_write(&large.writer, str_of(piece, sizeof(piece))), SPOOL_TAKEN);
	bench_run(&b, 20);
	spool_check(b.spool);
	fault.sync_error = EIO;
	assert_int_equal(submit_and_wait(&b, &other, 10), -EIO);
	no_faults();
	wait_well(&b);
	assert_int_equal(spool_write(&large.writer, str_of(piece, sizeof(piece))), SPOOL_REFUSED);
	spool_check(b.spool);
	spool_abort(&large.writer);
	spool_abort(&large.writer);
	spool_check(b.spool);
	bench_end(&b);
}

static void waiting_for_room_ends_when_the_disk_fails(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message large = {0}, other;
	char piece[8192] = {0};
	bench_init(&b, SEGMENT);
	open_quick(&b);
	bench_accept(&b, &other, 1, 10);
	assert_int_equal(spool_begin(b.spool, &large.writer, bench_resumed), 0);
	enum spool_take take = SPOOL_TAKEN;
	for (int i = 0; i < 20 && take == SPOOL_TAKEN; i++)
		take = spool_write(&large.writer, str_of(piece, sizeof(piece)));
	assert_int_equal(take, SPOOL_WAIT);
	fault.write_error = EIO;
	assert_true(bench_wait(&b, &large.resumed, 5000));
	assert_int_equal(spool_write(&large.writer, str_of(piece, 1)), SPOOL_REFUSED);
	spool_abort(&large.writer);
	no_faults();
	wait_well(&b);
	bench_end(&b);
}

static void sealing_may_fail(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m[40];
	bench_init(&b, SEGMENT);
	open_quick(&b);
	uint32_t segment = 0, accepted = 0;
	bool failed = false;
	for (uint32_t i = 0; i < 40; i++) {
		if (b.spool->open) segment = b.spool->open->number;
		bool last = b.spool->open && b.spool->open->end + 4 * RECORD_BLOCK > SEGMENT;
		if (last && !failed) {
			/* The next batch does not fit: the sync that fails is that of the
			 * index.  */
			failed = true;
			fault.sync_error = EIO;
			int error = submit_and_wait(&b, &m[i], 7000);
			assert_int_equal(error, -EIO);
			no_faults();
			wait_well(&b);
			continue;
		}
		assert_int_equal(submit_and_wait(&b, &m[i], 7000), 0);
		accepted++;
		spool_check(b.spool);
	}
	assert_true(failed && segment > 0);
	bench_close(&b);
	bench_open(&b);
	assert_int_equal(b.report.messages, accepted);
	assert_int_equal(b.report.damaged_records, 0);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failed_sync_refuses_and_passes),
		cmocka_unit_test(the_first_batch_of_a_spool_may_fail),
		cmocka_unit_test(a_message_with_chunks_in_doubt_is_refused),
		cmocka_unit_test(waiting_for_room_ends_when_the_disk_fails),
		cmocka_unit_test(sealing_may_fail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
