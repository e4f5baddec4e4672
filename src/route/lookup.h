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

/* Of A, AAAA or TLSA, for one host.  */
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
	/* DANE: tlsa.c */
	struct question tlsa;
	bool dane_begun;
	bool alias_secure; /* its name alone was validated, what it is an alias of was not */
	enum tlsa_state tlsa_state;
	char tlsa_base[256]; /* the name that is asked for records */
	struct tls_tlsa *records;
	uint32_t record_count;
	struct security security; /* the verdict */
};

struct route_lookup_private {
	struct router *router;
	struct route_lookup *lookup;
	struct resolver_query mx;
	struct mtasts_lookup sts;
	bool sts_open;      /* the verdict waits for it */
	bool ready;         /* and for nothing else */
	struct timer timer; /* to be done soon, or to wait no longer for what is missing */
	bool over;          /* the verdict stands; the timer tells it */
	bool configured;    /* the hosts stand in the rule: SMTP or LMTP */
	bool by_latency;
	bool allow_loopback;
	bool lmtp;
	bool login;    /* the rule has a user */
	bool implicit; /* TLS from the first octet */
	enum route_tls tls;
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
/* The operator's exception for the domain; NULL: none is in force.  */
const struct tls_exception *route_exception(const struct route_lookup_private *p);
/* Ask for the host's TLSA records, if they can count: an address of it was found.  `answer` tells how.  */
void route_begin_dane(struct host *h, const struct dns_answer *answer);
void route_end_dane(struct host *h);
/* The records in the way they count: secure, from the right name.  */
enum tlsa_state route_dane_state(const struct host *h);
/* router.c: a question of h has ended.  */
void route_host_progress(struct host *h);
bool route_is_our_name(const struct router *r, const char *name);

#endif
