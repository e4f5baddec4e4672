/* A certificate of our own making, for a server that has none: it keeps out who only listens.  */
#ifndef CRYPTO_CERTIFICATE_H
#define CRYPTO_CERTIFICATE_H

#include "base/buf.h"
#include "base/clock.h"

/* Make a P-256 key and a certificate that it has signed itself.
 *   host  becomes the subject's name and the alternative name (RFC 9525)
 *   wall  now; valid from a day before (clocks differ) for `days`
 * Appends PEM to both buffers.  False: no memory, or host cannot be a name.
 * Source  RFC 5280 4.1, 4.2.1.6.  */
bool MUST_CHECK certificate_make(
	struct str host, msec wall, uint32_t days, struct buf *certificate, struct buf *key);

#endif
