/* The certificates that the listeners show: read from their files; the first is made when there is none.  */
#include "io/file.h"
#include "server/parts.h"
#include "server/pem_file.h"

#include "crypto/certificate.h"

#include <errno.h>

enum {
	PEM_MAX = 1 << 20,
	OWN_DAYS = 3650, /* nobody checks it: it must only not run out */
	WARN_DAYS = 14,
};

/* One certificate while it is read.  */
struct reading {
	struct io *io;
	struct config_certificate of;
	struct buf chain, key;
	struct buf *complaints;
};

static bool wanted(const struct config *c)
{
	for (uint32_t i = 0; i < c->listener_count; i++)
		if (c->listeners[i].tls != LISTENER_TLS_OFF) return true;
	return false;
}

/* The first is that of `tls`.  */
struct config_certificate server_certificate(const struct config *c, uint32_t i)
{
	if (i > 0) return c->certificates[i - 1];
	return (struct config_certificate){.chain = c->tls_certificate,
		.key = c->tls_key,
		.file = c->tls_file,
		.line = c->tls_line};
}

/* ---- saying what is wrong ---- */

static bool fail(const struct reading *r, struct str path, const char *words)
{
	if (r->of.file) buf_printf(r->complaints, "%s:%u: ", r->of.file, r->of.line);
	if (r->of.name.len)
		buf_printf(r->complaints, "certificate " STR_FMT ": ", STR_ARG(r->of.name));
	else
		buf_add(r->complaints, STR("tls: "));
	buf_printf(r->complaints, STR_FMT ": %s\n", STR_ARG(path), words);
	return false;
}

/* ---- files ---- */

static bool load(const struct reading *r, struct str path, struct buf *pem)
{
	int error = io_file_load(r->io, path.ptr, pem);
	if (error == -EACCES)
		return fail(r, path,
			"Permission denied: the user that the server runs as has to read it, and where the "
			"sandbox did not know of it at the start, a restart is needed");
	return error == 0 || fail(r, path, strerror(-error));
}

static bool save(const struct reading *r, struct str path, struct str pem)
{
	int error = pem_file_save(r->io, path, pem);
	return error == 0 || fail(r, path, strerror(-error));
}

static bool make(struct reading *r, struct str hostname)
{
	if (!certificate_make(hostname, io_wall(r->io), OWN_DAYS, &r->chain, &r->key))
		return fail(r, r->of.chain, "cannot be made");
	return save(r, r->of.key, buf_str(&r->key)) && save(r, r->of.chain, buf_str(&r->chain));
}

static bool missing(struct io *io, const struct config *c)
{
	return !io_path_exists(io, c->tls_certificate.ptr) && !io_path_exists(io, c->tls_key.ptr);
}

/* ---- one of them ---- */

static struct tls_identity identity(const struct reading *r)
{
	return (struct tls_identity){buf_str(&r->chain), buf_str(&r->key)};
}

static bool complain_of(const struct reading *r, struct str why)
{
	struct buf words;
	buf_init(&words, 4096);
	struct str path = str_starts(why, STR("private key")) ? r->of.key : r->of.chain;
	if (str_contains(why, STR("key values mismatch")) ||
		str_contains(why, STR("key type mismatch")))
		buf_printf(&words, "this private key is not the one of the certificate in " STR_FMT,
			STR_ARG(r->of.chain));
	else
		buf_printf(&words, STR_FMT "; PEM is wanted, the key without a pass phrase",
			STR_ARG(why));
	buf_add_c(&words, '\0');
	fail(r, path, words.ptr ? words.ptr : "out of memory");
	buf_release(&words);
	return false;
}

/* Whether TLS can be spoken with it.  */
static bool try(const struct reading *r)
{
	struct buf why;
	buf_init(&why, 2048);
	struct tls_identity one = identity(r);
	struct tls_context *context = tls_server_context(&one, 1, &why);
	bool fine = context || complain_of(r, buf_str(&why));
	tls_context_release(context);
	buf_release(&why);
	return fine;
}

static bool read_one(struct reading *r)
{
	return load(r, r->of.chain, &r->chain) && load(r, r->of.key, &r->key) && try(r);
}

static void forget(struct reading *r)
{
	if (r->key.ptr) explicit_bzero(r->key.ptr, r->key.cap);
	buf_release(&r->chain);
	buf_release(&r->key);
}

