/* One outgoing connection and its transactions: shared by session.c (the connection) and flight.c (the mail).  */
#ifndef OUTBOUND_SESSION_H
#define OUTBOUND_SESSION_H

#include "mail/recode.h"
#include "outbound/parts.h"

/* Transactions at once: one waits for the reply to its dot while the next is being sent.  */
enum { FLIGHTS = 2, NO_TARGET = UINT32_MAX };

enum session_state {
	SESSION_LOOKING_UP,
	SESSION_CONNECTING,
	SESSION_GREETING, /* until the reply to EHLO (and TLS, and AUTH) */
	SESSION_WORKING,
	SESSION_IDLE,
	SESSION_QUITTING,
	SESSION_STATES
};

/* One transaction under way.  */
struct flight {
	struct queue_job *job; /* NULL: this place is free */
	struct smtp_transaction transaction;
	struct spool_reader reader;
	struct arena arena;
	struct recode *recode; /* 8-bit content for a 7-bit hop; else NULL */
	struct buf recoded;
	struct str pending; /* read, not yet taken by the core; the reader's, or in recoded */
	uint64_t given;     /* octets of content the core has taken */
	bool content;       /* the core has asked for content */
	bool ended;         /* the recoder has written its last */
	bool sent;          /* the spool knows that the end is on its way */
};

struct client_session {
	struct site *site;
	struct outbound *outbound;
	enum session_state state;
	struct list link;      /* in outbound->sessions */
	struct list idle_link; /* in site->idle, or in none */
	struct route_lookup lookup;
	struct connect_race race;
	struct connection *connection;
	char helo[256]; /* our name; a new configuration may come while we talk */
	struct smtp_client_config config;
	struct smtp_client client;
	bool client_live;
	struct hop_login *login; /* NULL: none is under way */
	bool token_renewed;      /* the token before was not taken */
	struct tls *tls;         /* NULL in clear */
	char tls_text[100];      /* of the session that is open */
	uint32_t clear_target;   /* TLS with it has failed and may be done without; NO_TARGET */
	bool shaking;            /* STARTTLS was answered, the handshake is not done */
	char host[400];          /* "mx1.example.net[192.0.2.1]:25" */
	uint16_t host_len;
	struct flight flights[FLIGHTS];
	struct timer timer;
	struct outcome trouble; /* why the last target did not serve */
	char trouble_text[OUTCOME_TEXT_MAX];
	uint32_t served;          /* transactions that were answered */
	uint32_t recipients_most; /* in one transaction, as the peer has shown; 0: not known */
	bool busy;                /* inside client_session_work */
	bool ours;                /* what it fails of is no fault of the peer's */
	bool stopping;            /* take nothing new */
	bool moving;              /* likewise: another host is better, or is to become known */
	bool dead;                /* to be freed when no longer busy */
};

/* session.c */
extern const struct io_stream_events client_session_events;
void client_session_enter(struct client_session *s, enum session_state state);
/* Arm the timer for the core's deadline.  */
void client_session_watch(struct client_session *s);
void client_session_drop_connection(struct client_session *s);
/* Free it, now or when client_session_work returns.  */
void client_session_over(struct client_session *s);
void client_session_work(struct client_session *s);
/* Send the core's output.  False: the connection is lost (the core knows).  */
bool client_session_flush(struct client_session *s);

/* reach.c: for the look-up and the race, which client_session_begin prepares.  */
void reach_looked_up(struct route_lookup *lookup);
void reach_won(struct connect_race *race, struct connection *connection, int error);
void reach_missed(struct connect_race *race, const struct route_target *target, int error);
void reach_outrun(struct connect_race *race, const struct route_target *target, int64_t us);
/* The host that was connected to will not talk to us: the next one is tried.  */
void reach_refused(struct client_session *s, const struct outcome *why);
/* Keep why a target does not serve, for the operator.  */
void reach_note_trouble(struct client_session *s, const struct outcome *o);
/* Connect to the targets from `first` on; when none is left, give up.  */
void reach_try(struct client_session *s, uint32_t first);
/* The destination cannot be reached: it backs off.  */
void reach_give_up(struct client_session *s);
/* A connection that is reused for ever would never learn of a quicker host.  True: one that may serve as well as ours is not
 * known yet, or answers clearly sooner.  */
bool reach_better_elsewhere(const struct client_session *s);

/* hop_tls.c */
/* What TLS is to be with the target that is connected; before the core begins.  */
void hop_tls_configure(struct client_session *s);
/* 220 was said to STARTTLS.  */
void hop_tls_begin(struct client_session *s);
/* Octets came.  What goes wrong here and below the core learns as a connection that is lost.  */
void hop_tls_received(struct client_session *s, struct str octets);
/* False: the connection is lost.  */
bool hop_tls_send(struct client_session *s, struct str plain);
/* Version, cipher and proof, for outcomes: "TLSv1.3 TLS_AES_256_GCM_SHA384 dane".  */
struct str hop_tls_text(const struct client_session *s);
void hop_tls_end(struct client_session *s);
/* From STARTTLS, which the peer has offered, to the end of the handshake: what fails now fails because of TLS.  */
bool hop_tls_starting(const struct client_session *s);
/* The mail may rather go in clear than not at all.  */
bool hop_tls_may_go_clear(const struct client_session *s);
void hop_tls_log_failure(struct client_session *s, struct str why, bool clear);
/* 0-initialised when the message may go over this connection; else the outcome.  */
struct outcome hop_tls_fits(const struct client_session *s, const struct envelope *e);

/* hop_login.c */
/* Whether to log in, by the rule; before the core begins.  */
void hop_login_configure(struct client_session *s);
/* The core wants a step.  */
void hop_login_step(struct client_session *s, struct str challenge);
/* The core is ready.  False: the next hop has not earned that, the core fails.  */
bool hop_login_done(struct client_session *s);
/* The session has failed of the login that is under way.  True: that is dealt with (by another try with a new token, or by
 * giving up); false: another host may do better.  */
bool hop_login_failed(struct client_session *s, const struct outcome *why);
/* Forget the one under way.  */
void hop_login_end(struct client_session *s);

/* hop_report.c: for who counts what came of TLS.  The look-up has ended / the handshake was done, or has failed / the next hop
 * offers no TLS, or refuses it.  */
void hop_report_looked_up(struct client_session *s);
void hop_report_secured(struct client_session *s);
void hop_report_failed(struct client_session *s, struct str why);
void hop_report_clear(struct client_session *s);

/* flight.c */
bool flights_any(const struct client_session *s);
/* Output has been sent: tell the spool of whom the end is on its way to.  */
void flights_note_sent(struct client_session *s);
/* Take the next job if the core and a place are free for it.  False: there was none.  */
bool flight_begin(struct client_session *s);
/* The flight of t: the core wants its content / all its outcomes are there.  */
void flight_wants_content(struct client_session *s, struct smtp_transaction *t);
void flight_done(struct client_session *s, struct smtp_transaction *t);
/* Give content as far as the core and the connection take it.  True when some was given.  */
bool flight_content(struct client_session *s);
/* The connection goes: every flight that is left ends with the outcomes it has.  */
void flights_drop(struct client_session *s);
void flights_cut(struct client_session *s);

#endif
