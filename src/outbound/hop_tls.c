/* TLS to a next hop: the engine between the stream and the client core.  */
#include "outbound/session.h"

static const struct route_target *target_of(const struct client_session *s)
{
	return &s->lookup.targets[s->connection->target];
}

void hop_tls_configure(struct client_session *s)
{
	const struct route_rule *rule = destination_rule(s->site->destination);
	enum route_tls policy =
		target_of(s)->address.family == NET_UNIX ? ROUTE_TLS_OFF : rule->tls;
	s->config.starttls = policy != ROUTE_TLS_OFF && s->connection->target != s->clear_target;
	s->config.starttls_required = policy > ROUTE_TLS_OPPORTUNISTIC;
	/* Without DANE's records the other proof of a name is wanted.  */
	s->tls_verify = policy >= ROUTE_TLS_VERIFY ? TLS_VERIFY_NAME : TLS_VERIFY_NONE;
}

/* Hand the engine's octets to the stream.  False: the connection is lost.  */
static bool send_output(struct client_session *s)
{
	struct str out = tls_output(s->tls);
	if (out.len == 0) return true;
	bool sent = io_send(&s->connection->stream, out);
	tls_sent(s->tls, out.len);
	return sent;
}

/* The core fails the session; client_session_work then sees what becomes of it.  */
static void lose(struct client_session *s, struct str why)
{
	smtp_client_lost(&s->client, outbound_now(s->outbound), why);
}

void hop_tls_begin(struct client_session *s)
{
	s->shaking = true;
	s->tls = tls_client_new(s->outbound->tls, str_from_c(target_of(s)->host), s->tls_verify);
	if (!s->tls) {
		lose(s, STR("out of memory"));
		return;
	}
	tls_feed(s->tls, STR_NONE); /* the first word is ours */
	if (!send_output(s)) lose(s, STR("connection lost while sending"));
}

static void note_handshake(struct client_session *s)
{
	if (!s->shaking || tls_state(s->tls) == TLS_HANDSHAKE || tls_state(s->tls) == TLS_FAILED)
		return;
	s->shaking = false;
	smtp_client_secured(&s->client, outbound_now(s->outbound));
}

void hop_tls_received(struct client_session *s, struct str octets)
{
	while (octets.len && tls_state(s->tls) != TLS_FAILED &&
		s->client.state != SMTP_CLIENT_CLOSED) {
		octets = str_skip(octets, tls_feed(s->tls, octets));
		note_handshake(s);
		struct str plain = tls_plain(s->tls);
		if (plain.len) smtp_client_feed(&s->client, outbound_now(s->outbound), plain);
		tls_plain_taken(s->tls, plain.len);
	}
	bool sent = send_output(s);
	if (tls_state(s->tls) == TLS_FAILED)
		lose(s, tls_why(s->tls));
	else if (!sent)
		lose(s, STR("connection lost while sending"));
	else if (tls_state(s->tls) == TLS_ENDED)
		lose(s, STR("connection closed by the peer"));
}

bool hop_tls_send(struct client_session *s, struct str plain)
{
	return tls_write(s->tls, plain) && send_output(s);
}

struct str hop_tls_text(const struct client_session *s)
{
	return s->tls ? tls_text(s->tls) : STR_NONE;
}

void hop_tls_end(struct client_session *s)
{
	if (!s->tls) return;
	tls_close(s->tls);
	(void)send_output(s); /* a lost connection needs no last words */
	tls_free(s->tls);
	s->tls = NULL;
	s->shaking = false;
}

bool hop_tls_may_go_clear(struct client_session *s)
{
	const struct route_rule *rule = destination_rule(s->site->destination);
	return s->shaking && rule->tls == ROUTE_TLS_OPPORTUNISTIC;
}

void hop_tls_log_failure(struct client_session *s, struct str why, bool clear)
{
	struct log *log = s->outbound->parts.log;
	log_begin(log, LOG_WARN, STR_NONE, "tls-failed");
	log_str(log, "destination", destination_key(s->site->destination));
	log_str(log, "host", str_of(s->host, s->host_len));
	log_str(log, "why", why);
	log_str(log, "next", clear ? STR("once more, in clear") : STR("another host, or later"));
	log_end(log);
}

struct outcome hop_tls_fits(const struct client_session *s, const struct envelope *e)
{
	/* RFC 8689 4.2.1: TLS alone will not do, it has to be the right host.  */
	if (!(e->flags & ENVELOPE_REQUIRETLS) || (s->tls && tls_verified(s->tls)))
		return (struct outcome){0};
	return outcome_local(OUTCOME_FAILED, "5.7.30",
		STR("the sender requires TLS all the way, the certificate of the next hop cannot be verified"));
}
