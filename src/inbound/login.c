/* AUTH (RFC 4954): the steps of a login run on the thread of the handshakes, for proving a password takes
 * a millisecond on purpose.  */
#include "inbound/parts.h"

#include <stdlib.h>

enum {
	RESPONSE_MAX = 16 * 1024, /* RFC 4954 4: 12288 octets */
	DELAY_MS = 1000,          /* before the first refusal is said; it doubles */
	DELAY_DOUBLINGS = 4,
};

struct login {
	struct io_work work;
	struct sasl *sasl;
	struct accounts *accounts;
	struct session *session; /* NULL: gone */
	struct buf response, challenge;
	struct timer delay;
	enum sasl_result result;
	bool given;   /* there is a response */
	bool working; /* all of the above is the thread's */
	char mechanism[16];
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

static void log_login(const struct session *s, const struct login *l, const char *event)
{
	struct log *log = s->inbound->parts.log;
	char text[80];
	struct buf b = {.ptr = text, .cap = sizeof text, .max = sizeof text};
	net_add(&b, &s->peer);
	log_begin(log, LOG_INFO, STR_NONE, event);
	log_str(log, "client", buf_str(&b));
	log_str(log, "account", sasl_name(l->sasl));
	log_str(log, "mechanism", str_from_c(l->mechanism));
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
	log_login(s, l, "login");
	login_end(s);
	smtp_server_authenticated(&s->smtp);
	answer(s, (struct smtp_reply){.code = 235});
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
	struct io *io = s->inbound->parts.io;
	switch (l->result) {
	case SASL_MORE:
		answer(s, (struct smtp_reply){.code = 334, .text = buf_str(&l->challenge)});
		break;
	case SASL_DONE: welcome(s, l); break;
	case SASL_FAILED:
		log_login(s, l, "login-failed");
		l->delay.fire = refuse;
		io_timer_set(io, &l->delay, io_now(io) + ((msec)DELAY_MS << s->logins_failed));
		if (s->logins_failed < DELAY_DOUBLINGS) s->logins_failed++;
		break;
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
	if (l->accounts) l->sasl = sasl_new(s->inbound->sasl, mechanism, find_keys, l->accounts);
	if (!l->sasl) {
		accounts_release(l->accounts);
		free(l);
		return NULL;
	}
	memcpy(l->mechanism, mechanism.ptr, mechanism.len); /* one of ours, so short */
	return l;
}

void login_event(struct session *s, const struct smtp_event *event)
{
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
	l->working = true;
	io_work(s->inbound->handshakes, &l->work);
}
