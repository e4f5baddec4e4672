/* A lookup under way: shared by router.c (which asks) and targets.c (which chooses from the
 * answers).  */
#ifndef ROUTE_LOOKUP_H
#define ROUTE_LOOKUP_H

#include "route/router.h"

struct router {
	struct io *io;
	struct router_options options;
	struct rng rng;
};

/* Of A or AAAA, for one host.  */
struct question {
	struct resolver_query query;
	struct host *host;
};

enum { HOST_ADDRESSES_MAX = 16 };

/* A mail exchanger, a configured host, or the domain itself.  */
struct host {
	char name[256];
	uint16_t preference;
	uint16_t port;
	bool ours;    /* this server: by name, or by an address */
	bool failed;  /* an answer about it did not come, or is not to be believed */
	bool secure;  /* its name and all its addresses so far were validated */
	char why[96]; /* what failed */
	struct question questions[2];
	struct route_lookup_private *lookup;
	uint32_t count;
	struct net_address addresses[HOST_ADDRESSES_MAX];
};

struct route_lookup_private {
	struct router *router;
	struct route_lookup *lookup;
	struct resolver_query mx;
	struct timer timer; /* to be done soon, or to wait no longer for what is missing */
	bool over;          /* the verdict stands; the timer tells it */
	bool configured;    /* the hosts stand in the rule: SMTP or LMTP */
	bool by_latency;
	bool allow_loopback;
	uint16_t port;
	bool looped;      /* something was dropped because it leads back here */
	uint32_t pending; /* questions */
	uint32_t host_count;
	struct host *hosts;
	char socket[108]; /* a path, LMTP */
	char text[512];   /* of the failure */
};

/* The verdict, from what is known: l->targets, or l->failure.  */
void route_choose_targets(struct route_lookup_private *p);
/* l->failure with words made of format.  */
void route_fail(struct route_lookup_private *p, enum outcome_class class, const char *enhanced,
	const char *format, ...) PRINTF_LIKE(4, 5) __attribute__((nonnull(4)));
bool route_is_our_name(const struct router *r, const char *name);

#endif
