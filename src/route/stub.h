/* Questions to a name server that is believed: over one TCP connection, any number at once,
 * without a cache.  For `validate = resolver`, because libunbound does not tell what a server
 * says by the AD bit.  Source: RFC 7766.  */
#ifndef ROUTE_STUB_H
#define ROUTE_STUB_H

#include "route/resolver.h"

struct stub;

/* Caller-owned; one outstanding use.  It waits for ever: who asks has a time-out of his own.  */
struct stub_ask {
	void (*answered)(
		struct stub_ask *ask, const struct dns_answer *answer); /* borrowed for the call */
	struct stub *stub;
	struct list link;
	uint16_t id;
	enum dns_type type;
	char name[256];
};

/* servers: none is what /etc/resolv.conf has.  NULL: no memory, or no server.  */
struct stub *stub_new(struct io *io, const struct net_address *servers, uint32_t count);
void stub_free(struct stub *s);
/* answered, name and type are set.  False: too many are outstanding.  */
bool MUST_CHECK stub_begin(struct stub *s, struct stub_ask *ask);
void stub_cancel(struct stub_ask *ask);

#endif
