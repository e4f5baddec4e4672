/* Records that are whole and signed, and say what cannot be: by a newer version's mistake, or by somebody's will.
 * What they tell of is damaged or lost, all else is as it was, and nothing is believed that leads out of bounds.  */
#include "spool/test.h"

enum { SEGMENT = 512 << 10, CHUNKED = 150000, MESSAGES = 4 };

struct row {
	const char *what;
	enum record_type type;
	unsigned nth; /* of its type */
	enum { PAYLOAD, HEADER, CHUNKS } in;
	size_t offset; /* there, of */
	unsigned size; /* so many octets, into which is put */
	uint32_t value;
	unsigned alive;    /* messages afterwards, */
	unsigned readable; /* and those that can be read */
};

#define IN(type, member) offsetof(struct type, member), sizeof(((struct type *)0)->member)

/* The log's first file, to be changed.  */
struct file {
	int fd;
	struct buf octets;
	uint64_t salt;
};

static void load(struct bench *b, struct file *f)
{
	char path[128];
	struct stat what;
	struct disk_header h;
	snprintf(path, sizeof(path), "%s/log-000001", b->path);
	f->fd = open(path, O_RDWR);
	assert_true(f->fd >= 0 && fstat(f->fd, &what) == 0);
	buf_init(&f->octets, 64 << 20);
	char *room = buf_reserve(&f->octets, (size_t)what.st_size);
	assert_int_equal(pread(f->fd, room, (size_t)what.st_size, 0), what.st_size);
	f->octets.len = (size_t)what.st_size;
	memcpy(&h, f->octets.ptr, sizeof(h));
	assert_true(header_valid(&h));
	f->salt = h.salt;
}

static void save(struct file *f)
{
	assert_int_equal(pwrite(f->fd, f->octets.ptr, f->octets.len, 0), f->octets.len);
	close(f->fd);
	buf_release(&f->octets);
}

static size_t find(const struct file *f, enum record_type type, unsigned nth)
{
	struct disk_record r;
	struct str payload;
	for (size_t at = RECORD_BLOCK, size; at < f->octets.len; at += size) {
		size = RECORD_ALIGN;
		if (!record_read(str_skip(buf_str(&f->octets), at), f->salt, &r, &payload, &size))
			continue;
		if (r.type == type && nth-- == 0) return at;
	}
	fail_msg("there is no record of type %d", (int)type);
	return 0;
}

static void forge(struct bench *b, const struct row *row)
{
	struct file f;
	struct disk_record r;
	load(b, &f);
	size_t at = find(&f, row->type, row->nth);
	memcpy(&r, f.octets.ptr + at, sizeof(r));
	char *payload = f.octets.ptr + at + sizeof(r), *part = payload;
	struct disk_accept accept;
	memcpy(&accept, payload, sizeof(accept));
	if (row->in == CHUNKS) part += sizeof(accept) + accept.states + accept.envelope;
	if (row->in == HEADER) part = (char *)&r;
	memcpy(part + row->offset, &row->value, row->size < 4 ? row->size : 4);
	struct iovec iov = {payload, r.length};
	record_seal(&r, f.salt, &iov, 1);
	memcpy(f.octets.ptr + at, &r, sizeof(r));
	save(&f);
}

/* One that is chunked, one that was deferred, one that is done with, and one.  */
static void make_spool(struct bench *b)
{
	struct bench_message m[MESSAGES];
	struct outcome later = bench_outcome(OUTCOME_DEFERRED, "greylisted"),
		       sent = bench_outcome(OUTCOME_DELIVERED, "ok");
	bench_init(b, SEGMENT);
	bench_open(b);
	bench_accept(b, &m[0], 2, CHUNKED);
	slot deferred = bench_accept(b, &m[1], 2, 700);
	slot done = bench_accept(b, &m[2], 1, 700);
	bench_accept(b, &m[3], 1, 700);
	spool_outcome(b->spool, bench_recipient(b, deferred, 1), &later, 1800000000);
	spool_outcome(b->spool, bench_recipient(b, done, 0), &sent, 0);
	bench_sync(b);
	bench_close(b);
}

static unsigned count_readable(struct bench *b)
{
	const struct spool_index *x = spool_index(b->spool);
	struct arena arena;
	struct outcome o;
	unsigned readable = 0;
	arena_init(&arena, 1 << 20);
	for (slot i = 1; i < spool_message_end(x); i++) {
		const struct spool_message *m = spool_message(x, i);
		if (!m->id) continue;
		struct spool_reader r;
		struct str octets;
		for (slot t = m->recipients; t; t = spool_recipient(x, t)->sibling)
			(void)spool_reason(b->spool, t, &arena, &o);
		if (spool_read_open(b->spool, i, &r)) continue;
		uint64_t at = 0;
		int error;
		while ((error = spool_read(&r, &octets)) == 0 && octets.len) at += octets.len;
		if (!error) assert_int_equal(at, r.size);
		readable += !error;
		spool_read_close(&r);
	}
	arena_release(&arena);
	return readable;
}

