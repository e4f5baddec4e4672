/* How quick hosts answer: per address, from starting to connect until the reply to EHLO, an average that forgets.  */
#ifndef ROUTE_LATENCY_H
#define ROUTE_LATENCY_H

#include "base/clock.h"
#include "base/net.h"

struct latency;

/* Remembers at most max hosts (the least recently used goes).  */
struct latency *latency_new(uint32_t max, uint64_t seed);
void latency_free(struct latency *l);
/* A measurement.  Weight: 1/4 at once, growing with the age of what is remembered.  */
void latency_note(struct latency *l, const struct net_address *host, uint32_t us, msec now);
/* A failure to connect counts as so long.  */
void latency_failed(struct latency *l, const struct net_address *host, msec now);
/* 0: not known, or known too long ago (an hour) to be believed.  */
uint32_t latency_of(const struct latency *l, const struct net_address *host, msec now);

#endif
