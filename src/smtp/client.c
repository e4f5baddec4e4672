#include "smtp/client_private.h"

enum { KEEP_OUT = 65536, DETAIL_MAX = 200, PLAN_MAX = 1 << 27 };

#define BIT(n) (1u << (n))

void smtp_client_enter(struct smtp_client *c, enum smtp_client_state next)
{
	static const uint16_t may[SMTP_CLIENT_STATES] = {
		[SMTP_CLIENT_BANNER] = BIT(SMTP_CLIENT_HELLO) | BIT(SMTP_CLIENT_CLOSED),
		[SMTP_CLIENT_HELLO] = BIT(SMTP_CLIENT_HELO) | BIT(SMTP_CLIENT_STARTTLS) |
			BIT(SMTP_CLIENT_AUTH) | BIT(SMTP_CLIENT_OPEN) | BIT(SMTP_CLIENT_CLOSED),
		[SMTP_CLIENT_HELO] = BIT(SMTP_CLIENT_OPEN) | BIT(SMTP_CLIENT_CLOSED),
		[SMTP_CLIENT_STARTTLS] = BIT(SMTP_CLIENT_HANDSHAKE) | BIT(SMTP_CLIENT_AUTH) |
			BIT(SMTP_CLIENT_OPEN) | BIT(SMTP_CLIENT_CLOSED),
		[SMTP_CLIENT_HANDSHAKE] = BIT(SMTP_CLIENT_HELLO) | BIT(SMTP_CLIENT_CLOSED),
		[SMTP_CLIENT_AUTH] = BIT(SMTP_CLIENT_OPEN) | BIT(SMTP_CLIENT_CLOSED),
		[SMTP_CLIENT_OPEN] = BIT(SMTP_CLIENT_QUIT) | BIT(SMTP_CLIENT_CLOSED),
		[SMTP_CLIENT_QUIT] = BIT(SMTP_CLIENT_CLOSED),
	};
	ASSERT(may[c->state] & BIT(next));
	c->state = next;
}

bool smtp_client_init(struct smtp_client *c, const struct smtp_client_config *config, msec now)
{
	*c = (struct smtp_client){.config = config, .state = SMTP_CLIENT_BANNER, .since = now};
	c->secured = config->implicit_tls;
	smtp_reply_reader_init(&c->reader);
	buf_init(&c->out, 2 * SMTP_CLIENT_OUT_MAX);
	buf_init(&c->words, OUTCOME_TEXT_MAX);
	buf_init(&c->plan, PLAN_MAX);
	if (!smtp_plan_reserve(c, 1)) return false;
	smtp_plan_push_sent(c, STEP_BANNER, SMTP_NO_FLIGHT, 0);
	return true;
}

void smtp_client_release(struct smtp_client *c)
{
	smtp_reply_reader_release(&c->reader);
	buf_release(&c->out);
	buf_release(&c->words);
	buf_release(&c->plan);
	*c = (struct smtp_client){.state = SMTP_CLIENT_CLOSED};
}

/* ---- events ---- */

void smtp_client_event(struct smtp_client *c, enum smtp_client_event_type type, uint8_t flight)
{
	/* A flight is free only when its DONE was taken: two for each of two, and one of the
	 * session's.  */
	ASSERT(c->event_count < SMTP_CLIENT_EVENTS);
	c->events[c->event_count].type = (uint8_t)type;
	c->events[c->event_count].flight = flight;
	c->event_count++;
}

static void drop_event(struct smtp_client *c, size_t at)
{
	c->event_count--;
	memmove(&c->events[at], &c->events[at + 1], (c->event_count - at) * sizeof(c->events[0]));
}

bool smtp_client_next(struct smtp_client *c, struct smtp_client_event *ret_event)
{
	if (c->event_count == 0) return false;
	*ret_event = (struct smtp_client_event){.type = c->events[0].type};
	uint8_t flight = c->events[0].flight;
	if (flight != SMTP_NO_FLIGHT) ret_event->transaction = c->flights[flight].transaction;
	if (ret_event->type == SMTP_CLIENT_EVENT_DONE)
		smtp_flight_enter(&c->flights[flight], FLIGHT_FREE);
	if (ret_event->type == SMTP_CLIENT_EVENT_FAILED) ret_event->outcome = c->failure;
	if (ret_event->type == SMTP_CLIENT_EVENT_AUTH && c->reader.code / 100 == 3) {
		struct str text = buf_str(&c->reader.text);
		str_cut(&text, '\n', &ret_event->challenge);
	}
	drop_event(c, 0);
	return true;
}

