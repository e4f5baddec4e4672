/* Objects of one size, reused, with a maximum: a dry pool is an answer (452), not a crash.  */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct pool {
	void *free;
	size_t size; /* of one object, octets */
	size_t in_use;
	size_t spare; /* objects kept free */
	size_t max;   /* in use at once */
	size_t keep;  /* at most so many are kept free; more go back to the system */
};

void pool_init(struct pool *p, size_t size, size_t max, size_t keep);
void pool_release(struct pool *p);
/* Contents are undefined.  NULL when max are in use or memory is out.  */
void *pool_take(struct pool *p);
void pool_give(struct pool *p, void *object);

#endif
