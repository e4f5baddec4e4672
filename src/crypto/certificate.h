/* Certificates: of our own making, for a server that has none (they keep out who only listens), and requests to an authority.  */
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
/* The same, to be shown in answer to a challenge of an ACME authority, for a week.
 *   authorization  the key authorization (RFC 8555 8.1)
 * Source  RFC 8737 3.  */
bool MUST_CHECK certificate_make_challenge(struct str host, struct str authorization, msec wall,
	struct buf *certificate, struct buf *key);

/* Make a P-256 key and a request for a certificate with these names, at least one.
 *   key      PEM is appended
 *   request  DER is appended
 * False: no memory, or a name cannot be one.
 * Source  RFC 2986 4; RFC 8555 7.4.  */
bool MUST_CHECK certificate_request(
	const struct str *names, uint32_t count, struct buf *key, struct buf *request);

struct certificate_facts {
	msec from, until; /* wall */
	bool own;         /* it has signed itself */
	bool covers;      /* it speaks for all the names */
};
/* What the first certificate in PEM says.  False: there is none.  */
bool MUST_CHECK certificate_read(
	struct str pem, const struct str *names, uint32_t count, struct certificate_facts *ret);

#endif
