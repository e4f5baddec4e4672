/* AUTH (RFC 4954): the steps of a login run on the thread of the handshakes, for proving a password takes
 * a millisecond on purpose.  */
#include "inbound/parts.h"

#include <stdlib.h>

enum { RESPONSE_MAX = 16 * 1024 }; /* RFC 4954 4: 12288 octets */

const struct smtp_reply login_refusal = {.code = 421,
	.enhanced = {4, 7, 0},
	.text = STR("Error: too many failed logins from your address, try again later"),
	.close = true};

struct login {
	struct io_work work;
	struct sasl *sasl;
	struct accounts *accounts;
	struct session *session; /* NULL: gone */
	struct buf response, challenge;
	struct timer delay;
	enum sasl_result result;
	bool given;     /* there is a response */
	bool working;   /* all of the above is the thread's */
	uint64_t tried; /* hash of account and password, where it is known */
	char mechanism[24];
};

static void login_free(struct login *l)
{
	sasl_free(l->sasl);
	accounts_release(l->accounts);
	if (l->response.ptr) explicit_bzero(l->response.ptr, l->response.cap);
	buf_release(&l->response);
	buf_release(&l->challenge);
	free(l);
}

void login_end(struct session *s)
{
	struct login *l = s->login;
	s->login = NULL;
	if (!l) return;
	io_timer_cancel(s->inbound->parts.io, &l->delay);
	l->session = NULL;
	if (!l->working) login_free(l); /* else when its step is back */
}

/* ---- outcomes ---- */

static void log_login(const struct session *s, const struct login *l)
{
	struct log *log = s->inbound->parts.log;
	log_begin(log, LOG_INFO, STR_NONE, "login");
	session_log_client(log, s);
	log_str(log, "account", sasl_name(l->sasl));
	log_str(log, "mechanism", str_from_c(l->mechanism));
	log_end(log);
}

static void log_failure(
	const struct session *s, const struct login *l, const struct guard_verdict *verdict)
{
	struct log *log = s->inbound->parts.log;
	log_begin(log, LOG_INFO, STR_NONE, "login-failed");
	session_log_client(log, s);
	log_str(log, "account", sasl_name(l->sasl));
	log_str(log, "mechanism", str_from_c(l->mechanism));
	log_str(log, "why", str_from_c(sasl_why(l->sasl)));
	log_end(log);
	if (!verdict->refused_for) return;
	log_begin(log, LOG_WARN, STR_NONE, "logins-refused");
	session_log_client(log, s);
	log_i64(log, "failures", verdict->failures);
	log_i64(log, "seconds", verdict->refused_for / 1000);
	log_end(log);
}

static void answer(struct session *s, struct smtp_reply reply)
{
	smtp_server_answer(&s->smtp, reply);
	session_work(s);
}

static void refuse(struct timer *timer)
{
	struct login *l = CONTAINER_OF(timer, struct login, delay);
	struct session *s = l->session;
	login_end(s);
	answer(s, SMTP_REPLY(535, 5, 7, 8, "Error: authentication failed"));
}

static void welcome(struct session *s, struct login *l)
{
	const struct account *account = accounts_find(l->accounts, sasl_name(l->sasl));
	char *name = account ? malloc(account->name.len) : NULL;
	if (!name) {
		login_end(s);
		answer(s, SMTP_REPLY(454, 4, 7, 0, "Temporary authentication failure"));
		return;
	}
	memcpy(name, account->name.ptr, account->name.len);
	s->account = str_of(name, account->name.len);
	log_login(s, l);
	login_end(s);
	smtp_server_authenticated(&s->smtp);
	answer(s, (struct smtp_reply){.code = 235});
}

static void fail(struct session *s, struct login *l)
{
	struct io *io = s->inbound->parts.io;
	struct guard_verdict verdict =
		guard_failed(&s->inbound->guard, &s->peer, l->tried, io_now(io));
	log_failure(s, l, &verdict);
	l->delay.fire = refuse;
	io_timer_set(io, &l->delay, io_now(io) + verdict.delay);
}

static void step_done(struct io_work *work)
{
	struct login *l = CONTAINER_OF(work, struct login, work);
	struct session *s = l->session;
	l->working = false;
	if (!s) {
		login_free(l);
		return;
	}
	switch (l->result) {
	case SASL_MORE:
		answer(s, (struct smtp_reply){.code = 334, .text = buf_str(&l->challenge)});
		break;
	case SASL_DONE: welcome(s, l); break;
	case SASL_FAILED: fail(s, l); break;
	}
}

/* ---- steps ---- */

/* On the thread.  */
static void step_run(struct io_work *work)
{
	struct login *l = CONTAINER_OF(work, struct login, work);
	buf_clear(&l->challenge);
	l->result = sasl_step(l->sasl, l->given, buf_str(&l->response), &l->challenge);
}

static bool find_keys(void *owner, struct str name, struct sasl_keys *ret)
{
	const struct account *account = accounts_find(owner, name);
	if (account) *ret = account->keys;
	return account != NULL;
}

static struct login *login_begin(struct session *s, struct str mechanism)
{
	const struct inbound_rules *rules = &s->office->rules;
	struct login *l = calloc(1, sizeof *l);
	if (!l) return NULL;
	*l = (struct login){.work = {.run = step_run, .done = step_done}, .session = s};
	buf_init(&l->response, RESPONSE_MAX);
	buf_init(&l->challenge, RESPONSE_MAX);
	l->accounts = rules->accounts(rules->accounts_context);
	uint8_t octets[BINDING_MAX];
	struct sasl_binding binding = secure_binding(s, octets);
	if (l->accounts)
		l->sasl = sasl_new(s->inbound->sasl, mechanism, binding, find_keys, l->accounts);
	if (!l->sasl) {
		accounts_release(l->accounts);
		free(l);
		return NULL;
	}
	memcpy(l->mechanism, mechanism.ptr, mechanism.len); /* one of ours, so short */
	return l;
}

bool login_refused(const struct session *s)
{
	struct inbound *in = s->inbound;
	return s->listener->submission && guard_refuses(&in->guard, &s->peer, io_now(in->parts.io));
}

void login_event(struct session *s, const struct smtp_event *event)
{
	if (login_refused(s)) {
		login_end(s);
		smtp_server_answer(&s->smtp, login_refusal);
		return;
	}
	if (event->mechanism.len) {
		login_end(s); /* one that was broken off */
		s->login = login_begin(s, event->mechanism);
	}
	struct login *l = s->login;
	if (!l || (buf_clear(&l->response), !buf_add(&l->response, event->response))) {
		login_end(s);
		smtp_server_answer(
			&s->smtp, SMTP_REPLY(454, 4, 7, 0, "Temporary authentication failure"));
		return;
	}
	l->given = event->mechanism.len == 0 || event->has_initial;
	/* What SCRAM sends is never the same again.  */
	if (l->given && str_eq(str_from_c(l->mechanism), STR("PLAIN")))
		l->tried = str_hash(event->response, s->inbound->guard.clients.seed);
	l->working = true;
	io_work(s->inbound->handshakes, &l->work);
}
