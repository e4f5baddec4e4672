/* A set of timers, driven from outside: pure, so that a simulated clock can drive it.  */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include "base/clock.h"
#include "base/heap.h"

/* Caller-owned, zero but for fire; one outstanding use.  fire may set, cancel or free its own and other timers.  */
struct timer {
	struct heap_node node;
	uint32_t round; /* in which it fired last */
	void (*fire)(struct timer *timer);
};

struct timers {
	struct heap heap;
	uint32_t round; /* counts calls of timers_fire */
	msec now;       /* of the last of them */
};

static inline void timers_init(struct timers *t) { *t = (struct timers){.round = 1}; }
static inline void timers_release(struct timers *t) { heap_release(&t->heap); }
static inline bool timer_is_set(const struct timer *t) { return heap_has(&t->node); }

/* Fire at `at` (again: moves it).  False when there is no memory for one more timer.  */
bool MUST_CHECK timer_set(struct timers *all, struct timer *timer, msec at);
void timer_cancel(struct timers *all, struct timer *timer);
/* When the earliest is due; MSEC_NEVER when none is set.  */
msec timers_next(const struct timers *all);
/* Fire, earliest first, what is due at now; also what those set for now or before, once each: a timer
 * that has fired and is set for now or before again is due one millisecond later.  */
void timers_fire(struct timers *all, msec now);

#endif
