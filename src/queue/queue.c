#include "queue/state.h"

void queue_no_memory(void)
{
	bug_found(__FILE__, __LINE__, __func__,
		"no memory for the queue; all mail is on disk: start again");
}

void *queue_alloc(size_t size)
{
	void *memory = calloc(1, size);
	if (!memory) queue_no_memory();
	return memory;
}

/* ---- time ---- */

/* Due times follow a wall clock that is put forward but not one that is put back.  */
void queue_clock(struct queue *q, msec now, msec wall)
{
	if (q->started && now > q->now) q->clock += now - q->now;
	if (!q->started || wall > q->clock) q->clock = wall;
	if (!q->started || now > q->now) q->now = now;
	q->wall = wall;
	q->started = true;
}

void queue_tick(struct queue *q, msec now)
{
	if (now > q->now) queue_clock(q, now, q->wall + now - q->now);
}

uint32_t queue_due(const struct queue *q, msec delay)
{
	msec due = (q->clock + delay + 999) / 1000;
	return due < UINT32_MAX ? (uint32_t)due : UINT32_MAX;
}

msec queue_wall_of(const struct queue *q, uint32_t due)
{
	return SECONDS((msec)due) - q->clock + q->wall;
}

/* ---- life ---- */

struct queue *queue_new(struct spool *spool, struct history *history,
	const struct queue_options *options, const struct route_table *table,
	const struct queue_drivers *drivers, uint64_t seed, struct log *log)
{
	struct queue *q = calloc(1, sizeof(*q));
	if (!q) return NULL;
	q->spool = spool;
	q->index = spool_index(spool);
	q->history = history;
	q->options = options;
	q->table = table;
	q->drivers = *drivers;
	q->log = log;
	rng_init(&q->rng, seed);
	map_init(&q->domains, rng_next(&q->rng));
	map_init(&q->keys, rng_next(&q->rng));
	list_init(&q->destinations);
	list_init(&q->jobs_list);
	list_init(&q->announced);
	list_init(&q->doomed);
	list_init(&q->bounces_waiting);
	schedule_init(&q->schedule, q->index);
	return q;
}

void queue_free(struct queue *q)
{
	if (!q) return;
	work_release(q);
	bounce_release(q);
	place_release(q);
	destination_release(q);
	free(q);
}

void queue_configure(struct queue *q, const struct queue_options *options,
	const struct route_table *table, msec now, msec wall)
{
	queue_clock(q, now, wall);
	q->options = options;
	q->table = table;
	destination_reconfigure(q);
	place_reroute(q);
	destination_announce(q);
}

/* ---- mail comes in ---- */

void queue_recovered(struct queue *q, slot recipient, struct str domain)
{
	struct spool_recipient *r = spool_recipient(q->index, recipient);
	uint64_t id = spool_message(q->index, r->message)->id;
	if (id > q->last_id) q->last_id = id;
	q->recovered++;
	bool held = r->state == RECIPIENT_HELD;
	/* Never tried, and no wish of its sender's: due since it came, also when the clock has been put back.  */
	if (!r->attempts && r->due <= spool_created(id) / 1000) r->due = 0;
	place_enter(q, recipient, domain);
	place_move(q, recipient, held ? PLACE_HELD : PLACE_WAIT);
}

static struct str domain_of(struct str address)
{
	size_t at = str_rfind(address, '@');
	return at < address.len ? str_skip(address, at + 1) : STR_NONE;
}

void queue_accepted(struct queue *q, slot message, const struct envelope *e, msec now, msec wall)
{
	queue_clock(q, now, wall);
	const struct spool_message *m = spool_message(q->index, message);
	if (m->id > q->last_id) q->last_id = m->id;
	msec created = spool_created(m->id);
	if (q->stats.oldest == 0 || created < q->stats.oldest) q->stats.oldest = created;
	msec delay = e->hold_until > wall ? e->hold_until - wall : 0;
	uint32_t due = delay ? queue_due(q, delay) : (uint32_t)(q->clock / 1000);
	for (slot at = m->recipients; at;) {
		struct spool_recipient *r = spool_recipient(q->index, at);
		ASSERT(r->index < e->recipient_count);
		slot next = r->sibling;
		/* In the message's own record there is no such time.  */
		if (delay)
			spool_set_due(q->spool, at, due);
		else
			r->due = due;
		place_enter(q, at, domain_of(e->recipients[r->index].address));
		place_move(q, at, delay ? PLACE_WAIT : PLACE_READY);
		q->stats.accepted++;
		at = next;
	}
	destination_announce(q);
}

/* ---- time passes ---- */

static void bring_due(struct queue *q)
{
	const struct queue_options *o = q->options;
	msec longest = o->retry_count ? o->retry[o->retry_count - 1] : 0;
	for (uint32_t i = 0; i < o->retry_count; i++)
		longest = o->retry[i] > longest ? o->retry[i] : longest;
	q->schedule.limit = longest ? (uint32_t)(2 * longest / 1000) + 1 : 0;
	uint32_t budget = QUEUE_RUN_RECIPIENTS;
	for (slot at; (at = schedule_next(&q->schedule, (uint32_t)(q->clock / 1000), &budget));)
		place_came_due(q, at);
}

msec queue_run(struct queue *q, msec now, msec wall)
{
	queue_clock(q, now, wall);
	bring_due(q);
	destination_run(q);
	sweep_run(q);
	bounce_run(q);
	destination_announce(q);
	return queue_next(q);
}

static msec schedule_next_run(const struct queue *q)
{
	uint32_t when = schedule_when(&q->schedule);
	if (when == 0) return q->now;
	if (when == UINT32_MAX) return MSEC_NEVER;
	msec wait = SECONDS((msec)when) - q->clock;
	return q->now + (wait > 0 ? wait : 0);
}

msec queue_next(const struct queue *q)
{
	if (!q->started || !list_empty(&q->announced)) return q->now;
	msec at = schedule_next_run(q), other = sweep_next(q);
	if (other < at) at = other;
	const struct heap_node *first = heap_first(&q->timers);
	if (first && first->key < at) at = first->key;
	if (!list_empty(&q->bounces_waiting) && q->bounce_retry < at) at = q->bounce_retry;
	return at;
}

void queue_stats(struct queue *q, struct queue_stats *ret)
{
	*ret = q->stats;
	ret->messages = spool_message_count(q->index);
	ret->ready = q->counts[PLACE_READY];
	ret->deferred = q->counts[PLACE_WAIT];
	ret->active = q->counts[PLACE_JOB] + q->counts[PLACE_BOUNCE];
	ret->held = q->counts[PLACE_HELD];
	ret->recipients = ret->ready + ret->deferred + ret->active + ret->held;
	if (ret->messages == 0) ret->oldest = 0;
}
