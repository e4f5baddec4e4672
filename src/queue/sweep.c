#include "queue/state.h"

#include <errno.h>

/* One clock for all: a cursor goes over all messages, the whole table within a minute, and
 * ends what has been here for too long, in whatever state but held; what an attempt is under
 * way for, settle.c ends when it comes back.  */

enum {
	PASS_LONGEST_MS = 60 * 1000,
	PASS_SHORTEST_MS = 100,
	SLICES = 60,        /* of a pass */
	SLICE_LEAST = 1000, /* messages */
	SLICE_MOST = 200000,
	BUSY_MS = 10, /* too many DSNs are under way: come again */
	REASON_MAX = 16 * 1024,
};

static msec pass_length(const struct queue *q)
{
	const struct queue_options *o = q->options;
	msec span = o->lifetime;
	if (o->delay_notice && o->delay_notice < span) span = o->delay_notice;
	span /= 100;
	return span < PASS_SHORTEST_MS   ? PASS_SHORTEST_MS
		: span > PASS_LONGEST_MS ? PASS_LONGEST_MS
					 : span;
}

static bool is_busy(const struct queue *q)
{
	return q->bounce_count >= QUEUE_BOUNCES_SWEEP || !bounce_room(q);
}

/* When to go on with what was cut short.  */
static msec go_on_at(const struct queue *q)
{
	if (!is_busy(q)) return q->now;
	return list_empty(&q->bounces_waiting) ? q->now + BUSY_MS : q->bounce_retry;
}

/* Mail that was never tried and is not due yet waits by its sender's wish: its time has not
 * begun.  */
static bool may_age(const struct queue *q, const struct spool_recipient *r)
{
	if (r->place != PLACE_READY && r->place != PLACE_WAIT) return false;
	return r->attempts > 0 || r->due <= q->clock / 1000;
}

static msec since(const struct envelope *e, uint64_t id)
{
	msec created = spool_created(id);
	return e->hold_until > created ? e->hold_until : created;
}

/* The recipients of the message that may age; max: of recipients.  */
static uint32_t gather(const struct queue *q, slot message, slot *recipients, uint32_t max)
{
	uint32_t count = 0;
	for (slot at = spool_message(q->index, message)->recipients; at && count < max;) {
		const struct spool_recipient *r = spool_recipient(q->index, at);
		if (may_age(q, r)) recipients[count++] = at;
		at = r->sibling;
	}
	return count;
}

/* ---- expiry ---- */

static void hold_damaged(struct queue *q, slot message, const slot *recipients, uint32_t count)
{
	char id[SPOOL_ID_LEN + 1];
	log_begin(
		q->log, LOG_ERROR, spool_id_text(spool_message(q->index, message)->id, id), "held");
	log_str(q->log, "why", STR("the message is damaged and could not be returned"));
	log_end(q->log);
	for (uint32_t i = 0; i < count; i++) {
		spool_hold(q->spool, recipients[i], true);
		place_move(q, recipients[i], PLACE_HELD);
	}
}

static void expire_all(struct queue *q, slot message, const struct envelope *e,
	const slot *recipients, uint32_t count)
{
	struct verdict *verdicts = queue_alloc(count * sizeof(*verdicts));
	struct arena arena;
	arena_init(&arena, (size_t)count * REASON_MAX);
	for (uint32_t i = 0; i < count; i++) {
		struct verdict *v = &verdicts[i];
		struct outcome last;
		bool known = settle_reason(q, recipients[i], &arena, &last);
		v->recipient = recipients[i];
		v->index = spool_recipient(q->index, recipients[i])->index;
		v->changed = settle_expiry_outcome(q, &arena, known ? &last : NULL);
		v->outcome = &v->changed;
	}
	for (uint32_t i = 0; i < count; i++) place_move(q, recipients[i], PLACE_NONE);
	settle(q,
		&(struct settlement){.message = message,
			.id = spool_message(q->index, message)->id,
			.envelope = e,
			.verdicts = verdicts,
			.count = count});
	arena_release(&arena);
	free(verdicts);
}

/* ---- delay notice ---- */

static bool tell_delay(struct queue *q, slot message, const struct envelope *e,
	const slot *recipients, uint32_t count)
{
	struct bounce_item *items = queue_alloc(count * sizeof(*items));
	struct outcome *outcomes = queue_alloc(count * sizeof(*outcomes));
	struct arena arena;
	arena_init(&arena, (size_t)count * REASON_MAX);
	uint32_t due = 0;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t index = spool_recipient(q->index, recipients[i])->index;
		if (!dsn_due(e, &e->recipients[index], DSN_DELAYED)) continue;
		if (!settle_reason(q, recipients[i], &arena, &outcomes[due]))
			outcomes[due] = outcome_local(
				OUTCOME_DEFERRED, "4.4.7", STR("it has not been its turn yet"));
		items[due] = (struct bounce_item){
			.index = index, .action = DSN_DELAYED, .outcome = &outcomes[due]};
		due++;
	}
	bool told = due == 0 || bounce_make(q, message, items, due);
	if (told) spool_delay_told(q->spool, message);
	if (told && due > 0)
		settle_history(q, HISTORY_DELAY_TOLD, spool_message(q->index, message)->id,
			STR_NONE, NULL);
	arena_release(&arena);
	free(outcomes);
	free(items);
	return told;
}

