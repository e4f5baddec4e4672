/* Shared by the files of outbound/ alone.  */
#ifndef OUTBOUND_PARTS_H
#define OUTBOUND_PARTS_H

#include "crypto/tls.h"
#include "outbound/connect.h"
#include "outbound/outbound.h"
#include "smtp/client.h"

struct outbound {
	struct outbound_parts parts;
	struct queue *queue;
	struct router *router;
	const struct domains *domains;
	struct io_workers *workers; /* write mailboxes, prove passwords */
	struct io_fetcher *fetcher; /* for tokens; NULL before the first */
	struct list tokens;         /* struct token */
	struct tls_context *tls;
	struct list ready; /* struct site: has mail that may go */
	struct list sites;
	struct list deliveries; /* struct delivery */
	struct list sessions;   /* struct client_session */
	struct outbound_stats stats;
	bool stopping;
	void (*stopped)(void *context);
	void *context;
};

/* What outbound knows of a destination.  */
struct site {
	struct outbound *outbound;
	struct destination *destination;
	struct list link;       /* in outbound->sites */
	struct list ready_link; /* in outbound->ready, or in none */
	struct list idle;       /* struct client_session without work, the last used first */
	msec login_told;  /* when a failed login was logged; 0: none, or one has worked since */
	bool warned_open; /* of a password that others may read */
};

/* outbound.c */
void outbound_check_stopped(struct outbound *out);
msec outbound_now(const struct outbound *out);
msec outbound_wall(const struct outbound *out);
/* Give every recipient of the job the same outcome.  */
void outbound_finish_all(
	struct outbound *out, struct queue_job *job, const struct outcome *outcome);

/* session.c: an SMTP or LMTP connection for the site: finds its hosts, connects, and works until nothing is left.  */
struct client_session;
bool client_session_begin(struct site *site);
/* The site of an idle session may have mail again.  False: it had none, and the session is idle as before.  */
bool client_session_wake(struct client_session *s);
struct client_session *client_session_of_idle(struct list *idle_link);
/* Leave when nothing is under way (at once, when `now`).  */
void client_session_stop(struct client_session *s, bool now);
struct client_session *client_session_of(struct list *link);

/* maildir.c: deliver one job into mailboxes of this machine; ends with queue_closed.  */
void maildir_deliver(struct outbound *out, struct queue_job *job);

#endif
