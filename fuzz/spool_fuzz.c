/* Recovery of a spool from files that somebody has damaged or forged, with checksums that are right if
 * he likes: it opens or says why not, holds its invariants, reads what it offers, works on, and finds
 * the same after the next start.
 *
 * Input: which of some spools made by real work it is, then changes to its files: records edited and
 * signed again, octets overwritten, files cut, copied under another name, or removed.  */
#include "fuzz/machine.h"

#include "base/code.h"
#include "spool/record.h"
#include "spool/spool.h"
#include "spool/summary.h"

enum { SPOOLS = 8, FILES = 24, SEGMENT = 64 << 10, MESSAGES = 12, CHANGES = 24 };

struct made {
	struct buf content[FILES];
	char names[FILES][32];
	unsigned count;
};

struct post {
	struct spool_writer writer;
	struct spool_op op;
	struct envelope envelope;
	struct recipient recipients[3];
	bool done;
	int error;
};

static void resumed(struct spool_writer *w) { (void)w; }

static void committed(struct spool_op *op, int error)
{
	struct post *p = CONTAINER_OF(op, struct post, op);
	p->done = true;
	p->error = error;
}

/* Take a message in; 0 when it is refused.  */
static slot accept_message(
	struct fuzz_machine *m, struct spool *s, uint32_t recipients, uint64_t size)
{
	static struct post p;
	static char octets[100];
	p = (struct post){.op.done = committed};
	if (spool_begin(s, &p.writer, resumed)) return 0;
	memset(octets, 'x', sizeof(octets));
	for (uint64_t at = 0; at < size; at += sizeof(octets)) {
		if (spool_write(&p.writer, str_of(octets, sizeof(octets))) == SPOOL_REFUSED) {
			spool_abort(&p.writer);
			return 0;
		}
		if (at % 10000 == 0) fuzz_machine_run(m, 1);
	}
	static const struct str addresses[] = {
		STR("a@one.example"), STR("b@two.example"), STR("c@one.example")};
	for (uint32_t i = 0; i < recipients; i++) p.recipients[i].address = addresses[i];
	p.envelope = (struct envelope){.reverse_path = STR("s@y.example"),
		.helo = STR("client.example"),
		.size = size,
		.recipients = p.recipients,
		.recipient_count = recipients};
	spool_commit(&p.writer, &p.envelope, (uint32_t)size, &p.op);
	for (int i = 0; i < 50 && !p.done; i++) fuzz_machine_run(m, 10);
	return p.done && !p.error ? spool_committed(&p.writer) : 0;
}

static struct spool *open_spool(struct fuzz_machine *m, struct spool_report *report)
{
	const struct spool_options options = {
		.path = "/spool", .segment_size = SEGMENT, .outcome_delay = 5, .log = &m->log};
	struct spool *s = NULL;
	const char *why = NULL;
	int error = spool_open(&m->io, &options, &s, report, &why);
	ASSERT(error ? why && *why : s != NULL);
	return error ? NULL : s;
}

static void put_outcome(struct spool *s, slot recipient, bool last)
{
	const struct outcome o = {.class = last ? OUTCOME_DELIVERED : OUTCOME_DEFERRED,
		.code = last ? 250 : 451,
		.enhanced = {last ? 2 : 4, 7, 1},
		.text = STR("so it is"),
		.host = STR("mx.example.net[192.0.2.1]:25"),
		.remote = true};
	(void)spool_outcome(s, recipient, &o, 1800000100);
}

/* ---- spools to begin with ---- */

static bool keep_name(void *context, const char *name)
{
	struct made *made = context;
	if (made->count < FILES && strlen(name) < sizeof(made->names[0]) && strcmp(name, "lock"))
		snprintf(made->names[made->count++], sizeof(made->names[0]), "%s", name);
	return true;
}

static void keep_files(struct fuzz_machine *m, struct made *made)
{
	ASSERT(io_dir_each(&m->io, "/spool", keep_name, made) == 0);
	for (unsigned i = 0; i < made->count; i++) {
		char path[64];
		uint64_t len = 0;
		snprintf(path, sizeof(path), "/spool/%s", made->names[i]);
		char *content = disk_content(&m->disk, path, &len);
		buf_init(&made->content[i], 1 << 20);
		if (content) buf_add(&made->content[i], str_of(content, len));
		free(content);
	}
}

/* By its number: how many messages, how large, what has become of them, and whether it was closed.  */
static void make(unsigned number, struct made *made)
{
	static struct fuzz_machine m;
	struct spool_report report;
	fuzz_machine_init(&m, number);
	struct spool *s = open_spool(&m, &report);
	ASSERT(s);
	slot slots[MESSAGES];
	for (unsigned i = 0; i < MESSAGES; i++)
		slots[i] = accept_message(&m, s, 1 + i % 3, i % 4 == number % 4 ? 30000 : 100 * i);
	for (unsigned i = 0; i < MESSAGES; i++) {
		if (!slots[i] || i % 3 == 0) continue;
		slot first = spool_message(spool_index(s), slots[i])->recipients;
		put_outcome(s, first, i % 3 == 1 && number & 1);
		fuzz_machine_run(&m, 20);
	}
	fuzz_machine_run(&m, 2000);
	if (!(number & 2)) keep_files(&m, made);
	spool_close(s);
	if (number & 2) keep_files(&m, made);
	fuzz_machine_release(&m);
}

