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
		cmocka_unit_test(refuses_a_second_server),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
