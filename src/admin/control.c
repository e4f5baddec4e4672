#include "admin/control.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>

enum {
	PATIENCE_MS = 60 * 1000,
	OUT_MAX = 64 << 20,    /* octets of answers that wait for the client */
	OUT_ENOUGH = 64 << 10, /* past it the handler is not asked for more */
	SEND_MAX = 256 << 10,
};

struct control {
	struct admin *admin;
	const struct control_command *commands;
	struct io_listener listener;
	struct list connections;
	uint32_t count;
};

struct connection {
	struct control *control;
	struct io_stream stream;
	struct timer timer;
	struct list link;
	struct buf in, out;
	msec deadline;
	bool running; /* a call is under way */
	bool ended;   /* its last object was said */
	bool gone;    /* the peer will send no more */
	struct control_call call;
};

/* ---- ends ---- */

static void end_call(struct connection *c)
{
	if (!c->running) return;
	c->running = c->ended = false;
	if (c->call.release) c->call.release(&c->call);
	json_decref((json_t *)c->call.request);
	c->call = (struct control_call){0};
}

static void connection_free(struct connection *c)
{
	end_call(c);
	io_timer_cancel(c->stream.io, &c->timer);
	io_close(&c->stream);
	buf_release(&c->in);
	buf_release(&c->out);
	list_remove(&c->link);
	c->control->count--;
	free(c);
}

/* ---- saying ---- */

static struct connection *connection_of(struct control_call *call)
{
	return CONTAINER_OF(call, struct connection, call);
}

static void wake(struct connection *c)
{
	io_timer_set(c->stream.io, &c->timer, io_now(c->stream.io));
}

bool control_is_done(const struct control_call *call)
{
	return CONTAINER_OF(call, const struct connection, call)->ended;
}

static void add_line(struct connection *c, const json_t *object)
{
	char *line = object ? json_dumps(object, JSON_COMPACT) : NULL;
	if (line)
		buf_add(&c->out, str_from_c(line));
	else
		buf_add(&c->out, STR("{\"done\":true,\"error\":\"out of memory\"}"));
	if (!line) c->ended = true;
	buf_add_c(&c->out, '\n');
	free(line);
	wake(c);
}

void control_say(struct control_call *call, json_t *object)
{
	struct connection *c = connection_of(call);
	if (!c->ended) add_line(c, object);
	json_decref(object);
}

void control_done(struct control_call *call, json_t *extra)
{
	json_t *object = extra ? extra : json_object();
	if (object) json_object_set_new(object, "done", json_true());
	control_say(call, object);
	connection_of(call)->ended = true;
}

