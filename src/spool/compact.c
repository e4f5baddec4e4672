/* Making room.  The argument, for invariants 4 and 5 of spool.c:
 *
 *   - A start reads segments in the order of their generations, and of a message believes the last
 *     accept record, the state records behind that, and any done record.
 *   - A message is lost only if its last accept record goes before a later one is synced.  Here the
 *     victim is freed only with no refs, and a ref leaves it only when the copy is synced (move.c)
 *     or the message's done record is.
 *   - A message comes back only if a done record goes while an accept record that it voids stays.
 *     A done record names an accept record by its place, and voids that and older copies.  A
 *     segment's `needs` are the segments whose accept records its done records void: the named one,
 *     the one being emptied (a message that was moved and ended has one there), and such as
 *     messages were moved from and that are not freed yet (`stale`).  It is freed when none of them
 *     exists any more, or when those of its done records that are still needed have been written
 *     again, and are synced, before its freed record is even composed.
 *   - A message that ends while its copy is being written is voided twice: where it was, and where
 *     the copy is.  One that is moved out of another segment than the victim (for its chunks) is
 *     voided there at once.
 *   - The state of a live message is lost only if its last state records go.  They make the segment
 *     of its accept record needed likewise; here they are replaced by one record that says
 *     everything, if any of them is in the victim.
 *   - A batch that fails takes nothing over; the pass begins again later, and moves only what is
 *     still there.
 *   - While a pass is on, freeing waits: what a worker reads does not change under it.  */
#include "spool/compact.h"

#include "spool/move.h"
#include "spool/scan.h"

#include <errno.h>

enum { LOOK_MS = 10, WALK_ENTRIES = 4096, REST = 8 };

struct compaction {
	struct spool *spool;
	enum {
		COMPACT_IDLE,
		COMPACT_LOADS,
		COMPACT_WALKS,
		COMPACT_READS,
		COMPACT_PLACES,
		COMPACT_WAITS,
		COMPACT_SYNCS
	} phase;
	struct segment *victim;
	struct summary index;
	struct str rest; /* of its entries */
	int error;
	struct move move;
	struct io_work work;
	struct spool_op synced;
	struct timer timer;
};

/* ---- choosing ---- */

static bool is_free_able(const struct segment *g)
{
	return g->state == SEGMENT_SEALED && !g->keep && g->refs == 0 && g->live == 0 &&
		g->pins == 0 && (g->emptied || !segment_is_needed(g));
}

static void free_segment(struct spool *s, struct segment *g)
{
	segment_enter(&s->segments, g, SEGMENT_FREEING);
	state_freed(s, g);
}

/* Nothing is moved while there is room to wait in: what is dead tomorrow need not be copied today,
 * and mail that stays is not copied again and again for the sake of what comes and goes beside
 * it.  */
static bool is_crowded(const struct spool *s)
{
	const struct segments *all = &s->segments;
	uint64_t spare = s->refused ? 0 : s->spare_segments; /* new mail wants the room */
	return all->octets > 2 * all->live + spare * s->segment_size;
}

/* The emptiest; of equals the oldest, since others' records are about that.  */
static struct segment *choose(struct spool *s)
{
	struct segment *best = NULL;
	bool crowded = is_crowded(s);
	for (uint32_t i = 1; i < s->segments.top; i++) {
		struct segment *g = s->segments.at[i];
		if (!g || g->state != SEGMENT_SEALED || g->keep || g->pins || g->emptied) continue;
		if (g->rest_until > s->generation ||
			!(g->stale || (crowded && g->live < g->size / 8 * 7)))
			continue;
		bool older = best && g->live == best->live && g->generation < best->generation;
		if (!best || g->live < best->live || older) best = g;
	}
	return best;
}

/* ---- a pass ---- */

static void walk(struct compaction *c);

static void end_pass(struct compaction *c)
{
	move_clear(&c->move);
	summary_release(&c->index);
	c->victim = NULL;
	c->move.victim = NULL;
	c->phase = COMPACT_IDLE;
}

static void load_run(struct io_work *work)
{
	struct compaction *c = CONTAINER_OF(work, struct compaction, work);
	struct io *io = c->spool->io;
	const struct segment *g = c->victim;
	struct disk_trailer trailer;
	summary_init(&c->index, 0);
	enum summary_found found = SUMMARY_NONE;
	if (g->indexed) found = trailer_read(io, &g->file, g->size, g->generation, &trailer);
	if (found == SUMMARY_WHOLE)
		found = summary_read(io, &g->file, g->size, &trailer, &c->index);
	c->error = 0;
	if (found == SUMMARY_WHOLE) return;
	summary_release(&c->index);
	summary_init(&c->index, 0);
	struct scan scan = {.io = io,
		.file = &g->file,
		.number = g->number,
		.generation = g->generation,
		.salt = g->salt,
		.limit = g->end,
		.summary = &c->index};
	c->error = scan_segment(&scan);
}

