/* Hash map from text to a caller-owned node; keys compare without regard to ASCII case.  */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"

struct map_node {
	struct map_node *next;
	uint64_t hash;
	struct str key; /* kept until the node is removed; owned by who owns the node */
};

struct map {
	struct map_node **buckets;
	size_t cap; /* power of two, or 0 */
	size_t len;
	uint64_t seed;
};

static inline void map_init(struct map *m, uint64_t seed) { *m = (struct map){.seed = seed}; }
/* Frees the table; the nodes are their owners'.  */
void map_release(struct map *m);

/* The node of key; NULL when there is none.  */
struct map_node *map_find(const struct map *m, struct str key);
/* The key must not be in yet.  False when there is no memory.  */
bool MUST_CHECK map_insert(struct map *m, struct map_node *node, struct str key);
/* Take out a node that is in.  */
void map_remove(struct map *m, struct map_node *node);
/* Visit all: map_next(m, NULL) is the first, NULL the end.  Removing the visited node is not allowed.  */
struct map_node *map_next(const struct map *m, const struct map_node *node);

#endif
