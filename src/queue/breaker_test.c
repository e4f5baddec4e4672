#include "queue/breaker.h"

#include "base/test.h"

static struct outcome answer(
	enum outcome_class class, uint16_t code, uint16_t subject, uint16_t detail)
{
	return (struct outcome){.class = class,
		.code = code,
		.enhanced = {(uint8_t)(code / 100), subject, detail},
		.remote = true};
}

static void weighs_what_a_message_got(void **state)
{
	(void)state;
	struct outcome refused = answer(OUTCOME_FAILED, 554, 7, 1),
		       unknown = answer(OUTCOME_FAILED, 550, 1, 1);
	struct outcome full = answer(OUTCOME_FAILED, 552, 2, 2),
		       sender = answer(OUTCOME_FAILED, 550, 1, 8);
	struct outcome deferred = answer(OUTCOME_DEFERRED, 451, 7, 1),
		       delivered = answer(OUTCOME_DELIVERED, 250, 0, 0);
	struct outcome ours = outcome_local(OUTCOME_FAILED, "5.1.2", STR("no such domain")),
		       bare = refused;
	bare.enhanced = (struct enhanced){0};
	assert_int_equal(breaker_weigh(&refused, 1), BREAKER_REFUSED);
	assert_int_equal(breaker_weigh(&bare, 1), BREAKER_REFUSED);
	assert_int_equal(breaker_weigh(&sender, 1), BREAKER_REFUSED);
	assert_int_equal(breaker_weigh(&unknown, 1), BREAKER_MAILBOX);
	assert_int_equal(breaker_weigh(&full, 1), BREAKER_MAILBOX);
	assert_int_equal(breaker_weigh(&deferred, 1), BREAKER_NEUTRAL);
	assert_int_equal(breaker_weigh(&ours, 1), BREAKER_NEUTRAL);
	assert_int_equal(breaker_weigh(&delivered, 1), BREAKER_DELIVERED);
	struct outcome mixed[] = {unknown, refused, deferred};
	assert_int_equal(breaker_weigh(mixed, 3), BREAKER_REFUSED);
	mixed[2] = delivered;
	assert_int_equal(breaker_weigh(mixed, 3), BREAKER_DELIVERED);
}

static void opens_at_the_limit_and_a_delivery_closes_it(void **state)
{
	(void)state;
	struct breaker b = {0};
	for (int i = 0; i < 9; i++) assert_false(breaker_count(&b, BREAKER_REFUSED, 10));
	assert_false(breaker_count(&b, BREAKER_NEUTRAL, 10));
	assert_true(breaker_count(&b, BREAKER_REFUSED, 10));
	assert_true(b.open);
	assert_int_equal(breaker_pause(&b), MINUTES(15));
	static const msec pauses[] = {MINUTES(30), HOURS(1), HOURS(2), HOURS(4), HOURS(4)};
	for (size_t i = 0; i < ARRAY_LEN(pauses); i++) {
		assert_true(breaker_count(&b, BREAKER_MAILBOX, 10));
		assert_int_equal(breaker_pause(&b), pauses[i]);
	}
	assert_false(breaker_count(&b, BREAKER_DELIVERED, 10));
	assert_false(b.open);
	for (int i = 0; i < 9; i++) assert_false(breaker_count(&b, BREAKER_REFUSED, 10));
	assert_false(breaker_count(&b, BREAKER_DELIVERED, 10));
	assert_false(breaker_count(&b, BREAKER_REFUSED, 10));
}

static void unknown_users_count_a_quarter(void **state)
{
	(void)state;
	struct breaker b = {0};
	for (int i = 0; i < 39; i++) assert_false(breaker_count(&b, BREAKER_MAILBOX, 10));
	assert_true(breaker_count(&b, BREAKER_MAILBOX, 10));
}

static void no_limit_never_opens(void **state)
{
	(void)state;
	struct breaker b = {0};
	for (int i = 0; i < 1000; i++) assert_false(breaker_count(&b, BREAKER_REFUSED, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(weighs_what_a_message_got),
		cmocka_unit_test(opens_at_the_limit_and_a_delivery_closes_it),
		cmocka_unit_test(unknown_users_count_a_quarter),
		cmocka_unit_test(no_limit_never_opens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