/* ---- all ---- */

static void warn(struct server *s, struct str path, msec left)
{
	if (left > DAYS(WARN_DAYS)) return;
	log_begin(s->log, LOG_WARN, STR_NONE, "certificate-ends");
	log_str(s->log, "path", path);
	log_str(s->log, "what",
		left < 0 ? STR("it has expired; clients that verify will not come")
			 : STR("it expires soon"));
	log_i64(s->log, "days", left / DAYS(1));
	log_end(s->log);
}

void server_warn_tls(struct server *s, const struct config *c, const struct tls_context *context)
{
	for (uint32_t i = 0; i <= c->certificate_count; i++)
		warn(s, server_certificate(c, i).chain,
			tls_context_ends(context, i) - io_wall(s->io));
}

static bool make_first(struct server *s, const struct config *c, struct buf *complaints)
{
	struct reading r = {.io = s->io, .of = server_certificate(c, 0), .complaints = complaints};
	buf_init(&r.chain, PEM_MAX);
	buf_init(&r.key, PEM_MAX);
	bool made = make(&r, c->hostname);
	forget(&r);
	if (!made) return false;
	log_begin(s->log, LOG_INFO, STR_NONE, "certificate-made");
	log_str(s->log, "path", c->tls_certificate);
	log_str(s->log, "name", c->hostname);
	log_str(s->log, "what",
		STR("self-signed: it keeps out who listens, not who pretends to be this host"));
	log_end(s->log);
	return true;
}

/* Every certificate of c into `all`, which has room for them; every mistake is told.  */
static bool read_all(struct io *io, const struct config *c, struct reading *all, bool first_too,
	struct buf *complaints)
{
	bool fine = true;
	for (uint32_t i = 0; i <= c->certificate_count; i++) {
		all[i] = (struct reading){
			.io = io, .of = server_certificate(c, i), .complaints = complaints};
		buf_init(&all[i].chain, PEM_MAX);
		buf_init(&all[i].key, PEM_MAX);
		if (i > 0 || first_too) fine &= read_one(&all[i]);
	}
	return fine;
}

static struct tls_context *join(const struct reading *all, uint32_t count,
	struct tls_identity *room, struct buf *complaints)
{
	for (uint32_t i = 0; i < count; i++) room[i] = identity(&all[i]);
	struct tls_context *context = tls_server_context(room, count, complaints);
	if (!context) buf_add_c(complaints, '\n');
	return context;
}

struct rooms {
	struct reading *all;
	struct tls_identity *identities;
};

static bool take_rooms(struct rooms *rooms, uint32_t count)
{
	rooms->all = calloc(count, sizeof *rooms->all);
	rooms->identities = calloc(count, sizeof *rooms->identities);
	return rooms->all && rooms->identities;
}

static void give_rooms(struct rooms *rooms, uint32_t count)
{
	for (uint32_t i = 0; rooms->all && i < count; i++) forget(&rooms->all[i]);
	free(rooms->all);
	free(rooms->identities);
}

struct tls_context *server_read_tls(
	struct server *s, const struct config *c, struct buf *complaints)
{
	uint32_t count = c->certificate_count + 1;
	struct tls_context *context = NULL;
	struct rooms rooms;
	if (!take_rooms(&rooms, count))
		buf_add(complaints, STR("tls: out of memory\n"));
	else if (read_all(s->io, c, rooms.all, true, complaints))
		context = join(rooms.all, count, rooms.identities, complaints);
	give_rooms(&rooms, count);
	if (context) server_warn_tls(s, c, context);
	return context;
}

bool server_tls(
	struct server *s, const struct config *c, struct tls_context **ret, struct buf *complaints)
{
	*ret = NULL;
	if (!wanted(c)) return true;
	if (missing(s->io, c) && !make_first(s, c, complaints)) return false;
	*ret = server_read_tls(s, c, complaints);
	return *ret != NULL;
}

bool server_check_tls(struct io *io, const struct config *c, struct buf *complaints)
{
	if (!wanted(c)) return true;
	uint32_t count = c->certificate_count + 1;
	struct rooms rooms;
	bool fine = take_rooms(&rooms, count) &&
		read_all(io, c, rooms.all, !missing(io, c), complaints);
	give_rooms(&rooms, count);
	return fine;
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
