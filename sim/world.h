/* The second world: one virtual clock, one queue of events, one source of chance.  Everything that happens in a
 * simulation happens in an event; what has the same seed happens in the same order, and the trace, a hash over
 * all of it, says so.  */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "base/heap.h"
#include "base/rng.h"
#include "base/str.h"

/* Caller-owned, zero but for fire; one outstanding use.  fire may plan it again, or free it.  */
struct sim_event {
	struct heap_node node;
	void (*fire)(struct sim_event *event);
};

struct fiber;

struct world {
	struct rng rng; /* of the order of things; workload and faults have their own */
	int64_t now_us;
	struct heap events;
	uint64_t trace;
	uint64_t steps;
	bool halted;  /* world_step does nothing more */
	bool verbose; /* tell every note on standard error */
	/* Of sim_workers.c.  */
	struct fiber *running; /* whose code runs now; NULL: a loop's */
	struct fiber *spare;
};

void world_init(struct world *w, uint64_t seed, bool verbose);
void world_release(struct world *w);

/* Plan event (again: move it) for at_us, not before now.  */
void world_plan(struct world *w, struct sim_event *event, int64_t at_us);
static inline void world_forget(struct world *w, struct sim_event *event)
{
	heap_remove(&w->events, &event->node);
}
/* Let the next event happen.  False: there is none, or the world was halted.  */
bool world_step(struct world *w);

/* Add to the trace.  what: a constant.  */
void world_note(struct world *w, const char *what, uint64_t a, uint64_t b);
/* The same of text, which is hashed too.  */
void world_tell(struct world *w, const char *what, struct str text);

/* Chance, from r.  */
static inline bool sim_chance(struct rng *r, double p) { return p > 0 && rng_unit(r) < p; }
/* Evenly in least..most.  */
static inline int64_t sim_between(struct rng *r, int64_t least, int64_t most)
{
	return least + (int64_t)rng_below(r, (uint64_t)(most - least) + 1);
}
/* From least to most, small ones the likelier: even in the number of digits.  */
int64_t sim_skewed(struct rng *r, int64_t least, int64_t most);

#endif
