/* What the modules of the queue share.  For this folder only.
 *
 *   place.c        in which list a recipient is; lanes, domains, turns; all counts
 *   destination.c  destinations: interning, backoff, when they may go
 *   work.c         jobs: take and finish
 *   settle.c       outcomes: log, history, spool, and whether a DSN is due
 *   bounce.c       composing DSNs and committing them
 *   sweep.c        expiry, delay notices, destinations that cannot be
 *   operator.c     queue_act; views in view.c; check.c asserts the invariant  */
#ifndef QUEUE_STATE_H
#define QUEUE_STATE_H

#include "base/heap.h"
#include "queue/breaker.h"
#include "queue/queue.h"
#include "queue/rate.h"
#include "queue/schedule.h"
#include "queue/table.h"
#include "queue/window.h"

enum {
	QUEUE_LANES_MAX = 64, /* of a domain, and turns of a destination: more senders share */
	QUEUE_LINGER_MS = 60 * 1000,     /* a destination without mail is remembered for so long */
	QUEUE_BOUNCES_MAX = 1024,        /* DSNs under way; past it failures are deferred instead */
	QUEUE_BOUNCES_OCTETS = 64 << 20, /* likewise */
	QUEUE_BOUNCES_SWEEP = 128,       /* a sweep makes no more of them at once */
	QUEUE_RUN_RECIPIENTS = 20000,    /* looked at by one queue_run */
	QUEUE_RUN_SETTLED = 200, /* ended or told of by one queue_run: each reads the spool */
};

/* Which list a recipient's link is in.  state follows: READY and WAIT are DUE; JOB and BOUNCE
 * are ACTIVE.  */
enum place {
	PLACE_NONE,
	PLACE_READY,  /* its lane */
	PLACE_WAIT,   /* the schedule */
	PLACE_HELD,   /* none */
	PLACE_JOB,    /* none; link.next: number of the job, link.prev: place in it */
	PLACE_BOUNCE, /* none; link.next: number of the bounce, link.prev: place in it */
	PLACE_COUNT,
};
/* In link.prev of a recipient in a job: hold it when it comes back.  */
#define JOB_HOLD 0x80000000u

struct lane {
	uint32_t number;
	uint32_t tag;
	uint32_t count;   /* recipients in any place */
	slot first, last; /* READY ones */
	struct domain *domain;
	struct turn *turn; /* NULL: none is ready */
	struct list in_turn;
	struct list in_domain;
};

struct domain {
	struct map_node node;
	struct destination *destination;
	struct list lanes;
	uint32_t lane_count;
	uint32_t counts[PLACE_COUNT];
	char name[];
};

/* The lanes of one sender that are ready at one destination.  */
struct turn {
	uint32_t tag;
	struct list lanes;
	struct list link;
};

struct destination {
	struct queue *queue;
	struct map_node node;
	struct list link;              /* queue.destinations */
	struct heap_node timer;        /* queue.timers: when it may go again, or is forgotten */
	struct list announce;          /* queue.announced */
	struct list doomed;            /* queue.doomed: cannot exist */
	const struct route_rule *rule; /* of the table in use */
	struct str key, domain;
	void *driver;

	struct list turns; /* those that are ready, whose turn is next first */
	uint32_t turn_count;
	uint32_t domains;
	uint32_t counts[PLACE_COUNT];

	uint32_t connections, jobs;
	struct window window;
	struct rate rate;
	uint32_t streak;   /* failures since it last served */
	uint32_t backoffs; /* in a row */
	bool probing;      /* one connection only, until it serves */
	struct breaker breaker;
	msec until; /* monotonic: nothing goes before */
	struct arena why_arena;
	struct outcome why; /* of until, in why_arena */
	struct arena doom_arena;
	struct outcome doom; /* every message up to doom_id gets it */
	uint64_t doom_id;

	uint64_t delivered, failed, deferrals;
};

struct queue {
	struct spool *spool;
	struct spool_index *index;
	struct history *history;
	const struct queue_options *options;
	const struct route_table *table;
	const char *by; /* whose act is under way */
	struct queue_drivers drivers;
	struct log *log;
	struct rng rng;

	/* now and wall as last told.  clock is wall made monotonic: due times of recipients
	 * are in it.  */
	msec now, wall, clock;
	bool started;

	struct map domains;
	struct map keys; /* destinations */
	struct list destinations;
	struct table lanes;
	struct table jobs;
	struct table bounces;
	struct list jobs_list;
	struct heap timers;
	struct list announced;
	bool announcing;
	struct list doomed;
	struct schedule schedule;

	struct list bounces_waiting; /* the spool refused them */
	uint32_t bounce_count;
	size_t bounce_octets;
	msec bounce_retry; /* monotonic */

	struct {
		slot cursor;
		msec next;   /* monotonic: the next slice */
		msec oldest; /* in this pass, so far */
	} sweep;

	uint32_t counts[PLACE_COUNT];
	uint64_t recovered; /* recipients */
	uint64_t last_id;   /* of the newest message */
	struct queue_stats stats;
};

/* queue.c */
void *queue_alloc(
	size_t size); /* zeroed; the process ends when there is no memory: all mail is on disk */
