/* MTA-STS policies of other domains (RFC 8461): found by DNS, fetched by HTTPS, remembered on disk.
 *
 * What is remembered counts until its max_age has passed, whatever DNS and the web say meanwhile; it is
 * fetched again when the id in DNS is another one, and once a day.  */
#ifndef ROUTE_MTASTS_H
#define ROUTE_MTASTS_H

#include "base/log.h"
#include "io/fetch.h"
#include "route/mtasts_text.h"
#include "route/resolver.h"

struct mtasts;
struct mtasts_entry;

struct mtasts_options {
	struct resolver *resolver;
	struct io_fetcher *fetcher;
	struct io_workers *workers; /* write the file */
	const char *path;           /* of the file; copied; NULL: nothing is kept */
	uint16_t port;              /* of the domains' web servers: 443 */
	struct log *log;
};

/* Reads the file; one that makes no sense is as good as none, and said.  NULL: no memory.  */
struct mtasts *mtasts_new(struct io *io, const struct mtasts_options *options, uint64_t seed);
/* Ask this resolver, and that port, from now on.  */
void mtasts_configure(struct mtasts *m, struct resolver *resolver, uint16_t port);
/* No look-up runs any more.  What is not on disk yet is written.  */
void mtasts_free(struct mtasts *m);

/* A policy as it is remembered; counted.  */
struct mtasts_known {
	uint32_t users;
	struct sts_policy policy;
	uint32_t max_age; /* s */
	msec fetched;     /* wall */
	char id[MTASTS_ID_MAX + 1];
};

/* What keeps the policy that a domain announces from being known (RFC 8460 4.3.2.3 has words for each).  */
enum mtasts_trouble {
	MTASTS_FINE,
	MTASTS_FETCH_ERROR,    /* no answer, or another one than 200 */
	MTASTS_POLICY_INVALID, /* not a policy */
	MTASTS_WEBPKI_INVALID, /* the web server's certificate */
};

/* Caller-owned, zero but for done; one outstanding use.  */
struct mtasts_lookup {
	/* Never before mtasts_look_up returns, and at most some seconds later: the first mail to a domain
	 * does not wait longer for its policy.  */
	void (*done)(struct mtasts_lookup *l);
	/* From `done` on, until mtasts_lookup_clear.  */
	const struct mtasts_known *known; /* NULL: the domain has no policy that we know of */
	enum mtasts_trouble trouble;
	char why[200]; /* words for it */
	/* private */
	struct mtasts *mtasts;
	struct mtasts_entry *entry; /* whose fetch is waited for */
	struct resolver_query query;
	struct timer timer;
	struct list link;
	char domain[256];
};

/* domain: A-labels; borrowed for the call.  */
void mtasts_look_up(struct mtasts *m, struct mtasts_lookup *l, struct str domain);
/* End it, whether it runs or is done.  */
void mtasts_lookup_clear(struct mtasts_lookup *l);

#endif
