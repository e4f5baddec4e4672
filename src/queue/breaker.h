/* The mass-return breaker: a next hop that begins to refuse everything for good is more likely
 * broken than right.
 *
 * It counts messages that the next hop itself refused with 5xx, in a row.  One whose refusals
 * are all about the mailbox (5.1.x but 5.1.8, 5.2.x: unknown, disabled or full user) counts a
 * quarter: a list with dead addresses is common, a next hop that lost all its users is not.  A
 * deferral does not end the row, a delivery does.  */
#ifndef QUEUE_BREAKER_H
#define QUEUE_BREAKER_H

#include "base/clock.h"
#include "mail/status.h"

struct breaker {
	uint32_t score;  /* quarters of a message */
	uint32_t pauses; /* since the last delivery */
	bool open;       /* the destination is paused */
};

enum breaker_weight {
	BREAKER_DELIVERED = -1,
	BREAKER_NEUTRAL = 0,
	BREAKER_MAILBOX = 1,
	BREAKER_REFUSED = 4
};

/* What the outcomes of one message say of the next hop.  */
enum breaker_weight breaker_weigh(const struct outcome *outcomes, uint32_t count);
/* Count it.  True when the breaker opens, now or again (a probe was refused).  messages: the
 * limit; 0: never.  A delivery closes it and forgets everything.  */
bool breaker_count(struct breaker *b, enum breaker_weight weight, uint32_t messages);
/* How long the pause that began last is to be: 15 minutes, doubling up to 4 hours.  */
msec breaker_pause(const struct breaker *b);

#endif
