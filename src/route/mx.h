/* In which order to try hosts, and the addresses of one.  Pure.  */
#ifndef ROUTE_MX_H
#define ROUTE_MX_H

#include "base/net.h"
#include "base/rng.h"

/* One of several to choose from.  */
struct mx_choice {
	uint32_t index;      /* the caller's: which one this is */
	uint16_t preference; /* the lowest is first */
	uint32_t latency_us; /* 0: unknown */
};

/* Lowest preference first; equals at random, each first with a weight of 1/latency.  An unknown
 * one weighs as much as the quickest of its equals, so that it becomes known.  Source: RFC 5321
 * 5.1.  */
void mx_order(struct mx_choice *choices, uint32_t count, struct rng *rng);

/* Lowest latency first, whatever the preference; but before them one unknown (any), so that it
 * becomes known, and after them the other unknowns, by preference.  */
void mx_order_by_latency(struct mx_choice *choices, uint32_t count, struct rng *rng);

/* Let the families of one host's addresses take turns, each in the order it has: IPv6 begins,
 * unless IPv4 is known to be the quicker.  latencies[i] belongs to addresses[i].  Source: RFC
 * 8305 4.  */
void mx_interleave(struct net_address *addresses, uint32_t *latencies, uint32_t count);

#endif
