#include "base/timer.h"
#include "base/test.h"

struct probe {
	struct timer timer;
	struct timers *all;
	char name;
	struct probe *other; /* what its fire sets or cancels */
	msec at;
	bool cancels;
};

static char trail[64];

static void fire(struct timer *timer)
{
	struct probe *p = CONTAINER_OF(timer, struct probe, timer);
	assert_false(timer_is_set(timer));
	size_t n = strlen(trail);
	assert_true(n < sizeof(trail) - 1);
	trail[n] = p->name;
	if (p->other && p->cancels)
		timer_cancel(p->all, &p->other->timer);
	else if (p->other)
		assert_true(timer_set(p->all, &p->other->timer, p->at));
}

static struct probe probe(struct timers *all, char name)
{
	return (struct probe){.timer.fire = fire, .all = all, .name = name};
}

static void assert_trail(struct timers *all, msec now, const char *wanted)
{
	memset(trail, 0, sizeof(trail));
	timers_fire(all, now);
	assert_string_equal(trail, wanted);
}

static void test_in_order_and_when_due(void **state)
{
	(void)state;
	struct timers all;
	timers_init(&all);
	struct probe a = probe(&all, 'a'), b = probe(&all, 'b'), c = probe(&all, 'c');
	assert_int_equal(timers_next(&all), MSEC_NEVER);
	assert_trail(&all, 0, "");
	assert_true(timer_set(&all, &c.timer, 30) && timer_set(&all, &a.timer, 10) &&
		timer_set(&all, &b.timer, 20));
	assert_int_equal(timers_next(&all), 10);
	assert_trail(&all, 9, "");
	assert_trail(&all, 20, "ab");
	assert_int_equal(timers_next(&all), 30);
	assert_trail(&all, 29, "");
	assert_trail(&all, 30, "c");
	assert_trail(&all, 1000, "");
	timers_release(&all);
}

static void test_set_again_moves_and_cancel_stops(void **state)
{
	(void)state;
	struct timers all;
	timers_init(&all);
	struct probe a = probe(&all, 'a'), b = probe(&all, 'b');
	assert_true(timer_set(&all, &a.timer, 10) && timer_set(&all, &a.timer, 50));
	assert_true(timer_set(&all, &b.timer, 20));
	assert_trail(&all, 20, "b");
	assert_true(timer_is_set(&a.timer));
	timer_cancel(&all, &a.timer);
	timer_cancel(&all, &a.timer);
	assert_false(timer_is_set(&a.timer));
	assert_trail(&all, 100, "");
	timers_release(&all);
}

static void test_one_at_zero_is_due_at_zero(void **state)
{
	(void)state;
	struct timers all;
	timers_init(&all);
	struct probe a = probe(&all, 'a');
	assert_true(timer_set(&all, &a.timer, 0));
	assert_int_equal(timers_next(&all), 0);
	assert_trail(&all, 0, "a");
	timers_release(&all);
}

static void test_what_fire_sets_for_now_fires_too(void **state)
{
	(void)state;
	struct timers all;
	timers_init(&all);
	struct probe a = probe(&all, 'a'), b = probe(&all, 'b'), c = probe(&all, 'c');
	a.other = &b, a.at = -5;
	b.other = &c, b.at = 11;
	assert_true(timer_set(&all, &a.timer, 10));
	assert_trail(&all, 10, "ab");
	assert_trail(&all, 11, "c");
	timers_release(&all);
}

/* One that sets itself for now, and two that set each other, come round once a call.  */
static void test_no_endless_round(void **state)
{
	(void)state;
	struct timers all;
	timers_init(&all);
	struct probe a = probe(&all, 'a'), b = probe(&all, 'b'), self = probe(&all, 's');
	a.other = &b, b.other = &a, self.other = &self;
	a.at = b.at = self.at = 0;
	assert_true(timer_set(&all, &a.timer, 10) && timer_set(&all, &self.timer, 11));
	assert_trail(&all, 11, "abs");
	assert_int_equal(timers_next(&all), 12);
	assert_trail(&all, 11, "");
	timers_fire(&all, 12);
	assert_int_equal(strlen(trail), 3); /* each once, in whatever order equals come */
	assert_int_equal(timers_next(&all), 13);
	timers_release(&all);
}

static void test_fire_may_cancel_another_that_is_due(void **state)
{
	(void)state;
	struct timers all;
	timers_init(&all);
	struct probe a = probe(&all, 'a'), b = probe(&all, 'b');
	a.other = &b, a.cancels = true;
	assert_true(timer_set(&all, &a.timer, 10) && timer_set(&all, &b.timer, 11));
	assert_trail(&all, 20, "a");
	assert_int_equal(timers_next(&all), MSEC_NEVER);
	timers_release(&all);
}

static void free_self(struct timer *timer) { free(timer); }

static void test_fire_may_free_itself(void **state)
{
	(void)state;
	struct timers all;
	timers_init(&all);
	for (int i = 0; i < 10; i++) {
		struct timer *t = calloc(1, sizeof(*t));
		t->fire = free_self;
		assert_true(timer_set(&all, t, i));
	}
	timers_fire(&all, 5);
	assert_int_equal(timers_next(&all), 6);
	timers_fire(&all, 100);
	assert_int_equal(timers_next(&all), MSEC_NEVER);
	timers_release(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order_and_when_due),
		cmocka_unit_test(test_set_again_moves_and_cancel_stops),
		cmocka_unit_test(test_one_at_zero_is_due_at_zero),
		cmocka_unit_test(test_what_fire_sets_for_now_fires_too),
		cmocka_unit_test(test_no_endless_round),
		cmocka_unit_test(test_fire_may_cancel_another_that_is_due),
		cmocka_unit_test(test_fire_may_free_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
