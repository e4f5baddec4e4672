#include "queue/state.h"

/* What is counted anew and has to come out as the queue keeps it.  */
struct tally {
	uint32_t places[PLACE_COUNT];
	uint32_t foreign; /* committed a moment ago, the caller has not called queue_accepted yet */
};

static void check_place(
	const struct queue *q, slot at, const struct spool_recipient *r, struct tally *t)
{
	switch (r->place) {
	case PLACE_READY:
	case PLACE_WAIT: ASSERT(r->state == RECIPIENT_DUE); break;
	case PLACE_HELD: ASSERT(r->state == RECIPIENT_HELD); break;
	case PLACE_JOB: {
		const struct queue_job *job = work_job(q, r);
		uint32_t i = r->link.prev & ~JOB_HOLD;
		ASSERT(r->state == RECIPIENT_ACTIVE && i < job->count && job->recipients[i] == at);
		break;
	}
	case PLACE_BOUNCE: ASSERT(r->state == RECIPIENT_ACTIVE && bounce_owns(q, r) == at); break;
	default:
		ASSERT(r->place == PLACE_NONE && r->link.lane == 0);
		ASSERT(r->state == RECIPIENT_ACTIVE || r->state == RECIPIENT_DONE);
		t->foreign += r->state == RECIPIENT_ACTIVE;
		return;
	}
	ASSERT(lane_of(q, r)->number == r->link.lane && lane_of(q, r)->count > 0);
	t->places[r->place]++;
}

static void check_messages(const struct queue *q, struct tally *t)
{
	slot end = spool_message_end(q->index);
	for (slot at = 1; at < end; at++) {
		const struct spool_message *m = spool_message(q->index, at);
		if (m->id == 0) continue;
		uint32_t open = 0;
		for (slot next = m->recipients; next;) {
			const struct spool_recipient *r = spool_recipient(q->index, next);
			ASSERT(r->message == at && r->state != RECIPIENT_FREE);
			check_place(q, next, r, t);
			open += r->state != RECIPIENT_DONE;
			next = r->sibling;
		}
		ASSERT(open == m->open);
	}
}

/* Returns how many are ready.  */
static uint32_t check_lane(const struct queue *q, const struct lane *lane)
{
	ASSERT((lane->first != 0) == (lane->turn != NULL) && lane->count > 0);
	uint32_t count = 0;
	slot before = 0;
	for (slot at = lane->first; at;) {
		const struct spool_recipient *r = spool_recipient(q->index, at);
		ASSERT(r->place == PLACE_READY && r->link.lane == lane->number &&
			r->link.prev == before);
		before = at;
		at = r->link.next;
		count++;
	}
	ASSERT(lane->last == before && count <= lane->count);
	return count;
}

static void check_domains(const struct queue *q)
{
	for (struct map_node *node = map_next(&q->domains, NULL); node;
		node = map_next(&q->domains, node)) {
		const struct domain *domain = CONTAINER_OF(node, struct domain, node);
		uint32_t lanes = 0, ready = 0, all = 0, counted = 0;
		LIST_EACH (&domain->lanes, link) {
			const struct lane *lane = CONTAINER_OF(link, struct lane, in_domain);
			ASSERT(lane->domain == domain);
			ready += check_lane(q, lane);
			all += lane->count;
			lanes++;
		}
		for (int i = 0; i < PLACE_COUNT; i++) counted += domain->counts[i];
		ASSERT(lanes == domain->lane_count && lanes <= QUEUE_LANES_MAX && lanes > 0);
		ASSERT(ready == domain->counts[PLACE_READY] && all == counted);
	}
}

/* What is ready at d goes now, or at a time that is set.  */
static void check_future(const struct queue *q, const struct destination *d)
{
	if (list_empty(&d->turns) || !list_empty(&d->doomed)) return;
	ASSERT(destination_may_go(d, q->now) || heap_has(&d->timer));
}

static void check_destinations(const struct queue *q)
{
	uint32_t destinations = 0, places[PLACE_COUNT] = {0};
	LIST_EACH (&q->destinations, node) {
		const struct destination *d = CONTAINER_OF(node, struct destination, link);
		uint32_t turns = 0;
		LIST_EACH (&d->turns, link) {
			ASSERT(!list_empty(&CONTAINER_OF(link, struct turn, link)->lanes));
			turns++;
		}
		ASSERT(turns == d->turn_count && turns <= QUEUE_LANES_MAX);
		ASSERT((turns > 0) == (d->counts[PLACE_READY] > 0));
		ASSERT(d->window.size >= 1 && d->window.size <= d->window.max);
		for (int i = 0; i < PLACE_COUNT; i++) places[i] += d->counts[i];
		check_future(q, d);
		destinations++;
	}
	ASSERT(destinations == q->stats.destinations);
	for (int i = 0; i < PLACE_COUNT; i++) ASSERT(places[i] == q->counts[i]);
}

void queue_check(struct queue *q)
{
	struct tally t = {0};
	check_messages(q, &t);
	for (int i = 0; i < PLACE_COUNT; i++) ASSERT(t.places[i] == q->counts[i]);
	check_domains(q);
	check_destinations(q);
	struct queue_stats s;
	queue_stats(q, &s);
	ASSERT(s.accepted + q->recovered ==
		s.delivered + s.failed + s.expired + s.deleted + s.recipients);
}
