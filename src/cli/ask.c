#include "cli/ask.h"

#include <errno.h>

enum { ANSWER_MAX = 64 << 20 };

struct conversation {
	struct io_stream stream;
	struct ask *ask;
	struct buf in;
	struct str request;
	int code;
	bool over;
};

static struct conversation *conversation_of(struct io_stream *s)
{
	return CONTAINER_OF(s, struct conversation, stream);
}

static void finish(struct conversation *c, int code)
{
	if (c->over) return;
	c->over = true;
	c->code = code;
	io_stop(c->stream.io);
}

static void unavailable(struct conversation *c, const char *what)
{
	if (!c->over && !c->ask->quiet) cli_say(c->ask->command, "%s", what);
	finish(c, EXIT_UNAVAILABLE);
}

static void no_server(struct conversation *c, int error)
{
	char text[400];
	bool absent = error == ENOENT || error == ECONNREFUSED;
	snprintf(text, sizeof text,
		absent ? "no server is running here (%s: %s); `rockdove serve` starts one"
		       : "%s: %s",
		c->ask->path, strerror(error));
	unavailable(c, text);
}

static void take_line(struct conversation *c, struct str line)
{
	json_t *object = json_loadb(line.ptr, line.len, 0, NULL);
	const char *error = ask_text(object, "error");
	bool last = json_is_true(json_object_get(object, "done"));
	json_object_del(object, "done"); /* a mark of the protocol, nothing to show */
	if (!object)
		unavailable(c, "the server's answer is not JSON");
	else if (last && *error)
		unavailable(c, error);
	else
		c->ask->answer(c->ask, object, last);
	if (last) finish(c, EXIT_DONE);
	json_decref(object);
}

static void received(struct io_stream *s, struct str octets)
{
	struct conversation *c = conversation_of(s);
	if (!buf_add(&c->in, octets)) unavailable(c, "the server's answer is too long");
	struct str rest = buf_str(&c->in), line;
	size_t used = 0;
	while (!c->over && memchr(rest.len ? rest.ptr : "", '\n', rest.len)) {
		str_cut(&rest, '\n', &line);
		used += line.len + 1;
		take_line(c, line);
	}
	buf_consume(&c->in, used);
}

static void connected(struct io_stream *s, int error)
{
	struct conversation *c = conversation_of(s);
	if (error) {
		no_server(c, error);
	} else if (!io_send(s, c->request)) {
		unavailable(c, "the server does not listen");
	} else {
		io_read_on(s);
	}
}

static void ended(struct io_stream *s, int error)
{
	(void)error;
	unavailable(conversation_of(s),
		"the server has closed the connection before its answer was whole");
}

static void drained(struct io_stream *s) { (void)s; }

static const struct io_stream_events events = {
	.connected = connected, .received = received, .drained = drained, .ended = ended};

int ask_server(struct cli_world *w, struct ask *ask, json_t *request)
{
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	json_decref(request);
	if (!text) return EXIT_SOFTWARE;
	struct conversation c = {.ask = ask, .code = EXIT_UNAVAILABLE};
	struct buf line;
	buf_init(&line, 1 << 20);
	buf_init(&c.in, ANSWER_MAX);
	buf_add(&line, str_from_c(text));
	buf_add_c(&line, '\n');
	free(text);
	c.request = buf_str(&line);
	c.stream.io = w->io;
	struct net_address address = {.family = NET_UNIX, .path = ask->path};
	int error = io_connect(w->io, &c.stream, &events, &address, NULL);
	if (error)
		no_server(&c, -error);
	else
		io_run(w->io);
	io_close(&c.stream);
	buf_release(&c.in);
	buf_release(&line);
	return c.code;
}

const char *ask_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

json_int_t ask_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}
