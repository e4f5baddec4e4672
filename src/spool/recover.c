/* Recovery: from the evidence of each file to what is part of the log.
 *
 *      evidence                                  what is done
 *   a  header whole, index whole                 the index is used, nothing else is read
 *   b  header whole, no index                    scanned: it was being written
 *   c  b, what does not pass was not synced      what passes is used: a torn tail, nobody was told
 *   d  b, what does not pass had been synced     what passes is used; each loss is told
 *   e  header whole, index spoilt                scanned as b
 *   f  header spoilt, first record or trailer    as a or b; told
 *      says who it is
 *   g  header spoilt, the list says who it is    as a or b; told
 *   h  header spoilt, and nobody knows it        free if there is a list; else left alone, told
 *   i  blank, of full size                       free
 *   k  empty, or blank and short                 removed: its making was interrupted
 *   l  whole, but not on the newest list,        free: it was freed, or never synced
 *      or the header says it is freed
 *   m  on the list, but there is no such file    told; what was in it is lost
 *   n  the number in the header is not its name  a copy: told, left alone
 *   o  the list says where it ends               nothing behind is looked at: that sync had failed
 *   p  shorter than the list says                told; what is there is used
 *   q  there is no list at all                   every segment that can be read is part of the log
 *
 * The newest list is that of the segment with the highest generation whose first record, or the copy
 * of it beside the trailer, is whole; freed records behind it are applied to it.  Segments with a
 * higher generation have lost their list: they are part of the log.  Rows of records are in
 * doc/spool.md.
 *
 * What another life has written may be in memory only, even after a sync: a failed one may have called
 * it clean.  So each file is settled before it is read.  Recovery writes nothing but indexes into room
 * that is unused, and headers of what is free, so it can be cut off anywhere and begin again.  */
#include "spool/recover.h"

#include <errno.h>

enum { SETTLE_TRIES = 3 };

struct recovery {
	struct spool *spool;
	struct spool_report *report;
	struct restore restore;
	struct evidence *all; /* by descending generation */
	uint32_t count, cap;
	bool map; /* a list of segments was found */
	int error;
};

/* ---- evidence ---- */

static bool note_file(void *context, const char *name)
{
	struct recovery *r = context;
	uint32_t number;
	if (!segment_name_parse(name, &number)) return true;
	if (r->count == r->cap) {
		uint32_t cap = r->cap ? r->cap * 2 : 16;
		struct evidence *all = realloc(r->all, cap * sizeof(*all));
		if (!all) return r->error = -ENOMEM, false;
		r->all = all;
		r->cap = cap;
	}
	r->all[r->count++] = (struct evidence){.number = number, .file.fd = -1};
	return true;
}

static bool is_zero(const struct disk_header *h)
{
	static const struct disk_header zero;
	return memcmp(h, &zero, sizeof(zero)) == 0;
}

/* Where the header is spoilt: by the first record, or by the trailer, which the first batch was
 * synced with.  */
static void identify(struct spool *s, struct evidence *e)
{
	struct disk_segment self = {0};
	struct disk_trailer t;
	e->identified = scan_identify(s->io, &e->file, e->number, &self);
	if (!e->identified) self.generation = 0;
	enum summary_found found = trailer_read(s->io, &e->file, e->file_size, 0, &t);
	if ((found == SUMMARY_OPEN || found == SUMMARY_WHOLE) && t.number == e->number &&
		t.generation > self.generation) {
		self = (struct disk_segment){.generation = t.generation, .salt = t.salt};
		e->identified = true;
	}
	e->generation = self.generation;
	e->salt = self.salt;
}

static void told(struct recovery *r, const struct evidence *e, uint64_t offset, const char *what)
{
	r->report->damaged_records++;
	spool_told(r->spool, "spool-damage", e->number, offset, what);
}

static void remove_file(struct spool *s, struct evidence *e)
{
	char path[SPOOL_PATH_MAX];
	io_file_close(s->io, &e->file);
	(void)!io_unlink(s->io, segment_path(s, e->number, path));
}

/* A sync that fails here loses nothing that anybody was told of; what is on the medium then is what
 * counts.  */
