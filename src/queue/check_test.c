#include "queue/test.h"

/* Anything at any time, as drivers, operators, senders and time may do it; the invariant is
 * checked throughout, and at the end, when all goes well again, nothing is left.  */

enum { JOBS_MAX = 40, DOMAINS = 6 };

static const char *const domains[DOMAINS] = {"b.example", "c.example", "x.relayed.example",
	"y.relayed.example", "local.example", "a.example"};

struct chaos {
	struct world w;
	struct rng rng;
	struct queue_job *jobs[JOBS_MAX];
	uint32_t job_count;
};

static uint32_t pick(struct chaos *c, uint32_t n) { return (uint32_t)rng_below(&c->rng, n); }

static void accept(struct chaos *c)
{
	struct recipient to[4];
	char text[4][64], from[64];
	uint32_t count = 1 + pick(c, 4);
	for (uint32_t i = 0; i < count; i++) {
		snprintf(text[i], sizeof(text[i]), "user%u@%s", pick(c, 5),
			domains[pick(c, DOMAINS)]);
		static const uint8_t notify[] = {
			0, 0, NOTIFY_NEVER, NOTIFY_SUCCESS | NOTIFY_FAILURE, NOTIFY_DELAY};
		to[i] = (struct recipient){
			.address = str_from_c(text[i]), .notify = notify[pick(c, 5)]};
	}
	snprintf(from, sizeof(from), "%c%c@a.example", 'a' + pick(c, 26), 'a' + pick(c, 4));
	struct envelope e = {.reverse_path = pick(c, 8) ? str_from_c(from) : STR_NONE,
		.recipients = to,
		.recipient_count = count,
		.created = c->w.wall,
		.hold_until = pick(c, 10) ? 0 : c->w.wall + (msec)pick(c, HOURS(20))};
	world_accept_envelope(&c->w, &e, WORLD_BODY);
}

static struct destination *any_destination(struct chaos *c)
{
	uint32_t n = c->w.q->stats.destinations;
	if (n == 0) return NULL;
	struct list *node = c->w.q->destinations.next;
	for (uint32_t i = pick(c, n); i > 0; i--) node = node->next;
	return CONTAINER_OF(node, struct destination, link);
}

static void take(struct chaos *c, struct destination *d)
{
	if (c->job_count == JOBS_MAX) return;
	if (queue_wants(d, c->w.now)) queue_opened(c->w.q, d);
	struct queue_job *job = queue_take(c->w.q, d, 1 + pick(c, 3), c->w.now);
	if (job) c->jobs[c->job_count++] = job;
}

static void finish(struct chaos *c, bool well)
{
	if (c->job_count == 0) return;
	uint32_t at = pick(c, c->job_count);
	struct queue_job *job = c->jobs[at];
	c->jobs[at] = c->jobs[--c->job_count];
	struct outcome outcomes[4];
	for (uint32_t i = 0; i < job->count; i++) {
		switch (well ? 0 : pick(c, 5)) {
		case 1: outcomes[i] = world_try_again(); break;
		case 2: outcomes[i] = world_no(); break;
		case 3: outcomes[i] = (struct outcome){.class = OUTCOME_NONE}; break;
		default: outcomes[i] = world_ok();
		}
	}
	struct destination *d = job->destination;
	queue_finish(c->w.q, job, outcomes, c->w.now, c->w.wall);
	if (pick(c, 3) == 0) queue_served(c->w.q, d, c->w.now);
}

static void disturb(struct chaos *c, struct destination *d)
{
	struct outcome why = outcome_local(OUTCOME_DEFERRED, "4.4.1", STR("timed out"));
	struct outcome never = outcome_local(OUTCOME_FAILED, "5.1.2", STR("no such domain"));
	if (pick(c, 10) == 0)
		queue_impossible(c->w.q, d, &never, c->w.now, c->w.wall);
	else
		queue_unreachable(c->w.q, d, &why, c->w.now, c->w.wall);
	if (d->connections) queue_closed(c->w.q, d, c->w.now);
}

static void operate(struct chaos *c)
{
	slot end = spool_recipient_end(&c->w.spool->index);
	uint32_t what = pick(c, 12);
	queue_act(c->w.q, pick(c, end + 1), what < 4 ? (enum queue_act)what : QUEUE_RETRY, c->w.now,
		c->w.wall);
}

static void step(struct chaos *c)
{
	struct destination *d = any_destination(c);
	switch (pick(c, 20)) {
	case 0:
	case 1:
	case 2:
	case 3: accept(c); break;
	case 4:
	case 5:
	case 6:
	case 7:
		if (d) take(c, d);
		break;
	case 8:
	case 9:
	case 10:
	case 11: finish(c, false); break;
	case 12:
		if (d) disturb(c, d);
		break;
	case 13: operate(c); break;
	case 14:
	case 15: world_pass(&c->w, (msec)pick(c, 30000)); break;
	case 16:
		world_pass(
			&c->w, pick(c, 20) ? (msec)pick(c, MINUTES(30)) : (msec)pick(c, DAYS(3)));
		break;
	case 17: c->w.spool->refuse = pick(c, 5) ? 0 : -ENOSPC; break;
	case 18: c->w.spool->fail = pick(c, 5) ? 0 : -EIO; break;
	default:
		if (d && d->connections) queue_closed(c->w.q, d, c->w.now);
	}
}

static void drain(struct chaos *c)
{
	struct world *w = &c->w;
	w->spool->refuse = w->spool->fail = 0;
	for (slot at = 1; at < spool_recipient_end(&w->spool->index); at++)
		queue_act(w->q, at, QUEUE_RELEASE, w->now, w->wall);
	for (int round = 0; world_stats(w).messages > 0; round++) {
		assert_true(round < 1000);
		while (c->job_count) finish(c, true);
		for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
			world_serve(w, domains[i], world_ok());
			world_serve(w, "smtp:next.example:25", world_ok());
			world_serve(w, "local:local.example", world_ok());
		}
		world_pass(w, HOURS(1));
	}
}

static void whatever_happens_nothing_is_lost(void **state)
{
	(void)state;
	struct queue_stats all = {0};
	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct chaos c = {0};
		world_init(&c.w);
		rng_init(&c.rng, seed);
		c.w.log.level = LOG_ERROR;
		c.w.options.return_breaker = 5;
		c.w.star.rate = (struct route_rate){30, MINUTES(1)};
		queue_configure(c.w.q, &c.w.options, &c.w.table, c.w.now, c.w.wall);
		for (int i = 0; i < 3000; i++) {
			step(&c);
			if (i % 10 == 0) queue_check(c.w.q);
			if (i % 1000 == 999)
				queue_configure(c.w.q, &c.w.options, &c.w.table, c.w.now, c.w.wall);
		}
		drain(&c);
		queue_check(c.w.q);
		struct queue_stats s = world_stats(&c.w);
		assert_int_equal(s.accepted, s.delivered + s.failed + s.expired + s.deleted);
		assert_int_equal(c.w.q->domains.len, 0);
		all.delivered += s.delivered, all.failed += s.failed, all.expired += s.expired;
		all.deleted += s.deleted, all.deferrals += s.deferrals, all.bounces += s.bounces;
		world_release(&c.w);
	}
	/* It was chaos indeed.  */
	assert_true(
		all.delivered > 100 && all.failed > 100 && all.expired > 100 && all.deleted > 10);
	assert_true(all.deferrals > 100 && all.bounces > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(whatever_happens_nothing_is_lost)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
