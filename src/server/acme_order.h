/* One certificate from an ACME authority, from account to chain (RFC 8555 7).  */
#ifndef SERVER_ACME_ORDER_H
#define SERVER_ACME_ORDER_H

#include "server/acme_talk.h"
#include "server/config.h"

enum acme_step {
	ACME_DIRECTORY,
	ACME_ACCOUNT,
	ACME_ORDER,
	ACME_AUTHORIZATION, /* of names[at]: is asked about, or polled */
	ACME_CHALLENGE,     /* the authority is told to look */
	ACME_FINALIZE,
	ACME_READY, /* the order is polled until the certificate is made */
	ACME_CERTIFICATE,
	ACME_STEPS
};

enum { ACME_NAMES_MAX = 100 };

struct acme_order {
	/* The caller's, kept until `ended`.  talk: io, fetcher, key, directory, ca_file.  */
	struct acme_talk talk;
	const struct str *names;
	uint32_t name_count;
	struct str email; /* empty: none is given */
	enum acme_method method;
	/* Show what a challenge asks for: for http-01 `authorization` at
	 * /.well-known/acme-challenge/TOKEN, for tls-alpn-01 a certificate for `name` made from it; until the next or the
	 * end.  False: it cannot be shown.  */
	bool (*show)(struct acme_order *order, struct str name, struct str token,
		struct str authorization);
	/* why NULL: chain and key (PEM, borrowed) are there.  The order is released already, and may go.  It may come before
	 * acme_order_begin returns.  */
	void (*ended)(struct acme_order *order, const char *why, struct str chain, struct str key);
	/* The rest is private.  */
	enum acme_step step;
	uint32_t at, authorization_count;
	uint32_t polls;
	bool challenged; /* the present authorization's challenge was answered */
	char (*authorizations)[ACME_URL_MAX];
	char order_url[ACME_URL_MAX], finalize[ACME_URL_MAX];
	char polled[ACME_URL_MAX];
	struct buf key;
	struct timer timer;
};

void acme_order_begin(struct acme_order *order);
/* Give it up; `ended` does not come.  Harmless when nothing runs.  */
void acme_order_cancel(struct acme_order *order);

#endif
