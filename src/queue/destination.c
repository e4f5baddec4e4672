#include "queue/state.h"

#include "queue/backoff.h"

enum { KEY_MAX = 2048, WHY_MAX = 4096, TIMERS_RUN = 1000 };

/* ---- interning ---- */

void destination_set_rule(struct queue *q, struct destination *d, const struct route_rule *rule)
{
	if (d->rule == rule) return;
	d->rule = rule;
	window_limit(&d->window, rule->connections);
	rate_limit(&d->rate, rule->rate, q->now);
}

static struct destination *destination_new(
	struct queue *q, struct str key, struct str domain, const struct route_rule *rule)
{
	struct destination *d = queue_alloc(sizeof(*d) + key.len + domain.len);
	char *text = (char *)(d + 1);
	memcpy(text, key.ptr, key.len);
	if (domain.len) memcpy(text + key.len, domain.ptr, domain.len);
	d->queue = q;
	d->key = str_of(text, key.len);
	d->domain = str_of(text + key.len, domain.len);
	d->rule = rule;
	list_init(&d->announce);
	list_init(&d->doomed);
	list_init(&d->turns);
	window_init(&d->window, rule->connections);
	rate_init(&d->rate, rule->rate);
	arena_init(&d->why_arena, WHY_MAX);
	arena_init(&d->doom_arena, WHY_MAX);
	list_push_back(&q->destinations, &d->link);
	if (!map_insert(&q->keys, &d->node, d->key)) queue_no_memory();
	q->stats.destinations++;
	return d;
}

struct destination *destination_get(
	struct queue *q, const struct route_rule *rule, struct str domain)
{
	struct buf key;
	buf_init(&key, KEY_MAX);
	route_destination_key(&key, rule, domain);
	/* Past KEY_MAX there are too many hosts to name: the rule itself tells it apart.  */
	if (!buf_ok(&key) || key.len == 0)
		buf_clear(&key), buf_add(&key, STR("rule:")), buf_add(&key, rule->name);
	if (!buf_ok(&key)) queue_no_memory();
	struct map_node *node = map_find(&q->keys, buf_str(&key));
	struct destination *d;
	if (node)
		d = CONTAINER_OF(node, struct destination, node);
	else
		d = destination_new(q, buf_str(&key), domain, rule);
	if (d->domains == 0) destination_set_rule(q, d, rule);
	buf_release(&key);
	return d;
}

static void destination_free(struct queue *q, struct destination *d)
{
	if (q->drivers.gone) q->drivers.gone(q->drivers.context, d);
	heap_remove(&q->timers, &d->timer);
	list_remove(&d->announce);
	list_remove(&d->doomed);
	list_remove(&d->link);
	map_remove(&q->keys, &d->node);
	arena_release(&d->why_arena);
	arena_release(&d->doom_arena);
	q->stats.destinations--;
	free(d);
}

void destination_reconfigure(struct queue *q)
{
	LIST_EACH (&q->destinations, node) {
		struct destination *d = CONTAINER_OF(node, struct destination, link);
		const struct route_rule *rule = route_find(q->table, d->domain);
		ASSERT(rule);
		destination_set_rule(q, d, rule);
	}
}

void destination_release(struct queue *q)
{
	LIST_EACH_SAFE (&q->destinations, node)
		destination_free(q, CONTAINER_OF(node, struct destination, link));
	map_release(&q->keys);
	heap_release(&q->timers);
}

/* ---- when it may go ---- */

static bool is_idle(const struct destination *d)
{
	return d->domains == 0 && d->connections == 0 && d->jobs == 0;
}

static msec when(const struct destination *d)
{
	msec rate = rate_when(&d->rate);
	return rate > d->until ? rate : d->until;
}

bool destination_may_go(const struct destination *d, msec now)
{
	if (list_empty(&d->turns) || !list_empty(&d->doomed)) return false;
	return when(d) <= now;
}

void destination_plan(struct queue *q, struct destination *d)
{
	msec at = MSEC_NEVER;
	if (!list_empty(&d->turns)) {
		if (when(d) > q->now) at = when(d);
	} else if (is_idle(d)) {
		at = q->now + QUEUE_LINGER_MS;
		if (at < d->until) at = d->until;
		if (at < rate_full(&d->rate)) at = rate_full(&d->rate);
	}
	if (at == MSEC_NEVER)
		heap_remove(&q->timers, &d->timer);
	else if (!heap_set(&q->timers, &d->timer, at))
		queue_no_memory();
}

void destination_wake(struct queue *q, struct destination *d)
{
	if (!list_empty(&d->announce)) return;
	if (destination_may_go(d, q->now))
		list_push_back(&q->announced, &d->announce);
	else
		destination_plan(q, d);
}

/* A driver that takes and gives back at once would keep this going: what comes meanwhile has
 * to wait for queue_run.  */
void destination_announce(struct queue *q)
{
	if (q->announcing || list_empty(&q->announced)) return;
	q->announcing = true;
	struct list batch;
	list_init(&batch);
	list_push_back(&q->announced, &batch);
	list_remove(&q->announced);
	for (struct list *node; (node = list_pop(&batch));) {
		struct destination *d = CONTAINER_OF(node, struct destination, announce);
		if (destination_may_go(d, q->now))
			q->drivers.ready(q->drivers.context, d);
		else
			destination_plan(q, d);
	}
	q->announcing = false;
}

