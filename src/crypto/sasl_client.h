/* The client's side of a login (SASL): the best mechanism that a server offers, step by step, over memory.  */
#ifndef CRYPTO_SASL_CLIENT_H
#define CRYPTO_SASL_CLIENT_H

#include "crypto/scram.h"
#include "crypto/tls.h"

struct sasl_client_options {
	struct str offered; /* mechanisms, separated by spaces */
	struct str only;    /* the one that is to be used; empty: the best */
	struct str user;
	struct str secret;      /* the password, or the token */
	bool token;             /* it is one of OAuth's */
	bool secured;           /* nobody listens: what shows the secret will do */
	const uint8_t *binding; /* of tls_channel_binding; NULL: none */
	uint8_t nonce[SCRAM_NONCE];
	struct str host; /* the server, for OAUTHBEARER */
	uint16_t port;
};

struct sasl_client;

/* Every mechanism we know, the best first: SCRAM-SHA-256-PLUS, SCRAM-SHA-256, SCRAM-SHA-1-PLUS, SCRAM-SHA-1, PLAIN, LOGIN,
 * OAUTHBEARER, XOAUTH2.  NULL behind the last.  */
const char *sasl_client_known(uint32_t index);
/* Whether it takes a token rather than a password.  */
bool sasl_client_takes_token(struct str mechanism);

/* Everything of options is copied.  NULL: none of the offered will do, or the user or password cannot be used (SASLprep, RFC
 * 4013), or no memory; *ret_why has words for people.  */
struct sasl_client *sasl_client_new(
	const struct sasl_client_options *options, const char **ret_why);
void sasl_client_free(struct sasl_client *c);
const char *sasl_client_mechanism(const struct sasl_client *c);
/* The secret itself travels in the responses (not: SCRAM).  */
bool sasl_client_shows_secret(const struct sasl_client *c);

/* Append the initial response, base64, for the AUTH command.  False: there is none, or it is too long for a command.  */
bool sasl_client_first(struct sasl_client *c, struct buf *response);
/* challenge: of a 334, base64.  Appends the response, base64.  May be called on another thread: with SCRAM it can take up to a
 * second.  False: the exchange cannot go on; *ret_why has words.  */
bool MUST_CHECK sasl_client_step(
	struct sasl_client *c, struct str challenge, struct buf *response, const char **ret_why);
/* Whether a 235 now is to be believed: with SCRAM the server has proved itself.  */
bool sasl_client_satisfied(const struct sasl_client *c);

#endif
