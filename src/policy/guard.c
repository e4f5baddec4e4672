#include "policy/guard.h"

#include <stdlib.h>

enum {
	DELAY_MS = 1000, /* after the first failure; it doubles */
	DELAY_DOUBLINGS = 4,
	PAUSE_DOUBLINGS = 5,
};

struct guesser {
	struct map_node node;
	struct list link;
	msec forgotten; /* when no failure is remembered any more: each of them lasts its share of a pause */
	msec refused_until;
	msec forgiven; /* when the next pause is as short as the first again */
	uint32_t pauses;
	uint64_t tried;
	char key[ACCESS_KEY];
};

void guard_init(struct guard *g, uint32_t max, uint64_t seed)
{
	*g = (struct guard){.max = max};
	map_init(&g->clients, seed);
	list_init(&g->order);
}

static void forget(struct guard *g, struct guesser *c)
{
	map_remove(&g->clients, &c->node);
	list_remove(&c->link);
	free(c);
}

void guard_release(struct guard *g)
{
	while (!list_empty(&g->order)) forget(g, CONTAINER_OF(g->order.next, struct guesser, link));
	map_release(&g->clients);
}

static struct guesser *find(struct guard *g, const struct net_address *client)
{
	char key[ACCESS_KEY];
	struct map_node *node = map_find(&g->clients, access_key(client, key));
	return node ? CONTAINER_OF(node, struct guesser, node) : NULL;
}

static struct guesser *remember(struct guard *g, const struct net_address *client)
{
	struct guesser *c = find(g, client);
	if (!c && g->clients.len >= g->max)
		forget(g, CONTAINER_OF(g->order.next, struct guesser, link));
	if (!c && (c = calloc(1, sizeof *c))) {
		list_init(&c->link);
		if (!map_insert(&g->clients, &c->node, access_key(client, c->key))) {
			free(c);
			return NULL;
		}
	}
	if (!c) return NULL;
	list_remove(&c->link);
	list_push_back(&g->order, &c->link);
	return c;
}

static msec delay_of(uint32_t failures)
{
	uint32_t doublings = failures ? failures - 1 : 0;
	return (msec)DELAY_MS << (doublings < DELAY_DOUBLINGS ? doublings : DELAY_DOUBLINGS);
}

static void refuse(struct guard *g, struct guesser *c, msec now, struct guard_verdict *verdict)
{
	if (c->forgiven <= now) c->pauses = 0;
	verdict->refused_for = g->options.pause << c->pauses;
	if (c->pauses < PAUSE_DOUBLINGS) c->pauses++;
	c->refused_until = now + verdict->refused_for;
	c->forgiven = c->refused_until + verdict->refused_for;
	c->forgotten = now;
}

struct guard_verdict guard_failed(
	struct guard *g, const struct net_address *client, uint64_t tried, msec now)
{
	const struct guard_options *o = &g->options;
	struct guesser *c = remember(g, client);
	if (!c) return (struct guard_verdict){.delay = delay_of(DELAY_DOUBLINGS)};
	msec lasts = o->failures ? o->pause / o->failures : MINUTES(1);
	if (c->forgotten < now) c->forgotten = now;
	if (!tried || tried != c->tried) c->forgotten += lasts;
	c->tried = tried;
	struct guard_verdict verdict = {
		.failures = (uint32_t)((c->forgotten - now + lasts - 1) / lasts)};
	verdict.delay = delay_of(verdict.failures);
	if (o->failures && verdict.failures >= o->failures && c->refused_until <= now)
		refuse(g, c, now, &verdict);
	return verdict;
}

bool guard_refuses(struct guard *g, const struct net_address *client, msec now)
{
	const struct guesser *c = find(g, client);
	return c && now < c->refused_until;
}
