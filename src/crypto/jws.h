/* Signed requests to a certificate authority: JSON Web Signatures (RFC 7515) by a P-256 key (ES256, RFC 7518 3.4).
 * JSON itself is the caller's.  */
#ifndef CRYPTO_JWS_H
#define CRYPTO_JWS_H

#include "base/buf.h"

/* The key of an account.  */
struct jws_key;

/* A new key; NULL: no memory.  */
struct jws_key *jws_key_new(void);
/* From PEM; NULL: it is no P-256 key, or no memory.  */
struct jws_key *jws_key_read(struct str pem);
void jws_key_free(struct jws_key *key);
/* Append the private key as PEM.  */
bool MUST_CHECK jws_key_write(const struct jws_key *key, struct buf *pem);

/* Append the public key as a JSON object whose members stand as RFC 7638 3.2 wants them.  */
bool MUST_CHECK jws_key_public(const struct jws_key *key, struct buf *out);
/* Append what identifies the key: the base64url of the SHA-256 of jws_key_public (RFC 7638 3).  */
bool MUST_CHECK jws_thumbprint(const struct jws_key *key, struct buf *out);
/* Append the flattened JSON serialization (RFC 7515 7.2.2) of payload (may be empty: POST-as-GET, RFC 8555 6.3).
 *   header   the protected header, JSON  */
bool MUST_CHECK jws_sign(
	const struct jws_key *key, struct str header, struct str payload, struct buf *out);

#endif
