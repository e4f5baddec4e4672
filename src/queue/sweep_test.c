#include "queue/test.h"

static slot accept_notify(
	struct world *w, const char *from, const char *to, uint8_t notify, msec hold_until)
{
	struct recipient recipient = {.address = str_from_c(to), .notify = notify};
	struct envelope e = {.reverse_path = str_from_c(from),
		.recipients = &recipient,
		.recipient_count = 1,
		.created = w->wall,
		.hold_until = hold_until};
	return world_accept_envelope(w, &e, WORLD_BODY);
}

/* One message in each state there is: after its lifetime, and a minute for the sweep, all but
 * the held has ended.  */
static void every_state_expires_but_held(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	w.options.delay_notice = 0;
	world_accept(&w, "alice@a.example", "bob@deferred.example");
	world_serve(&w, "deferred.example", world_try_again());

	world_accept(&w, "alice@a.example", "bob@unreachable.example");
	struct destination *d = w.ready_last;
	queue_opened(w.q, d);
	struct outcome why = outcome_local(OUTCOME_DEFERRED, "4.4.1", STR("connection refused"));
	queue_unreachable(w.q, d, &why, w.now, w.wall);
	queue_closed(w.q, d, w.now);

	world_accept(
		&w, "alice@a.example", "bob@ignored.example"); /* ready, and no driver takes it */

	slot held = world_accept(&w, "alice@a.example", "bob@held.example");
	assert_true(queue_act(w.q, world_first(&w, held), QUEUE_HOLD, w.now, w.wall));

	slot active = world_accept(&w, "alice@a.example", "bob@active.example");
	struct queue_job *job = world_take(&w, w.ready_last);

	slot untried = world_accept(&w, "alice@a.example", "bob@untried.example");
	struct queue_job *given_back = world_take(&w, w.ready_last);

	slot recovered = fake_store(
		w.spool, fake_message_new(&w.spool->messages[held]->envelope, WORLD_BODY), 1);
	world_recipient(&w, recovered)->state = RECIPIENT_DUE;
	queue_recovered(w.q, world_first(&w, recovered), STR("recovered.example"));

	world_pass(&w, DAYS(5) - SECONDS(1));
	assert_int_equal(world_stats(&w).expired, 0);
	world_pass(&w, SECONDS(62));
	queue_check(w.q);
	assert_int_equal(world_stats(&w).expired, 4);
	assert_int_equal(world_stats(&w).bounces, 4);
	assert_true(world_has_logged(&w, "event=expired"));
	assert_true(world_has_logged(
		&w, "not delivered within 5d; the last reason was: connection refused"));
	assert_true(
		world_has_logged(&w, "not delivered within 5d; the last reason was: greylisted"));
	/* What is under way ends when it comes back.  */
	assert_int_equal(world_recipient(&w, active)->state, RECIPIENT_ACTIVE);
	world_finish(&w, job, world_try_again());
	world_settle(&w);
	assert_int_equal(world_stats(&w).expired, 5);
	world_finish(&w, given_back, (struct outcome){.class = OUTCOME_NONE});
	assert_int_equal(world_recipient(&w, untried)->state, RECIPIENT_DUE);
	world_pass(&w, SECONDS(61));
	assert_int_equal(world_stats(&w).expired, 6);
	/* Held is held; released, it is too old.  */
	assert_int_equal(world_recipient(&w, held)->state, RECIPIENT_HELD);
	assert_true(queue_act(w.q, world_first(&w, held), QUEUE_RELEASE, w.now, w.wall));
	world_pass(&w, SECONDS(61));
	assert_int_equal(world_stats(&w).expired, 7);
	world_release(&w);
}

static void an_hour_held_by_the_sender_is_not_age(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	w.options.delay_notice = 0;
	w.options.retry[2] = HOURS(20);
	slot m = accept_notify(&w, "alice@a.example", "bob@b.example", 0, w.wall + DAYS(7));
	world_pass(&w, DAYS(7) + 2000);
	assert_int_equal(world_serve(&w, "b.example", world_try_again()), 1);
	world_pass(&w, DAYS(4));
	assert_int_equal(world_stats(&w).expired, 0);
	assert_int_equal(world_serve(&w, "b.example", world_try_again()), 1);
	assert_int_not_equal(spool_message(&w.spool->index, m)->id, 0);
	world_pass(&w, DAYS(1) + SECONDS(61));
	assert_int_equal(world_stats(&w).expired, 1);
	world_release(&w);
}

static void a_delivery_that_comes_late_counts(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	w.options.delay_notice = 0;
	world_accept(&w, "alice@a.example", "bob@b.example");
	struct queue_job *job = world_take(&w, w.ready_last);
	world_pass(&w, DAYS(6));
	world_finish(&w, job, world_ok());
	assert_int_equal(world_stats(&w).delivered, 1);
	world_release(&w);
}

