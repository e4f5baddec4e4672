#include "queue/test.h"

static void a_failure_is_returned_to_the_sender(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	slot m = world_accept(&w, "alice@a.example", "bob@b.example");
	world_finish(&w, world_take(&w, w.ready_last), world_no());
	/* Until the DSN is on disk the recipient is owned by it, not ended.  */
	assert_int_equal(w.spool->ended[OUTCOME_FAILED], 0);
	assert_int_equal(world_recipient(&w, m)->state, RECIPIENT_ACTIVE);
	queue_check(w.q);
	fake_spool_sync(w.spool);
	assert_int_equal(w.spool->ended[OUTCOME_FAILED], 1);
	queue_check(w.q);
	struct fake_message *dsn = world_find_dsn(&w);
	assert_non_null(dsn);
	assert_int_equal(dsn->envelope.reverse_path.len, 0);
	assert_int_equal(dsn->envelope.recipient_count, 1);
	assert_str(dsn->envelope.recipients[0].address, "alice@a.example");
	assert_int_equal(dsn->envelope.recipients[0].notify, NOTIFY_NEVER);
	assert_int_equal(dsn->envelope.size, dsn->body.len);
	assert_true(str_contains(dsn->body, STR("rejected")));
	assert_true(str_contains(dsn->body, STR("bob@b.example")));
	assert_true(str_contains(dsn->body, STR("The body."))); /* small: whole */
	assert_true(world_has_logged(&w, "event=bounced"));
	assert_int_equal(w.spool->history[HISTORY_BOUNCED], 1);
	assert_int_equal(w.spool->history[HISTORY_ACCEPTED], 1);
	assert_int_equal(w.spool->history[HISTORY_DONE], 1);
	/* It is mail like any other.  */
	assert_int_equal(world_serve(&w, "a.example", world_ok()), 1);
	assert_int_equal(world_stats(&w).messages, 0);
	assert_int_equal(world_stats(&w).bounces, 1);
	world_release(&w);
}

static void a_dsn_that_fails_ends_there(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	world_accept(&w, "alice@a.example", "bob@b.example");
	world_serve(&w, "b.example", world_no());
	world_serve(&w, "a.example", world_no());
	assert_int_equal(world_stats(&w).messages, 0);
	assert_int_equal(world_stats(&w).bounces, 1);
	assert_int_equal(world_stats(&w).failed, 2);
	assert_true(world_has_logged(&w, "event=undeliverable_bounce"));
	world_release(&w);
}

/* How much of the message comes back.  */
static void what_is_returned(void **state)
{
	(void)state;
	static const struct {
		size_t size;
		uint32_t flags;
		bool whole;
	} cases[] = {
		{1000, 0, true},
		{50 * 1024, 0, true},
		{50 * 1024 + 1, 0, false},
		{1000, ENVELOPE_RET_HDRS, false},
		{100 * 1024, ENVELOPE_RET_FULL, true},
		{1 << 20, ENVELOPE_RET_FULL, true},
		{(1 << 20) + 1, ENVELOPE_RET_FULL, false},
		{1000, ENVELOPE_BINARY | ENVELOPE_RET_FULL, false},
		{1000, ENVELOPE_REQUIRETLS | ENVELOPE_RET_FULL, false},
	};
	static const char mark[] = "END-OF-BODY\r\n";
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world w;
		world_init(&w);
		struct buf body;
		buf_init(&body, 2 << 20);
		buf_add(&body, STR("Subject: the subject\r\nX-Last: field\r\n\r\n"));
		while (body.len < cases[i].size - (sizeof(mark) - 1))
			buf_add_c(&body,
				body.len % 64 == 62           ? '\r'
					: body.len % 64 == 63 ? '\n'
							      : 'x');
		buf_add(&body, str_from_c(mark));
		assert_int_equal(body.len, cases[i].size);
		world_accept_one(
			&w, "alice@a.example", "bob@b.example", 0, cases[i].flags, buf_str(&body));
		world_serve(&w, "b.example", world_no());
		struct fake_message *dsn = world_find_dsn(&w);
		assert_non_null(dsn);
		if (str_contains(dsn->body, STR("END-OF-BODY")) != cases[i].whole)
			fail_msg("case %zu", i);
		assert_true(str_contains(dsn->body, STR("X-Last: field\r\n")));
		assert_true(str_contains(dsn->body,
			cases[i].whole ? STR("message/rfc822") : STR("text/rfc822-headers")));
		assert_true(dsn->body.len < cases[i].size + 16 * 1024);
		buf_release(&body);
		world_release(&w);
	}
}

static void odd_messages_can_be_returned(void **state)
{
	(void)state;
	static const char *const bodies[] = {"", "\r\n", "\r\nbody without header\r\n",
		"Subject: no body\r\n", "no line end at all", "\r", "A: b\r\n\r\n"};
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		for (int headers = 0; headers < 2; headers++) {
			struct world w;
			world_init(&w);
			world_accept_one(&w, "alice@a.example", "bob@b.example", 0,
				headers ? ENVELOPE_RET_HDRS : 0, str_from_c(bodies[i]));
			world_serve(&w, "b.example", world_no());
			struct fake_message *dsn = world_find_dsn(&w);
			assert_non_null(dsn);
			assert_false(
				headers && str_contains(dsn->body, STR("body without header")));
			world_release(&w);
		}
	}
}

