#include "spool/recover.h"

#include <errno.h>

enum { NODES_MAX = 256 << 20 };

struct name {
	struct map_node node;
	uint32_t number;
};

/* ---- domains, until the queue has seen them ---- */

bool recovered_open(struct spool *s)
{
	struct recovered *d = calloc(1, sizeof(*d));
	if (!d) return false;
	map_init(&d->by_name, s->seed);
	arena_init(&d->nodes, NODES_MAX);
	s->recovered_domains = d;
	return true;
}

void recovered_release(struct spool *s)
{
	struct recovered *d = s->recovered_domains;
	if (!d) return;
	free(d->of);
	free(d->names);
	map_release(&d->by_name);
	arena_release(&d->nodes);
	free(d);
	s->recovered_domains = NULL;
}

static bool add_name(struct recovered *d, struct str domain, uint32_t *ret_number)
{
	if (d->count == d->cap) {
		uint32_t cap = d->cap ? d->cap * 2 : 64;
		struct str *names = realloc(d->names, cap * sizeof(*names));
		if (!names) return false;
		d->names = names;
		d->cap = cap;
	}
	struct name *name = arena_alloc(&d->nodes, sizeof(*name));
	struct str copy;
	if (!name || !arena_copy(&d->nodes, domain, &copy) ||
		!map_insert(&d->by_name, &name->node, copy))
		return false;
	name->number = d->count;
	d->names[d->count] = copy;
	*ret_number = d->count++;
	return true;
}

static bool number_of(struct recovered *d, struct str domain, uint32_t *ret_number)
{
	struct map_node *node = map_find(&d->by_name, domain);
	if (!node) return add_name(d, domain, ret_number);
	*ret_number = CONTAINER_OF(node, struct name, node)->number;
	return true;
}

static bool note_domain(struct recovered *d, slot recipient, uint32_t number)
{
	if (recipient >= d->of_cap) {
		uint32_t cap = d->of_cap ? d->of_cap * 2 : SLOTS_BLOCK;
		while (cap <= recipient) cap *= 2;
		uint32_t *of = realloc(d->of, cap * sizeof(*of));
		if (!of) return false;
		memset(of + d->of_cap, 0, (cap - d->of_cap) * sizeof(*of));
		d->of = of;
		d->of_cap = cap;
	}
	d->of[recipient] = number + 1;
	return true;
}

void spool_each_recovered(struct spool *s,
	void (*visit)(void *context, slot recipient, struct str domain), void *context)
{
	struct recovered *d = s->recovered_domains;
	if (!d) return;
	for (slot i = 1; i < spool_recipient_end(&s->index) && i < d->of_cap; i++) {
		const struct spool_recipient *r = spool_recipient(&s->index, i);
		if (!d->of[i] || r->state == RECIPIENT_FREE || r->state == RECIPIENT_DONE) continue;
		visit(context, i, d->names[d->of[i] - 1]);
	}
	recovered_release(s);
}

/* ---- entries ---- */

struct segment_domains { /* a segment's numbers to ours; 0: not asked for yet */
	struct str *names;
	uint32_t *numbers;
	uint32_t count;
};

static void remove_message(struct spool *s, slot message)
{
	const struct spool_message *m = spool_message(&s->index, message);
	uint32_t chunks = m->flags & SPOOL_MESSAGE_CHUNKED ? (uint32_t)m->offset + 1 : 0;
	message_release(s, m->segment, m->size_class, m->state_segment, chunks);
	slots_free(&s->index, message);
}

