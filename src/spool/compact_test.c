/* Segments are freed, or emptied and freed; model_test.c shows that nothing is lost or comes
 * back.  */
#define SPOOL_TEST_FAULTS
#include "spool/test.h"

enum { SEGMENT = 64 << 10, MANY = 60 };

static const struct outcome sent = {.class = OUTCOME_DELIVERED, .code = 250};

static void end_of(struct bench *b, const struct bench_message *m)
{
	slot s = spool_find(spool_index(b->spool), m->id);
	assert_true(spool_outcome(b->spool, bench_recipient(b, s, 0), &sent, 0));
}

static bool settles(struct bench *b, const struct segment *g)
{
	for (int i = 0; i < 200 && g->state == SEGMENT_SEALED; i++) bench_run(b, 5);
	return g->state != SEGMENT_SEALED;
}

static void fill(struct bench *b, struct bench_message *m, uint64_t spare_segments)
{
	bench_init(b, SEGMENT);
	open_quick(b);
	b->spool->spare_segments = spare_segments;
	for (uint32_t i = 0; i < MANY; i++) bench_accept(b, &m[i], 1, 3000);
}

static void an_empty_segment_is_freed_without_copying(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m[MANY];
	struct spool_stats stats;
	fill(&b, m, 4);
	uint32_t number = spool_message(spool_index(b.spool), m[0].slot)->segment;
	const struct segment *g = spool_segment(b.spool, number);
	uint32_t accepts = 0;
	for (uint32_t i = 0; i < MANY; i++)
		accepts += spool_message(spool_index(b.spool), m[i].slot)->segment == number;
	for (uint32_t i = 0; i < accepts; i++) end_of(&b, &m[i]);
	assert_int_equal(g->refs, accepts); /* until the done records are synced */
	assert_true(settles(&b, g));
	spool_stats(b.spool, &stats);
	assert_int_equal(stats.moved_messages, 0);
	spool_check(b.spool);
	bench_end(&b);
}

static void a_sparse_segment_is_emptied(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m[MANY];
	struct spool_stats stats;
	fill(&b, m, 0);
	uint32_t number = spool_message(spool_index(b.spool), m[0].slot)->segment;
	const struct segment *g = spool_segment(b.spool, number);
	for (uint32_t i = 1; i < MANY / 2; i++) end_of(&b, &m[i]);
	assert_true(settles(&b, g));
	spool_stats(b.spool, &stats);
	assert_true(stats.moved_messages > 0);
	assert_int_equal(bench_read(&b, spool_find(spool_index(b.spool), m[0].id), 3000), 0);
	assert_int_not_equal(spool_message(spool_index(b.spool), m[0].slot)->segment, number);
	spool_check(b.spool);
	bench_close(&b);
	bench_open(&b);
	assert_int_equal(b.report.messages, MANY - MANY / 2 + 1);
	bench_end(&b);
}

/* With room to wait in, what is dead tomorrow is not copied today.  */
static void nothing_is_moved_before_it_is_crowded(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m[MANY];
	struct spool_stats stats;
	fill(&b, m, 4);
	uint32_t number = spool_message(spool_index(b.spool), m[0].slot)->segment;
	for (uint32_t i = 1; i < MANY / 4; i++) end_of(&b, &m[i]);
	assert_false(settles(&b, spool_segment(b.spool, number)));
	spool_stats(b.spool, &stats);
	assert_int_equal(stats.moved_messages, 0);
	bench_end(&b);
}

static void a_damaged_message_keeps_its_segment(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m[MANY];
	char name[512];
	fill(&b, m, 0);
	const struct spool_message *x = spool_message(spool_index(b.spool), m[0].slot);
	const struct segment *g = spool_segment(b.spool, x->segment);
	snprintf(name, sizeof(name), "%s/log-%06u", b.path, g->number);
	int fd = open(name, O_WRONLY);
	assert_int_equal(pwrite(fd, "spoilt", 6, (off_t)x->offset * RECORD_ALIGN + 200), 6);
	close(fd);
	for (uint32_t i = 1; i < MANY / 2; i++) end_of(&b, &m[i]);
	assert_false(settles(&b, g));
	assert_true(bench_was_told(&b, "spool-message-damaged"));
	assert_true(x->flags & SPOOL_MESSAGE_DAMAGED);
	spool_check(b.spool);
	/* When it has ended there is nothing to keep.  */
	end_of(&b, &m[0]);
	for (uint32_t i = 0; i < 3 * MANY && g->state == SEGMENT_SEALED; i++) {
		bench_accept(&b, &m[1], 1, 3000);
		end_of(&b, &m[1]);
		bench_run(&b, 5);
	}
	assert_true(settles(&b, g));
	bench_end(&b);
}

static void done_records_outlive_what_they_void(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m[MANY], one;
	fill(&b, m, 0);
	/* A segment that stays (as long as compaction lets it: batches end where they end), with a message in it that
	 * ends...  */
	uint32_t number = spool_message(spool_index(b.spool), m[0].slot)->segment;
	for (uint32_t i = 0; i < MANY && b.spool->open->number == number; i++) {
		bench_accept(&b, &one, 1, 3000);
		end_of(&b, &one);
	}
	end_of(&b, &m[0]);
	bench_sync(&b);
	const struct segment *done_in = b.spool->open;
	assert_int_not_equal(done_in->number, number);
	/* ... and the segment of its done record emptied, more than once.  */
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 40; i++) {
			bench_accept(&b, &one, 1, 3000);
			end_of(&b, &one);
			bench_run(&b, 2);
		}
		bench_sync(&b);
		bench_close(&b);
		open_quick(&b);
		assert_int_equal(spool_find(spool_index(b.spool), m[0].id), 0);
		assert_int_not_equal(spool_find(spool_index(b.spool), m[1].id), 0);
		spool_check(b.spool);
	}
	bench_end(&b);
}

static void a_failed_batch_moves_nothing(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m[MANY];
	fill(&b, m, 0);
	uint32_t number = spool_message(spool_index(b.spool), m[0].slot)->segment;
	const struct segment *g = spool_segment(b.spool, number);
	for (uint32_t i = 1; i < MANY / 2; i++) end_of(&b, &m[i]);
	bench_sync(&b);
	fault.sync_error = EIO;
	bench_run(&b, 60);
	spool_check(b.spool);
	assert_int_equal(spool_message(spool_index(b.spool), m[0].slot)->segment, number);
	no_faults();
	assert_true(settles(&b, g));
	assert_int_equal(bench_read(&b, m[0].slot, 3000), 0);
	spool_check(b.spool);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_segment_is_freed_without_copying),
		cmocka_unit_test(a_sparse_segment_is_emptied),
		cmocka_unit_test(nothing_is_moved_before_it_is_crowded),
		cmocka_unit_test(a_damaged_message_keeps_its_segment),
		cmocka_unit_test(done_records_outlive_what_they_void),
		cmocka_unit_test(a_failed_batch_moves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
