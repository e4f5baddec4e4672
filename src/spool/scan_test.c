/* Segments made by hand, read record by record.  */
#include "spool/scan.h"

#include "base/test.h"

#include <fcntl.h>

enum { SIZE = 64 << 10, PER_BATCH = 3, BATCHES = 5 };

static const uint64_t SALT = 0x8877665544332211;

static char octets[SIZE];
static size_t places[BATCHES][PER_BATCH + 1]; /* the batch record first */

static size_t put(size_t at, enum record_type type, uint64_t id, const void *payload, size_t len)
{
	struct disk_record r = record_make(type, id, len);
	struct iovec iov = {(void *)(uintptr_t)payload, len};
	record_seal(&r, SALT, &iov, 1);
	memcpy(octets + at, &r, sizeof(r));
	memcpy(octets + at + sizeof(r), payload, len);
	return record_round(at + sizeof(r) + len);
}

/* Batches of done records, ids 1, 2, ...; each is told to have been synced when the next was
 * written.  */
static void make(void)
{
	uint64_t id = 1;
	memset(octets, 0, sizeof(octets));
	for (uint32_t b = 0; b < BATCHES; b++) {
		size_t at = RECORD_BLOCK * (1 + b);
		struct disk_batch batch = {RECORD_BLOCK, PER_BATCH, at};
		places[b][0] = at;
		at = put(at, RECORD_BATCH, 100 + b, &batch, sizeof(batch));
		for (uint32_t i = 0; i < PER_BATCH; i++) {
			struct disk_done done = {{1, 2, 3}};
			places[b][1 + i] = at;
			at = put(at, RECORD_DONE, id++, &done, sizeof(done));
		}
	}
}

struct result {
	uint64_t ids[BATCHES * PER_BATCH + 4];
	uint32_t count;
	uint64_t last_id, end;
	uint32_t lost;
	bool torn, unknown;
};

static struct result scan(uint64_t limit, uint64_t synced)
{
	char path[] = "/tmp/scan-test-XXXXXX";
	struct io_file file = {mkstemp(path)};
	struct summary s;
	struct result r = {0};
	unlink(path);
	assert_int_equal(pwrite(file.fd, octets, SIZE, 0), SIZE);
	summary_init(&s, 0);
	struct scan x = {.file = &file,
		.number = 1,
		.generation = 1,
		.salt = SALT,
		.limit = limit,
		.synced = synced,
		.summary = &s};
	assert_int_equal(scan_segment(&x), 0);
	struct str rest = buf_str(&s.entries);
	for (struct summary_entry e; summary_next(&rest, &e);) r.ids[r.count++] = e.head.id;
	r.last_id = s.last_id;
	r.end = x.end;
	r.lost = x.lost;
	r.torn = x.torn;
	r.unknown = x.unknown;
	summary_release(&s);
	close(file.fd);
	return r;
}

static void what_is_whole_is_read(void **state)
{
	(void)state;
	make();
	struct result r = scan(SIZE, 0);
	assert_int_equal(r.count, BATCHES * PER_BATCH);
	for (uint32_t i = 0; i < r.count; i++) assert_int_equal(r.ids[i], i + 1);
	assert_int_equal(r.last_id, 104);
	assert_int_equal(r.end, RECORD_BLOCK * (1 + BATCHES));
	assert_int_equal(r.lost, 0);
	assert_false(r.torn || r.unknown);
	r = scan(RECORD_BLOCK * 3, 0);
	assert_int_equal(r.count, 2 * PER_BATCH);
	r = scan(RECORD_BLOCK, 0);
	assert_int_equal(r.count, 0);
	memset(octets, 0, sizeof(octets));
	r = scan(SIZE, 0);
	assert_int_equal(r.count, 0);
	assert_int_equal(r.end, RECORD_BLOCK);
	assert_false(r.torn);
}

/* Every record in turn: it alone is missing; in the last batch that is called torn.  */
static void damage_costs_one_record(void **state)
{
	(void)state;
	for (uint32_t b = 0; b < BATCHES; b++)
		for (uint32_t i = 0; i <= PER_BATCH; i++)
			for (size_t octet = 0;
				octet < sizeof(struct disk_record) + sizeof(struct disk_done);
				octet += 5) {
				make();
				octets[places[b][i] + octet] =
					(char)(octets[places[b][i] + octet] ^ 0x10);
				struct result r = scan(SIZE, 0);
				bool last = b == BATCHES - 1;
				/* Without its head the last batch is known by its records; the one
				 * before it then says what was synced.  */
				assert_int_equal(r.count, BATCHES * PER_BATCH - (i > 0));
				assert_int_equal(r.lost,
					last                                 ? 0
						: i == 0 && b == BATCHES - 1 ? 0
									     : 1);
				assert_int_equal(r.torn, last);
				for (uint32_t k = 0; k < r.count; k++)
					assert_true(i == 0 || r.ids[k] != b * PER_BATCH + i);
			}
}

static void what_the_list_calls_synced_is_a_loss(void **state)
{
	(void)state;
	make();
	memset(octets + RECORD_BLOCK * BATCHES, 0, RECORD_BLOCK);
	struct result r = scan(RECORD_BLOCK * (1 + BATCHES), RECORD_BLOCK * (1 + BATCHES));
	assert_int_equal(r.count, (BATCHES - 1) * PER_BATCH);
	assert_true(r.lost > 0);
	r = scan(RECORD_BLOCK * (1 + BATCHES), 0);
	assert_int_equal(r.lost, 0);
	assert_false(r.torn); /* there is no trace of it */
}

static void another_salt_finds_nothing(void **state)
{
	(void)state;
	make();
	struct disk_done done = {{1, 2, 3}};
	struct disk_record r = record_make(RECORD_DONE, 77, sizeof(done));
	struct iovec iov = {&done, sizeof(done)};
	record_seal(&r, SALT + 1, &iov, 1);
	memcpy(octets + places[1][2], &r, sizeof(r));
	struct result got = scan(SIZE, 0);
	assert_int_equal(got.count, BATCHES * PER_BATCH - 1);
	for (uint32_t i = 0; i < got.count; i++) assert_int_not_equal(got.ids[i], 77);
}

static void kinds_that_are_not_known_are_kept(void **state)
{
	(void)state;
	make();
	struct disk_done done = {{1, 2, 3}};
	put(places[2][1], 99, 7, &done, sizeof(done));
	struct result r = scan(SIZE, 0);
	assert_int_equal(r.count, BATCHES * PER_BATCH);
	assert_true(r.unknown);
	assert_int_equal(r.lost, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_whole_is_read),
		cmocka_unit_test(damage_costs_one_record),
		cmocka_unit_test(what_the_list_calls_synced_is_a_loss),
		cmocka_unit_test(another_salt_finds_nothing),
		cmocka_unit_test(kinds_that_are_not_known_are_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
