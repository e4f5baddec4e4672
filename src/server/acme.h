/* The server's certificate, obtained and renewed from an ACME authority (RFC 8555), without a second program.  */
#ifndef SERVER_ACME_H
#define SERVER_ACME_H

#include "base/log.h"
#include "io/fetch.h"
#include "server/config.h"

struct acme;

/* Begin: now, when the certificate is no authority's, does not speak for all names or has lived two thirds of its time; else
 * when it will have.  A failure is tried again after ten minutes, then later and later, at most a day.
 *   renewed  chain and key stand in their files (certificate, key of c->tls): read them
 * NULL: it cannot run, why is appended.  fetcher is kept until acme_free, c until acme_configure
 * gives another.  */
struct acme *acme_new(struct io *io, struct io_fetcher *fetcher, struct log *log,
	const struct config *c, void (*renewed)(void *context), void *context, struct buf *why);
/* Follow this configuration.  The addresses stay those of acme_new.  */
void acme_configure(struct acme *acme, const struct config *c);
void acme_free(struct acme *acme);

#endif