static void load_done(struct io_work *work)
{
	struct compaction *c = CONTAINER_OF(work, struct compaction, work);
	if (c->spool->closing || c->error) {
		c->victim->rest_until = c->spool->generation + REST;
		end_pass(c);
		return;
	}
	c->rest = buf_str(&c->index.entries);
	walk(c);
}

static void begin_pass(struct compaction *c, struct segment *victim)
{
	c->victim = c->move.victim = victim;
	c->move.spool = c->spool;
	c->move.moved = 0;
	c->move.incomplete = false;
	c->phase = COMPACT_LOADS;
	c->work = (struct io_work){.run = load_run, .done = load_done};
	io_work(c->spool->workers, &c->work);
}

/* ---- walking the victim's summary ---- */

static bool has_chunks_in(const struct spool *s, const struct spool_message *m, uint32_t number)
{
	if (!(m->flags & SPOOL_MESSAGE_CHUNKED)) return false;
	const struct chunked *one = &s->chunked.all[m->offset];
	for (uint32_t i = 0; i < one->count; i++)
		if (one->refs[i].segment == number) return true;
	return false;
}

static bool is_needed_state(
	const struct compaction *c, const struct spool_message *m, const struct summary_entry *x)
{
	const struct segment *g = spool_segment(c->spool, m->segment);
	if (!g || g == c->victim || (m->state_segment == 0 && m->state_offset == 0)) return false;
	return g->generation < c->victim->generation ||
		(g->generation == c->victim->generation &&
			x->head.offset > message_offset(c->spool, m));
}

static bool any_stale(const struct compaction *c)
{
	const struct segments *all = &c->spool->segments;
	for (uint32_t i = 1; i < all->top; i++)
		if (all->at[i] && all->at[i]->stale && all->at[i] != c->victim) return true;
	return false;
}

static void keep_done(struct compaction *c, const struct summary_entry *x)
{
	const struct segment *g = spool_segment(c->spool, x->done.accept.number);
	bool exists = g && g != c->victim && g->state != SEGMENT_FREE &&
		g->generation == x->done.accept.generation;
	if (exists || any_stale(c)) state_done(c->spool, x->head.id, &x->done.accept);
}

static bool is_in_slice(const struct compaction *c, slot message)
{
	for (uint32_t i = 0; i < c->move.count; i++)
		if (c->move.items[i].message == message) return true;
	return false;
}

/* False: no more into this slice.  */
static bool take_entry(struct compaction *c, const struct summary_entry *x)
{
	struct spool *s = c->spool;
	if (x->head.type == RECORD_DONE) return keep_done(c, x), true;
	if (x->head.type != RECORD_ACCEPT && x->head.type != RECORD_CHUNK &&
		x->head.type != RECORD_STATE)
		return true;
	slot message = spool_find(&s->index, x->head.id);
	if (!message || is_in_slice(c, message)) return true;
	const struct spool_message *m = spool_message(&s->index, message);
	if (m->flags & SPOOL_MESSAGE_DAMAGED) return true;
	bool here = m->segment == c->victim->number;
	switch (x->head.type) {
	case RECORD_ACCEPT:
		return !here || message_offset(s, m) != x->head.offset ||
			move_add(&c->move, MOVE_MESSAGE, message);
	case RECORD_CHUNK:
		return !has_chunks_in(s, m, c->victim->number) ||
			move_add(&c->move, MOVE_MESSAGE, message);
	default: return !is_needed_state(c, m, x) || move_add(&c->move, MOVE_STATE, message);
	}
}

static void read_run(struct io_work *work)
{
	move_read(&CONTAINER_OF(work, struct compaction, work)->move);
}

static void read_done(struct io_work *work)
{
	struct compaction *c = CONTAINER_OF(work, struct compaction, work);
	if (c->spool->closing) return end_pass(c);
	c->phase = COMPACT_PLACES; /* the next batch takes them */
	if (move_ready(&c->move)) return;
	if (move_synced(&c->move, NULL)) return walk(c);
	c->phase = COMPACT_WAITS;
	c->spool->hurry = true;
}

static void read_slice(struct compaction *c)
{
	move_prepare(&c->move);
	c->phase = COMPACT_READS;
	c->work = (struct io_work){.run = read_run, .done = read_done};
	io_work(c->spool->workers, &c->work);
}

static void pass_synced(struct spool_op *op, int error)
{
	struct compaction *c = CONTAINER_OF(op, struct compaction, synced);
	struct segment *victim = c->victim;
	bool moved = c->move.moved > 0;
	bool complete = !c->move.incomplete;
	end_pass(c);
	if (error || c->spool->closing) return;
	victim->stale |= moved; /* until it is freed */
	victim->emptied = victim->refs == 0 && victim->live == 0 && complete;
	if (!victim->emptied && !moved) victim->rest_until = c->spool->generation + REST;
	compact_look(c->spool);
}

