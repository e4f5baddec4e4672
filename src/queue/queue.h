/* The queue: which recipient of which message is due, for which destination, and what becomes of it.
 *
 * The one invariant: every accepted recipient always has exactly one of a due time, an owner that is working on it, a
 * hold, or a final outcome; one sweep expires all states but the hold, which is the operator's: held mail does not
 * expire before it is released.  queue_check asserts it.
 *
 *   lane         mail of one (recipient domain, sender): first in, first out
 *   domain       its lanes; knows its destination, found anew at each configuration
 *   destination  one next hop: a window of connections (feedback), a rate, a backoff; takes turns among its lanes,
 *                so that a bulk run does not delay a single letter
 *
 * Pure but for the spool: time is passed in, nothing waits.  The drivers (outbound/) ask for work.  */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include "base/log.h"
#include "base/rng.h"
#include "mail/dsn.h"
#include "policy/domain.h"
#include "route/rule.h"
#include "spool/history.h"
#include "spool/spool.h"

struct queue;
struct destination;

struct queue_options {
	msec retry[16]; /* the last repeats */
	uint32_t retry_count;
	msec lifetime;
	msec delay_notice; /* 0: never */
	uint32_t
		return_breaker; /* a destination that answers so many messages in a row with 5xx for good is paused; 0: never */
	struct str hostname; /* kept */
	const struct domains *
		domains; /* kept: a report to a local sender follows aliases; NULL: there are none */
};

struct queue_drivers {
	/* d has mail that may go now: take it with queue_take, on an idle connection or a new one.  Said when that
	 * becomes true, from queue_run or any call below; it may be said again.  */
	void (*ready)(void *context, struct destination *d);
	/* No mail, no connection and no backoff is left: d is freed when this returns; the driver frees what
	 * destination_driver holds.  */
	void (*gone)(void *context, struct destination *d);
	/* A recipient of an account's mail has failed for good.  May be NULL.  */
	void (*failed)(void *context, struct str account);
	void *context;
};

/* options and table are kept until queue_configure gives others.  */
struct queue *queue_new(struct spool *spool, struct history *history,
	const struct queue_options *options, const struct route_table *table,
	const struct queue_drivers *drivers, uint64_t seed, struct log *log);
/* Before or after spool_close: a DSN under way is committed, or made again from what is on disk.  */
void queue_free(struct queue *q);
/* Options and routes have changed: every domain finds its destination anew.  */
void queue_configure(struct queue *q, const struct queue_options *options,
	const struct route_table *table, msec now, msec wall);

/* Link a recipient that recovery found (to be called by spool_each_recovered).  */
void queue_recovered(struct queue *q, slot recipient, struct str domain);
/* A message was committed (its recipients are ACTIVE): they are due at once, or at envelope->hold_until.  */
void queue_accepted(struct queue *q, slot message, const struct envelope *e, msec now, msec wall);
/* Key of a sender for fairness: VERP and numbered variants of one sender share it.  */
uint32_t queue_tag(struct str reverse_path);

/* Do what time asks for: due mail, backoffs that end, expiry, delay notices.  Returns when to come again (monotonic).
 * Bounded work per call (a slice of the sweep).  */
msec queue_run(struct queue *q, msec now, msec wall);
/* When to call queue_run, as things are now (any call may have made it earlier: ask before the loop sleeps).  */
msec queue_next(const struct queue *q);

/* ---- work ---- */

/* One transaction: recipients of one message at one destination.  */
struct queue_job {
	struct destination *destination;
	slot message;
	uint64_t id;
	uint32_t count;
	slot *recipients;  /* count; 0 where the operator deleted it meanwhile */
	uint32_t *indices; /* count: index into the envelope, ascending */
	struct list link;  /* the queue's */
	msec began;
	/* The driver's, of message, borrowed until queue_finish returns.  NULL: the queue reads it itself, which costs a
	 * read of the spool.  */
	const struct envelope *envelope;
};

/* A message had been sent to this recipient when the last life was killed, and nobody knows whether it arrived: say
 * so.  After queue_recovered.  */
void queue_doubtful(struct queue *q, slot recipient, msec now, msec wall);

