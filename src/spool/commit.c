/* Group commit.  One batch is on its way at a time; what becomes ready meanwhile leaves in the
 * next.  A batch is composed here, before the loop sleeps, from
 *
 *   lead     when it opens a segment, the header block and the list; always the batch record
 *   copies   messages moved by compaction, with the state they have now
 *   states   state, done and freed records, in the order of what happened
 *   chunks   parts of bodies
 *   accepts  new messages whose chunks have all been placed
 *
 * and is signed, written and synced on the commit thread.  A state record may be older than a copy
 * before it: it says what is so and not what changes, so reading it again does no harm.  Only
 * chunks ask for no sync: the accept record that lists them comes later, in the same file, or
 * after its sealing, which syncs.  */
#include "spool/internal.h"

#include "spool/compact.h"
#include "spool/notes.h"

#include <errno.h>
#include <limits.h>

enum { LARGE_BATCH = 256 << 10 }; /* octets, on average over a segment */

/* ---- composing ---- */

bool commit_fits(const struct spool *s, uint64_t octets, uint64_t summary_octets)
{
	const struct batch *b = &s->batch;
	uint64_t end = record_blocks(b->position + RECORD_ALIGN + octets);
	if (b->iov_count + 4 > SPOOL_BATCH_IOV || b->part_count + 4 > SPOOL_BATCH_PARTS)
		return false;
	if (end - b->at > SPOOL_BATCH_OCTETS && b->records > 0) return false;
	return end + summary_room(&s->summary) + record_blocks(summary_octets) <= b->segment->size;
}

static void add_iov(struct batch *b, const void *octets, size_t len)
{
	if (len == 0) return;
	ASSERT(b->iov_count < SPOOL_BATCH_IOV);
	b->iov[b->iov_count++] = (struct iovec){(void *)(uintptr_t)octets, len};
	b->position += len;
}

/* The record begins at a multiple of 8; in front of `head` lie RECORD_ALIGN zeros for that.  */
void commit_add(struct batch *b, struct disk_record *head, size_t head_octets,
	const struct iovec *rest, int count)
{
	size_t pad = (size_t)(record_round(b->position) - b->position);
	add_iov(b, (char *)head - pad, pad + head_octets);
	b->parts[b->part_count++] = (struct part){head, head_octets, b->iov_count, count};
	for (int i = 0; i < count; i++) {
		b->position += rest[i].iov_len;
		b->iov[b->iov_count++] = rest[i];
	}
	b->records++;
}

void commit_add_raw(struct batch *b, const void *octets, size_t len)
{
	static const char zeros[RECORD_ALIGN];
	add_iov(b, zeros, (size_t)(record_round(b->position) - b->position));
	add_iov(b, octets, len);
}

static void add_segments(struct spool *s, struct batch *b)
{
	struct segments *all = &s->segments;
	size_t at = b->lead.len;
	struct disk_record head = record_make(RECORD_SEGMENTS, 0, 0);
	buf_add(&b->lead, str_of(&head, sizeof(head)));
	uint32_t offset = (uint32_t)((b->position + at) / RECORD_ALIGN);
	struct disk_segment self = {.number = b->segment->number,
		.generation = b->segment->generation,
		.salt = b->segment->salt};
	buf_add(&b->lead, str_of(&self, sizeof(self)));
	for (uint32_t i = 1; i < all->top; i++) {
		const struct segment *g = all->at[i];
		if (!g || g->state == SEGMENT_FREE || g == b->segment) continue;
		struct disk_segment one = {
			.number = i, .generation = g->generation, .salt = g->salt, .end = g->end};
		buf_add(&b->lead, str_of(&one, sizeof(one)));
	}
	if (!buf_ok(&b->lead)) return;
	size_t len = b->lead.len - at - sizeof(head);
	((struct disk_record *)(void *)(b->lead.ptr + at))->length = (uint32_t)len;
	summary_list(&s->summary, offset, str_of(b->lead.ptr + at + sizeof(head), len));
}

