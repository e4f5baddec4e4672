/* What becomes of messages: state, done and freed records, and how they find their place in the
 * log.
 *
 * The state records of a message are a chain: each names the one before it, the index names the
 * last one.  A record gets its place only when its batch is composed; until then the index says
 * STATE_WAITING, and a record whose predecessor waits too says so in its effect.  A record that
 * says everything ends the chain.  */
#include "spool/internal.h"

#include "spool/compact.h"
#include "spool/notes.h"

enum { WAITING_MAX = 1 << 30 };

void waiting_init(struct waiting *w)
{
	buf_init(&w->records, WAITING_MAX);
	buf_init(&w->effects, WAITING_MAX);
}

void waiting_release(struct waiting *w)
{
	buf_release(&w->records);
	buf_release(&w->effects);
}

/* ---- recording ---- */

static bool is_of(const struct spool *s, slot message, uint64_t id)
{
	return spool_message(&s->index, message)->id == id;
}

/* Without memory to record what has happened only the disk knows the truth: start again from
 * there.  */
static void record_end(struct spool *s, size_t at, struct effect *effect)
{
	static const char zeros[RECORD_ALIGN];
	struct waiting *w = &s->states;
	size_t len = w->records.len - at;
	ASSERT(buf_ok(&w->records) && len <= SPOOL_RECORD_MAX);
	((struct disk_record *)(void *)(w->records.ptr + at))->length =
		(uint32_t)(len - sizeof(struct disk_record));
	buf_add(&w->records, str_of(zeros, record_round(len) - len));
	effect->at = (uint32_t)at;
	buf_add(&w->effects, str_of(effect, sizeof(*effect)));
	ASSERT(buf_ok(&w->records) && buf_ok(&w->effects));
	s->recorded++;
	if (!timer_is_set(&s->states_timer))
		io_timer_set(s->io, &s->states_timer, io_now(s->io) + s->options.outcome_delay);
}

/* Who works on a recipient is not on disk.  */
uint8_t state_on_disk(const struct spool_recipient *r)
{
	return r->state == RECIPIENT_ACTIVE ? RECIPIENT_DUE : r->state;
}

static size_t record_begin(struct spool *s, enum record_type type, uint64_t id)
{
	size_t at = s->states.records.len;
	struct disk_record head = record_make(type, id, 0);
	buf_add(&s->states.records, str_of(&head, sizeof(head)));
	return at;
}

static size_t state_begin(struct spool *s, const struct spool_message *m, uint16_t count)
{
	size_t at = record_begin(s, RECORD_STATE, m->id);
	struct disk_state state = {.flags = m->flags & SPOOL_MESSAGE_DELAY_TOLD, .count = count};
	buf_add(&s->states.records, str_of(&state, sizeof(state)));
	return at;
}

static void add_recipient(struct spool *s, const struct spool_recipient *r, struct str outcome)
{
	struct disk_recipient to = {.index = r->index,
		.state = state_on_disk(r),
		.attempts = r->attempts,
		.due = r->due,
		.outcome = (uint32_t)outcome.len};
	buf_add(&s->states.records, str_of(&to, sizeof(to)));
	buf_add(&s->states.records, outcome);
}

static void state_end(struct spool *s, slot message, size_t at, bool resets)
{
	struct spool_message *m = spool_message(&s->index, message);
	struct effect effect = {.type = RECORD_STATE,
		.resets = resets,
		.message = message,
		.prev_segment = m->state_segment,
		.prev_offset = m->state_offset};
	m->state_segment = 0;
	m->state_offset = STATE_WAITING;
	record_end(s, at, &effect);
}

static void record_recipient(
	struct spool *s, const struct spool_recipient *r, const struct outcome *o)
{
	struct spool_message *m = spool_message(&s->index, r->message);
	size_t at = state_begin(s, m, 1);
	struct disk_recipient to = {.index = r->index,
		.state = state_on_disk(r),
		.attempts = r->attempts,
		.due = r->due};
	size_t place = s->states.records.len;
	buf_add(&s->states.records, str_of(&to, sizeof(to)));
	if (o) outcome_encode(&s->states.records, o);
	ASSERT(buf_ok(&s->states.records));
	to.outcome = (uint32_t)(s->states.records.len - place - sizeof(to));
	memcpy(s->states.records.ptr + place, &to, sizeof(to));
	/* All there is to say of a message with one recipient is in its latest outcome.  */
	bool alone = spool_recipient(&s->index, m->recipients)->sibling == 0;
	state_end(s, r->message, at, alone && o);
}

