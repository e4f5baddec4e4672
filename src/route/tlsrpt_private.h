/* Shared by the files of tlsrpt alone.  */
#ifndef ROUTE_TLSRPT_PRIVATE_H
#define ROUTE_TLSRPT_PRIVATE_H

#include "base/code.h"
#include "route/tlsrpt.h"

#include <stdlib.h>

enum {
	TLSRPT_OCTETS_MAX = 32 << 20, /* of a day */
	TLSRPT_TEXT_MAX = 16 << 10,   /* of a policy */
	TLSRPT_POLICIES_MAX = 16,     /* of a domain */
	TLSRPT_FAILURES_MAX = 64,     /* kinds of them, of a policy */
};

/* Each NULL when there is no room.  */
void *tlsrpt_alloc(struct tlsrpt_day *d, size_t size);
struct tlsrpt_domain *tlsrpt_domain_of(struct tlsrpt_day *d, struct str name);
struct tlsrpt_counts *tlsrpt_counts_of(struct tlsrpt_day *d, struct tlsrpt_domain *domain,
	enum tlsrpt_policy policy, struct str text);
void tlsrpt_add_failure(
	struct tlsrpt_day *d, struct tlsrpt_counts *c, const struct tlsrpt_failure *failure);

#endif
