/* Reach one of several addresses: attempts start a little apart and race; the first that connects wins (RFC 8305 5).  */
#ifndef OUTBOUND_CONNECT_H
#define OUTBOUND_CONNECT_H

#include "io/io.h"
#include "route/router.h"

/* A connected stream, on the heap because the loop knows its address.  */
struct connection {
	struct io_stream stream;
	void *owner;     /* the race, then whoever took it */
	uint32_t target; /* index */
	int64_t began_us;
	struct list link;
};

struct connect_race {
	/* connection: the winner, the callee's now; or NULL: error is that of the last attempt.
	 * The targets up to race->next have had their chance.  */
	void (*done)(struct connect_race *race, struct connection *connection, int error);
	/* An attempt has failed (for latency and log).  */
	void (*missed)(struct connect_race *race, const struct route_target *target, int error);
	/* Another one has won, and this one was not there after so long; may be NULL.  */
	void (*outrun)(struct connect_race *race, const struct route_target *target, int64_t us);
	struct io *io;
	const struct route_target *targets;
	uint32_t count;
	uint32_t next;
	msec timeout; /* of one attempt */
	int error;
	struct list attempts;
	struct timer stagger;
	struct timer limit;
};

/* Begin with targets[first]; targets are kept until done.  done never comes before this returns.  */
void connect_race(struct connect_race *race, struct io *io, const struct route_target *targets,
	uint32_t count, uint32_t first, msec timeout);
void connect_race_cancel(struct connect_race *race);

/* Take the winner: its events go to `events` from now on, reading is on.  */
void connection_own(struct connection *c, void *owner, const struct io_stream_events *events);
static inline struct connection *connection_of(struct io_stream *stream)
{
	return CONTAINER_OF(stream, struct connection, stream);
}
void connection_free(struct connection *c);

#endif
