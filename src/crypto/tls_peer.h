/* What a client has seen of its server's certificate, for people.  */
#ifndef CRYPTO_TLS_PEER_H
#define CRYPTO_TLS_PEER_H

#include "crypto/tls.h"

struct tls_peer {
	char subject[256]; /* "CN=mx.example.net" */
	char issuer[256];
	char names[512];  /* those that it is for, and addresses, with a space between */
	msec from, until; /* wall */
};

/* Of an engine that is open.  False: there is no certificate.  */
bool tls_peer_read(const struct tls *t, struct tls_peer *ret);
/* Why the peer is not what the engine expected, by authority or by DANE; empty: it is.  */
struct str tls_peer_distrust(const struct tls *t);
/* Whether an authority that the context trusts vouches for one of the names, whatever the engine expected.  Else *ret_why.  */
bool tls_peer_vouched(
	const struct tls *t, const struct str *names, uint32_t count, const char **ret_why);

#endif
