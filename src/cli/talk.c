/* The conversation: its connection, its letters, its end.  */
#include "cli/talk_parts.h"

enum {
	CONNECT_TIMEOUT_MS = 30 * 1000,
	PIECE = 32 << 10,
	UNSENT_MAX = 256 << 10,
};

/* ---- the end ---- */

/* Free what the connection holds; the letters are their owner's.  */
static void release(struct talk *t)
{
	io_timer_cancel(t->io, &t->timer);
	talk_secure_end(t);
	io_close(&t->stream);
	if (t->live) smtp_client_release(&t->client);
	t->live = false;
	talk_trace_end(t);
}

/* `over` may free t, so it is told last: at once, or when talk_work returns.  */
static void end_with(struct talk *t, struct outcome why)
{
	struct str words = str_head(why.text, sizeof t->why_text);
	if (words.len) memmove(t->why_text, words.ptr, words.len);
	t->why = why;
	t->why.text = str_of(t->why_text, words.len);
	talk_trace_note(t, "closed");
	release(t);
	t->ended = true;
	if (!t->busy) t->events->over(t, &t->why);
}

void talk_end(struct talk *t, struct outcome why) { end_with(t, why); }

static void cannot_connect(struct talk *t, const char *why)
{
	char text[OUTCOME_TEXT_MAX];
	snprintf(text, sizeof text, "connect to %s: %s", t->host, why);
	talk_trace_note(t, text);
	end_with(t, outcome_local(OUTCOME_DEFERRED, "4.4.1", str_from_c(text)));
}

/* ---- letters ---- */

static struct talk_letter **place_of(struct talk *t, const struct talk_letter *letter)
{
	return t->letters[0] == letter    ? &t->letters[0]
		: t->letters[1] == letter ? &t->letters[1]
					  : NULL;
}

void talk_give(struct talk *t, struct talk_letter *letter)
{
	struct outcome unfit = smtp_client_fits(&t->client, &letter->transaction);
	letter->given = 0;
	letter->wanted = false;
	letter->began_us = io_now_us(t->io);
	if (unfit.class != OUTCOME_NONE) {
		for (uint32_t i = 0; i < letter->transaction.recipient_count; i++)
			letter->transaction.outcomes[i] = unfit;
		t->events->done(t, letter);
		return;
	}
	struct talk_letter **place = place_of(t, NULL);
	ASSERT(place);
	*place = letter;
	smtp_client_begin(&t->client, io_now(t->io), &letter->transaction);
}

static void letter_done(struct talk *t, struct smtp_transaction *transaction)
{
	struct talk_letter *letter = CONTAINER_OF(transaction, struct talk_letter, transaction);
	struct talk_letter **place = place_of(t, letter);
	if (place) *place = NULL;
	t->events->done(t, letter);
}

/* Give content to the core as far as it and the connection take it.  True: something was given.  */
static bool give_content(struct talk *t)
{
	bool moved = false;
	for (int i = 0; i < 2; i++) {
		struct talk_letter *l = t->letters[i];
		while (l && l->wanted && l->given < l->content.len &&
			io_unsent(&t->stream) < UNSENT_MAX) {
			struct str piece = str_head(str_skip(l->content, l->given), PIECE);
			if (!smtp_client_content(&t->client, io_now(t->io), piece)) return moved;
			l->given += piece.len;
			moved = true;
		}
	}
	return moved;
}

/* ---- work ---- */

static bool flush(struct talk *t)
{
	struct str output = smtp_client_output(&t->client);
	if (!output.len) return false;
	talk_trace_output(t, output);
	bool sent = talk_secure_send(t, output);
	smtp_client_sent(&t->client, output.len);
	if (!sent)
		smtp_client_lost(&t->client, io_now(t->io), STR("connection lost while sending"));
	return true;
}