/* Whether d wants one more connection now: mail is ready, and window, rate and backoff allow it.  */
bool queue_wants(const struct destination *d, msec now);
/* A driver opens / has closed a connection (or a worker slot) for d.  */
void queue_opened(struct queue *q, struct destination *d);
void queue_closed(struct queue *q, struct destination *d, msec now);
/* The next transaction for d, of at most recipients_max recipients; they become ACTIVE.  NULL: none is ready, or the rate or
 * backoff says not now.  The job is the queue's until queue_finish.  */
struct queue_job *queue_take(
	struct queue *q, struct destination *d, uint32_t recipients_max, msec now);
/* What each recipient got (job->count outcomes, borrowed).  OUTCOME_NONE: not tried; due again at once.  Writes outcomes, due
 * times and history; makes DSNs.  The job is gone.  */
void queue_finish(struct queue *q, struct queue_job *job, const struct outcome *outcomes, msec now,
	msec wall);

/* The destination as a whole: reached and served (the window grows, what waits is woken) or not (the window shrinks,
 * backoff unless other connections are served; why is kept for the operator, copied).  queue_unreachable comes before the
 * queue_closed of the connection that failed.  */
void queue_served(struct queue *q, struct destination *d, msec now);
void queue_unreachable(
	struct queue *q, struct destination *d, const struct outcome *why, msec now, msec wall);
/* The destination cannot exist (5.1.2, 5.1.10, 5.4.6): everything waiting for it gets this outcome now, in slices.  */
void queue_impossible(
	struct queue *q, struct destination *d, const struct outcome *why, msec now, msec wall);

/* Of the table in use; after queue_configure a destination that gets no mail any more may have any rule.  */
const struct route_rule *destination_rule(const struct destination *d);
/* As route_destination_key says; kept as long as d.  */
struct str destination_key(const struct destination *d);
/* The domain to look up (ROUTE_MX), or of the mailbox.  */
struct str destination_domain(const struct destination *d);
/* The driver's own data on d; NULL at first.  */
void **destination_driver(struct destination *d);

/* ---- the operator ---- */

enum queue_act { QUEUE_RETRY, QUEUE_HOLD, QUEUE_RELEASE, QUEUE_DELETE };

/* On one recipient slot.  DELETE wins over an attempt in flight.  False: it does not apply in its state.  */
bool queue_act(struct queue *q, slot recipient, enum queue_act act, msec now, msec wall);

/* HOLD or RELEASE on all recipients of a message.  by: whose doing it is, for the log.  Returns to how many it applied.  */
uint32_t queue_act_message(
	struct queue *q, slot message, enum queue_act act, const char *by, msec now, msec wall);

struct queue_view { /* of one recipient; strings borrowed from arena and queue */
	enum recipient_state state;
	uint32_t attempts;
	msec next_attempt; /* wall; 0: none planned */
	struct str destination;
	struct str
		reason; /* why it waits, in words: "greylisted by ..." or what the destination waits for */
};
void queue_view(struct queue *q, slot recipient, struct arena *arena, msec now, msec wall,
	struct queue_view *ret);

struct destination_view {
	struct str key;
	uint32_t ready, deferred, active, held, connections, window;
	msec next_attempt; /* wall; 0: now */
	struct str reason; /* of the backoff or pause; empty: none */
	bool paused;       /* by the return breaker */
	uint64_t delivered, failed, deferrals;
};
/* Visit each destination until visit returns false.  */
void queue_each_destination(struct queue *q,
	bool (*visit)(void *context, const struct destination_view *v), void *context, msec now,
	msec wall);

struct queue_stats {
	uint64_t accepted, delivered, failed, expired, deleted, deferrals,
		bounces; /* recipients; bounces: DSNs made */
	uint32_t messages, recipients, ready, deferred, active, held, destinations;
	msec oldest; /* wall time of the oldest message's acceptance, as the last sweep saw it; 0: empty */
};
void queue_stats(struct queue *q, struct queue_stats *ret);
/* Assert the invariant and the conservation law (in = out + held + queued); walks everything.  */
void queue_check(struct queue *q);

#endif
