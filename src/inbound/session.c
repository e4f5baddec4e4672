/* Driver of one SMTP server session: octets between the stream and the core, events to accept.c.  */
#include "inbound/parts.h"

enum {
	UNSENT_MAX = 128 * 1024, /* past it nothing more is read until the peer reads */
	LINGER_MS = 3000,        /* how long a closed session waits for the peer's FIN */
	TRIM_PEAK = 1000, /* after a peak of more sessions their memory goes back to the system */
};

/* ---- out ---- */

/* Hand the core's output to the stream.  False: the connection is gone (and the session with it).  */
static bool flush(struct session *s)
{
	struct str out = smtp_server_output(&s->smtp);
	if (out.len == 0) return true;
	bool sent = s->secure ? secure_send(s, out) : io_send(&s->stream, out);
	smtp_server_sent(&s->smtp, out.len);
	if (!sent) session_end(s);
	return sent;
}

/* FIN, then wait a little for the peer's, so that our last reply is not lost in a reset.  */
void session_linger(struct session *s)
{
	if (s->secure) secure_close(s);
	if (s->fin && io_unsent(&s->stream) == 0) {
		session_end(s);
		return;
	}
	s->closing = true;
	buf_release(&s->input);
	io_shut(&s->stream);
	io_read_on(&s->stream);
	io_timer_set(s->inbound->parts.io, &s->timer, io_now(s->inbound->parts.io) + LINGER_MS);
}

/* ---- in ---- */

/* FUTURERELEASE names dates; the clock on the wall may have been set meanwhile.  */
static void set_clock(struct session *s, msec now)
{
	const struct inbound_rules *rules = &s->office->rules;
	struct smtp_server_config *config = &s->office->smtp[s->listener - rules->listeners];
	if (config->submission) config->wall_ahead = io_wall(s->inbound->parts.io) - now;
}

size_t session_feed(struct session *s, struct str octets)
{
	size_t taken = 0;
	msec now = io_now(s->inbound->parts.io);
	set_clock(s, now);
	bool fresh = true;
	while (!s->closing && (fresh || taken < octets.len)) {
		fresh = false;
		size_t n = smtp_server_feed(&s->smtp, now, str_skip(octets, taken));
		taken += n;
		struct smtp_event event;
		bool any = false;
		while (!s->closing && smtp_server_next(&s->smtp, &event)) {
			any = true;
			session_event(s, &event);
			if (event.type == SMTP_EVENT_CLOSE) s->closing = true;
		}
		if (smtp_server_waits(&s->smtp)) break;
		ASSERT(n || any || taken == octets.len); /* else this input would wait for ever */
	}
	return taken;
}

/* The timer may be early: it is moved only when the deadline comes nearer.  */
static void watch_deadline(struct session *s)
{
	bool shaking = s->secure && s->secure->shaking;
	msec deadline = shaking ? s->secure->until : smtp_server_deadline(&s->smtp);
	if (deadline == MSEC_NEVER) return;
	if (!timer_is_set(&s->timer) || s->timer.node.key > deadline)
		io_timer_set(s->inbound->parts.io, &s->timer, deadline);
}

static bool has_input(const struct session *s)
{
	return s->input.len > 0 || (s->secure && secure_waiting(s));
}

/* Read only what can be worked on.  */
static void adjust_reading(struct session *s)
{
	if (s->secure && s->secure->shaking) return; /* the handshake does it */
	if (smtp_server_waits(&s->smtp) || s->paused || has_input(s) ||
		io_unsent(&s->stream) > UNSENT_MAX)
		io_read_off(&s->stream);
	else
		io_read_on(&s->stream);
}

/* After feeding: send, close or go on reading.  */
static void settle(struct session *s)
{
	bool close = s->closing;
	if (!flush(s)) return;
	bool idle = !smtp_server_waits(&s->smtp) && !has_input(s);
	if (close || (s->fin && idle)) {
		session_linger(s);
		return;
	}
	if (s->input.len == 0) buf_release(&s->input);
	if (s->starting) {
		s->starting = false;
		if (!secure_begin(s)) session_end(s);
		return;
	}
	watch_deadline(s);
	adjust_reading(s);
}

/* Octets in clear came (or none: go on with those kept).  False: they cannot be kept.  */
static bool feed_clear(struct session *s, struct str octets)
{
	if (s->input.len) buf_consume(&s->input, session_feed(s, buf_str(&s->input)));
	bool open = s->input.len == 0 && (octets.len == 0 || !smtp_server_waits(&s->smtp));
	size_t taken = open ? session_feed(s, octets) : 0;
	return s->closing || buf_add(&s->input, str_skip(octets, taken));
}

static void work(struct session *s, struct str octets)
{
	s->busy = true;
	bool kept = s->secure ? secure_feed(s, octets) : feed_clear(s, octets);
	s->busy = false;
	if (s->secure && !s->secure->working && tls_state(s->secure->tls) == TLS_FAILED) {
		secure_failed(s);
		return;
	}
	if (!kept) {
		smtp_server_shut(&s->smtp, SMTP_REPLY(421, 4, 3, 1, "Error: out of memory"));
		s->closing = true;
	}
	settle(s);
}

void session_work(struct session *s)
{
	if (!s->busy && !s->closing) work(s, STR_NONE);
}

static void greet(struct session *s)
{
	smtp_server_greet(
		&s->smtp, io_now(s->inbound->parts.io), login_refused(s) ? &login_refusal : NULL);
}

