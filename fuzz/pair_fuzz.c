/* The server's core against the client's: whatever the verdicts, the splits and the moment at which the
 * line breaks, what one says the other understands.
 *
 * Input: an octet of what is offered, then all decisions; when they have run out, chance decides.  */
#include "fuzz/asserts.h"

#include "base/rng.h"
#include "smtp/pair_play_test.h"

struct script_dice {
	struct dice dice;
	struct str script;
	struct rng rng;
};

static uint64_t roll(struct dice *dice, uint64_t n)
{
	struct script_dice *d = CONTAINER_OF(dice, struct script_dice, dice);
	/* Long contents are for the unit test.  */
	if (n > 5000) n = 5000;
	if (!d->script.len) return rng_below(&d->rng, n);
	return fuzz_below(&d->script, (uint32_t)n);
}

void fuzz_one(struct str in)
{
	struct script_dice d = {.dice.below = roll};
	unsigned how = fuzz_octet(&in), delivered = 0, doubtful = 0;
	d.script = in;
	rng_init(&d.rng, how);
	run_session(&d.dice, how & 15, &delivered, &doubtful);
}
