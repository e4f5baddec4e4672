/* A message of the queue as JSON.  */
#ifndef ADMIN_MESSAGE_VIEW_H
#define ADMIN_MESSAGE_VIEW_H

#include "admin/selection.h"

/* {id, sender, size, created, recipients: [{address, state, attempts, next_attempt, destination, reason}]}; with details
 * also {client, helo, account, tls, flags, damaged}.  selection: NULL, or only what it means; a message that it does
 * not mean gives NULL and *ret_skipped.  NULL without it: no memory.  */
json_t *message_view(struct admin *admin, slot message, const struct selection *selection,
	bool details, bool *ret_skipped);

#endif
