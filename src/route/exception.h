/* Domains whose TLS is known to be broken: for them, and until a day, less will do.  Pure.  */
#ifndef ROUTE_EXCEPTION_H
#define ROUTE_EXCEPTION_H

#include "base/clock.h"

struct tls_exception {
	struct str domain; /* lower case, A-labels; ".example.net": its subdomains */
	struct str day;    /* as it was written, "2027-01-31" */
	msec end;          /* wall: the end of that day, UTC */
};

struct tls_exceptions {
	const struct tls_exception *list;
	uint32_t count;
};

/* Read a day, "2027-01-31"; *ret_end is its last instant and a millisecond.  */
bool tls_exception_day(struct str day, msec *ret_end);

/* The one in force for the domain (A-labels, any case), the longest name first; or NULL.  */
const struct tls_exception *tls_exception_find(
	const struct tls_exceptions *all, struct str domain, msec wall);

#endif