/* Header block, batch record, list of segments.  */
static bool add_lead(struct spool *s, struct batch *b)
{
	buf_clear(&b->lead);
	if (b->opens) {
		char *block = buf_reserve(&b->lead, RECORD_BLOCK);
		if (!block) return false;
		memset(block, 0, RECORD_BLOCK);
		header_make((struct disk_header *)(void *)block, b->segment->number,
			b->segment->generation, b->segment->salt, b->segment->size);
		b->lead.len = RECORD_BLOCK;
	}
	b->batch_record = b->lead.len;
	struct disk_record head = record_make(RECORD_BATCH, s->last_id, sizeof(struct disk_batch));
	struct disk_batch batch = {0};
	buf_add(&b->lead, str_of(&head, sizeof(head)));
	buf_add(&b->lead, str_of(&batch, sizeof(batch)));
	if (b->opens) add_segments(s, b);
	if (!buf_ok(&b->lead)) return false;
	add_iov(b, b->lead.ptr, b->lead.len);
	head.type = RECORD_BATCH;
	b->parts[b->part_count++] =
		(struct part){(struct disk_record *)(void *)(b->lead.ptr + b->batch_record),
			sizeof(head) + sizeof(batch), 0, 0};
	if (!b->opens) return true;
	size_t list = b->batch_record + sizeof(head) + sizeof(batch);
	b->parts[b->part_count++] = (struct part){
		(struct disk_record *)(void *)(b->lead.ptr + list), b->lead.len - list, 0, 0};
	b->records++;
	return true;
}

uint32_t commit_here(const struct batch *b)
{
	return (uint32_t)(record_round(b->position) / RECORD_ALIGN);
}

static bool add_chunk(struct spool *s, struct batch *b, struct chunk_item *item)
{
	if (!commit_fits(s, sizeof(item->head) + item->data.len,
		    sizeof(struct disk_entry) + sizeof(struct disk_entry_chunk)))
		return false;
	struct disk_chunk placed = {
		.place = {b->segment->number, commit_here(b), b->segment->generation},
		.length = (uint32_t)item->data.len,
		.part = item->nth};
	summary_chunk(&s->summary, item->head.id, &placed);
	if (item->writer) {
		memcpy(item->writer->chunks.ptr + (size_t)item->nth * sizeof(placed), &placed,
			sizeof(placed));
		item->writer->unplaced--;
		chunks_hold(s, &placed, 1);
	}
	struct iovec body = {item->data.ptr, item->data.len};
	commit_add(b, &item->head, sizeof(item->head), &body, 1);
	return true;
}

static void add_chunks(struct spool *s, struct batch *b)
{
	LIST_EACH_SAFE (&s->chunks, node) {
		struct chunk_item *item = CONTAINER_OF(node, struct chunk_item, link);
		if (!add_chunk(s, b, item)) return;
		list_remove(node);
		list_push_back(&b->chunks, node);
	}
}

static void add_accept_entry(
	struct spool *s, struct batch *b, const struct spool_writer *w, size_t length)
{
	const struct envelope *e = w->envelope;
	struct summary_accept accept = {.id = w->id,
		.offset = commit_here(b),
		.tag = w->tag,
		.length = (uint32_t)length,
		.recipients = (uint16_t)e->recipient_count,
		.chunks = (uint32_t)(w->chunks.len / sizeof(struct disk_chunk))};
	uint32_t due = (uint32_t)((e->hold_until ? e->hold_until : spool_created(w->id)) / 1000);
	char octets[ADDRESS_ROOM];
	summary_accept(&s->summary, &accept);
	summary_put(&s->summary, w->chunks.ptr, w->chunks.len);
	for (uint32_t i = 0; i < e->recipient_count; i++) {
		struct disk_entry_recipient r = {.due = due, .state = RECIPIENT_DUE};
		summary_recipient(&s->summary, domain_of(e->recipients[i].address, octets), &r);
	}
	summary_end(&s->summary);
}

