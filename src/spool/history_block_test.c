#include "spool/history_block.h"

#include "base/rng.h"
#include "base/test.h"

static const struct str three[] = {
	{"bob@example.net", 15}, {"carol@example.org", 17}, {"bob@example.net", 15}};

static const struct history_record accepted = {.event = HISTORY_ACCEPTED,
	.id = 1700000000123ull << 20 | 5,
	.wall = 1700000000123,
	.sender = {"alice@example.com", 17},
	.client = {"192.0.2.1", 9},
	.helo = {"client.example.com", 18},
	.account = {"alice", 5},
	.tls = {"TLSv1.3 X", 9},
	.message_id = {"<1@example.com>", 15},
	.size = 123456,
	.recipients = three,
	.recipient_count = 3};

static const struct history_record attempt = {.event = HISTORY_ATTEMPT,
	.id = 1600000000123ull << 20,
	.wall = 1700000000100,
	.recipient = {"bob@example.net", 15},
	.outcome = {.class = OUTCOME_DEFERRED,
		.code = 451,
		.enhanced = {4, 7, 100},
		.text = {"greylisted", 10},
		.host = {"mx.example.net[192.0.2.9]:25", 28},
		.tls = {"TLSv1.3 X", 9},
		.remote = true,
		.doubtful = true},
	.elapsed = 350,
	.due = 1700000600000,
	.other_id = 7};

static void assert_same_text(struct str a, struct str b)
{
	assert_int_equal(a.len, b.len);
	if (a.len) assert_memory_equal(a.ptr, b.ptr, a.len);
}

static void assert_same(const struct history_record *a, const struct history_record *b)
{
	assert_int_equal(a->event, b->event);
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->wall, b->wall);
	assert_same_text(a->sender, b->sender);
	assert_same_text(a->client, b->client);
	assert_same_text(a->helo, b->helo);
	assert_same_text(a->account, b->account);
	assert_same_text(a->tls, b->tls);
	assert_same_text(a->message_id, b->message_id);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->recipient_count, b->recipient_count);
	for (uint32_t i = 0; i < a->recipient_count; i++)
		assert_same_text(a->recipients[i], b->recipients[i]);
	assert_same_text(a->recipient, b->recipient);
	assert_int_equal(a->outcome.class, b->outcome.class);
	assert_int_equal(a->outcome.code, b->outcome.code);
	assert_memory_equal(
		&a->outcome.enhanced, &b->outcome.enhanced, sizeof(a->outcome.enhanced));
	assert_same_text(a->outcome.text, b->outcome.text);
	assert_same_text(a->outcome.host, b->outcome.host);
	assert_same_text(a->outcome.tls, b->outcome.tls);
	assert_int_equal(a->outcome.remote, b->outcome.remote);
	assert_int_equal(a->outcome.doubtful, b->outcome.doubtful);
	assert_int_equal(a->elapsed, b->elapsed);
	assert_int_equal(a->due, b->due);
	assert_int_equal(a->other_id, b->other_id);
}

static void test_what_was_written_is_read(void **state)
{
	(void)state;
	struct history_block b;
	struct history_view v;
	struct history_texts texts = {0};
	struct history_record r, bare = {.event = HISTORY_DONE, .id = 1, .wall = 0};
	struct history_record extremes = {.event = HISTORY_HELD,
		.id = UINT64_MAX,
		.wall = INT64_MAX,
		.size = UINT64_MAX,
		.elapsed = -1,
		.due = INT64_MIN,
		.other_id = UINT64_MAX};
	size_t len;
	history_block_init(&b);
	const struct history_record *all[] = {&accepted, &attempt, &bare, &extremes, &accepted};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) assert_true(history_block_add(&b, all[i]));
	history_block_seal(&b);
	assert_int_equal(b.out.len % HISTORY_BLOCK_ALIGN, 0);
	assert_int_equal(history_view_begin(buf_str(&b.out), &v, &len), HISTORY_WHOLE);
	assert_int_equal(len, b.out.len);
	assert_true(history_view_check(buf_str(&b.out)));
	assert_int_equal(v.count, ARRAY_LEN(all));
	assert_int_equal(v.id_min, 1);
	assert_int_equal(v.id_max, UINT64_MAX);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_true(history_view_next(&v, &texts, &r));
		assert_same(&r, all[i]);
	}
	assert_false(history_view_next(&v, &texts, &r));
	free(texts.list);
	history_block_release(&b);
}

static void test_repeated_texts_cost_little(void **state)
{
	(void)state;
	struct history_block b;
	history_block_init(&b);
	assert_true(history_block_add(&b, &accepted));
	size_t first = history_block_size(&b);
	assert_true(history_block_add(&b, &accepted));
	assert_in_range(history_block_size(&b) - first, 1, 40);
	/* Not from one block into the next.  */
	history_block_clear(&b);
	assert_int_equal(history_block_size(&b), 0);
	assert_true(history_block_add(&b, &accepted));
	assert_int_equal(history_block_size(&b), first);
	history_block_release(&b);
}

