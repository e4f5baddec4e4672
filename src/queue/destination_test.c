#include "queue/test.h"

static struct outcome refused(void)
{
	struct outcome o = outcome_local(OUTCOME_DEFERRED, "4.4.1", STR("connection refused"));
	o.host = STR("mx.b.example[192.0.2.9]:25");
	return o;
}

/* A connection that cannot be made.  */
static void fail_to_connect(struct world *w, struct destination *d)
{
	struct outcome why = refused();
	queue_unreachable(w->q, d, &why, w->now, w->wall);
	queue_closed(w->q, d, w->now);
	queue_check(w->q);
}

static void mail_waits_for_its_destination_and_nothing_is_written(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	slot m = 0;
	for (int i = 0; i < 100; i++) m = world_accept(&w, "alice@a.example", "bob@b.example");
	struct destination *d = w.ready_last;
	queue_opened(w.q, d);
	fail_to_connect(&w, d);
	assert_null(world_take(&w, d));
	assert_false(queue_wants(d, w.now));
	assert_int_equal(w.spool->outcomes, 0);
	struct queue_view v;
	queue_view(w.q, world_first(&w, m), &w.arena, w.now, w.wall, &v);
	assert_str(v.reason,
		"destination unreachable: mx.b.example[192.0.2.9]:25: connection refused");
	assert_int_equal(v.attempts, 0);
	assert_in_range(v.next_attempt - w.wall, 54000, 66000);

	uint32_t ready = w.ready;
	world_accept(&w, "alice@a.example", "bob@b.example");
	world_pass(&w, 53000);
	assert_int_equal(w.ready, ready);
	world_pass(&w, 13000);
	assert_true(w.ready > ready);
	assert_true(queue_wants(d, w.now));
	queue_opened(w.q, d);
	assert_false(queue_wants(d, w.now)); /* a probe is one connection */
	fail_to_connect(&w, d);
	queue_view(w.q, world_first(&w, m), &w.arena, w.now, w.wall, &v);
	assert_in_range(v.next_attempt - w.wall, MINUTES(5) * 9 / 10, MINUTES(5) * 11 / 10);
	assert_int_equal(w.spool->outcomes, 0);

	world_pass(&w, MINUTES(6));
	queue_opened(w.q, d);
	struct queue_job *job = world_take(&w, d);
	assert_non_null(job);
	queue_served(w.q, d, w.now);
	assert_true(world_has_logged(&w, "event=reachable"));
	/* It opens, for all that waits.  */
	uint32_t opened = 1;
	while (queue_wants(d, w.now)) queue_opened(w.q, d), opened++;
	assert_int_equal(opened, WINDOW_START);
	world_finish(&w, job, world_ok());
	world_serve(&w, "b.example", world_ok());
	assert_int_equal(world_stats(&w).delivered, 101);
	while (opened--) queue_closed(w.q, d, w.now);
	world_release(&w);
}

static void one_failure_among_many_connections_only_narrows(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	for (int i = 0; i < 1000; i++) world_accept(&w, "alice@a.example", "bob@b.example");
	struct destination *d = w.ready_last;
	struct queue_job *jobs[20];
	for (int i = 0; i < 20; i++) {
		assert_true(queue_wants(d, w.now));
		queue_opened(w.q, d);
		queue_served(w.q, d, w.now);
		jobs[i] = world_take(&w, d);
		assert_non_null(jobs[i]);
	}
	assert_false(queue_wants(d, w.now));
	fail_to_connect(&w, d);
	assert_int_equal(d->window.size, 10);
	assert_int_equal(d->until, 0);
	assert_false(queue_wants(d, w.now));
	world_finish(&w, jobs[0], world_ok());
	assert_non_null(jobs[0] = world_take(&w, d)); /* the others go on */
	/* All the others fail too, one after the other: then it is the destination.  */
	for (int i = 1; i < 20; i++) {
		world_finish(&w, jobs[i], (struct outcome){.class = OUTCOME_NONE});
		fail_to_connect(&w, d);
	}
	assert_true(d->until > w.now);
	assert_null(world_take(&w, d));
	world_finish(&w, jobs[0], world_ok());
	queue_check(w.q);
	world_release(&w);
}

