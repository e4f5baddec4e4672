/* Streams and listeners of io.h, as src/io/ has them on Linux.  */
#include "sim/sim_net_private.h"

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
	REFUSAL_MAX = 512,
	CONNECT_TIMEOUT_US = 127 * 1000 * 1000,
};

/* ---- opening ---- */

static void stream_init(struct io *io, struct io_stream *s, const struct io_stream_events *events,
	int fd, uint32_t flags)
{
	*s = (struct io_stream){.events = events, .io = io, .fd = fd, .flags = flags};
	buf_init(&s->out, IO_OUT_MAX);
	list_init(&s->link);
}

static void connect_ends(struct net_conn *conn, int error)
{
	conn->side[0].connect_error = error;
	net_ready(&conn->side[0]);
}

/* The first packet has reached the host: the connection stands when somebody listens.  */
static void enter_queue(struct net_conn *conn, struct bound *b)
{
	struct net_side *to = &conn->side[1];
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

static void reach_host(struct sim_event *event)
{
	static const int errors[] = {[HOST_REFUSES] = ECONNREFUSED,
		[HOST_UNREACHABLE] = EHOSTUNREACH,
		[HOST_SILENT] = ETIMEDOUT};
	struct net_conn *conn = CONTAINER_OF(event, struct net_conn, reaching);
	struct bound *b = conn->fate == HOST_THERE ? net_find_bound(conn->net, &conn->to) : NULL;
	if (b)
		enter_queue(conn, b);
	else
		connect_ends(conn, conn->fate == HOST_THERE ? ECONNREFUSED : errors[conn->fate]);
}

int io_connect(struct io *io, struct io_stream *s, const struct io_stream_events *events,
	const struct net_address *remote, const struct net_address *local)
{
	struct net *net = io->net;
	stream_init(io, s, events, -1, CONNECTING);
	if (io->dead) return -EIO;
	struct net_conn *conn = net_new_conn(net);
	net->connects++;
	conn->to = *remote;
	struct net_side *from = &conn->side[0];
	from->io = io;
	from->stream = s;
	from->address = local ? *local : io->address;
	from->address.port = net->next_port++;
	if (net->next_port == 0) net->next_port = 1024;
	s->fd = conn->number * 2;
	world_note(net->world, "connect", (uint64_t)conn->number, remote->port);
	conn->fate = net->fate ? net->fate(net->context, &from->address, remote) : HOST_THERE;
	conn->reaching.fire = reach_host;
	int64_t us = conn->fate == HOST_SILENT ? CONNECT_TIMEOUT_US : net_delay(net);
	world_plan(net->world, &conn->reaching, net->world->now_us + us);
	return 0;
}

int io_accept(struct io *io, struct io_stream *s, const struct io_stream_events *events,
	const struct io_accepted *accepted)
{
	stream_init(io, s, events, accepted->fd, 0);
	struct net_side *side = net_side_of(io->net, accepted->fd);
	ASSERT(side && !side->stream);
	side->stream = s;
	if (side->arrived > 0 || side->fin_arrived || side->reset) net_ready(side);
	return 0;
}

/* ---- closing ---- */

/* The stream's memory is no longer ours to touch.  */
static void leave(struct net_side *s, bool hard)
{
	struct net_side *peer = net_other(s);
	bool unread = s->pipe.len > 0;
	s->stream = NULL;
	s->closed = true;
	s->waiting = false;
	list_remove(&s->task.link);
	if (s->conn->side[0].connect_error != 0) {
		/* it was never a connection */
		peer->closed = true;
		world_forget(s->conn->net->world, &s->conn->reaching);
	} else if (!s->reset && !s->conn->silent) {
		if (hard || unread)
			net_reset(peer, ECONNRESET);
		else if (!peer->fin)
			net_push_fin(peer);
	}
	net_free_when_over(s->conn);
}

static void close_stream(struct io_stream *s, bool hard)
{
	if (!io_is_open(s)) return;
	struct net_side *side = net_side_of(s->io->net, s->fd);
	buf_release(&s->out);
	s->fd = -1;
	if (side && side->stream == s) leave(side, hard);
}

void io_close(struct io_stream *s) { close_stream(s, false); }
void io_abort(struct io_stream *s) { close_stream(s, true); }

void io_local_address(const struct io_stream *s, struct net_address *ret_address)
{
	const struct net_side *side = net_side_of(s->io->net, s->fd);
	*ret_address = side ? side->address : (struct net_address){0};
}

/* ---- reading and sending ---- */

static struct net_side *live_side(const struct io_stream *s)
{
	struct net_side *side = s->fd >= 0 ? net_side_of(s->io->net, s->fd) : NULL;
	return side && side->stream == s ? side : NULL;
}

void io_read_on(struct io_stream *s)
{
	s->flags |= READING;
	struct net_side *side = live_side(s);
	if (side && (side->arrived > 0 || side->fin_arrived || side->reset)) net_ready(side);
}

void io_read_off(struct io_stream *s) { s->flags &= ~(uint32_t)READING; }

static void fall(struct io_stream *s, struct net_side *side, int error)
{
	buf_release(&s->out);
	s->flags |= DEAD | (uint32_t)error << ERROR_SHIFT;
	net_ready(side);
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
	if (s->out.len == 0 && !(s->flags & CONNECTING)) sent = net_push(net_other(side), octets);
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
	if (s->out.len == 0 && !(s->flags & CONNECTING)) net_push_fin(net_other(side));
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
	net_ready(side);
	s->events->connected(s, 0);
}

static void tell_room(struct net_side *side)
{
	struct io_stream *s = side->stream;
	side->room = false;
	net_ready(side);
	if (s->out.len == 0) {
		if (s->flags & SHUT && !net_other(side)->fin) net_push_fin(net_other(side));
		return;
	}
	buf_consume(&s->out, net_push(net_other(side), buf_str(&s->out)));
	if (s->out.len > 0) return;
	buf_release(&s->out);
	buf_init(&s->out, IO_OUT_MAX);
	if (s->flags & SHUT) net_push_fin(net_other(side));
	s->events->drained(s);
}

static void tell_octets(struct net_side *side)
{
	struct io_stream *s = side->stream;
	struct net_side *peer = net_other(side);
	size_t n = side->arrived < RECEIVE_MAX ? side->arrived : RECEIVE_MAX;
	if (n > 1 && sim_chance(&side->conn->net->rng, side->conn->net->traits.split))
		n = (size_t)sim_skewed(&side->conn->net->rng, 1, (int64_t)n);
	char *octets = malloc(n);
	ASSERT(octets);
	memcpy(octets, side->pipe.ptr, n);
	buf_consume(&side->pipe, n);
	side->arrived -= n;
	struct net *net = side->conn->net;
	net->taken[s->fd].octets += n;
	net->taken[s->fd].at_us = net->world->now_us;
	if (peer->stream && (peer->stream->out.len > 0)) {
		peer->room = true;
		net_ready(peer);
	}
	net_ready(side);
	s->events->received(s, str_of(octets, n));
	free(octets);
}

/* One thing at a time, as the loop on Linux; what follows comes in the next wake-up.  */
void net_tell(struct machine_task *task)
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
	if (side->arrived > 0 && s->flags & READING && !(s->flags & FINISHED))
		return tell_octets(side);
	if (s->flags & DEAD) {
		if (s->flags & TOLD) return;
		s->flags |= TOLD;
		s->events->ended(s, (int)(s->flags >> ERROR_SHIFT));
		return;
	}
	if (side->fin_arrived && side->arrived == 0 && s->flags & READING &&
		!(s->flags & FINISHED)) {
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
	struct io_accepted accepted = {
		.fd = w->conn->number * 2 + 1, .peer = w->conn->side[0].address};
	side->waiting = false;
	free(w);
	b->listener->accepted(b->listener, &accepted);
}

int io_listen(struct io *io, struct io_listener *l, const struct net_address *address,
	struct net_address *ret_bound)
{
	l->io = io;
	l->fd = -1;
	list_init(&l->link);
	if (io->dead) return -EIO;
	if (net_find_bound(io->net, address)) return -EADDRINUSE;
	struct bound *b = calloc(1, sizeof *b);
	ASSERT(b);
	*b = (struct bound){
		.task.run = tell_accepted, .io = io, .listener = l, .address = *address};
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
		net_free_bound(b);
	}
}

void io_refuse(struct io *io, const struct io_accepted *accepted, struct str octets)
{
	struct net_side *side = net_side_of(io->net, accepted->fd);
	ASSERT(side && !side->stream);
	(void)net_push(net_other(side), str_head(octets, REFUSAL_MAX));
	leave(side, false);
}
