/* In whose name an account may send.  Immutable once made.  */
#ifndef POLICY_SENDERS_H
#define POLICY_SENDERS_H

#include "policy/domain.h"

/* More than an account's own addresses.  */
struct sender_grant {
	struct str account;        /* lower case; "@example.com" is every account of that domain */
	const struct str *senders; /* addresses, "@example.org" (all of that domain), or "*" */
	uint32_t sender_count;
	struct map_node node;
};

struct senders {
	struct map grants; /* of struct sender_grant */
};

/* Whether account may say that it is address: its own name, with a separator and anything behind it too; an alias that leads to it
 * alone; or what is granted.  */
bool sender_allowed(const struct senders *senders, const struct domains *domains,
	struct str account, struct str address);

#endif