static void a_rate_is_kept(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	w.relay.rate = (struct route_rate){600, MINUTES(1)}; /* ten a second */
	queue_configure(w.q, &w.options, &w.table, w.now, w.wall);
	for (int i = 0; i < 1000; i++) world_accept(&w, "alice@a.example", "bob@x.relayed.example");
	const char *key = "smtp:next.example:25";
	struct destination *d = world_destination(&w, key);
	uint32_t opened = 0, done = world_serve(&w, key, world_ok());
	assert_int_equal(done, 10);
	assert_false(queue_wants(d, w.now));
	msec began = w.now;
	for (int i = 0; i < 300; i++) {
		uint32_t ready = w.ready;
		world_pass(&w, 100);
		assert_true(w.ready > ready); /* told when it may go again */
		while (queue_wants(d, w.now)) queue_opened(w.q, d), opened++;
		assert_true(opened <= 1);
		done += world_serve(&w, key, world_ok());
		assert_int_equal(done, 10 + (w.now - began) / 100);
	}
	while (opened--) queue_closed(w.q, d, w.now);
	world_release(&w);
}

static void a_backoff_outlives_its_mail(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	w.options.retry[0] = MINUTES(30);
	slot m = world_accept(&w, "alice@a.example", "bob@b.example");
	struct destination *d = w.ready_last;
	queue_opened(w.q, d);
	fail_to_connect(&w, d);
	assert_true(queue_act(w.q, world_first(&w, m), QUEUE_DELETE, w.now, w.wall));
	world_pass(&w, MINUTES(20));
	w.ready = 0;
	world_accept(&w, "alice@a.example", "bob@b.example");
	assert_int_equal(w.ready, 0);
	world_pass(&w, MINUTES(13));
	assert_int_equal(w.ready, 1);
	world_release(&w);
}

static void a_rate_outlives_its_mail(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	w.star.rate = (struct route_rate){1, HOURS(1)};
	world_accept(&w, "alice@a.example", "bob@b.example");
	assert_int_equal(world_serve(&w, "b.example", world_ok()), 1);
	world_pass(&w, MINUTES(50));
	world_accept(&w, "alice@a.example", "bob@b.example");
	assert_int_equal(world_serve(&w, "b.example", world_ok()), 0);
	world_pass(&w, MINUTES(10));
	assert_int_equal(world_serve(&w, "b.example", world_ok()), 1);
	world_pass(&w, HOURS(2));
	assert_int_equal(w.gone, 1);
	world_release(&w);
}

/* ---- the breaker ---- */

static void refuse(struct world *w, struct destination *d, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct queue_job *job = world_take(w, d);
		assert_non_null(job);
		world_finish(w, job, world_no());
	}
	world_settle(w);
}

static void a_next_hop_that_refuses_everything_is_paused(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	slot m = 0;
	for (int i = 0; i < 500; i++) m = world_accept(&w, "alice@a.example", "bob@b.example");
	struct destination *d = w.ready_last;
	refuse(&w, d, 20);
	assert_int_equal(world_stats(&w).failed, 19);
	assert_int_equal(world_stats(&w).bounces, 19);
	assert_int_equal(world_stats(&w).deferrals, 1);
	assert_true(world_has_logged(&w, "level=warn event=paused destination=b.example"));
	assert_null(world_take(&w, d));
	struct queue_view v;
	queue_view(w.q, world_first(&w, m), &w.arena, w.now, w.wall, &v);
	assert_str(v.reason,
		"destination paused, it refuses everything: "
		"mx.next.example[192.0.2.1]:25 said: 554 5.0.0 rejected");
	assert_int_equal(v.next_attempt, w.wall + MINUTES(15));

	/* One message is the probe; refused, it waits like the others, for twice as long.  */
	world_pass(&w, MINUTES(15));
	struct queue_job *job = world_take(&w, d);
	assert_non_null(job);
	assert_null(world_take(&w, d));
	world_finish(&w, job, world_no());
	assert_null(world_take(&w, d));
	world_pass(&w, MINUTES(29));
	assert_null(world_take(&w, d));
	assert_int_equal(world_stats(&w).failed, 19);
	world_pass(&w, MINUTES(1));
	job = world_take(&w, d);
	assert_non_null(job);
	world_finish(&w, job, world_ok());
	assert_true(world_has_logged(&w, "event=resumed"));
	assert_int_equal(world_serve(&w, "b.example", world_ok()), 480);
	world_release(&w);
}

