/* A disk, and memory, that are full and come back.  */
#define SPOOL_TEST_FAULTS
#include "spool/test.h"

enum { SEGMENT = 64 << 10 };

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
	assert_int_equal(count_told(&b, "spool-room"), 1);
	assert_int_equal(submit_and_wait(&b, &m, 100), 0);
	bench_end(&b);
}

/* With the disk full, what is dead is made room of, though there would be time otherwise.  */
static void a_full_disk_is_tidied(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m[40];
	struct outcome sent = bench_outcome(OUTCOME_DELIVERED, "ok");
	bench_init(&b, SEGMENT);
	open_quick(&b);
	b.spool->spare_segments = 100;
	for (uint32_t i = 0; i < ARRAY_LEN(m); i++) bench_accept(&b, &m[i], 1, 6000);
	fault.free_octets = RECORD_BLOCK;
	for (uint32_t i = 0; i < ARRAY_LEN(m); i++)
		if (i % 7 != 0) spool_outcome(b.spool, bench_recipient(&b, m[i].slot, 0), &sent, 0);
	bench_run(&b, 1100);
	struct bench_message more = {0};
	int error = 0;
	for (int i = 0; i < 40 && error == 0; i++) error = submit_and_wait(&b, &more, 6000);
	assert_int_equal(error, -ENOSPC);
	for (int i = 0; i < 400 && b.recovered == 0; i++) bench_run(&b, 10);
	assert_true(b.recovered > 0);
	assert_int_equal(submit_and_wait(&b, &more, 6000), 0);
	spool_check(b.spool);
	no_faults();
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
	for (int i = 0; i < 40 && take == SPOOL_TAKEN; i++)
		take = spool_write(&held.writer, str_of(piece, sizeof(piece)));
	assert_int_equal(take, SPOOL_REFUSED);
	spool_abort(&held.writer);
	assert_int_equal(count_told(&b, "spool-room"), 0);
	wait_well(&b);
	assert_int_equal(count_told(&b, "spool-room"), 1);
	spool_check(b.spool);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_disk_refuses_and_passes),
		cmocka_unit_test(disk_free_is_kept),
		cmocka_unit_test(a_full_disk_is_tidied),
		cmocka_unit_test(memory_max_is_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