void state_whole(struct spool *s, slot message, const struct str *outcomes)
{
	const struct spool_message *m = spool_message(&s->index, message);
	uint16_t count = 0;
	for (slot t = m->recipients; t; t = spool_recipient(&s->index, t)->sibling) count++;
	size_t at = state_begin(s, m, count);
	for (slot t = m->recipients; t;) {
		const struct spool_recipient *r = spool_recipient(&s->index, t);
		add_recipient(s, r, outcomes[r->index]);
		t = r->sibling;
	}
	state_end(s, message, at, true);
}

void state_done(struct spool *s, uint64_t id, const struct disk_place *accept)
{
	size_t at = record_begin(s, RECORD_DONE, id);
	struct disk_done done = {*accept};
	buf_add(&s->states.records, str_of(&done, sizeof(done)));
	struct effect effect = {.type = RECORD_DONE, .segment = 0};
	record_end(s, at, &effect);
}

void state_freed(struct spool *s, const struct segment *freed)
{
	size_t at = record_begin(s, RECORD_FREED, 0);
	struct disk_freed payload = {.number = freed->number, .generation = freed->generation};
	buf_add(&s->states.records, str_of(&payload, sizeof(payload)));
	struct effect effect = {.type = RECORD_FREED, .segment = (uint16_t)freed->number};
	record_end(s, at, &effect);
}

/* The slots are free at once; the room on disk when the record is synced.  */
static void end_message(struct spool *s, slot message)
{
	const struct spool_message *m = spool_message(&s->index, message);
	const struct segment *g = spool_segment(s, m->segment);
	size_t at = record_begin(s, RECORD_DONE, m->id);
	struct disk_done done = {{m->segment, message_offset(s, m), g ? g->generation : 0}};
	buf_add(&s->states.records, str_of(&done, sizeof(done)));
	struct effect effect = {.type = RECORD_DONE,
		.segment = m->segment,
		.size_class = m->size_class,
		.prev_segment = m->state_segment,
		.prev_offset = m->state_offset,
		.chunks = m->flags & SPOOL_MESSAGE_CHUNKED ? (uint32_t)m->offset + 1 : 0};
	record_end(s, at, &effect);
	slots_free(&s->index, message);
}

/* ---- what the queue calls ---- */

bool spool_outcome(struct spool *s, slot recipient, const struct outcome *o, uint32_t due)
{
	struct spool_recipient *r = spool_recipient(&s->index, recipient);
	struct spool_message *m = spool_message(&s->index, r->message);
	ASSERT(m->id && r->state != RECIPIENT_DONE && r->state != RECIPIENT_FREE &&
		o->class != OUTCOME_NONE);
	uint64_t id = m->id;
	uint32_t index = r->index;
	if (r->attempts < UINT8_MAX) r->attempts++;
	if (!outcome_final(o->class)) {
		r->state = RECIPIENT_DUE;
		r->due = due;
		record_recipient(s, r, o);
		notes_answered(s, id, index);
		return false;
	}
	r->state = RECIPIENT_DONE;
	m->open = (m->open - 1u) & UINT16_MAX;
	bool last = m->open == 0;
	if (last)
		end_message(s, r->message);
	else
		record_recipient(s, r, NULL);
	notes_ended(s, id, index);
	return last;
}

void spool_hold(struct spool *s, slot recipient, bool hold)
{
	struct spool_recipient *r = spool_recipient(&s->index, recipient);
	enum recipient_state to = hold ? RECIPIENT_HELD : RECIPIENT_DUE;
	ASSERT(r->state != RECIPIENT_DONE && r->state != RECIPIENT_FREE);
	if (r->state == to) return;
	r->state = (unsigned)to & 15;
	record_recipient(s, r, NULL);
}

void spool_set_due(struct spool *s, slot recipient, uint32_t due)
{
	struct spool_recipient *r = spool_recipient(&s->index, recipient);
	ASSERT(r->state != RECIPIENT_DONE && r->state != RECIPIENT_FREE);
	if (r->due == due) return;
	r->due = due;
	record_recipient(s, r, NULL);
}

void spool_delay_told(struct spool *s, slot message)
{
	struct spool_message *m = spool_message(&s->index, message);
	if (m->flags & SPOOL_MESSAGE_DELAY_TOLD) return;
	m->flags |= SPOOL_MESSAGE_DELAY_TOLD;
	state_end(s, message, state_begin(s, m, 0), false);
}

void spool_sync(struct spool *s, struct spool_op *op) { list_push_back(&s->syncs, &op->link); }

void state_timer_fired(struct timer *timer)
{
	CONTAINER_OF(timer, struct spool, states_timer)->hurry =
		true; /* before the loop sleeps, commit looks */
}

