#include "queue/state.h"

/* A queue_job with its number and its arrays.  */
struct job {
	struct queue_job job;
	uint32_t number;
	slot slots[];
};

struct queue_job *work_job(const struct queue *q, const struct spool_recipient *r)
{
	return &((struct job *)table_get(&q->jobs, r->link.next))->job;
}

uint32_t work_ready(
	const struct queue *q, const struct destination *d, slot message, slot *to, uint32_t max)
{
	uint32_t count = 0;
	slot next = spool_message(q->index, message)->recipients;
	for (slot at; (at = next) && count < max;) {
		const struct spool_recipient *r = spool_recipient(q->index, at);
		next = r->sibling;
		if (r->place != PLACE_READY || destination_of(q, r) != d) continue;
		if (to) to[count] = at;
		count++;
	}
	return count;
}

/* Whose turn it is; both the sender and its lane go to the end of their lines.  */
static slot next_message(const struct queue *q, struct destination *d)
{
	struct turn *turn = CONTAINER_OF(d->turns.next, struct turn, link);
	struct lane *lane = CONTAINER_OF(turn->lanes.next, struct lane, in_turn);
	list_remove(&turn->link);
	list_push_back(&d->turns, &turn->link);
	list_remove(&lane->in_turn);
	list_push_back(&turn->lanes, &lane->in_turn);
	return spool_recipient(q->index, lane->first)->message;
}

static struct job *job_new(struct queue *q, struct destination *d, slot message, uint32_t count)
{
	struct job *job =
		queue_alloc(sizeof(*job) + (size_t)count * (sizeof(slot) + sizeof(uint32_t)));
	job->number = table_add(&q->jobs, job);
	if (job->number == 0) queue_no_memory();
	job->job = (struct queue_job){
		.destination = d,
		.message = message,
		.id = spool_message(q->index, message)->id,
		.count = count,
		.recipients = job->slots,
		.indices = job->slots + count,
		.began = q->now,
	};
	list_push_back(&q->jobs_list, &job->job.link);
	d->jobs++;
	return job;
}

struct queue_job *queue_take(
	struct queue *q, struct destination *d, uint32_t recipients_max, msec now)
{
	queue_tick(q, now);
	if (recipients_max == 0 || !destination_may_go(d, now)) return NULL;
	slot message = next_message(q, d);
	bool single =
		spool_recipient(q->index, spool_message(q->index, message)->recipients)->sibling ==
		0;
	uint32_t count = single ? 1 : work_ready(q, d, message, NULL, recipients_max);
	struct job *job = job_new(q, d, message, count);
	work_ready(q, d, message, job->slots, count);
	for (uint32_t i = 0; i < count; i++) {
		struct spool_recipient *r = spool_recipient(q->index, job->slots[i]);
		place_move(q, job->slots[i], PLACE_JOB);
		r->link.next = job->number;
		r->link.prev = i;
		job->job.indices[i] = r->index;
	}
	rate_take(&d->rate, now);
	/* A probe; whatever becomes of it, the next waits for as long as the last did.  */
	if (d->breaker.open) d->until = now + breaker_pause(&d->breaker);
	if (!list_empty(&d->turns)) destination_plan(q, d);
	return &job->job;
}

/* ---- finish ---- */

/* Whether refusals are to be taken as deferrals.  */
static bool judge(struct queue *q, struct destination *d, const struct queue_job *job,
	const struct outcome *outcomes)
{
	bool was_open = d->breaker.open;
	enum breaker_weight weight = breaker_weigh(outcomes, job->count);
	if (breaker_count(&d->breaker, weight, q->options->return_breaker)) {
		uint32_t i = 0;
		while (outcomes[i].class != OUTCOME_FAILED) i++;
		destination_pause(q, d, &outcomes[i]);
	} else if (was_open && !d->breaker.open) {
		destination_resume(q, d);
	}
	return d->breaker.open;
}

/* The operator deleted it meanwhile: its end is recorded, and what the attempt gave is only
 * told.  */
static void tell_late(struct queue *q, uint64_t id, const struct outcome *o)
{
	if (o->class != OUTCOME_DELIVERED) return;
	char text[SPOOL_ID_LEN + 1];
	log_begin(q->log, LOG_WARN, spool_id_text(id, text), "delivered");
	log_str(q->log, "deleted", STR("too late"));
	settle_log_outcome(q->log, o);
	log_end(q->log);
}

/* One that was not tried is due again at once.  */
static void give_back(struct queue *q, slot recipient, bool hold)
{
	if (!hold) {
		place_back(q, recipient);
		return;
	}
	spool_recipient(q->index, recipient)->state = RECIPIENT_DUE;
	spool_hold(q->spool, recipient, true);
	place_move(q, recipient, PLACE_HELD);
}

static bool is_refusal(const struct outcome *o)
{
	return o->class == OUTCOME_FAILED && o->remote && o->code >= 500;
}

void queue_finish(
	struct queue *q, struct queue_job *job, const struct outcome *outcomes, msec now, msec wall)
{
	queue_clock(q, now, wall);
	struct destination *d = job->destination;
	d->jobs--;
	bool lenient = judge(q, d, job, outcomes);

	struct verdict one,
		*verdicts = job->count == 1 ? &one : queue_alloc(job->count * sizeof(one));
	struct settlement s = {.message = job->message,
		.id = job->id,
		.destination = d,
		.envelope = job->envelope,
		.verdicts = verdicts,
		.began = job->began,
		.attempt = true};
	for (uint32_t i = 0; i < job->count; i++) {
		slot recipient = job->recipients[i];
		if (!recipient) {
			tell_late(q, job->id, &outcomes[i]);
			continue;
		}
		bool hold = spool_recipient(q->index, recipient)->link.prev & JOB_HOLD;
		if (outcomes[i].class == OUTCOME_NONE) {
			give_back(q, recipient, hold);
			continue;
		}
		struct verdict *v = &verdicts[s.count++];
		*v = (struct verdict){.recipient = recipient,
			.index = job->indices[i],
			.outcome = &outcomes[i],
			.hold = hold};
		if (lenient && is_refusal(&outcomes[i])) {
			v->changed = outcomes[i];
			v->changed.class = OUTCOME_DEFERRED;
			v->outcome = &v->changed;
		}
	}
	if (s.count) settle(q, &s);
	if (verdicts != &one) free(verdicts);

	struct job *own = CONTAINER_OF(job, struct job, job);
	list_remove(&job->link);
	table_remove(&q->jobs, own->number);
	free(own);
	destination_plan(q, d);
	destination_announce(q);
}

void work_release(struct queue *q)
{
	for (struct list *node; (node = list_pop(&q->jobs_list));)
		free(CONTAINER_OF(CONTAINER_OF(node, struct queue_job, link), struct job, job));
	table_release(&q->jobs);
}
