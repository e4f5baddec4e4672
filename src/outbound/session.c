/* Driver of one outgoing connection: look-up, race, then the client core, one transaction after the other.  */
#include "outbound/session.h"

#include <errno.h>
#include <stdlib.h>

enum {
	CONNECT_TIMEOUT_MS = 30 * 1000,
	IDLE_MS = 5 * 1000, /* how long a connection without mail is kept */
	QUIT_MS = 5 * 1000, /* how long its 221 is waited for */
	BETTER_US = 10000,  /* a host must be so much quicker, and by half, to move to it */
};

/* Which state may follow which; a session may end in any.  */
static const bool may_follow[SESSION_STATES][SESSION_STATES] = {
	[SESSION_LOOKING_UP] = {[SESSION_CONNECTING] = true},
	[SESSION_CONNECTING] = {[SESSION_GREETING] = true},
	[SESSION_GREETING] = {[SESSION_CONNECTING] = true, [SESSION_WORKING] = true},
	[SESSION_WORKING] = {[SESSION_IDLE] = true, [SESSION_QUITTING] = true},
	[SESSION_IDLE] = {[SESSION_WORKING] = true, [SESSION_QUITTING] = true},
};

static void enter(struct client_session *s, enum session_state state)
{
	ASSERT(may_follow[s->state][state]);
	s->state = state;
}

static msec now_of(const struct client_session *s) { return outbound_now(s->outbound); }

struct client_session *client_session_of(struct list *link)
{
	return CONTAINER_OF(link, struct client_session, link);
}

struct client_session *client_session_of_idle(struct list *idle_link)
{
	return CONTAINER_OF(idle_link, struct client_session, idle_link);
}

/* ---- the end ---- */

static void drop_connection(struct client_session *s)
{
	if (s->connection) {
		s->outbound->stats.connections--;
		connection_free(s->connection);
		s->connection = NULL;
	}
	if (s->client_live) smtp_client_release(&s->client);
	s->client_live = false;
}

static void session_free(struct client_session *s)
{
	struct outbound *out = s->outbound;
	struct destination *d = s->site->destination;
	drop_connection(s);
	connect_race_cancel(&s->race);
	route_lookup_clear(&s->lookup);
	io_timer_cancel(out->parts.io, &s->timer);
	list_remove(&s->idle_link);
	list_remove(&s->link);
	free(s);
	queue_closed(out->queue, d, outbound_now(out)); /* may end the destination, and its site */
	outbound_check_stopped(out);
}

/* Free it, now or when client_session_work returns.  */
static void end(struct client_session *s)
{
	ASSERT(!flights_any(s));
	if (s->busy)
		s->dead = true;
	else
		session_free(s);
}

/* ---- trouble: one target after the other ---- */

static void note_trouble(struct client_session *s, const struct outcome *o)
{
	struct str text = str_head(o->text, sizeof s->trouble_text);
	if (text.len) memmove(s->trouble_text, text.ptr, text.len);
	s->trouble = *o;
	s->trouble.text = str_of(s->trouble_text, text.len);
	s->trouble.host = STR_NONE;
	s->trouble.tls = STR_NONE;
	/* Whatever a greeting says, another host, or this one later, may serve.  */
	s->trouble.class = OUTCOME_DEFERRED;
}

static void give_up(struct client_session *s)
{
	queue_unreachable(s->outbound->queue, s->site->destination, &s->trouble, now_of(s), outbound_wall(s->outbound));
	end(s);
}

static void try_targets(struct client_session *s, uint32_t first)
{
	if (first >= s->lookup.count) {
		give_up(s);
		return;
	}
	enter(s, SESSION_CONNECTING);
	msec cap = s->config.timeout;
	connect_race(&s->race, s->outbound->parts.io, s->lookup.targets, s->lookup.count, first,
		cap && cap < CONNECT_TIMEOUT_MS ? cap : CONNECT_TIMEOUT_MS);
}

static void name_host(struct buf *to, const struct route_target *target)
{
	buf_add(to, str_from_c(target->host));
	if (target->address.family == NET_UNIX) return;
	struct buf address;
	buf_init(&address, 100);
	net_add(&address, &target->address);
	buf_printf(to, "[" STR_FMT "]:%u", STR_ARG(buf_str(&address)), target->address.port);
	buf_release(&address);
}

static void missed(struct connect_race *race, const struct route_target *target, int error)
{
	struct client_session *s = CONTAINER_OF(race, struct client_session, race);
	latency_failed(s->outbound->parts.latency, &target->address, now_of(s));
	struct buf text;
	buf_init(&text, OUTCOME_TEXT_MAX);
	buf_add(&text, STR("connect to "));
	name_host(&text, target);
	buf_printf(&text, ": %s", strerror(error));
	struct outcome o = outcome_local(OUTCOME_DEFERRED, "4.4.1", buf_str(&text));
	note_trouble(s, &o);
	struct log *log = s->outbound->parts.log;
	log_begin(log, LOG_INFO, STR_NONE, "connect-failed");
	log_str(log, "destination", destination_key(s->site->destination));
	log_str(log, "why", buf_str(&text));
	log_end(log);
	buf_release(&text);
}

