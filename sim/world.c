#include "sim/world.h"

#include "base/code.h"

void world_release(struct world *w) { heap_release(&w->events); }

void world_init(struct world *w, uint64_t seed, bool verbose)
{
	*w = (struct world){.verbose = verbose, .trace = seed, .now_us = 1000000};
	rng_init(&w->rng, seed);
}

void world_plan(struct world *w, struct sim_event *event, int64_t at_us)
{
	bool planned = heap_set(&w->events, &event->node, at_us < w->now_us ? w->now_us : at_us);
	ASSERT(planned);
}

bool world_step(struct world *w)
{
	struct heap_node *node = heap_first(&w->events);
	if (!node || w->halted) return false;
	struct sim_event *event = CONTAINER_OF(node, struct sim_event, node);
	ASSERT(node->key >= w->now_us);
	w->now_us = node->key;
	w->steps++;
	heap_remove(&w->events, node);
	event->fire(event);
	return true;
}

static void mix(struct world *w, uint64_t value)
{
	uint64_t z = (w->trace ^ value) * 0x9e3779b97f4a7c15;
	w->trace = z ^ z >> 29;
}

void world_note(struct world *w, const char *what, uint64_t a, uint64_t b)
{
	mix(w, (uint64_t)w->now_us);
	mix(w, str_hash(str_from_c(what), 0));
	mix(w, a);
	mix(w, b);
	if (w->verbose)
		fprintf(stderr, "%12.6f %s %llu %llu\n", (double)w->now_us / 1e6, what,
			(unsigned long long)a, (unsigned long long)b);
}

void world_tell(struct world *w, const char *what, struct str text)
{
	mix(w, (uint64_t)w->now_us);
	mix(w, str_hash(str_from_c(what), 0));
	mix(w, str_hash(text, 0));
	if (w->verbose)
		fprintf(stderr, "%12.6f %s " STR_FMT "\n", (double)w->now_us / 1e6, what,
			STR_ARG(text));
}

int64_t sim_skewed(struct rng *r, int64_t least, int64_t most)
{
	ASSERT(least <= most);
	uint64_t span = (uint64_t)(most - least);
	int digits = span == 0 ? 0 : 64 - __builtin_clzll(span);
	uint64_t below = digits == 0 ? 0 : 1ull << rng_below(r, (uint64_t)digits + 1);
	uint64_t value = below == 0 ? 0 : rng_below(r, below);
	return least + (int64_t)(value > span ? span : value);
}