static void on_event(struct talk *t, const struct smtp_client_event *event)
{
	switch (event->type) {
	case SMTP_CLIENT_EVENT_READY:
		if (!talk_login_done(t)) return;
		t->was_ready = true;
		t->ready_us = (uint32_t)(io_now_us(t->io) - t->began_us);
		t->offered_starttls |= t->client.offer.starttls;
		return;
	case SMTP_CLIENT_EVENT_CONTENT:
		CONTAINER_OF(event->transaction, struct talk_letter, transaction)->wanted = true;
		return;
	case SMTP_CLIENT_EVENT_DONE: letter_done(t, event->transaction); return;
	case SMTP_CLIENT_EVENT_FAILED:
		if (talk_secure_failed(t, &event->outcome)) {
			release(t);
			t->again = true;
			io_timer_set(t->io, &t->timer, io_now(t->io));
			return;
		}
		flush(t);
		end_with(t, event->outcome);
		return;
	case SMTP_CLIENT_EVENT_CLOSED:
		flush(t);
		end_with(t, (struct outcome){0});
		return;
	case SMTP_CLIENT_EVENT_STARTTLS:
		t->offered_starttls = true;
		talk_secure_begin(t);
		return;
	case SMTP_CLIENT_EVENT_AUTH: talk_login_step(t, event->challenge); return;
	}
}

static bool take_events(struct talk *t)
{
	bool any = false;
	struct smtp_client_event event;
	while (!t->ended && t->live && smtp_client_next(&t->client, &event)) {
		any = true;
		on_event(t, &event);
	}
	return any;
}

/* Offer the owner to give a letter.  True: it did something.  */
static bool offer(struct talk *t)
{
	if (t->ended || !t->was_ready || t->taken_over || !smtp_client_ready(&t->client))
		return false;
	if (!place_of(t, NULL)) return false;
	const struct talk_letter *before[2] = {t->letters[0], t->letters[1]};
	enum smtp_client_state state = t->client.state;
	t->events->ready(t);
	if (t->ended || t->taken_over) return false;
	return before[0] != t->letters[0] || before[1] != t->letters[1] || state != t->client.state;
}

static void watch_deadline(struct talk *t)
{
	msec deadline = smtp_client_deadline(&t->client);
	if (deadline == MSEC_NEVER)
		io_timer_cancel(t->io, &t->timer);
	else
		io_timer_set(t->io, &t->timer, deadline);
}

void talk_work(struct talk *t)
{
	if (t->busy || t->ended || !t->live) return;
	t->busy = true;
	for (bool more = true; more && t->live && !t->taken_over;) {
		more = take_events(t);
		if (t->live) more |= offer(t);
		if (t->live && !t->taken_over) more |= give_content(t);
		if (t->live && !t->taken_over) more |= flush(t);
	}
	t->busy = false;
	if (t->ended)
		t->events->over(t, &t->why);
	else if (t->live && !t->taken_over)
		watch_deadline(t);
}

/* ---- the stream ---- */

static struct talk *talk_of(struct io_stream *s) { return CONTAINER_OF(s, struct talk, stream); }

static void connected(struct io_stream *s, int error)
{
	struct talk *t = talk_of(s);
	io_timer_cancel(t->io, &t->timer);
	if (error) {
		cannot_connect(t, strerror(error));
		return;
	}
	talk_secure_configure(t);
	t->live = smtp_client_init(&t->client, &t->smtp, io_now(t->io));
	if (!t->live) {
		cannot_connect(t, "out of memory");
		return;
	}
	t->connected = true;
	talk_trace_note(t, t->host);
	io_read_on(s);
	if (t->smtp.implicit_tls) talk_secure_begin(t);
	talk_work(t);
}

void talk_heard(struct talk *t, struct str octets)
{
	talk_trace(t, '<', octets);
	if (!t->taken_over) {
		smtp_client_feed(&t->client, io_now(t->io), octets);
		return;
	}
	t->busy = true;
	t->events->raw(t, octets);
	t->busy = false;
}

