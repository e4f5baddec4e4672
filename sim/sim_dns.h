/* Names as the simulated world knows them, and what befalls those who ask.  Stands in for route/resolver.c.  */
#ifndef SIM_DNS_H
#define SIM_DNS_H

#include "route/resolver.h"
#include "sim/sim_io.h"

enum { DNS_HOSTS_MAX = 4 };

struct dns_host {
	struct list link;
	char name[64];
	struct net_address address;
};

struct dns_domain {
	struct list link;
	char name[64];
	struct {
		uint16_t preference;
		char host[64];
	} mx[DNS_HOSTS_MAX];
	uint32_t mx_count; /* 0: no MX; the domain's own address */
	bool null_mx;
	bool gone; /* NXDOMAIN, for good */
};

struct dns {
	struct world *world;
	struct rng rng;
	struct list domains, hosts;
	int64_t delay_us;
	double servfail, timeout, bogus,
		partial; /* chances of an answer; partial: some of the addresses fail */
	uint64_t questions, failures;
};

void dns_init(struct dns *dns, struct world *world, uint64_t seed);
void dns_release(struct dns *dns);
/* Every question is answered from now on.  */
void dns_heal(struct dns *dns);
/* Names live until dns_release; texts are copied.  */
struct dns_domain *dns_add_domain(struct dns *dns, const char *name);
/* NULL: there is none.  */
struct dns_domain *dns_find_domain(const struct dns *dns, struct str name);
/* Another exchanger of a domain, or address of a host.  */
void dns_add_mx(struct dns_domain *domain, uint16_t preference, const char *host);
/* See dns_add_mx.  */
void dns_add_host(struct dns *dns, const char *name, const struct net_address *address);

#endif
