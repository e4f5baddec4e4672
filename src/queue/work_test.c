#include "queue/test.h"

/* Processor time, with a margin that noise does not pass and a walk over 50,000 messages does
 * by far.  */
enum { MARGIN = 10 };

static double seconds_of(struct world *w, int count)
{
	struct timespec began, ended;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
	for (int i = 0; i < count; i++) {
		world_accept(w, "alice@a.example", "bob@fast.example");
		struct queue_job *job = world_take(w, world_destination(w, "fast.example"));
		assert_non_null(job);
		world_finish(w, job, world_ok());
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
	return (double)(ended.tv_sec - began.tv_sec) +
		(double)(ended.tv_nsec - began.tv_nsec) / 1e9;
}

static void a_dead_destination_costs_the_others_nothing(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	w.log.level = LOG_WARN;
	enum { DEAD = 50000, FAST = 20000 };
	double alone = seconds_of(&w, FAST);
	char from[64];
	for (int i = 0; i < DEAD; i++) {
		snprintf(from, sizeof(from), "%c%c@a.example", 'a' + i % 26, 'a' + i / 26 % 26);
		world_accept(&w, from, "bob@dead.example");
	}
	struct destination *dead = world_destination(&w, "dead.example");
	while (queue_wants(dead, w.now)) queue_opened(w.q, dead);
	assert_int_equal(dead->connections, 5); /* blackholed: never answered */
	double beside = seconds_of(&w, FAST);
	struct outcome why = outcome_local(OUTCOME_DEFERRED, "4.4.1", STR("timed out"));
	while (dead->connections) {
		queue_unreachable(w.q, dead, &why, w.now, w.wall);
		queue_closed(w.q, dead, w.now);
	}
	uint32_t outcomes = w.spool->outcomes;
	double after = seconds_of(&w, FAST);
	assert_int_equal(
		w.spool->outcomes, outcomes + FAST); /* nothing is written for those that wait */
	print_message("%.2f us alone, %.2f beside a blackhole, %.2f beside one in backoff\n",
		alone / FAST * 1e6, beside / FAST * 1e6, after / FAST * 1e6);
	assert_true(beside < MARGIN * alone && after < MARGIN * alone);
	assert_int_equal(world_stats(&w).ready, DEAD);
	world_release(&w);
}

static void deleting_wins_over_an_attempt_in_flight(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	const char *to[] = {"a@b.example", "b@b.example", "c@b.example"};
	slot m = world_accept_many(&w, "alice@a.example", to, 3);
	struct queue_job *job = world_take(&w, w.ready_last);
	assert_int_equal(job->count, 3);
	slot second = job->recipients[1];
	assert_true(queue_act(w.q, second, QUEUE_DELETE, w.now, w.wall));
	assert_int_equal(job->recipients[1], 0);
	assert_int_equal(w.spool->ended[OUTCOME_DELETED], 1);
	assert_false(queue_act(w.q, second, QUEUE_DELETE, w.now, w.wall));
	queue_check(w.q);
	struct outcome outcomes[] = {world_try_again(), world_no(), world_ok()};
	queue_finish(w.q, job, outcomes, w.now, w.wall);
	world_settle(&w);
	assert_int_equal(world_stats(&w).delivered, 1);
	assert_int_equal(world_stats(&w).failed, 0);
	assert_int_equal(world_stats(&w).bounces, 0);
	assert_int_equal(world_stats(&w).deferred, 1);
	assert_int_equal(spool_message(&w.spool->index, m)->open, 1);
	world_release(&w);
}

/* The message's slots are somebody else's before the attempt comes back.  */
static void deleting_all_in_flight_ends_the_message(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	slot m = world_accept(&w, "alice@a.example", "bob@b.example");
	struct queue_job *job = world_take(&w, w.ready_last);
	assert_true(queue_act(w.q, world_first(&w, m), QUEUE_DELETE, w.now, w.wall));
	assert_int_equal(world_stats(&w).messages, 0);
	slot other = world_accept(&w, "carl@a.example", "dora@b.example");
	assert_int_equal(other, m);
	world_finish(&w, job, world_ok());
	assert_true(world_has_logged(&w, "deleted=\"too late\""));
	assert_int_equal(world_stats(&w).delivered, 0);
	assert_int_equal(world_stats(&w).deleted, 1);
	assert_int_equal(world_serve(&w, "b.example", world_ok()), 1);
	world_release(&w);
}

/* A driver that answers from within `ready` and gives back what it took must not keep the
 * queue for ever.  */
static void take_and_give_back(void *context, struct destination *d)
{
	struct world *w = context;
	struct queue_job *job = queue_take(w->q, d, 1, w->now);
	w->ready++;
	if (job) world_finish(w, job, (struct outcome){.class = OUTCOME_NONE});
}

static void a_driver_that_gives_back_at_once_does_not_hang(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	w.q->drivers.ready = take_and_give_back;
	world_accept(&w, "alice@a.example", "bob@b.example");
	assert_int_equal(w.ready, 1);
	assert_int_equal(queue_next(w.q), w.now);
	assert_int_equal(queue_run(w.q, w.now, w.wall), w.now);
	assert_int_equal(w.ready, 2);
	queue_check(w.q);
	world_release(&w);
}

/* The driver's envelope is used; without it the queue reads the message itself.  */
static void the_envelope_is_the_drivers_or_read(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	slot m = world_accept(&w, "alice@a.example", "bob@b.example");
	world_accept(&w, "alice@a.example", "bob@b.example");
	struct queue_job *job = world_take(&w, w.ready_last);
	struct envelope e;
	assert_true(envelope_copy(&w.spool->messages[m]->envelope, &w.arena, &e));
	job->envelope = &e;
	world_finish(&w, job, world_ok());
	assert_int_equal(w.spool->reads, 0);
	world_finish(&w, world_take(&w, w.ready_last), world_ok());
	assert_int_equal(w.spool->reads, 1);
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dead_destination_costs_the_others_nothing),
		cmocka_unit_test(deleting_wins_over_an_attempt_in_flight),
		cmocka_unit_test(deleting_all_in_flight_ends_the_message),
		cmocka_unit_test(a_driver_that_gives_back_at_once_does_not_hang),
		cmocka_unit_test(the_envelope_is_the_drivers_or_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
