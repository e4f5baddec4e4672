#include "base/arena.h"

enum { ALIGN = 16, LEAST_BLOCK = 1024, LARGEST_BLOCK = 64 * 1024 };

struct arena_block {
	struct arena_block *next;
	uint32_t pos; /* octets of data given out */
	uint32_t size;
	_Alignas(ALIGN) char data[];
};

void arena_release(struct arena *a)
{
	for (struct arena_block *block = a->first, *next; block; block = next) {
		next = block->next;
		free(block);
	}
	arena_init(a, a->max);
}

/* Blocks double, so that a small transaction is small and a large one does not call the allocator often.  */
static struct arena_block *add_block(struct arena *a, size_t need)
{
	size_t room = a->max - a->used;
	if (room < sizeof(struct arena_block) || need > room - sizeof(struct arena_block))
		return NULL;
	if (need > UINT32_MAX) return NULL;
	size_t total = a->used < LEAST_BLOCK ? LEAST_BLOCK : a->used;
	if (total > LARGEST_BLOCK) total = LARGEST_BLOCK;
	if (total < sizeof(struct arena_block) + need) total = sizeof(struct arena_block) + need;
	if (total > room) total = room;

	struct arena_block *block = calloc(1, total);
	if (!block) return NULL;
	block->size = (uint32_t)(total - sizeof(*block));
	block->next = a->first;
	a->first = block;
	a->used += total;
	return block;
}

void *arena_alloc(struct arena *a, size_t size)
{
	if (size > SIZE_MAX - ALIGN) return NULL;
	size_t need = (size + ALIGN - 1) / ALIGN * ALIGN;
	if (need == 0) need = ALIGN;
	struct arena_block *block = a->first;
	if (!block || block->size - block->pos < need) block = add_block(a, need);
	if (!block) return NULL;
	void *at = block->data + block->pos;
	block->pos += (uint32_t)need;
	return at;
}

bool arena_copy(struct arena *a, struct str s, struct str *ret_copy)
{
	if (s.len == SIZE_MAX) return false;
	char *copy = arena_alloc(a, s.len + 1);
	if (!copy) return false;
	if (s.len) memcpy(copy, s.ptr, s.len);
	*ret_copy = str_of(copy, s.len);
	return true;
}