/* ---- into a batch ---- */

static uint64_t summary_need(const struct disk_record *r)
{
	uint64_t count = r->type == RECORD_STATE
		? ((const struct disk_state *)(const void *)(r + 1))->count
		: 0;
	return sizeof(struct disk_entry) + sizeof(struct disk_done) +
		count * sizeof(struct disk_entry_state);
}

/* How many of the waiting records fit; *ret_octets of them.  */
static size_t how_many(const struct spool *s, size_t *ret_octets)
{
	const struct waiting *w = &s->states;
	size_t i = 0, octets = 0;
	uint64_t summary = 0;
	for (; i < waiting_count(w); i++) {
		size_t end =
			i + 1 < waiting_count(w) ? waiting_effect(w, i + 1)->at : w->records.len;
		summary += summary_need(waiting_record(w, i));
		if (!commit_fits(s, end, summary)) break;
		octets = end;
	}
	*ret_octets = octets;
	return i;
}

static void move_to_batch(struct spool *s, struct batch *b, size_t count, size_t octets)
{
	if (count == waiting_count(&s->states)) {
		struct waiting all = s->states;
		s->states = b->states;
		b->states = all;
		return;
	}
	buf_add(&b->states.records, str_head(buf_str(&s->states.records), octets));
	buf_add(&b->states.effects,
		str_head(buf_str(&s->states.effects), count * sizeof(struct effect)));
	ASSERT(buf_ok(&b->states.records) && buf_ok(&b->states.effects));
	buf_consume(&s->states.records, octets);
	buf_consume(&s->states.effects, count * sizeof(struct effect));
	for (size_t i = 0; i < waiting_count(&s->states); i++)
		waiting_effect(&s->states, i)->at -= (uint32_t)octets;
}

static void summarize_state(struct summary *to, const struct disk_record *r, uint32_t offset)
{
	struct str rest = str_of(r + 1, r->length);
	struct disk_state state;
	if (!take_octets(&rest, &state, sizeof(state))) return;
	struct disk_entry entry = {.type = RECORD_STATE,
		.flags = (uint8_t)state.flags,
		.count = state.count,
		.offset = offset,
		.id = r->id};
	summary_begin(to, &entry);
	for (struct disk_recipient one; take_octets(&rest, &one, sizeof(one));
		rest = str_skip(rest, one.outcome)) {
		struct disk_entry_state e = {one.index, one.state, one.attempts, one.due};
		summary_put(to, &e, sizeof(e));
	}
	summary_end(to);
}

static void place_state(
	struct spool *s, struct batch *b, struct effect *e, struct disk_record *r, uint32_t offset)
{
	struct disk_state *state = (struct disk_state *)(void *)(r + 1);
	struct spool_message *m = spool_message(&s->index, e->message);
	summarize_state(&s->summary, r, offset);
	bool waits = e->prev_segment == 0 && e->prev_offset == STATE_WAITING;
	e->counted = is_of(s, e->message, r->id);
	if (waits) {
		e->prev_segment = e->counted ? m->state_segment : 0;
		e->prev_offset = e->counted && m->state_segment ? (uint32_t)m->state_offset : 0;
	}
	state->number = e->resets ? 0 : e->prev_segment;
	state->offset = e->resets ? 0 : e->prev_offset;
	if (!e->counted) return;
	m->state_segment = b->segment->number & UINT16_MAX;
	m->state_offset = offset & ((1u << 25) - 1);
	segment_need(b->segment, m->segment);
}

static void place_done(
	struct spool *s, struct batch *b, const struct disk_record *r, uint32_t offset)
{
	struct disk_done done;
	memcpy(&done, r + 1, sizeof(done));
	struct disk_entry entry = {.type = RECORD_DONE, .offset = offset, .id = r->id};
	summary_begin(&s->summary, &entry);
	summary_put(&s->summary, &done, sizeof(done));
	summary_end(&s->summary);
	const struct segment *g = spool_segment(s, done.accept.number);
	if (g && g->generation == done.accept.generation && g->state != SEGMENT_FREE)
		segment_need(b->segment, g->number);
}

static void place_freed(struct spool *s, const struct disk_record *r, uint32_t offset)
{
	struct disk_entry entry = {.type = RECORD_FREED, .offset = offset};
	summary_begin(&s->summary, &entry);
	summary_put(&s->summary, r + 1, sizeof(struct disk_freed));
	summary_end(&s->summary);
}

