/* A message comes in: content is gathered in the writer's own buffer; what passes one chunk leaves
 * as records of its own; the rest goes into the accept record.  The buffers are what is written:
 * nothing is copied.  */
#include "spool/internal.h"

#include <errno.h>

enum { LISTS_MAX = 2 << 20, ABOVE_LIMIT = 8 };

struct str domain_of(struct str address, char to[ADDRESS_ROOM])
{
	size_t at = str_rfind(address, '@');
	struct str domain =
		at < address.len ? str_head(str_skip(address, at + 1), ADDRESS_ROOM - 1) : STR_NONE;
	for (size_t i = 0; i < domain.len; i++) to[i] = ascii_lower(domain.ptr[i]);
	return str_of(to, domain.len);
}

static void count_buffers(struct spool *s, size_t before, size_t after)
{
	s->buffers += after - before;
}

static void release_buf(struct spool *s, struct buf *b)
{
	count_buffers(s, b->cap, 0);
	buf_release(b);
}

int spool_begin(struct spool *s, struct spool_writer *w, void (*resumed)(struct spool_writer *))
{
	int error = health_refusal(s);
	if (error) return error;
	uint64_t now = (uint64_t)io_wall(s->io) << 20;
	s->last_id = now > s->last_id ? now : s->last_id + 1;
	*w = (struct spool_writer){
		.spool = s, .resumed = resumed, .id = s->last_id, .state = WRITER_OPEN};
	buf_init(&w->chunk, s->chunk_size);
	buf_init(&w->chunks, LISTS_MAX);
	buf_init(&w->head, SPOOL_RECORD_MAX);
	list_push_back(&s->writers, &w->link);
	return 0;
}

/* The full buffer leaves as a record of its own.  */
static bool send_chunk(struct spool_writer *w)
{
	struct spool *s = w->spool;
	struct chunk_item *item = calloc(1, sizeof(*item));
	static const struct disk_chunk unplaced;
	if (!item) return false;
	item->nth = (uint32_t)(w->chunks.len / sizeof(unplaced));
	size_t before = w->chunks.cap;
	bool listed = buf_add(&w->chunks, str_of(&unplaced, sizeof(unplaced)));
	count_buffers(s, before, w->chunks.cap);
	if (!listed) {
		free(item);
		return false;
	}
	item->spool = s;
	item->writer = w;
	item->data = w->chunk;
	item->head = record_make(RECORD_CHUNK, w->id, item->data.len);
	item->head.part = (uint16_t)item->nth;
	buf_init(&w->chunk, s->chunk_size);
	w->in_flight++;
	w->unplaced++;
	list_push_back(&s->chunks, &item->link);
	return true;
}

static bool take_some(struct spool_writer *w, struct str *octets)
{
	struct spool *s = w->spool;
	if (w->chunk.len == s->chunk_size && !send_chunk(w)) return false;
	struct str some = str_head(*octets, s->chunk_size - w->chunk.len);
	size_t before = w->chunk.cap;
	if (!buf_add(&w->chunk, some)) return false;
	count_buffers(s, before, w->chunk.cap);
	w->size += some.len;
	*octets = str_skip(*octets, some.len);
	return true;
}

enum spool_take spool_write(struct spool_writer *w, struct str octets)
{
	struct spool *s = w->spool;
	ASSERT(w->state == WRITER_OPEN);
	if (!w->error && s->sick) w->error = s->sick;
	/* What has begun may go a little past the limit that keeps new ones out.  */
	size_t limit = s->options.memory_max + s->options.memory_max / ABOVE_LIMIT;
	if (!w->error && s->options.memory_max && health_memory(s) + octets.len > limit)
		w->error = -ENOMEM;
	if (w->error) {
		s->refused = true;
		return SPOOL_REFUSED;
	}
	while (octets.len > 0) {
		if (take_some(w, &octets)) continue;
		w->error = -ENOMEM;
		return SPOOL_REFUSED;
	}
	w->waits = w->in_flight >= SPOOL_IN_FLIGHT;
	return w->waits ? SPOOL_WAIT : SPOOL_TAKEN;
}

/* Records that are on their way go on, for nobody.  */
static void disown_chunks(struct spool *s, const struct spool_writer *w)
{
	struct list *lists[] = {&s->chunks, &s->batch.chunks};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		LIST_EACH_SAFE (lists[i], node) {
			struct chunk_item *item = CONTAINER_OF(node, struct chunk_item, link);
			if (item->writer == w) item->writer = NULL;
		}
	}
}

static void release(struct spool_writer *w)
{
	struct spool *s = w->spool;
	release_buf(s, &w->chunk);
	release_buf(s, &w->chunks);
	release_buf(s, &w->head);
	list_remove(&w->link);
	w->state = WRITER_EMPTY;
}

static void forget_chunks(struct spool_writer *w)
{
	disown_chunks(w->spool, w);
	chunks_release(w->spool, (const struct disk_chunk *)(const void *)w->chunks.ptr,
		(uint32_t)(w->chunks.len / sizeof(struct disk_chunk)));
}

void spool_abort(struct spool_writer *w)
{
	if (w->state == WRITER_EMPTY) return;
	ASSERT(w->state == WRITER_OPEN);
	forget_chunks(w);
	release(w);
}

