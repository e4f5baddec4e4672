#include "route/stub.h"

#include "io/file.h"
#include "route/dns_message.h"

enum {
	PORT = 53,
	SERVERS_MAX = 8,
	BUCKETS = 256,         /* of questions, by id */
	SILENCE_MS = 4 * 1000, /* then the next server is asked */
	PAUSE_MS = 1000,       /* after a connection that could not be */
	MESSAGE_MAX = 65535,
	ANSWER_MEMORY = 4 << 20,
	ASKS_MAX = 1 << 15, /* at once: half of the ids there are */
};

struct stub {
	struct io *io;
	struct net_address servers[SERVERS_MAX];
	uint32_t server_count;
	uint32_t server; /* the one in use */
	struct io_stream stream;
	bool connecting, open;
	struct buf input;
	struct timer timer; /* of silence, or of a pause */
	struct list asks[BUCKETS];
	uint32_t ask_count;
	uint16_t last_id;
};

/* ---- the connection ---- */

static void connect_now(struct stub *s);

static void drop_connection(struct stub *s)
{
	if (s->open || s->connecting) io_close(&s->stream);
	s->open = s->connecting = false;
	buf_release(&s->input);
	io_timer_cancel(s->io, &s->timer);
}

/* This server does not do: the next, when there is something to ask.  */
static void next_server(struct stub *s, msec pause)
{
	drop_connection(s);
	s->server = (s->server + 1) % s->server_count;
	if (s->ask_count) io_timer_set(s->io, &s->timer, io_now(s->io) + pause);
}

static void timer_fired(struct timer *timer)
{
	struct stub *s = CONTAINER_OF(timer, struct stub, timer);
	if (s->ask_count == 0) return;
	if (s->open || s->connecting)
		next_server(s, 0);
	else
		connect_now(s);
}

static void send_ask(struct stub *s, const struct stub_ask *ask)
{
	struct buf out;
	buf_init(&out, 2 + 512);
	if (buf_reserve(&out, 2)) out.len = 2;
	bool ok = dns_question_add(&out, ask->id, str_from_c(ask->name), ask->type);
	if (ok) {
		out.ptr[0] = (char)((out.len - 2) >> 8);
		out.ptr[1] = (char)(out.len - 2);
		ok = io_send(&s->stream, buf_str(&out));
	}
	buf_release(&out);
	if (!ok)
		io_timer_set(
			s->io, &s->timer, io_now(s->io)); /* the stream is dead: soon another */
}

static void connected(struct io_stream *stream, int error)
{
	struct stub *s = CONTAINER_OF(stream, struct stub, stream);
	s->connecting = false;
	if (error) {
		next_server(s, PAUSE_MS);
		return;
	}
	s->open = true;
	io_read_on(stream);
	io_timer_set(s->io, &s->timer, io_now(s->io) + SILENCE_MS);
	for (size_t i = 0; i < BUCKETS; i++)
		LIST_EACH (&s->asks[i], node)
			send_ask(s, CONTAINER_OF(node, struct stub_ask, link));
}

/* Servers close what is idle (RFC 7766 6.2.3); what is asked meanwhile is asked again.  */
static void ended(struct io_stream *stream, int error)
{
	struct stub *s = CONTAINER_OF(stream, struct stub, stream);
	(void)error;
	drop_connection(s);
	if (s->ask_count) io_timer_set(s->io, &s->timer, io_now(s->io) + PAUSE_MS);
}

static struct stub_ask *find_ask(struct stub *s, uint16_t id)
{
	LIST_EACH (&s->asks[id % BUCKETS], node) {
		struct stub_ask *ask = CONTAINER_OF(node, struct stub_ask, link);
		if (ask->id == id) return ask;
	}
	return NULL;
}

static void take_message(struct stub *s, struct str message)
{
	if (message.len < 2) return;
	struct stub_ask *ask =
		find_ask(s, (uint16_t)((uint8_t)message.ptr[0] << 8 | (uint8_t)message.ptr[1]));
	struct arena arena;
	struct dns_answer answer;
	arena_init(&arena, ANSWER_MEMORY);
	if (ask && dns_answer_read(message, str_from_c(ask->name), ask->type, &arena, &answer)) {
		stub_cancel(ask);
		ask->answered(ask, &answer);
	}
	arena_release(&arena);
}