static void deferrals_while_paused_do_not_bring_it_back_sooner(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	for (int i = 0; i < 50; i++) world_accept(&w, "alice@a.example", "bob@b.example");
	struct destination *d = w.ready_last;
	refuse(&w, d, 20);
	world_pass(&w, MINUTES(15));
	world_finish(&w, world_take(&w, d), world_try_again());
	assert_null(world_take(&w, d));
	world_pass(&w, MINUTES(15));
	assert_non_null(world_take(&w, d));
	queue_check(w.q);
	world_release(&w);
}

static void the_operators_retry_ends_a_pause(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	slot m = 0;
	for (int i = 0; i < 50; i++) m = world_accept(&w, "alice@a.example", "bob@b.example");
	struct destination *d = w.ready_last;
	refuse(&w, d, 20);
	w.ready = 0;
	assert_true(queue_act(w.q, world_first(&w, m), QUEUE_RETRY, w.now, w.wall));
	assert_int_equal(w.ready, 1);
	refuse(&w, d, 10);
	assert_int_equal(world_stats(&w).failed, 29);
	world_release(&w);
}

static void a_delivery_between_keeps_the_breaker_shut(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	for (int i = 0; i < 100; i++) world_accept(&w, "alice@a.example", "bob@b.example");
	struct destination *d = w.ready_last;
	for (int i = 0; i < 5; i++) {
		refuse(&w, d, 19);
		world_finish(&w, world_take(&w, d), world_ok());
	}
	world_settle(&w);
	assert_int_equal(world_stats(&w).failed, 95);
	world_release(&w);
}

/* ---- what cannot be ---- */

static void impossible_fails_what_is_there_and_not_what_comes(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	enum { COUNT = 1000 };
	for (int i = 0; i < COUNT; i++)
		world_accept(&w, i % 2 ? "alice@a.example" : "carl@a.example", "bob@b.example");
	struct destination *d = w.ready_last;
	struct outcome why = outcome_local(OUTCOME_FAILED, "5.1.2", STR("no such domain"));
	w.wall += 1000;
	w.spool->wall = w.wall;
	queue_impossible(w.q, d, &why, w.now, w.wall);
	assert_null(world_take(&w, d));
	assert_int_equal(world_stats(&w).failed, 0);
	queue_run(w.q, w.now, w.wall);
	queue_check(w.q);
	assert_in_range(world_stats(&w).active, 1, QUEUE_RUN_SETTLED); /* in slices */
	w.wall += 1000;
	w.spool->wall = w.wall;
	slot fresh = world_accept(&w, "alice@a.example", "dora@b.example");
	world_settle(&w);
	world_pass(&w, 10000);
	assert_int_equal(world_stats(&w).failed, COUNT);
	assert_int_equal(world_stats(&w).bounces, COUNT);
	struct queue_job *job = world_take(&w, d);
	assert_non_null(job);
	assert_int_equal(job->message, fresh);
	world_finish(&w, job, world_ok());
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mail_waits_for_its_destination_and_nothing_is_written),
		cmocka_unit_test(one_failure_among_many_connections_only_narrows),
		cmocka_unit_test(a_rate_is_kept),
		cmocka_unit_test(a_backoff_outlives_its_mail),
		cmocka_unit_test(a_rate_outlives_its_mail),
		cmocka_unit_test(a_next_hop_that_refuses_everything_is_paused),
		cmocka_unit_test(deferrals_while_paused_do_not_bring_it_back_sooner),
		cmocka_unit_test(the_operators_retry_ends_a_pause),
		cmocka_unit_test(a_delivery_between_keeps_the_breaker_shut),
		cmocka_unit_test(impossible_fails_what_is_there_and_not_what_comes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
