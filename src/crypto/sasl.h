/* The server's side of a login (SASL, by libgsasl): SCRAM, PLAIN and LOGIN over memory.  Of a password only what SCRAM calls
 * keys is kept: they prove a password and cannot be used as one.  */
#ifndef CRYPTO_SASL_H
#define CRYPTO_SASL_H

#include "base/buf.h"

enum sasl_hash { SASL_SHA256, SASL_SHA1, SASL_HASHES };
enum { SASL_KEY = 32, SASL_SALT = 16, SASL_ITERATIONS = 4096 };

/* What is kept of a password for one hash (RFC 5802 3); keys are as long as sasl_key_len says.  */
struct sasl_proof {
	uint32_t iterations; /* 0: nothing is kept for this hash */
	uint8_t salt[SASL_SALT], stored[SASL_KEY], server[SASL_KEY];
};
struct sasl_keys {
	struct sasl_proof of[SASL_HASHES]; /* SASL_SHA256 is always kept */
};

/* "scram-sha-256"  */
struct str sasl_hash_name(enum sasl_hash hash);
size_t sasl_key_len(enum sasl_hash hash);
/* Fill in stored and server from iterations and salt.  False: no memory, or the password holds what no password may (SASLprep,
 * RFC 4013).  Takes a millisecond or more: that is its purpose.  */
bool MUST_CHECK sasl_derive(struct str password, enum sasl_hash hash, struct sasl_proof *proof);

/* The mechanisms, best first, as EHLO lists them; the first ones where TLS binds the login to its session.  */
#define SASL_MECHANISMS "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN"
#define SASL_MECHANISMS_BOUND "SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS " SASL_MECHANISMS

struct sasl_context;
struct sasl;

/* secret: 32 octets nobody can guess; from them come the salts of accounts that do not exist.  NULL: no memory.  */
struct sasl_context *sasl_context_new(const uint8_t *secret);
void sasl_context_free(struct sasl_context *context);

/* Find the keys of an account, which it copies.  Called from sasl_step.  */
typedef bool sasl_lookup(void *owner, struct str name, struct sasl_keys *ret_keys);

/* What ties a login to the TLS session it comes through; octets empty: there is none, and no -PLUS.  */
struct sasl_binding {
	struct str octets;
	bool unique; /* tls-unique (RFC 5929 3), else tls-exporter (RFC 9266) */
};

/* One login; NULL: no memory, or the mechanism is none of ours.  */
struct sasl *sasl_new(struct sasl_context *context, struct str mechanism,
	struct sasl_binding binding, sasl_lookup *lookup, void *owner);
void sasl_free(struct sasl *s);

enum sasl_result {
	SASL_MORE, /* send the challenge, come back with the response */
	SASL_DONE, /* sasl_name has logged in */
	SASL_FAILED,
};
/* The client's response.  May be called on another thread, and takes as long as sasl_derive.
 *   given      there is a response; false: the first step without an initial response
 *   response   base64
 *   challenge  base64 is appended: a text for 334
 * Unknown names and wrong passwords cost the same work and look the same.  */
enum sasl_result sasl_step(struct sasl *s, bool given, struct str response, struct buf *challenge);
/* Who wants to log in, as far as is known, as the client wrote it; the engine's.  */
struct str sasl_name(const struct sasl *s);
/* After SASL_FAILED: why, in words for the log alone.  */
const char *sasl_why(const struct sasl *s);

#endif