/* ---- the end of a session ---- */

void smtp_client_fail(struct smtp_client *c, struct outcome o)
{
	if (c->state == SMTP_CLIENT_CLOSED) return;
	for (size_t i = 0; i < c->event_count;) {
		if (c->events[i].type == SMTP_CLIENT_EVENT_DONE)
			i++;
		else
			drop_event(c, i); /* nobody need act on it any more */
	}
	/* The older first: it is the one whose end may be in doubt.  */
	const enum smtp_flight_phase order[] = {FLIGHT_ENDING, FLIGHT_CONTENT, FLIGHT_ENVELOPE};
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		struct smtp_flight *f;
		while ((f = smtp_flight_in(c, order[i]))) smtp_flight_fail(c, f, o);
	}
	smtp_plan_cut(c);
	smtp_client_enter(c, SMTP_CLIENT_CLOSED);
	c->failure = o;
	smtp_client_event(c, SMTP_CLIENT_EVENT_FAILED, SMTP_NO_FLIGHT);
}

void smtp_client_fail_politely(struct smtp_client *c, struct outcome o)
{
	smtp_client_fail(c, o);
	buf_add(&c->out, STR("QUIT\r\n"));
}

void smtp_client_fail_local(
	struct smtp_client *c, const char *enhanced, const char *words, struct str detail)
{
	if (c->state == SMTP_CLIENT_CLOSED) return;
	struct buf all;
	buf_init(&all, OUTCOME_TEXT_MAX);
	buf_add(&all, str_from_c(words));
	if (detail.len) buf_add(&all, STR(":"));
	smtp_answer_add_text(&all, str_head(detail, DETAIL_MAX));
	buf_release(&c->words);
	c->words = all;
	smtp_client_fail(c, outcome_local(OUTCOME_DEFERRED, enhanced, buf_str(&c->words)));
}

void smtp_client_fail_memory(struct smtp_client *c)
{
	smtp_client_fail_local(c, "4.3.0", "out of memory", STR_NONE);
}

/* What was going on, for the text of an outcome.  */
static const char *doing(const struct smtp_client *c)
{
	if (c->state == SMTP_CLIENT_HANDSHAKE) return "starting TLS";
	if (smtp_flight_any(c, FLIGHT_CONTENT)) return "sending the message";
	if (c->answered < c->sent)
		return smtp_steps[smtp_planned_at(c, c->answered)->step].awaiting;
	return c->state == SMTP_CLIENT_AUTH ? "logging in" : "idle";
}

static void fail_while(struct smtp_client *c, const char *what, struct str why)
{
	if (c->state == SMTP_CLIENT_QUIT && !smtp_flight_any(c, FLIGHT_ENDING)) {
		smtp_client_enter(c, SMTP_CLIENT_CLOSED);
		smtp_client_event(c, SMTP_CLIENT_EVENT_CLOSED, SMTP_NO_FLIGHT);
		return;
	}
	char words[128];
	snprintf(words, sizeof(words), "%s while %s", what, doing(c));
	smtp_client_fail_local(c, "4.4.2", words, why);
}

void smtp_client_lost(struct smtp_client *c, msec now, struct str why)
{
	(void)now;
	fail_while(c, "lost connection", why);
}

void smtp_client_abandon(struct smtp_client *c, struct str why)
{
	smtp_client_fail_local(c, "4.3.0", "the message cannot be read", why);
}

void smtp_client_quit(struct smtp_client *c, msec now)
{
	if (c->state == SMTP_CLIENT_CLOSED || c->state == SMTP_CLIENT_QUIT) return;
	ASSERT(!smtp_flight_any(c, FLIGHT_ENVELOPE) && !smtp_flight_any(c, FLIGHT_CONTENT));
	if (c->state == SMTP_CLIENT_OPEN) {
		if (c->sent == c->answered) c->since = now;
		smtp_client_enter(c, SMTP_CLIENT_QUIT);
		smtp_plan_command(c, STEP_QUIT);
		return;
	}
	if (c->state != SMTP_CLIENT_HANDSHAKE && c->answered == c->sent)
		buf_add(&c->out, STR("QUIT\r\n"));
	smtp_client_enter(c, SMTP_CLIENT_CLOSED);
	smtp_client_event(c, SMTP_CLIENT_EVENT_CLOSED, SMTP_NO_FLIGHT);
}

/* ---- octets ---- */

