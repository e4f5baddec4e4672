#include "io/warden.h"

#include "io/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	COMMAND_MAX = 16 << 10, /* octets of a command, its words each with a NUL */
	WARDS_MAX = 64,         /* programs at once */
	FDS = 3,                /* that come with a request: output, errors, the end */
	CONTROL = 3,            /* the warden's descriptor of its socket */
};

/* ---- commands as text ---- */

/* False: too long.  */
static bool join(const char *const *argv, struct buf *out)
{
	for (; *argv; argv++) buf_add(out, str_of(*argv, strlen(*argv) + 1));
	return buf_ok(out);
}

/* The words of text, which ends with a NUL; there is room for all.  */
static void split(char *text, size_t len, const char **argv)
{
	for (char *at = text; at < text + len; at += strlen(at) + 1) *argv++ = at;
	*argv = NULL;
}

/* ---- the warden ---- */

struct ward {
	pid_t pid; /* 0: none */
	int end, pidfd;
	bool killed;
};

struct warden {
	struct buf *commands;
	uint32_t count;
	struct ward wards[WARDS_MAX];
};

union fds {
	struct cmsghdr head;
	char octets[CMSG_SPACE(FDS * sizeof(int))];
};

static void tell(int end, int value) { (void)!send(end, &value, sizeof value, MSG_NOSIGNAL); }

static struct ward *free_ward(struct warden *w)
{
	for (unsigned i = 0; i < WARDS_MAX; i++)
		if (!w->wards[i].pid) return &w->wards[i];
	return NULL;
}

static bool is_known(const struct warden *w, struct str command)
{
	for (uint32_t i = 0; i < w->count; i++)
		if (str_eq(buf_str(&w->commands[i]), command)) return true;
	return false;
}

static int start(struct warden *w, char *command, size_t len, const int fds[FDS])
{
	const char *argv[COMMAND_MAX / 2 + 1];
	struct ward *ward = free_ward(w);
	if (!is_known(w, str_of(command, len))) return -EACCES;
	if (!ward) return -EAGAIN;
	split(command, len, argv);
	pid_t pid = 0;
	int error = linux_spawn(argv, fds[0], fds[1], &pid);
	if (error) return error;
	*ward = (struct ward){.pid = pid, .end = fds[2], .pidfd = pidfd_open(pid, 0)};
	if (ward->pidfd >= 0) return 0;
	kill(-pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ward->pid = 0;
	return -EMFILE;
}

/* False: the server has gone.  */
static bool serve_request(struct warden *w)
{
	static char command[COMMAND_MAX];
	union fds fds;
	struct iovec part = {command, sizeof command};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &fds,
		.msg_controllen = sizeof fds};
	ssize_t got = recvmsg(CONTROL, &message, MSG_CMSG_CLOEXEC);
	if (got < 0) return errno == EINTR;
	if (got == 0) return false;
	int all[FDS];
	if (fds.head.cmsg_len != CMSG_LEN(sizeof all) || command[got - 1] != '\0') return false;
	memcpy(all, CMSG_DATA(&fds.head), sizeof all);
	int error = start(w, command, (size_t)got, all);
	tell(all[2], error);
	close(all[0]);
	close(all[1]);
	if (error) close(all[2]);
	return true;
}

/* The whole group ends with its leader.  */
static void end_ward(struct ward *ward)
{
	int status = 0;
	kill(-ward->pid, SIGKILL);
	while (waitpid(ward->pid, &status, 0) < 0 && errno == EINTR) {
	}
	tell(ward->end, status);
	close(ward->end);
	close(ward->pidfd);
	*ward = (struct ward){0};
}

static void look_after(struct ward *ward, const struct pollfd *end, const struct pollfd *pidfd)
{
	if (!ward->pid) return;
	if (end->revents && !ward->killed) {
		kill(-ward->pid, SIGKILL);
		ward->killed = true;
	}
	if (pidfd->revents) end_ward(ward);
}

static _Noreturn void watch_over(struct warden *w)
{
	struct pollfd all[1 + 2 * WARDS_MAX];
	prctl(PR_SET_NAME, "warden");
	for (;;) {
		all[0] = (struct pollfd){CONTROL, POLLIN, 0};
		for (unsigned i = 0; i < WARDS_MAX; i++) {
			const struct ward *ward = &w->wards[i];
			all[1 + 2 * i] = (struct pollfd){
				ward->pid && !ward->killed ? ward->end : -1, POLLIN, 0};
			all[2 + 2 * i] = (struct pollfd){ward->pid ? ward->pidfd : -1, POLLIN, 0};
		}
		if (poll(all, ARRAY_LEN(all), -1) < 0) continue;
		for (unsigned i = 0; i < WARDS_MAX; i++)
			look_after(&w->wards[i], &all[1 + 2 * i], &all[2 + 2 * i]);
		if (all[0].revents && !serve_request(w)) break;
	}
	for (unsigned i = 0; i < WARDS_MAX; i++)
		if (w->wards[i].pid) end_ward(&w->wards[i]);
	_exit(0);
}

/* ---- the server's side ---- */

static void release(struct warden *w)
{
	for (uint32_t i = 0; i < w->count; i++) buf_release(&w->commands[i]);
	free(w->commands);
}

static int learn(struct warden *w, const char *const *const *commands, uint32_t count)
{
	w->commands = calloc(count ? count : 1, sizeof *w->commands);
	if (!w->commands) return -ENOMEM;
	for (w->count = 0; w->count < count; w->count++) {
		buf_init(&w->commands[w->count], COMMAND_MAX);
		if (!join(commands[w->count], &w->commands[w->count])) return -E2BIG;
	}
	return 0;
}

int io_warden_start(struct io *io, const char *const *const *commands, uint32_t count)
{
	struct warden w = {0};
	int ends[2], error = learn(&w, commands, count);
	if (!error && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		error = -errno;
	if (error) {
		release(&w);
		return error;
	}
	pid_t child = fork();
	if (child == 0) {
		if (dup2(ends[1], CONTROL) < 0) _exit(1); /* the same one may be open there */
		if (ends[1] == CONTROL) fcntl(CONTROL, F_SETFD, FD_CLOEXEC);
		close_range(CONTROL + 1, ~0U, 0);
		watch_over(&w);
	}
	error = child < 0 ? -errno : 0;
	close(ends[1]);
	if (error)
		close(ends[0]);
	else
		io->warden = ends[0];
	release(&w);
	return error;
}

static int send_request(int warden, const char *const *argv, const int all[FDS])
{
	struct buf command;
	buf_init(&command, COMMAND_MAX);
	if (!join(argv, &command)) {
		buf_release(&command);
		return -E2BIG;
	}
	union fds fds = {.head = {CMSG_LEN(FDS * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	memcpy(CMSG_DATA(&fds.head), all, FDS * sizeof(int));
	struct iovec part = {command.ptr, command.len};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &fds,
		.msg_controllen = sizeof fds};
	int error = sendmsg(warden, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
	buf_release(&command);
	return error;
}

int linux_warden_spawn(int warden, const char *const *argv, int output, int errors)
{
	int ends[2], answer = -ESRCH; /* of a warden that is gone */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return -errno;
	int error = send_request(warden, argv, (int[]){output, errors, ends[1]});
	close(ends[1]);
	if (!error && recv(ends[0], &answer, sizeof answer, MSG_WAITALL) != sizeof answer)
		answer = -ESRCH;
	if (!error) error = answer;
	if (!error) return ends[0];
	close(ends[0]);
	return error;
}
