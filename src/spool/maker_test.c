#define SPOOL_TEST_FAULTS
#include "spool/test.h"

enum { SEGMENT = 64 << 10 };

static uint32_t files_of(const struct bench *b, off_t *ret_size)
{
	uint32_t count = 0, number;
	DIR *dir = opendir(b->path);
	for (struct dirent *e; (e = readdir(dir));) {
		char name[512];
		struct stat st;
		if (!segment_name_parse(e->d_name, &number)) continue;
		snprintf(name, sizeof(name), "%s/%s", b->path, e->d_name);
		if (stat(name, &st)) continue; /* it has just been removed */
		*ret_size = st.st_size;
		count++;
	}
	closedir(dir);
	return count;
}

static void a_few_are_ready(void **state)
{
	(void)state;
	struct bench b;
	off_t size;
	bench_init(&b, SEGMENT);
	bench_open(&b);
	bench_run(&b, 100);
	assert_int_equal(b.spool->segments.free_count, 2);
	assert_int_equal(files_of(&b, &size), 2);
	assert_int_equal(size, SEGMENT);
	/* One is taken, another is made.  */
	struct bench_message m;
	bench_accept(&b, &m, 1, 10);
	bench_run(&b, 100);
	assert_int_equal(b.spool->segments.free_count, 2);
	assert_int_equal(files_of(&b, &size), 3);
	bench_end(&b);
}

static void too_many_are_given_back(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m[200];
	off_t size;
	struct outcome sent = bench_outcome(OUTCOME_DELIVERED, "ok");
	bench_init(&b, SEGMENT);
	bench_open(&b);
	for (uint32_t i = 0; i < ARRAY_LEN(m); i++) bench_accept(&b, &m[i], 1, 6000);
	assert_true(files_of(&b, &size) > 20);
	for (uint32_t i = 0; i < ARRAY_LEN(m); i++)
		spool_outcome(b.spool, bench_recipient(&b, m[i].slot, 0), &sent, 0);
	bench_sync(&b);
	for (int i = 0; i < 200 && files_of(&b, &size) > 8; i++) bench_run(&b, 10);
	assert_true(files_of(&b, &size) <= 8);
	spool_check(b.spool);
	bench_end(&b);
}

/* While batches are large the log grows by itself; when they are small again files are made.  */
static void none_is_made_while_batches_are_large(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	bench_init(&b, 1 << 20);
	bench_open(&b);
	bench_run(&b, 100);
	assert_int_equal(b.spool->segments.free_count, 2);
	for (int i = 0; i < 20; i++) bench_accept(&b, &m, 1, 400 << 10);
	bench_run(&b, 100);
	assert_true(b.spool->large_batches);
	assert_int_equal(b.spool->segments.free_count, 0);
	for (int i = 0; i < 600; i++) bench_accept(&b, &m, 1, 10);
	bench_run(&b, 100);
	assert_false(b.spool->large_batches);
	assert_int_equal(b.spool->segments.free_count, 2);
	spool_check(b.spool);
	bench_end(&b);
}

static void those_of_another_size_are_replaced(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	off_t size;
	bench_init(&b, SEGMENT);
	bench_open(&b);
	bench_accept(&b, &m, 1, 10);
	bench_run(&b, 50);
	bench_close(&b);
	b.options.segment_size = 2 * SEGMENT;
	bench_open(&b);
	bench_run(&b, 100);
	assert_int_equal(b.report.messages, 1);
	struct outcome sent = bench_outcome(OUTCOME_DELIVERED, "ok");
	spool_outcome(
		b.spool, bench_recipient(&b, spool_find(spool_index(b.spool), m.id), 0), &sent, 0);
	for (int i = 0; i < 10; i++) {
		bench_sync(&b);
		bench_run(&b, 30);
	}
	LIST_EACH (&b.spool->segments.free, node)
		assert_int_equal(CONTAINER_OF(node, struct segment, link)->size, 2 * SEGMENT);
	(void)files_of(&b, &size);
	assert_int_equal(size, 2 * SEGMENT);
	bench_end(&b);
}

static void without_room_none_is_made_and_mail_goes_on(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	bench_init(&b, SEGMENT);
	fault.free_octets = SEGMENT + RECORD_BLOCK; /* for one, not for two */
	open_quick(&b);
	bench_run(&b, 50);
	assert_int_equal(b.spool->segments.free_count, 0);
	assert_int_equal(submit_and_wait(&b, &m, 1000), 0); /* a growing one */
	assert_int_equal(submit_and_wait(&b, &m, 1000), 0);
	spool_check(b.spool);
	no_faults();
	bench_close(&b);
	bench_open(&b);
	assert_int_equal(b.report.messages, 2);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_few_are_ready),
		cmocka_unit_test(too_many_are_given_back),
		cmocka_unit_test(none_is_made_while_batches_are_large),
		cmocka_unit_test(those_of_another_size_are_replaced),
		cmocka_unit_test(without_room_none_is_made_and_mail_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
