/* Streams of io.h.  A connection has two sides; what one sends lies in the pipe towards the other: first under way, then
 * arrived, then taken.  The descriptor of a stream is 2 * connection + side.  */
#include "sim/sim_net.h"

#include <errno.h>

/* stream.flags, as in src/io/stream.c.  The upper half holds the errno of a dead stream.  */
enum {
	READING = 1 << 0,
	CONNECTING = 1 << 1,
	SHUT = 1 << 2,
	FINISHED = 1 << 3,
	DEAD = 1 << 4,
	TOLD = 1 << 5,
	ERROR_SHIFT = 16,
};

enum {
	RECEIVE_MAX = 256 << 10,
	PIPE_MAX = 4 << 20,
	REFUSAL_MAX = 512,
	CONNECT_TIMEOUT_US = 127 * 1000 * 1000,
};

struct net_side {
	struct machine_task task;  /* something is to be told here */
	struct sim_event arrival;  /* of what is under way to here */
	struct net_conn *conn;
	struct io *io;             /* the machine; NULL: it is off */
	struct io_stream *stream;  /* NULL: not accepted yet, or closed */
	struct net_address address;
	struct buf pipe;           /* towards here: first what has arrived */
	size_t arrived;
	bool fin, fin_arrived;     /* the other side sends no more */
	int reset;                 /* errno, to be told */
	bool closed;               /* nobody will read here */
	bool waiting;              /* in a listener's queue */
	bool room;                 /* the other side has taken something: send on */
	int connect_error;         /* of a connect that ended; -1: none yet */
};

struct net_conn {
	struct net *net;
	int number;
	bool silent;               /* nothing arrives any more */
	struct net_side side[2];   /* who connected; who accepts */
	struct net_address to;
};

struct bound {
	struct machine_task task;
	struct list link;
	struct io *io;
	struct io_listener *listener;
	struct net_address address;
	char path[108];
	struct list queue;         /* of struct waiting */
};

struct waiting {
	struct list link;
	struct net_conn *conn;
};

/* ---- life ---- */

void net_init(struct net *net, struct world *world, uint64_t seed)
{
	*net = (struct net){.world = world, .next_port = 1024};
	net->traits = (struct net_traits){.delay_us = 2000, .split = 0.2, .window = 64 << 10};
	rng_init(&net->rng, seed);
	list_init(&net->listeners);
}

static void free_conn(struct net_conn *conn)
{
	for (int i = 0; i < 2; i++) {
		list_remove(&conn->side[i].task.link);
		world_forget(conn->net->world, &conn->side[i].arrival);
		buf_release(&conn->side[i].pipe);
	}
	conn->net->conns[conn->number] = NULL;
	free(conn);
}

static void free_bound(struct bound *b)
{
	for (struct list *node; (node = list_pop(&b->queue));) free(CONTAINER_OF(node, struct waiting, link));
	list_remove(&b->task.link);
	list_remove(&b->link);
	free(b);
}

void net_release(struct net *net)
{
	for (int i = 0; i < net->conn_count; i++)
		if (net->conns[i]) free_conn(net->conns[i]);
	free(net->conns);
	free(net->taken);
	while (!list_empty(&net->listeners)) free_bound(CONTAINER_OF(net->listeners.next, struct bound, link));
}

void net_heal(struct net *net)
{
	net->traits.reset = net->traits.cut = net->traits.slow = 0;
	net->fate = NULL;
}

static struct net_side *other(struct net_side *s) { return &s->conn->side[s == &s->conn->side[0]]; }

static struct net_side *side_of(const struct net *net, int fd)
{
	struct net_conn *conn = net->conns[fd / 2];
	return conn ? &conn->side[fd % 2] : NULL;
}

/* Nobody holds it any more, and nothing is to be told.  */
static void free_when_over(struct net_conn *conn)
{
	for (int i = 0; i < 2; i++) {
		const struct net_side *s = &conn->side[i];
		if (s->stream || s->waiting || !s->closed) return;
	}
	free_conn(conn);
}

/* ---- under way ---- */

static void tell(struct machine_task *task);
static void arrive(struct sim_event *event);

static void ready(struct net_side *s)
{
	if (s->io && s->stream) machine_ready(s->io, &s->task);
}

static int64_t delay(struct net *net)
{
	int64_t us = sim_skewed(&net->rng, 1, net->traits.delay_us);
	return sim_chance(&net->rng, net->traits.slow) ? us * 100 : us;
}