static int open_settled(struct spool *s, struct evidence *e)
{
	char path[SPOOL_PATH_MAX];
	int error = io_file_open(s->io, segment_path(s, e->number, path), IO_OPEN_WRITE, &e->file);
	if (error) return error;
	for (int tries = 0; tries < SETTLE_TRIES; tries++) {
		error = io_file_settle(s->io, &e->file);
		if (!error) break;
	}
	return error;
}

static int examine(struct recovery *r, struct evidence *e)
{
	struct spool *s = r->spool;
	struct disk_header h;
	int error = open_settled(s, e);
	if (error) return error;
	int64_t size = io_file_size(s->io, &e->file);
	if (size < 0) return (int)size;
	e->file_size = (uint64_t)size;
	e->size = record_blocks(e->file_size);
	int64_t n = io_file_read(s->io, &e->file, &h, sizeof(h), 0);
	if (n < 0) return (int)n;
	bool whole = n == sizeof(h);
	if (!whole || is_zero(&h)) {
		if (whole) identify(s, e);
		e->blank = whole && !e->identified;
		return 0;
	}
	if (header_newer(&h)) return -EPROTONOSUPPORT;
	if (!header_valid(&h)) {
		identify(s, e);
		return 0;
	}
	e->foreign = h.number != e->number;
	e->headed = e->identified = !e->foreign;
	e->freed = e->headed && h.freed;
	e->generation = h.generation;
	e->salt = h.salt;
	e->size = h.size;
	return 0;
}

static int by_generation(const void *a, const void *b)
{
	const struct evidence *x = a, *y = b;
	if (x->generation != y->generation) return x->generation > y->generation ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static int gather(struct recovery *r)
{
	struct spool *s = r->spool;
	int error = io_dir_each(s->io, s->path, note_file, r);
	if (!error) error = r->error;
	for (uint32_t i = 0; i < r->count && !error; i++) error = examine(r, &r->all[i]);
	if (r->count) qsort(r->all, r->count, sizeof(*r->all), by_generation);
	for (uint32_t i = 0; i < r->count; i++) {
		if (r->all[i].generation > s->generation) s->generation = r->all[i].generation;
		if (r->all[i].foreign)
			told(r, &r->all[i], 0, "the file is a copy of another segment");
	}
	return error;
}

/* ---- loading ---- */

struct damage_context {
	struct recovery *recovery;
	struct evidence *evidence;
};

static void damage_found(struct scan *scan, uint64_t offset, const char *what)
{
	struct damage_context *c = scan->context;
	told(c->recovery, c->evidence, offset, what);
}

static int load_by_scan(struct recovery *r, struct evidence *e)
{
	struct damage_context context = {r, e};
	uint64_t limit = e->file_size < e->size ? e->file_size : e->size;
	if (e->limit && e->limit < limit) limit = e->limit;
	struct scan scan = {.io = r->spool->io,
		.file = &e->file,
		.number = e->number,
		.generation = e->generation,
		.salt = e->salt,
		.limit = limit,
		.synced = e->limit,
		.damaged = damage_found,
		.context = &context,
		.summary = &e->summary};
	summary_release(&e->summary);
	summary_init(&e->summary, r->spool->seed);
	int error = scan_segment(&scan);
	e->scanned = true;
	e->end = scan.end;
	e->synced = scan.synced;
	e->lost = scan.lost;
	e->torn = scan.torn;
	e->unknown = scan.unknown;
	return error;
}

static bool list_of(const struct evidence *e, struct summary_entry *ret)
{
	struct str rest = buf_str(&e->summary.entries);
	while (summary_next(&rest, ret))
		if (ret->head.type == RECORD_SEGMENTS && ret->head.count > 0)
			return ret->segments[0].number == e->number;
	return false;
}

/* The list is spoilt or never came to the disk, and there is a copy of it beside the trailer.  It was so
 * when it was written, whatever became of the batch behind it.  */
static int take_list_copy(
	struct recovery *r, struct evidence *e, const struct disk_trailer *trailer)
{
	struct summary_entry list;
	struct summary copy;
	if (list_of(e, &list)) return 0;
	if (trailer->salt != e->salt || trailer->number != e->number) return 0;
	summary_init(&copy, 0);
	if (summary_read(r->spool->io, &e->file, e->file_size, trailer, &copy) == SUMMARY_WHOLE)
		summary_put(&e->summary, copy.entries.ptr, copy.entries.len);
	summary_release(&copy);
	return summary_ok(&e->summary) ? 0 : -ENOMEM;
}

static int load(struct recovery *r, struct evidence *e)
{
	if (e->loaded) return 0;
	e->loaded = true;
	struct spool *s = r->spool;
	struct disk_trailer trailer;
	summary_init(&e->summary, r->spool->seed);
	if (!e->headed) told(r, e, 0, "the header is spoilt");
	if (e->file_size < e->size && e->limit > e->file_size)
		told(r, e, e->file_size, "the file is cut off");
	enum summary_found found = SUMMARY_NONE;
	if (e->file_size == e->size)
		found = trailer_read(s->io, &e->file, e->file_size, e->generation, &trailer);
	if (found == SUMMARY_WHOLE && (trailer.salt != e->salt || trailer.number != e->number))
		found = SUMMARY_NONE;
	if (found == SUMMARY_WHOLE)
		found = summary_read(s->io, &e->file, e->file_size, &trailer, &e->summary);
	if (found == SUMMARY_WHOLE) {
		e->end = trailer.end;
		return 0;
	}
	if (found == SUMMARY_DAMAGED)
		told(r, e, e->size, "the index is spoilt: the records are read");
	int error = load_by_scan(r, e);
	return error || found != SUMMARY_OPEN ? error : take_list_copy(r, e, &trailer);
}

/* ---- which segments are part of the log ---- */

/* Newer ones, which have lost their list, are part of the log when anything is in them.  */
static int find_map(struct recovery *r, struct summary_entry *ret_list)
{
	for (uint32_t i = 0; i < r->count && !r->map; i++) {
		struct evidence *e = &r->all[i];
		if (!e->identified || e->foreign || e->freed) continue;
		int error = load(r, e);
		if (error) return error;
		r->map = list_of(e, ret_list);
		e->live = r->map || e->summary.entries.len > 0;
	}
	return 0;
}

static struct evidence *by_number(struct recovery *r, uint32_t number)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (r->all[i].number == number) return &r->all[i];
	return NULL;
}

