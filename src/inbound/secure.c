/* TLS under a session.  Handshakes cost up to half a millisecond of arithmetic each: they run on a thread
 * of their own, so that a flood of them stalls no client but those who shake hands.  */
#include "inbound/parts.h"

#include <stdlib.h>

enum {
	HANDSHAKE_MS = 30 * 1000,
	INPUT_MAX = 1 << 20,
};

bool secure_ready(struct inbound *in, const struct inbound_rules *rules)
{
	if (!rules->tls || in->handshakes) return true;
	uint8_t secret[32];
	io_random(in->parts.io, secret, sizeof secret);
	if (!in->sasl) in->sasl = sasl_context_new(secret);
	if (in->sasl) in->handshakes = io_workers_start_low(in->parts.io, 1, "tls");
	return in->handshakes != NULL;
}

static void secure_free(struct secure *secure)
{
	tls_free(secure->tls);
	buf_release(&secure->input);
	free(secure);
}

void secure_end(struct session *s)
{
	struct secure *secure = s->secure;
	s->secure = NULL;
	if (!secure) return;
	secure->session = NULL;
	if (!secure->working) secure_free(secure); /* else when its handshake is back */
}

/* ---- out ---- */

/* Hand the engine's octets to the stream.  False: the connection is lost.  */
static bool send_output(struct session *s)
{
	struct str out = tls_output(s->secure->tls);
	if (out.len == 0) return true;
	bool sent = io_send(&s->stream, out);
	tls_sent(s->secure->tls, out.len);
	return sent;
}

bool secure_send(struct session *s, struct str plain)
{
	return tls_write(s->secure->tls, plain) && send_output(s);
}

struct sasl_binding secure_binding(const struct session *s, uint8_t octets[BINDING_MAX])
{
	const struct tls *tls = s->secure ? s->secure->tls : NULL;
	if (tls && tls_channel_binding(tls, octets))
		return (struct sasl_binding){.octets = str_of(octets, TLS_BINDING)};
	size_t len = tls ? tls_channel_unique(tls, octets) : 0;
	return (struct sasl_binding){.octets = str_of(octets, len), .unique = true};
}

void secure_close(struct session *s)
{
	if (s->secure->shaking) return;
	tls_close(s->secure->tls);
	(void)send_output(s); /* the end of a lost connection needs no further words */
}

/* ---- the handshake ---- */

static void log_failure(const struct session *s, struct str why)
{
	struct log *log = s->inbound->parts.log;
	log_begin(log, LOG_INFO, STR_NONE, "tls-failed");
	session_log_client(log, s);
	log_str(log, "why", why);
	log_end(log);
}

void secure_failed(struct session *s)
{
	log_failure(s, tls_why(s->secure->tls));
	if (send_output(s)) /* an alert */
		session_linger(s);
	else
		session_end(s);
}

void secure_timeout(struct session *s)
{
	log_failure(s, STR("the handshake took too long"));
	session_end(s);
}

/* On the thread.  */
static void handshake_run(struct io_work *work)
{
	struct secure *secure = CONTAINER_OF(work, struct secure, work);
	buf_consume(&secure->input, tls_feed(secure->tls, buf_str(&secure->input)));
}

/* Have the thread take what has come, or wait for more.  */
static void shake(struct session *s)
{
	struct secure *secure = s->secure;
	if (secure->working) return;
	if (secure->input.len == 0) {
		io_read_on(&s->stream);
		return;
	}
	secure->working = true;
	io_read_off(&s->stream);
	io_work(s->inbound->handshakes, &secure->work);
}

static void handshake_done(struct io_work *work)
{
	struct secure *secure = CONTAINER_OF(work, struct secure, work);
	struct session *s = secure->session;
	secure->working = false;
	if (!s) {
		secure_free(secure);
		return;
	}
	enum tls_state state = tls_state(secure->tls);
	if (state == TLS_FAILED) {
		secure_failed(s);
	} else if (!send_output(s)) {
		session_end(s);
	} else if (state == TLS_HANDSHAKE) {
		shake(s);
	} else {
		secure->shaking = false;
		session_secured(s);
	}
}

bool secure_begin(struct session *s)
{
	struct io *io = s->inbound->parts.io;
	struct secure *secure = calloc(1, sizeof *secure);
	if (!secure) return false;
	msec timeout = s->office->rules.timeout;
	*secure = (struct secure){
		.work = {.run = handshake_run, .done = handshake_done},
		.tls = tls_server_new(s->office->rules.tls),
		.session = s,
		.shaking = true,
		.until = io_now(io) + (timeout < HANDSHAKE_MS ? timeout : HANDSHAKE_MS),
	};
	buf_init(&secure->input, INPUT_MAX);
	if (!secure->tls) {
		free(secure);
		return false;
	}
	s->secure = secure;
	io_timer_set(io, &s->timer, secure->until);
	io_read_on(&s->stream);
	return true;
}

/* ---- in ---- */

/* Decrypt and feed until all is taken or the session waits.  Returns the octets that were taken.  */
static size_t pull(struct session *s, struct str octets)
{
	struct tls *tls = s->secure->tls;
	size_t taken = 0;
	while (!s->closing && !smtp_server_waits(&s->smtp)) {
		struct str plain = tls_plain(tls);
		if (plain.len)
			tls_plain_taken(tls, session_feed(s, plain));
		else if (taken < octets.len)
			taken += tls_feed(tls, str_skip(octets, taken));
		else
			break;
	}
	return taken;
}

bool secure_feed(struct session *s, struct str octets)
{
	struct secure *secure = s->secure;
	if (secure->shaking) {
		bool kept = buf_add(&secure->input, octets);
		shake(s);
		return kept;
	}
	session_feed(s, STR_NONE); /* whose verdict has come meanwhile */
	buf_consume(&secure->input, pull(s, buf_str(&secure->input)));
	size_t taken = secure->input.len ? 0 : pull(s, octets);
	if (secure->input.len == 0) buf_release(&secure->input);
	if (tls_state(secure->tls) == TLS_ENDED) s->fin = true;
	return s->closing || buf_add(&secure->input, str_skip(octets, taken));
}

bool secure_waiting(const struct session *s)
{
	return s->secure->shaking || s->secure->input.len || tls_plain(s->secure->tls).len;
}