static void test_long_texts_and_large_records(void **state)
{
	(void)state;
	enum { MANY = 20000 };
	struct history_block b;
	struct history_view v;
	struct history_texts texts = {0};
	struct history_record r = accepted;
	size_t len;
	struct str *recipients = calloc(MANY, sizeof(*recipients));
	char(*names)[256] = calloc(MANY, sizeof(*names));
	for (int i = 0; i < MANY; i++) {
		int n = snprintf(names[i], sizeof(names[i]), "%0240d@example.net", i);
		recipients[i] = str_of(names[i], (size_t)n);
	}
	history_block_init(&b);
	r.recipients = recipients;
	r.recipient_count = MANY;
	assert_true(history_block_add(&b, &r));
	/* The second does not fit: the block is as it was.  */
	len = history_block_size(&b);
	assert_true(len > 4 << 20);
	for (int i = 0; i < MANY; i++) names[i][0] = 'x';
	assert_false(history_block_add(&b, &r));
	assert_int_equal(history_block_size(&b), len);
	char text[5000];
	memset(text, 'x', sizeof(text));
	struct history_record cut = {
		.event = HISTORY_ACCEPTED, .id = 2, .helo = str_of(text, sizeof(text))};
	assert_true(history_block_add(&b, &cut));
	history_block_seal(&b);
	assert_int_equal(history_view_begin(buf_str(&b.out), &v, &len), HISTORY_WHOLE);
	assert_true(history_view_next(&v, &texts, &r));
	assert_int_equal(r.recipient_count, MANY);
	assert_int_equal(r.recipients[MANY - 1].len, 252);
	assert_true(history_view_next(&v, &texts, &r));
	assert_int_equal(r.helo.len, 4096);
	free(texts.list);
	free(recipients);
	free(names);
	history_block_release(&b);
}

/* Every cut is short, every changed octet is noticed, and reading what is wrong stays inside of
 * it.  */
static void test_damage(void **state)
{
	(void)state;
	struct history_block b;
	struct history_view v;
	struct history_texts texts = {0};
	struct history_record r;
	size_t len;
	history_block_init(&b);
	assert_true(history_block_add(&b, &accepted));
	assert_true(history_block_add(&b, &attempt));
	history_block_seal(&b);
	size_t whole = b.out.len;
	for (size_t n = 0; n < whole; n++) {
		char *exact = malloc(n ? n : 1);
		memcpy(exact, b.out.ptr, n);
		assert_int_equal(history_view_begin(str_of(exact, n), &v, &len), HISTORY_SHORT);
		assert_true(len > n);
		free(exact);
	}
	char *copy = malloc(whole);
	for (size_t i = 0; i < whole; i++) {
		for (int bit = 0; bit < 8; bit++) {
			memcpy(copy, b.out.ptr, whole);
			copy[i] = (char)(copy[i] ^ 1 << bit);
			enum history_found found =
				history_view_begin(str_of(copy, whole), &v, &len);
			assert_true(
				found != HISTORY_WHOLE || !history_view_check(str_of(copy, len)));
			/* Even unchecked it can be read.  */
			if (found == HISTORY_WHOLE)
				while (history_view_next(&v, &texts, &r)) continue;
		}
	}
	free(copy);
	free(texts.list);
	history_block_release(&b);
}

static void test_garbage(void **state)
{
	(void)state;
	struct rng rng;
	struct history_texts texts = {0};
	struct history_record r;
	rng_init(&rng, 3);
	for (int round = 0; round < 20000; round++) {
		size_t len = rng_below(&rng, 200);
		char *octets = malloc(len ? len : 1);
		for (size_t i = 0; i < len; i++)
			octets[i] = (char)(rng_below(&rng, 3) ? rng_below(&rng, 20)
							      : rng_below(&rng, 256));
		struct history_view v = {.records = str_of(octets, len)};
		while (history_view_next(&v, &texts, &r)) continue;
		free(octets);
	}
	free(texts.list);
}

/* Records that end anywhere, or hold any octet anywhere, in memory of their own: they are read within it, and no more of
 * them than were written.  */
static unsigned read_all(struct str records)
{
	char *copy = malloc(records.len ? records.len : 1);
	memcpy(copy, records.ptr, records.len);
	struct history_view v = {.records = str_of(copy, records.len), .count = 2};
	struct history_texts texts = {0};
	struct history_record r;
	unsigned count = 0;
	while (history_view_next(&v, &texts, &r)) count++;
	assert_true(count <= 2);
	free(texts.list);
	free(copy);
	return count;
}

static void test_records_that_make_no_sense(void **state)
{
	(void)state;
	struct history_block b;
	history_block_init(&b);
	assert_true(history_block_add(&b, &accepted) && history_block_add(&b, &attempt));
	struct str records = str_skip(buf_str(&b.out), HISTORY_BLOCK_HEADER);
	assert_int_equal(read_all(records), 2);
	for (size_t cut = 0; cut < records.len; cut++)
		assert_true(read_all(str_head(records, cut)) < 2);
	for (size_t at = 0; at < records.len; at++) {
		char *octet = b.out.ptr + HISTORY_BLOCK_HEADER + at, was = *octet;
		for (int value = 0; value < 256; value += 5) {
			*octet = (char)value;
			(void)read_all(records);
		}
		*octet = was;
	}
	history_block_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_that_make_no_sense),
		cmocka_unit_test(test_what_was_written_is_read),
		cmocka_unit_test(test_repeated_texts_cost_little),
		cmocka_unit_test(test_long_texts_and_large_records),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_garbage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
