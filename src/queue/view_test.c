#include "queue/test.h"

static struct queue_view view(struct world *w, slot message)
{
	struct queue_view v;
	queue_view(w->q, world_first(w, message), &w->arena, w->now, w->wall, &v);
	return v;
}

static void each_wait_has_its_reason(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	w.star.rate = (struct route_rate){1, MINUTES(1)};
	queue_configure(w.q, &w.options, &w.table, w.now, w.wall);
	slot first = world_accept(&w, "alice@a.example", "bob@b.example");
	assert_str(view(&w, first).reason, "waits for its turn");
	assert_str(view(&w, first).destination, "b.example");
	struct destination *d = w.ready_last;
	struct queue_job *job = world_take(&w, d);
	assert_str(view(&w, first).reason, "is being delivered");
	slot limited = world_accept(&w, "alice@a.example", "bob@b.example");
	assert_str(view(&w, limited).reason, "destination is limited to 1 messages per 1m");
	assert_int_equal(view(&w, limited).next_attempt, w.wall + MINUTES(1));
	world_finish(&w, job, world_no());
	assert_str(view(&w, first).reason, "its sender is being told");
	assert_int_equal(view(&w, first).next_attempt, 0);

	slot relayed = world_accept(&w, "alice@a.example", "bob@x.relayed.example");
	d = w.ready_last;
	for (int i = 0; i < 5; i++) queue_opened(w.q, d);
	assert_str(view(&w, relayed).reason, "all 5 connections to the destination are in use");
	while (d->connections) queue_closed(w.q, d, w.now);
	struct outcome never = outcome_local(OUTCOME_FAILED, "5.1.2", STR("no such domain"));
	queue_impossible(w.q, d, &never, w.now, w.wall);
	assert_str(view(&w, relayed).reason, "is being returned: no such domain");
	world_settle(&w);
	world_release(&w);
}

struct seen {
	uint32_t count, max;
	struct destination_view view[8];
	char reasons[8][256];
};

static bool see(void *context, const struct destination_view *v)
{
	struct seen *s = context;
	s->view[s->count] = *v;
	snprintf(s->reasons[s->count], sizeof(s->reasons[0]), STR_FMT, STR_ARG(v->reason));
	return ++s->count < s->max;
}

static void destinations_are_shown(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	for (int i = 0; i < 3; i++) world_accept(&w, "alice@a.example", "bob@b.example");
	struct destination *d = w.ready_last;
	queue_opened(w.q, d);
	world_finish(&w, world_take(&w, d), world_ok());
	world_finish(&w, world_take(&w, d), world_try_again());
	slot held = world_accept(&w, "alice@a.example", "bob@b.example");
	queue_act(w.q, world_first(&w, held), QUEUE_HOLD, w.now, w.wall);
	struct queue_job *job = world_take(&w, d);
	world_accept(&w, "alice@a.example", "bob@b.example");
	world_accept(&w, "alice@a.example", "bob@c.example");
	struct seen s = {.max = 8};
	queue_each_destination(w.q, see, &s, w.now, w.wall);
	assert_int_equal(s.count, 2);
	const struct destination_view *v = &s.view[0];
	assert_str(v->key, "b.example");
	assert_int_equal(v->ready, 1);
	assert_int_equal(v->deferred, 1);
	assert_int_equal(v->active, 1);
	assert_int_equal(v->held, 1);
	assert_int_equal(v->connections, 1);
	assert_int_equal(v->window, 5);
	assert_int_equal(v->delivered, 1);
	assert_int_equal(v->deferrals, 1);
	assert_int_equal(v->next_attempt, 0);
	assert_int_equal(v->reason.len, 0);
	world_finish(&w, job, (struct outcome){.class = OUTCOME_NONE});
	struct outcome why = outcome_local(OUTCOME_DEFERRED, "4.4.1", STR("connection refused"));
	queue_unreachable(w.q, d, &why, w.now, w.wall);
	queue_closed(w.q, d, w.now);
	s = (struct seen){.max = 1};
	queue_each_destination(w.q, see, &s, w.now, w.wall);
	assert_int_equal(s.count, 1);
	assert_string_equal(s.reasons[0], "destination unreachable: connection refused");
	assert_in_range(s.view[0].next_attempt, w.wall + 54000, w.wall + 66000);
	assert_int_equal(s.view[0].window, 1);
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_wait_has_its_reason),
		cmocka_unit_test(destinations_are_shown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
