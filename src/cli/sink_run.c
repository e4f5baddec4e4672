/* The sink's listener and sessions, on the server core.  */
#include "cli/sink.h"

#include "base/rng.h"
#include "cli/world.h"
#include "io/file.h"

enum { DUMP_MAX = 1 << 30, ADDRESSES_MAX = 16, PATH_ROOM = 512 };

struct sink_listener {
	struct io_listener listener;
	struct sink *sink;
};

struct sink {
	struct io *io;
	const struct sink_options *options;
	struct smtp_server_config config;
	struct sink_listener listeners[ADDRESSES_MAX];
	int listener_count;
	struct io_signals signals;
	struct list sessions;
	struct rng rng;
	int64_t began_us;
	uint64_t connections, messages, recipients, octets,
		refused; /* refused: messages at their end */
};

struct session {
	struct sink *sink;
	struct io_stream stream;
	struct timer timer; /* a delayed answer, or silence */
	struct list link;
	struct smtp_server server;
	struct smtp_reply answer; /* that is delayed */
	struct buf waiting;       /* octets that came meanwhile */
	struct buf message, envelope;
	uint32_t recipients;
	uint64_t size;
	bool delayed, greeted, closing;
	bool last; /* its message is the one after whose answer the sink leaves */
};

static void session_free(struct session *s)
{
	io_timer_cancel(s->sink->io, &s->timer);
	io_close(&s->stream);
	smtp_server_release(&s->server);
	buf_release(&s->waiting);
	buf_release(&s->message);
	buf_release(&s->envelope);
	list_remove(&s->link);
	free(s);
}

/* ---- what is counted and kept ---- */

static void dump_file(struct sink *k, const char *suffix, struct str content)
{
	char path[PATH_ROOM];
	snprintf(path, sizeof path, "%s/%08llu.%s", k->options->dump,
		(unsigned long long)k->messages, suffix);
	FILE *file = fopen(path, "wb");
	bool fine =
		file && fwrite(content.len ? content.ptr : "", 1, content.len, file) == content.len;
	if (file && fclose(file) != 0) fine = false;
	if (!fine) cli_say("sink", "%s cannot be written", path);
}

static void forget_message(struct session *s)
{
	s->recipients = 0;
	s->size = 0;
	buf_release(&s->message);
	buf_release(&s->envelope);
}

static void count_message(struct session *s)
{
	struct sink *k = s->sink;
	k->messages++;
	k->recipients += s->recipients;
	k->octets += s->size;
	if (k->options->dump) {
		dump_file(k, "eml", buf_str(&s->message));
		dump_file(k, "envelope", buf_str(&s->envelope));
	}
	s->last = k->options->count && k->messages >= k->options->count;
}

/* ---- answers ---- */

static struct smtp_reply usual(enum sink_moment moment, char id[32], const struct sink *k)
{
	if (moment == SINK_DATA) return (struct smtp_reply){.code = 354};
	if (moment != SINK_END) return (struct smtp_reply){.code = 250};
	int len = snprintf(id, 32, "SINK%llu", (unsigned long long)k->messages);
	return (struct smtp_reply){.code = 250, .text = str_of(id, (size_t)len)};
}

static void answer(struct session *s, enum sink_moment moment)
{
	struct sink *k = s->sink;
	const struct sink_options *o = k->options;
	char id[32];
	struct smtp_reply reply = o->replies[moment];
	if (moment == SINK_END && !reply.code && rng_below(&k->rng, 100) < o->fail_percent)
		reply = SMTP_REPLY(451, 4, 3, 0, "as the sink was told");
	bool good = reply.code < 400;
	if (moment == SINK_RCPT && good) s->recipients++;
	if (moment == SINK_END && good) count_message(s);
	if (moment == SINK_END && !good) k->refused++;
	if (moment == SINK_END) forget_message(s);
	if (!reply.code) reply = usual(moment, id, k);
	if (!o->delays[moment]) {
		smtp_server_answer(&s->server, reply);
		return;
	}
	/* the usual words need no memory but the id's, which a delayed one does without */
	if (reply.text.ptr == id) reply.text = STR("SINK");
	s->answer = reply;
	s->delayed = true;
	io_timer_set(k->io, &s->timer, io_now(k->io) + o->delays[moment]);
}

static void note(struct session *s, const char *what, struct str path)
{
	if (!s->sink->options->dump) return;
	if (!s->envelope.max) buf_init(&s->envelope, DUMP_MAX);
	buf_printf(&s->envelope, "%s:<" STR_FMT ">\n", what, STR_ARG(path));
}