static int compare_offsets(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static bool chunk_is_there(const struct restore *r, const struct disk_place *place)
{
	const struct segment *g = spool_segment(r->spool, place->number);
	if (!g || g->generation != place->generation ||
		(uint64_t)place->offset * RECORD_ALIGN >= g->end)
		return false;
	for (uint32_t i = 0; i < r->count; i++) {
		const struct evidence *e = &r->all[i];
		if (e->segment != g || !e->scanned) continue;
		return bsearch(&place->offset, e->chunks.ptr, e->chunks.len / sizeof(uint32_t),
			       sizeof(uint32_t), compare_offsets) != NULL;
	}
	return true;
}

static bool misses_chunk(const struct restore *r, const struct summary_entry *x)
{
	for (uint32_t i = 0; i < x->accept.chunks; i++)
		if (!chunk_is_there(r, &x->chunks[i].place)) return true;
	return false;
}

/* The accept record came to the disk before its chunks, and the server ended before they did.  */
static bool was_on_its_way(const struct evidence *e, const struct summary_entry *x)
{
	return e->scanned && (uint64_t)x->head.offset * RECORD_ALIGN >= e->synced;
}

static bool fill_recipients(struct restore *r, struct spool_message *m,
	const struct summary_entry *x, struct segment_domains *domains)
{
	struct spool *s = r->spool;
	const struct disk_entry_recipient *from = x->recipients;
	for (slot t = m->recipients; t; from++) {
		struct spool_recipient *to = spool_recipient(&s->index, t);
		bool ended = from->state == RECIPIENT_DONE;
		to->due = from->due;
		to->attempts = from->attempts;
		to->state =
			ended || from->state == RECIPIENT_HELD ? from->state & 15u : RECIPIENT_DUE;
		if (ended) m->open = (m->open - 1u) & UINT16_MAX;
		if (from->domain >= domains->count) return false;
		uint32_t *number = &domains->numbers[from->domain];
		if (*number == 0) {
			if (!number_of(s->recovered_domains, domains->names[from->domain], number))
				return false;
			++*number;
		}
		if (!note_domain(s->recovered_domains, t, *number - 1)) return false;
		t = to->sibling;
	}
	return true;
}

static void set_stale(struct restore *r, uint32_t number)
{
	r->stale_in[number / 64] |= 1ull << number % 64;
}

/* Of two copies the later counts.  The older one is voided, lest it come up when what ends the
 * message is gone.  */
static void supersede(struct restore *r, slot older)
{
	struct spool *s = r->spool;
	const struct spool_message *m = spool_message(&s->index, older);
	struct disk_place place = {
		m->segment, message_offset(s, m), spool_segment(s, m->segment)->generation};
	set_stale(r, m->segment);
	state_done(s, m->id, &place);
	remove_message(s, older);
}

static bool restore_accept(struct restore *r, struct evidence *e, const struct summary_entry *x,
	struct segment_domains *domains)
{
	struct spool *s = r->spool;
	bool damaged = x->accept.chunks > 0 && misses_chunk(r, x);
	r->drop = damaged && was_on_its_way(e, x);
	if (r->drop) {
		e->torn = true;
		return true;
	}
	slot older = spool_find(&s->index, x->head.id);
	if (older) supersede(r, older);
	slot message = slots_take(&s->index, x->head.count);
	if (!message) return false;
	struct spool_message *m = spool_message(&s->index, message);
	uint32_t place = x->head.offset;
	if (x->accept.chunks > 0 &&
		!chunked_add(s, x->chunks, x->accept.chunks, x->head.offset, &place))
		return false;
	if (!fill_recipients(r, m, x, domains)) return false;
	m->flags = (x->accept.chunks > 0 ? SPOOL_MESSAGE_CHUNKED : 0) |
		(x->head.flags & SPOOL_MESSAGE_DELAY_TOLD);
	m->segment = e->number & UINT16_MAX;
	m->offset = place & ((1u << 25) - 1);
	m->size_class = size_class(x->accept.length) & 127u;
	m->tag = x->accept.tag;
	message_hold(s, m);
	slots_publish(&s->index, message, x->head.id, RECIPIENT_DUE);
	if (damaged) {
		/* Told at the end: it may have been moved, or have ended.  */
		m->flags |= SPOOL_MESSAGE_DAMAGED;
		r->damaged = true;
	}
	if (m->open == 0) remove_message(s, message);
	return true;
}

static struct spool_recipient *nth_recipient(
	struct spool *s, const struct spool_message *m, uint32_t index)
{
	slot t = m->recipients;
	while (t && spool_recipient(&s->index, t)->index != index)
		t = spool_recipient(&s->index, t)->sibling;
	return t ? spool_recipient(&s->index, t) : NULL;
}

static void restore_state(struct restore *r, struct evidence *e, const struct summary_entry *x)
{
	struct spool *s = r->spool;
	slot message = spool_find(&s->index, x->head.id);
	if (!message) return;
	struct spool_message *m = spool_message(&s->index, message);
	for (uint32_t i = 0; i < x->head.count; i++) {
		const struct disk_entry_state *from = &x->states[i];
		struct spool_recipient *to = nth_recipient(s, m, from->index);
		if (!to) continue;
		unsigned open =
			m->open - (to->state != RECIPIENT_DONE) + (from->state != RECIPIENT_DONE);
		m->open = open & UINT16_MAX;
		to->due = from->due;
		to->attempts = from->attempts;
		to->state = from->state >= RECIPIENT_DUE && from->state <= RECIPIENT_DONE
			? from->state & 15u
			: RECIPIENT_DUE;
	}
	m->flags |= x->head.flags & SPOOL_MESSAGE_DELAY_TOLD;
	state_count(s, m->state_segment, false);
	m->state_segment = e->number & UINT16_MAX;
	m->state_offset = x->head.offset & ((1u << 25) - 1);
	state_count(s, m->state_segment, true);
	segment_need(e->segment, m->segment);
	if (m->open == 0) remove_message(s, message);
}

/* The done record voids a copy from which the message has been moved on.  */
static bool is_copied_behind(const struct spool *s, slot message, const struct disk_place *named)
{
	const struct spool_message *m = spool_message(&s->index, message);
	uint64_t generation = spool_segment(s, m->segment)->generation;
	if (generation != named->generation) return generation > named->generation;
	return message_offset(s, m) > named->offset;
}

static void restore_done(struct restore *r, struct evidence *e, const struct summary_entry *x)
{
	struct spool *s = r->spool;
	const struct segment *accept = spool_segment(s, x->done.accept.number);
	if (accept && accept->state != SEGMENT_FREE &&
		accept->generation == x->done.accept.generation)
		segment_need(e->segment, accept->number);
	slot message = spool_find(&s->index, x->head.id);
	if (!message || is_copied_behind(s, message, &x->done.accept)) return;
	/* An older copy, where the message was moved from: this record must not go before that does.  */
	const struct spool_message *m = spool_message(&s->index, message);
	segment_need(e->segment, m->segment);
	if (spool_segment(s, m->segment)->generation != x->done.accept.generation)
		set_stale(r, m->segment);
	remove_message(s, message);
}

static bool restore_entry(struct restore *r, struct evidence *e, const struct summary_entry *x,
	struct segment_domains *domains)
{
	switch (x->head.type) {
	case RECORD_ACCEPT: return restore_accept(r, e, x, domains);
	case RECORD_STATE: restore_state(r, e, x); return true;
	case RECORD_DONE: restore_done(r, e, x); return true;
	case RECORD_CHUNK:
		if (e->scanned)
			buf_add(&e->chunks, str_of(&x->head.offset, sizeof(x->head.offset)));
		return buf_ok(&e->chunks);
	case RECORD_SEGMENTS:
	case RECORD_FREED: return true;
	default: e->unknown = true; return true;
	}
}

int restore_segment(struct restore *r, struct evidence *e)
{
	struct segment_domains domains = {.count = e->summary.domain_count};
	buf_init(&e->chunks, RECORD_SEGMENT_MAX);
	if (!summary_domains(&e->summary, &domains.names)) return -ENOMEM;
	domains.numbers = calloc(domains.count ? domains.count : 1, sizeof(*domains.numbers));
	struct str rest = buf_str(&e->summary.entries);
	struct summary_entry entry;
	bool ok = domains.numbers != NULL;
	for (const char *from; ok && (from = rest.ptr, summary_next(&rest, &entry));) {
		r->drop = false;
		if (entry.head.id > r->spool->last_id) r->spool->last_id = entry.head.id;
		ok = restore_entry(r, e, &entry, &domains);
		if (r->drop) summary_drop(&e->summary, from, &rest);
	}
	free(domains.names);
	free(domains.numbers);
	if (e->summary.last_id > r->spool->last_id) r->spool->last_id = e->summary.last_id;
	if (e->unknown) {
		e->segment->keep = true;
		spool_told(r->spool, "spool-record-unknown", e->number, 0,
			"written by a newer version: the segment is kept");
	}
	return ok ? 0 : -ENOMEM;
}

static uint32_t tell_damaged(struct spool *s)
{
	uint32_t count = 0;
	for (slot i = 1; i < spool_message_end(&s->index); i++) {
		const struct spool_message *m = spool_message(&s->index, i);
		if (m->id == 0 || !(m->flags & SPOOL_MESSAGE_DAMAGED)) continue;
		spool_told(s, "spool-message-damaged", m->segment,
			(uint64_t)message_offset(s, m) * RECORD_ALIGN,
			"a part of its content is missing");
		count++;
	}
	return count;
}

/* The message may come up again from the older copy, as long as that exists: what ended it is
 * needed so long.  */
uint32_t restore_end(struct restore *r)
{
	struct segments *all = &r->spool->segments;
	for (uint32_t v = 1; v < all->top; v++) {
		struct segment *stale = all->at[v];
		if (!stale || !(r->stale_in[v / 64] & 1ull << v % 64)) continue;
		stale->stale = true;
		for (uint32_t t = 1; t < all->top; t++)
			if (all->at[t] && all->at[t]->generation > stale->generation)
				segment_need(all->at[t], v);
	}
	return r->damaged ? tell_damaged(r->spool) : 0;
}
