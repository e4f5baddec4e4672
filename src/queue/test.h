/* A world for the tests of the queue: a fake spool, routes, a log that is kept, and a driver
 * that does as it is told.  */
#ifndef QUEUE_TEST_H
#define QUEUE_TEST_H

#include "base/test.h"

#include "queue/fake_spool.h"
#include "queue/state.h"

struct world {
	struct spool *spool;
	struct history history;
	struct route_table table;
	struct route_rule star, local, relay;
	struct route_host host;
	struct queue_options options;
	struct queue *q;
	struct log log;
	struct buf logged;
	msec now, wall;
	uint32_t ready, gone; /* calls of the driver */
	struct destination *ready_last;
	struct arena arena;
};

static msec world_wall(void *context) { return ((struct world *)context)->wall; }
static void world_log(void *context, struct str lines)
{
	buf_add(&((struct world *)context)->logged, lines);
}

static void world_ready(void *context, struct destination *d)
{
	struct world *w = context;
	w->ready++;
	w->ready_last = d;
}

static void world_gone(void *context, struct destination *d)
{
	(void)d;
	((struct world *)context)->gone++;
}

static void world_queue(struct world *w)
{
	struct queue_drivers drivers = {.ready = world_ready, .gone = world_gone, .context = w};
	w->q = queue_new(w->spool, &w->history, &w->options, &w->table, &drivers, 7, &w->log);
	assert_non_null(w->q);
}

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->now = 1000000;
	w->wall = 1700000000000;
	w->spool = fake_spool_new(w->wall);
	w->history.spool = w->spool;
	buf_init(&w->logged, 64 << 20);
	log_init(&w->log, LOG_TEXT, LOG_INFO);
	w->log.wall = world_wall, w->log.write = world_log, w->log.context = w;
	arena_init(&w->arena, 1 << 20);
	w->host = (struct route_host){STR("next.example"), 25};
	w->star = (struct route_rule){
		.name = STR("*"), .kind = ROUTE_MX, .port = 25, .connections = 20};
	w->local = (struct route_rule){.name = STR("local.example"),
		.kind = ROUTE_MAILDIR,
		.local = true,
		.connections = 4};
	w->relay = (struct route_rule){.name = STR(".relayed.example"),
		.kind = ROUTE_SMTP,
		.hosts = &w->host,
		.host_count = 1,
		.tls = ROUTE_TLS_OPPORTUNISTIC,
		.connections = 20};
	route_table_init(&w->table, 1);
	assert_true(route_table_add(&w->table, &w->star));
	assert_true(route_table_add(&w->table, &w->local));
	assert_true(route_table_add(&w->table, &w->relay));
	w->options = (struct queue_options){.retry = {MINUTES(1), MINUTES(5), HOURS(1)},
		.retry_count = 3,
		.lifetime = DAYS(5),
		.delay_notice = HOURS(4),
		.return_breaker = 20,
		.hostname = STR("mx.example.com")};
	world_queue(w);
	queue_run(w->q, w->now, w->wall);
}

static void world_release(struct world *w)
{
	queue_check(w->q);
	queue_free(w->q);
	fake_spool_sync(w->spool);
	route_table_release(&w->table);
	fake_spool_free(w->spool);
	log_release(&w->log);
	buf_release(&w->logged);
	arena_release(&w->arena);
}

static inline bool world_has_logged(struct world *w, const char *text)
{
	log_flush(&w->log);
	if (str_contains(buf_str(&w->logged), str_from_c(text))) return true;
	print_message(STR_FMT, STR_ARG(buf_str(&w->logged)));
	return false;
}

/* ---- mail ---- */

#define WORLD_BODY STR("Subject: a test\r\nFrom: a@b.example\r\n\r\nThe body.\r\n")

static inline slot world_accept_envelope(struct world *w, const struct envelope *e, struct str body)
{
	slot m = fake_store(w->spool, fake_message_new(e, body), queue_tag(e->reverse_path));
	queue_accepted(w->q, m, e, w->now, w->wall);
	return m;
}

static inline slot world_accept_many(
	struct world *w, const char *from, const char *const *to, uint32_t count)
{
	struct recipient recipients[64];
	ASSERT(count <= ARRAY_LEN(recipients));
	for (uint32_t i = 0; i < count; i++)
		recipients[i] = (struct recipient){.address = str_from_c(to[i])};
	struct envelope e = {.reverse_path = str_from_c(from),
		.recipients = recipients,
		.recipient_count = count,
		.size = WORLD_BODY.len,
		.created = w->wall};
	return world_accept_envelope(w, &e, WORLD_BODY);
}

