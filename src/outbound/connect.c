#include "outbound/connect.h"

#include <errno.h>
#include <stdlib.h>

enum { STAGGER_MS = 250, TRIES_AT_ONCE = 3 }; /* RFC 8305 8: 250 ms between attempts */

static void begin_next(struct connect_race *race);

/* ---- the race is over ---- */

static void drop_attempts(struct connect_race *race)
{
	while (!list_empty(&race->attempts))
		connection_free(CONTAINER_OF(race->attempts.next, struct connection, link));
}

void connect_race_cancel(struct connect_race *race)
{
	if (!race->io) return;
	io_timer_cancel(race->io, &race->stagger);
	io_timer_cancel(race->io, &race->limit);
	drop_attempts(race);
	race->io = NULL;
}

static void lose(struct connect_race *race)
{
	connect_race_cancel(race);
	race->done(race, NULL, race->error);
}

static void win(struct connect_race *race, struct connection *c)
{
	list_remove(&c->link);
	/* Who began later has lost by that alone: should the winner not serve, it is the next to be tried.  */
	race->next = c->target + 1;
	LIST_EACH (&race->attempts, node) {
		const struct connection *other = CONTAINER_OF(node, struct connection, link);
		if (other->target > c->target || !race->outrun) continue;
		race->outrun(
			race, &race->targets[other->target], io_now_us(race->io) - other->began_us);
	}
	connect_race_cancel(race);
	race->done(race, c, 0);
}

/* ---- attempts ---- */

static void attempt_failed(struct connect_race *race, struct connection *c, int error)
{
	race->error = error;
	const struct route_target *target = &race->targets[c->target];
	connection_free(c);
	if (race->missed) race->missed(race, target, error);
	begin_next(race);
}

static void connected(struct io_stream *stream, int error)
{
	struct connection *c = connection_of(stream);
	struct connect_race *race = c->owner;
	if (error)
		attempt_failed(race, c, error);
	else
		win(race, c);
}

/* Before a race is won nothing but `connected` can come: reading is off.  */
static const struct io_stream_events race_events = {.connected = connected};

static bool begin_attempt(struct connect_race *race, uint32_t target)
{
	struct connection *c = calloc(1, sizeof *c);
	if (!c) {
		race->error = ENOMEM;
		return false;
	}
	list_init(&c->link);
	c->owner = race;
	c->target = target;
	c->began_us = io_now_us(race->io);
	int error = io_connect(
		race->io, &c->stream, &race_events, &race->targets[target].address, NULL);
	if (error == 0) {
		list_push_back(&race->attempts, &c->link);
		return true;
	}
	free(c);
	race->error = -error;
	if (race->missed) race->missed(race, &race->targets[target], -error);
	return false;
}

static uint32_t attempts(const struct connect_race *race)
{
	uint32_t count = 0;
	LIST_EACH (&race->attempts, node) count++;
	return count;
}

/* Start the next target, if there is one; lose when none is left and none runs.  */
static void begin_next(struct connect_race *race)
{
	while (race->next < race->count)
		if (begin_attempt(race, race->next++)) {
			if (race->next < race->count)
				io_timer_set(
					race->io, &race->stagger, io_now(race->io) + STAGGER_MS);
			io_timer_set(race->io, &race->limit, io_now(race->io) + race->timeout);
			return;
		}
	/* Losing is left to the timer: `done` must not come from inside connect_race.  */
	if (list_empty(&race->attempts)) io_timer_set(race->io, &race->limit, io_now(race->io));
}

static void stagger_fired(struct timer *timer)
{
	struct connect_race *race = CONTAINER_OF(timer, struct connect_race, stagger);
	if (attempts(race) < TRIES_AT_ONCE) begin_next(race);
}

/* No attempt has come through in time: the oldest ones end, and later targets get their turn.  */
static void limit_fired(struct timer *timer)
{
	struct connect_race *race = CONTAINER_OF(timer, struct connect_race, limit);
	while (!list_empty(&race->attempts)) {
		struct connection *c = CONTAINER_OF(race->attempts.next, struct connection, link);
		const struct route_target *target = &race->targets[c->target];
		connection_free(c);
		race->error = ETIMEDOUT;
		if (race->missed) race->missed(race, target, ETIMEDOUT);
	}
	if (race->next >= race->count)
		lose(race);
	else
		begin_next(race);
}

void connect_race(struct connect_race *race, struct io *io, const struct route_target *targets,
	uint32_t count, uint32_t first, msec timeout)
{
	race->io = io;
	race->targets = targets;
	race->count = count;
	race->next = first;
	race->timeout = timeout;
	race->error = EHOSTUNREACH;
	race->stagger = (struct timer){.fire = stagger_fired};
	race->limit = (struct timer){.fire = limit_fired};
	list_init(&race->attempts);
	begin_next(race);
}

void connection_own(struct connection *c, void *owner, const struct io_stream_events *events)
{
	c->owner = owner;
	c->stream.events = events;
	io_read_on(&c->stream);
}

void connection_free(struct connection *c)
{
	if (!c) return;
	list_remove(&c->link);
	io_close(&c->stream);
	free(c);
}