/* Each message is behind its length.  */
static void received(struct io_stream *stream, struct str octets)
{
	struct stub *s = CONTAINER_OF(stream, struct stub, stream);
	if (!buf_add(&s->input, octets)) {
		next_server(s, PAUSE_MS);
		return;
	}
	struct str rest = buf_str(&s->input);
	while (rest.len >= 2) {
		size_t len = (size_t)(uint8_t)rest.ptr[0] << 8 | (uint8_t)rest.ptr[1];
		if (rest.len - 2 < len) break;
		take_message(s, str_of(rest.ptr + 2, len));
		rest = str_skip(rest, 2 + len);
	}
	buf_consume(&s->input, s->input.len - rest.len);
	if (s->input.len == 0) buf_release(&s->input);
	io_timer_set(s->io, &s->timer, io_now(s->io) + SILENCE_MS);
}

/* Questions are short: what the system has not taken yet needs no care.  */
static void drained(struct io_stream *stream) { (void)stream; }

static void connect_now(struct stub *s)
{
	static const struct io_stream_events events = {
		.connected = connected, .received = received, .drained = drained, .ended = ended};
	int error = io_connect(s->io, &s->stream, &events, &s->servers[s->server], NULL);
	if (error) {
		next_server(s, PAUSE_MS);
		return;
	}
	s->connecting = true;
	io_timer_set(s->io, &s->timer, io_now(s->io) + SILENCE_MS);
}

/* ---- questions ---- */

bool stub_begin(struct stub *s, struct stub_ask *ask)
{
	if (s->ask_count == ASKS_MAX) return false;
	do ask->id = ++s->last_id;
	while (find_ask(s, ask->id));
	ask->stub = s;
	list_push_back(&s->asks[ask->id % BUCKETS], &ask->link);
	s->ask_count++;
	if (s->open) {
		if (s->ask_count == 1) io_timer_set(s->io, &s->timer, io_now(s->io) + SILENCE_MS);
		send_ask(s, ask);
	} else if (!s->connecting && !timer_is_set(&s->timer)) {
		connect_now(s);
	}
	return true;
}

void stub_cancel(struct stub_ask *ask)
{
	list_remove(&ask->link);
	ask->stub->ask_count--;
}

/* ---- life ---- */

/* "nameserver ADDRESS" lines of resolv.conf(5).  */
static void read_servers(struct stub *s)
{
	struct buf text;
	buf_init(&text, 1 << 16);
	(void)!io_file_load(s->io, "/etc/resolv.conf", &text);
	struct str rest = buf_str(&text), line, word;
	for (bool more = true; more && s->server_count < SERVERS_MAX;) {
		more = str_cut(&rest, '\n', &line);
		line = str_trim(line);
		if (!str_starts(line, STR("nameserver"))) continue;
		word = str_trim(str_skip(line, 10));
		struct net_address *to = &s->servers[s->server_count];
		if (net_parse(word, to)) to->port = PORT, s->server_count++;
	}
	buf_release(&text);
}

struct stub *stub_new(struct io *io, const struct net_address *servers, uint32_t count)
{
	struct stub *s = calloc(1, sizeof(*s));
	if (!s) return NULL;
	s->io = io;
	s->timer.fire = timer_fired;
	buf_init(&s->input, 2 * (MESSAGE_MAX + 2) + (1 << 20));
	for (size_t i = 0; i < BUCKETS; i++) list_init(&s->asks[i]);
	for (; s->server_count < count && s->server_count < SERVERS_MAX; s->server_count++) {
		s->servers[s->server_count] = servers[s->server_count];
		if (s->servers[s->server_count].port == 0) s->servers[s->server_count].port = PORT;
	}
	if (count == 0) read_servers(s);
	if (s->server_count > 0) return s;
	free(s);
	return NULL;
}

void stub_free(struct stub *s)
{
	if (!s) return;
	drop_connection(s);
	free(s);
}
