#include "spool/move.h"

#include "spool/reason.h"

#include <errno.h>

enum { ARENA_MAX = 32 << 20, RECORD_ROOM = SPOOL_RECORD_MAX + SPOOL_RECORD_MAX / 4 };

/* ---- choosing ---- */

/* Its last state record can be read from the disk.  */
static bool is_settled(const struct spool *s, const struct spool_message *m)
{
	const struct batch *b = &s->batch;
	if (m->state_segment == 0) return m->state_offset == 0;
	return b->does != BATCH_WRITES || m->state_segment != b->segment->number ||
		m->state_offset * (uint64_t)RECORD_ALIGN < b->at;
}

bool move_add(struct move *v, enum move_kind kind, slot message)
{
	struct spool *s = v->spool;
	const struct spool_message *m = spool_message(&s->index, message);
	if (v->count == MOVE_ITEMS || v->octets >= MOVE_OCTETS || !is_settled(s, m)) return false;
	struct move_item *item = &v->items[v->count++];
	*item = (struct move_item){.kind = kind, .message = message, .id = m->id};
	for (slot t = m->recipients; t; t = spool_recipient(&s->index, t)->sibling)
		item->recipients++;
	v->octets += kind == MOVE_MESSAGE ? size_of_class(m->size_class) : SPOOL_STATE_OCTETS;
	return true;
}

static bool is_alive(const struct move *v, const struct move_item *item)
{
	return spool_message(&v->spool->index, item->message)->id == item->id;
}

/* Before the worker: where things are now.  */
static void snapshot(const struct move *v, struct move_item *item)
{
	const struct spool *s = v->spool;
	const struct spool_message *m = spool_message(&s->index, item->message);
	const struct segment *g = spool_segment(s, m->segment);
	item->state_number = m->state_segment;
	item->state_offset = m->state_offset;
	item->accept_number = m->segment;
	item->accept_offset = message_offset(s, m);
	item->accept_generation = g ? g->generation : 0;
	item->size_class = m->size_class;
}

void move_prepare(struct move *v)
{
	for (uint32_t i = 0; i < v->count; i++) {
		struct move_item *item = &v->items[i];
		const struct spool_message *m = spool_message(&v->spool->index, item->message);
		if (!is_alive(v, item))
			item->phase = MOVE_OVER;
		else if (item->phase == MOVE_AGAIN && is_settled(v->spool, m))
			item->phase = MOVE_WAITS;
		if (item->phase == MOVE_WAITS) snapshot(v, item);
	}
}

/* ---- reading, on a worker: nothing of the index is looked at ---- */

static void keep_outcomes(struct move_item *item, struct str recipients)
{
	struct disk_recipient one;
	struct str outcome;
	while (take_recipient(&recipients, &one, &outcome)) {
		if (one.index >= item->recipients || outcome.len == 0 ||
			item->outcomes[one.index].len)
			continue;
		if (!arena_copy(&item->arena, outcome, &item->outcomes[one.index]))
			item->error = -ENOMEM;
	}
}

static void read_chain(struct move *v, struct move_item *item)
{
	struct chain chain;
	struct str recipients;
	uint32_t segment;
	chain_init(&chain, v->spool, item->id);
	chain.number = item->state_number;
	chain.offset = item->state_offset;
	chain.accept_generation = item->accept_generation;
	chain.accept_offset = item->accept_offset;
	while (chain_next(&chain, &recipients, &segment)) {
		if (segment == v->victim->number) item->touched = true;
		keep_outcomes(item, recipients);
	}
	if (chain.error) item->error = chain.error;
	chain_release(&chain);
}

static int read_accept(struct move *v, struct move_item *item)
{
	struct disk_record head;
	struct str payload;
	const struct segment *g = spool_segment(v->spool, item->accept_number);
	buf_init(&item->record, RECORD_ROOM);
	if (!g) return -EBADMSG;
	int error = segment_read(v->spool, g, item->accept_offset, size_of_class(item->size_class),
		&item->record, RECORD_ACCEPT, item->id, &head, &payload);
	if (error) return error;
	if (!accept_view(payload, &item->view) || item->view.head.recipients != item->recipients)
		return -EBADMSG;
	keep_outcomes(item, item->view.states);
	if (item->list.len > 0 || item->view.chunks.len == 0) return 0;
	buf_init(&item->list, RECORD_ROOM);
	return buf_add(&item->list, item->view.chunks) ? 0 : -ENOMEM;
}

static struct disk_chunk *listed(const struct move_item *item, uint32_t nth)
{
	return &((struct disk_chunk *)(void *)item->list.ptr)[nth];
}