static struct made *spool_number(unsigned number)
{
	static struct made all[SPOOLS];
	if (!all[number].count) make(number, &all[number]);
	return &all[number];
}

/* ---- changes ---- */

/* Where the nth record of a file begins; false: it has none.  */
static bool find_record(struct str file, unsigned nth, uint64_t salt, size_t *ret_at)
{
	bool found = false;
	for (int round = 0; round < 2; round++) {
		for (size_t at = RECORD_BLOCK; at + sizeof(struct disk_record) <= file.len;) {
			struct disk_record r;
			struct str payload;
			size_t size = 0;
			if (!record_read(str_skip(file, at), salt, &r, &payload, &size)) {
				at += RECORD_ALIGN;
				continue;
			}
			*ret_at = at;
			found = true;
			if (nth-- == 0) return true;
			at += size;
		}
		if (!found) return false;
	}
	return found;
}

static void sign_again(struct buf *file, size_t at, uint64_t salt)
{
	struct disk_record r;
	memcpy(&r, file->ptr + at, sizeof(r));
	size_t room = file->len - at - sizeof(r);
	if (r.length > room) return;
	struct iovec payload = {file->ptr + at + sizeof(r), r.length};
	record_seal(&r, salt, &payload, 1);
	memcpy(file->ptr + at, &r, sizeof(r));
}

static void overwrite(struct buf *file, size_t at, struct str with)
{
	if (at >= file->len) return;
	with = str_head(with, file->len - at);
	if (with.len) memcpy(file->ptr + at, with.ptr, with.len);
}

/* The salt of the file's life, from its header.  */
static uint64_t salt_of(const struct buf *file)
{
	struct disk_header h = {0};
	if (file->len >= sizeof(h)) memcpy(&h, file->ptr, sizeof(h));
	return h.salt;
}

static void edit_record(struct buf *file, struct str *in)
{
	size_t at;
	uint64_t salt = salt_of(file);
	unsigned nth = fuzz_octet(in);
	size_t offset = fuzz_below(in, 65536) % 160;
	struct str with = fuzz_take(in, 1u + fuzz_octet(in) % 16);
	if (!find_record(buf_str(file), nth, salt, &at)) return;
	if (offset < 8) offset += 8; /* the checksum and the mark come by themselves */
	overwrite(file, at + offset, with);
	sign_again(file, at, salt);
}

static void edit_header(struct buf *file, struct str *in)
{
	struct disk_header h;
	size_t offset = fuzz_below(in, sizeof(h));
	overwrite(file, offset, fuzz_take(in, 1u + fuzz_octet(in) % 8));
	if (file->len < sizeof(h) || fuzz_bool(in)) return;
	memcpy(&h, file->ptr, sizeof(h));
	h.crc = crc32c(0, str_of(&h, offsetof(struct disk_header, crc)));
	memcpy(file->ptr, &h, sizeof(h));
}

static void edit_index(struct buf *file, struct str *in)
{
	struct disk_trailer t;
	if (file->len < sizeof(t)) return;
	size_t end = file->len - sizeof(t);
	memcpy(&t, file->ptr + end, sizeof(t));
	uint64_t octets = (uint64_t)t.entries + t.domains;
	bool in_trailer = fuzz_bool(in) || octets == 0 || octets > end;
	size_t offset = fuzz_below(in, 65536);
	struct str with = fuzz_take(in, 1u + fuzz_octet(in) % 16);
	offset = in_trailer ? end + offset % sizeof(t) : end - octets + offset % octets;
	overwrite(file, offset, with);
	memcpy(&t, file->ptr + end, sizeof(t));
	octets = (uint64_t)t.entries + t.domains;
	if (octets <= end)
		t.index_crc = crc32c((uint32_t)t.salt, str_of(file->ptr + end - octets, octets));
	t.crc = crc32c(0, str_of(&t, offsetof(struct disk_trailer, crc)));
	memcpy(file->ptr + end, &t, sizeof(t));
}

