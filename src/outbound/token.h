/* Tokens of OAuth 2.0 for next hops: kept until they end, got anew from a command or from the provider's token endpoint; who
 * wants one while it is being got waits for the same.  */
#ifndef OUTBOUND_TOKEN_H
#define OUTBOUND_TOKEN_H

#include "outbound/parts.h"

struct token;

/* Caller-owned, one outstanding use.  */
struct token_wait {
	void (*done)(struct token_wait *wait);
	/* Afterwards; borrowed until the loop sleeps.  */
	struct str text; /* the token; empty: there is none, why has words */
	struct str why;
	uint32_t version; /* for token_refused */
	struct list link;
};

/* True: it is answered at once.  False: done comes, within a minute.  rule: has token_command or token.  */
bool token_want(struct outbound *out, const struct route_rule *rule, struct token_wait *wait);
/* done comes no more.  Harmless when it would not.  */
void token_cancel(struct token_wait *wait);
/* A next hop did not take it: it is not given out again.  */
void token_refused(struct outbound *out, const struct route_rule *rule, uint32_t version);
/* Drop all, at the end; nobody waits.  */
void tokens_free(struct outbound *out);

/* What an endpoint has said: JSON (RFC 6749 5.1, 5.2); or a command, which may say the token alone, too (not: json).  Appends
 * the token; *ret_ms: how long it lives, as far as is known.  False: why has words.  */
bool MUST_CHECK token_read(
	struct str said, bool json, struct buf *token, msec *ret_ms, struct buf *why);

#endif