static int read_chunk(struct move *v, struct move_item *item, uint32_t nth)
{
	struct move_chunk *c = &item->chunks[item->chunk_count];
	const struct disk_chunk *from = listed(item, nth);
	struct str payload;
	*c = (struct move_chunk){.nth = nth};
	buf_init(&c->data, sizeof(c->head) + from->length);
	int error = segment_read(v->spool, v->victim, from->place.offset,
		sizeof(c->head) + from->length, &c->data, RECORD_CHUNK, item->id, &c->head,
		&payload);
	if (!error && payload.len != from->length) error = -EBADMSG;
	item->chunk_count++;
	return error;
}

static int read_chunks(struct move *v, struct move_item *item)
{
	uint32_t count = (uint32_t)(item->list.len / sizeof(struct disk_chunk));
	uint64_t octets = 0, most = v->spool->segment_size / 4;
	for (uint32_t i = 0; i < count && item->chunk_count < MOVE_CHUNKS && octets < most; i++) {
		const struct disk_place *place = &listed(item, i)->place;
		if (place->number != v->victim->number ||
			place->generation != v->victim->generation)
			continue;
		octets += listed(item, i)->length;
		int error = read_chunk(v, item, i);
		if (error) return error;
	}
	return 0;
}

static void release_chunks(struct move_item *item)
{
	for (uint32_t i = 0; i < item->chunk_count; i++) buf_release(&item->chunks[i].data);
	item->chunk_count = 0;
}

/* All but the list of chunks, which keeps the new places.  */
static void release_read(struct move_item *item)
{
	release_chunks(item);
	buf_release(&item->record);
	buf_release(&item->head);
	free(item->outcomes);
	item->outcomes = NULL;
	arena_release(&item->arena);
	item->touched = false;
}

static void read_item(struct move *v, struct move_item *item)
{
	release_read(item);
	arena_init(&item->arena, ARENA_MAX);
	item->outcomes = calloc(item->recipients, sizeof(*item->outcomes));
	item->error = item->outcomes ? 0 : -ENOMEM;
	if (!item->error) read_chain(v, item);
	if (!item->error && item->kind == MOVE_MESSAGE) item->error = read_accept(v, item);
	if (!item->error && item->kind == MOVE_MESSAGE) item->error = read_chunks(v, item);
	item->phase = MOVE_READ;
}

void move_read(struct move *v)
{
	for (uint32_t i = 0; i < v->count; i++)
		if (v->items[i].phase == MOVE_WAITS) read_item(v, &v->items[i]);
}

/* ---- placing ---- */

bool move_ready(const struct move *v)
{
	for (uint32_t i = 0; i < v->count; i++)
		if (v->items[i].phase == MOVE_READ) return true;
	return false;
}

static bool is_unchanged(const struct move *v, const struct move_item *item)
{
	const struct spool_message *m = spool_message(&v->spool->index, item->message);
	return m->state_segment == item->state_number && m->state_offset == item->state_offset;
}

static bool place_chunk(
	struct move *v, struct batch *b, struct move_item *item, struct move_chunk *c)
{
	struct spool *s = v->spool;
	size_t length = c->data.len - sizeof(c->head);
	if (!commit_fits(
		    s, c->data.len, sizeof(struct disk_entry) + sizeof(struct disk_entry_chunk)))
		return false;
	c->placed = *listed(item, c->nth);
	c->placed.place =
		(struct disk_place){b->segment->number, commit_here(b), b->segment->generation};
	summary_chunk(&s->summary, item->id, &c->placed);
	struct iovec body = {c->data.ptr + sizeof(c->head), length};
	commit_add(b, &c->head, sizeof(c->head), &body, 1);
	return true;
}

/* All of them in one batch, or none: there is always room for so few in a fresh segment.  */
static bool place_chunks(struct move *v, struct batch *b, struct move_item *item)
{
	uint64_t octets = 0;
	if (b->iov_count + 3 * (int)item->chunk_count > SPOOL_BATCH_IOV - 4) return false;
	if (b->part_count + (int)item->chunk_count > SPOOL_BATCH_PARTS - 4) return false;
	for (uint32_t i = 0; i < item->chunk_count; i++)
		octets += record_round(item->chunks[i].data.len);
	if (!commit_fits(v->spool, octets, item->chunk_count * 2 * sizeof(struct disk_entry)))
		return false;
	for (uint32_t i = 0; i < item->chunk_count; i++)
		if (!place_chunk(v, b, item, &item->chunks[i])) return false;
	item->phase = MOVE_PLACED;
	return true;
}

