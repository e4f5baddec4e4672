/* The SMTP (and LMTP) client's side of one connection, pure: the server core's mirror.
 *
 * The driver gives a transaction, feeds octets, sends output, takes events.  Commands that are
 * planned stand in an array with two cursors, sent and answered: with PIPELINING the first runs
 * ahead as far as RFC 2920 allows; without, one step at a time.  One reply, however mad, has one
 * defined outcome; see smtp_client_feed.
 *
 *	plan:  MAIL  RCPT  RCPT  DATA | DOT  MAIL  RCPT  DATA
 *	             ^answered                     ^sent
 *
 * Up to two transactions are under way (with PIPELINING): one whose content is given and whose
 * reply is awaited, and behind it one whose envelope is on its way.  smtp_client_ready says when
 * the next may be given.
 *
 *	on READY, on DONE, and when the last content was given:
 *		while (smtp_client_ready(c) && there is mail) smtp_client_begin(c, now, t);
 *	on CONTENT: read pieces, smtp_client_content each until all is given; false: send first
 *	then send smtp_client_output(c), smtp_client_sent(c, n)
 *
 * Content goes by DATA, or by BDAT when CHUNKING is offered (RFC 3030): behind MAIL and RCPT in
 * the same group when it fits one chunk and PIPELINING is offered, else when the recipients are
 * known; in chunks of 64 KiB with PIPELINING, as one chunk without.
 *
 * Memory: the struct, the plan (8 octets a command), the reply that is read, unsent output.  */
#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include "base/clock.h"
#include "mail/envelope.h"
#include "smtp/reply.h"

/* What the peer offered in its EHLO reply.  */
struct smtp_offer {
	bool esmtp, pipelining, size, eightbit, utf8, chunking, binary, dsn, starttls, requiretls,
		enhanced;
	uint64_t size_max;        /* 0: no limit said */
	uint32_t rcpt_max;        /* LIMITS RCPTMAX; 0: not said.  The caller splits by it */
	uint32_t mail_max;        /* LIMITS MAILMAX; 0: not said.  smtp_client_ready heeds it */
	uint32_t rcpt_domain_max; /* LIMITS RCPTDOMAINMAX; 0: not said.  The caller splits by it */
	char auth[256];           /* mechanisms, separated by spaces, NUL-terminated */
};

struct smtp_client_config {
	struct str helo;        /* our name */
	bool lmtp;              /* LHLO, a reply per recipient after the dot */
	bool starttls;          /* use STARTTLS when offered */
	bool starttls_required; /* no mail without */
	bool implicit_tls;      /* TLS runs before the banner: treat as secured */
	bool auth;              /* log in before mail: AUTH events come */
	msec timeout;           /* caps each phase; 0: RFC 5321 4.5.3.2 alone */
};

/* One message to recipients at this next hop.  Borrowed until SMTP_CLIENT_EVENT_DONE of it.  */
struct smtp_transaction {
	const struct envelope *envelope;
	const uint32_t *recipients; /* indices into envelope->recipients, in the order to send */
	uint32_t recipient_count;
	uint64_t size; /* octets of content that will come, exactly, trace fields included */
	/* recipient_count of them, filled in by the core: text in arena, host and tls left empty */
	struct outcome *outcomes;
	struct arena *arena;
	bool dsn_relay; /* pass DSN parameters on when offered */
};

enum smtp_client_event_type {
	/* EHLO is answered, and TLS and AUTH are done: transactions may come.  Once.  */
	SMTP_CLIENT_EVENT_READY,
	/* 220 came: start TLS, then call smtp_client_secured.  */
	SMTP_CLIENT_EVENT_STARTTLS,
	/* A step of authentication is wanted (smtp_client_auth); challenge: base64, first none.  */
	SMTP_CLIENT_EVENT_AUTH,
	/* The peer is ready for content: give all of it by smtp_client_content, or until DONE.  */
	SMTP_CLIENT_EVENT_CONTENT,
	/* Every recipient of the transaction has its outcome; comes also before FAILED.  */
	SMTP_CLIENT_EVENT_DONE,
	/* The session is of no use any more, `outcome` says why: send what there is, close.  */
	SMTP_CLIENT_EVENT_FAILED,
	/* QUIT is answered, or there is no need to wait: close.  */
	SMTP_CLIENT_EVENT_CLOSED,
};

struct smtp_client_event {
	enum smtp_client_event_type type;
	struct smtp_transaction *transaction; /* CONTENT, DONE */
	struct outcome outcome;               /* FAILED: borrowed until the client is released */
	struct str challenge;                 /* AUTH: borrowed until the next feed */
};

