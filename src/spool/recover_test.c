/* Each row of the recovery table (recover.c, doc/spool.md), by its letter.  */
#define SPOOL_TEST_FAULTS
#include "base/code.h"
#include "spool/recover.h"
#include "spool/test.h"

enum { SEGMENT = 64 << 10, MESSAGES = 45, SIZE = 3000 };

struct spoilt {
	struct bench b;
	uint64_t ids[MESSAGES];
	uint32_t segment[MESSAGES];
	uint64_t offset[MESSAGES];
	uint32_t newest; /* number of the segment that was open */
	uint64_t newest_end;
	uint32_t oldest; /* a sealed one */
};

static void name_of(const struct spoilt *x, uint32_t number, char to[512])
{
	snprintf(to, 512, "%s/log-%06u", x->b.path, number);
}

static int open_file(const struct spoilt *x, uint32_t number)
{
	char name[512];
	name_of(x, number, name);
	int fd = open(name, O_RDWR);
	assert_true(fd >= 0);
	return fd;
}

static void overwrite(
	const struct spoilt *x, uint32_t number, uint64_t at, const void *octets, size_t len)
{
	int fd = open_file(x, number);
	assert_int_equal(pwrite(fd, octets, len, (off_t)at), len);
	close(fd);
}

static void zero(const struct spoilt *x, uint32_t number, uint64_t at, size_t len)
{
	char *zeros = calloc(1, len);
	overwrite(x, number, at, zeros, len);
	free(zeros);
}

static void flip(const struct spoilt *x, uint32_t number, uint64_t at)
{
	char octet;
	int fd = open_file(x, number);
	assert_int_equal(pread(fd, &octet, 1, (off_t)at), 1);
	octet = (char)(octet ^ 0x55);
	assert_int_equal(pwrite(fd, &octet, 1, (off_t)at), 1);
	close(fd);
}

/* Messages in several segments, closed.  */
static struct spoilt *setup(void)
{
	struct spoilt *x = calloc(1, sizeof(*x));
	bench_init(&x->b, SEGMENT);
	x->b.spare_segments = 1000; /* nothing is moved */
	bench_open(&x->b);
	for (uint32_t i = 0; i < MESSAGES; i++) {
		struct bench_message m;
		slot s = bench_accept(&x->b, &m, 1, SIZE);
		const struct spool_message *got = spool_message(spool_index(x->b.spool), s);
		x->ids[i] = m.id;
		x->segment[i] = got->segment;
		x->offset[i] = (uint64_t)message_offset(x->b.spool, got) * RECORD_ALIGN;
	}
	x->newest = x->b.spool->open->number;
	x->newest_end = x->b.spool->open->end;
	x->oldest = x->segment[0];
	assert_int_not_equal(x->newest, x->oldest);
	bench_close(&x->b);
	return x;
}

/* Open, and see which are there: those for which `lost` says no.  */
static void expect(struct spoilt *x, bool (*lost)(const struct spoilt *x, uint32_t i))
{
	bench_open(&x->b);
	spool_check(x->b.spool);
	for (uint32_t i = 0; i < MESSAGES; i++) {
		slot s = spool_find(spool_index(x->b.spool), x->ids[i]);
		bool gone = lost && lost(x, i);
		if (gone != (s == 0))
			fail_msg("message %u in segment %u at %lu", i, x->segment[i], x->offset[i]);
		if (s) assert_int_equal(bench_read(&x->b, s, SIZE), 0);
	}
}

static void expect_report(const struct spoilt *x, uint32_t damaged, uint32_t torn)
{
	assert_int_equal(x->b.report.damaged_records, damaged);
	assert_int_equal(x->b.report.torn_tails, torn);
}

static void end(struct spoilt *x)
{
	bench_end(&x->b);
	free(x);
}

static bool in_oldest(const struct spoilt *x, uint32_t i) { return x->segment[i] == x->oldest; }
static bool is_third(const struct spoilt *x, uint32_t i) { return (void)x, i == 2; }
static bool is_last(const struct spoilt *x, uint32_t i) { return (void)x, i == MESSAGES - 1; }

/* ---- files ---- */

static void row_a_sealed(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	/* The index alone is read: a spoilt body is not seen before the message is.  */
	flip(x, x->oldest, x->offset[2] + 500);
	bench_open(&x->b);
	expect_report(x, 0, 0);
	assert_int_equal(x->b.report.messages, MESSAGES);
	slot s = spool_find(spool_index(x->b.spool), x->ids[2]);
	assert_int_equal(bench_read(&x->b, s, SIZE), -EBADMSG);
	assert_true(spool_message(spool_index(x->b.spool), s)->flags & SPOOL_MESSAGE_DAMAGED);
	assert_true(bench_was_told(&x->b, "spool-message-damaged"));
	end(x);
}