static void add_states(const struct spool *s, const struct spool_message *m, struct move_item *item)
{
	for (slot t = m->recipients; t;) {
		const struct spool_recipient *r = spool_recipient(&s->index, t);
		struct str outcome =
			r->state == RECIPIENT_DONE ? STR_NONE : item->outcomes[r->index];
		struct disk_recipient to = {.index = r->index,
			.state = state_on_disk(r),
			.attempts = r->attempts,
			.due = r->due,
			.outcome = (uint32_t)outcome.len};
		buf_add(&item->head, str_of(&to, sizeof(to)));
		buf_add(&item->head, outcome);
		t = r->sibling;
	}
}

/* The head of the new accept record, with the state of this moment; the rest follows from what was
 * read.  */
static bool make_head(struct move *v, struct move_item *item)
{
	static const char zeros[RECORD_ALIGN];
	const struct spool *s = v->spool;
	const struct spool_message *m = spool_message(&s->index, item->message);
	struct disk_accept accept = item->view.head;
	struct disk_record head = record_make(RECORD_ACCEPT, item->id, 0);
	buf_release(&item->head);
	buf_init(&item->head, RECORD_ROOM);
	buf_add(&item->head, str_of(zeros, sizeof(zeros)));
	buf_add(&item->head, str_of(&head, sizeof(head)));
	buf_add(&item->head, str_of(&accept, sizeof(accept)));
	size_t before = item->head.len;
	add_states(s, m, item);
	if (!buf_ok(&item->head)) return false;
	accept.flags = m->flags & SPOOL_MESSAGE_DELAY_TOLD;
	accept.states = (uint32_t)(item->head.len - before);
	item->length = item->head.len - sizeof(zeros) + item->view.envelope.len + item->list.len +
		item->view.body.len;
	head.length = (uint32_t)(item->length - sizeof(head));
	memcpy(item->head.ptr + sizeof(zeros), &head, sizeof(head));
	memcpy(item->head.ptr + sizeof(zeros) + sizeof(head), &accept, sizeof(accept));
	return item->length <= SPOOL_RECORD_MAX;
}

static bool summarize(struct move *v, const struct batch *b, const struct move_item *item)
{
	struct spool *s = v->spool;
	const struct spool_message *m = spool_message(&s->index, item->message);
	struct arena arena;
	struct envelope e;
	struct str encoded = item->view.envelope;
	char octets[ADDRESS_ROOM];
	arena_init(&arena, ARENA_MAX);
	bool ok = envelope_decode(&encoded, &arena, &e) && e.recipient_count == item->recipients;
	if (ok) {
		struct summary_accept to = {.id = item->id,
			.offset = commit_here(b),
			.flags = m->flags & SPOOL_MESSAGE_DELAY_TOLD,
			.tag = m->tag,
			.length = (uint32_t)item->length,
			.recipients = (uint16_t)item->recipients,
			.chunks = (uint32_t)(item->list.len / sizeof(struct disk_chunk))};
		summary_accept(&s->summary, &to);
		summary_put(&s->summary, item->list.ptr, item->list.len);
		for (slot t = m->recipients; t;) {
			const struct spool_recipient *r = spool_recipient(&s->index, t);
			struct disk_entry_recipient one = {
				.due = r->due, .state = state_on_disk(r), .attempts = r->attempts};
			summary_recipient(&s->summary,
				domain_of(e.recipients[r->index].address, octets), &one);
			t = r->sibling;
		}
		summary_end(&s->summary);
	}
	arena_release(&arena);
	return ok;
}

static bool place_message(struct move *v, struct batch *b, struct move_item *item)
{
	if (item->chunk_count > 0) return place_chunks(v, b, item);
	if (!make_head(v, item)) {
		item->error = -ENOMEM;
		item->phase = MOVE_OVER;
		return true;
	}
	uint64_t need = 48 +
		item->recipients * (uint64_t)(sizeof(struct disk_entry_recipient) + ADDRESS_ROOM) +
		item->list.len;
	if (!commit_fits(v->spool, item->length, need)) return false;
	if (!summarize(v, b, item)) {
		item->error = -EBADMSG;
		item->phase = MOVE_OVER;
		return true;
	}
	item->offset = commit_here(b);
	struct iovec rest[3];
	int count = 0;
	rest[count++] =
		(struct iovec){(void *)(uintptr_t)item->view.envelope.ptr, item->view.envelope.len};
	if (item->list.len) rest[count++] = (struct iovec){item->list.ptr, item->list.len};
	if (item->view.body.len)
		rest[count++] =
			(struct iovec){(void *)(uintptr_t)item->view.body.ptr, item->view.body.len};
	commit_add(b, (struct disk_record *)(void *)(item->head.ptr + RECORD_ALIGN),
		item->head.len - RECORD_ALIGN, rest, count);
	item->phase = MOVE_PLACED;
	return true;
}

