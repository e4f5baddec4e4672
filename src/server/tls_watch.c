/* Certificates as time goes by: read again when their files have changed, warned of before they end, and the keys of
 * session tickets replaced.  Files are looked at now and then: that needs nothing from the file system, and sees links
 * that lead elsewhere since.  */
#include "io/file.h"
#include "server/parts.h"

enum {
	WARN_AGAIN_MS = 24 * 3600 * 1000,
	ROTATE_MS =
		12 * 3600 * 1000, /* a key seals so long, and opens twice as long (RFC 9325 3.4) */
};

static uint64_t stamp_file(struct server *s, struct str path, uint64_t stamp)
{
	struct {
		msec mtime;
		uint64_t size, before;
	} seen = {.mtime = -1, .before = stamp};
	(void)io_path_stat(
		s->io, path.ptr, &seen.mtime, &seen.size); /* one that is gone shows as -1 */
	return str_hash(str_of(&seen, sizeof seen), 0);
}

/* What all the files look like.  */
static uint64_t stamp(struct server *s)
{
	const struct config *c = s->tls.config;
	uint64_t sum = 0;
	for (uint32_t i = 0; i <= c->certificate_count; i++) {
		struct config_certificate one = server_certificate(c, i);
		sum = stamp_file(s, one.chain, stamp_file(s, one.key, sum));
	}
	return sum;
}

/* Show these from now on.  */
static void use(struct server *s, struct tls_context *context)
{
	struct server_tls_watch *w = &s->tls;
	if (w->context) tls_context_inherit(context, w->context);
	tls_context_release(w->context);
	w->context = tls_context_hold(context);
	w->warned = io_now(s->io);
}

static void read_again(struct server *s)
{
	struct buf why;
	buf_init(&why, 64 * 1024);
	struct tls_context *context = server_read_tls(s, s->tls.config, &why);
	if (context) {
		use(s, context);
		inbound_use_tls(s->inbound, context);
		tls_context_release(context);
		log_begin(s->log, LOG_INFO, STR_NONE, "certificates-read");
		log_i64(s->log, "count", s->tls.config->certificate_count + 1);
	} else {
		log_begin(s->log, LOG_ERROR, STR_NONE, "certificates-kept");
		log_str(s->log, "why", str_trim(buf_str(&why)));
	}
	log_end(s->log);
	buf_release(&why);
}

/* A change is taken when it has stood for one look: certificate and key are seldom replaced in one instant.  */
static void look(struct server *s)
{
	struct server_tls_watch *w = &s->tls;
	uint64_t now = stamp(s);
	if (now != w->known && now == w->seen) {
		w->known = now;
		read_again(s);
	}
	w->seen = now;
}

static void watch_again(struct server *s)
{
	io_timer_set(s->io, &s->tls.timer, io_now(s->io) + s->tls.config->tls_watch);
}

static void fired(struct timer *timer)
{
	struct server *s = CONTAINER_OF(timer, struct server, tls.timer);
	struct server_tls_watch *w = &s->tls;
	msec now = io_now(s->io);
	if (s->stopping) return;
	look(s);
	if (now - w->warned >= WARN_AGAIN_MS) {
		w->warned = now;
		server_warn_tls(s, w->config, w->context);
	}
	if (now - w->rotated >= ROTATE_MS) {
		w->rotated = now;
		tls_context_rotate(w->context);
	}
	watch_again(s);
}

void server_renew_tls(void *context)
{
	struct server *s = context;
	if (s->stopping || !s->tls.context) return;
	s->tls.known = s->tls.seen = stamp(s);
	read_again(s);
}

void server_watch_tls(struct server *s, const struct config *c, struct tls_context *context)
{
	struct server_tls_watch *w = &s->tls;
	if (!context) {
		server_unwatch_tls(s);
		return;
	}
	w->config = c;
	if (!w->context) w->rotated = io_now(s->io);
	use(s, context);
	w->known = w->seen = stamp(s);
	w->timer.fire = fired;
	watch_again(s);
}

void server_unwatch_tls(struct server *s)
{
	io_timer_cancel(s->io, &s->tls.timer);
	tls_context_release(s->tls.context);
	s->tls.context = NULL;
}
