/* The certificate that the listeners show: read from its files, or made when there are none.  */
#include "io/file.h"
#include "server/parts.h"

#include "crypto/certificate.h"

#include <errno.h>

enum {
	PEM_MAX = 1 << 20,
	OWN_DAYS = 3650, /* nobody checks it: it must only not run out */
	WARN_DAYS = 14,
};

static bool wanted(const struct config *c)
{
	for (uint32_t i = 0; i < c->listener_count; i++)
		if (c->listeners[i].tls != LISTENER_TLS_OFF) return true;
	return false;
}

static bool fail(struct buf *why, struct str path, const char *words)
{
	buf_printf(why, "tls: " STR_FMT ": %s", STR_ARG(path), words);
	return false;
}

static bool load(struct server *s, struct str path, struct buf *pem, struct buf *why)
{
	int error = io_file_load(s->io, path.ptr, pem);
	return error == 0 || fail(why, path, strerror(-error));
}

static bool save(struct server *s, struct str path, struct str pem, struct buf *why)
{
	char directory[4096];
	size_t end = str_rfind(path, '/');
	int error = end < sizeof directory ? 0 : -ENAMETOOLONG;
	if (error == 0 && end > 0 && end < path.len) {
		memcpy(directory, path.ptr, end);
		directory[end] = '\0';
		error = io_dir_make(s->io, directory);
	}
	if (error == 0) error = io_file_save(s->io, path.ptr, pem);
	return error == 0 || fail(why, path, strerror(-error));
}

static bool make(struct server *s, const struct config *c, struct buf *chain, struct buf *key,
	struct buf *why)
{
	if (!certificate_make(c->hostname, io_wall(s->io), OWN_DAYS, chain, key))
		return fail(why, c->tls_certificate, "cannot be made");
	if (!save(s, c->tls_key, buf_str(key), why) ||
		!save(s, c->tls_certificate, buf_str(chain), why))
		return false;
	log_begin(s->log, LOG_INFO, STR_NONE, "certificate-made");
	log_str(s->log, "path", c->tls_certificate);
	log_str(s->log, "name", c->hostname);
	log_str(s->log, "what",
		STR("self-signed: it keeps out who listens, not who pretends to be this host"));
	log_end(s->log);
	return true;
}

static bool get(struct server *s, const struct config *c, struct buf *chain, struct buf *key,
	struct buf *why)
{
	bool any = io_path_exists(s->io, c->tls_certificate.ptr) ||
		io_path_exists(s->io, c->tls_key.ptr);
	if (!any) return make(s, c, chain, key, why);
	return load(s, c->tls_certificate, chain, why) && load(s, c->tls_key, key, why);
}

static void log_until(struct server *s, const struct config *c, const struct tls_context *context)
{
	msec left = tls_context_until(context) - io_wall(s->io);
	if (left > DAYS(WARN_DAYS)) return;
	log_begin(s->log, LOG_WARN, STR_NONE, "certificate-ends");
	log_str(s->log, "path", c->tls_certificate);
	log_str(s->log, "what",
		left < 0 ? STR("it has expired; clients that verify will not come")
			 : STR("it expires soon"));
	log_i64(s->log, "days", left / DAYS(1));
	log_end(s->log);
}

bool server_tls(struct server *s, const struct config *c, struct tls_context **ret, struct buf *why)
{
	*ret = NULL;
	if (!wanted(c)) return true;
	struct buf chain, key;
	buf_init(&chain, PEM_MAX);
	buf_init(&key, PEM_MAX);
	if (get(s, c, &chain, &key, why)) {
		struct tls_identity identity = {buf_str(&chain), buf_str(&key)};
		buf_printf(why, "tls: " STR_FMT ": ", STR_ARG(c->tls_certificate));
		*ret = tls_server_context(&identity, 1, why);
	}
	if (key.ptr) explicit_bzero(key.ptr, key.cap);
	buf_release(&chain);
	buf_release(&key);
	if (!*ret) return false;
	buf_clear(why);
	log_until(s, c, *ret);
	return true;
}

void server_log_exceptions(struct server *s)
{
	const struct tls_exceptions *all = &server_config(s)->tls_exceptions;
	for (uint32_t i = 0; i < all->count; i++) {
		if (io_wall(s->io) < all->list[i].end) continue;
		log_begin(s->log, LOG_WARN, STR_NONE, "tls-exception-ended");
		log_str(s->log, "domain", all->list[i].domain);
		log_str(s->log, "until", all->list[i].day);
		log_end(s->log);
	}
}
