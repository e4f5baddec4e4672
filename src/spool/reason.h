/* The chain of state records of a message, from the last one back.  */
#ifndef SPOOL_REASON_H
#define SPOOL_REASON_H

#include "spool/internal.h"
#include "spool/view.h"

struct chain {
	struct spool *spool;
	uint64_t id;
	uint32_t number;            /* of the segment of the next record to be read; 0: the end */
	uint32_t offset;            /* / 8 */
	uint64_t accept_generation; /* what lies before the accept record is in it */
	uint32_t accept_offset;
	int error; /* the chain goes on, but could not be read: a negative errno */
	struct buf record;
};

/* Then set where it begins, and where the accept record is.  */
void chain_init(struct chain *c, struct spool *s, uint64_t id);
void chain_release(struct chain *c);
/* The next record that is on disk, newest first; its recipients, borrowed until the next call.
 * False at the end.  Reads files: on any thread, while no segment is freed.  */
bool chain_next(struct chain *c, struct str *ret_recipients, uint32_t *ret_segment);

#endif
