#include "io/linux.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

/* io_stream.flags.  The upper half holds the errno of a dead stream.  */
enum {
	READING = 1 << 0, /* the owner wants input */
	POLLED = 1 << 1,  /* in the epoll set, with: */
	POLL_IN = 1 << 2,
	POLL_OUT = 1 << 3,
	CONNECTING = 1 << 4,
	SHUT = 1 << 5,     /* our FIN goes, or went, after what is kept */
	FINISHED = 1 << 6, /* the peer's FIN was told */
	DEAD = 1 << 7,     /* in io->fallen until it was told */
	POLL_FLAGS = POLLED | POLL_IN | POLL_OUT,
	ERROR_SHIFT = 16,
};

static void stream_init(struct io *io, struct io_stream *s, const struct io_stream_events *events,
	int fd, uint32_t flags)
{
	*s = (struct io_stream){.events = events, .io = io, .fd = fd, .flags = flags};
	buf_init(&s->out, IO_OUT_MAX);
	list_init(&s->link);
}

static void unpoll(struct io_stream *s)
{
	if (!(s->flags & POLLED)) return;
	linux_poll_remove(s->io, s->fd, s);
	s->flags &= ~(uint32_t)POLL_FLAGS;
}

/* The stream can send no more: what is kept goes, `ended` will come from the loop, after the input
 * that is still there (a peer's last words before it hung up).  */
static void fall(struct io_stream *s, int error)
{
	ASSERT(!(s->flags & DEAD));
	unpoll(s);
	buf_release(&s->out);
	s->flags |= DEAD | (uint32_t)error << ERROR_SHIFT;
	list_push_back(&s->io->fallen, &s->link);
}

/* Wait for these events (and errors, which always come).  No system call when nothing changes.  */
static void poll_for(struct io_stream *s, uint32_t flags)
{
	flags |= POLLED;
	if ((s->flags & POLL_FLAGS) == flags) return;
	uint32_t events = (flags & POLL_IN ? EPOLLIN : 0) | (flags & POLL_OUT ? EPOLLOUT : 0);
	int error = s->flags & POLLED ? linux_poll_change(s->io, s->fd, s, LINUX_STREAM, events)
				      : linux_poll_add(s->io, s->fd, s, LINUX_STREAM, events);
	s->flags = (s->flags & ~(uint32_t)POLL_FLAGS) | flags;
	if (error) fall(s, -error);
}

/* What must be polled now that sending has come to rest, or peer's FIN came.  With both ends shut
 * the system would report a hang-up again and again.  */
static void poll_rest(struct io_stream *s)
{
	if (s->out.len > 0)
		poll_for(s, POLL_OUT | (s->flags & FINISHED ? 0 : s->flags & POLL_IN));
	else if (s->flags & FINISHED)
		unpoll(s);
	else if (s->flags & POLL_OUT)
		poll_for(s, s->flags & POLL_IN);
}

/* ---- opening and closing ---- */

static int begin_connect(struct io *io, struct io_stream *s, const struct net_address *remote,
	const struct net_address *local)
{
	struct sockaddr_storage sa;
	socklen_t len;
	int one = 1;
	if (remote->family != NET_UNIX)
		setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (local) {
		/* Take the port at connect: then one port serves many peers.  */
		setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
		if (!(len = linux_address_to_system(local, &sa))) return -EINVAL;
		if (bind(s->fd, (struct sockaddr *)&sa, len) < 0) return -errno;
	}
	if (!(len = linux_address_to_system(remote, &sa))) return -EINVAL;
	if (connect(s->fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS) return -errno;
	s->flags |= POLLED | POLL_OUT;
	return linux_poll_add(io, s->fd, s, LINUX_STREAM, EPOLLOUT);
}

int io_connect(struct io *io, struct io_stream *s, const struct io_stream_events *events,
	const struct net_address *remote, const struct net_address *local)
{
	int family = linux_address_family(remote);
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error = fd < 0 ? -errno : 0;
	stream_init(io, s, events, fd, CONNECTING);
	if (fd < 0) return error;
	error = begin_connect(io, s, remote, local);
	if (error) io_close(s);
	return error;
}

int io_accept(struct io *io, struct io_stream *s, const struct io_stream_events *events,
	const struct io_accepted *accepted)
{
	/* Polled for input at once: most owners call io_read_on before any comes.  */
	stream_init(io, s, events, accepted->fd, POLLED | POLL_IN);
	int error = linux_poll_add(io, s->fd, s, LINUX_STREAM, EPOLLIN);
	if (error) io_close(s);
	return error;
}

void io_close(struct io_stream *s)
{
	if (!io_is_open(s)) return;
	linux_forget(s->io, s);
	list_remove(&s->link);
	buf_release(&s->out);
	close(s->fd); /* which also takes it out of the epoll set */
	s->fd = -1;
}

void io_abort(struct io_stream *s)
{
	if (!io_is_open(s)) return;
	struct linger hard = {.l_onoff = 1, .l_linger = 0};
	setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	io_close(s);
}

void io_local_address(const struct io_stream *s, struct net_address *ret_address)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof sa;
	getsockname(s->fd, (struct sockaddr *)&sa, &len);
	linux_address_from_system(&sa, ret_address);
}