/* ---- the cursor ---- */

enum asked { ASKED_NOTHING, ASKED_EXPIRE, ASKED_DELAY };

static enum asked ask(const struct queue *q, const struct spool_message *m, msec from)
{
	if (settle_too_old(q, from)) return ASKED_EXPIRE;
	msec notice = q->options->delay_notice;
	if (notice == 0 || (m->flags & SPOOL_MESSAGE_DELAY_TOLD)) return ASKED_NOTHING;
	return q->wall - from >= notice ? ASKED_DELAY : ASKED_NOTHING;
}

/* True when it took the reading of the message.  */
static bool look_at(struct queue *q, slot message)
{
	const struct spool_message *m = spool_message(q->index, message);
	if (m->id == 0 || m->open == 0) return false;
	msec created = spool_created(m->id);
	if (q->sweep.oldest == 0 || created < q->sweep.oldest) q->sweep.oldest = created;
	if (ask(q, m, created) == ASKED_NOTHING) return false;

	slot one, *recipients = m->open == 1 ? &one : queue_alloc(m->open * sizeof(slot));
	uint32_t count = gather(q, message, recipients, m->open);
	struct spool_reader reader;
	int error = count ? spool_read_open(q->spool, message, &reader) : -ENOENT;
	if (error == -EBADMSG && ask(q, m, created) == ASKED_EXPIRE)
		hold_damaged(q, message, recipients, count);
	if (error == 0) {
		enum asked asked = ask(q, m, since(&reader.envelope, m->id));
		if (asked == ASKED_EXPIRE)
			expire_all(q, message, &reader.envelope, recipients, count);
		if (asked == ASKED_DELAY)
			tell_delay(q, message, &reader.envelope, recipients, count);
		spool_read_close(&reader);
	}
	if (recipients != &one) free(recipients);
	return count > 0;
}

static void pass_ended(struct queue *q)
{
	q->stats.oldest = q->sweep.oldest;
	q->sweep.oldest = 0;
	q->sweep.cursor = 0;
}

static void slice(struct queue *q, uint32_t *budget)
{
	if (q->now < q->sweep.next || spool_message_count(q->index) == 0) return;
	slot end = spool_message_end(q->index);
	msec pass = pass_length(q), interval = end <= SLICE_LEAST ? pass : pass / SLICES + 1;
	uint64_t count = (uint64_t)end * (uint64_t)interval / (uint64_t)pass + 1;
	if (count < SLICE_LEAST) count = SLICE_LEAST;
	if (count > SLICE_MOST) count = SLICE_MOST;
	q->sweep.next = q->now + interval;
	for (; count > 0; count--) {
		if (*budget == 0 || is_busy(q)) {
			q->sweep.next = go_on_at(q);
			return;
		}
		if (++q->sweep.cursor >= end) {
			pass_ended(q);
			return;
		}
		if (look_at(q, q->sweep.cursor)) --*budget;
	}
}

/* ---- destinations that cannot be ---- */

/* A message that was here before it was known; 0: none.  */
static slot next_doomed(const struct queue *q, const struct destination *d)
{
	LIST_EACH (&d->turns, turn_node) {
		LIST_EACH (&CONTAINER_OF(turn_node, struct turn, link)->lanes, node) {
			slot first = CONTAINER_OF(node, struct lane, in_turn)->first;
			slot message = spool_recipient(q->index, first)->message;
			if (spool_message(q->index, message)->id <= d->doom_id) return message;
		}
	}
	return 0;
}

static void fail_message(struct queue *q, struct destination *d, slot message)
{
	uint32_t count = work_ready(q, d, message, NULL, UINT32_MAX);
	slot *recipients = queue_alloc(count * sizeof(*recipients));
	struct verdict *verdicts = queue_alloc(count * sizeof(*verdicts));
	work_ready(q, d, message, recipients, count);
	for (uint32_t i = 0; i < count; i++) {
		place_move(q, recipients[i], PLACE_NONE);
		verdicts[i] = (struct verdict){.recipient = recipients[i],
			.outcome = &d->doom,
			.index = spool_recipient(q->index, recipients[i])->index};
	}
	settle(q,
		&(struct settlement){.message = message,
			.id = spool_message(q->index, message)->id,
			.destination = d,
			.verdicts = verdicts,
			.count = count,
			.attempt = true,
			.began = q->now});
	free(verdicts);
	free(recipients);
}

static void fail_doomed(struct queue *q, uint32_t *budget)
{
	while (!list_empty(&q->doomed) && *budget > 0 && !is_busy(q)) {
		struct destination *d = CONTAINER_OF(q->doomed.next, struct destination, doomed);
		slot message = next_doomed(q, d);
		if (message) {
			fail_message(q, d, message);
			--*budget;
			continue;
		}
		list_remove(&d->doomed);
		destination_wake(q, d);
	}
}

void sweep_run(struct queue *q)
{
	uint32_t budget = QUEUE_RUN_SETTLED;
	fail_doomed(q, &budget);
	slice(q, &budget);
}

msec sweep_next(const struct queue *q)
{
	if (!list_empty(&q->doomed)) return go_on_at(q);
	return spool_message_count(q->index) ? q->sweep.next : MSEC_NEVER;
}
