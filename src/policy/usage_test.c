#include "base/test.h"
#include "policy/usage.h"

static const msec start = DAYS(20000);

struct fixture {
	struct usage u;
	uint32_t held, released;
};

static void on_held(const struct usage_account *a, void *context)
{
	assert_true(a->held);
	((struct fixture *)context)->held++;
}

static void on_released(const struct usage_account *a, void *context)
{
	assert_false(a->held);
	((struct fixture *)context)->released++;
}

static int up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	usage_init(&f->u, 1);
	f->u.options = (struct usage_options){.messages = {10, HOURS(1)},
		.recipients = {1000, DAYS(1)},
		.surge = 10,
		.surge_recipients = 100,
		.surge_failures = 20};
	f->u.held = on_held;
	f->u.released = on_released;
	f->u.context = f;
	*state = f;
	return 0;
}

static int down(void **state)
{
	struct fixture *f = *state;
	usage_release(&f->u);
	free(f);
	return 0;
}

static const struct str alice = STR("alice@example.com"), bob = STR("Bob@example.com");

static void test_messages(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(usage_take(&f->u, alice, 1, start), USAGE_FINE);
	assert_int_equal(usage_ask(&f->u, alice, 1, start), USAGE_MESSAGES);
	assert_int_equal(usage_take(&f->u, alice, 1, start), USAGE_MESSAGES);
	assert_int_equal(usage_take(&f->u, bob, 1, start), USAGE_FINE);
	/* Each is forgotten after its share of the hour.  */
	assert_int_equal(usage_ask(&f->u, alice, 1, start + MINUTES(6) - 1), USAGE_MESSAGES);
	assert_int_equal(usage_ask(&f->u, alice, 1, start + MINUTES(6)), USAGE_FINE);
	assert_int_equal(usage_ask(&f->u, alice, 1, start - DAYS(1)), USAGE_MESSAGES);
	f->u.options.messages.count = 0;
	assert_int_equal(usage_ask(&f->u, alice, 1, start), USAGE_FINE);
}

static void test_recipients(void **state)
{
	struct fixture *f = *state;
	f->u.options.surge = 0;
	assert_int_equal(usage_ask(&f->u, alice, 1001, start), USAGE_RECIPIENTS);
	assert_int_equal(usage_take(&f->u, alice, 990, start), USAGE_FINE);
	assert_int_equal(usage_ask(&f->u, STR("ALICE@example.com"), 11, start), USAGE_RECIPIENTS);
	assert_int_equal(usage_ask(&f->u, alice, 10, start), USAGE_FINE);
	assert_int_equal(usage_ask(&f->u, alice, 510, start + HOURS(12)), USAGE_FINE);
	assert_int_equal(usage_ask(&f->u, alice, 511, start + HOURS(12)), USAGE_RECIPIENTS);
}

static void test_surge(void **state)
{
	struct fixture *f = *state;
	f->u.options.messages.count = 0;
	for (int i = 0; i < 10; i++)
		assert_int_equal(usage_take(&f->u, alice, 10, start), USAGE_FINE);
	assert_int_equal(usage_take(&f->u, alice, 10, start), USAGE_HELD);
	assert_int_equal(f->held, 1);
	assert_true(usage_is_held(&f->u, alice));
	assert_string_equal(
		usage_find(&f->u, alice)->why, "110 recipients in about a day, usually 0");
	assert_int_equal(usage_ask(&f->u, alice, 1, start + DAYS(100)), USAGE_HELD);
	assert_int_equal(usage_take(&f->u, alice, 1, start + DAYS(100)), USAGE_HELD);
	assert_int_equal(f->held, 1);
	assert_int_equal(usage_take(&f->u, bob, 1, start), USAGE_FINE);
}