static bool is_freed(const struct recovery *r, uint32_t number, uint64_t generation)
{
	for (uint32_t i = 0; i < r->count; i++) {
		struct str rest = buf_str(&r->all[i].summary.entries);
		for (struct summary_entry x; summary_next(&rest, &x);)
			if (x.head.type == RECORD_FREED && x.freed.number == number &&
				x.freed.generation == generation)
				return true;
	}
	return false;
}

static void apply_list(struct recovery *r, const struct summary_entry *list)
{
	for (uint32_t i = 1; i < list->head.count; i++) {
		const struct disk_segment *one = &list->segments[i];
		struct evidence *e = by_number(r, one->number);
		if (one->generation > r->spool->generation) r->spool->generation = one->generation;
		if (e && !e->identified && !e->foreign) {
			e->identified = true;
			e->blank = false;
			e->generation = one->generation;
			e->salt = one->salt;
		}
		if (e && e->freed && e->generation == one->generation) continue;
		if (!e || e->foreign || e->generation != one->generation) {
			if (is_freed(r, one->number, one->generation)) continue;
			struct evidence none = {.number = one->number};
			told(r, &none, 0, "a segment is missing: what was in it is lost");
			continue;
		}
		e->live = true;
		e->limit = one->end;
	}
}

static void apply_freed(struct recovery *r, const struct evidence *from)
{
	struct str rest = buf_str(&from->summary.entries);
	for (struct summary_entry x; summary_next(&rest, &x);) {
		if (x.head.type != RECORD_FREED) continue;
		struct evidence *e = by_number(r, x.freed.number);
		if (e && e->generation == x.freed.generation) e->live = false;
	}
}

static int decide(struct recovery *r)
{
	struct summary_entry list;
	int error = find_map(r, &list);
	if (error) return error;
	if (!r->map) return 0;
	apply_list(r, &list);
	for (uint32_t i = 0; i < r->count; i++)
		if (r->all[i].loaded) apply_freed(r, &r->all[i]);
	qsort(r->all, r->count, sizeof(*r->all),
		by_generation); /* some have got one from the list */
	return 0;
}

/* ---- into memory ---- */