static void the_delay_notice_comes_once(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	slot m = world_accept(&w, "alice@a.example", "bob@b.example");
	world_serve(&w, "b.example", world_try_again());
	world_pass(&w, HOURS(4) - 1000);
	assert_int_equal(world_stats(&w).bounces, 0);
	world_pass(&w, SECONDS(62));
	assert_int_equal(world_stats(&w).bounces, 1);
	assert_int_equal(w.spool->told, 1);
	assert_int_equal(w.spool->history[HISTORY_DELAY_TOLD], 1);
	assert_int_equal(w.spool->history[HISTORY_REPORTED], 1);
	assert_int_equal(w.spool->history[HISTORY_BOUNCED], 0);
	slot dsn = m + 1;
	assert_true(str_contains(w.spool->messages[dsn]->body, STR("Action: delayed")));
	assert_true(str_contains(w.spool->messages[dsn]->body, STR("greylisted")));
	assert_true(str_contains(w.spool->messages[dsn]->body, STR("Will-Retry-Until:")));
	assert_false(str_contains(w.spool->messages[dsn]->body, STR("The body.")));
	assert_int_equal(world_serve(&w, "a.example", world_ok()), 1);
	world_pass(&w, DAYS(2));
	assert_int_equal(world_stats(&w).bounces, 1);
	assert_int_equal(world_recipient(&w, m)->state, RECIPIENT_DUE);
	world_serve(&w, "b.example", world_ok());
	world_release(&w);
}

static void the_delay_notice_is_for_those_who_want_it(void **state)
{
	(void)state;
	static const struct {
		const char *from;
		uint8_t notify;
		bool told;
	} cases[] = {
		{"alice@a.example", 0, true},
		{"alice@a.example", NOTIFY_DELAY, true},
		{"alice@a.example", NOTIFY_FAILURE, false},
		{"alice@a.example", NOTIFY_NEVER, false},
		{"", 0, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world w;
		world_init(&w);
		accept_notify(&w, cases[i].from, "bob@b.example", cases[i].notify, 0);
		world_pass(&w, HOURS(5));
		assert_int_equal(world_stats(&w).bounces, cases[i].told);
		assert_int_equal(w.spool->told, 1); /* it is not looked at again */
		uint32_t reads = w.spool->reads;
		world_pass(&w, HOURS(1));
		assert_int_equal(w.spool->reads, reads);
		world_release(&w);
	}
}

static void a_refused_delay_notice_comes_later(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	world_accept(&w, "alice@a.example", "bob@b.example");
	w.spool->refuse = -ENOSPC;
	world_pass(&w, HOURS(5));
	w.spool->refuse = 0;
	world_pass(&w, SECONDS(70));
	assert_int_equal(world_stats(&w).bounces, 1);
	world_release(&w);
}

/* Thousands expire at once: in slices, and none is forgotten.  */
static void many_expire_in_slices(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	w.options.delay_notice = 0;
	enum { COUNT = 5000 };
	for (int i = 0; i < COUNT; i++) world_accept(&w, "alice@a.example", "bob@b.example");
	w.now += DAYS(5), w.wall += DAYS(5);
	w.spool->wall = w.wall;
	for (int runs = 0; world_stats(&w).expired < COUNT; runs++) {
		uint32_t reads = w.spool->reads;
		queue_run(w.q, w.now, w.wall);
		assert_true(w.spool->reads - reads <= 2 * QUEUE_RUN_SETTLED);
		assert_in_range(world_stats(&w).active, 0, QUEUE_BOUNCES_SWEEP);
		w.now += 10, w.wall += 10;
		fake_spool_sync(w.spool);
		assert_true(runs < COUNT);
	}
	queue_check(w.q);
	assert_int_equal(world_serve(&w, "a.example", world_ok()), COUNT);
	world_release(&w);
}

static void a_damaged_message_that_is_too_old_is_held(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	w.options.delay_notice = 0;
	slot m = world_accept(&w, "alice@a.example", "bob@b.example");
	w.spool->damaged = -EBADMSG;
	world_pass(&w, DAYS(5) + SECONDS(61));
	assert_int_equal(world_recipient(&w, m)->state, RECIPIENT_HELD);
	assert_int_equal(world_stats(&w).expired, 0);
	w.spool->damaged = 0;
	world_release(&w);
}

static void the_oldest_is_known(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	msec first = w.wall;
	world_accept(&w, "alice@a.example", "bob@b.example");
	assert_int_equal(world_stats(&w).oldest, first);
	world_pass(&w, HOURS(1));
	world_accept(&w, "alice@a.example", "bob@c.example");
	assert_int_equal(world_stats(&w).oldest, first);
	world_serve(&w, "b.example", world_ok());
	world_pass(&w, SECONDS(61));
	assert_int_equal(world_stats(&w).oldest, first + HOURS(1));
	world_serve(&w, "c.example", world_ok());
	assert_int_equal(world_stats(&w).oldest, 0);
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_expires_but_held),
		cmocka_unit_test(an_hour_held_by_the_sender_is_not_age),
		cmocka_unit_test(a_delivery_that_comes_late_counts),
		cmocka_unit_test(the_delay_notice_comes_once),
		cmocka_unit_test(the_delay_notice_is_for_those_who_want_it),
		cmocka_unit_test(a_refused_delay_notice_comes_later),
		cmocka_unit_test(many_expire_in_slices),
		cmocka_unit_test(a_damaged_message_that_is_too_old_is_held),
		cmocka_unit_test(the_oldest_is_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