static inline slot world_accept(struct world *w, const char *from, const char *to)
{
	return world_accept_many(w, from, &to, 1);
}

static inline slot world_first(struct world *w, slot message)
{
	return spool_message(&w->spool->index, message)->recipients;
}

static inline struct spool_recipient *world_recipient(struct world *w, slot message)
{
	return spool_recipient(&w->spool->index, world_first(w, message));
}

/* The DSN that was made last: the newest message without a sender.  NULL: none.  */
static inline struct fake_message *world_find_dsn(struct world *w)
{
	slot found = 0;
	for (slot at = 1; at < spool_message_end(&w->spool->index); at++) {
		uint64_t id = spool_message(&w->spool->index, at)->id;
		if (!id || !(w->spool->messages[at]->envelope.flags & ENVELOPE_DSN)) continue;
		if (!found || id > spool_message(&w->spool->index, found)->id) found = at;
	}
	return found ? w->spool->messages[found] : NULL;
}

static inline slot world_accept_one(struct world *w, const char *from, const char *to,
	uint8_t notify, uint32_t flags, struct str body)
{
	struct recipient recipient = {.address = str_from_c(to), .notify = notify};
	struct envelope e = {.reverse_path = str_from_c(from),
		.recipients = &recipient,
		.recipient_count = 1,
		.flags = flags,
		.size = body.len,
		.created = w->wall};
	return world_accept_envelope(w, &e, body);
}

/* ---- time ---- */

/* Let time pass as the loop does: the queue is run whenever it asks for it.  */
static inline void world_pass(struct world *w, msec span)
{
	msec end = w->now + span;
	for (uint32_t i = 0;; i++) {
		ASSERT(i < 10000000);
		fake_spool_sync(w->spool);
		msec next = queue_next(w->q);
		if (next > end) break;
		if (next > w->now) w->wall += next - w->now, w->now = next;
		w->spool->wall = w->wall;
		queue_run(w->q, w->now, w->wall);
	}
	w->wall += end - w->now, w->now = end;
	w->spool->wall = w->wall;
}

/* Settle what needs no time.  */
static inline void world_settle(struct world *w) { world_pass(w, 0); }

/* ---- the driver ---- */

static inline struct outcome world_answer(enum outcome_class class, uint16_t code, const char *text)
{
	struct outcome o = {.class = class,
		.code = code,
		.text = str_from_c(text),
		.host = STR("mx.next.example[192.0.2.1]:25"),
		.remote = true};
	o.enhanced.class = (uint8_t)(code / 100);
	return o;
}

static inline struct outcome world_ok(void) { return world_answer(OUTCOME_DELIVERED, 250, "ok"); }
static inline struct outcome world_try_again(void)
{
	return world_answer(OUTCOME_DEFERRED, 451, "greylisted");
}
static inline struct outcome world_no(void)
{
	return world_answer(OUTCOME_FAILED, 554, "rejected");
}

/* The same outcome for all of a job.  */
static inline void world_finish(struct world *w, struct queue_job *job, struct outcome o)
{
	struct outcome outcomes[64];
	ASSERT(job->count <= ARRAY_LEN(outcomes));
	for (uint32_t i = 0; i < job->count; i++) outcomes[i] = o;
	queue_finish(w->q, job, outcomes, w->now, w->wall);
}

static inline struct queue_job *world_take(struct world *w, struct destination *d)
{
	return queue_take(w->q, d, 100, w->now);
}

static inline struct destination *world_destination(struct world *w, const char *key)
{
	struct map_node *node = map_find(&w->q->keys, str_from_c(key));
	return node ? CONTAINER_OF(node, struct destination, node) : NULL;
}

/* Take all that is ready at the destination and finish it so.  Returns jobs.  */
static inline uint32_t world_serve(struct world *w, const char *key, struct outcome o)
{
	struct destination *d = world_destination(w, key);
	uint32_t jobs = 0;
	if (!d) return 0;
	for (struct queue_job *job; (job = world_take(w, d));) {
		world_finish(w, job, o);
		ASSERT(++jobs < 2000000);
	}
	world_settle(w);
	return jobs;
}

static inline struct queue_stats world_stats(struct world *w)
{
	struct queue_stats s;
	queue_stats(w->q, &s);
	return s;
}

#endif