/* So that it stays so, whatever becomes of the record that says it now.  */
static void mark_freed(struct spool *s, const struct evidence *e)
{
	struct disk_header header;
	header_make_freed(&header, e->number, e->generation, e->salt, e->size);
	struct iovec iov = {&header, sizeof(header)};
	if (io_file_write(s->io, &e->file, &iov, 1, 0) == 0) (void)!io_file_sync(s->io, &e->file);
}

/* What is not part of the log: free for use, removed, or left alone.  */
static int enter_other(struct recovery *r, struct evidence *e)
{
	struct spool *s = r->spool;
	bool unknown = !e->identified && !e->blank && !r->map && e->file_size >= RECORD_BLOCK;
	if (unknown) told(r, e, 0, "nothing is known of this file: it is left alone");
	if (!unknown && !e->foreign && e->file_size != s->segment_size) {
		remove_file(s, e);
		return 0;
	}
	if (e->headed && !e->freed) mark_freed(s, e);
	struct segment *g = segment_add(&s->segments, e->number, e->size, e->file);
	if (!g) return -ENOMEM;
	e->file.fd = -1;
	if (!unknown && !e->foreign) segment_give_free(&s->segments, g);
	return 0;
}

static int enter_live(struct recovery *r, struct evidence *e)
{
	struct spool *s = r->spool;
	struct segment *g = segment_add(&s->segments, e->number, e->size, e->file);
	if (!g) return -ENOMEM;
	e->segment = g;
	g->generation = e->generation;
	g->salt = e->salt;
	g->end = e->end;
	g->indexed = !e->scanned;
	segment_enter(&s->segments, g, SEGMENT_OPEN);
	segment_enter(&s->segments, g, SEGMENT_SEALED);
	return 0;
}

/* So that the next start need not scan it again; after a loss the evidence stays as it is.  */
static int settle(struct recovery *r, struct evidence *e)
{
	struct spool *s = r->spool;
	struct segment *g = e->segment;
	bool room = e->end + summary_room(&e->summary) <= e->size && e->file_size == e->size;
	if (!e->scanned || !room || e->lost > 0 || e->unknown || !e->headed) return 0;
	struct disk_header header;
	header_make(&header, g->number, g->generation, g->salt, g->size);
	g->indexed = summary_write(s->io, &g->file, &header, e->end, &e->summary) == 0;
	return io_file_sync(s->io, &g->file);
}

static int restore_live(struct recovery *r, struct evidence *e)
{
	int error = load(r, e);
	if (!error) error = enter_live(r, e);
	if (!error) error = restore_segment(&r->restore, e);
	if (!error) error = settle(r, e);
	summary_release(&e->summary);
	r->report->segments++;
	r->report->torn_tails += e->torn;
	return error;
}

/* What a record names lies in its own segment or in one of a lower generation.  */
static int restore_all(struct recovery *r)
{
	int error = 0;
	for (uint32_t i = r->count; i-- > 0 && !error;)
		error = r->all[i].live ? restore_live(r, &r->all[i]) : enter_other(r, &r->all[i]);
	if (!error) r->report->damaged_records += restore_end(&r->restore);
	return error;
}

static void release(struct recovery *r)
{
	for (uint32_t i = 0; i < r->count; i++) {
		struct evidence *e = &r->all[i];
		if (!e->segment) io_file_close(r->spool->io, &e->file);
		summary_release(&e->summary);
		buf_release(&e->chunks);
	}
	free(r->all);
}

int recover(struct spool *s, struct spool_report *report, const char **ret_why)
{
	struct recovery *r = calloc(1, sizeof(*r));
	*report = (struct spool_report){0};
	*ret_why = "no memory to read the spool";
	if (!r) return -ENOMEM;
	r->spool = s;
	r->report = report;
	int error = recovered_open(s) ? 0 : -ENOMEM;
	/* A name that a life before us gave, or took, may be known to memory alone: what is built
	 * on it now must not go with it.  */
	if (!error) error = io_dir_sync(s->io, s->path);
	if (!error) error = gather(r);
	if (!error) error = decide(r);
	r->restore = (struct restore){.spool = s, .all = r->all, .count = r->count};
	if (!error) error = restore_all(r);
	release(r);
	free(r);
	if (error == -EPROTONOSUPPORT)
		*ret_why = "the spool was written by a newer version: use that one";
	else if (error && error != -ENOMEM)
		*ret_why =
			"a segment of the spool cannot be read: look at the disk and at the owner";
	return error;
}
