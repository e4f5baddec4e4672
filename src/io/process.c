#include "io/linux.h"

#include <errno.h>
#include <ifaddrs.h>
#include <malloc.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/un.h>

/* ---- signals ---- */

static void signal_ready(struct io_watch *watch)
{
	struct io_signals *signals = CONTAINER_OF(watch, struct io_signals, watch);
	struct signalfd_siginfo info;
	/* One a wake-up: `came` may end the watching.  */
	if (read(watch->fd, &info, sizeof info) == sizeof info)
		signals->came(signals, (int)info.ssi_signo);
}

int io_signals(struct io *io, struct io_signals *signals)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (error) return -error;
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0) return -errno;
	signals->watch.ready = signal_ready;
	error = io_watch(io, &signals->watch, fd);
	if (error) close(fd);
	return error;
}

/* ---- the service manager and the terminal ---- */

void io_notify(struct str state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	if (len < 2 || len > sizeof to.sun_path || (path[0] != '/' && path[0] != '@')) return;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@') to.sun_path[0] = 0; /* the abstract name space */
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) return;
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	(void)!sendto(fd, state.ptr, state.len, MSG_NOSIGNAL, (struct sockaddr *)&to, size);
	close(fd);
}

void io_stderr(struct str octets)
{
	while (octets.len > 0) {
		ssize_t written = write(STDERR_FILENO, octets.ptr, octets.len);
		if (written >= 0) {
			octets = str_skip(octets, (size_t)written);
		} else if (errno == EAGAIN) {
			struct pollfd until = {.fd = STDERR_FILENO, .events = POLLOUT};
			poll(&until, 1, -1);
		} else if (errno != EINTR) {
			return;
		}
	}
}

/* ---- the machine ---- */

size_t io_raise_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return 0;
	rlim_t before = limit.rlim_cur;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? before : limit.rlim_cur;
}

void io_hostname(struct buf *out)
{
	char name[256];
	if (gethostname(name, sizeof name) < 0 || !name[0]) {
		buf_add(out, STR("localhost"));
		return;
	}
	name[sizeof name - 1] = 0;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_CANONNAME};
	struct addrinfo *found = NULL;
	bool known = getaddrinfo(name, NULL, &hints, &found) == 0 && found && found->ai_canonname;
	buf_add(out, str_from_c(known ? found->ai_canonname : name));
	if (found) freeaddrinfo(found);
}

static int resolver_errno(int code)
{
	switch (code) {
	case EAI_AGAIN: return EAGAIN;
	case EAI_MEMORY: return ENOMEM;
	case EAI_SYSTEM: return errno;
	default: return ENOENT;
	}
}

int io_resolve(const char *host, uint16_t port, struct net_address *ret, int max)
{
	struct net_address numeric;
	if (max > 0 && net_parse(str_from_c(host), &numeric)) {
		numeric.port = port;
		ret[0] = numeric;
		return 1;
	}
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
	int code = getaddrinfo(host, NULL, &hints, &found);
	if (code) return -resolver_errno(code);
	int count = 0;
	for (struct addrinfo *a = found; a && count < max; a = a->ai_next) {
		struct sockaddr_storage sa = {0};
		if (a->ai_addrlen > sizeof sa) continue;
		memcpy(&sa, a->ai_addr, a->ai_addrlen);
		linux_address_from_system(&sa, &ret[count]);
		ret[count++].port = port;
	}
	freeaddrinfo(found);
	return count;
}

void io_trim_memory(void) { malloc_trim(0); }

uint32_t io_interfaces(struct net_address *ret, uint32_t max)
{
	struct ifaddrs *all;
	if (getifaddrs(&all) != 0) return 0;
	uint32_t count = 0;
	for (struct ifaddrs *one = all; one && count < max; one = one->ifa_next) {
		if (!one->ifa_addr) continue;
		struct sockaddr_storage address = {0};
		int family = one->ifa_addr->sa_family;
		if (family != AF_INET && family != AF_INET6) continue;
		memcpy(&address, one->ifa_addr,
			family == AF_INET ? sizeof(struct sockaddr_in)
					  : sizeof(struct sockaddr_in6));
		linux_address_from_system(&address, &ret[count++]);
	}
	freeifaddrs(all);
	return count;
}
