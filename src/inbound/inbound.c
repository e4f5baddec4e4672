/* Listeners and the configuration in office; counting and stopping.  */
#include "inbound/parts.h"

#include <errno.h>

enum {
	STARVED_AGAIN_MS = 60 * 1000,
	SPARE_SESSIONS = 64,
	SPARE_TRANSACTIONS = 64,
	GUESSERS_MAX = 64 * 1024,
};

struct inbound *inbound_new(const struct inbound_parts *parts, uint64_t seed)
{
	struct inbound *in = calloc(1, sizeof *in);
	if (!in) return NULL;
	in->parts = *parts;
	list_init(&in->sockets);
	list_init(&in->sessions);
	list_init(&in->orphans);
	connections_init(&in->counts, seed);
	guard_init(&in->guard, GUESSERS_MAX, seed);
	pool_init(&in->session_pool, sizeof(struct session), SIZE_MAX, SPARE_SESSIONS);
	pool_init(&in->transaction_pool, sizeof(struct transaction), SIZE_MAX, SPARE_TRANSACTIONS);
	return in;
}

/* ---- offices ---- */

void office_leave(struct office *office)
{
	if (--office->users > 0) return;
	tls_context_release(office->rules.tls);
	if (office->rules.release) office->rules.release(office->rules.owner);
	free(office->smtp);
	free(office);
}

static struct office *office_new(const struct inbound_rules *rules)
{
	struct office *office = calloc(1, sizeof *office);
	struct smtp_server_config *smtp =
		calloc(rules->listener_count ? rules->listener_count : 1, sizeof *smtp);
	if (!office || !smtp) {
		free(office);
		free(smtp);
		return NULL;
	}
	*office = (struct office){.rules = *rules, .smtp = smtp, .users = 1};
	for (uint32_t i = 0; i < rules->listener_count; i++) {
		const struct listener_options *l = &rules->listeners[i];
		bool login = l->submission && rules->accounts;
		smtp[i] = (struct smtp_server_config){
			.hostname = rules->hostname,
			.words = l->words,
			.data_end = l->data_end,
			.normalize = l->normalize,
			.submission = l->submission,
			.auth_tls = login ? STR(SASL_MECHANISMS) : STR_NONE,
			.auth_bound = login ? STR(SASL_MECHANISMS_BOUND) : STR_NONE,
			.offer_starttls =
				l->tls == LISTENER_TLS_STARTTLS || l->tls == LISTENER_TLS_REQUIRED,
			.tls_required = l->tls == LISTENER_TLS_REQUIRED,
			.message_max = rules->message_max,
			.recipients_max = rules->recipients_max,
			.errors_max = rules->errors_max,
			.timeout = rules->timeout,
			.hold_max = rules->hold,
		};
	}
	return office;
}

/* ---- listeners ---- */

void inbound_refused(struct inbound *in, const struct net_address *client)
{
	if (in->stats.refused_connections++ % 1000) return; /* a flood must not fill the log too */
	struct log *log = in->parts.log;
	log_begin(log, LOG_WARN, STR_NONE, "connection-refused");
	char text[80];
	struct buf b = {.ptr = text, .cap = sizeof text, .max = sizeof text};
	net_add(&b, client);
	log_str(log, "client", buf_str(&b));
	log_i64(log, "refused", (int64_t)in->stats.refused_connections);
	log_end(log);
}

/* A load balancer is nobody's connection until its header has told whose.  */
static struct net_address count_as(const struct socket *socket, const struct net_address *peer)
{
	const struct inbound_rules *rules = &socket->inbound->office->rules;
	bool proxied = access_allows(&rules->listeners[socket->listener_index].proxy_from, peer);
	return proxied ? (struct net_address){.family = NET_NONE} : *peer;
}

static void accepted(struct io_listener *listener, const struct io_accepted *accepted)
{
	struct socket *socket = CONTAINER_OF(listener, struct socket, listener);
	struct inbound *in = socket->inbound;
	struct net_address counted = count_as(socket, &accepted->peer);
	in->stats.connections++;
	switch (connections_enter(&in->counts, &counted)) {
	case CONNECTION_WELCOME: session_begin(in, socket, accepted, &counted); return;
	case CONNECTION_TOO_MANY:
		io_refuse(in->parts.io, accepted, STR("421 4.3.2 Error: too many connections\r\n"));
		break;
	case CONNECTION_TOO_MANY_OF_CLIENT:
		io_refuse(in->parts.io, accepted,
			STR("421 4.7.0 Error: too many connections from your address\r\n"));
		break;
	}
	inbound_refused(in, &accepted->peer);
}

