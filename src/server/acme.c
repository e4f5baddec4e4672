#include "server/acme.h"

#include "crypto/certificate.h"
#include "io/file.h"
#include "server/acme_order.h"
#include "server/acme_responder.h"
#include "server/pem_file.h"

#include <errno.h>

enum { PEM_MAX = 1 << 20, AGAIN_LEAST_MS = 10 * 60 * 1000 };
static const msec again_most = DAYS(1), look_most = HOURS(12);

struct acme {
	struct io *io;
	struct log *log;
	const struct config *config;
	void (*renewed)(void *context);
	void *context;
	struct io_fetcher *fetcher; /* borrowed */
	struct acme_responder *responder;
	struct jws_key *key; /* of the account */
	struct acme_order order;
	bool ordering;
	struct timer timer;
	msec again; /* the wait after the last failure; 0: it did not fail */
};

static void plan(struct acme *a, msec wait)
{
	if (wait > look_most) wait = look_most; /* clocks are set, files are replaced */
	io_timer_set(a->io, &a->timer, io_now(a->io) + wait);
}

/* ---- files ---- */

static struct jws_key *make_key(struct acme *a, struct str path, struct buf *pem, struct buf *why)
{
	struct jws_key *key = jws_key_new();
	int error =
		key && jws_key_write(key, pem) ? pem_file_save(a->io, path, buf_str(pem)) : -ENOMEM;
	if (error == 0) return key;
	buf_printf(why, STR_FMT ": %s", STR_ARG(path), strerror(-error));
	jws_key_free(key);
	return NULL;
}

static struct jws_key *account_key(struct acme *a, struct buf *why)
{
	struct buf pem, path;
	buf_init(&pem, PEM_MAX);
	buf_init(&path, 4096);
	buf_printf(&path, STR_FMT "/acme/account.pem", STR_ARG(a->config->state));
	buf_add_c(&path, '\0');
	struct str name = str_of(path.ptr, path.len - 1);
	struct jws_key *key = NULL;
	int error = io_file_load(a->io, path.ptr, &pem);
	if (error == -ENOENT)
		key = make_key(a, name, &pem, why);
	else if (error)
		buf_printf(why, STR_FMT ": %s", STR_ARG(name), strerror(-error));
	else if (!(key = jws_key_read(buf_str(&pem))))
		buf_printf(why, STR_FMT ": it is no P-256 key", STR_ARG(name));
	if (pem.ptr) explicit_bzero(pem.ptr, pem.cap);
	buf_release(&pem);
	buf_release(&path);
	return key;
}

/* ---- ordering ---- */

static void log_failed(struct acme *a, const char *why, msec again)
{
	log_begin(a->log, LOG_ERROR, STR_NONE, "acme-failed");
	log_str(a->log, "directory", a->config->acme.directory);
	log_str(a->log, "why", str_from_c(why));
	struct buf span;
	buf_init(&span, 64);
	clock_add_span(&span, again);
	log_str(a->log, "again", buf_str(&span));
	log_end(a->log);
	buf_release(&span);
}

static void failed(struct acme *a, const char *why)
{
	a->again = a->again ? a->again * 2 : AGAIN_LEAST_MS;
	if (a->again > again_most) a->again = again_most;
	log_failed(a, why, a->again);
	plan(a, a->again);
}

/* The key goes first: with the old chain it is refused as a pair, and the one in use stays.  */
static int keep(struct acme *a, struct str chain, struct str key)
{
	int error = pem_file_save(a->io, a->config->tls_key, key);
	return error ? error : pem_file_save(a->io, a->config->tls_certificate, chain);
}

static msec time_left(struct acme *a);

static void ended(struct acme_order *order, const char *why, struct str chain, struct str key)
{
	struct acme *a = CONTAINER_OF(order, struct acme, order);
	a->ordering = false;
	acme_responder_clear(a->responder);
	int error = why ? 0 : keep(a, chain, key);
	if (error) why = strerror(-error);
	if (why) {
		failed(a, why);
		return;
	}
	a->again = 0;
	log_begin(a->log, LOG_INFO, STR_NONE, "certificate-obtained");
	log_str(a->log, "path", a->config->tls_certificate);
	log_str(a->log, "from", a->config->acme.directory);
	log_end(a->log);
	a->renewed(a->context);
	msec left = time_left(a); /* whatever its dates say, no second one follows at once */
	plan(a, left > HOURS(1) ? left : HOURS(1));
}

static bool show(
	struct acme_order *order, struct str name, struct str token, struct str authorization)
{
	struct acme *a = CONTAINER_OF(order, struct acme, order);
	return acme_responder_show(a->responder, name, token, authorization);
}

static void order(struct acme *a)
{
	const struct config *c = a->config;
	a->order = (struct acme_order){
		.talk = {.io = a->io,
			.fetcher = a->fetcher,
			.key = a->key,
			.directory = c->acme.directory.ptr,
			.ca_file = c->acme.ca_file.len ? c->acme.ca_file.ptr : NULL},
		.names = c->acme.names,
		.name_count = c->acme.name_count,
		.email = c->acme.email,
		.method = c->acme.method,
		.show = show,
		.ended = ended,
	};
	a->ordering = true;
	acme_order_begin(&a->order);
}

/* ---- when ---- */

/* 0: now.  */
static msec time_left(struct acme *a)
{
	const struct config *c = a->config;
	struct buf pem;
	struct certificate_facts facts;
	buf_init(&pem, PEM_MAX);
	bool known = io_file_load(a->io, c->tls_certificate.ptr, &pem) == 0 &&
		certificate_read(buf_str(&pem), c->acme.names, c->acme.name_count, &facts);
	buf_release(&pem);
	if (!known || facts.own || !facts.covers) return 0;
	msec due = facts.until - (facts.until - facts.from) / 3, now = io_wall(a->io);
	return due > now ? due - now : 0;
}

static void timer_fired(struct timer *timer)
{
	struct acme *a = CONTAINER_OF(timer, struct acme, timer);
	if (a->ordering || !a->config->acme.agree) return;
	msec left = time_left(a);
	if (left == 0)
		order(a);
	else
		plan(a, left);
}

/* ---- the whole ---- */

struct acme *acme_new(struct io *io, struct io_fetcher *fetcher, struct log *log,
	const struct config *c, void (*renewed)(void *context), void *context, struct buf *why)
{
	struct acme *a = calloc(1, sizeof *a);
	if (!a) return NULL;
	*a = (struct acme){.io = io,
		.fetcher = fetcher,
		.log = log,
		.config = c,
		.renewed = renewed,
		.context = context};
	a->timer.fire = timer_fired;
	a->key = account_key(a, why);
	a->responder = a->key ? acme_responder_open(io, c->acme.binds, c->acme.bind_count,
					c->acme.method == ACME_TLS_ALPN, why)
			      : NULL;
	if (!a->responder) {
		acme_free(a);
		return NULL;
	}
	/* After the listeners answer: the authority comes back to look.  */
	plan(a, 1);
	return a;
}

void acme_configure(struct acme *a, const struct config *c)
{
	if (a->ordering) {
		acme_order_cancel(&a->order);
		acme_responder_clear(a->responder);
		a->ordering = false;
	}
	a->config = c;
	a->again = 0;
	plan(a, 1);
}

void acme_free(struct acme *a)
{
	if (!a) return;
	io_timer_cancel(a->io, &a->timer);
	if (a->ordering) acme_order_cancel(&a->order);
	acme_responder_close(a->responder);
	jws_key_free(a->key);
	free(a);
}
