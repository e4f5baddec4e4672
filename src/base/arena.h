/* Memory with one end of life: allocations of a transaction, freed together.  */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

struct arena_block;

struct arena {
	struct arena_block *first; /* newest block */
	size_t used;               /* octets taken from the system */
	size_t max;
};

/* No memory is taken before the first allocation; never more than max in all.  */
static inline void arena_init(struct arena *a, size_t max) { *a = (struct arena){.max = max}; }
void arena_release(struct arena *a);

/* size octets, zeroed, aligned to 16.  NULL when max is reached or memory is out.  */
void *arena_alloc(struct arena *a, size_t size);
/* A copy of s, followed by a NUL that is not counted.  False when there is no memory.  */
bool MUST_CHECK arena_copy(struct arena *a, struct str s, struct str *ret_copy);

#endif
