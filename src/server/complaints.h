/* What is wrong with a configuration: gathered, then said all at once in the order of the files' lines.  */
#ifndef SERVER_COMPLAINTS_H
#define SERVER_COMPLAINTS_H

#include "base/arena.h"
#include "base/buf.h"
#include "server/place.h"

struct complaint {
	struct place place;
	uint32_t order;
	struct str text;
	struct complaint *next;
};

struct complaints {
	struct arena *arena;
	struct complaint *newest;
	uint32_t count;
};

static inline void complaints_init(struct complaints *c, struct arena *arena)
{
	*c = (struct complaints){.arena = arena};
}
void complain(struct complaints *c, struct place place, const char *format, ...) PRINTF_LIKE(3, 4);
/* Append each as a line "FILE:LINE: text".  */
void complaints_print(const struct complaints *c, struct buf *out);

#endif
