#include "base/heap.h"

enum { LEAST_CAP = 16 };

void heap_release(struct heap *h)
{
	for (uint32_t i = 0; i < h->len; i++) h->nodes[i]->place = 0;
	free(h->nodes);
	heap_init(h);
}

static void put(struct heap *h, uint32_t at, struct heap_node *n)
{
	h->nodes[at] = n;
	n->place = at + 1;
}

static void move_up(struct heap *h, uint32_t at, struct heap_node *n)
{
	while (at > 0) {
		uint32_t parent = (at - 1) / 2;
		if (h->nodes[parent]->key <= n->key) break;
		put(h, at, h->nodes[parent]);
		at = parent;
	}
	put(h, at, n);
}

static void move_down(struct heap *h, uint32_t at, struct heap_node *n)
{
	while (at < h->len / 2) {
		uint32_t child = 2 * at + 1;
		if (child + 1 < h->len && h->nodes[child + 1]->key < h->nodes[child]->key) child++;
		if (n->key <= h->nodes[child]->key) break;
		put(h, at, h->nodes[child]);
		at = child;
	}
	put(h, at, n);
}

/* Give n its place, starting at the free slot `at`.  */
static void settle(struct heap *h, uint32_t at, struct heap_node *n)
{
	if (at > 0 && n->key < h->nodes[(at - 1) / 2]->key)
		move_up(h, at, n);
	else
		move_down(h, at, n);
}

static bool grow(struct heap *h)
{
	if (h->cap > UINT32_MAX / 4) return false;
	uint32_t cap = h->cap ? h->cap * 2 : LEAST_CAP;
	struct heap_node **nodes = reallocarray(h->nodes, cap, sizeof(*nodes));
	if (!nodes) return false;
	h->nodes = nodes;
	h->cap = cap;
	return true;
}

bool heap_set(struct heap *h, struct heap_node *n, int64_t key)
{
	if (heap_has(n)) {
		ASSERT(n->place <= h->len && h->nodes[n->place - 1] == n);
		n->key = key;
		settle(h, n->place - 1, n);
		return true;
	}
	if (h->len == h->cap && !grow(h)) return false;
	n->key = key;
	move_up(h, h->len++, n);
	return true;
}

void heap_remove(struct heap *h, struct heap_node *n)
{
	if (!heap_has(n)) return;
	uint32_t at = n->place - 1;
	ASSERT(at < h->len && h->nodes[at] == n);
	n->place = 0;
	struct heap_node *last = h->nodes[--h->len];
	if (last != n) settle(h, at, last);
}
