/* TLS to a next hop: the engine between the stream and the client core.  */
#include "outbound/session.h"

static const struct route_target *target_of(const struct client_session *s)
{
	return &s->lookup.targets[s->connection->target];
}

static const struct security *security_of(const struct client_session *s)
{
	return &target_of(s)->security;
}

static void log_exception(struct client_session *s)
{
	struct log *log = s->outbound->parts.log;
	log_begin(log, LOG_INFO, STR_NONE, "tls-exception");
	log_str(log, "destination", destination_key(s->site->destination));
	log_str(log, "host", str_of(s->host, s->host_len));
	log_str(log, "policy", str_from_c(security_of(s)->words));
	log_end(log);
}

void hop_tls_configure(struct client_session *s)
{
	enum security_level level = security_of(s)->level;
	s->config.starttls = level != SECURITY_CLEAR && s->connection->target != s->clear_target;
	s->config.starttls_required = level > SECURITY_MAY;
	s->config.implicit_tls = destination_rule(s->site->destination)->implicit_tls;
	if (security_of(s)->excepted) log_exception(s);
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
	const struct security *security = security_of(s);
	struct tls_expect expect = {
		.verify = security->level == SECURITY_DANE ? TLS_VERIFY_DANE
			: security->level == SECURITY_NAME ? TLS_VERIFY_NAME
							   : TLS_VERIFY_NONE,
		.names = security->names,
		.name_count = security->name_count,
		.tlsa = security->tlsa,
		.tlsa_count = security->tlsa_count,
	};
	s->shaking = true;
	s->tls = tls_client_expecting(s->outbound->tls, &expect);
	if (!s->tls) {
		lose(s, STR("out of memory"));
		return;
	}
	tls_feed(s->tls, STR_NONE); /* the first word is ours */
	if (!send_output(s)) lose(s, STR("connection lost while sending"));
}

/* Version and cipher, and what has proved that it is the right host, where that was to be proved.  */
static void name_session(struct client_session *s)
{
	const struct security *security = security_of(s);
	const char *proof = security->level == SECURITY_DANE ? " dane"
		: security->level < SECURITY_NAME            ? ""
		: security->source == SECURITY_BY_STS        ? " sts"
							     : " verified";
	snprintf(s->tls_text, sizeof s->tls_text, STR_FMT "%s", STR_ARG(tls_text(s->tls)), proof);
}

static void note_handshake(struct client_session *s)
{
	if (!s->shaking || tls_state(s->tls) == TLS_HANDSHAKE || tls_state(s->tls) == TLS_FAILED)
		return;
	s->shaking = false;
	name_session(s);
	hop_report_secured(s);
	if (!s->config.implicit_tls) smtp_client_secured(&s->client, outbound_now(s->outbound));
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
	return str_from_c(s->tls ? s->tls_text : "");
}

void hop_tls_end(struct client_session *s)
{
	if (!s->tls) return;
	tls_close(s->tls);
	(void)send_output(s); /* a lost connection needs no last words */
	tls_free(s->tls);
	s->tls = NULL;
	s->tls_text[0] = '\0';
	s->shaking = false;
}

bool hop_tls_starting(const struct client_session *s)
{
	bool asked = s->state == SESSION_GREETING && s->config.starttls &&
		s->client.offer.starttls && !s->client.secured;
	return s->shaking || asked;
}

bool hop_tls_may_go_clear(const struct client_session *s)
{
	return security_of(s)->level == SECURITY_MAY;
}

void hop_tls_log_failure(struct client_session *s, struct str why, bool clear)
{
	hop_report_failed(s, why);
	struct log *log = s->outbound->parts.log;
	log_begin(log, LOG_WARN, STR_NONE, "tls-failed");
	log_str(log, "destination", destination_key(s->site->destination));
	log_str(log, "host", str_of(s->host, s->host_len));
	log_str(log, "policy", str_from_c(security_of(s)->words));
	log_str(log, "why", why);
	log_str(log, "next", clear ? STR("once more, in clear") : STR("another host, or later"));
	log_end(log);
}

struct outcome hop_tls_fits(const struct client_session *s, const struct envelope *e)
{
	/* RFC 8689 4.2.1: TLS alone will not do, it has to be the right host, and known as such.  */
	if (!(e->flags & ENVELOPE_REQUIRETLS)) return (struct outcome){0};
	if (!s->tls || !tls_verified(s->tls))
		return outcome_local(OUTCOME_FAILED, "5.7.30",
			STR("the sender requires TLS all the way, the certificate of the next hop cannot be verified"));
	if (!security_of(s)->host_known)
		return outcome_local(OUTCOME_FAILED, "5.7.30",
			STR("the sender requires TLS all the way, and neither DNSSEC nor MTA-STS vouches for the next hop"));
	return (struct outcome){0};
}
