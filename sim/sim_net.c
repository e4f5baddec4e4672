#include "sim/sim_net_private.h"

#include <errno.h>

/* ---- life ---- */

static void arrive(struct sim_event *event);

void net_init(struct net *net, struct world *world, uint64_t seed)
{
	*net = (struct net){.world = world, .next_port = 1024};
	net->traits = (struct net_traits){.delay_us = 2000, .split = 0.2, .window = 64 << 10};
	rng_init(&net->rng, seed);
	list_init(&net->listeners);
}

static void free_conn(struct net_conn *conn)
{
	world_forget(conn->net->world, &conn->reaching);
	for (int i = 0; i < 2; i++) {
		list_remove(&conn->side[i].task.link);
		world_forget(conn->net->world, &conn->side[i].arrival);
		buf_release(&conn->side[i].pipe);
	}
	conn->net->conns[conn->number] = NULL;
	free(conn);
}

void net_free_bound(struct bound *b)
{
	for (struct list *node; (node = list_pop(&b->queue));)
		free(CONTAINER_OF(node, struct waiting, link));
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
	while (!list_empty(&net->listeners))
		net_free_bound(CONTAINER_OF(net->listeners.next, struct bound, link));
}

void net_heal(struct net *net)
{
	net->traits.reset = net->traits.cut = net->traits.slow = 0;
	net->fate = NULL;
}

void net_free_when_over(struct net_conn *conn)
{
	for (int i = 0; i < 2; i++) {
		const struct net_side *s = &conn->side[i];
		if (s->stream || s->waiting || !s->closed) return;
	}
	free_conn(conn);
}

struct net_conn *net_new_conn(struct net *net)
{
	struct net_conn *conn = calloc(1, sizeof *conn);
	ASSERT(conn);
	conn->net = net;
	for (int i = 0; i < 2; i++) {
		struct net_side *s = &conn->side[i];
		s->conn = conn;
		s->task.run = net_tell;
		s->arrival.fire = arrive;
		s->connect_error = -1;
		list_init(&s->task.link);
		buf_init(&s->pipe, PIPE_MAX);
	}
	if (net->conn_count == net->conn_room) {
		net->conns = reallocarray(net->conns,
			(size_t)(net->conn_room = net->conn_room * 2 + 64), sizeof *net->conns);
		ASSERT(net->conns);
		net->taken =
			reallocarray(net->taken, (size_t)net->conn_room * 2, sizeof *net->taken);
		ASSERT(net->taken);
	}
	memset(&net->taken[net->conn_count * 2], 0, 2 * sizeof *net->taken);
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

struct bound *net_find_bound(struct net *net, const struct net_address *address)
{
	LIST_EACH (&net->listeners, node) {
		struct bound *b = CONTAINER_OF(node, struct bound, link);
		if (same_address(&b->address, address)) return b;
	}
	return NULL;
}

/* ---- under way ---- */

void net_ready(struct net_side *s)
{
	if (s->io && s->stream) machine_ready(s->io, &s->task);
}

int64_t net_delay(struct net *net)
{
	int64_t us = sim_skewed(&net->rng, 1, net->traits.delay_us);
	return sim_chance(&net->rng, net->traits.slow) ? us * 100 : us;
}

static void send_on_way(struct net_side *to)
{
	if (heap_has(&to->arrival.node)) return;
	world_plan(to->conn->net->world, &to->arrival,
		to->conn->net->world->now_us + net_delay(to->conn->net));
}

void net_reset(struct net_side *s, int error)
{
	if (s->closed || s->reset) return;
	s->pipe.len = s->arrived;
	s->reset = error;
	s->conn->net->resets++;
	world_note(s->conn->net->world, "reset", (uint64_t)s->conn->number, (uint64_t)error);
	net_ready(s);
}

/* Octets that nobody reads are answered by a reset.  */
static void refuse_octets(struct net_side *s)
{
	s->pipe.len = s->arrived = 0;
	net_reset(net_other(s), ECONNRESET);
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
	net_reset(s, ECONNRESET);
	net_reset(net_other(s), ECONNRESET);
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
	if (n > 1 && sim_chance(&net->rng, net->traits.split))
		n = (size_t)sim_skewed(&net->rng, 1, (int64_t)n);
	s->arrived += n;
	net->octets += n;
	world_note(net->world, "arrives", (uint64_t)s->conn->number, n);
	if (s->closed && under_way > 0) return refuse_octets(s);
	if (n < under_way)
		send_on_way(s);
	else if (s->fin)
		s->fin_arrived = true;
	if (s->arrived > 0 || s->fin_arrived) net_ready(s);
}

size_t net_push(struct net_side *to, struct str octets)
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

void net_push_fin(struct net_side *to)
{
	to->fin = true;
	send_on_way(to);
}

void net_machine_gone(struct net *net, struct io *io)
{
	LIST_EACH_SAFE (&net->listeners, node) {
		struct bound *b = CONTAINER_OF(node, struct bound, link);
		if (b->io == io) net_free_bound(b);
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
				net_reset(net_other(s), ECONNRESET);
			else
				conn->silent = true;
			net_free_when_over(conn);
			conn = net->conns[i];
		}
	}
}

const struct net_taken *net_taken(const struct net *net, int conn, int side)
{
	return &net->taken[conn * 2 + side];
}

uint32_t net_connected(const struct net *net, const struct io *io, uint32_t host)
{
	uint32_t count = 0;
	for (int i = 0; i < net->conn_count; i++) {
		const struct net_conn *conn = net->conns[i];
		if (!conn || conn->side[0].io != io || !conn->side[0].stream ||
			conn->side[0].connect_error != 0)
			continue;
		if (conn->to.octets[0] == 10 && conn->to.octets[2] == host) count++;
	}
	return count;
}