void talk_lost(struct talk *t, struct str why)
{
	if (t->ended) return;
	if (!t->taken_over) {
		smtp_client_lost(&t->client, io_now(t->io), why);
		return;
	}
	t->busy = true;
	end_with(t, outcome_local(OUTCOME_DEFERRED, "4.4.2", why));
	t->busy = false;
}

static void go_on(struct talk *t)
{
	if (t->ended)
		t->events->over(t, &t->why);
	else
		talk_work(t);
}

static void received(struct io_stream *s, struct str octets)
{
	struct talk *t = talk_of(s);
	if (t->tls)
		talk_secure_received(t, octets);
	else
		talk_heard(t, octets);
	go_on(t);
}

static void drained(struct io_stream *s) { talk_work(talk_of(s)); }

static void ended(struct io_stream *s, int error)
{
	struct talk *t = talk_of(s);
	talk_lost(t,
		error ? str_from_c(strerror(error)) : STR("the server has closed the connection"));
	go_on(t);
}

static const struct io_stream_events stream_events = {
	.connected = connected, .received = received, .drained = drained, .ended = ended};

static void connect_now(struct talk *t);

static void fire(struct timer *timer)
{
	struct talk *t = CONTAINER_OF(timer, struct talk, timer);
	if (t->again) {
		t->again = false;
		connect_now(t);
		return;
	}
	if (!t->connected) {
		cannot_connect(t, t->connect_error ? strerror(t->connect_error) : "timed out");
		return;
	}
	if (t->taken_over) {
		end_with(t, outcome_local(OUTCOME_DEFERRED, "4.4.2", STR("timed out")));
		return;
	}
	smtp_client_expire(&t->client, io_now(t->io));
	talk_work(t);
}

static void name_host(struct talk *t, struct str host, const struct net_address *address)
{
	char text[100];
	struct buf b = {.ptr = text, .cap = sizeof text, .max = sizeof text};
	net_add(&b, address);
	if (!host.len || str_eq(host, buf_str(&b)) || address->family == NET_UNIX)
		snprintf(t->host, sizeof t->host, STR_FMT, STR_ARG(buf_str(&b)));
	else
		snprintf(t->host, sizeof t->host, STR_FMT "[" STR_FMT "]",
			STR_ARG(str_head(host, 200)), STR_ARG(buf_str(&b)));
	size_t len = strlen(t->host);
	if (address->family != NET_UNIX)
		snprintf(t->host + len, sizeof t->host - len, ":%u", address->port);
}

static void connect_now(struct talk *t)
{
	t->connected = t->shaking = false;
	talk_trace_begin(t);
	t->connect_error = -io_connect(t->io, &t->stream, &stream_events, &t->address, NULL);
	io_timer_set(t->io, &t->timer, io_now(t->io) + (t->connect_error ? 0 : CONNECT_TIMEOUT_MS));
}

void talk_begin(struct talk *t, struct str host, const struct net_address *address)
{
	struct talk fresh = {.io = t->io,
		.config = t->config,
		.security = t->security,
		.events = t->events,
		.trace = t->trace,
		.address = *address};
	*t = fresh;
	t->timer.fire = fire;
	t->began_us = io_now_us(t->io);
	name_host(t, host, address);
	snprintf(t->name, sizeof t->name, STR_FMT, STR_ARG(str_head(host, sizeof t->name - 1)));
	connect_now(t);
}

void talk_quit(struct talk *t)
{
	smtp_client_quit(&t->client, io_now(t->io));
	talk_work(t);
}

void talk_take_over(struct talk *t)
{
	t->taken_over = true;
	io_timer_set(t->io, &t->timer, io_now(t->io) + MINUTES(5));
}

void talk_send(struct talk *t, struct str octets)
{
	talk_trace(t, '>', octets);
	if (!talk_secure_send(t, octets)) io_timer_set(t->io, &t->timer, io_now(t->io));
}
