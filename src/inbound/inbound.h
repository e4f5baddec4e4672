/* Mail comes in: listeners, their sessions, and the rules that both follow.  */
#ifndef INBOUND_INBOUND_H
#define INBOUND_INBOUND_H

#include "base/log.h"
#include "crypto/tls.h"
#include "inbound/listener.h"
#include "policy/accounts.h"
#include "policy/senders.h"
#include "policy/usage.h"
#include "policy/guard.h"
#include "queue/queue.h"

struct inbound;

/* What one configuration says about clients.  Strings and tables are kept until `release` (sessions that began under it may
 * outlive it in office).  */
struct inbound_rules {
	struct str hostname;
	const struct listener_options *listeners;
	uint32_t listener_count;
	const struct domains *domains;
	const struct senders *senders;
	const struct access_list *relay_from;
	struct tls_context *tls; /* NULL: no listener has TLS; held as long as it is in use */
	/* The accounts as they are now, held for the caller; NULL: they cannot be read.  */
	struct accounts *(*accounts)(void *context);
	void *accounts_context;
	/* What accounts send: asked and told; and that something was told.  NULL: nobody keeps it.  */
	struct usage *usage;
	void (*usage_changed)(void *context); /* accounts_context */
	uint64_t message_max;
	uint32_t recipients_max, errors_max;
	uint32_t connections, connections_per_client;
	msec timeout;
	msec hold;                  /* FUTURERELEASE: at most */
	struct guard_options guard; /* against who guesses passwords */
	void (*release)(void *owner);
	void *owner;
};

struct inbound_parts {
	struct io *io;
	struct spool *spool;
	struct queue *queue;
	struct history *history; /* may be NULL */
	struct log *log;
};

/* Nothing listens yet.  parts are copied; what they point at is kept.  NULL: no memory.  */
struct inbound *inbound_new(const struct inbound_parts *parts, uint64_t seed);
/* Follow these rules from now on: open listeners that are new, close those that are gone, leave the others and every
 * session alone.  False: a listener could not be bound (*ret_why, logged too); then the rules before stay, and
 * `release` of the new ones is not called.  */
bool MUST_CHECK inbound_configure(
	struct inbound *in, const struct inbound_rules *rules, struct buf *ret_why);
/* Show these certificates to those who begin TLS from now on; held as long as they are in use.  The rules have TLS.  */
void inbound_use_tls(struct inbound *in, struct tls_context *context);
/* Addresses listened on now; at most max.  */
uint32_t inbound_listening(const struct inbound *in, struct net_address *ret, uint32_t max);

/* Close the listeners; sessions that wait for a verdict get it, all others a 421; `stopped` comes when none is left.  */
void inbound_stop(struct inbound *in, void (*stopped)(void *context), void *context);
/* Close whatever is left, at once.  A commit under way still ends in us: spool_close first, then inbound_free.  */
void inbound_drop(struct inbound *in);
/* Free it; dropped, and the spool is closed.  */
void inbound_free(struct inbound *in);

struct inbound_stats {
	uint32_t sessions;
	uint64_t connections, refused_connections, accepted, refused_messages, octets;
};
/* Counts since the start, and of now.  */
void inbound_stats(const struct inbound *in, struct inbound_stats *ret);

#endif
