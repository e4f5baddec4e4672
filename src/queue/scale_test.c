#include "queue/test.h"

#include <malloc.h>

enum { MILLION = 1000000 };

static double cpu(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Under a sanitizer nobody knows: 0.  */
static size_t memory(void)
{
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

/* Masses share one envelope and body: what is measured is index and queue.  */
static struct fake_message *mass(struct world *w)
{
	static struct recipient to = {.address = STR("bob@dead.example")};
	struct envelope e = {.reverse_path = STR("alice@a.example"),
		.recipients = &to,
		.recipient_count = 1,
		.created = w->wall};
	struct fake_message *m = fake_message_new(&e, WORLD_BODY);
	m->shared = true;
	return m;
}

static void unshare(struct world *w, struct fake_message *m)
{
	memset(w->spool->messages, 0, FAKE_MESSAGES * sizeof(*w->spool->messages));
	m->shared = false;
	fake_message_free(m);
}

static void accept_mass(struct world *w, struct fake_message *m, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		queue_accepted(
			w->q, fake_store(w->spool, m, i % 1000), &m->envelope, w->now, w->wall);
}

/* Share of a core that passing time takes.  */
static double load_of(struct world *w, msec span)
{
	double began = cpu();
	world_pass(w, span);
	return (cpu() - began) / ((double)span / 1000);
}

static void a_million_for_a_dead_destination(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	struct fake_message *m = mass(&w);
	size_t before = memory();
	double began = cpu();
	accept_mass(&w, m, MILLION);
	double accepting = cpu() - began;
	struct destination *d = world_destination(&w, "dead.example");
	queue_opened(w.q, d);
	struct outcome why = outcome_local(OUTCOME_DEFERRED, "4.4.1", STR("timed out"));
	queue_unreachable(w.q, d, &why, w.now, w.wall);
	queue_closed(w.q, d, w.now);
	size_t taken = memory() - before;
	double load = load_of(&w, MINUTES(10));
	print_message("%.1f MB, %.2f us each to accept, %.4f %% of a core idle\n",
		(double)taken / 1e6, accepting, load * 100);
	if (before) assert_in_range(taken, MILLION * 60, 100000000);
	assert_true(load < 0.01);
	assert_int_equal(world_stats(&w).ready, MILLION);
	assert_int_equal(w.spool->outcomes, 0);
	queue_check(w.q);

	began = cpu();
	queue_configure(w.q, &w.options, &w.table, w.now, w.wall);
	assert_true(cpu() - began < 0.1);
	queue_served(w.q, d, w.now);
	w.log.level = LOG_WARN;
	began = cpu();
	struct envelope e = m->envelope;
	uint32_t served = 0;
	for (struct queue_job *job; (job = world_take(&w, d)); served++) {
		job->envelope = &e;
		struct outcome ok = world_ok();
		queue_finish(w.q, job, &ok, w.now, w.wall);
	}
	assert_int_equal(served, MILLION);
	print_message("%.2f us each to take and finish\n", cpu() - began);
	assert_int_equal(world_stats(&w).messages, 0);
	unshare(&w, m);
	world_release(&w);
}

static void a_million_deferred(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	w.log.level = LOG_WARN;
	w.options.retry[0] = HOURS(1);
	struct fake_message *m = mass(&w);
	size_t before = memory();
	accept_mass(&w, m, MILLION);
	struct destination *d = world_destination(&w, "dead.example");
	struct envelope e = m->envelope;
	for (struct queue_job *job; (job = world_take(&w, d));) {
		job->envelope = &e;
		struct outcome again = world_try_again();
		queue_finish(w.q, job, &again, w.now, w.wall);
	}
	if (before) assert_in_range(memory() - before, MILLION * 60, 100000000);
	assert_int_equal(world_stats(&w).deferred, MILLION);
	double idle = load_of(&w, MINUTES(10));
	assert_true(idle < 0.01);
	/* They come back within the twelve minutes of the jitter, and no run takes long.  */
	world_pass(&w, MINUTES(44));
	double longest = 0, began = cpu(), total = began;
	for (int second = 0; second < 12 * 60; second++) {
		w.now += 1000, w.wall += 1000;
		do {
			double run = cpu();
			queue_run(w.q, w.now, w.wall);
			if (cpu() - run > longest) longest = cpu() - run;
		} while (queue_next(w.q) <= w.now);
	}
	total = cpu() - total;
	print_message("%.4f %% of a core idle; waking all took %.2f s, the longest run %.1f ms\n",
		idle * 100, total, longest * 1e3);
	assert_int_equal(world_stats(&w).ready, MILLION);
	assert_true(longest < 0.05);
	unshare(&w, m);
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_million_for_a_dead_destination),
		cmocka_unit_test(a_million_deferred),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