static void send_on_way(struct net_side *to)
{
	if (heap_has(&to->arrival.node)) return;
	world_plan(to->conn->net->world, &to->arrival, to->conn->net->world->now_us + delay(to->conn->net));
}

/* The stream ends at s with an error: what is still under way to it is lost.  */
static void reset_side(struct net_side *s, int error)
{
	if (s->closed || s->reset) return;
	s->pipe.len = s->arrived;
	s->reset = error;
	s->conn->net->resets++;
	world_note(s->conn->net->world, "reset", (uint64_t)s->conn->number, (uint64_t)error);
	ready(s);
}

/* Octets that nobody reads are answered by a reset.  */
static void refuse_octets(struct net_side *s)
{
	s->pipe.len = s->arrived = 0;
	reset_side(other(s), ECONNRESET);
}

static bool misfortune(struct net_side *s)
{
	struct net *net = s->conn->net;
	if (sim_chance(&net->rng, net->traits.cut)) {
		s->conn->silent = true;
		world_note(net->world, "cut", (uint64_t)s->conn->number, 0);
		return true;
	}
	if (!sim_chance(&net->rng, net->traits.reset)) return false;
	reset_side(s, ECONNRESET);
	reset_side(other(s), ECONNRESET);
	return true;
}

static void arrive(struct sim_event *event)
{
	struct net_side *s = CONTAINER_OF(event, struct net_side, arrival);
	struct net *net = s->conn->net;
	bool off = s->closed && !s->io;
	if (off || s->conn->silent || s->reset || misfortune(s)) return;
	size_t under_way = s->pipe.len - s->arrived;
	size_t n = under_way;
	if (n > 1 && sim_chance(&net->rng, net->traits.split)) n = (size_t)sim_skewed(&net->rng, 1, (int64_t)n);
	s->arrived += n;
	net->octets += n;
	world_note(net->world, "arrives", (uint64_t)s->conn->number, n);
	if (s->closed && under_way > 0) return refuse_octets(s);
	if (n < under_way)
		send_on_way(s);
	else if (s->fin)
		s->fin_arrived = true;
	if (s->arrived > 0 || s->fin_arrived) ready(s);
}

static size_t push(struct net_side *to, struct str octets)
{
	size_t room = to->conn->net->traits.window;
	room = to->pipe.len < room ? room - to->pipe.len : 0;
	struct str some = str_head(octets, room);
	if (some.len == 0) return 0;
	bool kept = buf_add(&to->pipe, some);
	ASSERT(kept);
	send_on_way(to);
	return some.len;
}

static void push_fin(struct net_side *to)
{
	to->fin = true;
	send_on_way(to);
}

/* ---- opening ---- */

static void stream_init(struct io *io, struct io_stream *s, const struct io_stream_events *events, int fd, uint32_t flags)
{
	*s = (struct io_stream){.events = events, .io = io, .fd = fd, .flags = flags};
	buf_init(&s->out, IO_OUT_MAX);
	list_init(&s->link);
}

static struct net_conn *new_conn(struct net *net)
{
	struct net_conn *conn = calloc(1, sizeof *conn);
	ASSERT(conn);
	conn->net = net;
	for (int i = 0; i < 2; i++) {
		struct net_side *s = &conn->side[i];
		s->conn = conn;
		s->task.run = tell;
		s->arrival.fire = arrive;
		s->connect_error = -1;
		list_init(&s->task.link);
		buf_init(&s->pipe, PIPE_MAX);
	}
	if (net->conn_count == net->conn_room) {
		net->conns = reallocarray(net->conns, (size_t)(net->conn_room = net->conn_room * 2 + 64), sizeof *net->conns);
		ASSERT(net->conns);
		net->taken = reallocarray(net->taken, (size_t)net->conn_room * 2, sizeof *net->taken);
		ASSERT(net->taken);
	}
	net->taken[net->conn_count * 2] = net->taken[net->conn_count * 2 + 1] = 0;
	conn->number = net->conn_count++;
	net->conns[conn->number] = conn;
	return conn;
}

static bool same_address(const struct net_address *a, const struct net_address *b)
{
	if (a->family != b->family) return false;
	if (a->family == NET_UNIX) return !strcmp(a->path, b->path);
	return a->port == b->port && net_same_host(a, b);
}