static bool add_accept(struct spool *s, struct batch *b, struct spool_writer *w)
{
	size_t head = w->head.len - RECORD_ALIGN;
	size_t length = head + w->chunks.len + w->chunk.len;
	uint64_t summary = 48 +
		w->envelope->recipient_count *
			(sizeof(struct disk_entry_recipient) + ADDRESS_ROOM) +
		w->chunks.len;
	if (!commit_fits(s, length, summary)) return false;
	add_accept_entry(s, b, w, length);
	w->offset = commit_here(b);
	struct iovec rest[2];
	int count = 0;
	if (w->chunks.len) rest[count++] = (struct iovec){w->chunks.ptr, w->chunks.len};
	if (w->chunk.len) rest[count++] = (struct iovec){w->chunk.ptr, w->chunk.len};
	commit_add(
		b, (struct disk_record *)(void *)(w->head.ptr + RECORD_ALIGN), head, rest, count);
	b->messages++;
	b->sync = true;
	return true;
}

static void add_accepts(struct spool *s, struct batch *b)
{
	LIST_EACH_SAFE (&s->ready, node) {
		struct spool_writer *w = CONTAINER_OF(node, struct spool_writer, link);
		if (w->unplaced > 0 && !w->error) continue;
		if (!w->error && !add_accept(s, b, w)) return;
		list_remove(node);
		list_push_back(&b->writers, node);
	}
}

static void add_end(struct batch *b)
{
	static const char zeros[RECORD_BLOCK];
	add_iov(b, zeros, record_blocks(b->position) - b->position);
	struct disk_batch *batch = (struct disk_batch *)(void *)(b->lead.ptr + b->batch_record +
		sizeof(struct disk_record));
	uint64_t begin = b->opens ? RECORD_BLOCK : b->at;
	*batch = (struct disk_batch){
		(uint32_t)(b->position - begin), b->records, b->segment->synced};
}

/* ---- on the commit thread ---- */

static void sign(struct batch *b)
{
	for (int i = 0; i < b->part_count; i++) {
		struct part *p = &b->parts[i];
		struct iovec payload[4] = {{p->head + 1, p->head_octets - sizeof(*p->head)}};
		ASSERT(p->count < (int)ARRAY_LEN(payload));
		for (int j = 0; j < p->count; j++) payload[1 + j] = b->iov[p->from + j];
		record_seal(p->head, b->segment->salt, payload, 1 + p->count);
	}
	for (size_t i = 0; i < waiting_count(&b->states); i++) {
		struct disk_record *r = waiting_record(&b->states, i);
		struct iovec payload = {r + 1, r->length};
		record_seal(r, b->segment->salt, &payload, 1);
	}
}

/* A segment that no free one was ready for is made by writing it.  */
static int make_growing(struct batch *b)
{
	struct spool *s = b->spool;
	if (b->segment->file.fd >= 0) return 0;
	char path[SPOOL_PATH_MAX];
	segment_path(s, b->segment->number, path);
	int error = io_file_open(
		s->io, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE, &b->segment->file);
	return error ? error : io_dir_sync(s->io, s->path);
}

/* With a copy of the list, far away from the list.  */
static int mark_open(struct batch *b)
{
	const struct disk_header *header = (const struct disk_header *)(const void *)b->lead.ptr;
	if (!b->opens) return 0;
	size_t list = b->batch_record + sizeof(struct disk_record) + sizeof(struct disk_batch) +
		sizeof(struct disk_record);
	return trailer_mark_open(
		b->spool->io, &b->segment->file, header, str_skip(buf_str(&b->lead), list));
}

/* A freed record on the disk makes its segment free.  Should that record be spoilt one day, the header
 * says it too; so no failure matters here.  */
