#include "spool/summary.h"

#include "base/test.h"

#include <fcntl.h>

enum { SIZE = 64 << 10 };

static void add_accept(struct summary *s, uint64_t id, const char *domain)
{
	struct summary_accept a = {.id = id,
		.offset = (uint32_t)id,
		.tag = 9,
		.length = 500,
		.recipients = 2,
		.chunks = 1};
	struct disk_chunk chunk = {.place = {4, 5, 6}, .length = 7};
	struct disk_entry_recipient r = {.due = 100, .state = 1};
	summary_accept(s, &a);
	summary_put(s, &chunk, sizeof(chunk));
	summary_recipient(s, str_from_c(domain), &r);
	r.due = 200;
	summary_recipient(s, STR("other.example"), &r);
	summary_end(s);
}

static void add_done(struct summary *s, uint64_t id)
{
	struct disk_entry entry = {.type = RECORD_DONE, .id = id};
	struct disk_done done = {{1, 2, 3}};
	summary_begin(s, &entry);
	summary_put(s, &done, sizeof(done));
	summary_end(s);
}

static void compare(const struct summary *s)
{
	struct str rest = buf_str(&s->entries), *domains;
	struct summary_entry x;
	assert_true(summary_domains(s, &domains));
	assert_int_equal(s->domain_count, 3);
	assert_int_equal(s->last_id, 12);
	for (uint64_t id = 10; id < 12; id++) {
		assert_true(summary_next(&rest, &x));
		assert_int_equal(x.head.type, RECORD_ACCEPT);
		assert_int_equal(x.head.id, id);
		assert_int_equal(x.head.count, 2);
		assert_int_equal(x.accept.tag, 9);
		assert_int_equal(x.chunks[0].length, 7);
		assert_str(
			domains[x.recipients[0].domain], id == 10 ? "one.example" : "two.example");
		assert_str(domains[x.recipients[1].domain], "other.example");
		assert_int_equal(x.recipients[1].due, 200);
	}
	assert_true(summary_next(&rest, &x));
	assert_int_equal(x.head.type, RECORD_DONE);
	assert_int_equal(x.done.accept.generation, 3);
	assert_false(summary_next(&rest, &x));
	free(domains);
}

static void fill(struct summary *s)
{
	summary_init(s, 1);
	add_accept(s, 10, "one.example");
	add_accept(s, 11, "two.example");
	add_done(s, 12);
	assert_true(summary_ok(s));
}

static void entries_come_back(void **state)
{
	(void)state;
	struct summary s;
	fill(&s);
	compare(&s);
	/* At no cut does it read past the end.  */
	for (size_t cut = 0; cut < s.entries.len; cut++) {
		char *copy = malloc(cut ? cut : 1);
		memcpy(copy, s.entries.ptr, cut);
		struct str rest = str_of(copy, cut);
		for (struct summary_entry x; summary_next(&rest, &x);) {
		}
		free(copy);
	}
	summary_release(&s);
}

static struct io_file temporary(void)
{
	char path[] = "/tmp/summary-test-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	return (struct io_file){fd};
}

static void the_index_of_a_file(void **state)
{
	(void)state;
	struct summary s, back;
	struct disk_trailer t;
	struct disk_header h;
	struct io_file file = temporary();
	header_make(&h, 1, 8, 0xabcdef, SIZE);
	assert_int_equal(trailer_read(NULL, &file, SIZE, 8, &t), SUMMARY_NONE);
	assert_int_equal(trailer_mark_open(NULL, &file, &h, STR_NONE), 0);
	assert_int_equal(trailer_read(NULL, &file, SIZE, 8, &t), SUMMARY_OPEN);
	fill(&s);
	assert_int_equal(summary_room(&s), RECORD_BLOCK);
	assert_int_equal(summary_write(NULL, &file, &h, 8192, &s), 0);
	summary_release(&s);
	assert_int_equal(
		trailer_read(NULL, &file, SIZE, 7, &t), SUMMARY_NONE); /* of another life */
	assert_int_equal(trailer_read(NULL, &file, SIZE, 8, &t), SUMMARY_WHOLE);
	assert_int_equal(t.end, 8192);
	summary_init(&back, 2);
	assert_int_equal(summary_read(NULL, &file, SIZE, &t, &back), SUMMARY_WHOLE);
	compare(&back);
	summary_release(&back);
	struct disk_trailer boasts = t; /* of more domains than are there */
	boasts.domain_count = UINT32_MAX;
	summary_init(&back, 2);
	assert_int_equal(summary_read(NULL, &file, SIZE, &boasts, &back), SUMMARY_DAMAGED);
	summary_release(&back);
	/* A spoilt octet anywhere in it is found.  */
	uint64_t len = (uint64_t)t.entries + t.domains + sizeof(t);
	for (uint64_t at = SIZE - len; at < SIZE; at++) {
		char octet, spoilt;
		struct disk_trailer u;
		assert_int_equal(pread(file.fd, &octet, 1, (off_t)at), 1);
		spoilt = (char)(octet ^ 4);
		assert_int_equal(pwrite(file.fd, &spoilt, 1, (off_t)at), 1);
		enum summary_found found = trailer_read(NULL, &file, SIZE, 8, &u);
		if (found == SUMMARY_WHOLE) {
			summary_init(&back, 2);
			found = summary_read(NULL, &file, SIZE, &u, &back);
			summary_release(&back);
		}
		assert_int_not_equal(found, SUMMARY_WHOLE);
		assert_int_equal(pwrite(file.fd, &octet, 1, (off_t)at), 1);
	}
	close(file.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_come_back),
		cmocka_unit_test(the_index_of_a_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
