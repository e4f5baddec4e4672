#include "base/timer.h"

bool timer_set(struct timers *all, struct timer *timer, msec at)
{
	/* Fired in this round already: now is too early, or two timers could chase each other for ever.  */
	if (timer->round == all->round && at <= all->now) at = all->now + 1;
	return heap_set(&all->heap, &timer->node, at);
}

void timer_cancel(struct timers *all, struct timer *timer)
{
	heap_remove(&all->heap, &timer->node);
}

msec timers_next(const struct timers *all)
{
	const struct heap_node *first = heap_first(&all->heap);
	return first ? first->key : MSEC_NEVER;
}

void timers_fire(struct timers *all, msec now)
{
	ASSERT(now < MSEC_NEVER);
	all->round++;
	all->now = now;
	struct heap_node *first;
	while ((first = heap_first(&all->heap)) && first->key <= now) {
		struct timer *timer = CONTAINER_OF(first, struct timer, node);
		heap_remove(&all->heap, first);
		timer->round = all->round;
		timer->fire(timer);
	}
}
