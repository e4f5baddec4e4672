#include "queue/test.h"

static void a_message_is_ready_at_once_and_delivered(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	slot m = world_accept(&w, "alice@a.example", "bob@B.example");
	assert_int_equal(w.ready, 1);
	struct destination *d = w.ready_last;
	assert_str(destination_key(d), "b.example");
	assert_true(queue_wants(d, w.now));
	queue_opened(w.q, d);
	assert_false(queue_wants(d, w.now)); /* one connection is enough for one message */
	struct queue_job *job = world_take(&w, d);
	assert_non_null(job);
	assert_int_equal(job->message, m);
	assert_int_equal(job->count, 1);
	assert_int_equal(world_recipient(&w, m)->state, RECIPIENT_ACTIVE);
	queue_check(w.q);
	assert_null(world_take(&w, d));
	w.now += 25, w.wall += 25;
	world_finish(&w, job, world_ok());
	queue_served(w.q, d, w.now);
	queue_closed(w.q, d, w.now);
	struct queue_stats s = world_stats(&w);
	assert_int_equal(s.accepted, 1);
	assert_int_equal(s.delivered, 1);
	assert_int_equal(s.messages, 0);
	assert_int_equal(s.recipients, 0);
	assert_int_equal(s.oldest, 0);
	assert_true(world_has_logged(
		&w, " to=bob@B.example host=mx.next.example[192.0.2.1]:25 code=250"));
	assert_true(world_has_logged(&w, "attempts=1 ms=25"));
	assert_int_equal(w.spool->history[HISTORY_ATTEMPT], 1);
	assert_int_equal(w.spool->history[HISTORY_DONE], 1);
	assert_int_equal(w.spool->commits_done, 0);
	world_release(&w);
}

static void recipients_at_one_next_hop_go_together(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	const char *to[] = {"a@x.relayed.example", "b@other.example", "c@y.relayed.example",
		"d@x.relayed.example", "e@other.example"};
	slot m = world_accept_many(&w, "alice@a.example", to, 5);
	struct destination *relay = world_destination(&w, "smtp:next.example:25");
	struct destination *other = world_destination(&w, "other.example");
	struct queue_job *job = queue_take(w.q, relay, 2, w.now);
	assert_int_equal(job->count, 2);
	assert_int_equal(job->indices[0], 0);
	assert_int_equal(job->indices[1], 2);
	struct queue_job *rest = world_take(&w, relay), *others = world_take(&w, other);
	assert_int_equal(rest->count, 1);
	assert_int_equal(rest->indices[0], 3);
	assert_int_equal(others->count, 2);
	assert_int_equal(others->message, m);
	assert_int_equal(others->indices[1], 4);
	queue_check(w.q);
	world_finish(&w, rest, world_ok());
	world_finish(&w, others, world_ok());
	assert_int_equal(world_stats(&w).messages, 1);
	world_finish(&w, job, world_ok());
	assert_int_equal(world_stats(&w).messages, 0);
	world_release(&w);
}

static void a_deferral_waits_with_its_reason_and_comes_again(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	slot m = world_accept(&w, "alice@a.example", "bob@b.example");
	world_serve(&w, "b.example", world_try_again());
	struct queue_view v;
	queue_view(w.q, world_first(&w, m), &w.arena, w.now, w.wall, &v);
	assert_int_equal(v.state, RECIPIENT_DUE);
	assert_int_equal(v.attempts, 1);
	assert_str(v.reason, "mx.next.example[192.0.2.1]:25 said: 451 4.0.0 greylisted");
	assert_str(v.destination, "b.example");
	assert_in_range(v.next_attempt - w.wall, 54000, 67000);
	assert_true(world_has_logged(&w, "event=deferred"));
	assert_true(world_has_logged(&w, "next=2023-"));
	uint32_t ready = w.ready;
	world_pass(&w, 53000);
	assert_int_equal(w.ready, ready);
	assert_null(world_take(&w, world_destination(&w, "b.example")));
	world_pass(&w, 15000);
	assert_int_equal(w.ready, ready + 1);
	assert_int_equal(world_serve(&w, "b.example", world_try_again()), 1);
	queue_view(w.q, world_first(&w, m), &w.arena, w.now, w.wall, &v);
	assert_in_range(v.next_attempt - w.wall, MINUTES(5) * 9 / 10, MINUTES(5) * 11 / 10 + 1000);
	world_release(&w);
}

static void what_was_not_tried_is_due_at_once_and_first(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	slot first = world_accept(&w, "alice@a.example", "bob@b.example");
	world_accept(&w, "alice@a.example", "carol@b.example");
	struct destination *d = w.ready_last;
	world_finish(&w, world_take(&w, d), (struct outcome){.class = OUTCOME_NONE});
	assert_int_equal(world_recipient(&w, first)->attempts, 0);
	assert_int_equal(w.spool->outcomes, 0);
	struct queue_job *job = world_take(&w, d);
	assert_int_equal(job->message, first);
	world_finish(&w, job, world_ok());
	world_release(&w);
}

