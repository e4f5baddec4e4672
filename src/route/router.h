/* From a rule and a domain to the hosts to try, in order.  */
#ifndef ROUTE_ROUTER_H
#define ROUTE_ROUTER_H

#include "base/rng.h"
#include "mail/status.h"
#include "route/exception.h"
#include "route/latency.h"
#include "route/mtasts.h"
#include "route/resolver.h"
#include "route/rule.h"
#include "route/security.h"

enum { ROUTE_TARGETS_MAX = 32, ROUTE_MX_MAX = 64 };

/* One address to connect to.  */
struct route_target {
	char host[256];             /* the exchanger's name; the address when it has none */
	struct net_address address; /* with port; NET_UNIX for a socket */
	uint16_t preference;        /* 0 when there is no MX */
	bool secure;                /* name and address were DNSSEC-validated */
	uint32_t latency_us;        /* remembered; 0: unknown */
	struct security security;   /* what TLS has to be; borrows from the look-up */
};

struct router;

struct router_options {
	struct resolver *resolver;
	struct latency *latency;
	struct mtasts *mtasts;               /* NULL: MTA-STS is not looked at */
	struct str hostname;                 /* ours: an MX of this name is a loop */
	const struct net_address *listening; /* our own listeners */
	uint32_t listening_count;
	const struct tls_exceptions *exceptions; /* NULL: none */
	bool ipv6, ipv4;                         /* families to use */
	uint64_t seed;
};

struct router *router_new(
	struct io *io, const struct router_options *options); /* options are copied; arrays kept */
void router_free(struct router *r);
/* Follow other options from the next look-up on (the seed stays).  */
void router_configure(struct router *r, const struct router_options *options);

/* Caller-owned, one outstanding use.  In `done` either count > 0, or failure.class is DEFERRED or FAILED.
 * What leads to what: null MX 5.1.10 failed; NXDOMAIN 5.1.2 failed; no MX: A/AAAA of the domain (RFC 5321 5.1); no address at all
 * 5.1.2 / 5.4.4 failed; SERVFAIL, time-out, bogus 4.4.3 deferred; MX at or behind ourselves are dropped with all of equal or higher preference
 * (RFC 5321 5.1), all on loopback or all ourselves: 5.4.6 failed, unless allow_loopback.
 * Order: RFC 5321 5.1 preference first, equals at random, weighted by 1/latency; rule->latency: lowest latency first over all.
 * A host that its domain's TLS policy forbids for now is no target; when none else is left: 4.7.5 deferred.
 * Hosts without a known latency come first often enough to become known.  Families interleave (RFC 8305 4).  */
struct route_lookup {
	void (*done)(struct route_lookup *l);
	struct route_target *targets; /* the lookup's own memory until route_lookup_clear */
	uint32_t count;
	uint32_t
		barred; /* so many more targets stand behind those, and must not be used: security says why */
	const struct mtasts_lookup *sts; /* the domain's policy, for MX; NULL: nobody has asked */
	bool secure;                     /* the MX set was DNSSEC-validated */
	bool mx_found;                   /* from MX records, not by fallback */
	struct outcome failure;          /* text is the lookup's */
	char ascii[256];                 /* the domain as it was asked for (A-labels) */
	struct route_lookup_private *private;
};

/* Begin; done never comes before this returns.  rule and domain are borrowed for the call.  */
void route_lookup(
	struct router *r, struct route_lookup *l, const struct route_rule *rule, struct str domain);
/* End it, whether it runs or is done; its memory goes.  */
void route_lookup_clear(struct route_lookup *l);

#endif
