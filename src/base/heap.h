/* Intrusive binary heap: the node with the least key is first.  */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
	int64_t key;
	uint32_t place; /* index + 1; 0 is in no heap */
};

struct heap {
	struct heap_node **nodes;
	uint32_t len;
	uint32_t cap;
};

static inline void heap_init(struct heap *h) { *h = (struct heap){0}; }
void heap_release(struct heap *h);

static inline bool heap_has(const struct heap_node *n) { return n->place != 0; }
static inline struct heap_node *heap_first(const struct heap *h)
{
	return h->len ? h->nodes[0] : NULL;
}

/* Put n in, or move it, to key.  False when there is no memory (only when n was not in).  */
bool MUST_CHECK heap_set(struct heap *h, struct heap_node *n, int64_t key);
/* Take n out; harmless when it is in no heap.  */
void heap_remove(struct heap *h, struct heap_node *n);

#endif
