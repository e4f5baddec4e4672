/* How long to wait before the next try.  */
#ifndef QUEUE_BACKOFF_H
#define QUEUE_BACKOFF_H

#include "base/clock.h"
#include "base/rng.h"

enum { BACKOFF_LONGEST_MS = 3600 * 1000 };

/* A message that was tried `attempts` times (1 at least): the table's entry, the last repeats,
 * 10 % more or less by chance, so that what failed together does not come back together.  An
 * empty table is a minute.  */
msec backoff_message(const msec *table, uint32_t count, uint32_t attempts, struct rng *rng);
/* A destination that failed so many times in a row: the same table, but never more than an
 * hour, for one probe costs little and all its mail waits for it.  */
msec backoff_destination(const msec *table, uint32_t count, uint32_t failures, struct rng *rng);

#endif
