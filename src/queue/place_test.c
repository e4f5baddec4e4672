#include "queue/test.h"

static void a_bulk_run_does_not_delay_a_letter(void **state)
{
	(void)state;
	/* To one domain, and to many behind one next hop.  */
	static const char *const formats[] = {
		"user%d@x.relayed.example", "user@x%d.relayed.example"};
	for (size_t f = 0; f < ARRAY_LEN(formats); f++) {
		struct world w;
		world_init(&w);
		char to[64], from[64];
		for (int i = 0; i < 10000; i++) {
			snprintf(to, sizeof(to),
				f ? "user@x%d.relayed.example" : "user%d@x.relayed.example", i);
			snprintf(from, sizeof(from), "bulk-bounce-%d@bulk.example", i); /* VERP */
			world_accept(&w, from, to);
		}
		slot letter = world_accept(&w, "alice@a.example", "bob@x.relayed.example");
		struct destination *d = world_destination(&w, "smtp:next.example:25");
		int takes = 0;
		for (slot got = 0; got != letter; takes++) {
			struct queue_job *job = world_take(&w, d);
			assert_non_null(job);
			got = job->message;
			world_finish(&w, job, world_ok());
		}
		assert_true(takes <= 2);
		world_release(&w);
	}
}

static void the_domains_of_one_sender_take_turns(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	for (int i = 0; i < 1000; i++) world_accept(&w, "alice@a.example", "bob@x.relayed.example");
	slot other = world_accept(&w, "alice@a.example", "bob@y.relayed.example");
	struct destination *d = world_destination(&w, "smtp:next.example:25");
	slot first = world_take(&w, d)->message, second = world_take(&w, d)->message;
	assert_true(first == other || second == other);
	world_release(&w);
}

static void senders_beyond_the_lanes_share_them(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	char from[64];
	for (int i = 0; i < 5000; i++) {
		snprintf(from, sizeof(from), "%c%c%c@a.example", 'a' + i % 26, 'a' + i / 26 % 26,
			'a' + i / 676 % 26);
		world_accept(&w, from, "bob@b.example");
	}
	struct destination *d = world_destination(&w, "b.example");
	assert_int_equal(d->turn_count, QUEUE_LANES_MAX);
	queue_check(w.q);
	assert_int_equal(world_serve(&w, "b.example", world_ok()), 5000);
	assert_int_equal(w.q->domains.len, 0);
	world_release(&w);
}

static void another_configuration_moves_mail(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	slot ready = world_accept(&w, "alice@a.example", "bob@b.example");
	slot active = world_accept(&w, "alice@a.example", "carol@b.example");
	slot stays = world_accept(&w, "alice@a.example", "dave@c.example");
	struct destination *old = world_destination(&w, "b.example");
	queue_opened(w.q, old);
	struct queue_job *job = world_take(&w, old);
	struct outcome why = world_try_again();
	queue_unreachable(w.q, old, &why, w.now, w.wall);

	struct route_rule star = w.star, b = w.relay;
	star.connections = 3;
	b.name = STR("b.example");
	struct route_table table;
	route_table_init(&table, 2);
	assert_true(route_table_add(&table, &star) && route_table_add(&table, &b));
	w.ready_last = NULL;
	queue_configure(w.q, &w.options, &table, w.now, w.wall);
	queue_check(w.q);
	struct destination *new = world_destination(&w, "smtp:next.example:25");
	assert_ptr_equal(w.ready_last, new); /* it is not held up by what the old one waits for */
	assert_ptr_equal(destination_rule(new), &b);
	assert_ptr_equal(destination_rule(world_destination(&w, "c.example")), &star);
	assert_int_equal(world_destination(&w, "c.example")->window.max, 3);
	assert_null(world_take(&w, old));
	assert_false(queue_wants(old, w.now));

	/* What is under way at the old one comes back to the new one.  */
	slot other = job->message == ready ? active : ready;
	world_finish(&w, job, (struct outcome){.class = OUTCOME_NONE});
	queue_closed(w.q, old, w.now);
	assert_int_equal(new->counts[PLACE_READY], 2);
	assert_int_equal(world_serve(&w, "smtp:next.example:25", world_ok()), 2);
	assert_int_equal(spool_message(&w.spool->index, other)->id, 0);
	assert_int_not_equal(spool_message(&w.spool->index, stays)->id, 0);
	queue_check(w.q);
	world_pass(&w, MINUTES(10));
	assert_null(world_destination(&w, "b.example"));
	queue_configure(w.q, &w.options, &w.table, w.now, w.wall);
	route_table_release(&table);
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bulk_run_does_not_delay_a_letter),
		cmocka_unit_test(the_domains_of_one_sender_take_turns),
		cmocka_unit_test(senders_beyond_the_lanes_share_them),
		cmocka_unit_test(another_configuration_moves_mail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
