/* Shared by the files of tls alone.  */
#ifndef CRYPTO_TLS_PRIVATE_H
#define CRYPTO_TLS_PRIVATE_H

#include "crypto/tls.h"

#include <openssl/ssl.h>
#include <stdatomic.h>

enum { TLS_WHY_MAX = 300, TLS_TEXT_MAX = 80 };

struct tls_context {
	atomic_uint users;
	BIO_METHOD *method; /* the engine's memory, as OpenSSL wants to see it */
	SSL_CTX **ssl;      /* one for each identity; the first is the default */
	uint32_t count;
	msec until;
};

struct tls {
	struct tls_context *context;
	SSL *ssl;
	enum tls_state state;
	struct str input; /* what is left of the octets being fed */
	struct buf plain;
	size_t plain_head; /* octets of plain that are taken */
	struct buf out;
	size_t out_head;
	bool named; /* the peer's certificate is compared with a host */
	char text[TLS_TEXT_MAX];
	char why[TLS_WHY_MAX];
};

/* tls.c: the engine as a BIO; its data is the struct tls.  NULL: no memory.  */
BIO_METHOD *tls_bio_method(void);
/* An engine that is neither client nor server yet; NULL: no memory.  */
struct tls *tls_new(struct tls_context *context);
/* Append the oldest of OpenSSL's complaints, and forget all.  */
void tls_add_error(struct buf *out, const char *fallback);

#endif
