/* TLS between the stream and the core, and the steps of a login.  */
#include "cli/talk_parts.h"

enum { RESPONSE_MAX = 24 << 10, PLAIN_MAX = 8 << 20 };

static enum talk_tls tls_of(const struct talk *t)
{
	return t->security && t->address.family != NET_UNIX ? t->security->tls : TALK_TLS_OFF;
}

void talk_secure_configure(struct talk *t)
{
	enum talk_tls tls = tls_of(t);
	t->smtp = *t->config;
	t->smtp.implicit_tls = tls == TALK_TLS_IMPLICIT;
	t->smtp.starttls = tls == TALK_TLS_OPPORTUNISTIC && !t->in_clear;
	t->smtp.starttls_required = tls == TALK_TLS_STARTTLS;
	t->smtp.auth = t->security && t->security->user.len > 0;
}

/* ---- TLS ---- */

static bool send_output(struct talk *t)
{
	struct str out = tls_output(t->tls);
	if (!out.len) return true;
	bool sent = io_send(&t->stream, out);
	tls_sent(t->tls, out.len);
	return sent;
}

/* Called from talk_work, which sees what has become of the core.  */
void talk_secure_begin(struct talk *t)
{
	t->shaking = true;
	const struct talk_security *s = t->security;
	t->tls = s->expect ? tls_client_expecting(s->context, s->expect)
			   : tls_client_new(s->context, str_from_c(t->name), s->verify);
	if (t->tls) tls_feed(t->tls, STR_NONE); /* the first word is ours */
	if (!t->tls || !send_output(t))
		smtp_client_lost(&t->client, io_now(t->io), STR("cannot begin TLS"));
}

static void note_handshake(struct talk *t)
{
	if (!t->shaking || tls_state(t->tls) == TLS_HANDSHAKE || tls_state(t->tls) == TLS_FAILED)
		return;
	char text[160];
	snprintf(text, sizeof text, STR_FMT ", certificate %s", STR_ARG(tls_text(t->tls)),
		tls_verified(t->tls) ? "verified" : "not verified");
	talk_trace_note(t, text);
	t->shaking = false;
	if (!t->smtp.implicit_tls) smtp_client_secured(&t->client, io_now(t->io));
}

static struct str trouble(const struct talk *t, bool sent)
{
	if (tls_state(t->tls) == TLS_FAILED) return tls_why(t->tls);
	if (!sent) return STR("connection lost while sending");
	return tls_state(t->tls) == TLS_ENDED ? STR("the server has closed the connection")
					      : STR_NONE;
}

void talk_secure_received(struct talk *t, struct str octets)
{
	struct buf plain;
	char why[300];
	buf_init(&plain, PLAIN_MAX);
	while (octets.len && tls_state(t->tls) != TLS_FAILED) {
		octets = str_skip(octets, tls_feed(t->tls, octets));
		note_handshake(t);
		buf_add(&plain, tls_plain(t->tls));
		tls_plain_taken(t->tls, tls_plain(t->tls).len);
	}
	struct str words = str_head(trouble(t, send_output(t)), sizeof why);
	memcpy(why, words.len ? words.ptr : "", words.len);
	if (plain.len) talk_heard(t, buf_str(&plain)); /* may end the engine */
	if (words.len) talk_lost(t, str_of(why, words.len));
	buf_release(&plain);
}

bool talk_secure_send(struct talk *t, struct str plain)
{
	if (!t->tls) return io_send(&t->stream, plain);
	return tls_write(t->tls, plain) && send_output(t);
}

void talk_secure_end(struct talk *t)
{
	sasl_client_free(t->login);
	t->login = NULL;
	if (!t->tls) return;
	tls_close(t->tls);
	(void)send_output(t); /* a lost connection needs no last words */
	tls_free(t->tls);
	t->tls = NULL;
}

bool talk_secure_failed(struct talk *t, const struct outcome *why)
{
	if (!t->shaking || tls_of(t) != TALK_TLS_OPPORTUNISTIC) return false;
	char text[400];
	snprintf(text, sizeof text, "TLS has failed (" STR_FMT "), once more in clear",
		STR_ARG(str_head(why->text, 300)));
	talk_trace_note(t, text);
	snprintf(t->tls_why, sizeof t->tls_why, STR_FMT,
		STR_ARG(str_head(why->text, sizeof t->tls_why - 1)));
	t->in_clear = true;
	return true;
}

/* ---- the login ---- */

static const char *login_begin(struct talk *t, struct buf *response, bool *ret_initial)
{
	const struct talk_security *security = t->security;
	uint8_t binding[TLS_BINDING];
	const char *why = "out of memory";
	struct sasl_client_options o = {.offered = str_from_c(t->client.offer.auth),
		.only = security->mechanism,
		.user = security->user,
		.secret = security->secret,
		.token = sasl_client_takes_token(security->mechanism),
		.secured = t->tls || t->address.family == NET_UNIX,
		.host = str_from_c(t->name),
		.port = t->address.port};
	if (t->tls && tls_channel_binding(t->tls, binding)) o.binding = binding;
	io_random(t->io, o.nonce, sizeof o.nonce);
	t->login = sasl_client_new(&o, &why);
	if (!t->login) return why;
	*ret_initial = sasl_client_first(t->login, response);
	return NULL;
}

void talk_login_step(struct talk *t, struct str challenge)
{
	struct buf response;
	const char *why = NULL, *mechanism = "";
	bool first = !t->login, initial = false;
	buf_init(&response, RESPONSE_MAX);
	if (first)
		why = login_begin(t, &response, &initial);
	else if (sasl_client_step(t->login, challenge, &response, &why))
		why = NULL;
	if (first && !why) mechanism = sasl_client_mechanism(t->login);
	if (why) {
		smtp_client_auth_failed(&t->client, str_from_c(why));
	} else {
		t->hidden = true;
		smtp_client_auth(&t->client, io_now(t->io), str_from_c(mechanism),
			buf_str(&response), first && initial);
	}
	if (response.ptr) explicit_bzero(response.ptr, response.cap);
	buf_release(&response);
}

bool talk_login_done(struct talk *t)
{
	if (!t->login || sasl_client_satisfied(t->login)) return true;
	smtp_client_auth_failed(
		&t->client, STR("the server has not proved that it knows the password"));
	return false;
}
