#include "io/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

enum {
	ACCEPTS_PER_WAKE_UP = 64, /* the sessions want their turn, too */
	PAUSE_MS = 100,
	REFUSAL_MAX = 512,
};

/* ---- opening ---- */

/* Take away the socket of a server that is gone; one that answers stays.  0 or -errno.  */
static int remove_stale(const char *path, const struct sockaddr_storage *sa, socklen_t len)
{
	struct stat st;
	if (lstat(path, &st) < 0) return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) return -EADDRINUSE;
	int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (probe < 0) return -errno;
	bool stale = connect(probe, (const struct sockaddr *)sa, len) < 0 && errno == ECONNREFUSED;
	close(probe);
	if (!stale) return -EADDRINUSE;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int set_options(
	int fd, const struct net_address *address, const struct sockaddr_storage *sa, socklen_t len)
{
	int one = 1;
	if (address->family == NET_UNIX) {
		int error = remove_stale(address->path, sa, len);
		if (error) return error;
		/* The mode of the file that bind makes; unlike umask it is nobody else's.  */
		return fchmod(fd, 0600) < 0 ? -errno : 0;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0) return -errno;
	/* Accepted sockets inherit it.  */
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0) return -errno;
	if (address->family == NET_IPV6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) < 0)
		return -errno;
	return 0;
}

static int open_listener(struct io *io, struct io_listener *l, const struct net_address *address,
	struct net_address *ret_bound)
{
	struct sockaddr_storage sa;
	socklen_t len = linux_address_to_system(address, &sa);
	if (!len) return -EINVAL;
	int error = set_options(l->fd, address, &sa, len);
	if (error) return error;
	if (bind(l->fd, (struct sockaddr *)&sa, len) < 0) return -errno;
	if (listen(l->fd, SOMAXCONN) < 0) return -errno;
	if (ret_bound) {
		*ret_bound = *address;
		len = sizeof sa;
		if (getsockname(l->fd, (struct sockaddr *)&sa, &len) < 0) return -errno;
		if (address->family != NET_UNIX) linux_address_from_system(&sa, ret_bound);
	}
	return linux_poll_add(io, l->fd, l, LINUX_LISTENER, EPOLLIN);
}

static void pause_ends(struct timer *timer)
{
	struct io_listener *l = CONTAINER_OF(timer, struct io_listener, pause);
	if (linux_poll_add(l->io, l->fd, l, LINUX_LISTENER, EPOLLIN) < 0)
		io_timer_set(l->io, &l->pause, l->io->now + PAUSE_MS);
}

int io_listen(struct io *io, struct io_listener *l, const struct net_address *address,
	struct net_address *ret_bound)
{
	l->io = io;
	l->pause = (struct timer){.fire = pause_ends};
	list_init(&l->link);
	int family = linux_address_family(address);
	l->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0) return -errno;
	int error = open_listener(io, l, address, ret_bound);
	if (error) io_listener_close(l);
	return error;
}

void io_listener_close(struct io_listener *l)
{
	if (!l->io || l->fd < 0) return;
	linux_forget(l->io, l);
	io_timer_cancel(l->io, &l->pause);
	list_remove(&l->link);
	close(l->fd);
	l->fd = -1;
}

/* ---- accepting ---- */

/* Descriptors are still out after a whole pause: rather than let the client that waits longest wait
 * for ever, spend the reserve on closing its connection.  It will try another host, or later.  */
static void turn_away(struct io_listener *l)
{
	struct io *io = l->io;
	if (io->reserve >= 0) close(io->reserve);
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0) close(fd);
	io->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void starve(struct io_listener *l, int error)
{
	bool again = !list_empty(&l->link);
	if (again && (error == EMFILE || error == ENFILE)) turn_away(l);
	if (!again) list_push_back(&l->io->starving, &l->link);
	linux_poll_remove(l->io, l->fd, l);
	io_timer_set(l->io, &l->pause, l->io->now + PAUSE_MS);
	if (l->starved) l->starved(l, error);
}

/* Whether accept failed for the sake of one client only; accept(2) lists them.  */
static bool is_clients_failure(int error)
{
	switch (error) {
	case ECONNABORTED:
	case EINTR:
	case EPERM:
	case EPROTO:
	case ENOPROTOOPT:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case EOPNOTSUPP:
	case ETIMEDOUT: return true;
	default: return false;
	}
}

void linux_listener_event(struct io_listener *l)
{
	struct io *io = l->io;
	for (int i = 0; i < ACCEPTS_PER_WAKE_UP; i++) {
		struct sockaddr_storage sa = {0};
		socklen_t len = sizeof sa;
		int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
		struct io_accepted client;
		client.fd = accept4(l->fd, (struct sockaddr *)&sa, &len, flags);
		if (client.fd < 0) {
			if (errno == EAGAIN) return;
			if (is_clients_failure(errno)) continue;
			starve(l, errno);
			return;
		}
		list_remove(&l->link);
		linux_address_from_system(&sa, &client.peer);
		l->accepted(l, &client);
		if (io->current != l) return; /* closed */
	}
}

void io_refuse(struct io *io, const struct io_accepted *accepted, struct str octets)
{
	(void)io;
	struct str said = str_head(octets, REFUSAL_MAX);
	if (said.len > 0) (void)!send(accepted->fd, said.ptr, said.len, MSG_NOSIGNAL);
	close(accepted->fd);
}