void session_secured(struct session *s)
{
	xclient_forget(s);
	uint8_t octets[BINDING_MAX];
	smtp_server_secured(&s->smtp);
	if (secure_binding(s, octets).octets.len) smtp_server_bound(&s->smtp);
	if (s->smtp.state == SMTP_SERVER_GREETING) greet(s);
	session_work(s);
}

static void received(struct io_stream *stream, struct str octets)
{
	struct session *s = CONTAINER_OF(stream, struct session, stream);
	if (s->proxied)
		proxied_feed(s, octets);
	else if (!s->closing)
		work(s, octets);
}

static void drained(struct io_stream *stream)
{
	struct session *s = CONTAINER_OF(stream, struct session, stream);
	if (!s->closing)
		adjust_reading(s);
	else if (s->fin)
		session_end(s);
}

static void ended(struct io_stream *stream, int error)
{
	struct session *s = CONTAINER_OF(stream, struct session, stream);
	s->fin = true;
	if (s->proxied) {
		proxied_ended(s);
		return;
	}
	bool shaking = s->secure && s->secure->shaking;
	/* A client that has closed its side alone still gets the verdict it waits for.  */
	if (error == 0 && !s->closing && !shaking)
		session_work(s);
	else
		session_end(s);
}

static void connected(struct io_stream *stream, int error)
{
	(void)stream, (void)error;
	UNREACHABLE(); /* only io_connect leads here */
}

static const struct io_stream_events stream_events = {
	.connected = connected,
	.received = received,
	.drained = drained,
	.ended = ended,
};

/* ---- time ---- */

static void timer_fired(struct timer *timer)
{
	struct session *s = CONTAINER_OF(timer, struct session, timer);
	msec now = io_now(s->inbound->parts.io);
	if (s->closing) {
		session_end(s);
		return;
	}
	if (s->proxied) {
		proxied_timeout(s);
		return;
	}
	if (s->secure && s->secure->shaking) {
		if (s->secure->until <= now)
			secure_timeout(s);
		else
			watch_deadline(s);
		return;
	}
	if (smtp_server_deadline(&s->smtp) <= now) {
		smtp_server_expire(&s->smtp, now);
		session_work(s);
		return;
	}
	watch_deadline(s);
}

/* ---- begin and end ---- */

void session_begin(struct inbound *in, struct socket *socket, const struct io_accepted *accepted,
	const struct net_address *counted)
{
	struct session *s = pool_take(&in->session_pool);
	if (!s) {
		io_refuse(in->parts.io, accepted, STR("421 4.3.2 Error: too many connections\r\n"));
		connections_leave(&in->counts, counted);
		return;
	}
	*s = (struct session){
		.inbound = in,
		.office = in->office,
		.listener = &in->office->rules.listeners[socket->listener_index],
		.peer = accepted->peer,
		.counted = *counted,
		.timer.fire = timer_fired,
		.began = io_now(in->parts.io),
	};
	if (io_accept(in->parts.io, &s->stream, &stream_events, accepted) != 0) {
		connections_leave(&in->counts, counted);
		pool_give(&in->session_pool, s);
		return;
	}
	buf_init(&s->input, 1 << 20);
	in->office->users++;
	if (++in->stats.sessions > in->peak) in->peak = in->stats.sessions;
	list_push_back(&in->sessions, &s->link);
	smtp_server_init(&s->smtp, &in->office->smtp[socket->listener_index]);
	if (access_allows(&s->listener->proxy_from, &s->peer))
		proxied_begin(s);
	else
		session_start(s, STR_NONE);
}

void session_start(struct session *s, struct str octets)
{
	s->origin = s->peer;
	if (access_allows(&s->listener->xclient_from, &s->peer))
		smtp_server_offer_xclient(&s->smtp);
	if (s->listener->tls != LISTENER_TLS_IMPLICIT) {
		greet(s);
	} else if (!secure_begin(s)) {
		session_end(s);
		return;
	}
	work(s, octets);
}

bool session_count(struct session *s, const struct net_address *client)
{
	if (!connections_move(&s->inbound->counts, &s->counted, client)) return false;
	s->counted = *client;
	return true;
}

void session_refuse(struct session *s)
{
	static const struct smtp_reply too_many = {.code = 421,
		.enhanced = {4, 7, 0},
		.text = STR("Error: too many connections from your address")};
	inbound_refused(s->inbound, &s->peer);
	if (s->listener->tls == LISTENER_TLS_IMPLICIT) {
		session_end(s);
		return;
	}
	smtp_server_greet(&s->smtp, io_now(s->inbound->parts.io), &too_many);
	session_work(s);
}

void session_shut(struct session *s)
{
	if (s->closing) return;
	if (s->proxied || (s->secure && s->secure->shaking)) {
		session_end(s);
		return;
	}
	smtp_server_shut(
		&s->smtp, SMTP_REPLY(421, 4, 3, 2, "Service shutting down, try again later"));
	if (!smtp_server_waits(&s->smtp)) session_work(s);
}

void session_end(struct session *s)
{
	struct inbound *in = s->inbound;
	tell_errors(s);
	transaction_end(s);
	login_end(s);
	secure_end(s);
	free((void *)s->account.ptr);
	io_timer_cancel(in->parts.io, &s->timer);
	io_close(&s->stream);
	smtp_server_release(&s->smtp);
	buf_release(&s->input);
	list_remove(&s->link);
	connections_leave(&in->counts, &s->counted);
	in->stats.sessions--;
	office_leave(s->office);
	pool_give(&in->session_pool, s);
	if (in->peak > TRIM_PEAK && in->stats.sessions < in->peak / 4) {
		in->peak = in->stats.sessions;
		io_trim_memory();
	}
	inbound_check_stopped(in);
}