/* One command that is planned or sent: each stands for one reply that is awaited.  */
enum smtp_step {
	STEP_BANNER,
	STEP_EHLO,
	STEP_HELO,
	STEP_STARTTLS,
	STEP_AUTH,
	STEP_MAIL,
	STEP_RCPT,
	STEP_DATA,
	STEP_BDAT,
	STEP_DOT,
	STEP_RSET,
	STEP_QUIT,
	SMTP_STEPS
};

enum smtp_client_state {
	SMTP_CLIENT_BANNER,    /* the banner is awaited */
	SMTP_CLIENT_HELLO,     /* the reply to EHLO or LHLO is awaited */
	SMTP_CLIENT_HELO,      /* EHLO was refused, the reply to HELO is awaited */
	SMTP_CLIENT_STARTTLS,  /* the reply to STARTTLS is awaited */
	SMTP_CLIENT_HANDSHAKE, /* the driver makes TLS */
	SMTP_CLIENT_AUTH,      /* the driver owes a step of AUTH, or the peer a reply to it */
	SMTP_CLIENT_OPEN,      /* transactions */
	SMTP_CLIENT_QUIT,      /* QUIT is planned or sent */
	SMTP_CLIENT_CLOSED,
	SMTP_CLIENT_STATES
};

enum smtp_flight_phase {
	FLIGHT_FREE,
	FLIGHT_ENVELOPE, /* MAIL, RCPT, DATA are planned, sent, being answered */
	FLIGHT_CONTENT,  /* content is being given */
	FLIGHT_ENDING,   /* nothing more to send; replies are awaited */
	FLIGHT_DONE,     /* every recipient has its outcome; the event waits to be taken */
	FLIGHT_PHASES
};

enum {
	SMTP_CLIENT_PIECE_MAX = 65536, /* octets in one call of smtp_client_content */
	SMTP_CLIENT_CHUNK = 65536,     /* octets in a BDAT chunk when chunks are pipelined */
	SMTP_CLIENT_OUT_MAX = 262144,  /* octets of unsent output */
	SMTP_CLIENT_EVENTS = 8,
};

/* A transaction under way.  Private.  */
struct smtp_flight {
	struct smtp_transaction *transaction;
	enum smtp_flight_phase phase;
	bool bdat;
	bool refused;        /* as a whole: MAIL, DATA or a chunk */
	bool at_line_start;  /* dot-stuffing's memory */
	bool end_written;    /* the dot, or the last chunk, stands in the output up to end_at */
	uint32_t pending;    /* commands sent and not answered */
	uint32_t rcpt_left;  /* RCPTs planned and not answered */
	uint32_t taken;      /* RCPTs answered 2xx */
	uint64_t given;      /* octets of content */
	uint64_t chunk_left; /* of the BDAT chunk whose header is written */
	uint64_t end_at;     /* in octets of output since the start */
};

struct smtp_planned {
	uint8_t step;   /* enum smtp_step */
	uint8_t flight; /* index into flights */
	uint32_t index; /* RCPT: position in the transaction; DOT, BDAT: whom the reply speaks of */
};

struct smtp_client {
	const struct smtp_client_config *config;
	struct smtp_offer offer;
	enum smtp_client_state state;
	/* The rest is private to client*.c.  */
	bool secured;
	bool dirty; /* by its replies the peer holds a transaction */
	bool moved; /* output was sent since the clock was set */
	struct smtp_reply_reader reader;
	struct buf out;
	size_t out_head;  /* octets of out that are sent */
	uint64_t gone;    /* octets sent since the start */
	struct buf words; /* text of the outcome being made */
	struct smtp_flight flights[2];
	struct buf plan; /* of struct smtp_planned, `planned` of them */
	uint32_t planned, sent, answered;
	uint32_t mails; /* MAIL commands in this session */
	struct {
		uint8_t type, flight;
	} events[SMTP_CLIENT_EVENTS];
	uint8_t event_count;
	msec since;             /* when what is awaited began to be awaited */
	struct outcome failure; /* of FAILED; text in words */
};

/* config is kept until release.  The banner is awaited from now on.  False: no memory.  */
bool MUST_CHECK smtp_client_init(
	struct smtp_client *c, const struct smtp_client_config *config, msec now);
void smtp_client_release(struct smtp_client *c);

