#include "queue/table.h"

enum { LEAST_CAP = 16 };

void table_release(struct table *t)
{
	free(t->items);
	table_init(t);
}

static bool grow(struct table *t)
{
	if (t->cap > UINT32_MAX / 4) return false;
	uint32_t cap = t->cap ? t->cap * 2 : LEAST_CAP;
	uintptr_t *items = reallocarray(t->items, cap, sizeof(*items));
	if (!items) return false;
	t->items = items;
	t->cap = cap;
	return true;
}

uint32_t table_add(struct table *t, void *object)
{
	ASSERT(object && ((uintptr_t)object & 1) == 0);
	uint32_t number = t->free;
	if (number) {
		t->free = (uint32_t)(t->items[number] >> 1);
	} else {
		if (t->used + 1 >= t->cap && !grow(t)) return 0;
		number = ++t->used;
	}
	t->items[number] = (uintptr_t)object;
	return number;
}

void table_remove(struct table *t, uint32_t number)
{
	ASSERT(table_get(t, number));
	t->items[number] = (uintptr_t)t->free << 1 | 1;
	t->free = number;
}
