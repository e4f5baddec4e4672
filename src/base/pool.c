#include "base/pool.h"

/* What a free object holds in its first octets.  */
struct link {
	struct link *next;
};

void pool_init(struct pool *p, size_t size, size_t max, size_t keep)
{
	if (size < sizeof(struct link)) size = sizeof(struct link);
	*p = (struct pool){.size = size, .max = max, .keep = keep};
}

void pool_release(struct pool *p)
{
	for (struct link *link = p->free, *next; link; link = next) {
		next = link->next;
		free(link);
	}
	p->free = NULL;
	p->spare = 0;
}

void *pool_take(struct pool *p)
{
	if (p->in_use >= p->max) return NULL;
	struct link *object = p->free;
	if (object) {
		p->free = object->next;
		p->spare--;
	} else {
		object = malloc(p->size);
		if (!object) return NULL;
	}
	p->in_use++;
	return object;
}

void pool_give(struct pool *p, void *object)
{
	ASSERT(object && p->in_use > 0);
	p->in_use--;
	if (p->spare >= p->keep) {
		free(object);
		return;
	}
	struct link *link = object;
	link->next = p->free;
	p->free = link;
	p->spare++;
}