/* Who sends to 50 a day is held past 500, not past 100.  */
static void test_what_is_usual(void **state)
{
	struct fixture *f = *state;
	msec wall = start;
	f->u.options.messages.count = 0;
	for (int day = 0; day < 60; day++, wall += DAYS(1))
		assert_int_equal(usage_take(&f->u, alice, 50, wall), USAGE_FINE);
	int more = 0;
	while (usage_take(&f->u, alice, 10, wall) == USAGE_FINE) more += 10;
	assert_true(more > 350 && more < 500);
	assert_int_equal(f->held, 1);
	/* Released, it has become used to that.  */
	assert_true(usage_free(&f->u, alice, wall));
	assert_false(usage_free(&f->u, alice, wall));
	assert_int_equal(f->released, 1);
	f->u.options.recipients.count = 0;
	for (int i = 0; i < 300; i++)
		assert_int_equal(usage_take(&f->u, alice, 10, wall), USAGE_FINE);
}

static void test_failures(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 20; i++) usage_failed(&f->u, alice, start);
	assert_false(usage_is_held(&f->u, alice));
	usage_failed(&f->u, alice, start);
	usage_failed(&f->u, alice, start);
	assert_true(usage_is_held(&f->u, alice));
	assert_int_equal(f->held, 1);
	assert_non_null(strstr(usage_find(&f->u, alice)->why, "21 failing recipients"));
	for (int day = 0; day < 60; day++)
		for (int i = 0; i < 12; i++) usage_failed(&f->u, bob, start + DAYS(day));
	assert_false(usage_is_held(&f->u, bob));
}

static void test_exempt(void **state)
{
	struct fixture *f = *state;
	static const struct str exempt[] = {STR("alice@example.com"), STR("@bulk.example")};
	f->u.options.exempt = exempt;
	f->u.options.exempt_count = 2;
	for (int i = 0; i < 30; i++) {
		assert_int_equal(usage_take(&f->u, alice, 500, start), USAGE_FINE);
		assert_int_equal(usage_take(&f->u, STR("x@bulk.example"), 500, start), USAGE_FINE);
		assert_int_equal(
			usage_ask(&f->u, STR("new@bulk.example"), 5000, start), USAGE_FINE);
		usage_failed(&f->u, alice, start);
	}
	assert_int_equal(f->held, 0);
	assert_int_equal(usage_take(&f->u, STR("x@notbulk.example"), 500, start), USAGE_HELD);
}

static void test_on_disk(void **state)
{
	struct fixture *f = *state;
	struct buf text, again, why;
	struct usage u;
	buf_init(&text, 10000);
	buf_init(&again, 10000);
	buf_init(&why, 1000);
	usage_take(&f->u, alice, 300, start);
	usage_take(&f->u, bob, 3, start);
	usage_failed(&f->u, bob, start);
	assert_true(f->u.changed);
	assert_true(usage_store(&f->u, &text));
	assert_false(f->u.changed);
	usage_init(&u, 1);
	u.options = f->u.options;
	assert_true(usage_load(&u, buf_str(&text), &why));
	assert_true(usage_is_held(&u, alice));
	assert_false(usage_is_held(&u, bob));
	assert_int_equal(usage_ask(&u, bob, 997, start), USAGE_FINE);
	assert_int_equal(usage_ask(&u, bob, 998, start), USAGE_RECIPIENTS);
	assert_true(usage_store(&u, &again));
	assert_true(str_eq(buf_str(&text), buf_str(&again)));
	usage_release(&u);
	usage_init(&u, 1);
	assert_false(usage_load(&u, STR("# x\nalice@example.com 1 2 3\n"), &why));
	assert_str(buf_str(&why), "line 2 makes no sense");
	usage_release(&u);
	buf_release(&text);
	buf_release(&again);
	buf_release(&why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_messages, up, down),
		cmocka_unit_test_setup_teardown(test_recipients, up, down),
		cmocka_unit_test_setup_teardown(test_surge, up, down),
		cmocka_unit_test_setup_teardown(test_what_is_usual, up, down),
		cmocka_unit_test_setup_teardown(test_failures, up, down),
		cmocka_unit_test_setup_teardown(test_exempt, up, down),
		cmocka_unit_test_setup_teardown(test_on_disk, up, down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
