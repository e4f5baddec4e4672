#include "route/latency.h"

#include "base/list.h"

enum {
	FAILURE_US = 30 * 1000 * 1000, /* what a failure to connect counts as */
};
static const msec believed = HOURS(1);

struct host {
	struct host *chain; /* next in its bucket */
	struct list used;   /* the most recently used is first */
	struct net_address address;
	uint32_t us;
	msec noted;
};

struct latency {
	struct host **buckets; /* as many as the next power of two of max */
	uint32_t bucket_mask;
	struct list used;
	uint32_t count;
	uint32_t max;
	uint64_t seed;
};

struct latency *latency_new(uint32_t max, uint64_t seed)
{
	ASSERT(max > 0 && max <= 1u << 24);
	uint32_t buckets = 1;
	while (buckets < max) buckets *= 2;
	struct latency *l = calloc(1, sizeof(*l));
	if (!l) return NULL;
	l->buckets = calloc(buckets, sizeof(struct host *));
	if (!l->buckets) {
		free(l);
		return NULL;
	}
	l->bucket_mask = buckets - 1;
	l->max = max;
	l->seed = seed;
	list_init(&l->used);
	return l;
}

void latency_free(struct latency *l)
{
	if (!l) return;
	for (struct list *node; (node = list_pop(&l->used));)
		free(CONTAINER_OF(node, struct host, used));
	free(l->buckets);
	free(l);
}

/* The link that points at the host, or at the NULL where its chain ends.  */
static struct host **find_link(const struct latency *l, const struct net_address *address)
{
	struct host **link = &l->buckets[net_hash_host(address, l->seed) & l->bucket_mask];
	while (*link && !net_same_host(&(*link)->address, address)) link = &(*link)->chain;
	return link;
}

/* Room for one more host: new memory, or the one that nobody used for longest.  */
static struct host *make_room(struct latency *l)
{
	if (l->count < l->max) {
		struct host *new = calloc(1, sizeof(*new));
		if (new) list_init(&new->used), l->count++;
		return new;
	}
	struct host *oldest = CONTAINER_OF(l->used.prev, struct host, used);
	list_remove(&oldest->used);
	*find_link(l, &oldest->address) = oldest->chain;
	return oldest;
}

void latency_note(struct latency *l, const struct net_address *address, uint32_t us, msec now)
{
	if (address->family == NET_UNIX || address->family == NET_NONE) return;
	if (us == 0) us = 1;
	struct host *h = *find_link(l, address);
	if (h) {
		/* The new counts for a quarter, and the more the older the rest is.  */
		msec age = now - h->noted;
		double weight = age >= believed ? 1 : 0.25 + 0.75 * (double)age / (double)believed;
		h->us = (uint32_t)(h->us + weight * ((double)us - h->us) + 0.5);
		list_remove(&h->used);
	} else {
		h = make_room(l);
		if (!h) return; /* then it stays unknown */
		h->address = *address;
		h->us = us;
		struct host **link = find_link(l, address);
		h->chain = *link;
		*link = h;
	}
	h->noted = now;
	list_push_front(&l->used, &h->used);
}

void latency_failed(struct latency *l, const struct net_address *address, msec now)
{
	latency_note(l, address, FAILURE_US, now);
}

uint32_t latency_of(const struct latency *l, const struct net_address *address, msec now)
{
	if (address->family == NET_UNIX || address->family == NET_NONE) return 0;
	const struct host *h = *find_link(l, address);
	return h && now - h->noted <= believed ? h->us : 0;
}
