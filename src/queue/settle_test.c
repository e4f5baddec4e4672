#include "queue/test.h"

/* What a message gets, and whether its sender hears of it.  */
static void who_is_told_what(void **state)
{
	(void)state;
	static const struct {
		const char *from, *key, *to;
		uint8_t notify;
		enum outcome_class class;
		bool passed;
		const char *action; /* NULL: no DSN */
	} cases[] = {
		{"alice@a.example", "b.example", "bob@b.example", 0, OUTCOME_FAILED, false,
			"Action: failed"},
		{"alice@a.example", "b.example", "bob@b.example", NOTIFY_FAILURE, OUTCOME_FAILED,
			false, "Action: failed"},
		{"alice@a.example", "b.example", "bob@b.example", NOTIFY_SUCCESS | NOTIFY_FAILURE,
			OUTCOME_FAILED, false, "Action: failed"},
		{"alice@a.example", "b.example", "bob@b.example", NOTIFY_NEVER, OUTCOME_FAILED,
			false, NULL},
		{"alice@a.example", "b.example", "bob@b.example", NOTIFY_SUCCESS, OUTCOME_FAILED,
			false, NULL},
		{"alice@a.example", "b.example", "bob@b.example", NOTIFY_DELAY, OUTCOME_FAILED,
			false, NULL},
		{"", "b.example", "bob@b.example", 0, OUTCOME_FAILED, false, NULL},
		{"", "b.example", "bob@b.example", NOTIFY_FAILURE, OUTCOME_FAILED, false, NULL},
		{"", "b.example", "bob@b.example", NOTIFY_SUCCESS, OUTCOME_DELIVERED, false, NULL},
		{"alice@a.example", "b.example", "bob@b.example", 0, OUTCOME_DELIVERED, false,
			NULL},
		{"alice@a.example", "b.example", "bob@b.example", NOTIFY_FAILURE, OUTCOME_DELIVERED,
			false, NULL},
		{"alice@a.example", "b.example", "bob@b.example", NOTIFY_NEVER, OUTCOME_DELIVERED,
			false, NULL},
		{"alice@a.example", "b.example", "bob@b.example", NOTIFY_SUCCESS, OUTCOME_DELIVERED,
			false, "Action: relayed"},
		{"alice@a.example", "b.example", "bob@b.example", NOTIFY_SUCCESS, OUTCOME_DELIVERED,
			true, NULL},
		{"alice@a.example", "local:local.example", "bob@local.example", NOTIFY_SUCCESS,
			OUTCOME_DELIVERED, false, "Action: delivered"},
		{"alice@a.example", "local:local.example", "bob@local.example", 0,
			OUTCOME_DELIVERED, false, NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world w;
		world_init(&w);
		world_accept_one(&w, cases[i].from, cases[i].to, cases[i].notify, 0, WORLD_BODY);
		struct outcome o = cases[i].class == OUTCOME_FAILED ? world_no() : world_ok();
		o.dsn_passed = cases[i].passed;
		assert_int_equal(world_serve(&w, cases[i].key, o), 1);
		struct fake_message *dsn = world_find_dsn(&w);
		if ((dsn != NULL) != (cases[i].action != NULL)) fail_msg("case %zu", i);
		if (dsn && !str_contains(dsn->body, str_from_c(cases[i].action)))
			fail_msg("case %zu", i);
		if (dsn && cases[i].class == OUTCOME_DELIVERED)
			assert_false(str_contains(dsn->body, STR("The body.")));
		assert_int_equal(world_stats(&w).messages, dsn ? 1 : 0);
		world_release(&w);
	}
}

static void a_damaged_message_is_held_and_told(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	slot m = world_accept(&w, "alice@a.example", "bob@b.example");
	w.spool->damaged = -EBADMSG;
	world_serve(&w, "b.example", world_no());
	assert_int_equal(world_recipient(&w, m)->state, RECIPIENT_HELD);
	assert_true(world_has_logged(&w, "level=error event=held"));
	w.spool->damaged = -EIO; /* that passes */
	slot other = world_accept(&w, "alice@a.example", "bob@b.example");
	world_serve(&w, "b.example", world_no());
	assert_int_equal(world_recipient(&w, other)->state, RECIPIENT_DUE);
	w.spool->damaged = 0;
	world_pass(&w, MINUTES(2));
	world_serve(&w, "b.example", world_no());
	assert_int_equal(world_stats(&w).bounces, 1);
	world_release(&w);
}

/* What fails together comes back together, and not at the time of others.  */
static void one_message_keeps_one_time(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	w.options.retry[0] = HOURS(1);
	const char *to[] = {"a@b.example", "b@b.example", "c@b.example"};
	uint32_t others = 0, due = 0;
	for (int i = 0; i < 10; i++) {
		slot m = world_accept_many(&w, "alice@a.example", to, 3);
		world_serve(&w, "b.example", world_try_again());
		const struct spool_recipient *r = world_recipient(&w, m);
		others += due != 0 && r->due != due;
		due = r->due;
		for (int n = 0; n < 3; n++, r = spool_recipient(&w.spool->index, r->sibling))
			assert_int_equal(r->due, due);
	}
	assert_true(others >= 8);
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_told_what),
		cmocka_unit_test(a_damaged_message_is_held_and_told),
		cmocka_unit_test(one_message_keeps_one_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