static bool make_head(struct spool_writer *w)
{
	static const char zeros[RECORD_ALIGN];
	const struct envelope *e = w->envelope;
	struct disk_accept accept = {.tag = w->tag,
		.recipients = (uint16_t)e->recipient_count,
		.chunks = (uint32_t)(w->chunks.len / sizeof(struct disk_chunk)),
		.body = (uint32_t)w->chunk.len,
		.size = w->size};
	struct disk_record head = record_make(RECORD_ACCEPT, w->id, 0);
	buf_add(&w->head, str_of(zeros, sizeof(zeros)));
	buf_add(&w->head, str_of(&head, sizeof(head)));
	buf_add(&w->head, str_of(&accept, sizeof(accept)));
	size_t before = w->head.len;
	envelope_encode(&w->head, e);
	size_t length = w->head.len - sizeof(zeros) - sizeof(head) + w->chunks.len + w->chunk.len;
	if (!buf_ok(&w->head) || length > SPOOL_RECORD_MAX) return false;
	head.length = (uint32_t)length;
	accept.envelope = (uint32_t)(w->head.len - before);
	memcpy(w->head.ptr + sizeof(zeros), &head, sizeof(head));
	memcpy(w->head.ptr + sizeof(zeros) + sizeof(head), &accept, sizeof(accept));
	return true;
}

/* Slots are taken before anything is written: what is on disk can always be remembered.  */
static int prepare(struct spool_writer *w)
{
	struct spool *s = w->spool;
	if (w->error) return w->error;
	if (s->sick) return s->sick;
	if (w->envelope->recipient_count == 0 || w->envelope->recipient_count > UINT16_MAX)
		return -EINVAL;
	bool made = make_head(w);
	count_buffers(s, 0, w->head.cap);
	if (!made) return -EFBIG;
	w->message = slots_take(&s->index, w->envelope->recipient_count);
	return w->message ? 0 : -ENOMEM;
}

void spool_commit(
	struct spool_writer *w, const struct envelope *e, uint32_t tag, struct spool_op *op)
{
	struct spool *s = w->spool;
	ASSERT(w->state == WRITER_OPEN);
	w->envelope = e;
	w->tag = tag;
	w->op = op;
	w->error = prepare(w);
	w->state = WRITER_COMMITTING;
	list_remove(&w->link);
	list_push_back(&s->ready, &w->link);
}

slot spool_committed(const struct spool_writer *w) { return w->message; }

/* Now it is on disk: the message is in the index.  False: no memory for its list of chunks.  */
static bool enter(struct spool_writer *w)
{
	struct spool *s = w->spool;
	struct spool_message *m = spool_message(&s->index, w->message);
	size_t length = w->head.len - RECORD_ALIGN + w->chunks.len + w->chunk.len;
	uint32_t count = (uint32_t)(w->chunks.len / sizeof(struct disk_chunk)), place = w->offset;
	const struct disk_chunk *chunks = (const struct disk_chunk *)(const void *)w->chunks.ptr;
	if (count > 0) {
		if (!chunked_add(s, chunks, count, w->offset, &place)) return false;
		m->flags = SPOOL_MESSAGE_CHUNKED;
		chunks_release(s, chunks, count); /* now the message holds them */
	}
	m->segment = s->batch.segment->number & UINT16_MAX;
	m->offset = place & ((1u << 25) - 1);
	m->size_class = size_class(length) & 127u;
	m->tag = w->tag;
	message_hold(s, m);
	for (slot t = m->recipients; t;) {
		struct spool_recipient *r = spool_recipient(&s->index, t);
		r->due = (uint32_t)(spool_created(w->id) / 1000);
		t = r->sibling;
	}
	slots_publish(&s->index, w->message, w->id, RECIPIENT_ACTIVE);
	return true;
}

void writer_finish(struct spool_writer *w, int error)
{
	struct spool *s = w->spool;
	struct spool_op *op = w->op;
	if (w->error) error = w->error;
	if (!error) {
		/* What is on disk must not be forgotten: without memory, start from there.  */
		bool entered = enter(w);
		ASSERT(entered);
	}
	if (error) {
		if (w->message) slots_free(&s->index, w->message);
		w->message = 0;
		forget_chunks(w);
	}
	w->envelope = NULL;
	w->op = NULL;
	release(w);
	op->done(op, error);
}

/* The one who waits is told, also of a failure: the next spool_write says REFUSED.  */
static void resume(struct spool_writer *w)
{
	if (!w->waits || w->state != WRITER_OPEN) return;
	w->waits = false;
	w->resumed(w);
}

void writer_chunk_done(struct chunk_item *item, int error)
{
	struct spool_writer *w = item->writer;
	list_remove(&item->link);
	count_buffers(item->spool, item->data.cap, 0);
	buf_release(&item->data);
	free(item);
	if (!w) return;
	if (error) w->error = error;
	w->in_flight--;
	if (w->error || w->in_flight <= SPOOL_IN_FLIGHT / 2) resume(w);
}

static bool has_chunk_in(const struct spool_writer *w, uint32_t number)
{
	const struct disk_chunk *chunks = (const struct disk_chunk *)(const void *)w->chunks.ptr;
	for (size_t i = 0; i < w->chunks.len / sizeof(*chunks); i++)
		if (chunks[i].place.number == number) return true;
	return false;
}

static struct spool_writer *first_with_chunk_in(struct spool *s, uint32_t number)
{
	struct list *lists[] = {&s->writers, &s->ready};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		LIST_EACH (lists[i], node) {
			struct spool_writer *w = CONTAINER_OF(node, struct spool_writer, link);
			if (has_chunk_in(w, number)) return w;
		}
	}
	return NULL;
}

/* Chunks ask for no sync of their own: after a failure nothing is known about those in this
 * segment.  */
void writer_fail_in(struct spool *s, const struct segment *segment, int error)
{
	for (struct spool_writer *w; (w = first_with_chunk_in(s, segment->number));) {
		w->error = error;
		forget_chunks(w);
		w->chunks.len = 0;
		resume(w);
	}
}