static void check_row(const struct row *row)
{
	struct bench b;
	struct bench_message more;
	make_spool(&b);
	if (row->size) forge(&b, row);
	bench_open(&b);
	spool_check(b.spool);
	unsigned alive = spool_message_count(spool_index(b.spool)), readable = count_readable(&b);
	if (alive != row->alive || readable != row->readable)
		fail_msg("%s: %u alive, %u readable", row->what, alive, readable);
	/* Life goes on.  */
	bench_accept(&b, &more, 1, 300);
	bench_close(&b);
	bench_open(&b);
	spool_check(b.spool);
	assert_int_equal(spool_message_count(spool_index(b.spool)), alive + 1);
	bench_end(&b);
}

/* The chunked message is committed first.  */
static const struct row rows[] = {
	{"nothing", RECORD_DONE, 0, PAYLOAD, 0, 0, 0, 3, 3},
	{"size", RECORD_ACCEPT, 3, PAYLOAD, IN(disk_accept, size), 699, 3, 2},
	{"size of the chunked", RECORD_ACCEPT, 0, PAYLOAD, IN(disk_accept, size), 1, 3, 2},
	{"recipients", RECORD_ACCEPT, 3, PAYLOAD, IN(disk_accept, recipients), 9, 2, 2},
	{"no recipient", RECORD_ACCEPT, 3, PAYLOAD, IN(disk_accept, recipients), 0, 2, 2},
	{"states", RECORD_ACCEPT, 3, PAYLOAD, IN(disk_accept, states), 1u << 31, 2, 2},
	{"envelope", RECORD_ACCEPT, 3, PAYLOAD, IN(disk_accept, envelope), 3, 2, 2},
	{"body", RECORD_ACCEPT, 3, PAYLOAD, IN(disk_accept, body), 699, 2, 2},
	{"chunks", RECORD_ACCEPT, 3, PAYLOAD, IN(disk_accept, chunks), 1u << 31, 2, 2},
	{"a state's count", RECORD_STATE, 0, PAYLOAD, IN(disk_state, count), 60000, 3, 3},
	{"a state's chain", RECORD_STATE, 0, PAYLOAD, IN(disk_state, number), 777, 3, 3},
	{"a done of another", RECORD_DONE, 0, PAYLOAD, IN(disk_done, accept.number), 9, 3, 3},
	{"a chunk's segment", RECORD_ACCEPT, 0, CHUNKS, IN(disk_chunk, place.number), 9, 3, 2},
	{"a chunk's life", RECORD_ACCEPT, 0, CHUNKS, IN(disk_chunk, place.generation), 99, 3, 2},
	{"a chunk's place", RECORD_ACCEPT, 0, CHUNKS, IN(disk_chunk, place.offset), 5, 3, 2},
	{"a chunk's length", RECORD_ACCEPT, 0, CHUNKS, IN(disk_chunk, length), 70000, 3, 2},
	{"a chunk's part", RECORD_ACCEPT, 0, CHUNKS, IN(disk_chunk, part), 7, 3, 2},
	{"whose chunk", RECORD_CHUNK, 0, HEADER, IN(disk_record, id), 7, 3, 2},
	{"which chunk", RECORD_CHUNK, 0, HEADER, IN(disk_record, part), 7, 3, 2},
	{"a newer version", RECORD_ACCEPT, 3, HEADER, IN(disk_record, version), 2, 2, 2},
	{"another kind", RECORD_ACCEPT, 3, HEADER, IN(disk_record, type), 99, 2, 2},
	{"whose state", RECORD_STATE, 0, HEADER, IN(disk_record, id), 7, 3, 3},
	{"a state of newer version", RECORD_STATE, 0, HEADER, IN(disk_record, version), 2, 3, 3},
	{"a recipient of no", RECORD_STATE, 0, PAYLOAD, sizeof(struct disk_state), 2, 900, 3, 3},
	{"an outcome too long", RECORD_STATE, 0, PAYLOAD,
		sizeof(struct disk_state) + offsetof(struct disk_recipient, outcome), 4, 90000, 3,
		3},
	{"an outcome of no kind", RECORD_STATE, 0, PAYLOAD,
		sizeof(struct disk_state) + sizeof(struct disk_recipient), 1, 77, 3, 3},
	{"a batch without end", RECORD_BATCH, 0, PAYLOAD, IN(disk_batch, records), UINT32_MAX, 3,
		3},
	{"a freed list", RECORD_SEGMENTS, 0, PAYLOAD, IN(disk_segment, generation), 77, 3, 3},
};

static void what_cannot_be(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) check_row(&rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