/* Octets from the peer; all are taken (events queue up, at most a few).  What a peer may do and
 * what it means:
 *   4xx/5xx banner     FAILED: deferred (5xx too: another MX may serve), text kept; so for HELO,
 *                      AUTH, a STARTTLS that is required
 *   5xx to EHLO        HELO instead (not with LMTP);  4xx: FAILED, deferred
 *   4xx to MAIL        every recipient deferred;  5xx failed
 *   RCPT replies       per recipient; 452 or 552 "too many recipients" after some were taken:
 *                      deferred with status 4.5.3, to go at once in a new transaction
 *   4xx/5xx to DATA, a chunk, the dot: all who were taken
 *   354 though no recipient was taken: a lone dot (RFC 2920 3.1); its reply changes nothing
 *   421 anywhere       FAILED, deferred (in reply to the dot: for that message as any 4xx)
 *   a class of reply that cannot answer the command (354 to MAIL, 250 to DATA), a reply to
 *   nothing, garbage, an endless reply, octets behind the reply to STARTTLS:
 *                      FAILED, deferred, 4.5.0 "invalid reply ..."
 *   close before the end's reply: FAILED, deferred; after the end of the content was sent,
 *                      outcome.doubtful is set
 *   fewer LMTP replies than recipients: the missing are deferred, doubtful, when the time is up;
 *                      more: FAILED after DONE.
 * An outcome's text is the peer's without codes, lines joined by a space, control octets
 * replaced, at most OUTCOME_TEXT_MAX; enhanced is the peer's when it fits the code, else x.0.0.
 * Time-outs: RFC 5321 4.5.3.2 (banner 5 min, EHLO 5, MAIL 5, RCPT 5, DATA 2, block 3, dot 10).
 * Source: RFC 5321 4.2, 4.3.2; RFC 2920 3.1; RFC 3030 2-4; RFC 2033 4.2; RFC 9422.  */
void smtp_client_feed(struct smtp_client *c, msec now, struct str bytes);
/* The peer has closed, or the connection broke; why: text for the outcome, may be empty.  */
void smtp_client_lost(struct smtp_client *c, msec now, struct str why);
bool smtp_client_next(struct smtp_client *c, struct smtp_client_event *ret_event);

/* Whether a transaction may be given now.  */
bool smtp_client_ready(const struct smtp_client *c);
/* Whether a transaction is under way (begun, and its DONE not taken).  */
bool smtp_client_busy(const struct smtp_client *c);
/* Begin one.  What the offer cannot carry (SIZE, 8BITMIME after re-coding was impossible,
 * SMTPUTF8, BINARYMIME, REQUIRETLS) was checked by the caller with smtp_client_fits.  A
 * recipient whose address cannot stand in a command fails here (5.1.3, 5.6.7).  */
void smtp_client_begin(struct smtp_client *c, msec now, struct smtp_transaction *t);
/* 0-initialised outcome when t may be sent as it is; else the outcome that every recipient
 * gets: 5.3.4 too large, 5.6.7 SMTPUTF8 needed, 5.6.3 binary/8-bit conversion needed
 * (mail/recode.h), 5.7.30 REQUIRETLS.  */
struct outcome smtp_client_fits(const struct smtp_client *c, const struct smtp_transaction *t);
/* Content of the transaction whose CONTENT event came last, in order, raw (the core dot-stuffs
 * for DATA and frames BDAT), at most SMTP_CLIENT_PIECE_MAX octets a call and `size` in all.
 * False: the output is full, send first; nothing was taken.  The end is known by size.  When
 * the transaction has ended meanwhile the octets are dropped.  */
bool smtp_client_content(struct smtp_client *c, msec now, struct str octets);
/* Content cannot be read any more (disk): the connection is cut rather than ended properly.
 * FAILED, deferred.  */
void smtp_client_abandon(struct smtp_client *c, struct str why);

/* The TLS handshake has ended well: EHLO is said again, what was offered before is forgotten.  */
void smtp_client_secured(struct smtp_client *c, msec now);
/* response: base64 to send ("" allowed); mechanism only at the first step.  */
void smtp_client_auth(struct smtp_client *c, msec now, struct str mechanism, struct str response,
	bool has_response);
/* Authentication ended badly on this side.  FAILED, deferred.  */
void smtp_client_auth_failed(struct smtp_client *c, struct str why);
/* QUIT, when no transaction awaits an envelope's replies or content; it may follow a final dot
 * (RFC 2920).  */
void smtp_client_quit(struct smtp_client *c, msec now);

/* Whether the end of the transaction's content has been sent: from here on it may have arrived.  */
bool smtp_client_end_sent(const struct smtp_client *c, const struct smtp_transaction *t);
/* Octets to send, borrowed until the next call; the first n of them were sent; when
 * smtp_client_expire is to be called.  */
struct str smtp_client_output(const struct smtp_client *c);
void smtp_client_sent(struct smtp_client *c, size_t n);
msec smtp_client_deadline(const struct smtp_client *c);
/* The deadline has passed: FAILED with "timed out while ..." (4.4.2); or, while output still
 * moves, a new deadline.  */
void smtp_client_expire(struct smtp_client *c, msec now);

#endif
