#include "spool/reason.h"

#include <errno.h>

enum { GUESS = 2048, CHAIN_RECORD_MAX = 2 * SPOOL_RECORD_MAX };

void chain_init(struct chain *c, struct spool *s, uint64_t id)
{
	*c = (struct chain){.spool = s, .id = id};
	buf_init(&c->record, CHAIN_RECORD_MAX);
}

static void chain_of(struct chain *c, struct spool *s, const struct spool_message *m)
{
	const struct segment *g = spool_segment(s, m->segment);
	chain_init(c, s, m->id);
	c->number = m->state_segment;
	c->offset = m->state_offset;
	c->accept_generation = g ? g->generation : 0;
	c->accept_offset = message_offset(s, m);
}

void chain_release(struct chain *c) { buf_release(&c->record); }

/* Most fit into the first guess.  */
static bool read_whole(
	struct chain *c, const struct segment *g, struct disk_record *head, struct str *payload)
{
	size_t room = GUESS, size;
	for (;;) {
		buf_clear(&c->record);
		char *at = buf_reserve(&c->record, room);
		if (!at) {
			c->error = -ENOMEM;
			return false;
		}
		int64_t n = io_file_read(
			c->spool->io, &g->file, at, room, (uint64_t)c->offset * RECORD_ALIGN);
		if (n < 0) c->error = (int)n;
		if (n < (int64_t)sizeof(*head)) return false;
		if (record_read(str_of(at, (size_t)n), g->salt, head, payload, &size)) return true;
		memcpy(head, at, sizeof(*head));
		if (room > GUESS || head->length > SPOOL_RECORD_MAX ||
			sizeof(*head) + head->length <= room)
			return false;
		room = sizeof(*head) + head->length;
	}
}

static bool is_behind_accept(const struct chain *c, const struct segment *g)
{
	if (g->generation != c->accept_generation) return g->generation > c->accept_generation;
	return c->offset > c->accept_offset;
}

bool chain_next(struct chain *c, struct str *ret_recipients, uint32_t *ret_segment)
{
	const struct segment *g = c->number ? spool_segment(c->spool, c->number) : NULL;
	struct disk_record head;
	struct disk_state state;
	struct str payload;
	if (!g || g->state == SEGMENT_FREE || !is_behind_accept(c, g)) return false;
	if (!read_whole(c, g, &head, &payload)) return false;
	if (head.type != RECORD_STATE || head.id != c->id ||
		!take_octets(&payload, &state, sizeof(state)))
		return false;
	*ret_segment = c->number;
	*ret_recipients = payload;
	c->number = state.number;
	c->offset = state.offset;
	return true;
}

/* ---- the reason of one recipient ---- */

static bool find_outcome(struct str recipients, uint32_t index, struct str *ret)
{
	struct disk_recipient one;
	struct str outcome;
	while (take_recipient(&recipients, &one, &outcome)) {
		if (one.index != index || outcome.len == 0) continue;
		*ret = outcome;
		return true;
	}
	return false;
}

/* Newest first through what is not on disk yet.  *ret_prev: where the chain goes on.  */
static bool find_in_memory(const struct waiting *w, uint64_t id, uint32_t index, struct str *ret,
	bool *ret_end, const struct effect **ret_oldest)
{
	for (size_t i = waiting_count(w); i-- > 0 && !*ret_end;) {
		const struct disk_record *r = waiting_record(w, i);
		const struct effect *e = waiting_effect(w, i);
		if (e->type != RECORD_STATE || r->id != id) continue;
		struct str payload = str_of(r + 1, r->length);
		if (find_outcome(str_skip(payload, sizeof(struct disk_state)), index, ret))
			return true;
		*ret_end = e->resets;
		*ret_oldest = e;
	}
	return false;
}

static bool found(struct str octets, struct arena *arena, struct outcome *ret)
{
	struct outcome o;
	return outcome_decode(&octets, &o) && outcome_copy(&o, arena, ret);
}

static bool find_on_disk(struct chain *c, uint32_t index, struct arena *arena, struct outcome *ret)
{
	struct str recipients, octets;
	uint32_t segment;
	while (chain_next(c, &recipients, &segment))
		if (find_outcome(recipients, index, &octets)) return found(octets, arena, ret);
	return false;
}

/* What compaction has written into the accept record.  */
static bool find_in_accept(struct spool *s, const struct spool_message *m, uint32_t index,
	struct arena *arena, struct outcome *ret)
{
	const struct segment *g = spool_segment(s, m->segment);
	struct buf record;
	struct disk_record head;
	struct str payload, octets;
	struct accept_view view;
	buf_init(&record, CHAIN_RECORD_MAX);
	bool ok = g &&
		segment_read(s, g, message_offset(s, m), size_of_class(m->size_class), &record,
			RECORD_ACCEPT, m->id, &head, &payload) == 0 &&
		accept_view(payload, &view) && find_outcome(view.states, index, &octets) &&
		found(octets, arena, ret);
	buf_release(&record);
	return ok;
}

bool spool_reason(struct spool *s, slot recipient, struct arena *arena, struct outcome *ret)
{
	const struct spool_recipient *r = spool_recipient(&s->index, recipient);
	const struct spool_message *m = spool_message(&s->index, r->message);
	const struct effect *oldest = NULL;
	struct str octets;
	bool end = false;
	if (m->id == 0 || r->attempts == 0) return false;
	if (find_in_memory(&s->states, m->id, r->index, &octets, &end, &oldest) ||
		find_in_memory(&s->batch.states, m->id, r->index, &octets, &end, &oldest))
		return found(octets, arena, ret);
	struct chain chain;
	chain_of(&chain, s, m);
	if (oldest) {
		chain.number = oldest->resets ? 0 : oldest->prev_segment;
		chain.offset = oldest->prev_offset;
	}
	bool ok = find_on_disk(&chain, r->index, arena, ret);
	chain_release(&chain);
	return ok || find_in_accept(s, m, r->index, arena, ret);
}