static void failures_known_together_are_one_dsn(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	const char *to[] = {"bob@b.example", "carl@b.example", "dora@b.example", "emil@b.example"};
	slot m = world_accept_many(&w, "alice@a.example", to, 4);
	struct queue_job *job = world_take(&w, w.ready_last);
	struct outcome outcomes[] = {world_no(), world_ok(), world_no(), world_try_again()};
	outcomes[2].text = STR("no such user");
	queue_finish(w.q, job, outcomes, w.now, w.wall);
	queue_check(w.q);
	fake_spool_sync(w.spool);
	assert_int_equal(world_stats(&w).bounces, 1);
	struct str body = world_find_dsn(&w)->body;
	assert_true(str_contains(body, STR("bob@b.example")) &&
		str_contains(body, STR("dora@b.example")));
	assert_true(str_contains(body, STR("rejected")) && str_contains(body, STR("no such user")));
	assert_int_equal(spool_message(&w.spool->index, m)->open, 1);
	world_pass(&w, MINUTES(2));
	world_serve(&w, "b.example", world_no());
	assert_int_equal(world_stats(&w).bounces, 2);
	assert_true(str_contains(world_find_dsn(&w)->body, STR("emil@b.example")));
	world_release(&w);
}

static void a_spool_that_refuses_is_asked_again(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	w.spool->refuse = -ENOSPC;
	slot failed = world_accept(&w, "alice@a.example", "bob@b.example");
	slot delivered = world_accept_one(
		&w, "alice@a.example", "carl@b.example", NOTIFY_SUCCESS, 0, WORLD_BODY);
	struct destination *d = w.ready_last;
	world_finish(&w, world_take(&w, d), world_no());
	world_finish(&w, world_take(&w, d), world_ok());
	world_pass(&w, MINUTES(3));
	assert_int_equal(world_recipient(&w, failed)->state, RECIPIENT_ACTIVE);
	assert_int_equal(spool_message(&w.spool->index, delivered)->id,
		0); /* it is not delivered twice for its notice */
	assert_int_equal(world_stats(&w).bounces, 0);
	queue_check(w.q);
	w.spool->refuse = 0;
	w.spool->fail = -EIO;
	world_pass(&w, SECONDS(20));
	assert_int_equal(world_stats(&w).bounces, 0);
	queue_check(w.q);
	w.spool->fail = 0;
	world_pass(&w, SECONDS(11));
	assert_int_equal(world_stats(&w).bounces, 2);
	assert_int_equal(world_stats(&w).failed, 1);
	assert_int_equal(world_serve(&w, "a.example", world_ok()), 2);
	world_release(&w);
}

static void past_the_limit_failures_are_tried_again(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	w.options.return_breaker = 0;
	w.spool->refuse = -ENOSPC;
	for (int i = 0; i < QUEUE_BOUNCES_MAX + 50; i++)
		world_accept(&w, "alice@a.example", "bob@b.example");
	world_serve(&w, "b.example", world_no());
	assert_int_equal(world_stats(&w).deferred, 50);
	assert_int_equal(world_stats(&w).active, QUEUE_BOUNCES_MAX);
	assert_int_equal(w.spool->outcomes, 50);
	queue_check(w.q);
	w.spool->refuse = 0;
	world_pass(&w, MINUTES(2));
	world_serve(&w, "b.example", world_no());
	assert_int_equal(world_stats(&w).bounces, QUEUE_BOUNCES_MAX + 50);
	world_release(&w);
}

static void a_deleted_recipient_does_not_hold_up_its_bounce(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	const char *to[] = {"bob@b.example", "carl@b.example"};
	slot m = world_accept_many(&w, "alice@a.example", to, 2);
	world_finish(&w, world_take(&w, w.ready_last), world_no());
	assert_true(queue_act(w.q, world_first(&w, m), QUEUE_DELETE, w.now, w.wall));
	queue_check(w.q);
	fake_spool_sync(w.spool);
	assert_int_equal(world_stats(&w).deleted, 1);
	assert_int_equal(world_stats(&w).failed, 1);
	world_release(&w);
}

/* Whichever goes first, queue or spool, the commit under way ends without harm.  */
static void leaving_with_a_bounce_under_way(void **state)
{
	(void)state;
	for (int waiting = 0; waiting < 2; waiting++) {
		struct world w;
		world_init(&w);
		if (waiting) w.spool->refuse = -ENOSPC;
		world_accept(&w, "alice@a.example", "bob@b.example");
		world_finish(&w, world_take(&w, w.ready_last), world_no());
		world_release(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_is_returned_to_the_sender),
		cmocka_unit_test(a_dsn_that_fails_ends_there),
		cmocka_unit_test(what_is_returned),
		cmocka_unit_test(odd_messages_can_be_returned),
		cmocka_unit_test(failures_known_together_are_one_dsn),
		cmocka_unit_test(a_spool_that_refuses_is_asked_again),
		cmocka_unit_test(past_the_limit_failures_are_tried_again),
		cmocka_unit_test(a_deleted_recipient_does_not_hold_up_its_bounce),
		cmocka_unit_test(leaving_with_a_bounce_under_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
