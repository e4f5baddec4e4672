/* The server core and the client core against each other, thousands of sessions by seed.  */
#include "smtp/pair_play_test.h"

#include "base/rng.h"

enum { ROUNDS = 6000 };

struct rng_dice {
	struct dice dice;
	struct rng rng;
};

static uint64_t roll(struct dice *dice, uint64_t n)
{
	return rng_below(&CONTAINER_OF(dice, struct rng_dice, dice)->rng, n);
}

static void test_what_is_sent_arrives(void **state)
{
	(void)state;
	unsigned delivered = 0, doubtful = 0;
	for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
		struct rng_dice dice = {.dice.below = roll};
		rng_init(&dice.rng, seed);
		unsigned how = seed & (PAIR_PIPELINING | PAIR_CHUNKING);
		if (seed % 5 == 0) how |= PAIR_HARSH;
		if (seed % 7 == 0) how |= PAIR_GARBLE;
		run_session(&dice.dice, how, &delivered, &doubtful);
	}
	/* The dice were not loaded: most arrives, and some broke at the worst moment.  */
	assert_true(delivered > 3 * ROUNDS);
	assert_true(doubtful > ROUNDS / 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_sent_arrives),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
