#include "queue/state.h"

static const struct {
	const char *event;
	enum history_event history;
} words[] = {
	[QUEUE_RETRY] = {"retried", HISTORY_RETRIED},
	[QUEUE_HOLD] = {"held", HISTORY_HELD},
	[QUEUE_RELEASE] = {"released", HISTORY_RELEASED},
	[QUEUE_DELETE] = {"deleted", HISTORY_DELETED},
};

/* Before the act, for DELETE may end the message.  */
static void tell(struct queue *q, slot recipient, enum queue_act act)
{
	if (q->log->level > LOG_INFO && !q->history) return;
	const struct spool_recipient *r = spool_recipient(q->index, recipient);
	uint64_t id = spool_message(q->index, r->message)->id;
	struct spool_reader reader;
	bool known = spool_read_open(q->spool, r->message, &reader) == 0;
	struct str to = known ? reader.envelope.recipients[r->index].address : STR_NONE;
	char text[SPOOL_ID_LEN + 1];
	log_begin(q->log, LOG_INFO, spool_id_text(id, text), words[act].event);
	log_str(q->log, "to", to);
	log_str(q->log, "by", str_from_c(q->by));
	log_end(q->log);
	settle_history(q, words[act].history, id, to, NULL);
	if (known) spool_read_close(&reader);
}

static bool retry(struct queue *q, slot recipient, struct spool_recipient *r)
{
	if (r->state != RECIPIENT_DUE) return false;
	tell(q, recipient, QUEUE_RETRY);
	if (r->place == PLACE_WAIT) {
		spool_set_due(q->spool, recipient, (uint32_t)(q->clock / 1000));
		place_move(q, recipient, PLACE_READY);
	}
	destination_retry(q, destination_of(q, r));
	return true;
}

static bool hold(struct queue *q, slot recipient, struct spool_recipient *r)
{
	if (r->place == PLACE_JOB && !(r->link.prev & JOB_HOLD)) {
		tell(q, recipient, QUEUE_HOLD);
		r->link.prev |= JOB_HOLD;
		return true;
	}
	if (r->state != RECIPIENT_DUE) return false;
	tell(q, recipient, QUEUE_HOLD);
	spool_hold(q->spool, recipient, true);
	place_move(q, recipient, PLACE_HELD);
	return true;
}

static bool release(struct queue *q, slot recipient, struct spool_recipient *r)
{
	if (r->place == PLACE_JOB && (r->link.prev & JOB_HOLD)) {
		tell(q, recipient, QUEUE_RELEASE);
		r->link.prev &= ~JOB_HOLD;
		return true;
	}
	if (r->state != RECIPIENT_HELD) return false;
	tell(q, recipient, QUEUE_RELEASE);
	spool_hold(q->spool, recipient, false);
	place_due(q, recipient);
	return true;
}

/* An attempt or a bounce under way is told by the gap where the recipient stood.  */
static bool delete (struct queue *q, slot recipient, struct spool_recipient *r)
{
	if (r->place == PLACE_NONE) return false;
	tell(q, recipient, QUEUE_DELETE);
	if (r->place == PLACE_JOB) work_job(q, r)->recipients[r->link.prev & ~JOB_HOLD] = 0;
	if (r->place == PLACE_BOUNCE) bounce_forget(q, r);
	struct outcome o = outcome_local(OUTCOME_DELETED, "5.0.0", STR("deleted by the operator"));
	settle_end(q, recipient, spool_message(q->index, r->message)->id, &o);
	return true;
}

static bool act_on(struct queue *q, slot recipient, enum queue_act act)
{
	static bool (*const acts[])(struct queue *, slot, struct spool_recipient *) = {
		[QUEUE_RETRY] = retry,
		[QUEUE_HOLD] = hold,
		[QUEUE_RELEASE] = release,
		[QUEUE_DELETE] = delete,
	};
	if (recipient == 0 || recipient >= spool_recipient_end(q->index)) return false;
	struct spool_recipient *r = spool_recipient(q->index, recipient);
	if (r->state == RECIPIENT_FREE || r->state == RECIPIENT_DONE) return false;
	return acts[act](q, recipient, r);
}

bool queue_act(struct queue *q, slot recipient, enum queue_act act, msec now, msec wall)
{
	queue_clock(q, now, wall);
	q->by = "operator";
	bool done = act_on(q, recipient, act);
	destination_announce(q);
	return done;
}

uint32_t queue_act_message(
	struct queue *q, slot message, enum queue_act act, const char *by, msec now, msec wall)
{
	uint32_t count = 0;
	ASSERT(act == QUEUE_HOLD || act == QUEUE_RELEASE); /* these end no message */
	queue_clock(q, now, wall);
	q->by = by;
	for (slot at = spool_message(q->index, message)->recipients; at;
		at = spool_recipient(q->index, at)->sibling)
		count += act_on(q, at, act);
	destination_announce(q);
	return count;
}