/* Those that stay behind have a predecessor with a place now.  */
static void repair_rest(struct spool *s)
{
	for (size_t i = 0; i < waiting_count(&s->states); i++) {
		struct effect *e = waiting_effect(&s->states, i);
		if (e->type != RECORD_STATE ||
			!is_of(s, e->message, waiting_record(&s->states, i)->id))
			continue;
		struct spool_message *m = spool_message(&s->index, e->message);
		if (e->prev_segment == 0 && e->prev_offset == STATE_WAITING && m->state_segment) {
			e->prev_segment = m->state_segment;
			e->prev_offset = m->state_offset;
		}
		m->state_segment = 0;
		m->state_offset = STATE_WAITING;
	}
}

void state_add(struct spool *s, struct batch *b)
{
	size_t octets, count = how_many(s, &octets);
	if (count == 0) return;
	move_to_batch(s, b, count, octets);
	commit_add_raw(b, b->states.records.ptr, b->states.records.len);
	uint64_t begin = b->position - b->states.records.len;
	compact_need(s, b->segment);
	for (size_t i = 0; i < count; i++) {
		struct effect *e = waiting_effect(&b->states, i);
		struct disk_record *r = waiting_record(&b->states, i);
		uint32_t offset = (uint32_t)((begin + e->at) / RECORD_ALIGN);
		if (e->type == RECORD_STATE) place_state(s, b, e, r, offset);
		if (e->type == RECORD_DONE) place_done(s, b, r, offset);
		if (e->type == RECORD_FREED) place_freed(s, r, offset);
	}
	b->records += (uint32_t)count;
	b->sync = true;
	repair_rest(s);
	if (waiting_count(&s->states) == 0) io_timer_cancel(s->io, &s->states_timer);
}

/* ---- and out of it ---- */

static void undo(
	struct spool *s, const struct batch *b, struct effect *e, const struct disk_record *r)
{
	bool failed = e->prev_segment == b->segment->number &&
		e->prev_offset * (uint64_t)RECORD_ALIGN >= b->at;
	if (failed && e->prev_segment) {
		e->prev_segment = 0;
		e->prev_offset = STATE_WAITING;
	}
	if (e->type != RECORD_STATE) return;
	e->counted = false;
	if (!is_of(s, e->message, r->id)) return;
	struct spool_message *m = spool_message(&s->index, e->message);
	m->state_segment = 0;
	m->state_offset = STATE_WAITING;
}

void state_failed(struct spool *s, struct batch *b)
{
	struct waiting later = s->states;
	uint32_t octets = (uint32_t)b->states.records.len;
	s->states = b->states;
	waiting_init(&b->states);
	for (size_t i = 0; i < waiting_count(&later); i++) waiting_effect(&later, i)->at += octets;
	buf_add(&s->states.records, buf_str(&later.records));
	buf_add(&s->states.effects, buf_str(&later.effects));
	ASSERT(buf_ok(&s->states.records) && buf_ok(&s->states.effects));
	waiting_release(&later);
	for (size_t i = 0; i < waiting_count(&s->states); i++)
		undo(s, b, waiting_effect(&s->states, i), waiting_record(&s->states, i));
}

/* The last state record of a live message counts in its segment.  */
void state_count(struct spool *s, uint32_t number, bool in)
{
	struct segment *g = spool_segment(s, number);
	if (!g || g->state == SEGMENT_FREE) return;
	if (in)
		segment_hold(&s->segments, g, 0, SPOOL_STATE_OCTETS);
	else
		segment_let_go(&s->segments, g, 0, SPOOL_STATE_OCTETS);
}

static void freed(struct spool *s, uint32_t number)
{
	struct segment *g = spool_segment(s, number);
	ASSERT(g->refs == 0 && g->live == 0 && g->pins == 0);
	segments_forget(&s->segments, number);
	g->stale = g->emptied = false;
	segment_enter(&s->segments, g, SEGMENT_FREE);
	segment_give_free(&s->segments, g);
	maker_look(s);
}

void state_synced(struct spool *s, struct batch *b)
{
	s->settled += waiting_count(&b->states);
	for (size_t i = 0; i < waiting_count(&b->states); i++) {
		struct effect *e = waiting_effect(&b->states, i);
		if (e->type == RECORD_FREED) freed(s, e->segment);
		if (e->type == RECORD_DONE && e->segment)
			message_release(s, e->segment, e->size_class, e->prev_segment, e->chunks);
		if (e->type != RECORD_STATE) continue;
		state_count(s, e->prev_segment, false);
		if (e->counted) state_count(s, b->segment->number, true);
	}
	buf_clear(&b->states.records);
	buf_clear(&b->states.effects);
}