static void mail_for_later_waits_for_its_time(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	struct recipient to = {.address = STR("bob@b.example")};
	struct envelope e = {.reverse_path = STR("a@a.example"),
		.recipients = &to,
		.recipient_count = 1,
		.hold_until = w.wall + HOURS(30)};
	slot m = world_accept_envelope(&w, &e, WORLD_BODY);
	assert_int_equal(w.ready, 0);
	world_pass(&w, HOURS(30) - 2000);
	assert_int_equal(w.ready, 0);
	assert_int_equal(w.spool->dues, 1);         /* on disk */
	assert_int_equal(w.spool->reads, 0);        /* and nobody looks at it before */
	assert_int_equal(w.spool->commits_done, 0); /* no delay notice: its time has not begun */
	struct queue_view v;
	queue_view(w.q, world_first(&w, m), &w.arena, w.now, w.wall, &v);
	assert_in_range(v.next_attempt, e.hold_until, e.hold_until + 1000);
	world_pass(&w, 4000);
	assert_int_equal(w.ready, 1);
	assert_int_equal(world_serve(&w, "b.example", world_ok()), 1);
	world_release(&w);
}

static void recovered_mail_is_linked(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	enum { COUNT = 50000 };
	struct recipient to = {.address = STR("bob@b.example")};
	struct envelope e = {
		.reverse_path = STR("a@a.example"), .recipients = &to, .recipient_count = 1};
	for (uint32_t i = 0; i < COUNT; i++) {
		slot m = fake_store(w.spool, fake_message_new(&e, WORLD_BODY), i % 3);
		struct spool_recipient *r = world_recipient(&w, m);
		r->state = i % 10 == 9 ? RECIPIENT_HELD : RECIPIENT_DUE;
		r->due = (uint32_t)(w.wall / 1000) + (i % 2 ? 3600 : 0);
		queue_recovered(w.q, world_first(&w, m), STR("b.example"));
	}
	queue_check(w.q);
	msec next = queue_run(w.q, w.now, w.wall);
	assert_int_equal(next, w.now); /* in slices */
	assert_true(world_stats(&w).ready < COUNT / 2);
	world_settle(&w);
	assert_int_equal(world_stats(&w).ready, COUNT / 2);
	assert_int_equal(world_stats(&w).held, COUNT / 10);
	assert_int_equal(world_serve(&w, "b.example", world_ok()), COUNT / 2);
	world_pass(&w, HOURS(1) + 1000);
	assert_int_equal(world_serve(&w, "b.example", world_ok()), COUNT / 2 - COUNT / 10);
	queue_check(w.q);
	world_release(&w);
}

/* The clock has been put back by a day since the mail came: what nobody has wished to come later is due.  */
static void recovered_mail_does_not_wait_for_the_clock(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	struct recipient to = {.address = STR("bob@b.example")};
	struct envelope e = {
		.reverse_path = STR("a@a.example"), .recipients = &to, .recipient_count = 1};
	w.spool->wall += DAYS(1);
	for (uint32_t i = 0; i < 2; i++) {
		slot m = fake_store(w.spool, fake_message_new(&e, WORLD_BODY), 1);
		msec created = spool_created(spool_message(spool_index(w.spool), m)->id);
		world_recipient(&w, m)->due = (uint32_t)(created / 1000) + i * 3600;
		queue_recovered(w.q, world_first(&w, m), STR("b.example"));
	}
	world_settle(&w);
	assert_int_equal(world_stats(&w).ready, 1);
	assert_int_equal(world_serve(&w, "b.example", world_ok()), 1);
	queue_check(w.q);
	world_release(&w);
}

static void a_destination_is_forgotten_when_nothing_is_left(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	world_accept(&w, "alice@a.example", "bob@b.example");
	struct destination *d = w.ready_last;
	*destination_driver(d) = &w;
	queue_opened(w.q, d);
	world_serve(&w, "b.example", world_ok());
	world_pass(&w, HOURS(1));
	assert_int_equal(w.gone, 0);
	assert_ptr_equal(world_destination(&w, "b.example"), d);
	queue_closed(w.q, d, w.now);
	world_pass(&w, MINUTES(2));
	assert_int_equal(w.gone, 1);
	assert_null(world_destination(&w, "b.example"));
	assert_int_equal(queue_next(w.q), MSEC_NEVER);
	world_release(&w);
}

static void mail_for_bare_names_goes_where_ours_goes(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	w.options.hostname = STR("local.example");
	world_accept(&w, "", "postmaster");
	assert_str(destination_key(w.ready_last), "local:local.example");
	assert_str(destination_domain(w.ready_last), "local.example");
	assert_ptr_equal(destination_rule(w.ready_last), &w.local);
	world_release(&w);
}

static void a_clock_put_back_keeps_nothing_waiting(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	world_accept(&w, "alice@a.example", "bob@b.example");
	world_serve(&w, "b.example", world_try_again());
	w.wall -= DAYS(1);
	world_pass(&w, 70000);
	assert_int_equal(world_serve(&w, "b.example", world_ok()), 1);
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_ready_at_once_and_delivered),
		cmocka_unit_test(recipients_at_one_next_hop_go_together),
		cmocka_unit_test(a_deferral_waits_with_its_reason_and_comes_again),
		cmocka_unit_test(what_was_not_tried_is_due_at_once_and_first),
		cmocka_unit_test(mail_for_later_waits_for_its_time),
		cmocka_unit_test(recovered_mail_is_linked),
		cmocka_unit_test(recovered_mail_does_not_wait_for_the_clock),
		cmocka_unit_test(a_destination_is_forgotten_when_nothing_is_left),
		cmocka_unit_test(mail_for_bare_names_goes_where_ours_goes),
		cmocka_unit_test(a_clock_put_back_keeps_nothing_waiting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