void smtp_client_feed(struct smtp_client *c, msec now, struct str bytes)
{
	while (bytes.len && c->state != SMTP_CLIENT_CLOSED) {
		/* Taken as part of the TLS session, these could come from anyone on the way.  */
		if (c->state == SMTP_CLIENT_HANDSHAKE) {
			smtp_client_fail_local(c, "4.5.0",
				"invalid reply to STARTTLS, more came in clear", STR_NONE);
			return;
		}
		size_t used = 0;
		enum smtp_read read = smtp_reply_feed(&c->reader, bytes, &used);
		if (read == SMTP_READ_BAD) {
			smtp_client_fail_local(c, "4.5.0", "invalid reply", bytes);
			return;
		}
		bytes = str_skip(bytes, used);
		if (read == SMTP_READ_MORE) return;
		c->since = now;
		smtp_answer_take(c);
	}
}

bool smtp_client_room(struct smtp_client *c, size_t n)
{
	if (c->out.len + n <= SMTP_CLIENT_OUT_MAX) return true;
	buf_consume(&c->out, c->out_head);
	c->out_head = 0;
	return c->out.len + n <= SMTP_CLIENT_OUT_MAX;
}

struct str smtp_client_output(const struct smtp_client *c)
{
	return str_skip(buf_str(&c->out), c->out_head);
}

void smtp_client_sent(struct smtp_client *c, size_t n)
{
	ASSERT(n <= c->out.len - c->out_head);
	c->out_head += n;
	c->gone += n;
	if (n) c->moved = true;
	if (c->out_head == c->out.len) {
		c->out_head = 0;
		buf_clear(&c->out);
		if (c->out.cap > KEEP_OUT && !smtp_client_busy(c)) buf_release(&c->out);
	}
	smtp_plan_pump(c);
	struct smtp_flight *f = smtp_flight_in(c, FLIGHT_ENVELOPE);
	if (f) smtp_flight_advance(c, f);
}

/* ---- TLS and AUTH ---- */

void smtp_client_secured(struct smtp_client *c, msec now)
{
	ASSERT(c->state == SMTP_CLIENT_HANDSHAKE);
	c->secured = true;
	c->since = now;
	c->offer = (struct smtp_offer){0};
	smtp_reply_reader_release(&c->reader);
	smtp_reply_reader_init(&c->reader);
	smtp_client_enter(c, SMTP_CLIENT_HELLO);
	smtp_plan_command(c, STEP_EHLO);
}

void smtp_client_auth(struct smtp_client *c, msec now, struct str mechanism, struct str response,
	bool has_response)
{
	ASSERT(c->state == SMTP_CLIENT_AUTH && c->sent == c->answered);
	if (!smtp_plan_reserve(c, 1) || !smtp_client_room(c, mechanism.len + response.len + 16)) {
		smtp_client_fail_memory(c);
		return;
	}
	if (mechanism.len) {
		buf_add(&c->out, STR("AUTH "));
		buf_add(&c->out, mechanism);
		if (has_response)
			buf_add(&c->out, response.len ? STR(" ") : STR(" =")); /* RFC 4954 4 */
	}
	buf_add(&c->out, response);
	buf_add(&c->out, STR("\r\n"));
	c->since = now;
	smtp_plan_push_sent(c, STEP_AUTH, SMTP_NO_FLIGHT, 0);
}

void smtp_client_auth_failed(struct smtp_client *c, struct str why)
{
	smtp_client_fail_local(c, "4.7.0", "logging in failed", why);
}

/* ---- time ---- */

static msec phase_timeout(const struct smtp_client *c)
{
	if (smtp_flight_any(c, FLIGHT_CONTENT)) return MINUTES(3);
	if (c->answered < c->sent) return smtp_steps[smtp_planned_at(c, c->answered)->step].timeout;
	return c->state == SMTP_CLIENT_HANDSHAKE ? MINUTES(5) : MSEC_NEVER;
}

msec smtp_client_deadline(const struct smtp_client *c)
{
	if (c->state == SMTP_CLIENT_CLOSED) return MSEC_NEVER;
	msec timeout = phase_timeout(c);
	if (timeout == MSEC_NEVER) return MSEC_NEVER;
	if (c->config->timeout && c->config->timeout < timeout) timeout = c->config->timeout;
	return c->since + timeout;
}

void smtp_client_expire(struct smtp_client *c, msec now)
{
	if (now < smtp_client_deadline(c)) return;
	/* A slow line is no silence: while octets of ours are on their way, their going counts.  */
	if (c->moved && (c->out.len > c->out_head || smtp_flight_any(c, FLIGHT_CONTENT))) {
		c->moved = false;
		c->since = now;
		return;
	}
	fail_while(c, "timed out", STR_NONE);
}
