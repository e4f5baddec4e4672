/* Who is due when: a timing wheel of seconds over the links of the recipients.
 *
 * Four levels of 256 buckets, one for each octet of the wall time in seconds; a bucket is a
 * list through spool_recipient.link, so that a waiting recipient costs no memory of its own
 * and entering and leaving cost the same however many wait.  What a turn of a wheel brings
 * down is handed on in slices.  */
#ifndef QUEUE_SCHEDULE_H
#define QUEUE_SCHEDULE_H

#include "spool/index.h"

enum { SCHEDULE_LEVELS = 4, SCHEDULE_BUCKETS = SCHEDULE_LEVELS * 256 };

struct schedule {
	struct spool_index *index;
	/* One more than there are: what was brought down and waits to be looked at.  */
	struct {
		slot first, last;
	} buckets[SCHEDULE_BUCKETS + 1];
	uint32_t filled[SCHEDULE_LEVELS]; /* buckets that are not empty */
	uint32_t now;                     /* wall, seconds; 0: not known yet */
	/* How far ahead (seconds) one that was tried before may be due; 0: no limit.  */
	uint32_t limit;
};

void schedule_init(struct schedule *s, struct spool_index *index);
/* Wait until r->due, or until the next schedule_next when that has passed.  */
void schedule_add(struct schedule *s, slot recipient);
void schedule_remove(struct schedule *s, slot recipient);
/* The next that is due at now (wall, seconds; what is less than before is taken as before),
 * taken out; 0: none, or *budget is used up.  One unit of budget is one recipient looked at.  */
slot schedule_next(struct schedule *s, uint32_t now, uint32_t *budget);
/* Wall second to call schedule_next at again: 0 is at once, UINT32_MAX never.  */
uint32_t schedule_when(const struct schedule *s);

#endif
