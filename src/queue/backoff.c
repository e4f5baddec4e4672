#include "queue/backoff.h"

static msec entry(const msec *table, uint32_t count, uint32_t tries)
{
	if (count == 0) return MINUTES(1);
	if (tries == 0) tries = 1;
	return table[tries < count ? tries - 1 : count - 1];
}

static msec jitter(msec span, struct rng *rng)
{
	return span - span / 10 + (msec)rng_below(rng, (uint64_t)(span / 5) + 1);
}

msec backoff_message(const msec *table, uint32_t count, uint32_t attempts, struct rng *rng)
{
	return jitter(entry(table, count, attempts), rng);
}

msec backoff_destination(const msec *table, uint32_t count, uint32_t failures, struct rng *rng)
{
	msec span = entry(table, count, failures);
	return jitter(span < BACKOFF_LONGEST_MS ? span : BACKOFF_LONGEST_MS, rng);
}
