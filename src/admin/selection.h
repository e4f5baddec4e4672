/* Which messages of the queue a command speaks of: by id, sender, recipient, recipient's domain, or all.  */
#ifndef ADMIN_SELECTION_H
#define ADMIN_SELECTION_H

#include "admin/control.h"

struct selection {
	const json_t *ids; /* of the request; NULL: a sweep over all */
	struct str sender; /* "" is the null reverse-path */
	struct str recipient;
	struct str domain;
	bool by_sender, by_recipient, by_domain;
	size_t at_id;
	slot at;
};

/* Read it from the request: "ids": [..], "sender", "recipient", "domain", "all": true.  Strings are the request's.
 * everything: whether saying nothing means all.  False: the call was failed, with what is wrong.  */
bool selection_read(struct selection *s, struct control_call *call, bool everything);
/* The next message that may be meant; false: there is none.  *ret_id: an id that was asked for, else empty;
 * *ret_message 0: that id is not in the queue.  */
bool selection_next(
	struct selection *s, struct admin *admin, slot *ret_message, struct str *ret_id);
/* Whether the message (envelope) and its recipient are meant.  */
bool selection_has_message(const struct selection *s, const struct envelope *e);
bool selection_has_recipient(const struct selection *s, const struct recipient *r);

#endif
