/* Who guesses passwords: failed logins of each client address (IPv6: of its /64) over all its sessions.  Each is answered later than
 * the one before; past a limit the client is refused for a while, and every time twice as long.  Bounded: of too many
 * clients those are forgotten whose last failure is the longest ago.  */
#ifndef POLICY_GUARD_H
#define POLICY_GUARD_H

#include "base/clock.h"
#include "base/list.h"
#include "policy/access.h"

struct guard_options {
	uint32_t failures; /* within `pause`; 0: nobody is ever refused */
	msec pause;        /* how long a client is refused the first time */
};

struct guard {
	struct guard_options options;
	struct map clients;
	struct list order; /* the longest ago first */
	uint32_t max;
};

void guard_init(struct guard *g, uint32_t max, uint64_t seed);
void guard_release(struct guard *g);

struct guard_verdict {
	msec delay;        /* before the refusal is said */
	uint32_t failures; /* that are remembered of the client */
	msec refused_for;  /* this one was one too many; 0: it was not */
};
/* A login has failed.  tried: a hash of account and password, 0 when that is not known: the very same as the last time is no
 * further guess, but a program with an old password.  */
struct guard_verdict guard_failed(
	struct guard *g, const struct net_address *client, uint64_t tried, msec now);
/* Whether the client may not even try.  */
bool guard_refuses(struct guard *g, const struct net_address *client, msec now);

#endif
