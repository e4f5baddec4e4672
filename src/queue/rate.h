/* So many messages per time, spread evenly: a token bucket that holds one second's worth, or
 * one message.  */
#ifndef QUEUE_RATE_H
#define QUEUE_RATE_H

#include "route/rule.h"

struct rate {
	struct route_rate limit;
	int64_t burst; /* messages that may go at once */
	/* When the bucket is full again (monotonic), in 1/messages ms, so that nothing is
	 * rounded: the virtual scheduling of ITU-T I.371.  */
	__int128 full;
};

void rate_init(struct rate *r, struct route_rate limit);
/* Another limit; what was used stays used.  */
void rate_limit(struct rate *r, struct route_rate limit, msec now);
/* Messages that may go at now; at most burst, a large number without a limit.  */
uint32_t rate_tokens(const struct rate *r, msec now);
/* When at least one may go; 0 without a limit.  */
msec rate_when(const struct rate *r);
/* When nothing used is remembered any more.  */
msec rate_full(const struct rate *r);
void rate_take(struct rate *r, msec now);

#endif