static void row_b_open(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	expect(x, NULL);
	expect_report(x, 0, 0);
	end(x);
}

static void row_c_torn_tail(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	zero(x, x->newest, x->offset[MESSAGES - 1] + 1024, 2048);
	expect(x, is_last);
	expect_report(x, 0, 1);
	end(x);
}

static void row_d_damage_in_the_middle(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	uint32_t hit = MESSAGES;
	while (x->segment[--hit - 1] == x->newest) {
	}
	flip(x, x->newest, x->offset[hit] + 100); /* the first in the open segment */
	bench_open(&x->b);
	expect_report(x, 1, 0);
	assert_int_equal(x->b.report.messages, MESSAGES - 1);
	assert_int_equal(spool_find(spool_index(x->b.spool), x->ids[hit]), 0);
	assert_true(bench_was_told(&x->b, "spool-damage segment="));
	end(x);
}

static void row_e_spoilt_index(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		struct spoilt *x = setup();
		flip(x, x->oldest, i ? SEGMENT - 20 : SEGMENT - sizeof(struct disk_trailer) - 40);
		flip(x, x->oldest, x->offset[2] + 500);
		expect(x, is_third);
		expect_report(x, 2, 0);
		end(x);
	}
}

static void row_f_spoilt_header(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	flip(x, x->oldest, 20);
	zero(x, x->newest, 0, 64);
	expect(x, NULL);
	expect_report(x, 2, 0);
	bench_close(&x->b);
	/* With the first record gone too, the trailer knows.  */
	zero(x, x->newest, 0, RECORD_BLOCK + 100);
	bench_open(&x->b);
	assert_int_equal(x->b.report.messages, MESSAGES);
	end(x);
}

static void row_g_header_from_the_list(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	zero(x, x->oldest, 0, RECORD_BLOCK + 90);
	zero(x, x->oldest, SEGMENT - RECORD_BLOCK, RECORD_BLOCK);
	expect(x, NULL);
	end(x);
}

static void row_h_unknown_file(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	char name[512], junk[SEGMENT];
	memset(junk, 'j', sizeof(junk));
	name_of(x, 40, name);
	close(open(name, O_CREAT | O_RDWR, 0600));
	overwrite(x, 40, 0, junk, sizeof(junk));
	expect(x, NULL);
	assert_int_equal(spool_segment(x->b.spool, 40)->state, SEGMENT_FREE);
	bench_close(&x->b);
	/* With no list at all it might be what is missing: it is left alone.  */
	bench_clear_directory(x->b.path);
	close(open(name, O_CREAT | O_RDWR, 0600));
	overwrite(x, 40, 0, junk, sizeof(junk));
	bench_open(&x->b);
	expect_report(x, 1, 0);
	struct bench_message m;
	for (uint32_t i = 0; i < MESSAGES; i++) bench_accept(&x->b, &m, 1, SIZE);
	bench_close(&x->b);
	int fd = open_file(x, 40);
	assert_int_equal(read(fd, junk, sizeof(junk)), SEGMENT);
	for (size_t i = 0; i < sizeof(junk); i++) assert_int_equal(junk[i], 'j');
	close(fd);
	end(x);
}

static void rows_i_and_k_blank_files(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	char name[512];
	for (uint32_t number = 41; number < 44; number++) {
		name_of(x, number, name);
		int fd = open(name, O_CREAT | O_RDWR, 0600);
		assert_int_equal(ftruncate(fd,
					 number == 41           ? SEGMENT
						 : number == 42 ? 0
								: 9000),
			0);
		close(fd);
	}
	expect(x, NULL);
	expect_report(x, 0, 0);
	assert_int_equal(spool_segment(x->b.spool, 41)->state, SEGMENT_FREE);
	assert_null(spool_segment(x->b.spool, 42));
	assert_null(spool_segment(x->b.spool, 43));
	assert_int_not_equal(access(name, F_OK), 0);
	end(x);
}