static void change(struct made *files, struct str *in)
{
	unsigned i = fuzz_below(in, files->count);
	struct buf *file = &files->content[i];
	switch (fuzz_octet(in) % 12) {
	case 0: overwrite(file, fuzz_below(in, 65536), fuzz_text(in)); break;
	case 1: file->len = file->len * fuzz_octet(in) / 256; break;
	case 2: file->len = 0; break;
	case 3: edit_header(file, in); break;
	case 4:
	case 5: edit_index(file, in); break;
	case 6: {
		struct buf *other = &files->content[fuzz_below(in, files->count)];
		if (other == file) break;
		buf_clear(file);
		buf_add(file, buf_str(other));
		break;
	}
	case 7: files->names[i][0] = 0; break;
	case 8: {
		size_t block = (size_t)fuzz_below(in, 16) * RECORD_BLOCK;
		if (block + RECORD_BLOCK <= file->len) memset(file->ptr + block, 0, RECORD_BLOCK);
		break;
	}
	default: edit_record(file, in); break;
	}
}

/* ---- what must be true ---- */

static void visit(void *context, slot recipient, struct str domain)
{
	unsigned *count = context;
	ASSERT(recipient && domain.len <= 255);
	(*count)++;
}

static void check_message(struct spool *s, slot message)
{
	struct spool_reader r;
	int error = spool_read_open(s, message, &r);
	if (error) return;
	uint64_t octets = 0;
	for (struct str piece;;) {
		error = spool_read(&r, &piece);
		if (error || piece.len == 0) break;
		ASSERT(piece.len <= 64 << 10);
		octets += piece.len;
		ASSERT(octets <= r.size);
	}
	if (!error) ASSERT(octets == r.size);
	ASSERT(r.envelope.recipient_count > 0);
	spool_read_close(&r);
}

struct alive {
	uint64_t ids[4 * MESSAGES];
	unsigned count;
};

static void look_at_all(struct spool *s, struct alive *ret)
{
	const struct spool_index *x = spool_index(s);
	struct arena arena;
	arena_init(&arena, 1 << 20);
	ret->count = 0;
	for (slot i = 1; i < spool_message_end(x); i++) {
		const struct spool_message *m = spool_message(x, i);
		if (!m->id) continue;
		if (ret->count < ARRAY_LEN(ret->ids)) ret->ids[ret->count++] = m->id;
		check_message(s, i);
		struct outcome o;
		for (slot t = m->recipients; t; t = spool_recipient(x, t)->sibling)
			if (spool_reason(s, t, &arena, &o)) ASSERT(o.class == OUTCOME_DEFERRED);
	}
	arena_release(&arena);
}

static bool is_alive(const struct alive *a, uint64_t id)
{
	for (unsigned i = 0; i < a->count; i++)
		if (a->ids[i] == id) return true;
	return false;
}

/* Every other recipient is done with; then some new mail comes.  */
static void work_on(struct fuzz_machine *m, struct spool *s, unsigned how)
{
	const struct spool_index *x = spool_index(s);
	for (slot i = 1; i < spool_message_end(x); i++) {
		if (!spool_message(x, i)->id) continue;
		slot t = spool_message(x, i)->recipients;
		if (t && spool_recipient(x, t)->state != RECIPIENT_DONE) put_outcome(s, t, i & 1);
	}
	(void)accept_message(m, s, 2, how % 8 ? 500 : 30000);
	fuzz_machine_run(m, 100);
	spool_check(s);
}

static void check_spool(struct fuzz_machine *m, unsigned how)
{
	static struct alive before, after;
	struct spool_report report;
	struct spool *s = open_spool(m, &report);
	if (!s) return;
	unsigned visited = 0;
	spool_check(s);
	spool_each_recovered(s, visit, &visited);
	ASSERT(visited <= spool_recipient_count(spool_index(s)));
	look_at_all(s, &before);
	spool_check(s);
	work_on(m, s, how);
	look_at_all(s, &before);
	spool_close(s);
	s = open_spool(m, &report);
	ASSERT(s); /* what it has opened once it opens again */
	spool_check(s);
	look_at_all(s, &after);
	for (unsigned i = 0; i < before.count; i++) ASSERT(is_alive(&after, before.ids[i]));
	ASSERT(before.count == after.count);
	spool_close(s);
}

void fuzz_one(struct str in)
{
	static struct fuzz_machine m;
	static struct made files;
	unsigned how = fuzz_octet(&in);
	const struct made *from = spool_number(how / 8 % SPOOLS);
	memcpy(files.names, from->names, sizeof(files.names));
	files.count = from->count;
	for (unsigned i = 0; i < files.count; i++) {
		buf_init(&files.content[i], 1 << 20);
		buf_add(&files.content[i], buf_str(&from->content[i]));
	}
	for (unsigned i = 0; i < CHANGES && in.len; i++) change(&files, &in);
	fuzz_machine_init(&m, 9);
	ASSERT(io_dir_make(&m.io, "/spool") == 0);
	for (unsigned i = 0; i < files.count; i++) {
		char path[64];
		snprintf(path, sizeof(path), "/spool/%s", files.names[i]);
		if (files.names[i][0]) fuzz_machine_file(&m, path, buf_str(&files.content[i]));
		buf_release(&files.content[i]);
	}
	check_spool(&m, how);
	fuzz_machine_release(&m);
}
