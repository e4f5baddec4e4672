#include "base/map.h"

enum { LEAST_CAP = 16 };

void map_release(struct map *m)
{
	free(m->buckets);
	map_init(m, m->seed);
}

static struct map_node **bucket(const struct map *m, uint64_t hash)
{
	return &m->buckets[hash & (m->cap - 1)];
}

/* The link that points at the node of key, or at the NULL where its chain ends.  */
static struct map_node **find_link(const struct map *m, struct str key, uint64_t hash)
{
	struct map_node **link = bucket(m, hash);
	while (*link && !((*link)->hash == hash && str_ieq((*link)->key, key)))
		link = &(*link)->next;
	return link;
}

struct map_node *map_find(const struct map *m, struct str key)
{
	if (m->len == 0) return NULL;
	return *find_link(m, key, str_ihash(key, m->seed));
}

static bool grow(struct map *m)
{
	struct map old = *m;
	size_t cap = old.cap ? old.cap * 2 : LEAST_CAP;
	struct map_node **buckets = calloc(cap, sizeof(struct map_node *));
	if (!buckets) return false;
	m->buckets = buckets;
	m->cap = cap;
	for (size_t i = 0; i < old.cap; i++) {
		for (struct map_node *node = old.buckets[i], *next; node; node = next) {
			next = node->next;
			struct map_node **place = bucket(m, node->hash);
			node->next = *place;
			*place = node;
		}
	}
	free(old.buckets);
	return true;
}

bool map_insert(struct map *m, struct map_node *node, struct str key)
{
	/* A full table that cannot grow only gets slower.  */
	if (m->len >= m->cap && !grow(m) && m->cap == 0) return false;
	uint64_t hash = str_ihash(key, m->seed);
	struct map_node **link = find_link(m, key, hash);
	ASSERT(*link == NULL);
	*node = (struct map_node){.hash = hash, .key = key};
	*link = node;
	m->len++;
	return true;
}

void map_remove(struct map *m, struct map_node *node)
{
	ASSERT(m->len > 0);
	struct map_node **link = bucket(m, node->hash);
	while (*link && *link != node) link = &(*link)->next;
	ASSERT(*link == node);
	*link = node->next;
	node->next = NULL;
	m->len--;
}

struct map_node *map_next(const struct map *m, const struct map_node *node)
{
	if (node && node->next) return node->next;
	size_t i = node ? (node->hash & (m->cap - 1)) + 1 : 0;
	while (i < m->cap && !m->buckets[i]) i++;
	return i < m->cap ? m->buckets[i] : NULL;
}