static void row_l_not_listed(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	/* Keep what is there now, free that segment, put the old content back: it must stay
	 * dead.  */
	char *old = malloc(SEGMENT);
	int fd = open_file(x, x->oldest);
	assert_int_equal(read(fd, old, SEGMENT), SEGMENT);
	close(fd);
	bench_open(&x->b);
	struct outcome sent = bench_outcome(OUTCOME_DELIVERED, "ok");
	uint32_t ended = 0;
	for (uint32_t i = 0; i < MESSAGES; i++) {
		if (!in_oldest(x, i)) continue;
		assert_true(spool_outcome(x->b.spool,
			bench_recipient(&x->b, spool_find(spool_index(x->b.spool), x->ids[i]), 0),
			&sent, 0));
		ended++;
	}
	for (int i = 0; i < 100 && spool_segment(x->b.spool, x->oldest)->state == SEGMENT_SEALED;
		i++)
		bench_run(&x->b, 10);
	bench_sync(&x->b);
	bench_run(&x->b, 50);
	assert_int_not_equal(spool_segment(x->b.spool, x->oldest)->state, SEGMENT_SEALED);
	if (spool_segment(x->b.spool, x->oldest)->state == SEGMENT_FREE) {
		struct disk_header h;
		memcpy(&h, old, sizeof(h));
		uint64_t generation = h.generation;
		fd = open_file(x, x->oldest);
		assert_int_equal(read(fd, &h, sizeof(h)), sizeof(h));
		close(fd);
		assert_true(header_valid(&h) && h.freed && h.generation == generation);
	}
	bench_close(&x->b);
	overwrite(x, x->oldest, 0, old, SEGMENT);
	free(old);
	bench_open(&x->b);
	assert_int_equal(x->b.report.messages, MESSAGES - ended);
	spool_check(x->b.spool);
	end(x);
}

/* The freed record may be spoilt one day: the header says it too.  */
static void row_l_the_header_says_freed(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	struct disk_header h;
	int fd = open_file(x, x->oldest);
	assert_int_equal(pread(fd, &h, sizeof(h), 0), sizeof(h));
	assert_int_equal(h.freed, 0);
	header_make_freed(&h, h.number, h.generation, h.salt, h.size);
	assert_int_equal(pwrite(fd, &h, sizeof(h), 0), sizeof(h));
	close(fd);
	expect(x, in_oldest);
	expect_report(x, 0, 0);
	assert_int_equal(spool_segment(x->b.spool, x->oldest)->state, SEGMENT_FREE);
	end(x);
}

static void row_m_missing(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	char name[512];
	name_of(x, x->oldest, name);
	unlink(name);
	expect(x, in_oldest);
	expect_report(x, 1, 0);
	assert_true(bench_was_told(&x->b, "a segment is missing"));
	end(x);
}

static void row_n_copy(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	char name[512], *old = malloc(SEGMENT);
	int fd = open_file(x, x->oldest);
	assert_int_equal(read(fd, old, SEGMENT), SEGMENT);
	close(fd);
	name_of(x, 50, name);
	close(open(name, O_CREAT | O_RDWR, 0600));
	overwrite(x, 50, 0, old, SEGMENT);
	free(old);
	expect(x, NULL);
	expect_report(x, 1, 0);
	assert_true(bench_was_told(&x->b, "a copy of another segment"));
	end(x);
}

/* The list of the newest segment says where the others end; a record behind that is void, whole as
 * it is.  in_copy: the list itself is spoilt.  */
static void void_tail(bool in_copy)
{
	struct spoilt *x = setup();
	int fd = open_file(x, x->newest);
	char block[RECORD_BLOCK];
	struct disk_record list;
	struct disk_segment one;
	uint64_t at = RECORD_BLOCK + sizeof(struct disk_record) + sizeof(struct disk_batch);
	assert_int_equal(pread(fd, &list, sizeof(list), (off_t)at), sizeof(list));
	assert_int_equal(pread(fd, block, list.length, (off_t)(at + sizeof(list))), list.length);
	struct disk_header h;
	assert_int_equal(pread(fd, &h, sizeof(h), 0), sizeof(h));
	close(fd);
	/* Make the oldest end before its third message, as after a failed sync, and take its index
	 * away.  */
	for (size_t i = 0; i < list.length; i += sizeof(one)) {
		memcpy(&one, block + i, sizeof(one));
		if (one.number == x->oldest) one.end = x->offset[2] & ~(uint64_t)(RECORD_BLOCK - 1);
		memcpy(block + i, &one, sizeof(one));
	}
	struct iovec payload = {block, list.length};
	record_seal(&list, h.salt, &payload, 1);
	overwrite(x, x->newest, at, &list, sizeof(list));
	overwrite(x, x->newest, at + sizeof(list), block, list.length);
	if (in_copy) {
		struct io_file file = {open_file(x, x->newest)};
		assert_int_equal(
			trailer_mark_open(x->b.io, &file, &h, str_of(block, list.length)), 0);
		close(file.fd);
		flip(x, x->newest, at + sizeof(list));
	}
	zero(x, x->oldest, SEGMENT - RECORD_BLOCK, RECORD_BLOCK);
	bench_open(&x->b);
	for (uint32_t i = 0; i < MESSAGES; i++) {
		bool is_void = in_oldest(x, i) && i >= 2;
		assert_int_equal(spool_find(spool_index(x->b.spool), x->ids[i]) == 0, is_void);
	}
	expect_report(x, in_copy, 0);
	end(x);
}

