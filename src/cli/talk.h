/* The command line's end of an SMTP conversation: one connection, driven on the client core.  */
#ifndef CLI_TALK_H
#define CLI_TALK_H

#include "cli/cli.h"
#include "crypto/sasl_client.h"
#include "crypto/tls.h"
#include "io/io.h"
#include "smtp/client.h"

struct talk;

enum talk_tls {
	TALK_TLS_OFF,
	TALK_TLS_OPPORTUNISTIC, /* when it is offered and works; else in clear */
	TALK_TLS_STARTTLS,
	TALK_TLS_IMPLICIT, /* from the first octet */
};

/* What a conversation is to be protected with, and who logs in.  */
struct talk_security {
	enum talk_tls tls;
	enum tls_verify verify;
	struct tls_context *context;     /* NULL with OFF alone */
	struct str user;                 /* empty: nobody */
	struct str secret;               /* the password, or the token */
	struct str mechanism;            /* empty: the best */
	const struct tls_expect *expect; /* in place of verify and the host's name; may be NULL */
};

/* One message: its transaction, and the content, which is kept by the caller until `done`.  */
struct talk_letter {
	struct smtp_transaction transaction;
	struct str content;
	size_t given;
	bool wanted;
	int64_t began_us;
};

struct talk_events {
	/* The conversation is open and may take a letter: talk_give, or talk_quit, or nothing for now (then talk_work
	 * later).  Asked again after each letter given.  */
	void (*ready)(struct talk *t);
	/* Every recipient of the letter has its outcome.  */
	void (*done)(struct talk *t, struct talk_letter *letter);
	/* The connection is closed; t may be used again or freed.  why: class NONE after an orderly end.  */
	void (*over)(struct talk *t, const struct outcome *why);
	/* Octets instead of the core's conversation, after talk_take_over.  */
	void (*raw)(struct talk *t, struct str octets);
};

struct talk {
	struct io *io;
	struct io_stream stream;
	struct timer timer;
	struct smtp_client client;
	const struct smtp_client_config *config;
	const struct talk_security *security; /* NULL: in clear, without a login */
	const struct talk_events *events;
	bool trace; /* show all on standard error */
	bool was_ready;
	char host[320];    /* "mx1.example.net[192.0.2.1]:25" */
	uint32_t ready_us; /* from connecting to the reply to EHLO */
	bool offered_starttls;
	char tls_why[300]; /* TLS has failed so, and the conversation goes on in clear */
	/* private */
	int64_t began_us;
	int connect_error; /* found at once, told soon */
	bool live, connected, busy, ended, taken_over;
	struct net_address address;
	char name[256];                 /* of the host, as given */
	struct smtp_client_config smtp; /* config, and what the security makes of it */
	struct tls *tls;                /* NULL in clear */
	struct sasl_client *login;
	bool shaking;  /* hands, so nothing else is said */
	bool in_clear; /* TLS has failed and may be done without */
	bool again;    /* another connection is to be made */
	bool hidden;   /* the output shows a secret */
	struct outcome why;
	char why_text[OUTCOME_TEXT_MAX];
	struct talk_letter *letters[2];
	struct buf traced[2]; /* unfinished lines of both sides */
};

/* Connect to address, which belongs to host (a name, or "").  io, config, security, events and trace are set; all are kept.
 * `over` comes in any case, never before this returns.  */
void talk_begin(struct talk *t, struct str host, const struct net_address *address);
/* Give a letter: only in `ready` or when smtp_client_ready.  What the peer's offer cannot carry gets its outcomes at once,
 * and `done` comes.  */
void talk_give(struct talk *t, struct talk_letter *letter);
/* QUIT, when all letters given are done.  */
void talk_quit(struct talk *t);
/* In `ready`: from now on octets go to `raw` and come from talk_send.  */
void talk_take_over(struct talk *t);
void talk_send(struct talk *t, struct str octets);
/* End a conversation taken over.  */
void talk_end(struct talk *t, struct outcome why);
/* Go on: something has changed.  */
void talk_work(struct talk *t);

#endif
