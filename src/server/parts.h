/* Shared by the files of server/ alone.  */
#ifndef SERVER_PARTS_H
#define SERVER_PARTS_H

#include "inbound/inbound.h"
#include "io/fetch.h"
#include "outbound/outbound.h"
#include "route/router.h"
#include "server/server.h"

/* A configuration, and how many follow it: the server, and the sessions that began under it.  */
struct config_office {
	struct config *config;
	uint32_t users;
};

/* tls_watch.c */
struct server_tls_watch {
	struct timer timer;
	struct tls_context *context; /* in force; NULL: no TLS */
	const struct config *config; /* that it was read for */
	uint64_t known, seen; /* what the files looked like when read, and at the last look */
	msec warned, rotated;
};

struct server {
	struct io *io;
	struct log *log;
	struct config_office *office;
	struct spool *spool;
	struct history *history;
	struct io_workers *history_workers;
	struct latency *latency;
	struct resolver *resolver;
	struct io_fetcher *fetcher;  /* policies.c; NULL: the web cannot be asked */
	struct mtasts *mtasts;       /* likewise */
	struct tls_reports *reports; /* likewise */
	struct list retired;         /* resolvers of earlier configurations: dns.c */
	struct router *router;
	struct queue *queue;
	struct outbound *outbound;
	struct inbound *inbound;
	struct control *control;
	struct acme *acme; /* NULL: certificates are not its business */
	struct admin *admin;
	struct sandbox *sandbox;
	struct server_usage *usage; /* usage.c's */
	struct accounts *accounts;  /* as last read; NULL: not yet, and of which file: */
	msec accounts_mtime;
	uint64_t accounts_size;
	char *control_path; /* that the socket stands at */
	struct net_address listening[256];
	uint32_t bound_count;     /* so many of them are listeners, as bound */
	uint32_t listening_count; /* and behind those, what stands for the ones on every address */
	struct io_hook queue_hook;
	struct io_hook log_hook;
	struct timer queue_timer;
	struct timer stop_timer;
	struct server_tls_watch tls;
	bool stopping, stopped;
	bool inbound_stopped, outbound_stopped;
};

/* state.c: what lies under the state directory.  Warn when that is no place for mail.  */
void server_warn_about_disk(struct server *s, const char *path);
/* 0 or -errno, and words.  */
int MUST_CHECK server_open_spool(struct server *s, const char **ret_why);
/* Without a history there is no trace; mail goes on.  */
void server_open_history(struct server *s);

/* control.c: the control socket.  Without it the server runs all the same; why is logged.  */
void server_open_control(struct server *s);
void server_configure_control(struct server *s);
void server_close_control(struct server *s);

/* accounts.c: for inbound_rules and struct domains; context is the server.  */
struct accounts *server_accounts(void *context);
bool server_has_account(void *context, struct str local, struct str domain);

/* sandbox.c: prepare the directories, give up root, keep within what the configuration names.  False: it cannot be; the
 * exit code, and what and why.  */
struct sandbox;
bool MUST_CHECK server_confine(
	struct server *s, int *ret_exit, const char **ret_what, const char **ret_why);
/* Whether what c names is in reach.  False: why is appended, with the place.  */
bool MUST_CHECK server_reaches(struct server *s, const struct config *c, struct buf *why);
void server_sandbox_free(struct server *s);

/* usage.c: what accounts send.  False: no memory.  */
bool MUST_CHECK server_open_usage(struct server *s, uint64_t seed);
void server_close_usage(struct server *s);
struct usage *server_usage(struct server *s);
/* It has changed: it is written before long.  */
void server_usage_changed(void *context);
/* For queue_drivers; context is the server.  */
void server_usage_failed(void *context, struct str account);

/* tls.c: the certificates of the listeners of c, read; the first is made and saved when there is none; the caller's.
 * *ret is NULL when no listener has TLS.  False: they cannot be had; complaints, a line each, are appended.  */
bool MUST_CHECK server_tls(
	struct server *s, const struct config *c, struct tls_context **ret, struct buf *complaints);
/* The same, where TLS is wanted, and nothing is made.  NULL: complaints.  */
struct tls_context *server_read_tls(
	struct server *s, const struct config *c, struct buf *complaints);
/* Certificate i of c; 0 is the one of `tls`, certificate_count the last.  */
struct config_certificate server_certificate(const struct config *c, uint32_t i);
/* Log which of those in context, read for c, end soon.  */
void server_warn_tls(struct server *s, const struct config *c, const struct tls_context *context);

/* tls.c: tell which exceptions of the configuration have ended.  */
void server_log_exceptions(struct server *s);

/* tls_watch.c: show what stands in the files of c, from which context was read, as they change.  NULL: no TLS.  */
void server_watch_tls(struct server *s, const struct config *c, struct tls_context *context);
void server_unwatch_tls(struct server *s);
/* Their files have changed (context: the server): new sessions use what is in them, if it can be used.  */
void server_renew_tls(void *context);

/* authority.c: the certificate's authority, when the configuration names one.  False: it cannot be had, why is appended.  */
bool MUST_CHECK server_open_acme(struct server *s, struct buf *why);
/* Follow the configuration in force; what cannot be is logged.  */
void server_configure_acme(struct server *s);

/* dns.c: the resolver, for the router that is made after it.  False: *ret_why.  */
bool server_open_dns(struct server *s, const char **ret_why);
/* Follow the configuration in force, where it differs from the one before.  */
void server_configure_dns(struct server *s, const struct config *before);
void server_close_dns(struct server *s);

/* policies.c: what other domains ask for.  Without it mail goes on; why is logged.  */
void server_open_policies(struct server *s);
/* The policies, where the configuration in force wants them; else NULL.  Follows that configuration.  */
struct mtasts *server_policies(struct server *s);
/* There is another configuration.  */
void server_configure_policies(struct server *s);
/* Nothing new is asked: while queue and spool are there.  */
void server_stop_policies(struct server *s);
void server_close_policies(struct server *s);

#endif