/* ---- reading ---- */

void io_read_on(struct io_stream *s)
{
	s->flags |= READING;
	if (s->flags & (CONNECTING | FINISHED | DEAD)) return;
	poll_for(s, POLL_IN | (s->flags & POLL_OUT));
}

void io_read_off(struct io_stream *s)
{
	s->flags &= ~(uint32_t)READING; /* the epoll set learns of it only when input comes */
}

static int socket_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof error;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

/* Something came while the owner does not read.  */
static void input_unwanted(struct io_stream *s, uint32_t events)
{
	if (!(events & (EPOLLHUP | EPOLLERR))) {
		poll_for(s, s->flags & POLL_OUT);
		return;
	}
	int error = socket_error(s->fd);
	if (error)
		fall(s, error);
	else
		unpoll(s); /* an orderly end: noisy until the owner reads on and finds it */
}

static void input(struct io_stream *s, uint32_t events)
{
	if (s->flags & FINISHED) return;
	if (!(s->flags & READING)) {
		input_unwanted(s, events);
		return;
	}
	ssize_t got = recv(s->fd, s->io->receive, LINUX_RECEIVE, 0);
	if (got > 0) {
		s->events->received(s, str_of(s->io->receive, (size_t)got));
	} else if (got == 0) {
		s->flags |= FINISHED;
		poll_rest(s);
		s->events->ended(s, 0);
	} else if (errno != EAGAIN && errno != EINTR) {
		fall(s, errno);
	}
}

/* ---- sending ---- */

/* False when the stream has fallen.  */
static bool send_some(struct io_stream *s, struct str octets, size_t *ret_sent)
{
	ssize_t sent = send(s->fd, octets.ptr, octets.len, MSG_NOSIGNAL);
	*ret_sent = sent > 0 ? (size_t)sent : 0;
	if (sent >= 0 || errno == EAGAIN || errno == EINTR) return true;
	fall(s, errno);
	return false;
}

bool io_send(struct io_stream *s, struct str octets)
{
	if (s->flags & (DEAD | SHUT)) return false;
	if (s->out.len + octets.len > IO_OUT_MAX) return false;
	if (octets.len == 0) return true;
	size_t sent = 0;
	if (s->out.len == 0 && !(s->flags & CONNECTING)) {
		if (!send_some(s, octets, &sent)) return false;
		if (sent == octets.len) return true;
	}
	if (!buf_add(&s->out, str_skip(octets, sent))) {
		fall(s, ENOMEM);
		return false;
	}
	poll_rest(s);
	return !(s->flags & DEAD);
}

/* Everything kept has gone: our FIN may follow it.  */
static void sent_all(struct io_stream *s)
{
	buf_release(&s->out);
	buf_init(&s->out, IO_OUT_MAX);
	if (s->flags & SHUT) shutdown(s->fd, SHUT_WR);
	poll_rest(s);
}

static void flush(struct io_stream *s)
{
	size_t sent;
	if (!send_some(s, buf_str(&s->out), &sent)) return;
	buf_consume(&s->out, sent);
	if (s->out.len > 0) return;
	sent_all(s);
	if (!(s->flags & DEAD)) s->events->drained(s);
}

void io_shut(struct io_stream *s)
{
	if (s->flags & (SHUT | DEAD)) return;
	s->flags |= SHUT;
	if (s->out.len == 0 && !(s->flags & CONNECTING)) shutdown(s->fd, SHUT_WR);
}

/* ---- from the loop ---- */

static void connect_ended(struct io_stream *s)
{
	int error = socket_error(s->fd);
	if (error) {
		io_close(s);
		s->events->connected(s, error);
		return;
	}
	s->flags &= ~(uint32_t)CONNECTING;
	poll_for(s, POLL_IN | (s->out.len > 0 ? POLL_OUT : 0));
	if (s->flags & SHUT && s->out.len == 0) shutdown(s->fd, SHUT_WR);
	s->events->connected(s, 0);
}

void linux_stream_event(struct io_stream *s, uint32_t events)
{
	if (s->flags & CONNECTING) {
		connect_ended(s);
		return;
	}
	if (s->out.len > 0 && events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
		struct io *io = s->io;
		flush(s);
		if (io->current != s || s->flags & DEAD) return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) input(s, events);
}

/* Give the owner what the peer said before it died; false when there is no more.  */
static bool last_words(struct io_stream *s)
{
	if (!(s->flags & READING) || s->flags & FINISHED) return false;
	ssize_t got = recv(s->fd, s->io->receive, LINUX_RECEIVE, 0);
	if (got <= 0) return false;
	list_push_back(&s->io->fallen, &s->link); /* there may be more */
	s->events->received(s, str_of(s->io->receive, (size_t)got));
	return true;
}

void linux_streams_fallen(struct io *io)
{
	struct list batch;
	linux_take_all(&io->fallen, &batch);
	for (struct list *node; (node = list_pop(&batch));) {
		struct io_stream *s = CONTAINER_OF(node, struct io_stream, link);
		if (!last_words(s)) s->events->ended(s, (int)(s->flags >> ERROR_SHIFT));
	}
}
