/* A disk that fails, fills up, and comes back.  */
#include "spool/fault.h"
#include "spool/test.h"

enum { SEGMENT = 64 << 10 };

static void no_faults(void) { memset(&fault, 0, sizeof(fault)); }

static void open_quick(struct bench *b)
{
	bench_open(b);
	b->spool->health_ms = 10;
}

static void wait_well(struct bench *b)
{
	unsigned before = b->recovered;
	for (int i = 0; i < 100 && b->recovered == before; i++) bench_run(b, 10);
	assert_int_equal(b->recovered, before + 1);
}

static int submit_and_wait(struct bench *b, struct bench_message *m, uint64_t size)
{
	int error = bench_submit(b, m, 1, size);
	if (error) return error;
	assert_true(bench_wait(b, &m->done, 10000));
	return m->error;
}

static uint32_t count_told(struct bench *b, const char *event)
{
	uint32_t count = 0;
	log_flush(&b->log);
	for (struct str rest = buf_str(&b->told), line; rest.len > 0;) {
		(void)str_cut(&rest, '\n', &line);
		if (str_contains(line, str_from_c(event))) count++;
	}
	return count;
}

/* The octets of the refused message are on the disk, whole: only the list in the next segment makes them void.  */
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
	struct outcome o = bench_outcome(OUTCOME_DEFERRED, "come again"), sent = bench_outcome(OUTCOME_DELIVERED, "ok");
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
		const struct spool_recipient *r = spool_recipient(spool_index(b.spool), bench_recipient(&b, s, 1));
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

static void a_full_disk_refuses_and_passes(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	bench_init(&b, SEGMENT);
	open_quick(&b);
	bench_accept(&b, &m, 1, 1000);
	fault.write_error = ENOSPC;
	assert_int_equal(submit_and_wait(&b, &m, 1000), -ENOSPC);
	assert_int_equal(bench_submit(&b, &m, 1, 1000), -ENOSPC);
	no_faults();
	wait_well(&b);
	assert_int_equal(submit_and_wait(&b, &m, 1000), 0);
	spool_check(b.spool);
	bench_end(&b);
}

/* The chunks that were written before the failure are in doubt, though their own write had succeeded.  */
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
	for (int i = 0; i < 5; i++) assert_int_equal(spool_write(&large.writer, str_of(piece, sizeof(piece))), SPOOL_TAKEN);
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
	for (int i = 0; i < 20 && take == SPOOL_TAKEN; i++) take = spool_write(&large.writer, str_of(piece, sizeof(piece)));
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
			/* The next batch does not fit: the sync that fails is that of the index.  */
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

static void disk_free_is_kept(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	bench_init(&b, SEGMENT);
	b.options.disk_free = 1 << 20;
	open_quick(&b);
	bench_accept(&b, &m, 1, 100);
	fault.free_octets = 1 << 19;
	bench_run(&b, 1100);
	assert_int_equal(bench_submit(&b, &m, 1, 100), -ENOSPC);
	assert_int_equal(bench_submit(&b, &m, 1, 100), -ENOSPC);
	assert_int_equal(count_told(&b, "spool-full"), 1);
	/* What is here can still end.  */
	struct outcome sent = bench_outcome(OUTCOME_DELIVERED, "ok");
	slot s = spool_find(spool_index(b.spool), m.id);
	(void)s;
	for (slot i = 1; i < spool_recipient_end(spool_index(b.spool)); i++)
		if (spool_recipient(spool_index(b.spool), i)->state == RECIPIENT_ACTIVE)
			assert_true(spool_outcome(b.spool, i, &sent, 0));
	bench_sync(&b);
	no_faults();
	for (int i = 0; i < 300 && b.recovered == 0; i++) bench_run(&b, 10);
	assert_int_equal(b.recovered, 1);
	assert_int_equal(submit_and_wait(&b, &m, 100), 0);
	bench_end(&b);
}

static void memory_max_is_kept(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m, held = {0};
	char piece[4096] = {0};
	bench_init(&b, 4 << 20);
	b.options.memory_max = 64 << 10;
	open_quick(&b);
	assert_int_equal(spool_begin(b.spool, &held.writer, bench_resumed), 0);
	enum spool_take take = SPOOL_TAKEN;
	for (int i = 0; i < 14; i++) take = spool_write(&held.writer, str_of(piece, sizeof(piece)));
	assert_int_equal(take, SPOOL_TAKEN);
	assert_int_equal(bench_submit(&b, &m, 1, 100), -ENOMEM);
	assert_int_equal(count_told(&b, "spool-memory"), 1);
	for (int i = 0; i < 40 && take == SPOOL_TAKEN; i++) take = spool_write(&held.writer, str_of(piece, sizeof(piece)));
	assert_int_equal(take, SPOOL_REFUSED);
	spool_abort(&held.writer);
	wait_well(&b);
	spool_check(b.spool);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failed_sync_refuses_and_passes),
		cmocka_unit_test(the_first_batch_of_a_spool_may_fail),
		cmocka_unit_test(a_full_disk_refuses_and_passes),
		cmocka_unit_test(a_message_with_chunks_in_doubt_is_refused),
		cmocka_unit_test(waiting_for_room_ends_when_the_disk_fails),
		cmocka_unit_test(sealing_may_fail),
		cmocka_unit_test(disk_free_is_kept),
		cmocka_unit_test(memory_max_is_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