_Noreturn void queue_no_memory(void);
void queue_clock(struct queue *q, msec now, msec wall);
/* As queue_clock where the wall time was not told.  */
void queue_tick(struct queue *q, msec now);
uint32_t queue_due(const struct queue *q, msec delay); /* for spool_recipient.due, rounded up */
msec queue_wall_of(const struct queue *q, uint32_t due);

/* place.c */
struct lane *lane_of(const struct queue *q, const struct spool_recipient *r);
struct destination *destination_of(const struct queue *q, const struct spool_recipient *r);
/* Give the recipient, which is in no place, its lane.  domain: any case.  */
void place_enter(struct queue *q, slot recipient, struct str domain);
/* Move it from the place it is in to another; READY is at the end of its lane.  */
void place_move(struct queue *q, slot recipient, enum place to);
/* As place_move to READY, but at the front: it was not tried.  */
void place_back(struct queue *q, slot recipient);
/* Move it to READY or WAIT by its due time.  */
void place_due(struct queue *q, slot recipient);
/* The schedule has given it: from WAIT to READY.  */
void place_came_due(struct queue *q, slot recipient);
/* It is about to end: out of its place and its lane, state ACTIVE.  */
void place_leave(struct queue *q, slot recipient);
/* Every domain finds its destination anew.  */
void place_reroute(struct queue *q);
void place_release(struct queue *q);

/* destination.c */
struct destination *destination_get(
	struct queue *q, const struct route_rule *rule, struct str domain);
void destination_set_rule(struct queue *q, struct destination *d, const struct route_rule *rule);
/* When it may go has changed: set its timer.  */
void destination_plan(struct queue *q, struct destination *d);
/* There may be something new for a driver to do: announce it if it may go now, else
 * destination_plan.  */
void destination_wake(struct queue *q, struct destination *d);
bool destination_may_go(const struct destination *d, msec now);
void destination_why(struct destination *d, const struct outcome *why);
/* The operator wants it tried now.  */
void destination_retry(struct queue *q, struct destination *d);
/* Pause by the breaker.  */
void destination_pause(struct queue *q, struct destination *d, const struct outcome *why);
void destination_resume(struct queue *q, struct destination *d);
void destination_reconfigure(struct queue *q);
/* Timers that are due.  */
void destination_run(struct queue *q);
void destination_release(struct queue *q);
/* Call drivers.ready for what was announced so far; the end of every public call.  */
void destination_announce(struct queue *q);

/* settle.c */
struct verdict {
	slot recipient;
	uint32_t index; /* in the envelope */
	const struct outcome *outcome;
	struct outcome changed; /* scratch: outcome may point here */
	bool hold;              /* the operator wants it held when it is deferred */
	bool bounces;           /* it ends when its DSN is committed */
};
struct settlement {
	slot message;
	uint64_t id;
	struct destination *destination; /* NULL: none has to do with it */
	const struct envelope *envelope; /* NULL: read it */
	/* DELIVERED, DEFERRED, FAILED or EXPIRED; their recipients in place JOB or NONE.  */
	struct verdict *verdicts;
	uint32_t count;
	bool attempt; /* it was tried: since began */
	msec began;
};
/* Log, write down, and tell the sender.  The recipients are in no place of the caller's any
 * more.  */
void settle(struct queue *q, struct settlement *s);
/* Record a final outcome: the recipient is gone; the message too, when this was its last.  */
void settle_end(struct queue *q, slot recipient, uint64_t id, const struct outcome *o);
/* Whether a message that was accepted, or was to be held by the sender's wish, until `since`
 * (wall) is too old.  */
bool settle_too_old(const struct queue *q, msec since);
/* The outcome of expiry, its text in arena; last: why it was not delivered before, or NULL.  */
struct outcome settle_expiry_outcome(
	const struct queue *q, struct arena *arena, const struct outcome *last);
/* Why a recipient that is DUE was not delivered so far; false: never tried.  */
bool settle_reason(struct queue *q, slot recipient, struct arena *arena, struct outcome *ret);
void settle_log_outcome(struct log *log, const struct outcome *o);
void settle_history(struct queue *q, enum history_event event, uint64_t id, struct str recipient,
	const struct outcome *o);

/* bounce.c */
struct bounce_item {
	slot recipient; /* ends with the DSN's commit; 0: does not */
	uint32_t index;
	enum dsn_action action;
	const struct outcome *outcome;
	msec last_attempt;
};
/* Tell the sender.  The recipients of items become PLACE_BOUNCE and end when the DSN is on
 * disk.  False: it cannot be done now (nothing has changed).  */
bool bounce_make(struct queue *q, slot message, const struct bounce_item *items, uint32_t count);
bool bounce_room(const struct queue *q);
/* The operator deleted the recipient: the bounce ends without it.  */
void bounce_forget(struct queue *q, const struct spool_recipient *r);
/* The recipient at the place of its bounce that r names.  */
slot bounce_owns(const struct queue *q, const struct spool_recipient *r);
void bounce_run(struct queue *q);
void bounce_release(struct queue *q);

/* work.c */
struct queue_job *work_job(const struct queue *q, const struct spool_recipient *r);
void work_release(struct queue *q);
/* The recipients of the message that are ready at d, in the order of the envelope, at most
 * max.  to: NULL is to count.  */
uint32_t work_ready(
	const struct queue *q, const struct destination *d, slot message, slot *to, uint32_t max);

/* sweep.c */
void sweep_run(struct queue *q);
msec sweep_next(const struct queue *q);

#endif
