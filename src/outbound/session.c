/* Driver of one outgoing connection: look-up, race, then the client core, one transaction after the other.  */
#include "outbound/session.h"

#include <errno.h>
#include <stdlib.h>

enum {
	IDLE_MS = 5 * 1000, /* how long a connection without mail is kept */
	QUIT_MS = 5 * 1000, /* how long its 221 is waited for */
	TURNS_MAX = 100,    /* of work in one go: the loop has others to serve */
};

/* Which state may follow which; a session may end in any.  */
static const bool may_follow[SESSION_STATES][SESSION_STATES] = {
	[SESSION_LOOKING_UP] = {[SESSION_CONNECTING] = true},
	[SESSION_CONNECTING] = {[SESSION_GREETING] = true},
	[SESSION_GREETING] = {[SESSION_CONNECTING] = true, [SESSION_WORKING] = true},
	[SESSION_WORKING] = {[SESSION_IDLE] = true, [SESSION_QUITTING] = true},
	[SESSION_IDLE] = {[SESSION_WORKING] = true, [SESSION_QUITTING] = true},
};

void client_session_enter(struct client_session *s, enum session_state state)
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

void client_session_drop_connection(struct client_session *s)
{
	hop_login_end(s);
	hop_tls_end(s);
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
	client_session_drop_connection(s);
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
void client_session_over(struct client_session *s)
{
	ASSERT(!flights_any(s));
	if (s->busy)
		s->dead = true;
	else
		session_free(s);
}

/* ---- the stream's side ---- */

void client_session_watch(struct client_session *s)
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
	bool sent = s->tls ? hop_tls_send(s, output) : io_send(&s->connection->stream, output);
	smtp_client_sent(&s->client, output.len);
	flights_note_sent(s);
	if (!sent) smtp_client_lost(&s->client, now_of(s), STR("connection lost while sending"));
	return sent;
}

static struct client_session *session_of_stream(struct io_stream *stream)
{
	return connection_of(stream)->owner;
}