static struct bound *find_bound(struct net *net, const struct net_address *address)
{
	LIST_EACH (&net->listeners, node) {
		struct bound *b = CONTAINER_OF(node, struct bound, link);
		if (same_address(&b->address, address)) return b;
	}
	return NULL;
}

static void connect_ends(struct net_conn *conn, int error)
{
	conn->side[0].connect_error = error;
	ready(&conn->side[0]);
}

/* The first packet reaches the host: the connection stands when somebody listens.  */
static void reach_host(struct sim_event *event)
{
	struct net_side *to = CONTAINER_OF(event, struct net_side, arrival);
	struct net_conn *conn = to->conn;
	to->arrival.fire = arrive;
	if (!conn->side[0].stream) return;
	struct bound *b = find_bound(conn->net, &conn->to);
	if (!b) return connect_ends(conn, ECONNREFUSED);
	struct waiting *w = calloc(1, sizeof *w);
	ASSERT(w);
	w->conn = conn;
	to->io = b->io;
	to->address = conn->to;
	to->waiting = true;
	list_push_back(&b->queue, &w->link);
	machine_ready(b->io, &b->task);
	connect_ends(conn, 0);
}

static void reach_nobody(struct sim_event *event)
{
	struct net_side *to = CONTAINER_OF(event, struct net_side, arrival);
	to->arrival.fire = arrive;
	connect_ends(to->conn, ETIMEDOUT);
}

static void be_unreachable(struct sim_event *event)
{
	struct net_side *to = CONTAINER_OF(event, struct net_side, arrival);
	to->arrival.fire = arrive;
	connect_ends(to->conn, EHOSTUNREACH);
}

static void be_refused(struct sim_event *event)
{
	struct net_side *to = CONTAINER_OF(event, struct net_side, arrival);
	to->arrival.fire = arrive;
	connect_ends(to->conn, ECONNREFUSED);
}

int io_connect(struct io *io, struct io_stream *s, const struct io_stream_events *events, const struct net_address *remote,
	const struct net_address *local)
{
	struct net *net = io->net;
	stream_init(io, s, events, -1, CONNECTING);
	if (io->dead) return -EIO;
	struct net_conn *conn = new_conn(net);
	net->connects++;
	conn->to = *remote;
	struct net_side *from = &conn->side[0], *to = &conn->side[1];
	from->io = io;
	from->stream = s;
	from->address = local ? *local : io->address;
	from->address.port = net->next_port++;
	if (net->next_port == 0) net->next_port = 1024;
	to->closed = false;
	s->fd = conn->number * 2;
	world_note(net->world, "connect", (uint64_t)conn->number, remote->port);
	enum host_fate fate = net->fate ? net->fate(net->context, &from->address, remote) : HOST_THERE;
	static void (*const fates[])(struct sim_event *) = {
		[HOST_THERE] = reach_host, [HOST_REFUSES] = be_refused, [HOST_UNREACHABLE] = be_unreachable, [HOST_SILENT] = reach_nobody};
	to->arrival.fire = fates[fate];
	int64_t us = fate == HOST_SILENT ? CONNECT_TIMEOUT_US : delay(net);
	world_plan(net->world, &to->arrival, net->world->now_us + us);
	return 0;
}

int io_accept(struct io *io, struct io_stream *s, const struct io_stream_events *events, const struct io_accepted *accepted)
{
	stream_init(io, s, events, accepted->fd, 0);
	struct net_side *side = side_of(io->net, accepted->fd);
	ASSERT(side && !side->stream);
	side->stream = s;
	if (side->arrived > 0 || side->fin_arrived || side->reset) ready(side);
	return 0;
}

/* ---- closing ---- */

/* The stream's memory is no longer ours to touch.  */
static void leave(struct net_side *s, bool hard)
{
	struct net_side *peer = other(s);
	bool unread = s->pipe.len > 0;
	s->stream = NULL;
	s->closed = true;
	s->waiting = false;
	list_remove(&s->task.link);
	if (s->conn->side[0].connect_error != 0) {
		/* it was never a connection */
		peer->closed = true;
		world_forget(s->conn->net->world, &peer->arrival);
	} else if (!s->reset && !s->conn->silent) {
		if (hard || unread)
			reset_side(peer, ECONNRESET);
		else if (!peer->fin)
			push_fin(peer);
	}
	free_when_over(s->conn);
}

static void close_stream(struct io_stream *s, bool hard)
{
	if (!io_is_open(s)) return;
	struct net_side *side = side_of(s->io->net, s->fd);
	buf_release(&s->out);
	s->fd = -1;
	if (side && side->stream == s) leave(side, hard);
}

