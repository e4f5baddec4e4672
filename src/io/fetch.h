/* HTTPS requests (libcurl), asynchronous, on one thread of their own.  The simulator answers every
 * request with "no network".  */
#ifndef IO_FETCH_H
#define IO_FETCH_H

#include "io/io.h"

struct io_fetcher;
/* NULL when the system refuses.  */
struct io_fetcher *io_fetcher_start(struct io *io);
/* Ends what is under way; no `done` comes any more.  Harmless on NULL; not from within a `done`.  */
void io_fetcher_stop(struct io_fetcher *f);

enum { IO_FETCH_MAX = 64 << 10 }; /* octets of an answer's body; more is an error */

enum io_fetch_error {
	IO_FETCH_ANSWERED = 0,
	IO_FETCH_NO_ANSWER,   /* not connected, connection lost, not HTTP */
	IO_FETCH_CERTIFICATE, /* the server's does not verify: not trusted, expired, another name */
	IO_FETCH_TOO_LARGE,
	IO_FETCH_TIMEOUT,
	IO_FETCH_BAD_REQUEST, /* a URL that cannot be asked: bad form, not https */
};

/* Caller-owned, one outstanding use; the request is copied, so that nothing has to be kept.  A struct
 * of zeros is one that was never used.  */
struct io_fetch {
	void (*done)(struct io_fetch *fetch); /* on the loop's thread */
	/* The request.  Only https:// is followed (and http:// when `plain` is set); redirects never.  */
	const char *url;
	const char *method;         /* NULL: GET, or POST when there is a body */
	struct str body;            /* empty: none */
	const char *const *headers; /* "Name: value", NULL-terminated; NULL: none */
	const char *ca_file;        /* PEM of the only trusted authorities; NULL: the system's
				     * (SSL_CERT_FILE, SSL_CERT_DIR) */
	const char *user_password;  /* "user:password" for Basic; NULL: none */
	const char *connect_to; /* "HOST:PORT:ADDRESS:PORT" as CURLOPT_CONNECT_TO ("::ADDRESS:PORT"
				     * for any); NULL: the system resolves the name */
	const char *resolve; /* "HOST:PORT:ADDRESS[,ADDRESS]...": these are raced; NULL: as above */
	msec timeout;        /* of the whole request; 0: 60 s */
	bool plain;
	/* The answer, valid in `done` and until io_fetch_clear or the next io_fetch.  */
	enum io_fetch_error error; /* then `why` has words */
	int status;                /* 200, 404, ...; 0 without an answer */
	struct buf answer;         /* the body */
	struct buf answer_headers; /* as received: "Name: value", CRLF, of the last response only */
	char why[256];
	void *private;
	struct io_fetch_request *request; /* implementation's; NULL when nothing is under way */
};
/* Begin.  An answer that fetch had before goes.  0 or -errno (then done never comes).  */
int MUST_CHECK io_fetch(struct io_fetcher *f, struct io_fetch *fetch);
/* done does not come any more; memory goes.  Harmless when nothing is under way.  */
void io_fetch_clear(struct io_fetch *fetch);
/* The value of a header of the answer, trimmed; STR_NONE when there is none.  The first of several.  */
struct str io_fetch_header(const struct io_fetch *fetch, struct str name);

#endif