static void starved(struct io_listener *listener, int error)
{
	struct socket *socket = CONTAINER_OF(listener, struct socket, listener);
	struct inbound *in = socket->inbound;
	msec now = io_now(in->parts.io);
	if (in->starved_told && now - in->starved_told < STARVED_AGAIN_MS) return;
	in->starved_told = now;
	struct log *log = in->parts.log;
	log_begin(log, LOG_WARN, STR_NONE, "accept-paused");
	log_str(log, "why", str_from_c(strerror(error)));
	log_end(log);
}

static void socket_close(struct socket *socket)
{
	io_listener_close(&socket->listener);
	list_remove(&socket->link);
	free(socket);
}

static void close_all(struct list *sockets)
{
	while (!list_empty(sockets)) socket_close(CONTAINER_OF(sockets->next, struct socket, link));
}

static struct socket *socket_open(
	struct inbound *in, const struct net_address *address, int *ret_error)
{
	struct socket *socket = calloc(1, sizeof *socket);
	*ret_error = -ENOMEM;
	if (!socket) return NULL;
	list_init(&socket->link);
	socket->inbound = in;
	socket->address = *address;
	socket->listener.accepted = accepted;
	socket->listener.starved = starved;
	*ret_error = io_listen(in->parts.io, &socket->listener, address, &socket->bound);
	if (*ret_error == 0) return socket;
	free(socket);
	return NULL;
}

static struct socket *socket_find(const struct list *sockets, const struct net_address *address)
{
	LIST_EACH (sockets, node) {
		struct socket *socket = CONTAINER_OF(node, struct socket, link);
		if (socket->address.port == address->port &&
			socket->address.family == address->family &&
			net_same_host(&socket->address, address))
			return socket;
	}
	return NULL;
}

static void explain_bind(struct buf *why, const struct listener_options *l,
	const struct net_address *address, int error)
{
	buf_printf(why, "listen " STR_FMT ": cannot listen on ", STR_ARG(l->name));
	net_add_port(why, address);
	buf_printf(why, ": %s", strerror(-error));
	if (error == -EADDRINUSE)
		buf_add(why,
			STR(": another program has this port; stop it, or listen on another one"));
	if (error == -EACCES)
		buf_add(why, STR(": ports under 1024 need root, or CAP_NET_BIND_SERVICE"));
}

static void move(struct socket *socket, struct list *to)
{
	list_remove(&socket->link);
	list_push_back(to, &socket->link);
}

static void move_all(struct list *from, struct list *to)
{
	for (struct list *node; (node = list_pop(from));) list_push_back(to, node);
}

/* Those of the open ones that stay.  */
static void keep_open(struct inbound *in, const struct inbound_rules *rules, struct list *kept)
{
	for (uint32_t i = 0; i < rules->listener_count; i++)
		for (uint32_t j = 0; j < rules->listeners[i].bind_count; j++) {
			struct socket *socket =
				socket_find(&in->sockets, &rules->listeners[i].binds[j]);
			if (socket) move(socket, kept);
		}
}

/* 0.0.0.0:25 and 127.0.0.1:25 cannot both be open: those that are to go anyway make way.  */
static bool make_way(struct inbound *in, const struct net_address *address, struct list *shut)
{
	bool any = false;
	LIST_EACH_SAFE (&in->sockets, node) {
		struct socket *socket = CONTAINER_OF(node, struct socket, link);
		if (socket->address.family != address->family ||
			socket->address.port != address->port)
			continue;
		io_listener_close(&socket->listener);
		move(socket, shut);
		any = true;
	}
	return any;
}

static struct socket *open_one(
	struct inbound *in, const struct net_address *address, struct list *shut, int *ret_error)
{
	struct socket *socket = socket_open(in, address, ret_error);
	if (socket || *ret_error != -EADDRINUSE || !make_way(in, address, shut)) return socket;
	return socket_open(in, address, ret_error);
}

/* Open what is not open yet, into `fresh`; in->sockets are those that are to go.  */
static bool open_fresh(struct inbound *in, const struct inbound_rules *rules,
	const struct list *kept, struct list *fresh, struct list *shut, struct buf *why)
{
	for (uint32_t i = 0; i < rules->listener_count; i++) {
		const struct listener_options *l = &rules->listeners[i];
		for (uint32_t j = 0; j < l->bind_count; j++) {
			int error = 0;
			if (socket_find(kept, &l->binds[j])) continue;
			struct socket *socket = open_one(in, &l->binds[j], shut, &error);
			if (!socket) {
				explain_bind(why, l, &l->binds[j], error);
				return false;
			}
			move(socket, fresh);
		}
	}
	return true;
}

