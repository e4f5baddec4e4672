#include "cli/sendmail.h"

/* ---- addresses of a field ---- */

/* Where the comment, quoted string or other token at `at` ends.  */
static size_t token_end(struct str s, size_t at)
{
	if (s.ptr[at] == '"') {
		for (at++; at < s.len && s.ptr[at] != '"'; at++)
			if (s.ptr[at] == '\\' && at + 1 < s.len) at++;
		return at < s.len ? at + 1 : at;
	}
	if (s.ptr[at] != '(') return at + 1;
	unsigned depth = 0;
	for (; at < s.len; at++) {
		if (s.ptr[at] == '\\')
			at++;
		else if (s.ptr[at] == '(')
			depth++;
		else if (s.ptr[at] == ')' && --depth == 0)
			return at + 1;
	}
	return s.len;
}

/* An entry's parts: what stands in <>, and what stands outside of comments.  */
struct entry {
	struct buf plain, route;
	bool has_route;
};

static int end_entry(
	struct entry *e, int (*visit)(void *context, struct str address), void *context)
{
	struct str address = str_trim(buf_str(e->has_route ? &e->route : &e->plain));
	int code = address.len ? visit(context, address) : EXIT_DONE;
	buf_clear(&e->plain);
	buf_clear(&e->route);
	e->has_route = false;
	return code;
}

int sendmail_addresses(
	struct str field, int (*visit)(void *context, struct str address), void *context)
{
	struct entry e = {0};
	int code = EXIT_DONE;
	bool in_route = false;
	buf_init(&e.plain, field.len + 1);
	buf_init(&e.route, field.len + 1);
	for (size_t at = 0, next; at < field.len && !code; at = next) {
		next = token_end(field, at);
		char c = field.ptr[at];
		if (c == '<')
			in_route = e.has_route = true;
		else if (c == '>')
			in_route = false;
		else if (!in_route && (c == ',' || c == ';'))
			code = end_entry(&e, visit, context);
		else if (!in_route && c == ':')
			buf_clear(&e.plain); /* a group's name */
		else if (c != '(' && c != '\r' && c != '\n')
			buf_add(in_route ? &e.route : &e.plain, str_of(field.ptr + at, next - at));
	}
	if (!code) code = end_entry(&e, visit, context);
	buf_release(&e.plain);
	buf_release(&e.route);
	return code;
}

/* ---- the server ---- */

/* The address by which this machine reaches one that is bound.  */
static struct net_address reached(struct net_address bind)
{
	bool any = true;
	for (size_t i = 0; i < sizeof bind.octets; i++) any = any && bind.octets[i] == 0;
	if (!any) return bind;
	if (bind.family == NET_IPV4)
		memcpy(bind.octets, "\x7f\0\0\1", 4);
	else
		bind.octets[15] = 1;
	return bind;
}

bool sendmail_server(const struct config *config, struct buf *out)
{
	for (int loopback = 1; loopback >= 0; loopback--) {
		for (uint32_t i = 0; i < config->listener_count; i++) {
			const struct listener_options *l = &config->listeners[i];
			if (l->submission || l->tls == LISTENER_TLS_REQUIRED ||
				l->tls == LISTENER_TLS_IMPLICIT)
				continue;
			for (uint32_t j = 0; j < l->bind_count; j++) {
				struct net_address address = reached(l->binds[j]);
				if (loopback && !net_is_loopback(&address)) continue;
				net_add_port(out, &address);
				return buf_ok(out);
			}
		}
	}
	return false;
}

/* ---- -bs ---- */

enum { PIPE_PIECE = 16 << 10, PIPE_UNSENT_MAX = 256 << 10 };

struct pipe {
	struct io_stream stream;
	struct io_watch input;
	bool watching; /* standard input can be watched; a file is always ready */
	bool input_ended;
	int code;
};

static void pipe_end(struct pipe *p, int code)
{
	p->code = code;
	io_stop(p->stream.io);
}

static void take_input(struct pipe *p)
{
	char piece[PIPE_PIECE];
	ssize_t n = read(STDIN_FILENO, piece, sizeof piece);
	if (n > 0) {
		if (!io_send(&p->stream, str_of(piece, (size_t)n))) pipe_end(p, EXIT_TRY_AGAIN);
		return;
	}
	p->input_ended = true;
	if (p->watching) io_unwatch(&p->input);
	p->watching = false;
	io_shut(&p->stream);
}

static void input_ready(struct io_watch *watch)
{
	take_input(CONTAINER_OF(watch, struct pipe, input));
}

/* A file cannot be watched: read on as the connection takes it.  */
static void take_file(struct pipe *p)
{
	while (!p->watching && !p->input_ended && io_unsent(&p->stream) < PIPE_UNSENT_MAX)
		take_input(p);
}

static void pipe_connected(struct io_stream *s, int error)
{
	struct pipe *p = CONTAINER_OF(s, struct pipe, stream);
	if (error) {
		cli_say("sendmail", "the server cannot be reached: %s", strerror(error));
		pipe_end(p, EXIT_TRY_AGAIN);
		return;
	}
	io_read_on(s);
	p->input.ready = input_ready;
	p->watching = io_watch(s->io, &p->input, STDIN_FILENO) == 0;
	take_file(p);
}

static void pipe_received(struct io_stream *s, struct str octets)
{
	bool fine = fwrite(octets.ptr, 1, octets.len, stdout) == octets.len && fflush(stdout) == 0;
	if (!fine) pipe_end(CONTAINER_OF(s, struct pipe, stream), EXIT_IO);
}

static void pipe_drained(struct io_stream *s) { take_file(CONTAINER_OF(s, struct pipe, stream)); }

static void pipe_ended(struct io_stream *s, int error)
{
	pipe_end(CONTAINER_OF(s, struct pipe, stream), error ? EXIT_TRY_AGAIN : EXIT_DONE);
}

static const struct io_stream_events pipe_events = {.connected = pipe_connected,
	.received = pipe_received,
	.drained = pipe_drained,
	.ended = pipe_ended};

int sendmail_pipe(struct cli_world *w, struct str server)
{
	struct net_address address;
	struct pipe p = {.code = EXIT_TRY_AGAIN};
	if (!cli_resolve("sendmail", server, 25, &address, 1)) return EXIT_TRY_AGAIN;
	int error = io_connect(w->io, &p.stream, &pipe_events, &address, NULL);
	if (error)
		cli_say("sendmail", "the server cannot be reached: %s", strerror(-error));
	else
		io_run(w->io);
	if (p.watching) io_unwatch(&p.input);
	io_close(&p.stream);
	return p.code;
}
