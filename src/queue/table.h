/* Numbers for objects: a 32-bit handle where a pointer would be too large to keep a million
 * times.  */
#ifndef QUEUE_TABLE_H
#define QUEUE_TABLE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct table {
	uintptr_t *items; /* a pointer, or (next free << 1 | 1) */
	uint32_t cap;
	uint32_t used; /* highest number given so far */
	uint32_t free; /* 0: none */
};

static inline void table_init(struct table *t) { *t = (struct table){0}; }
void table_release(struct table *t);
/* A number for object, 1 at least; 0 when there is no memory.  Numbers are used again.  */
uint32_t MUST_CHECK table_add(struct table *t, void *object);
void table_remove(struct table *t, uint32_t number);
static inline void *table_get(const struct table *t, uint32_t number)
{
	ASSERT(number > 0 && number <= t->used && (t->items[number] & 1) == 0);
	return (void *)t->items[number];
}

#endif
