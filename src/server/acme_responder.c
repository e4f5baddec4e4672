#include "server/acme_responder.h"

#include "crypto/certificate.h"
#include "crypto/tls.h"

enum {
	GUESTS_MAX = 100,
	GUEST_MS = 20 * 1000,
	REQUEST_MAX = 4096,
	SHOWN_MAX = 1024,
	PEM_MAX = 1 << 16
};

struct acme_responder {
	struct io *io;
	bool tls;
	struct list guests;
	uint32_t guest_count;
	struct buf path, text; /* what HTTP answers, when it is asked for path */
	struct tls_context *context;
	uint32_t listener_count;
	struct door *doors;
};

struct door {
	struct io_listener listener;
	struct acme_responder *responder;
};

/* Somebody who has connected.  */
struct guest {
	struct io_stream stream;
	struct timer timer;
	struct list link;
	struct acme_responder *responder;
	struct buf request;
	struct tls *engine; /* NULL: HTTP */
};

static void guest_free(struct guest *g)
{
	io_close(&g->stream);
	io_timer_cancel(g->responder->io, &g->timer);
	list_remove(&g->link);
	g->responder->guest_count--;
	tls_free(g->engine);
	buf_release(&g->request);
	free(g);
}

/* ---- HTTP ---- */

/* The path of a whole request; empty when it is none that we answer.  */
static struct str path_of(struct str request)
{
	struct str line, method, path;
	(void)str_cut(&request, '\r', &line);
	(void)str_cut(&line, ' ', &method);
	(void)str_cut(&line, ' ', &path);
	return str_eq(method, STR("GET")) && str_starts(line, STR("HTTP/1.")) ? path : STR_NONE;
}

static void http_answer(struct guest *g)
{
	const struct acme_responder *r = g->responder;
	struct str path = path_of(buf_str(&g->request));
	bool shown = r->path.len > 0 && str_eq(path, buf_str(&r->path));
	struct str text = shown ? buf_str(&r->text) : STR("There is nothing here.\n");
	struct buf out;
	buf_init(&out, SHOWN_MAX * 2);
	buf_printf(&out,
		"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
		shown ? "200 OK" : "404 Not Found",
		shown ? "application/octet-stream" : "text/plain", text.len);
	buf_add(&out, text);
	bool sent = buf_ok(&out) && io_send(&g->stream, buf_str(&out));
	buf_release(&out);
	if (sent)
		io_shut(&g->stream); /* the peer closes, or time does */
	else
		guest_free(g);
}

static void http_received(struct guest *g, struct str octets)
{
	bool answered = str_contains(buf_str(&g->request), STR("\r\n\r\n"));
	if (answered) return;
	if (!buf_add(&g->request, octets))
		guest_free(g);
	else if (str_contains(buf_str(&g->request), STR("\r\n\r\n")))
		http_answer(g);
}

/* ---- TLS ---- */

static void tls_received(struct guest *g, struct str octets)
{
	while (octets.len && tls_state(g->engine) == TLS_HANDSHAKE)
		octets = str_skip(octets, tls_feed(g->engine, octets));
	enum tls_state state = tls_state(g->engine);
	if (state == TLS_OPEN) tls_close(g->engine);
	struct str out = tls_output(g->engine);
	bool sent = out.len == 0 || io_send(&g->stream, out);
	tls_sent(g->engine, out.len);
	if (!sent)
		guest_free(g);
	else if (state != TLS_HANDSHAKE)
		io_shut(&g->stream);
}

/* ---- streams ---- */

static void received(struct io_stream *s, struct str octets)
{
	struct guest *g = CONTAINER_OF(s, struct guest, stream);
	if (g->engine)
		tls_received(g, octets);
	else
		http_received(g, octets);
}

static void ended(struct io_stream *s, int error)
{
	(void)error;
	guest_free(CONTAINER_OF(s, struct guest, stream));
}

static void drained(struct io_stream *s) { (void)s; }