static void row_o_void_tail(void **state)
{
	(void)state;
	void_tail(false);
	void_tail(true);
}

static void row_p_cut_off(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	char name[512];
	name_of(x, x->oldest, name);
	assert_int_equal(truncate(name, (off_t)x->offset[3]), 0);
	bench_open(&x->b);
	assert_true(x->b.report.damaged_records > 0);
	assert_true(bench_was_told(&x->b, "the file is cut off"));
	for (uint32_t i = 0; i < MESSAGES; i++)
		assert_int_equal(spool_find(spool_index(x->b.spool), x->ids[i]) == 0,
			in_oldest(x, i) && i >= 3);
	spool_check(x->b.spool);
	end(x);
}

static void row_q_no_list(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	for (uint32_t i = 1; i < 30; i++) {
		char name[512];
		name_of(x, i, name);
		uint64_t list =
			RECORD_BLOCK + sizeof(struct disk_record) + sizeof(struct disk_batch);
		if (access(name, F_OK) == 0) zero(x, i, list, sizeof(struct disk_record));
		if (access(name, F_OK) == 0) zero(x, i, SEGMENT - RECORD_BLOCK, RECORD_BLOCK);
	}
	expect(x, NULL);
	end(x);
}

static void a_newer_version_is_not_touched(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	struct disk_header h;
	int fd = open_file(x, x->oldest);
	assert_int_equal(pread(fd, &h, sizeof(h), 0), sizeof(h));
	close(fd);
	h.version = 2;
	h.crc = crc32c(0, str_of(&h, offsetof(struct disk_header, crc)));
	overwrite(x, x->oldest, 0, &h, sizeof(h));
	assert_int_equal(bench_try_open(&x->b), -EPROTONOSUPPORT);
	end(x);
}

/* ---- records ---- */

/* Put a record of our own behind the last batch of the open segment, in a batch of its own.  */
static void append(struct spoilt *x, struct disk_record r, const void *octets)
{
	struct disk_header h;
	int fd = open_file(x, x->newest);
	assert_int_equal(pread(fd, &h, sizeof(h), 0), sizeof(h));
	close(fd);
	char block[RECORD_BLOCK] = {0};
	struct disk_batch batch = {RECORD_BLOCK, 1, x->newest_end};
	struct disk_record head = record_make(RECORD_BATCH, x->ids[MESSAGES - 1], sizeof(batch));
	struct iovec payload = {&batch, sizeof(batch)};
	record_seal(&head, h.salt, &payload, 1);
	memcpy(block, &head, sizeof(head));
	memcpy(block + sizeof(head), &batch, sizeof(batch));
	payload = (struct iovec){(void *)(uintptr_t)octets, r.length};
	record_seal(&r, h.salt, &payload, 1);
	memcpy(block + sizeof(head) + sizeof(batch), &r, sizeof(r));
	memcpy(block + sizeof(head) + sizeof(batch) + sizeof(r), octets, r.length);
	overwrite(x, x->newest, x->newest_end, block, sizeof(block));
}

static void outcomes_of_unknown_messages_are_nothing(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	struct disk_done done = {{90, 8, 3}};
	append(x, record_make(RECORD_DONE, 12345, sizeof(done)), &done);
	expect(x, NULL);
	expect_report(x, 0, 0);
	end(x);
}

static void unknown_records_keep_their_segment(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		struct spoilt *x = setup();
		struct disk_record r = record_make(i ? RECORD_DONE : 60, 12345, 16);
		if (i) r.version = 9;
		append(x, r, "of a later time.");
		expect(x, NULL);
		assert_true(spool_segment(x->b.spool, x->newest)->keep);
		assert_true(bench_was_told(&x->b, "spool-record-unknown"));
		bench_close(&x->b);
		expect(x, NULL); /* and is there again the next time */
		assert_true(spool_segment(x->b.spool, x->newest)->keep);
		end(x);
	}
}

static void a_record_that_makes_no_sense_is_left_out(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	append(x, record_make(RECORD_ACCEPT, 12345, 8), "garbage!");
	expect(x, NULL);
	assert_int_equal(spool_find(spool_index(x->b.spool), 12345), 0);
	end(x);
}

