/* Intrusive, circular, doubly linked list.  A node that is in no list points at itself.  */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev;
	struct list *next;
};

static inline void list_init(struct list *l) { l->prev = l->next = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }

static inline void list_push_back(struct list *l, struct list *node)
{
	node->prev = l->prev;
	node->next = l;
	l->prev->next = node;
	l->prev = node;
}

static inline void list_push_front(struct list *l, struct list *node)
{
	list_push_back(l->next, node);
}

/* Take node out of whatever list it is in; harmless when it is in none.  */
static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* The first node, taken out; NULL when the list is empty.  */
static inline struct list *list_pop(struct list *l)
{
	struct list *node = l->next;
	if (node == l) return NULL;
	list_remove(node);
	return node;
}

#define LIST_EACH(l, node) for (struct list *node = (l)->next; node != (l); node = node->next)
/* The same where the body may remove node.  */
#define LIST_EACH_SAFE(l, node)                                                                    \
	for (struct list *node = (l)->next, *node##_next = node->next; node != (l);                \
		node = node##_next, node##_next = node->next)

#endif
