/* Logging in at a next hop.  Reading the password and proving it take their time, and run on a thread.  */
#include "base/arena.h"
#include "crypto/sasl_client.h"
#include "io/file.h"
#include "outbound/session.h"
#include "outbound/token.h"

#include <stdlib.h>

enum {
	ARENA_MAX = 64 << 10,
	SECRET_MAX = 12 << 10,
	RESPONSE_MAX = 24 << 10,
	TOLD_AGAIN_MS = 60 * 1000, /* several connections fail of one wrong password */
};

struct hop_login {
	struct io_work work;
	struct token_wait token;
	struct client_session *session; /* NULL: gone */
	struct io *io;
	struct arena arena; /* of the texts below */
	struct sasl_client_options options;
	const char *password_file; /* NULL: a token */
	uint8_t binding[TLS_BINDING];
	struct sasl_client *sasl; /* NULL before the first step */
	struct buf secret, challenge, response;
	const char *why; /* the step has failed */
	char words[400]; /* what why may point to */
	bool begun;      /* the command is sent */
	bool initial;    /* the response goes with the command */
	bool ours;       /* to blame: not the next hop */
	bool open;       /* others may read the password's file */
	bool working;    /* all of the above is the thread's */
};

static const struct route_rule *rule_of(const struct client_session *s)
{
	return destination_rule(s->site->destination);
}

static void wipe(struct buf *b)
{
	if (b->ptr) explicit_bzero(b->ptr, b->cap);
	buf_release(b);
}

static void login_free(struct hop_login *l)
{
	sasl_client_free(l->sasl);
	wipe(&l->secret);
	wipe(&l->response);
	buf_release(&l->challenge);
	arena_release(&l->arena);
	free(l);
}

void hop_login_end(struct client_session *s)
{
	struct hop_login *l = s->login;
	s->login = NULL;
	if (!l) return;
	l->session = NULL;
	token_cancel(&l->token);
	if (!l->working) login_free(l); /* else when its step is back */
}

void hop_login_configure(struct client_session *s) { s->config.auth = rule_of(s)->user.len > 0; }

/* ---- on the thread ---- */

static void cannot_read(struct hop_login *l, const char *what)
{
	snprintf(l->words, sizeof l->words, "%s: %s", l->password_file, what);
	l->why = l->words;
	l->ours = true;
}

/* Each time, so that it can be changed while we run.  */
static bool read_password(struct hop_login *l)
{
	if (!l->password_file) return true;
	uint32_t mode = 0;
	int error = io_path_mode(l->io, l->password_file, &mode);
	if (!error) error = io_file_load(l->io, l->password_file, &l->secret);
	l->open = (mode & 07) != 0;
	size_t end = str_find(buf_str(&l->secret), '\n');
	if (!error && end < l->secret.len) l->secret.len = end;
	if (!error && l->secret.len && l->secret.ptr[l->secret.len - 1] == '\r') l->secret.len--;
	if (error)
		cannot_read(l, strerror(-error));
	else if (l->secret.len == 0)
		cannot_read(l, "its first line, which is the password, is empty");
	return !l->why;
}

static void first_step(struct hop_login *l)
{
	if (!read_password(l)) return;
	l->options.secret = buf_str(&l->secret);
	l->sasl = sasl_client_new(&l->options, &l->why);
	wipe(&l->secret);
	if (!l->sasl) return;
	l->why = NULL;
	l->initial = sasl_client_first(l->sasl, &l->response);
}

static void step_run(struct io_work *work)
{
	struct hop_login *l = CONTAINER_OF(work, struct hop_login, work);
	buf_clear(&l->response);
	if (!l->sasl)
		first_step(l);
	else if (sasl_client_step(l->sasl, buf_str(&l->challenge), &l->response, &l->why))
		l->why = NULL;
}

/* ---- on the loop's ---- */

static void warn_open(struct client_session *s, struct hop_login *l)
{
	if (!l->open || s->site->warned_open) return;
	s->site->warned_open = true;
	struct log *log = s->outbound->parts.log;
	log_begin(log, LOG_WARN, STR_NONE, "password-file-open");
	log_str(log, "path", str_from_c(l->password_file));
	log_str(log, "what", STR("every user of this machine may read it; chmod 600, or 640"));
	log_end(log);
}

static void step_done(struct io_work *work)
{
	struct hop_login *l = CONTAINER_OF(work, struct hop_login, work);
	struct client_session *s = l->session;
	l->working = false;
	if (!s) {
		login_free(l);
		return;
	}
	bool first = !l->begun;
	l->begun = true;
	warn_open(s, l);
	if (l->why)
		smtp_client_auth_failed(&s->client, str_from_c(l->why));
	else
		smtp_client_auth(&s->client, outbound_now(s->outbound),
			first ? str_from_c(sasl_client_mechanism(l->sasl)) : STR_NONE,
			buf_str(&l->response), l->initial);
	l->initial = false;
	client_session_work(s);
}

static void run_step(struct hop_login *l)
{
	l->working = true;
	io_work(l->session->outbound->workers, &l->work);
}

/* ---- begin ---- */

/* The token is there, or cannot be had.  */
static void token_taken(struct hop_login *l)
{
	bool fine = l->token.text.len && buf_add(&l->secret, l->token.text);
	if (fine) {
		run_step(l);
		return;
	}
	snprintf(l->words, sizeof l->words, "no token: " STR_FMT, STR_ARG(l->token.why));
	l->why = l->words;
	l->ours = true;
	smtp_client_auth_failed(&l->session->client, str_from_c(l->why));
}

