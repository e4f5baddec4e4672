/* Local domains: who lives there, aliases, and what an address given to RCPT turns into.  Immutable once made.  */
#ifndef POLICY_DOMAIN_H
#define POLICY_DOMAIN_H

#include "base/arena.h"
#include "base/map.h"
#include "mail/address.h"

struct alias {
	struct str name; /* local part, lower case */
	const struct str
		*targets; /* whole addresses; a bare local part was completed with the domain */
	uint32_t target_count;
	struct map_node node;
};

struct local_domain {
	struct str name;      /* lower case */
	bool everyone;        /* users = "*": any local part */
	bool accounts;        /* users absent: those who have an account here */
	struct map users;     /* of struct local_user */
	struct map aliases;   /* of struct alias; "*" is the catch-all */
	struct str separator; /* one character, or empty */
	struct map_node node;
};

struct local_user {
	struct str name;
	struct map_node node;
};

struct domains {
	struct map names; /* of struct local_domain */
	/* Whether local@domain has an account; NULL: nobody has.  */
	bool (*account)(void *context, struct str local, struct str domain);
	void *context;
};

/* The local domain of this name, without regard to case; NULL: it is not ours.  */
const struct local_domain *domain_find(const struct domains *d, struct str name);

/* The one whose name comes first in the alphabet, the same at every start; NULL: there is none.  */
const struct local_domain *domains_first(const struct domains *d);

enum expand_result {
	EXPAND_FOREIGN, /* not a local domain */
	EXPAND_UNKNOWN, /* local, and there is no such user: 550 5.1.1 */
	EXPAND_DONE,
	EXPAND_TOO_MANY, /* over max: 452 4.5.3 */
	EXPAND_NO_MEMORY,
};

/* What a forward-path stands for: itself, or what its aliases lead to, foreign addresses among them, each once, in order.
 * Strings in arena.  Matching is without regard to case; "alice+x" is looked up whole, then as "alice" (and is kept as written
 * in the address, so that a mailbox may tell them apart; the mailbox user is found by domain_mailbox).  postmaster exists in any
 * domain.  ret_addresses: the caller's array, room for max.  */
enum expand_result domain_expand(const struct domains *d, const struct address *a, uint32_t max,
	struct arena *arena, struct str *ret_addresses, uint32_t *ret_count);

/* The mailbox's user of an address in this domain: lower case, unquoted, without separator and what follows it.  */
bool domain_mailbox(const struct local_domain *d, const struct address *a, struct buf *out);

/* Check all aliases of all domains for loops and for targets that do not exist: for each, complain(context, domain, alias, why).
 * Returns how many.  */
uint32_t domains_check(const struct domains *d,
	void (*complain)(void *context, struct str domain, struct str alias, struct str why),
	void *context);

#endif
