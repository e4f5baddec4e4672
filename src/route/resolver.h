/* DNS, asynchronous.  Linux: libunbound (validating, caching); with DNS_VALIDATE_RESOLVER the servers alone, whose AD bit
 * libunbound does not tell.  The simulator has its own.  A question without an answer ends after 12 s.  */
#ifndef ROUTE_RESOLVER_H
#define ROUTE_RESOLVER_H

#include "base/log.h"
#include "io/io.h"

struct resolver;

enum dns_validate { DNS_VALIDATE_SELF, DNS_VALIDATE_RESOLVER, DNS_VALIDATE_OFF };

struct resolver_options {
	const struct net_address *servers; /* none: /etc/resolv.conf */
	uint32_t server_count;
	struct str trust_anchor; /* file; empty: the system's root anchor */
	enum dns_validate validate;
	msec retest; /* after a self-test that failed, the next; each time longer.  0: a minute */
	struct log *log;
};

/* NULL and *ret_why when it cannot be.  */
struct resolver *resolver_new(
	struct io *io, const struct resolver_options *options, const char **ret_why);
void resolver_free(struct resolver *r);

enum dns_type {
	DNS_A = 1,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_TLSA = 52
};

enum dns_result {
	DNS_FOUND,
	DNS_NO_DATA,   /* the name exists, the type does not */
	DNS_NO_NAME,   /* NXDOMAIN */
	DNS_TEMPORARY, /* SERVFAIL, time-out, no server */
	DNS_BOGUS,     /* DNSSEC says forged (temporary for delivery) */
};

struct dns_answer {
	enum dns_result result;
	bool secure;  /* validated (or AD, when the resolver is believed) */
	uint32_t ttl; /* s */
	uint32_t count;
	const struct str *data; /* count rdatas in wire form */
	struct str canonical;   /* the name at the end of the CNAMEs, text, "" when none */
	struct str why;         /* words for TEMPORARY and BOGUS */
};

/* Caller-owned, zero but for done; one outstanding use.  */
struct resolver_query {
	void (*done)(struct resolver_query *q,
		const struct dns_answer
			*answer); /* borrowed for the call; never before resolver_ask returns */
	struct resolver *resolver;
	void *private; /* the resolver's; NULL: no question is open */
	struct list link;
};

/* name: ASCII (A-labels), no final dot needed.  0 or -errno (done then never comes).  */
int MUST_CHECK resolver_ask(
	struct resolver *r, struct resolver_query *q, struct str name, enum dns_type type);
/* done does not come any more.  Harmless when no question is open.  */
void resolver_cancel(struct resolver_query *q);

/* Read one rdata: the exchanger's name as text (no final dot; "" is the root: null MX).  */
bool dns_read_mx(struct str rdata, uint16_t *ret_preference, char ret_name[256]);
bool dns_read_name(struct str rdata, char ret_name[256]);

#endif