static void stayed_too_long(struct timer *timer)
{
	guest_free(CONTAINER_OF(timer, struct guest, timer));
}

static const struct io_stream_events guest_events = {
	.received = received, .drained = drained, .ended = ended};

static void accepted(struct io_listener *listener, const struct io_accepted *accepted)
{
	struct acme_responder *r = CONTAINER_OF(listener, struct door, listener)->responder;
	bool welcome = r->guest_count < GUESTS_MAX && (!r->tls || r->context);
	struct guest *g = welcome ? calloc(1, sizeof *g) : NULL;
	if (!g) {
		io_refuse(r->io, accepted, STR_NONE);
		return;
	}
	if (io_accept(r->io, &g->stream, &guest_events, accepted) != 0) {
		free(g);
		return;
	}
	g->responder = r;
	g->timer.fire = stayed_too_long;
	buf_init(&g->request, REQUEST_MAX);
	list_push_back(&r->guests, &g->link);
	r->guest_count++;
	io_timer_set(r->io, &g->timer, io_now(r->io) + GUEST_MS);
	if (r->tls && !(g->engine = tls_server_new(r->context)))
		guest_free(g);
	else
		io_read_on(&g->stream);
}

/* ---- the whole ---- */

struct acme_responder *acme_responder_open(
	struct io *io, const struct net_address *binds, uint32_t count, bool tls, struct buf *why)
{
	struct acme_responder *r = calloc(1, sizeof *r);
	struct door *doors = calloc(count ? count : 1, sizeof *doors);
	if (!r || !doors) {
		free(r);
		free(doors);
		buf_add(why, STR("out of memory"));
		return NULL;
	}
	*r = (struct acme_responder){.io = io, .tls = tls, .doors = doors};
	list_init(&r->guests);
	buf_init(&r->path, SHOWN_MAX);
	buf_init(&r->text, SHOWN_MAX);
	for (; r->listener_count < count; r->listener_count++) {
		struct door *door = &doors[r->listener_count];
		door->responder = r;
		door->listener.accepted = accepted;
		int error = io_listen(io, &door->listener, &binds[r->listener_count], NULL);
		if (error == 0) continue;
		net_add_port(why, &binds[r->listener_count]);
		buf_printf(why, ": %s", strerror(-error));
		acme_responder_close(r);
		return NULL;
	}
	return r;
}

void acme_responder_close(struct acme_responder *r)
{
	if (!r) return;
	acme_responder_clear(r);
	for (uint32_t i = 0; i < r->listener_count; i++) io_listener_close(&r->doors[i].listener);
	while (!list_empty(&r->guests))
		guest_free(CONTAINER_OF(r->guests.next, struct guest, link));
	buf_release(&r->path);
	buf_release(&r->text);
	free(r->doors);
	free(r);
}

static bool show_certificate(struct acme_responder *r, struct str name, struct str authorization)
{
	struct buf chain, key, why;
	buf_init(&chain, PEM_MAX);
	buf_init(&key, PEM_MAX);
	buf_init(&why, SHOWN_MAX);
	if (certificate_make_challenge(name, authorization, io_wall(r->io), &chain, &key))
		r->context = tls_challenge_context(
			&(struct tls_identity){buf_str(&chain), buf_str(&key)}, &why);
	buf_release(&chain);
	buf_release(&key);
	buf_release(&why);
	return r->context != NULL;
}

bool acme_responder_show(
	struct acme_responder *r, struct str name, struct str token, struct str authorization)
{
	acme_responder_clear(r);
	if (r->tls) return show_certificate(r, name, authorization);
	buf_add(&r->path, STR("/.well-known/acme-challenge/"));
	buf_add(&r->path, token);
	buf_add(&r->text, authorization);
	return buf_ok(&r->path) && buf_ok(&r->text);
}

void acme_responder_clear(struct acme_responder *r)
{
	buf_clear(&r->path);
	buf_clear(&r->text);
	tls_context_release(r->context);
	r->context = NULL;
}
