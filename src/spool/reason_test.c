#include "spool/test.h"

enum { SEGMENT = 64 << 10 };

static void expect(struct bench *b, slot recipient, const char *want)
{
	struct arena arena;
	struct outcome o;
	arena_init(&arena, 1 << 20);
	bool has = spool_reason(b->spool, recipient, &arena, &o);
	assert_int_equal(has, want != NULL);
	if (has) {
		assert_str(o.text, want);
		assert_str(o.host, "mx.example.net[192.0.2.1]:25");
		assert_int_equal(o.class, OUTCOME_DEFERRED);
	}
	arena_release(&arena);
}

/* Waiting in memory, on disk, and across both.  */
static void the_latest_of_each_recipient(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	struct outcome o = bench_outcome(OUTCOME_DEFERRED, "");
	bench_init(&b, SEGMENT);
	b.options.outcome_delay = 60000;
	bench_open(&b);
	slot s = bench_accept(&b, &m, 3, 100), r[3];
	for (uint32_t i = 0; i < 3; i++) r[i] = bench_recipient(&b, s, i);
	expect(&b, r[0], NULL);
	o.text = STR("one");
	spool_outcome(b.spool, r[0], &o, 1);
	expect(&b, r[0], "one");
	expect(&b, r[1], NULL);
	bench_sync(&b);
	expect(&b, r[0], "one");
	expect(&b, r[1], NULL);
	o.text = STR("two");
	spool_outcome(b.spool, r[1], &o, 1);
	expect(&b, r[0], "one"); /* behind one that waits */
	expect(&b, r[1], "two");
	spool_hold(b.spool, r[0], true); /* brings no new reason */
	expect(&b, r[0], "one");
	bench_sync(&b);
	expect(&b, r[0], "one");
	o.text = STR("three");
	spool_outcome(b.spool, r[0], &o, 1);
	expect(&b, r[0], "three");
	bench_close(&b);
	bench_open(&b);
	s = spool_find(spool_index(b.spool), m.id);
	expect(&b, bench_recipient(&b, s, 0), "three");
	expect(&b, bench_recipient(&b, s, 1), "two");
	expect(&b, bench_recipient(&b, s, 2), NULL);
	bench_end(&b);
}

static void many_records_back(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	struct outcome o = bench_outcome(OUTCOME_DEFERRED, "the first");
	bench_init(&b, SEGMENT);
	bench_open(&b);
	slot s = bench_accept(&b, &m, 2, 100);
	spool_outcome(b.spool, bench_recipient(&b, s, 0), &o, 1);
	for (uint32_t i = 0; i < 500; i++) {
		spool_set_due(b.spool, bench_recipient(&b, s, 1), 1000 + i);
		if (i % 50 == 0) bench_sync(&b);
	}
	expect(&b, bench_recipient(&b, s, 0), "the first");
	bench_sync(&b);
	expect(&b, bench_recipient(&b, s, 0), "the first");
	bench_end(&b);
}

/* A text as long as they come does not fit into the first guess of what to read.  */
static void a_long_reason(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	char text[OUTCOME_TEXT_MAX + 1], tls[3000];
	memset(text, 't', sizeof(text));
	memset(tls, 's', sizeof(tls));
	text[OUTCOME_TEXT_MAX] = 0;
	struct outcome o = bench_outcome(OUTCOME_DEFERRED, text);
	o.tls = str_of(tls, sizeof(tls));
	bench_init(&b, SEGMENT);
	bench_open(&b);
	slot s = bench_accept(&b, &m, 1, 100);
	spool_outcome(b.spool, bench_recipient(&b, s, 0), &o, 1);
	bench_sync(&b);
	expect(&b, bench_recipient(&b, s, 0), text);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_latest_of_each_recipient),
		cmocka_unit_test(many_records_back),
		cmocka_unit_test(a_long_reason),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