static void a_missing_chunk_is_damage(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	bench_open(&x->b);
	struct bench_message m, after;
	slot s = bench_accept(&x->b, &m, 1, 20000);
	bench_accept(
		&x->b, &after, 1, 10); /* after which the chunks are known to have been synced */
	struct spool_reader r;
	struct disk_chunk c;
	assert_int_equal(spool_read_open(x->b.spool, s, &r), 0);
	memcpy(&c, r.chunks.ptr, sizeof(c));
	spool_read_close(&r);
	bench_close(&x->b);
	flip(x, c.place.number, (uint64_t)c.place.offset * RECORD_ALIGN + 60);
	bench_open(&x->b);
	spool_check(x->b.spool);
	s = spool_find(spool_index(x->b.spool), m.id);
	assert_int_not_equal(s, 0); /* its envelope is whole: the sender can be told */
	assert_true(spool_message(spool_index(x->b.spool), s)->flags & SPOOL_MESSAGE_DAMAGED);
	assert_int_equal(bench_read(&x->b, s, 20000), -EBADMSG);
	assert_true(bench_was_told(&x->b, "a part of its content is missing"));
	struct outcome failed = bench_outcome(OUTCOME_FAILED, "damaged");
	assert_true(spool_outcome(x->b.spool, bench_recipient(&x->b, s, 0), &failed, 0));
	bench_sync(&x->b);
	spool_check(x->b.spool);
	end(x);
}

/* Its accept record came to the disk, a chunk did not, and nobody was told of it: it is no damage, and no
 * later start may find it in an index.  */
static void a_torn_message_stays_away(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	bench_open(&x->b);
	struct bench_message m;
	slot s = bench_accept(&x->b, &m, 1, 20000);
	struct spool_reader r;
	struct disk_chunk c;
	assert_int_equal(spool_read_open(x->b.spool, s, &r), 0);
	memcpy(&c, r.chunks.ptr, sizeof(c));
	spool_read_close(&r);
	bench_close(&x->b);
	flip(x, c.place.number, (uint64_t)c.place.offset * RECORD_ALIGN + 60);
	for (uint32_t life = 0; life < 3; life++) {
		expect(x, NULL);
		expect_report(x, 0, life == 0);
		assert_int_equal(spool_find(spool_index(x->b.spool), m.id), 0);
		bench_close(&x->b);
	}
	end(x);
}

/* What is read may be in memory only: each file is settled first, and a disk that refuses is told.  */
static void files_are_settled_first(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	fault.sync_error = EIO;
	assert_int_equal(bench_try_open(&x->b), -EIO);
	no_faults();
	unsigned long before = fault.syncs;
	expect(x, NULL);
	assert_true(fault.syncs - before >= x->b.report.segments);
	end(x);
}

static void ids_grow_when_the_clock_goes_back(void **state)
{
	(void)state;
	struct spoilt *x = setup();
	struct disk_done done = {{90, 8, 3}};
	uint64_t high = x->ids[MESSAGES - 1] + (1ull << 40); /* given out in the future */
	append(x, record_make(RECORD_DONE, high, sizeof(done)), &done);
	bench_open(&x->b);
	struct bench_message m;
	bench_accept(&x->b, &m, 1, 10);
	assert_true(m.id > high);
	end(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(row_a_sealed),
		cmocka_unit_test(row_b_open),
		cmocka_unit_test(row_c_torn_tail),
		cmocka_unit_test(row_d_damage_in_the_middle),
		cmocka_unit_test(row_e_spoilt_index),
		cmocka_unit_test(row_f_spoilt_header),
		cmocka_unit_test(row_g_header_from_the_list),
		cmocka_unit_test(row_h_unknown_file),
		cmocka_unit_test(rows_i_and_k_blank_files),
		cmocka_unit_test(row_l_not_listed),
		cmocka_unit_test(row_l_the_header_says_freed),
		cmocka_unit_test(row_m_missing),
		cmocka_unit_test(row_n_copy),
		cmocka_unit_test(row_o_void_tail),
		cmocka_unit_test(row_p_cut_off),
		cmocka_unit_test(row_q_no_list),
		cmocka_unit_test(a_newer_version_is_not_touched),
		cmocka_unit_test(outcomes_of_unknown_messages_are_nothing),
		cmocka_unit_test(unknown_records_keep_their_segment),
		cmocka_unit_test(a_record_that_makes_no_sense_is_left_out),
		cmocka_unit_test(a_missing_chunk_is_damage),
		cmocka_unit_test(a_torn_message_stays_away),
		cmocka_unit_test(files_are_settled_first),
		cmocka_unit_test(ids_grow_when_the_clock_goes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
