/* Shared by the files of tls alone.  */
#ifndef CRYPTO_TLS_PRIVATE_H
#define CRYPTO_TLS_PRIVATE_H

#include "crypto/tls.h"

#include <openssl/ssl.h>
#include <stdatomic.h>

enum { TLS_WHY_MAX = 300, TLS_TEXT_MAX = 80 };

struct tls_ticket_key {
	unsigned char name[16], cipher[32], mac[32];
};

struct tls_tickets {
	CRYPTO_RWLOCK *lock;           /* handshakes may run on several threads */
	struct tls_ticket_key keys[2]; /* that seals, and the one before */
	unsigned count;
};

struct tls_context {
	atomic_uint users;
	BIO_METHOD *method; /* the engine's memory, as OpenSSL wants to see it */
	SSL_CTX **ssl;      /* one for each identity; the first is the default */
	uint32_t count;
	msec until;
	struct tls_tickets tickets;
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

/* tls_ticket.c.  False: no randomness.  */
bool tls_tickets_init(struct tls_tickets *t);
void tls_tickets_release(struct tls_tickets *t);
/* What OpenSSL calls for each ticket (SSL_CTX_set_tlsext_ticket_key_evp_cb(3)).  */
int tls_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac, int sealing);

#endif