static void end_walk(struct compaction *c)
{
	c->phase = COMPACT_SYNCS;
	c->synced = (struct spool_op){.done = pass_synced};
	c->spool->hurry = true;
	spool_sync(c->spool, &c->synced);
}

/* Some entries, so that the loop goes on in between.  */
static void walk(struct compaction *c)
{
	struct summary_entry x;
	c->phase = COMPACT_WALKS;
	for (uint32_t i = 0; i < WALK_ENTRIES; i++) {
		struct str before = c->rest;
		if (!summary_next(&c->rest, &x)) {
			if (c->move.count > 0) break;
			return end_walk(c);
		}
		if (take_entry(c, &x)) continue;
		c->rest = before;
		if (c->move.count > 0) break;
		c->phase = COMPACT_WAITS;
		c->spool->hurry = true;
		return;
	}
	if (c->move.count > 0) return read_slice(c);
	io_timer_set(c->spool->io, &c->timer, io_now(c->spool->io));
}

/* ---- what the others call ---- */

static void look(struct spool *s)
{
	struct compaction *c = s->compaction;
	if (c->phase == COMPACT_WALKS) return walk(c);
	if (c->phase != COMPACT_IDLE || s->sick || s->closing) return;
	for (uint32_t i = 1; i < s->segments.top; i++) {
		struct segment *g = s->segments.at[i];
		if (g && is_free_able(g)) free_segment(s, g);
	}
	struct segment *victim = choose(s);
	if (victim) begin_pass(c, victim);
}

static void timer_fired(struct timer *timer)
{
	look(CONTAINER_OF(timer, struct compaction, timer)->spool);
}

void compact_look(struct spool *s)
{
	struct compaction *c = s->compaction;
	if (s->closing || timer_is_set(&c->timer)) return;
	io_timer_set(s->io, &c->timer, io_now(s->io) + LOOK_MS);
}

bool compact_open(struct spool *s)
{
	struct compaction *c = calloc(1, sizeof(*c));
	if (!c) return false;
	c->spool = s;
	c->timer.fire = timer_fired;
	s->compaction = c;
	return true;
}

void compact_close(struct spool *s)
{
	struct compaction *c = s->compaction;
	if (!c) return;
	io_timer_cancel(s->io, &c->timer);
	move_clear(&c->move);
	summary_release(&c->index);
	free(c);
	s->compaction = NULL;
}

void compact_need(const struct spool *s, struct segment *g)
{
	const struct compaction *c = s->compaction;
	if (c->victim) segment_need(g, c->victim->number);
	for (uint32_t i = 1; i < s->segments.top; i++) {
		const struct segment *other = s->segments.at[i];
		if (other && other->stale) segment_need(g, i);
	}
}

bool compact_ready(const struct spool *s)
{
	const struct compaction *c = s->compaction;
	return c->phase == COMPACT_PLACES && !s->closing && move_ready(&c->move);
}

void compact_add(struct spool *s, struct batch *b)
{
	if (compact_ready(s)) move_place(&s->compaction->move, b);
}

bool compact_moved_nothing(struct spool *s)
{
	struct compaction *c = s->compaction;
	if (c->phase != COMPACT_PLACES || move_ready(&c->move)) return false;
	compact_synced(s);
	return true;
}

void compact_refused(struct spool *s)
{
	struct compaction *c = s->compaction;
	if (c->phase != COMPACT_PLACES) return;
	c->victim->rest_until = s->generation + REST;
	compact_failed(s);
}

/* The pass is given up; copies that were synced before stay, the segment they came from is
 * `stale`.  */
void compact_failed(struct spool *s)
{
	struct compaction *c = s->compaction;
	if (c->phase != COMPACT_PLACES && c->phase != COMPACT_WAITS) return;
	c->victim->stale |= c->move.moved > 0;
	end_pass(c);
}

void compact_synced(struct spool *s)
{
	struct compaction *c = s->compaction;
	if (c->phase != COMPACT_PLACES && c->phase != COMPACT_WAITS) return;
	bool over = move_synced(&c->move, s->batch.segment);
	if (s->closing) return end_pass(c);
	if (over) return walk(c);
	if (!move_ready(&c->move)) read_slice(c);
}

void compact_check(const struct spool *s)
{
	const struct compaction *c = s->compaction;
	ASSERT((c->phase == COMPACT_IDLE) == (c->victim == NULL));
	ASSERT(c->phase != COMPACT_IDLE || c->move.count == 0);
	if (c->victim) ASSERT(c->victim->state == SEGMENT_SEALED);
}
