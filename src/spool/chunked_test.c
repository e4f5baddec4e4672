#include "spool/test.h"

enum { SEGMENT = 64 << 10 };

static struct disk_chunk in(const struct segment *g, uint32_t length)
{
	return (struct disk_chunk){.place = {g->number, 1, g->generation}, .length = length};
}

/* Places are given again; what a message holds is what it lets go.  */
static void holds_and_lets_go(void **state)
{
	(void)state;
	struct bench b;
	struct bench_message m;
	bench_init(&b, SEGMENT);
	bench_open(&b);
	bench_accept(&b, &m, 1, 10);
	struct spool *s = b.spool;
	struct segment *g = s->open;
	uint32_t refs = g->refs, places[100];
	uint64_t live = g->live;
	struct disk_chunk gone = in(g, 40);
	gone.place.generation--;
	struct disk_chunk chunks[] = {in(g, 10), in(g, 20), gone, in(g, 30)};
	for (uint32_t i = 0; i < ARRAY_LEN(places); i++)
		assert_true(chunked_add(s, chunks, ARRAY_LEN(chunks), i, &places[i]));
	struct spool_message x = {.segment = g->number & UINT16_MAX,
		.size_class = size_class(500) & 127u,
		.flags = SPOOL_MESSAGE_CHUNKED};
	for (uint32_t i = 0; i < ARRAY_LEN(places); i++) {
		x.offset = places[i] & 0xffff;
		assert_int_equal(message_offset(s, &x), i);
		message_hold(s, &x);
	}
	assert_int_equal(
		g->refs, refs + ARRAY_LEN(places) * 4); /* the one of another life is none */
	assert_int_equal(g->live, live + ARRAY_LEN(places) * (60 + size_of_class(size_class(500))));
	for (uint32_t i = 0; i < ARRAY_LEN(places); i++)
		message_release(s, g->number, x.size_class, 0, places[i] + 1);
	assert_int_equal(g->refs, refs);
	assert_int_equal(g->live, live);
	uint32_t again, before = s->chunked.count;
	assert_true(chunked_add(s, chunks, ARRAY_LEN(chunks), 7, &again));
	assert_int_equal(s->chunked.count, before);
	chunked_remove(s, again);
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(holds_and_lets_go)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
