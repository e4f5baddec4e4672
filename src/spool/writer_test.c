/* Messages coming in: large ones, aborted ones, such as fit nowhere.  */
#include "spool/test.h"

enum { SEGMENT = 64 << 10 };

static void a_large_message_costs_chunks(void **state)
{
	(void)state;
	enum { PIECE = 64 << 10, SIZE = 50 << 20, BOUND = 8 * PIECE };
	struct bench b;
	struct bench_message m = {0};
	char *piece = malloc(PIECE);
	size_t most = 0;
	bench_init(&b, 0);
	bench_open(&b);
	assert_int_equal(spool_begin(b.spool, &m.writer, bench_resumed), 0);
	m.id = spool_writer_id(&m.writer);
	for (uint64_t at = 0; at < SIZE; at += PIECE) {
		for (size_t i = 0; i < PIECE; i++) piece[i] = bench_octet(m.id, at + i);
		m.resumed = false;
		enum spool_take take = spool_write(&m.writer, str_of(piece, PIECE));
		assert_int_not_equal(take, SPOOL_REFUSED);
		if (b.spool->buffers > most) most = b.spool->buffers;
		if (take == SPOOL_WAIT) assert_true(bench_wait(&b, &m.resumed, 10000));
	}
	bench_envelope(&m, 1, SIZE);
	m.op.done = bench_done;
	spool_commit(&m.writer, &m.envelope, 0, &m.op);
	assert_true(bench_wait(&b, &m.done, 20000));
	assert_int_equal(m.error, 0);
	assert_true(most <= BOUND);
	assert_int_equal(b.spool->buffers, 0);
	assert_int_equal(bench_read(&b, m.slot, SIZE), 0);
	spool_check(b.spool);
	bench_close(&b);
	bench_open(&b);
	assert_int_equal(bench_read(&b, spool_find(spool_index(b.spool), m.id), SIZE), 0);
	free(piece);
	bench_end(&b);
}

static void every_size_around_a_chunk(void **state)
{
	(void)state;
	struct bench b;
	bench_init(&b, SEGMENT);
	bench_open(&b);
	uint64_t chunk = b.spool->chunk_size;
	for (uint64_t n = 0; n < 4; n++)
		for (uint64_t size = n > 0 ? n * chunk - 2 : 0; size <= n * chunk + 2; size++) {
			struct bench_message m;
			assert_int_equal(bench_read(&b, bench_accept(&b, &m, 1, size), size), 0);
		}
	spool_check(b.spool);
	bench_end(&b);
}

static void what_is_aborted_leaves_nothing(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m = {0}, after;
	char piece[8192] = {0};
	bench_init(&b, SEGMENT);
	bench_open(&b);
	spool_abort(&m.writer); /* empty */
	for (int round = 0; round < 3; round++) {
		assert_int_equal(spool_begin(b.spool, &m.writer, bench_resumed), 0);
		for (int i = 0; i < 3; i++)
			assert_int_not_equal(spool_write(&m.writer, str_of(piece, sizeof(piece))),
				SPOOL_REFUSED);
		if (round > 0)
			bench_run(&b, round * 10); /* the chunks are on their way, or there */
		spool_check(b.spool);
		spool_abort(&m.writer);
		spool_check(b.spool);
	}
	bench_run(&b, 10);
	assert_int_equal(b.spool->buffers, 0);
	bench_accept(&b, &after, 1, 10);
	bench_close(&b);
	bench_open(&b);
	assert_int_equal(b.report.messages, 1);
	assert_int_equal(b.report.damaged_records, 0);
	bench_end(&b);
}

static void what_fits_nowhere_is_refused(void **state)
{
	(void)state;
	enum { MANY = 4000 };
	struct bench b;
	struct bench_message m = {0};
	bench_init(&b, SEGMENT);
	bench_open(&b);
	struct recipient *list = calloc(MANY, sizeof(*list));
	for (uint32_t i = 0; i < MANY; i++) list[i].address = STR("someone@example.org");
	for (uint32_t round = 0; round < 2; round++) {
		m = (struct bench_message){.op.done = bench_done};
		assert_int_equal(spool_begin(b.spool, &m.writer, bench_resumed), 0);
		m.envelope =
			(struct envelope){.recipients = list, .recipient_count = round ? 0 : MANY};
		spool_commit(&m.writer, &m.envelope, 0, &m.op);
		assert_true(bench_wait(&b, &m.done, 5000));
		assert_int_equal(m.error, round ? -EINVAL : -EFBIG);
		spool_check(b.spool);
	}
	free(list);
	bench_accept(&b, &m, 1, 10);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_large_message_costs_chunks),
		cmocka_unit_test(every_size_around_a_chunk),
		cmocka_unit_test(what_is_aborted_leaves_nothing),
		cmocka_unit_test(what_fits_nowhere_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