static void mark_freed(struct batch *b)
{
	for (size_t i = 0; i < waiting_count(&b->states); i++) {
		const struct effect *e = waiting_effect(&b->states, i);
		if (e->type != RECORD_FREED) continue;
		const struct segment *g = spool_segment(b->spool, e->segment);
		struct disk_header header;
		header_make_freed(&header, g->number, g->generation, g->salt, g->size);
		struct iovec iov = {&header, sizeof(header)};
		if (io_file_write(b->spool->io, &g->file, &iov, 1, 0) == 0)
			(void)!io_file_sync(b->spool->io, &g->file);
	}
}

static void run_batch(struct io_work *work)
{
	struct batch *b = CONTAINER_OF(work, struct batch, work);
	struct io *io = b->spool->io;
	int64_t began = io_now_us(io);
	sign(b);
	b->error = make_growing(b);
	if (!b->error) b->error = mark_open(b);
	if (!b->error) b->error = io_file_write(io, &b->segment->file, b->iov, b->iov_count, b->at);
	if (!b->error && b->sync) b->error = io_file_sync(io, &b->segment->file);
	if (!b->error && b->sync) mark_freed(b);
	b->us = io_now_us(io) - began;
}

static void run_seal(struct io_work *work)
{
	struct batch *b = CONTAINER_OF(work, struct batch, work);
	struct spool *s = b->spool;
	const struct segment *g = b->segment;
	struct disk_header header;
	header_make(&header, g->number, g->generation, g->salt, g->size);
	b->error = summary_write(s->io, &g->file, &header, g->end, &s->summary);
	if (!b->error) b->error = io_file_sync(s->io, &g->file);
}

/* ---- starting ---- */

static void seal(struct spool *s)
{
	struct batch *b = &s->batch;
	b->does = BATCH_SEALS;
	b->work = (struct io_work){.run = run_seal, .done = finish_seal};
	io_work(s->commit_workers, &b->work);
}

static struct segment *new_growing(struct spool *s)
{
	uint32_t number = segments_number(&s->segments);
	if (number == 0) return NULL;
	struct segment *g =
		segment_add(&s->segments, number, s->segment_size, (struct io_file){-1});
	if (g) g->grows = true;
	return g;
}

static bool open_segment(struct spool *s)
{
	struct segment *g = segment_take_free(&s->segments);
	if (!g) g = new_growing(s);
	if (!g) return false;
	segment_enter(&s->segments, g, SEGMENT_OPEN);
	g->generation = ++s->generation;
	io_random(s->io, &g->salt, sizeof(g->salt));
	if (g->salt >> 32 == 0) g->salt |= 1ull << 63; /* zeros are no mark */
	g->end = g->synced = g->rest_until = 0;
	g->broken = g->indexed = g->stale = g->emptied = false;
	summary_init(&s->summary, s->seed);
	s->summary.last_id = s->last_id;
	s->open = g;
	uint64_t batches = s->stats.syncs - s->opened_syncs;
	s->large_batches = batches > 0 && s->segment_size / batches >= LARGE_BATCH;
	s->opened_syncs = s->stats.syncs;
	maker_look(s);
	return true;
}

static bool anything_ready(const struct spool *s)
{
	return !list_empty(&s->ready) || !list_empty(&s->chunks) || s->probe || compact_ready(s) ||
		(waiting_count(&s->states) > 0 &&
			(s->hurry || s->states.records.len >= SPOOL_STATES_MAX));
}

static void begin(struct spool *s)
{
	struct batch *b = &s->batch;
	struct segment *g = s->open;
	b->segment = g;
	b->opens = g->end == 0;
	b->sync = b->opens;
	b->at = g->end;
	b->position = g->end;
	b->iov_count = b->part_count = 0;
	b->records = b->messages = 0;
	b->error = 0;
	if (!b->opens) return;
	summary_release(&s->summary); /* of a batch that was composed and not written */
	s->summary.last_id = s->last_id;
}