void io_close(struct io_stream *s) { close_stream(s, false); }
void io_abort(struct io_stream *s) { close_stream(s, true); }

void net_machine_gone(struct net *net, struct io *io)
{
	LIST_EACH_SAFE (&net->listeners, node) {
		struct bound *b = CONTAINER_OF(node, struct bound, link);
		if (b->io == io) free_bound(b);
	}
	for (int i = 0; i < net->conn_count; i++) {
		struct net_conn *conn = net->conns[i];
		for (int k = 0; conn && k < 2; k++) {
			struct net_side *s = &conn->side[k];
			if (s->io != io) continue;
			s->io = NULL;
			s->stream = NULL;
			s->closed = true;
			s->waiting = false;
			list_remove(&s->task.link);
			if (sim_chance(&net->rng, 0.5))
				reset_side(other(s), ECONNRESET);
			else
				conn->silent = true;
			free_when_over(conn);
			conn = net->conns[i];
		}
	}
}

uint64_t net_taken(const struct net *net, int conn, int side) { return net->taken[conn * 2 + side]; }

uint32_t net_connected(const struct net *net, const struct io *io, uint32_t host)
{
	uint32_t count = 0;
	for (int i = 0; i < net->conn_count; i++) {
		const struct net_conn *conn = net->conns[i];
		if (!conn || conn->side[0].io != io || !conn->side[0].stream || conn->side[0].connect_error != 0) continue;
		if (conn->to.octets[0] == 10 && conn->to.octets[2] == host) count++;
	}
	return count;
}

void io_local_address(const struct io_stream *s, struct net_address *ret_address)
{
	const struct net_side *side = side_of(s->io->net, s->fd);
	*ret_address = side ? side->address : (struct net_address){0};
}

/* ---- reading and sending ---- */

static struct net_side *live_side(const struct io_stream *s)
{
	struct net_side *side = s->fd >= 0 ? side_of(s->io->net, s->fd) : NULL;
	return side && side->stream == s ? side : NULL;
}

void io_read_on(struct io_stream *s)
{
	s->flags |= READING;
	struct net_side *side = live_side(s);
	if (side && (side->arrived > 0 || side->fin_arrived || side->reset)) ready(side);
}

void io_read_off(struct io_stream *s) { s->flags &= ~(uint32_t)READING; }

static void fall(struct io_stream *s, struct net_side *side, int error)
{
	buf_release(&s->out);
	s->flags |= DEAD | (uint32_t)error << ERROR_SHIFT;
	ready(side);
}

bool io_send(struct io_stream *s, struct str octets)
{
	struct net_side *side = live_side(s);
	if (!side || s->io->dead || s->flags & (DEAD | SHUT)) return false;
	if (s->out.len + octets.len > IO_OUT_MAX) return false;
	if (octets.len == 0) return true;
	if (side->reset) {
		fall(s, side, EPIPE);
		return false;
	}
	size_t sent = 0;
	if (s->out.len == 0 && !(s->flags & CONNECTING)) sent = push(other(side), octets);
	if (sent == octets.len) return true;
	bool kept = buf_add(&s->out, str_skip(octets, sent));
	ASSERT(kept);
	return true;
}

void io_shut(struct io_stream *s)
{
	struct net_side *side = live_side(s);
	if (!side || s->flags & (SHUT | DEAD)) return;
	s->flags |= SHUT;
	if (s->out.len == 0 && !(s->flags & CONNECTING)) push_fin(other(side));
}

/* ---- in the loop of the machine ---- */

static void tell_connected(struct net_side *side)
{
	struct io_stream *s = side->stream;
	int error = side->connect_error;
	if (error) {
		io_close(s);
		s->events->connected(s, error);
		return;
	}
	s->flags &= ~(uint32_t)CONNECTING;
	side->room = true; /* what was given to be sent meanwhile */
	ready(side);
	s->events->connected(s, 0);
}

static void tell_room(struct net_side *side)
{
	struct io_stream *s = side->stream;
	side->room = false;
	ready(side);
	if (s->out.len == 0) {
		if (s->flags & SHUT && !other(side)->fin) push_fin(other(side));
		return;
	}
	buf_consume(&s->out, push(other(side), buf_str(&s->out)));
	if (s->out.len > 0) return;
	buf_release(&s->out);
	buf_init(&s->out, IO_OUT_MAX);
	if (s->flags & SHUT) push_fin(other(side));
	s->events->drained(s);
}

