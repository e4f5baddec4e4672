#include "queue/test.h"

static bool act(struct world *w, slot message, enum queue_act what)
{
	bool did = queue_act(w->q, world_first(w, message), what, w->now, w->wall);
	queue_check(w->q);
	return did;
}

static struct queue_view view(struct world *w, slot message)
{
	struct queue_view v;
	queue_view(w->q, world_first(w, message), &w->arena, w->now, w->wall, &v);
	return v;
}

/* What each act does in each state: '+' it applies.  */
static void acts_apply_where_they_make_sense(void **state)
{
	(void)state;
	enum { READY, WAITING, HELD, ACTIVE, ACTIVE_HOLD, RETURNED };
	static const char *const applies[] = {
		[READY] = "++-+",
		[WAITING] = "++-+",
		[HELD] = "--++",
		[ACTIVE] = "-+-+",
		[ACTIVE_HOLD] = "--++",
		[RETURNED] = "---+",
	};
	for (int in = READY; in <= RETURNED; in++) {
		for (int what = QUEUE_RETRY; what <= QUEUE_DELETE; what++) {
			struct world w;
			world_init(&w);
			slot m = world_accept(&w, "alice@a.example", "bob@b.example");
			struct destination *d = w.ready_last;
			struct queue_job *job = NULL;
			if (in == WAITING) world_serve(&w, "b.example", world_try_again());
			if (in == HELD || in == ACTIVE_HOLD)
				assert_true(in == ACTIVE_HOLD || act(&w, m, QUEUE_HOLD));
			if (in == ACTIVE || in == ACTIVE_HOLD || in == RETURNED)
				job = world_take(&w, d);
			if (in == ACTIVE_HOLD) assert_true(act(&w, m, QUEUE_HOLD));
			if (in == RETURNED) world_finish(&w, job, world_no());
			bool did = act(&w, m, (enum queue_act)what);
			if (did != (applies[in][what] == '+'))
				fail_msg("act %d in state %d", what, in);
			if (in == ACTIVE || in == ACTIVE_HOLD)
				world_finish(&w, job, world_try_again());
			if (did && what == QUEUE_DELETE)
				assert_int_equal(world_stats(&w).deleted, 1);
			world_settle(&w);
			world_release(&w);
		}
	}
}

static void hold_and_release(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	slot m = world_accept(&w, "alice@a.example", "bob@b.example");
	assert_true(act(&w, m, QUEUE_HOLD));
	assert_int_equal(world_stats(&w).held, 1);
	assert_str(view(&w, m).reason, "held by the operator");
	assert_int_equal(view(&w, m).next_attempt, 0);
	assert_int_equal(world_serve(&w, "b.example", world_ok()), 0);
	w.ready = 0;
	assert_true(act(&w, m, QUEUE_RELEASE));
	assert_int_equal(w.ready, 1);
	assert_str(view(&w, m).reason, "waits for its turn");
	assert_int_equal(view(&w, m).next_attempt, w.wall);
	assert_int_equal(world_serve(&w, "b.example", world_ok()), 1);
	assert_true(world_has_logged(&w, "event=held"));
	assert_true(world_has_logged(&w, "event=released"));
	assert_true(world_has_logged(&w, "to=bob@b.example by=operator"));
	assert_int_equal(w.spool->history[HISTORY_HELD], 1);
	assert_int_equal(w.spool->history[HISTORY_RELEASED], 1);
	world_release(&w);
}

static void a_hold_in_flight_takes_effect_when_it_comes_back(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	slot first = world_accept(&w, "alice@a.example", "bob@b.example");
	slot second = world_accept(&w, "alice@a.example", "carl@b.example");
	slot third = world_accept(&w, "alice@a.example", "dora@b.example");
	struct destination *d = w.ready_last;
	struct queue_job *jobs[3];
	for (int i = 0; i < 3; i++) jobs[i] = world_take(&w, d);
	assert_str(view(&w, first).reason, "is being delivered");
	assert_true(act(&w, first, QUEUE_HOLD) && act(&w, second, QUEUE_HOLD) &&
		act(&w, third, QUEUE_HOLD));
	world_finish(&w, jobs[0], world_try_again());
	world_finish(&w, jobs[1], (struct outcome){.class = OUTCOME_NONE});
	world_finish(&w, jobs[2], world_ok());
	queue_check(w.q);
	assert_int_equal(world_stats(&w).held, 2);
	assert_int_equal(world_stats(&w).delivered, 1);
	assert_int_equal(world_recipient(&w, first)->attempts, 1);
	assert_int_equal(world_recipient(&w, second)->attempts, 0);
	world_release(&w);
}

static void retry_brings_back_what_waits_and_clears_the_backoff(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	slot waits = world_accept(&w, "alice@a.example", "bob@b.example");
	struct destination *d = w.ready_last;
	world_serve(&w, "b.example", world_try_again());
	slot behind = world_accept(&w, "alice@a.example", "carl@b.example");
	queue_opened(w.q, d);
	struct outcome why = outcome_local(OUTCOME_DEFERRED, "4.4.1", STR("connection refused"));
	queue_unreachable(w.q, d, &why, w.now, w.wall);
	queue_closed(w.q, d, w.now);
	assert_null(world_take(&w, d));
	w.ready = 0;
	assert_true(act(&w, waits, QUEUE_RETRY));
	assert_int_equal(w.ready, 1);
	assert_true(queue_wants(d, w.now));
	queue_opened(w.q, d);
	assert_false(queue_wants(d, w.now)); /* still a probe */
	assert_int_equal(world_serve(&w, "b.example", world_ok()), 2);
	assert_int_equal(spool_message(&w.spool->index, behind)->id, 0);
	assert_int_equal(w.spool->dues, 1);
	queue_closed(w.q, d, w.now);
	world_release(&w);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	assert_false(queue_act(w.q, 0, QUEUE_DELETE, w.now, w.wall));
	assert_false(queue_act(w.q, 4711, QUEUE_DELETE, w.now, w.wall));
	const char *to[] = {"bob@b.example", "carl@c.example"};
	slot m = world_accept_many(&w, "alice@a.example", to, 2);
	world_serve(&w, "b.example", world_ok());
	assert_false(queue_act(w.q, world_first(&w, m), QUEUE_DELETE, w.now, w.wall)); /* done */
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acts_apply_where_they_make_sense),
		cmocka_unit_test(hold_and_release),
		cmocka_unit_test(a_hold_in_flight_takes_effect_when_it_comes_back),
		cmocka_unit_test(retry_brings_back_what_waits_and_clears_the_backoff),
		cmocka_unit_test(nonsense_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
