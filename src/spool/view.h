/* The inside of accept and state records, borrowed from the octets.  */
#ifndef SPOOL_VIEW_H
#define SPOOL_VIEW_H

#include "base/arena.h"
#include "mail/envelope.h"
#include "spool/record.h"

struct accept_view {
	struct disk_accept head;
	struct str states; /* a disk_recipient with its outcome for each; empty: all are new */
	struct str envelope;
	struct str chunks; /* array of disk_chunk, not aligned */
	struct str body;
};

/* False when the lengths do not fit together.  */
bool accept_view(struct str payload, struct accept_view *ret);

/* Take the state of one recipient from the front.  False at the end, or when it makes no sense.  */
bool take_recipient(struct str *states, struct disk_recipient *ret, struct str *ret_outcome);

#endif