static void tell_octets(struct net_side *side)
{
	struct io_stream *s = side->stream;
	struct net_side *peer = other(side);
	size_t n = side->arrived < RECEIVE_MAX ? side->arrived : RECEIVE_MAX;
	if (n > 1 && sim_chance(&side->conn->net->rng, side->conn->net->traits.split))
		n = (size_t)sim_skewed(&side->conn->net->rng, 1, (int64_t)n);
	char *octets = malloc(n);
	ASSERT(octets);
	memcpy(octets, side->pipe.ptr, n);
	buf_consume(&side->pipe, n);
	side->arrived -= n;
	side->conn->net->taken[s->fd] += n;
	if (peer->stream && (peer->stream->out.len > 0)) {
		peer->room = true;
		ready(peer);
	}
	ready(side);
	s->events->received(s, str_of(octets, n));
	free(octets);
}

/* One thing at a time, as the loop on Linux; what follows comes in the next wake-up.  */
static void tell(struct machine_task *task)
{
	struct net_side *side = CONTAINER_OF(task, struct net_side, task);
	struct io_stream *s = side->stream;
	if (!s) return;
	if (s->flags & CONNECTING) {
		if (side->connect_error >= 0) tell_connected(side);
		return;
	}
	if (side->room && !side->reset && !(s->flags & DEAD)) return tell_room(side);
	if (side->reset && !(s->flags & DEAD)) fall(s, side, side->reset);
	if (side->arrived > 0 && s->flags & READING && !(s->flags & FINISHED)) return tell_octets(side);
	if (s->flags & DEAD) {
		if (s->flags & TOLD) return;
		s->flags |= TOLD;
		s->events->ended(s, (int)(s->flags >> ERROR_SHIFT));
		return;
	}
	if (side->fin_arrived && side->arrived == 0 && s->flags & READING && !(s->flags & FINISHED)) {
		s->flags |= FINISHED;
		s->events->ended(s, 0);
	}
}

/* ---- listeners ---- */

static void tell_accepted(struct machine_task *task)
{
	struct bound *b = CONTAINER_OF(task, struct bound, task);
	struct list *node = list_pop(&b->queue);
	if (!node) return;
	if (!list_empty(&b->queue)) machine_ready(b->io, &b->task);
	struct waiting *w = CONTAINER_OF(node, struct waiting, link);
	struct net_side *side = &w->conn->side[1];
	struct io_accepted accepted = {.fd = w->conn->number * 2 + 1, .peer = w->conn->side[0].address};
	side->waiting = false;
	free(w);
	b->listener->accepted(b->listener, &accepted);
}

int io_listen(struct io *io, struct io_listener *l, const struct net_address *address, struct net_address *ret_bound)
{
	l->io = io;
	l->fd = -1;
	list_init(&l->link);
	if (io->dead) return -EIO;
	if (find_bound(io->net, address)) return -EADDRINUSE;
	struct bound *b = calloc(1, sizeof *b);
	ASSERT(b);
	*b = (struct bound){.task.run = tell_accepted, .io = io, .listener = l, .address = *address};
	if (address->family == NET_UNIX) {
		snprintf(b->path, sizeof b->path, "%s", address->path);
		b->address.path = b->path;
	}
	list_init(&b->task.link);
	list_init(&b->queue);
	list_push_back(&io->net->listeners, &b->link);
	l->fd = 1;
	if (ret_bound) *ret_bound = *address;
	return 0;
}

void io_listener_close(struct io_listener *l)
{
	if (!l->io || l->fd < 0) return;
	l->fd = -1;
	LIST_EACH_SAFE (&l->io->net->listeners, node) {
		struct bound *b = CONTAINER_OF(node, struct bound, link);
		if (b->listener != l) continue;
		LIST_EACH_SAFE (&b->queue, waits) {
			struct waiting *w = CONTAINER_OF(waits, struct waiting, link);
			struct net_side *side = &w->conn->side[1];
			leave(side, true);
		}
		free_bound(b);
	}
}

void io_refuse(struct io *io, const struct io_accepted *accepted, struct str octets)
{
	struct net_side *side = side_of(io->net, accepted->fd);
	ASSERT(side && !side->stream);
	(void)push(other(side), str_head(octets, REFUSAL_MAX));
	leave(side, false);
}