static void on_event(struct session *s, const struct smtp_event *e)
{
	switch (e->type) {
	case SMTP_EVENT_MAIL:
		note(s, "MAIL FROM", e->path.text);
		answer(s, SINK_MAIL);
		return;
	case SMTP_EVENT_RCPT:
		note(s, "RCPT TO", e->path.text);
		answer(s, SINK_RCPT);
		return;
	case SMTP_EVENT_DATA: answer(s, SINK_DATA); return;
	case SMTP_EVENT_CHUNK:
		s->size += e->chunk.len;
		if (s->sink->options->dump && !s->message.max) buf_init(&s->message, DUMP_MAX);
		if (s->sink->options->dump) buf_add(&s->message, e->chunk);
		return;
	case SMTP_EVENT_END: answer(s, SINK_END); return;
	case SMTP_EVENT_ABANDON:
	case SMTP_EVENT_RESET: forget_message(s); return;
	case SMTP_EVENT_STARTTLS:
	case SMTP_EVENT_AUTH:
	case SMTP_EVENT_XCLIENT:
		smtp_server_answer(&s->server, SMTP_REPLY(454, 4, 7, 0, "not here"));
		return;
	case SMTP_EVENT_CLOSE: s->closing = true; return;
	case SMTP_EVENT_REFUSED:
	case SMTP_EVENT_HELO: return;
	}
}

/* ---- a session ---- */

static void take_events(struct session *s)
{
	struct smtp_event e;
	while (!s->delayed && smtp_server_next(&s->server, &e)) on_event(s, &e);
}

/* Send what there is to send.  True: there was something.  */
static bool send_output(struct session *s)
{
	struct str output = smtp_server_output(&s->server);
	if (!output.len) return false;
	if (!io_send(&s->stream, output)) s->closing = true;
	smtp_server_sent(&s->server, output.len);
	return true;
}

/* Feed what came, as far as nothing is awaited; the rest is kept.  */
static void feed(struct session *s, struct str octets)
{
	for (;;) {
		take_events(s);
		if (!octets.len || s->delayed || s->closing) break;
		size_t used = smtp_server_feed(&s->server, io_now(s->sink->io), octets);
		octets = str_skip(octets, used);
		if (!used && !send_output(s)) break; /* it wants its output gone first */
	}
	if (octets.len && !s->closing && !buf_add(&s->waiting, octets)) s->closing = true;
}

/* False: the session is gone.  */
static bool flush(struct session *s)
{
	send_output(s);
	if (io_unsent(&s->stream)) return true; /* `drained` comes back here */
	if (s->last && !s->delayed) io_stop(s->sink->io);
	if (!s->closing) return true;
	session_free(s);
	return false;
}

static void go_on(struct session *s)
{
	struct sink *k = s->sink;
	if (!flush(s)) return;
	/* A half-open peer must not stay for ever; a delayed answer has the timer for itself.  */
	msec deadline = smtp_server_deadline(&s->server);
	if (!s->delayed && deadline != MSEC_NEVER) io_timer_set(k->io, &s->timer, deadline);
	if (s->waiting.len > (1 << 20))
		io_read_off(&s->stream);
	else
		io_read_on(&s->stream);
}

static void resume(struct session *s)
{
	struct buf waiting = s->waiting;
	buf_init(&s->waiting, DUMP_MAX);
	feed(s, buf_str(&waiting));
	buf_release(&waiting);
	go_on(s);
}

static void greet(struct session *s)
{
	const struct smtp_reply *instead = &s->sink->options->replies[SINK_BANNER];
	s->greeted = true;
	smtp_server_greet(&s->server, io_now(s->sink->io), instead->code ? instead : NULL);
	resume(s);
}

static void fire(struct timer *timer)
{
	struct session *s = CONTAINER_OF(timer, struct session, timer);
	if (!s->greeted) {
		greet(s);
	} else if (s->delayed) {
		s->delayed = false;
		smtp_server_answer(&s->server, s->answer);
		resume(s);
	} else {
		smtp_server_expire(&s->server, io_now(s->sink->io));
		resume(s);
	}
}

static void received(struct io_stream *stream, struct str octets)
{
	struct session *s = CONTAINER_OF(stream, struct session, stream);
	if (!s->greeted || s->delayed) {
		if (!buf_add(&s->waiting, octets)) session_free(s);
		return;
	}
	feed(s, octets);
	go_on(s);
}

