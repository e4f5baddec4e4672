#include "io/child.h"

#include "io/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

/* ---- starting ---- */

static int open_pipe(int ends[2])
{
	if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
	/* Ours alone: the program may expect its own end to block.  */
	int flags = fcntl(ends[0], F_GETFL);
	if (flags < 0 || fcntl(ends[0], F_SETFL, flags | O_NONBLOCK) < 0) {
		int error = -errno;
		close(ends[0]);
		close(ends[1]);
		return error;
	}
	return 0;
}

static int describe(
	posix_spawn_file_actions_t *files, posix_spawnattr_t *how, int output, int errors)
{
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	int error = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);
	if (!error) error = posix_spawn_file_actions_adddup2(files, output, 1);
	if (!error) error = posix_spawn_file_actions_adddup2(files, errors, 2);
	if (!error) error = posix_spawn_file_actions_addclosefrom_np(files, 3);
	/* A group of its own, so that what it starts ends with it.  */
	if (!error) error = posix_spawnattr_setpgroup(how, 0);
	if (!error) error = posix_spawnattr_setsigmask(how, &none);
	if (!error) error = posix_spawnattr_setsigdefault(how, &all);
	if (!error)
		error = posix_spawnattr_setflags(how,
			POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	return error;
}

int linux_spawn(const char *const *argv, int output, int errors, pid_t *ret_pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	int error = posix_spawn_file_actions_init(&files);
	if (error) return -error;
	error = posix_spawnattr_init(&how);
	if (!error) {
		error = describe(&files, &how, output, errors);
		/* posix_spawn does not change what it points to (POSIX, rationale of exec).  */
		if (!error)
			error = posix_spawn(ret_pid, argv[0], &files, &how,
				(char *const *)(uintptr_t)argv, environ);
		posix_spawnattr_destroy(&how);
	}
	posix_spawn_file_actions_destroy(&files);
	return -error;
}

/* ---- ending ---- */

static void close_watch(struct io_watch *watch)
{
	int fd = watch->io ? watch->fd : -1;
	io_unwatch(watch);
	if (fd >= 0) close(fd);
}

enum { WITH_WARDEN = -1 }; /* the pid of what the warden has started */

/* The whole group; while its leader is not waited for its number is nobody else's.  */
static void kill_group(const struct io_child *c)
{
	if (c->pid == WITH_WARDEN)
		shutdown(c->end.fd, SHUT_WR);
	else
		kill(-c->pid, SIGKILL);
}

static int end_status(const struct io_child *c)
{
	int status = SIGKILL;
	if (c->pid != WITH_WARDEN)
		while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) {
		}
	else if (recv(c->end.fd, &status, sizeof status, MSG_DONTWAIT) != sizeof status)
		status = SIGKILL; /* nobody waits for the rest, or the warden has gone */
	return status;
}

static void reap(struct io_child *c)
{
	kill_group(c);
	int status = end_status(c);
	c->pid = 0;
	c->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	close_watch(&c->output.watch);
	close_watch(&c->errors.watch);
	close_watch(&c->end);
	io_timer_cancel(c->io, &c->limit);
}

static void fail(struct io_child *c, int error)
{
	if (!c->error) c->error = error;
	kill_group(c); /* and its end comes */
}

static void limit_passed(struct timer *timer)
{
	fail(CONTAINER_OF(timer, struct io_child, limit), ETIMEDOUT);
}

/* ---- output ---- */

/* False: nothing more will come.  */
static bool read_some(struct io_child_pipe *p)
{
	char octets[4096];
	ssize_t got = read(p->watch.fd, octets, sizeof octets);
	if (got < 0) return errno == EINTR || errno == EAGAIN;
	if (got == 0) return false;
	size_t room = p->octets.max - p->octets.len, n = (size_t)got;
	buf_add(&p->octets, str_of(octets, n < room ? n : room));
	if (n > room && p == &p->child->output) fail(p->child, EMSGSIZE);
	return true;
}

static void readable(struct io_watch *watch)
{
	struct io_child_pipe *p = CONTAINER_OF(watch, struct io_child_pipe, watch);
	if (!read_some(p)) close_watch(watch);
}

/* What it has written before its end is there.  */
static void read_rest(struct io_child_pipe *p)
{
	size_t before;
	do {
		before = p->octets.len;
		if (p->watch.fd < 0 || !read_some(p)) return;
	} while (p->octets.len > before);
}

static void ended(struct io_watch *watch)
{
	struct io_child *c = CONTAINER_OF(watch, struct io_child, end);
	read_rest(&c->output);
	read_rest(&c->errors);
	reap(c);
	c->done(c);
}

/* ---- the interface ---- */

/* Start it, and *ret_end becomes readable when it ends.  */
static int begin(struct io_child *c, const char *const *argv, int output, int errors, int *ret_end)
{
	if (c->io->warden >= 0) {
		*ret_end = linux_warden_spawn(c->io->warden, argv, output, errors);
		if (*ret_end < 0) return *ret_end;
		c->pid = WITH_WARDEN;
		return 0;
	}
	int error = linux_spawn(argv, output, errors, &c->pid);
	if (error) {
		c->pid = 0;
		return error;
	}
	*ret_end = pidfd_open(c->pid, 0);
	return 0;
}

static int watch(struct io_child *c, int end, int output, int errors)
{
	c->output.watch.ready = c->errors.watch.ready = readable;
	c->end.ready = ended;
	int error = end < 0 ? -EMFILE : io_watch(c->io, &c->end, end);
	if (error && end >= 0) close(end);
	if (error || (error = io_watch(c->io, &c->output.watch, output))) close(output);
	if (error || (error = io_watch(c->io, &c->errors.watch, errors))) close(errors);
	return error;
}

int io_child_start(struct io *io, struct io_child *c, const char *const *argv, msec timeout)
{
	int output[2], errors[2], end;
	io_child_clear(c);
	c->io = io;
	c->error = c->status = 0;
	c->output = c->errors = (struct io_child_pipe){.child = c, .watch.fd = -1};
	c->end = (struct io_watch){.fd = -1};
	buf_init(&c->output.octets, IO_CHILD_OUTPUT);
	buf_init(&c->errors.octets, IO_CHILD_ERRORS);
	int error = open_pipe(output);
	if (error) return error;
	error = open_pipe(errors);
	if (error) {
		close(output[0]);
		close(output[1]);
		return error;
	}
	error = begin(c, argv, output[1], errors[1], &end);
	close(output[1]);
	close(errors[1]);
	if (error) {
		close(output[0]);
		close(errors[0]);
		return error;
	}
	error = watch(c, end, output[0], errors[0]);
	if (error) {
		reap(c);
		return error;
	}
	c->limit.fire = limit_passed;
	io_timer_set(io, &c->limit, io_now(io) + timeout);
	return 0;
}

void io_child_clear(struct io_child *c)
{
	if (c->pid) reap(c);
	if (c->output.octets.ptr) explicit_bzero(c->output.octets.ptr, c->output.octets.cap);
	buf_release(&c->output.octets);
	buf_release(&c->errors.octets);
}
