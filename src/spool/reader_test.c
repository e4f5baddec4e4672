/* Reading, also while the log changes below.  */
#include "spool/test.h"

enum { SEGMENT = 64 << 10 };

static void reading_begins_again(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	struct spool_reader r;
	struct str octets;
	bench_init(&b, SEGMENT);
	bench_open(&b);
	slot s = bench_accept(&b, &m, 2, 20000);
	assert_int_equal(spool_read_open(b.spool, s, &r), 0);
	assert_str(r.envelope.reverse_path, "sender@example.org");
	assert_int_equal(r.envelope.recipient_count, 2);
	assert_int_equal(r.size, 20000);
	for (int round = 0; round < 3; round++) {
		uint64_t sum = 0;
		for (int i = 0; i <= round; i++) {
			assert_int_equal(spool_read(&r, &octets), 0);
			assert_int_equal(octets.ptr[0], bench_octet(m.id, sum));
			sum += octets.len;
		}
		assert_int_equal(r.position, sum);
		spool_read_rewind(&r);
	}
	spool_read_close(&r);
	spool_read_close(&r); /* harmless */
	bench_end(&b);
}

/* The message ends, its segments are emptied, new mail comes: the reader still reads what was
 * there.  */
static void what_is_being_read_stays(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m, other;
	struct spool_reader r;
	struct str octets;
	struct outcome sent = bench_outcome(OUTCOME_DELIVERED, "ok");
	bench_init(&b, SEGMENT);
	bench_open(&b);
	slot s = bench_accept(&b, &m, 1, 30000);
	assert_int_equal(spool_read_open(b.spool, s, &r), 0);
	const struct segment *g = spool_segment(b.spool, r.pinned);
	uint64_t generation = g->generation;
	assert_true(spool_outcome(b.spool, bench_recipient(&b, s, 0), &sent, 0));
	for (int i = 0; i < 60; i++) {
		slot t = bench_accept(&b, &other, 1, 5000);
		spool_outcome(b.spool, bench_recipient(&b, t, 0), &sent, 0);
		if (i % 10 == 0) bench_run(&b, 30);
		spool_check(b.spool);
	}
	assert_int_equal(g->generation, generation);
	assert_int_equal(g->state, SEGMENT_SEALED);
	uint64_t at = 0;
	do {
		assert_int_equal(spool_read(&r, &octets), 0);
		for (size_t i = 0; i < octets.len; i++, at++)
			assert_int_equal(octets.ptr[i], bench_octet(m.id, at));
	} while (octets.len > 0);
	assert_int_equal(at, 30000);
	spool_read_close(&r);
	for (int i = 0; i < 60 && g->state == SEGMENT_SEALED; i++) {
		bench_accept(&b, &other, 1, 100);
		bench_run(&b, 10);
	}
	assert_int_not_equal(g->state, SEGMENT_SEALED);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_begins_again),
		cmocka_unit_test(what_is_being_read_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