void destination_run(struct queue *q)
{
	struct heap_node *node;
	for (int i = 0; i < TIMERS_RUN && (node = heap_first(&q->timers)) && node->key <= q->now;
		i++) {
		struct destination *d = CONTAINER_OF(node, struct destination, timer);
		heap_remove(&q->timers, node);
		if (is_idle(d))
			destination_free(q, d);
		else
			destination_wake(q, d);
	}
}

bool queue_wants(const struct destination *d, msec now)
{
	if (!destination_may_go(d, now)) return false;
	uint32_t window = d->probing || d->breaker.open ? 1 : d->window.size;
	if (d->connections >= window) return false;
	/* Connections that have nothing to do yet are enough for so many.  */
	uint32_t idle = d->connections > d->jobs ? d->connections - d->jobs : 0;
	return idle < d->counts[PLACE_READY] && idle < rate_tokens(&d->rate, now);
}

/* ---- what drivers tell ---- */

void queue_opened(struct queue *q, struct destination *d)
{
	d->connections++;
	(void)q;
}

void queue_closed(struct queue *q, struct destination *d, msec now)
{
	queue_tick(q, now);
	ASSERT(d->connections > 0);
	d->connections--;
	destination_wake(q, d);
	destination_announce(q);
}

void destination_why(struct destination *d, const struct outcome *why)
{
	arena_release(&d->why_arena);
	d->why = (struct outcome){0};
	if (why && !outcome_copy(why, &d->why_arena, &d->why)) d->why = (struct outcome){0};
}

static void clear_backoff(struct destination *d)
{
	d->streak = d->backoffs = 0;
	d->probing = false;
	if (d->breaker.open) return;
	d->until = 0;
	destination_why(d, NULL);
}

void queue_served(struct queue *q, struct destination *d, msec now)
{
	queue_tick(q, now);
	d->streak = 0;
	if (d->backoffs > 0) {
		log_begin(q->log, LOG_INFO, STR_NONE, "reachable");
		log_str(q->log, "destination", d->key);
		log_end(q->log);
		clear_backoff(d);
	} else {
		window_served(&d->window);
	}
	destination_wake(q, d);
	destination_announce(q);
}

static void log_wait(
	struct queue *q, const struct destination *d, enum log_level level, const char *event)
{
	log_begin(q->log, level, STR_NONE, event);
	log_str(q->log, "destination", d->key);
	settle_log_outcome(q->log, &d->why);
	log_i64(q->log, "waiting", d->counts[PLACE_READY]);
	struct buf next;
	buf_init(&next, 64);
	clock_add_rfc3339(&next, q->wall + d->until - q->now);
	log_str(q->log, "next", buf_str(&next));
	buf_release(&next);
	log_end(q->log);
}

void queue_unreachable(
	struct queue *q, struct destination *d, const struct outcome *why, msec now, msec wall)
{
	queue_clock(q, now, wall);
	uint32_t window = d->window.size;
	window_failed(&d->window, d->connections);
	d->streak++;
	/* The others may be served well: then one that failed is no reason to leave all.  */
	bool alone = d->connections <= 1 || d->streak >= window;
	if (d->until > now && d->backoffs > 0) {
		if (!d->breaker.open) destination_why(d, why);
	} else if (alone) {
		d->backoffs++;
		d->streak = 0;
		d->probing = true;
		window_init(&d->window, d->rule->connections);
		msec until = now +
			backoff_destination(
				q->options->retry, q->options->retry_count, d->backoffs, &q->rng);
		if (d->until < until) d->until = until;
		if (!d->breaker.open) destination_why(d, why);
		log_wait(q, d, LOG_INFO, "unreachable");
	}
	destination_plan(q, d);
	destination_announce(q);
}

void queue_impossible(
	struct queue *q, struct destination *d, const struct outcome *why, msec now, msec wall)
{
	ASSERT(outcome_final(why->class));
	queue_clock(q, now, wall);
	arena_release(&d->doom_arena);
	if (!outcome_copy(why, &d->doom_arena, &d->doom)) queue_no_memory();
	d->doom_id = q->last_id;
	list_remove(&d->doomed);
	list_push_back(&q->doomed, &d->doomed);
	clear_backoff(d);
	destination_plan(q, d);
	destination_announce(q);
}

/* ---- pause and resume ---- */

void destination_pause(struct queue *q, struct destination *d, const struct outcome *why)
{
	d->until = q->now + breaker_pause(&d->breaker);
	destination_why(d, why);
	log_wait(q, d, LOG_WARN, "paused");
	destination_plan(q, d);
}

void destination_resume(struct queue *q, struct destination *d)
{
	d->until = 0;
	destination_why(d, NULL);
	log_begin(q->log, LOG_WARN, STR_NONE, "resumed");
	log_str(q->log, "destination", d->key);
	log_end(q->log);
	destination_wake(q, d);
}

void destination_retry(struct queue *q, struct destination *d)
{
	if (d->breaker.open) {
		d->breaker = (struct breaker){0};
		destination_resume(q, d);
	}
	d->until = 0;
	destination_wake(q, d);
}

/* ---- for drivers ---- */

const struct route_rule *destination_rule(const struct destination *d) { return d->rule; }
struct str destination_key(const struct destination *d) { return d->key; }
struct str destination_domain(const struct destination *d) { return d->domain; }
void **destination_driver(struct destination *d) { return &d->driver; }