/* Those that made way for nothing are opened again.  */
static void open_again(struct inbound *in, struct list *shut)
{
	for (struct list *node; (node = list_pop(shut));) {
		struct socket *socket = CONTAINER_OF(node, struct socket, link);
		list_push_back(&in->sockets, node);
		int error = io_listen(
			in->parts.io, &socket->listener, &socket->address, &socket->bound);
		if (!error) continue;
		struct log *log = in->parts.log;
		log_begin(log, LOG_ERROR, STR_NONE, "listener-lost");
		log_str(log, "why", str_from_c(strerror(-error)));
		log_end(log);
		socket_close(socket);
	}
}

/* Which listener each socket belongs to under these rules.  */
static void number_sockets(struct inbound *in, const struct inbound_rules *rules)
{
	for (uint32_t i = 0; i < rules->listener_count; i++)
		for (uint32_t j = 0; j < rules->listeners[i].bind_count; j++) {
			struct socket *socket =
				socket_find(&in->sockets, &rules->listeners[i].binds[j]);
			if (socket) socket->listener_index = i;
		}
}

bool inbound_configure(struct inbound *in, const struct inbound_rules *rules, struct buf *ret_why)
{
	struct office *office = secure_ready(in, rules) ? office_new(rules) : NULL;
	if (!office) {
		buf_add(ret_why, STR("out of memory"));
		return false;
	}
	struct list fresh, kept, shut;
	list_init(&fresh);
	list_init(&kept);
	list_init(&shut);
	keep_open(in, rules, &kept);
	if (!open_fresh(in, rules, &kept, &fresh, &shut, ret_why)) {
		close_all(&fresh);
		open_again(in, &shut);
		move_all(&kept, &in->sockets);
		free(office->smtp);
		free(office);
		return false;
	}
	close_all(&shut);
	close_all(&in->sockets);
	move_all(&kept, &in->sockets);
	move_all(&fresh, &in->sockets);
	if (rules->tls) tls_context_hold(rules->tls);
	number_sockets(in, rules);
	in->counts.max_total = rules->connections;
	in->counts.max_client = rules->connections_per_client;
	in->guard.options = rules->guard;
	struct office *before = in->office;
	in->office = office;
	if (before) office_leave(before);
	return true;
}

void inbound_use_tls(struct inbound *in, struct tls_context *context)
{
	struct inbound_rules *rules = &in->office->rules;
	tls_context_release(rules->tls);
	rules->tls = tls_context_hold(context);
}

uint32_t inbound_listening(const struct inbound *in, struct net_address *ret, uint32_t max)
{
	uint32_t count = 0;
	LIST_EACH (&in->sockets, node) {
		if (count == max) break;
		ret[count++] = CONTAINER_OF(node, struct socket, link)->bound;
	}
	return count;
}

/* ---- the end ---- */

void inbound_check_stopped(struct inbound *in)
{
	if (!in->stopping || !in->stopped || !list_empty(&in->orphans) ||
		!list_empty(&in->sessions))
		return;
	void (*stopped)(void *) = in->stopped;
	in->stopped = NULL;
	stopped(in->context);
}

void inbound_stop(struct inbound *in, void (*stopped)(void *context), void *context)
{
	in->stopping = true;
	in->stopped = stopped;
	in->context = context;
	close_all(&in->sockets);
	LIST_EACH_SAFE (&in->sessions, node) session_shut(CONTAINER_OF(node, struct session, link));
	inbound_check_stopped(in);
}

void inbound_drop(struct inbound *in)
{
	in->stopped = NULL;
	close_all(&in->sockets);
	while (!list_empty(&in->sessions))
		session_end(CONTAINER_OF(in->sessions.next, struct session, link));
}

void inbound_free(struct inbound *in)
{
	if (!in) return;
	if (in->handshakes) io_workers_stop(in->handshakes);
	sasl_context_free(in->sasl);
	ASSERT(list_empty(&in->sessions));
	/* Left only by a disk that refuses to the end: nobody was told that they are safe.  */
	while (!list_empty(&in->orphans))
		transaction_free(CONTAINER_OF(in->orphans.next, struct transaction, link));
	if (in->office) office_leave(in->office);
	connections_release(&in->counts);
	guard_release(&in->guard);
	pool_release(&in->session_pool);
	pool_release(&in->transaction_pool);
	free(in);
}

void inbound_stats(const struct inbound *in, struct inbound_stats *ret) { *ret = in->stats; }