/* ---- the stream's side ---- */

static void watch_deadline(struct client_session *s)
{
	if (s->state == SESSION_IDLE || s->state == SESSION_QUITTING) return;
	msec deadline = smtp_client_deadline(&s->client);
	if (deadline == MSEC_NEVER) return;
	if (!timer_is_set(&s->timer) || s->timer.node.key > deadline)
		io_timer_set(s->outbound->parts.io, &s->timer, deadline);
}

bool client_session_flush(struct client_session *s)
{
	struct str output = smtp_client_output(&s->client);
	if (output.len == 0) return true;
	bool sent = io_send(&s->connection->stream, output);
	smtp_client_sent(&s->client, output.len);
	if (!sent) smtp_client_lost(&s->client, now_of(s), STR("connection lost while sending"));
	return sent;
}

static struct client_session *session_of_stream(struct io_stream *stream) { return connection_of(stream)->owner; }

static void received(struct io_stream *stream, struct str octets)
{
	struct client_session *s = session_of_stream(stream);
	smtp_client_feed(&s->client, now_of(s), octets);
	client_session_work(s);
}

static void drained(struct io_stream *stream) { client_session_work(session_of_stream(stream)); }

static void ended(struct io_stream *stream, int error)
{
	struct client_session *s = session_of_stream(stream);
	struct buf why;
	buf_init(&why, 200);
	buf_add(&why, STR("connection closed by the peer"));
	if (error) buf_printf(&why, ": %s", strerror(error));
	smtp_client_lost(&s->client, now_of(s), buf_str(&why));
	buf_release(&why);
	client_session_work(s);
}

static const struct io_stream_events stream_events = {.received = received, .drained = drained, .ended = ended};

static void race_done(struct connect_race *race, struct connection *connection, int error)
{
	struct client_session *s = CONTAINER_OF(race, struct client_session, race);
	(void)error; /* told by `missed` */
	if (!connection) {
		give_up(s);
		return;
	}
	s->connection = connection;
	s->outbound->stats.connections++;
	s->outbound->stats.opened++;
	struct buf host = {.ptr = s->host, .cap = sizeof s->host, .max = sizeof s->host};
	name_host(&host, &s->lookup.targets[connection->target]);
	s->host_len = (uint16_t)host.len;
	enter(s, SESSION_GREETING);
	if (!smtp_client_init(&s->client, &s->config, now_of(s))) {
		struct outcome o = outcome_local(OUTCOME_DEFERRED, "4.3.0", STR("out of memory"));
		note_trouble(s, &o);
		drop_connection(s);
		give_up(s);
		return;
	}
	s->client_live = true;
	connection_own(connection, s, &stream_events);
	watch_deadline(s);
}

/* ---- is there a better host? ---- */

/* A connection that is reused for ever would never learn of a quicker host.  True: one that may serve as well as ours is
 * not known yet, or answers clearly sooner.  */
static bool better_elsewhere(const struct client_session *s)
{
	const struct latency *latency = s->outbound->parts.latency;
	const struct route_target *ours = &s->lookup.targets[s->connection->target];
	bool all = destination_rule(s->site->destination)->latency;
	uint32_t mine = latency_of(latency, &ours->address, now_of(s));
	for (uint32_t i = 0; i < s->lookup.count; i++) {
		const struct route_target *other = &s->lookup.targets[i];
		if (other == ours || (!all && other->preference != ours->preference)) continue;
		uint32_t theirs = latency_of(latency, &other->address, now_of(s));
		if (theirs == 0 || (all && theirs + theirs / 2 + BETTER_US < mine)) return true;
	}
	return false;
}

/* ---- what the core says ---- */

static void on_ready(struct client_session *s)
{
	if (s->state != SESSION_GREETING) return;
	int64_t us = io_now_us(s->outbound->parts.io) - s->connection->began_us;
	latency_note(s->outbound->parts.latency, &s->lookup.targets[s->connection->target].address,
		us > UINT32_MAX ? UINT32_MAX : (uint32_t)us, now_of(s));
	enter(s, SESSION_WORKING);
}

static void on_failed(struct client_session *s, const struct outcome *why)
{
	bool greeting = s->state == SESSION_GREETING;
	bool served = s->served > 0;
	bool quitting = s->state == SESSION_QUITTING || s->state == SESSION_IDLE;
	note_trouble(s, why);
	flights_drop(s); /* those that the core did not know yet */
	client_session_flush(s); /* a last QUIT */
	drop_connection(s);
	if (greeting)
		try_targets(s, s->race.next);
	else if (served || quitting)
		end(s); /* what waits opens a connection of its own */
	else
		give_up(s);
}

