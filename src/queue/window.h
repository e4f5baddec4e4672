/* How many connections a destination bears: a window that its answers open and shut.  */
#ifndef QUEUE_WINDOW_H
#define QUEUE_WINDOW_H

#include <stdint.h>

struct window {
	uint32_t size; /* connections that may be open now, 1..max */
	uint32_t max;
	/* Up to here each success opens it by one, beyond, each `size` of them do.  */
	uint32_t threshold;
	uint32_t successes; /* beyond threshold, since the last growth */
	uint32_t grace; /* failures that count no more: they were under way when it was halved */
};

enum { WINDOW_START = 5 };

/* max 0 counts as 1.  */
void window_init(struct window *w, uint32_t max);
/* The configured limit has changed.  */
void window_limit(struct window *w, uint32_t max);
void window_served(struct window *w);
/* under_way: connections that were open or being opened, the failed one among them; the
 * others' failures are the same one.  */
void window_failed(struct window *w, uint32_t under_way);

#endif