static void drained(struct io_stream *stream)
{
	flush(CONTAINER_OF(stream, struct session, stream));
}

static void ended(struct io_stream *stream, int error)
{
	(void)error;
	session_free(CONTAINER_OF(stream, struct session, stream));
}

static const struct io_stream_events stream_events = {
	.received = received, .drained = drained, .ended = ended};

static void accepted(struct io_listener *l, const struct io_accepted *client)
{
	struct sink *k = CONTAINER_OF(l, struct sink_listener, listener)->sink;
	struct session *s = calloc(1, sizeof *s);
	if (!s) {
		io_refuse(l->io, client, STR("421 4.3.0 out of memory\r\n"));
		return;
	}
	s->sink = k;
	s->timer.fire = fire;
	list_init(&s->link);
	buf_init(&s->waiting, DUMP_MAX);
	smtp_server_init(&s->server, &k->config);
	if (io_accept(k->io, &s->stream, &stream_events, client) < 0) {
		free(s);
		return;
	}
	k->connections++;
	list_push_back(&k->sessions, &s->link);
	io_read_on(&s->stream);
	if (k->options->delays[SINK_BANNER])
		io_timer_set(k->io, &s->timer, io_now(k->io) + k->options->delays[SINK_BANNER]);
	else
		greet(s);
}

/* ---- the whole ---- */

static int listen_all(struct sink *k)
{
	struct net_address all[ADDRESSES_MAX];
	int count = cli_resolve("sink", k->options->address, 25, all, ADDRESSES_MAX);
	if (!count) return EXIT_UNAVAILABLE;
	for (int i = 0; i < count; i++) {
		struct net_address bound;
		struct sink_listener *l = &k->listeners[i];
		*l = (struct sink_listener){.listener.accepted = accepted, .sink = k};
		int error = io_listen(k->io, &l->listener, &all[i], &bound);
		struct buf text;
		buf_init(&text, 100);
		net_add_port(&text, error ? &all[i] : &bound);
		if (error)
			cli_say("sink", STR_FMT ": %s", STR_ARG(buf_str(&text)), strerror(-error));
		else
			fprintf(stderr, "sink listens on " STR_FMT "\n", STR_ARG(buf_str(&text)));
		buf_release(&text);
		if (error) return EXIT_UNAVAILABLE;
		k->listener_count++;
	}
	return EXIT_DONE;
}

static void signal_came(struct io_signals *signals, int number)
{
	(void)number;
	io_stop(CONTAINER_OF(signals, struct sink, signals)->io);
}

static void summarize(const struct sink *k)
{
	double seconds = (double)(io_now_us(k->io) - k->began_us) / 1e6;
	printf("%llu messages, %llu recipients, %llu octets over %llu connections; %llu refused; %.0f messages/s\n",
		(unsigned long long)k->messages, (unsigned long long)k->recipients,
		(unsigned long long)k->octets, (unsigned long long)k->connections,
		(unsigned long long)k->refused, seconds > 0 ? (double)k->messages / seconds : 0);
}

static int run(struct sink *k)
{
	uint64_t seed;
	k->signals.came = signal_came;
	int error = io_signals(k->io, &k->signals);
	if (!error && k->options->dump) error = io_dir_make(k->io, k->options->dump);
	if (error) {
		cli_say("sink", "%s", strerror(-error));
		return EXIT_IO;
	}
	io_raise_descriptors();
	io_random(k->io, &seed, sizeof seed);
	rng_init(&k->rng, seed);
	int code = listen_all(k);
	k->began_us = io_now_us(k->io);
	if (!code) io_run(k->io);
	for (int i = 0; i < k->listener_count; i++) io_listener_close(&k->listeners[i].listener);
	LIST_EACH_SAFE (&k->sessions, node) session_free(CONTAINER_OF(node, struct session, link));
	if (!code) summarize(k);
	return code;
}

int sink_run(const struct sink_options *options)
{
	struct sink k = {
		.io = io_new(),
		.options = options,
		.config = {.hostname = STR("sink.invalid"),
			.message_max = INT64_C(1) << 40,
			.recipients_max = 100000,
			.errors_max = UINT32_MAX,
			.timeout = HOURS(1)},
	};
	if (!k.io) return EXIT_SOFTWARE;
	list_init(&k.sessions);
	int code = run(&k);
	io_free(k.io);
	return code;
}