static void on_event(struct client_session *s, const struct smtp_client_event *event)
{
	switch (event->type) {
	case SMTP_CLIENT_EVENT_READY:
		on_ready(s);
		break;
	case SMTP_CLIENT_EVENT_CONTENT:
		flight_wants_content(s, event->transaction);
		break;
	case SMTP_CLIENT_EVENT_DONE:
		flight_done(s, event->transaction);
		if (!s->moving) s->moving = better_elsewhere(s);
		break;
	case SMTP_CLIENT_EVENT_FAILED:
		on_failed(s, &event->outcome);
		break;
	case SMTP_CLIENT_EVENT_CLOSED:
		flights_drop(s);
		end(s);
		break;
	case SMTP_CLIENT_EVENT_STARTTLS:
	case SMTP_CLIENT_EVENT_AUTH:
		UNREACHABLE(); /* config asks for neither */
	}
}

/* ---- work ---- */

static bool take_events(struct client_session *s)
{
	bool any = false;
	struct smtp_client_event event;
	while (!s->dead && s->client_live && smtp_client_next(&s->client, &event)) {
		any = true;
		on_event(s, &event);
	}
	return any;
}

static void rest(struct client_session *s)
{
	if (s->stopping || s->moving) {
		enter(s, SESSION_QUITTING);
		smtp_client_quit(&s->client, now_of(s));
		client_session_flush(s);
		io_timer_set(s->outbound->parts.io, &s->timer, now_of(s) + QUIT_MS);
		return;
	}
	enter(s, SESSION_IDLE);
	list_push_front(&s->site->idle, &s->idle_link);
	io_timer_set(s->outbound->parts.io, &s->timer, now_of(s) + IDLE_MS);
}

void client_session_work(struct client_session *s)
{
	if (s->busy) return;
	s->busy = true;
	bool more = true;
	while (more && !s->dead) {
		more = take_events(s);
		if (s->dead || !s->client_live) break;
		if (s->state == SESSION_WORKING) {
			if (!s->stopping && !s->moving) more |= flight_begin(s);
			more |= flight_content(s);
		}
		if (!client_session_flush(s)) more = true;
	}
	s->busy = false;
	if (s->dead) {
		session_free(s);
		return;
	}
	if (!s->client_live) return;
	if (s->state == SESSION_WORKING && !flights_any(s)) rest(s);
	watch_deadline(s);
}

static void timer_fired(struct timer *timer)
{
	struct client_session *s = CONTAINER_OF(timer, struct client_session, timer);
	if (s->state == SESSION_QUITTING) {
		end(s);
	} else if (s->state == SESSION_IDLE) {
		list_remove(&s->idle_link);
		s->stopping = true;
		enter(s, SESSION_WORKING);
		client_session_work(s);
	} else if (s->client_live) {
		if (smtp_client_deadline(&s->client) <= now_of(s)) smtp_client_expire(&s->client, now_of(s));
		client_session_work(s);
	}
}

bool client_session_wake(struct client_session *s)
{
	ASSERT(s->state == SESSION_IDLE);
	if (!flight_begin(s)) return false;
	list_remove(&s->idle_link);
	io_timer_cancel(s->outbound->parts.io, &s->timer);
	enter(s, SESSION_WORKING);
	client_session_work(s);
	return true;
}

void client_session_stop(struct client_session *s, bool now)
{
	s->stopping = true;
	if (now || s->state < SESSION_WORKING) {
		flights_drop(s);
		end(s);
	} else if (s->state == SESSION_IDLE) {
		timer_fired(&s->timer);
	}
}

/* ---- begin ---- */

static void looked_up(struct route_lookup *lookup)
{
	struct client_session *s = CONTAINER_OF(lookup, struct client_session, lookup);
	struct outbound *out = s->outbound;
	if (lookup->count > 0) {
		try_targets(s, 0);
		return;
	}
	if (lookup->failure.class == OUTCOME_FAILED) {
		queue_impossible(out->queue, s->site->destination, &lookup->failure, now_of(s), outbound_wall(out));
		end(s);
		return;
	}
	note_trouble(s, &lookup->failure);
	give_up(s);
}

bool client_session_begin(struct site *site)
{
	struct outbound *out = site->outbound;
	const struct route_rule *rule = destination_rule(site->destination);
	struct client_session *s = calloc(1, sizeof *s);
	if (!s) return false;
	s->site = site;
	s->outbound = out;
	struct str helo = str_head(out->parts.hostname, sizeof s->helo);
	memcpy(s->helo, helo.ptr, helo.len);
	s->config = (struct smtp_client_config){
		.helo = str_of(s->helo, helo.len), .lmtp = rule->kind == ROUTE_LMTP, .timeout = rule->timeout};
	s->lookup.done = looked_up;
	s->race.done = race_done;
	s->race.missed = missed;
	s->timer.fire = timer_fired;
	list_init(&s->idle_link);
	list_push_back(&out->sessions, &s->link);
	queue_opened(out->queue, site->destination);
	route_lookup(out->router, &s->lookup, rule, destination_domain(site->destination));
	return true;
}