/* State records wait like all others; the sync at the end of the pass waits for them.  */
static void place_state(struct move *v, struct move_item *item)
{
	if (item->touched) state_whole(v->spool, item->message, item->outcomes);
	item->phase = MOVE_OVER;
}

/* It stays where it is, and so does the segment.  */
static void cannot_move(struct move *v, const struct move_item *item)
{
	struct spool_message *m = spool_message(&v->spool->index, item->message);
	v->incomplete = true;
	if (item->error != -EBADMSG || m->flags & SPOOL_MESSAGE_DAMAGED) return;
	m->flags |= SPOOL_MESSAGE_DAMAGED;
	spool_told(v->spool, "spool-message-damaged", m->segment,
		(uint64_t)item->accept_offset * RECORD_ALIGN,
		"it cannot be moved: the accept record or a part is spoilt");
}

void move_place(struct move *v, struct batch *b)
{
	for (uint32_t i = 0; i < v->count; i++) {
		struct move_item *item = &v->items[i];
		if (item->phase != MOVE_READ) continue;
		if (!is_alive(v, item) || item->error) {
			if (is_alive(v, item)) cannot_move(v, item);
			item->phase = MOVE_OVER;
		} else if (!is_unchanged(v, item)) {
			item->phase = MOVE_AGAIN;
		} else if (item->kind == MOVE_STATE) {
			place_state(v, item);
		} else if (!place_message(v, b, item)) {
			return;
		}
		if (item->phase == MOVE_PLACED) b->sync = true;
	}
}

/* ---- taking over ---- */

static void take_over_chunks(struct move_item *item)
{
	for (uint32_t i = 0; i < item->chunk_count; i++)
		*listed(item, item->chunks[i].nth) = item->chunks[i].placed;
	release_chunks(item);
	item->phase = MOVE_AGAIN;
}

/* Without memory for the table the message stays where it is.  */
static bool take_over_places(struct spool *s, struct spool_message *m, const struct move_item *item)
{
	uint32_t place = item->offset;
	if (item->list.len > 0) {
		uint32_t count = (uint32_t)(item->list.len / sizeof(struct disk_chunk));
		if (!chunked_add(s, listed(item, 0), count, item->offset, &place)) return false;
	}
	uint32_t old = m->flags & SPOOL_MESSAGE_CHUNKED ? (uint32_t)m->offset + 1 : 0;
	message_release(s, m->segment, m->size_class, 0, old);
	m->offset = place & ((1u << 25) - 1);
	return true;
}

static struct disk_place place_of(const struct spool *s, const struct spool_message *m)
{
	const struct segment *g = spool_segment(s, m->segment);
	return (struct disk_place){m->segment, message_offset(s, m), g ? g->generation : 0};
}

/* The state that was read is in the accept record now; a later one stays the last.  */
static void take_over_state(struct spool *s, struct spool_message *m, const struct move_item *item)
{
	if (m->state_segment != item->state_number || m->state_offset != item->state_offset) return;
	state_count(s, m->state_segment, false);
	m->state_segment = 0;
	m->state_offset = 0;
}

static void take_over(struct move *v, struct move_item *item, const struct segment *target)
{
	struct spool *s = v->spool;
	struct spool_message *m = spool_message(&s->index, item->message);
	struct disk_place to = {target->number, item->offset, target->generation},
			  from = place_of(s, m);
	item->phase = MOVE_OVER;
	if (!is_alive(v, item)) return state_done(s, item->id, &to);
	if (!take_over_places(s, m, item)) return state_done(s, item->id, &to);
	if (from.number != v->victim->number) state_done(s, item->id, &from);
	m->segment = target->number & UINT16_MAX;
	m->size_class = size_class(item->length) & 127u;
	message_hold(s, m);
	take_over_state(s, m, item);
	v->moved++;
	s->stats.moved_messages++;
}

bool move_synced(struct move *v, const struct segment *target)
{
	uint32_t left = 0;
	for (uint32_t i = 0; i < v->count; i++) {
		struct move_item *item = &v->items[i];
		if (item->phase == MOVE_PLACED && item->chunk_count > 0)
			take_over_chunks(item);
		else if (item->phase == MOVE_PLACED)
			take_over(v, item, target);
		if (item->phase == MOVE_OVER) {
			release_read(item);
			buf_release(&item->list);
			continue;
		}
		if (left != i) v->items[left] = *item;
		left++;
	}
	v->count = left;
	if (left == 0) v->octets = 0;
	return left == 0;
}

void move_clear(struct move *v)
{
	for (uint32_t i = 0; i < v->count; i++) {
		release_read(&v->items[i]);
		buf_release(&v->items[i].list);
	}
	v->count = 0;
	v->octets = 0;
}
