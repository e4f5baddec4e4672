/* Talking to an ACME authority (RFC 8555): its directory, nonces, requests signed with the account's key.  One request at
 * a time; nothing the authority says is trusted further than its types.  */
#ifndef SERVER_ACME_TALK_H
#define SERVER_ACME_TALK_H

#include "crypto/jws.h"
#include "io/fetch.h"

#include <jansson.h>

enum { ACME_URL_MAX = 2048, ACME_WHY_MAX = 512 };

struct acme_answer {
	json_t *body;        /* NULL when it is no JSON object */
	struct str text;     /* the body as it came */
	struct str location; /* empty: none */
	msec retry_after;    /* 0: not said */
};

struct acme_talk {
	struct io *io;
	struct io_fetcher *fetcher;
	const struct jws_key *key;
	const char *directory;
	const char *ca_file; /* NULL: the system's authorities */
	/* A request was answered with 2xx; borrowed for the call.  The first follows acme_talk_begin.  */
	void (*answered)(struct acme_talk *talk, const struct acme_answer *answer);
	/* It was not; why: words for the log.  */
	void (*failed)(struct acme_talk *talk, const char *why);
	/* From the directory, once it is known.  */
	char new_account[ACME_URL_MAX], new_order[ACME_URL_MAX];
	char account[ACME_URL_MAX]; /* the caller's: "" until there is one, then what names it */
	/* The rest is private.  */
	char new_nonce[ACME_URL_MAX];
	char nonce[256];
	char url[ACME_URL_MAX];
	struct buf payload, request;
	int tries;
	struct io_fetch fetch;
};

/* Ask for the directory.  The fields above `new_account` are the caller's and set.  */
void acme_talk_begin(struct acme_talk *talk);
/* Send payload (JSON; empty: POST-as-GET) to url; both are copied.  url: as the authority gave it; anything but https fails.  */
void acme_talk_post(struct acme_talk *talk, const char *url, struct str payload);
/* No callback comes any more; memory goes.  Harmless when nothing was begun.  */
void acme_talk_end(struct acme_talk *talk);

/* The text of a member of an object, "" when it is none; at most max - 1 octets, else "".  */
void acme_text(const json_t *object, const char *name, char *to, size_t max);

#endif