void control_fail(struct control_call *call, const char *format, ...)
{
	char text[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	json_t *object = json_object();
	if (object) json_object_set_new(object, "error", control_str(str_from_c(text)));
	control_done(call, object);
}

/* ---- JSON ---- */

json_t *control_str(struct str s)
{
	if (utf8_valid(s)) return json_stringn(s.len ? s.ptr : "", s.len);
	struct buf clean;
	buf_init(&clean, s.len * 3 + 1);
	while (s.len) {
		uint32_t character;
		size_t n = utf8_next(s, &character);
		buf_add(&clean, n ? str_head(s, n) : STR("\xef\xbf\xbd"));
		s = str_skip(s, n ? n : 1);
	}
	json_t *text = json_stringn(clean.ptr, clean.len);
	buf_release(&clean);
	return text;
}

json_t *control_time(msec wall)
{
	if (!wall) return json_null();
	char text[40];
	struct buf b = {.ptr = text, .cap = sizeof text, .max = sizeof text};
	clock_add_rfc3339(&b, wall);
	return control_str(buf_str(&b));
}

struct str control_text(const struct control_call *call, const char *key)
{
	const json_t *text = json_object_get(call->request, key);
	return json_is_string(text) ? str_of(json_string_value(text), json_string_length(text))
				    : STR_NONE;
}

bool control_flag(const struct control_call *call, const char *key)
{
	return json_is_true(json_object_get(call->request, key));
}

/* ---- commands ---- */

static void run_command(struct connection *c)
{
	struct str name = control_text(&c->call, "command");
	for (const struct control_command *command = c->control->commands; command->name;
		command++) {
		if (!str_eq(name, str_from_c(command->name))) continue;
		command->run(&c->call);
		return;
	}
	control_fail(&c->call, "there is no command \"" STR_FMT "\"", STR_ARG(str_head(name, 80)));
}

/* Begin the next command if a whole line is there.  False: the line is no command, and the connection is gone.  */
static bool begin_call(struct connection *c)
{
	struct str rest = buf_str(&c->in), line;
	if (!str_cut(&rest, '\n', &line)) return true;
	json_t *request =
		json_loadb(line.len ? line.ptr : "", line.len, JSON_REJECT_DUPLICATES, NULL);
	buf_consume(&c->in, line.len + 1);
	if (!c->in.len) buf_release(&c->in);
	if (!json_is_object(request)) {
		json_decref(request);
		connection_free(c);
		return false;
	}
	c->running = true;
	c->call = (struct control_call){.admin = c->control->admin, .request = request};
	run_command(c);
	return true;
}

/* Hand on what the stream takes.  False: it is dead.  */
static bool pump(struct connection *c)
{
	bool moved = false;
	while (c->out.len && io_unsent(&c->stream) < OUT_ENOUGH) {
		struct str piece = str_head(buf_str(&c->out), SEND_MAX);
		if (!io_send(&c->stream, piece)) return false;
		buf_consume(&c->out, piece.len);
		moved = true;
	}
	if (!c->out.len) buf_release(&c->out);
	if (moved) c->deadline = io_now(c->stream.io) + PATIENCE_MS;
	return true;
}

/* All that happens on a connection, happens here.  */
static void tick(struct timer *timer)
{
	struct connection *c = CONTAINER_OF(timer, struct connection, timer);
	msec now = io_now(c->stream.io);
	if (!c->running && !begin_call(c)) return;
	if (c->running && !c->ended && c->call.step && c->out.len < OUT_ENOUGH) {
		c->call.step(&c->call);
		c->deadline = now + PATIENCE_MS;
	}
	bool alive = buf_ok(&c->out) && pump(c);
	if (c->ended) end_call(c);
	bool idle = !c->running && !c->out.len && !io_unsent(&c->stream);
	if (!alive || now >= c->deadline ||
		(c->gone && idle && !memchr(c->in.len ? c->in.ptr : "", '\n', c->in.len))) {
		connection_free(c);
		return;
	}
	bool more = c->running ? c->call.step && !c->ended && c->out.len < OUT_ENOUGH
			       : memchr(c->in.len ? c->in.ptr : "", '\n', c->in.len) != NULL;
	io_timer_set(c->stream.io, &c->timer, more || c->ended ? now : c->deadline);
}

/* ---- the stream ---- */

static struct connection *connection_of_stream(struct io_stream *s)
{
	return CONTAINER_OF(s, struct connection, stream);
}

static void received(struct io_stream *s, struct str octets)
{
	struct connection *c = connection_of_stream(s);
	if (!buf_add(&c->in, octets)) {
		connection_free(c);
		return;
	}
	if (!c->running) c->deadline = io_now(s->io) + PATIENCE_MS;
	wake(c);
}

static void drained(struct io_stream *s)
{
	struct connection *c = connection_of_stream(s);
	c->deadline = io_now(s->io) + PATIENCE_MS;
	wake(c);
}

static void ended(struct io_stream *s, int error)
{
	struct connection *c = connection_of_stream(s);
	if (error) {
		connection_free(c);
		return;
	}
	c->gone = true;
	wake(c);
}

static const struct io_stream_events stream_events = {
	.received = received, .drained = drained, .ended = ended};

static void accepted(struct io_listener *l, const struct io_accepted *client)
{
	struct control *control = CONTAINER_OF(l, struct control, listener);
	struct connection *c =
		control->count < CONTROL_CONNECTIONS_MAX ? calloc(1, sizeof *c) : NULL;
	if (!c) {
		io_refuse(l->io, client,
			STR("{\"done\":true,\"error\":\"too many control connections\"}\n"));
		return;
	}
	c->control = control;
	c->timer.fire = tick;
	buf_init(&c->in, CONTROL_LINE_MAX);
	buf_init(&c->out, OUT_MAX);
	if (io_accept(l->io, &c->stream, &stream_events, client) < 0) {
		free(c);
		return;
	}
	list_push_back(&control->connections, &c->link);
	control->count++;
	c->deadline = io_now(l->io) + PATIENCE_MS;
	io_timer_set(l->io, &c->timer, c->deadline);
	io_read_on(&c->stream);
}

struct control *control_open(struct admin *admin, const struct control_command *commands,
	const char *path, int *ret_error)
{
	struct control *c = calloc(1, sizeof *c);
	*ret_error = -ENOMEM;
	if (!c) return NULL;
	c->admin = admin;
	c->commands = commands;
	list_init(&c->connections);
	c->listener.accepted = accepted;
	struct net_address address = {.family = NET_UNIX, .path = path};
	*ret_error = io_listen(admin->io, &c->listener, &address, NULL);
	if (!*ret_error) return c;
	free(c);
	return NULL;
}

void control_close(struct control *c)
{
	if (!c) return;
	io_listener_close(&c->listener);
	LIST_EACH_SAFE (&c->connections, node)
		connection_free(CONTAINER_OF(node, struct connection, link));
	free(c);
}
