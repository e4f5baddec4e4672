/* Mail goes out: connections to next hops, and mailboxes on this machine.  Takes its work from the queue.  */
#ifndef OUTBOUND_OUTBOUND_H
#define OUTBOUND_OUTBOUND_H

#include "base/log.h"
#include "policy/domain.h"
#include "queue/queue.h"
#include "route/router.h"
#include "route/tlsrpt.h"

struct outbound;

struct outbound_parts {
	struct io *io;
	struct spool *spool;
	struct latency *latency;
	struct log *log;
	/* Told of each session with a host that a domain has chosen; NULL: nobody wants to know.  */
	void (*note_tls)(void *context, const struct tlsrpt_session *session);
	void *note_context;
	struct str hostname; /* our name in EHLO; outbound_configure gives it */
};

/* Starts the threads that write mailboxes.  parts are copied; what they point at is kept.  NULL: the system refuses.  */
struct outbound *outbound_new(const struct outbound_parts *parts);
/* Whom to ask from now on, before the first mail and at each new configuration; all are kept.  A router that is replaced must
 * live until no look-up of it runs: outbound_looking_up.  */
void outbound_configure(struct outbound *out, struct queue *queue, struct router *router,
	const struct domains *domains, struct str hostname);

/* For struct queue_drivers: context is the outbound.  */
void outbound_ready(void *context, struct destination *d);
void outbound_gone(void *context, struct destination *d);

/* Serve the destinations that are ready: after queue_run, before queue_next is asked and before the spool's turn, in each
 * wake-up.  True: not all could have their turn; come again at once.  */
bool outbound_run(struct outbound *out);

/* Take nothing new; what is under way ends, at most until `stopped`, which comes when nothing is.  */
void outbound_stop(struct outbound *out, void (*stopped)(void *context), void *context);
/* Drop what is left: its mail is due again.  */
void outbound_free(struct outbound *out);

struct outbound_stats {
	uint32_t connections, connecting;
	uint64_t delivered, attempts, opened;
};
/* Counts since the start, and of now.  */
void outbound_stats(const struct outbound *out, struct outbound_stats *ret);

#endif
