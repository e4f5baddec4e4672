/* Seccomp: which system calls a process may make.  What they may be made with is looked at where one call does both what a
 * server needs and what an intruder wants.  */
#include "io/confine.h"
#include "io/linux.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* By name, as one architecture or libseccomp knows what another does not.  */
static const char *const allowed[] = {
	/* files */
	"access",
	"close",
	"close_range",
	"copy_file_range",
	"dup",
	"dup2",
	"dup3",
	"faccessat",
	"faccessat2",
	"fadvise64",
	"fallocate",
	"fchmod",
	"fcntl",
	"fdatasync",
	"flock",
	"fstat",
	"fstatfs",
	"fsync",
	"ftruncate",
	"getcwd",
	"getdents64",
	"link",
	"linkat",
	"lseek",
	"lstat",
	"mkdir",
	"mkdirat",
	"newfstatat",
	"open",
	"openat",
	"pread64",
	"preadv",
	"preadv2",
	"pwrite64",
	"pwritev",
	"pwritev2",
	"read",
	"readlink",
	"readlinkat",
	"readv",
	"rename",
	"renameat",
	"renameat2",
	"rmdir",
	"sendfile",
	"stat",
	"statfs",
	"statx",
	"sync_file_range",
	"umask",
	"unlink",
	"unlinkat",
	"utimensat",
	"write",
	"writev",
	/* sockets, pipes, waiting */
	"accept",
	"accept4",
	"bind",
	"connect",
	"epoll_create",
	"epoll_create1",
	"epoll_ctl",
	"epoll_pwait",
	"epoll_pwait2",
	"epoll_wait",
	"eventfd2",
	"getpeername",
	"getsockname",
	"getsockopt",
	"listen",
	"pipe",
	"pipe2",
	"poll",
	"ppoll",
	"pselect6",
	"recvfrom",
	"recvmmsg",
	"recvmsg",
	"select",
	"sendmmsg",
	"sendmsg",
	"sendto",
	"setsockopt",
	"shutdown",
	"signalfd4",
	"socketpair",
	"timerfd_create",
	"timerfd_gettime",
	"timerfd_settime",
	/* memory, threads, time, signals to oneself */
	"brk",
	"clock_getres",
	"clock_gettime",
	"clock_nanosleep",
	"exit",
	"exit_group",
	"futex",
	"get_robust_list",
	"getegid",
	"geteuid",
	"getgid",
	"getpid",
	"getppid",
	"getrandom",
	"getresgid",
	"getresuid",
	"getrlimit",
	"getrusage",
	"gettid",
	"gettimeofday",
	"getuid",
	"madvise",
	"membarrier",
	"mincore",
	"mremap",
	"munmap",
	"nanosleep",
	"prlimit64",
	"restart_syscall",
	"rseq",
	"rt_sigaction",
	"rt_sigpending",
	"rt_sigprocmask",
	"rt_sigreturn",
	"rt_sigtimedwait",
	"sched_getaffinity",
	"sched_yield",
	"set_robust_list",
	"set_tid_address",
	"sigaltstack",
	"sysinfo",
	"time",
	"times",
	"uname",
};

enum { OTHERS = 7 }; /* calls that are looked at more closely, below */

static int add(scmp_filter_ctx filter, const char *name, unsigned count, struct scmp_arg_cmp a)
{
	int number = seccomp_syscall_resolve_name(name);
	if (number == __NR_SCMP_ERROR || number < 0) return 0; /* not on this machine */
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, count, &a);
}

static int add_each(scmp_filter_ctx filter)
{
	int error = 0;
	for (size_t i = 0; !error && i < ARRAY_LEN(allowed); i++)
		error = add(filter, allowed[i], 0, (struct scmp_arg_cmp){0});
	return error;
}

/* Threads, but no processes.  clone3 hides its flags: without it libc takes clone.  */
static int add_threads(scmp_filter_ctx filter)
{
	return add(filter, "clone", 1,
		SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM));
}

/* No memory that is both written and executed, nor first the one and then the other.  */
static int add_memory(scmp_filter_ctx filter)
{
	int error = add(filter, "mmap", 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!error)
		error = add(filter, "mmap", 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC));
	if (!error) error = add(filter, "mprotect", 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return error;
}

/* TCP, UDP, local sockets, and the question after this machine's addresses.  */
static int add_sockets(scmp_filter_ctx filter)
{
	static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
	int error = 0;
	for (size_t i = 0; !error && i < ARRAY_LEN(families); i++)
		error = add(filter, "socket", 1, SCMP_A0(SCMP_CMP_EQ, (unsigned)families[i]));
	return error;
}

/* Signals to oneself (abort), what is asked of sockets and terminals, names of threads.  */
static int add_numbered(scmp_filter_ctx filter)
{
	static const unsigned long questions[] = {FIONREAD, FIONBIO, TCGETS, TIOCGWINSZ};
	static const int own[] = {PR_SET_NAME, PR_GET_NAME, 0x53564d41 /* PR_SET_VMA */};
	int error = add(filter, "tgkill", 1, SCMP_A0(SCMP_CMP_EQ, (unsigned)getpid()));
	for (size_t i = 0; !error && i < ARRAY_LEN(questions); i++)
		error = add(filter, "ioctl", 1, SCMP_A1(SCMP_CMP_EQ, questions[i]));
	for (size_t i = 0; !error && i < ARRAY_LEN(own); i++)
		error = add(filter, "prctl", 1, SCMP_A0(SCMP_CMP_EQ, (unsigned)own[i]));
	return error;
}

int io_confine_calls(struct io *io)
{
	(void)io;
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (!filter) return -ENOMEM;
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1); /* to the audit log, where it can */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* searched as a tree */
	int error = add_each(filter);
	if (!error) error = add_threads(filter);
	if (!error) error = add_memory(filter);
	if (!error) error = add_sockets(filter);
	if (!error) error = add_numbered(filter);
	if (!error) error = seccomp_load(filter); /* sets no_new_privs too */
	seccomp_release(filter);
	return error ? error : (int)ARRAY_LEN(allowed) + OTHERS;
}