/* False: nothing fitted.  */
static bool compose(struct spool *s)
{
	struct batch *b = &s->batch;
	begin(s);
	if (!add_lead(s, b)) return false;
	uint32_t lead = b->records;
	compact_add(s, b);
	state_add(s, b);
	add_chunks(s, b);
	add_accepts(s, b);
	if (b->records == lead && list_empty(&b->writers) && !s->probe) return false;
	if (b->states.effects.len > 0 || b->sync) {
		b->sync = true;
		for (struct list *node; (node = list_pop(&s->syncs));)
			list_push_back(&b->syncs, node);
	}
	add_end(b);
	return true;
}

/* ---- telling: never out of the hook, since others' hooks may have run already ---- */

/* Everything recorded so far is on disk.  */
static bool is_all_synced(const struct spool *s)
{
	return s->batch.does == BATCH_IDLE && !list_empty(&s->syncs) &&
		waiting_count(&s->states) == 0;
}

static void tell_synced(struct spool *s)
{
	struct list told;
	list_init(&told);
	for (struct list *node; (node = list_pop(&s->syncs));) list_push_back(&told, node);
	for (struct list *node; (node = list_pop(&told));) {
		struct spool_op *op = CONTAINER_OF(node, struct spool_op, link);
		op->done(op, 0);
	}
}

/* What does not fit into an empty segment fits nowhere.  */
static void refuse_too_large(struct spool *s)
{
	struct list *node = list_pop(&s->ready);
	s->too_large = false;
	if (node)
		writer_finish(CONTAINER_OF(node, struct spool_writer, link), -EFBIG);
	else
		compact_refused(s);
}

static bool has_to_tell(const struct spool *s)
{
	return s->too_large || (s->sick && !s->probe && !list_empty(&s->ready)) || is_all_synced(s);
}

static void tell(struct spool *s)
{
	if (s->too_large) refuse_too_large(s);
	if (s->sick && !s->probe) health_fail_ready(s);
	if (is_all_synced(s)) tell_synced(s);
}

void commit_tell_fired(struct timer *timer) { tell(CONTAINER_OF(timer, struct spool, tell_timer)); }

static void commit_start(struct spool *s)
{
	struct batch *b = &s->batch;
	if (b->does != BATCH_IDLE || (s->sick && !s->probe) || s->too_large) return;
	if (!anything_ready(s) && (list_empty(&s->syncs) || is_all_synced(s))) return;
	if (!s->open && !open_segment(s)) return health_failed(s, -ENOSPC);
	if (!compose(s)) {
		if (compact_moved_nothing(s)) return commit_start(s);
		s->too_large = s->open->end == 0;
		if (!s->too_large) seal(s);
		return;
	}
	s->probe = s->hurry = false;
	b->does = BATCH_WRITES;
	b->work = (struct io_work){.run = run_batch, .done = finish_batch};
	bool is_short = b->position - b->at <= SPOOL_BATCH_SHORT && !b->opens;
	if (is_short)
		io_work_short(s->commit_workers, &b->work);
	else
		io_work(s->commit_workers, &b->work);
}

void commit_hook(struct io_hook *hook)
{
	struct spool *s = CONTAINER_OF(hook, struct spool, hook);
	notes_flush(s); /* a commit may take its time */
	commit_start(s);
	if (has_to_tell(s)) io_timer_set(s->io, &s->tell_timer, io_now(s->io));
}

/* At the end, when the hook is not called any more.  A sick disk gets one more chance.  */
void commit_now(struct spool *s)
{
	bool tried = false;
	while (s->commit_workers) {
		io_workers_stop(s->commit_workers); /* what is on its way comes to its end */
		s->commit_workers = NULL;
		if (waiting_count(&s->states) == 0 && list_empty(&s->ready) &&
			list_empty(&s->syncs))
			return;
		if (tried && s->sick) return;
		if (s->sick) s->probe = tried = true;
		s->hurry = true;
		s->commit_workers = io_workers_start(s->io, 1, "spool-commit");
		if (!s->commit_workers) return;
		commit_start(s);
		tell(s);
		if (s->batch.does == BATCH_IDLE && waiting_count(&s->states) > 0) return;
	}
}