static void received(struct io_stream *stream, struct str octets)
{
	struct client_session *s = session_of_stream(stream);
	if (s->tls)
		hop_tls_received(s, octets);
	else
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

const struct io_stream_events client_session_events = {
	.received = received, .drained = drained, .ended = ended};

/* ---- what the core says ---- */

static void on_ready(struct client_session *s)
{
	if (s->state != SESSION_GREETING || !hop_login_done(s)) return;
	int64_t us = io_now_us(s->outbound->parts.io) - s->connection->began_us;
	latency_note(s->outbound->parts.latency, &s->lookup.targets[s->connection->target].address,
		us > UINT32_MAX ? UINT32_MAX : (uint32_t)us, now_of(s));
	hop_report_clear(s);
	client_session_enter(s, SESSION_WORKING);
}

/* TLS could not be started.  True: the mail goes in clear, over a new connection.  */
static bool tls_failed(struct client_session *s, const struct outcome *why)
{
	bool clear = hop_tls_may_go_clear(s);
	struct outcome o = *why;
	o.enhanced = (struct enhanced){4, 7, 5};
	reach_note_trouble(s, &o);
	hop_tls_log_failure(s, s->trouble.text, clear);
	if (!clear) return false;
	s->clear_target = s->connection->target;
	client_session_drop_connection(s);
	reach_try(s, s->clear_target);
	return true;
}

/* The core's word for a next hop that must have TLS, and has it not.  */
static bool lacks_tls(const struct outcome *o)
{
	return o->enhanced.class == 4 && o->enhanced.subject == 7 && o->enhanced.detail == 4;
}

static void on_failed(struct client_session *s, const struct outcome *why)
{
	bool starting = hop_tls_starting(s);
	if (starting && tls_failed(s, why)) return;
	if (s->login && hop_login_failed(s, why)) return;
	bool greeting = s->state == SESSION_GREETING;
	bool served = s->served > 0;
	if (greeting) reach_refused(s, why);
	if (greeting && lacks_tls(why)) hop_report_clear(s);
	bool quitting = s->state == SESSION_QUITTING || s->state == SESSION_IDLE;
	if (!starting) reach_note_trouble(s, why);
	flights_drop(s);         /* those that the core did not know yet */
	client_session_flush(s); /* a last QUIT */
	client_session_drop_connection(s);
	if (greeting)
		reach_try(s, s->race.next);
	else if (served || quitting || s->ours)
		client_session_over(s); /* what waits opens a connection of its own */
	else
		reach_give_up(s);
}

static void on_event(struct client_session *s, const struct smtp_client_event *event)
{
	switch (event->type) {
	case SMTP_CLIENT_EVENT_READY: on_ready(s); break;
	case SMTP_CLIENT_EVENT_CONTENT: flight_wants_content(s, event->transaction); break;
	case SMTP_CLIENT_EVENT_DONE:
		flight_done(s, event->transaction);
		if (!s->moving) s->moving = reach_better_elsewhere(s);
		break;
	case SMTP_CLIENT_EVENT_FAILED: on_failed(s, &event->outcome); break;
	case SMTP_CLIENT_EVENT_CLOSED:
		flights_drop(s);
		client_session_over(s);
		break;
	case SMTP_CLIENT_EVENT_STARTTLS: hop_tls_begin(s); break;
	case SMTP_CLIENT_EVENT_AUTH: hop_login_step(s, event->challenge); break;
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
	bool spent = !smtp_client_ready(
		&s->client); /* the peer takes no more in this session (LIMITS MAILMAX) */
	if (s->stopping || s->moving || spent) {
		client_session_enter(s, SESSION_QUITTING);
		smtp_client_quit(&s->client, now_of(s));
		client_session_flush(s);
		io_timer_set(s->outbound->parts.io, &s->timer, now_of(s) + QUIT_MS);
		return;
	}
	client_session_enter(s, SESSION_IDLE);
	list_push_front(&s->site->idle, &s->idle_link);
	io_timer_set(s->outbound->parts.io, &s->timer, now_of(s) + IDLE_MS);
}

void client_session_work(struct client_session *s)
{
	if (s->busy) return;
	s->busy = true;
	bool more = true;
	for (int turns = TURNS_MAX; more && !s->dead && turns > 0; turns--) {
		more = take_events(s);
		if (s->dead || !s->client_live) break;
		if (s->state == SESSION_WORKING) {
			more |= flight_content(s);
			if (!s->stopping && !s->moving) more |= flight_begin(s);
		}
		if (!client_session_flush(s)) more = true;
	}
	s->busy = false;
	if (s->dead) {
		session_free(s);
		return;
	}
	if (!s->client_live) return;
	if (more) {
		io_timer_set(s->outbound->parts.io, &s->timer, now_of(s));
		return;
	}
	if (s->state == SESSION_WORKING && !flights_any(s)) rest(s);
	client_session_watch(s);
}

static void timer_fired(struct timer *timer)
{
	struct client_session *s = CONTAINER_OF(timer, struct client_session, timer);
	if (s->state == SESSION_QUITTING) {
		client_session_over(s);
	} else if (s->state == SESSION_IDLE) {
		list_remove(&s->idle_link);
		s->stopping = true;
		client_session_enter(s, SESSION_WORKING);
		client_session_work(s);
	} else if (s->client_live) {
		if (smtp_client_deadline(&s->client) <= now_of(s))
			smtp_client_expire(&s->client, now_of(s));
		client_session_work(s);
	}
}

bool client_session_wake(struct client_session *s)
{
	ASSERT(s->state == SESSION_IDLE);
	if (!flight_begin(s)) return false;
	list_remove(&s->idle_link);
	io_timer_cancel(s->outbound->parts.io, &s->timer);
	client_session_enter(s, SESSION_WORKING);
	client_session_work(s);
	return true;
}

void client_session_stop(struct client_session *s, bool now)
{
	s->stopping = true;
	if (now || s->state < SESSION_WORKING) {
		if (s->client_live) flights_cut(s);
		flights_drop(s);
		client_session_over(s);
	} else if (s->state == SESSION_IDLE) {
		timer_fired(&s->timer);
	}
}

/* ---- begin ---- */

bool client_session_begin(struct site *site)
{
	struct outbound *out = site->outbound;
	const struct route_rule *rule = destination_rule(site->destination);
	struct client_session *s = calloc(1, sizeof *s);
	if (!s) return false;
	s->site = site;
	s->outbound = out;
	s->clear_target = NO_TARGET;
	struct str helo = str_head(out->parts.hostname, sizeof s->helo);
	memcpy(s->helo, helo.ptr, helo.len);
	s->config = (struct smtp_client_config){.helo = str_of(s->helo, helo.len),
		.lmtp = rule->kind == ROUTE_LMTP,
		.timeout = rule->timeout};
	s->lookup.done = reach_looked_up;
	s->race.done = reach_won;
	s->race.missed = reach_missed;
	s->race.outrun = reach_outrun;
	s->timer.fire = timer_fired;
	list_init(&s->idle_link);
	list_push_back(&out->sessions, &s->link);
	queue_opened(out->queue, site->destination);
	route_lookup(out->router, &s->lookup, rule, destination_domain(site->destination));
	return true;
}