static void token_done(struct token_wait *wait)
{
	struct hop_login *l = CONTAINER_OF(wait, struct hop_login, token);
	struct client_session *s = l->session;
	token_taken(l);
	client_session_work(s);
}

static bool copy_texts(struct client_session *s, struct hop_login *l)
{
	const struct route_rule *rule = rule_of(s);
	const struct route_target *target = &s->lookup.targets[s->connection->target];
	struct sasl_client_options *o = &l->options;
	struct str file = STR_NONE;
	bool fine = arena_copy(&l->arena, str_from_c(s->client.offer.auth), &o->offered) &&
		arena_copy(&l->arena, rule->auth, &o->only) &&
		arena_copy(&l->arena, rule->user, &o->user) &&
		arena_copy(&l->arena, str_from_c(target->host), &o->host) &&
		(rule->password_file.len == 0 || arena_copy(&l->arena, rule->password_file, &file));
	l->password_file = file.ptr;
	o->token = !file.ptr;
	o->port = target->address.port;
	o->secured = s->tls || target->address.family == NET_UNIX;
	if (s->tls && tls_channel_binding(s->tls, l->binding)) o->binding = l->binding;
	io_random(l->io, o->nonce, sizeof o->nonce);
	return fine;
}

static void begin(struct client_session *s)
{
	struct hop_login *l = calloc(1, sizeof *l);
	if (!l) {
		smtp_client_auth_failed(&s->client, STR("out of memory"));
		return;
	}
	*l = (struct hop_login){.work = {.run = step_run, .done = step_done},
		.token = {.done = token_done},
		.session = s,
		.io = s->outbound->parts.io};
	arena_init(&l->arena, ARENA_MAX);
	buf_init(&l->secret, SECRET_MAX);
	buf_init(&l->challenge, RESPONSE_MAX);
	buf_init(&l->response, RESPONSE_MAX);
	s->login = l;
	if (!copy_texts(s, l))
		smtp_client_auth_failed(&s->client, STR("out of memory"));
	else if (!l->options.token)
		run_step(l);
	else if (token_want(s->outbound, rule_of(s), &l->token))
		token_taken(l);
}

void hop_login_step(struct client_session *s, struct str challenge)
{
	struct hop_login *l = s->login;
	if (!l) {
		begin(s);
		return;
	}
	buf_clear(&l->challenge);
	if (buf_add(&l->challenge, challenge))
		run_step(l);
	else
		smtp_client_auth_failed(&s->client, STR("its challenge is too long"));
}

/* ---- the end ---- */

static void log_login(const struct client_session *s)
{
	struct log *log = s->outbound->parts.log;
	log_str(log, "destination", destination_key(s->site->destination));
	log_str(log, "host", str_of(s->host, s->host_len));
	log_str(log, "user", s->login->options.user);
	if (s->login->sasl)
		log_str(log, "mechanism", str_from_c(sasl_client_mechanism(s->login->sasl)));
}

bool hop_login_done(struct client_session *s)
{
	struct hop_login *l = s->login;
	if (!l) return true;
	if (!sasl_client_satisfied(l->sasl)) {
		smtp_client_auth_failed(
			&s->client, STR("it has not proved that it knows the password"));
		return false;
	}
	struct log *log = s->outbound->parts.log;
	log_begin(log, LOG_INFO, STR_NONE, "hop-login");
	log_login(s);
	log_end(log);
	s->site->login_told = 0;
	s->token_renewed = false;
	hop_login_end(s);
	return true;
}

/* Why, in words that name what is to be looked at.  */
static void note_failure(struct client_session *s, const struct outcome *why)
{
	const struct hop_login *l = s->login;
	struct buf text;
	buf_init(&text, OUTCOME_TEXT_MAX);
	buf_printf(&text, "logging in as " STR_FMT " at " STR_FMT, STR_ARG(l->options.user),
		STR_ARG(str_of(s->host, s->host_len)));
	if (l->ours)
		buf_printf(&text, " is not possible: %s", l->why);
	else
		buf_printf(&text, " was refused: %u " STR_FMT, why->code,
			STR_ARG(str_head(why->text, OUTCOME_TEXT_MAX / 2)));
	struct outcome o = outcome_local(OUTCOME_DEFERRED, "4.7.8", buf_str(&text));
	reach_note_trouble(s, &o);
	msec now = outbound_now(s->outbound);
	if (!s->site->login_told || now - s->site->login_told >= TOLD_AGAIN_MS) {
		s->site->login_told = now;
		struct log *log = s->outbound->parts.log;
		log_begin(log, LOG_WARN, STR_NONE, "hop-login-failed");
		log_login(s);
		log_str(log, "why", buf_str(&text));
		log_end(log);
	}
	buf_release(&text);
}

bool hop_login_failed(struct client_session *s, const struct outcome *why)
{
	struct hop_login *l = s->login;
	bool refused = why->remote && why->code / 100 == 5;
	if (!refused && !l->ours) return false;
	uint32_t target = s->connection->target;
	bool again = refused && l->options.token && !s->token_renewed;
	if (again)
		token_refused(s->outbound, rule_of(s), l->token.version);
	else
		note_failure(s, why);
	client_session_flush(s); /* a last QUIT */
	client_session_drop_connection(s);
	s->token_renewed = again;
	if (again)
		reach_try(s, target);
	else
		reach_give_up(s);
	return true;
}
