/* What an ACME authority finds when it looks whether a name is ours: a text over HTTP (RFC 8555 8.3) or a certificate over TLS
 * (RFC 8737).  It listens all the time, for a server that has given up its rights cannot bind port 80 later, and has
 * nothing to say but while a challenge is shown.  */
#ifndef SERVER_ACME_RESPONDER_H
#define SERVER_ACME_RESPONDER_H

#include "io/io.h"

struct acme_responder;

/* tls: answer by certificates.  NULL: an address cannot be bound, or no memory; why is appended.  */
struct acme_responder *acme_responder_open(
	struct io *io, const struct net_address *binds, uint32_t count, bool tls, struct buf *why);
void acme_responder_close(struct acme_responder *r);
/* Show this until the next, instead of what was shown; borrowed for the call.  False: it cannot be.  */
bool MUST_CHECK acme_responder_show(
	struct acme_responder *r, struct str name, struct str token, struct str authorization);
/* Show nothing any more.  */
void acme_responder_clear(struct acme_responder *r);

#endif
