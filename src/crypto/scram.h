/* SCRAM, the client's side (RFC 5802, RFC 7677): proves a password without showing it, and has the server prove that it
 * knows it too.  Three texts go out or come in, in this order: first, final, verify.
 *
 * Ours and not libgsasl's: that one (2.2.0) cannot say that it could have bound the channel ("y", which RFC 5802 6 wants of
 * who could), nor bound the iterations that a server may ask for.  */
#ifndef CRYPTO_SCRAM_H
#define CRYPTO_SCRAM_H

#include "base/buf.h"

enum {
	SCRAM_NONCE = 18,
	SCRAM_DIGEST_MAX = 32,
	SCRAM_TEXT_MAX = 4096,
	/* Fewer would give a false server a cheap guess at the password (RFC 7677 4); more, our time.  */
	SCRAM_ITERATIONS_MIN = 4096,
	SCRAM_ITERATIONS_MAX = 1000000,
};

struct scram {
	const char *digest; /* "SHA256", "SHA1": OpenSSL's name */
	struct buf header; /* the gs2 header and what the channel is bound to, as they go into c= */
	struct buf nonce;  /* ours, in base64; then both */
	struct buf message; /* AuthMessage as it grows */
	uint8_t server_signature[SCRAM_DIGEST_MAX];
	uint32_t digest_len;
	bool verified;
};

enum scram_binding {
	SCRAM_UNBOUND,     /* n: we cannot, or would rather not */
	SCRAM_NOT_OFFERED, /* y: we could; the server did not offer it */
	SCRAM_BOUND,       /* p: tls-exporter (RFC 9266) */
};

/* sha1: else SHA-256.  channel: of tls_channel_binding, used when BOUND; nonce: SCRAM_NONCE octets nobody can guess.  */
void scram_init(struct scram *s, bool sha1, enum scram_binding binding, struct str channel,
	const uint8_t *nonce);
void scram_clear(struct scram *s);

/* Each false: see *ret_why, words for people.  */

/* Append client-first-message; user: prepared (SASLprep).  */
bool MUST_CHECK scram_first(
	struct scram *s, struct str user, struct buf *out, const char **ret_why);
/* Take server-first-message, append client-final-message.  password: prepared.  Takes as long as the server's iterations,
 * up to a second.  */
bool MUST_CHECK scram_final(struct scram *s, struct str server_first, struct str password,
	struct buf *out, const char **ret_why);
/* Take server-final-message: whether the server knows the password, or has what stands for it.  */
bool MUST_CHECK scram_verify(struct scram *s, struct str server_final, const char **ret_why);

#endif
