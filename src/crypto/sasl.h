/* The server's side of a login (SASL, by libgsasl): SCRAM-SHA-256, PLAIN and LOGIN over memory.  Of a password only
 * what SCRAM calls keys is kept: they prove a password and cannot be used as one.  */
#ifndef CRYPTO_SASL_H
#define CRYPTO_SASL_H

#include "base/buf.h"

enum { SASL_KEY = 32, SASL_SALT = 16, SASL_ITERATIONS = 4096 };

/* RFC 5802 3.  */
struct sasl_keys {
	uint32_t iterations;
	uint8_t salt[SASL_SALT], stored[SASL_KEY], server[SASL_KEY];
};

/* Fill in stored and server from iterations and salt.  False: no memory, or the password holds what no password may (SASLprep,
 * RFC 4013).  Takes a millisecond or more: that is its purpose.  */
bool MUST_CHECK sasl_derive(struct str password, struct sasl_keys *keys);

/* The mechanisms, best first, as EHLO lists them.  */
#define SASL_MECHANISMS "SCRAM-SHA-256 PLAIN LOGIN"

struct sasl_context;
struct sasl;

/* secret: 32 octets nobody can guess; from them come the salts of accounts that do not exist.  NULL: no memory.  */
struct sasl_context *sasl_context_new(const uint8_t *secret);
void sasl_context_free(struct sasl_context *context);

/* Find the keys of an account, which it copies.  Called from sasl_step.  */
typedef bool sasl_lookup(void *owner, struct str name, struct sasl_keys *ret_keys);
/* One login; NULL: no memory, or the mechanism is none of ours.  */
struct sasl *sasl_new(
	struct sasl_context *context, struct str mechanism, sasl_lookup *lookup, void *owner);
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
 * Unknown names and wrong passwords take the same time and look the same.  */
enum sasl_result sasl_step(struct sasl *s, bool given, struct str response, struct buf *challenge);
/* Who wants to log in, as far as is known, as the client wrote it; the engine's.  */
struct str sasl_name(const struct sasl *s);

#endif
