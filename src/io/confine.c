/* Landlock: which paths a process reaches.  glibc has no functions for it, and its header may be older than the kernel, so
 * the numbers of its interface (<linux/landlock.h>, fixed for ever) stand here.  */
#include "io/confine.h"
#include "io/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	CREATE_RULESET = 444,
	ADD_RULE = 445,
	RESTRICT_SELF = 446,
	CREATE_VERSION = 1, /* flag: tell the version */
	RULE_PATH_BENEATH = 1,
	SCOPE_SIGNAL = 2, /* no signals to processes outside */
};

enum {
	EXECUTE = 1 << 0,
	WRITE_FILE = 1 << 1,
	READ_FILE = 1 << 2,
	READ_DIR = 1 << 3,
	REMOVE_DIR = 1 << 4,
	REMOVE_FILE = 1 << 5,
	MAKE_CHAR = 1 << 6,
	MAKE_DIR = 1 << 7,
	MAKE_REG = 1 << 8,
	MAKE_SOCK = 1 << 9,
	MAKE_FIFO = 1 << 10,
	MAKE_BLOCK = 1 << 11,
	MAKE_SYM = 1 << 12,
	REFER = 1 << 13,
	TRUNCATE = 1 << 14,
	IOCTL_DEV = 1 << 15,

	READ = READ_FILE | READ_DIR,
	WRITE = READ | WRITE_FILE | TRUNCATE | REMOVE_FILE | REMOVE_DIR | MAKE_REG | MAKE_DIR |
		MAKE_SOCK | REFER,
	OF_FILES = READ_FILE | WRITE_FILE | TRUNCATE,
};

struct ruleset {
	uint64_t files, net, scoped;
};

struct path_rule {
	uint64_t allowed;
	int32_t parent;
} __attribute__((packed));

/* What the libraries read.  All of it is the same for everybody on the machine.  */
static const struct io_grant of_the_system[] = {
	{"/etc", false}, /* resolv.conf, hosts, nsswitch.conf, ssl, localtime */
	{"/usr", false}, /* zoneinfo, authorities, the root's trust anchor, modules of libc */
	{"/lib", false},
	{"/lib64", false},
	{"/run/systemd/resolve", false}, /* resolv.conf may lead there */
	{"/run/resolvconf", false},
	{"/run/NetworkManager", false},
	{"/proc/sys", false},
	{"/proc/net", false},
	{"/dev/null", true},
	{"/dev/random", false},
	{"/dev/urandom", false},
};

/* What each version cannot refuse, nobody may ask it to.  */
static uint64_t known_to(int version)
{
	if (version >= 5) return (IOCTL_DEV << 1) - 1;
	if (version >= 3) return (TRUNCATE << 1) - 1;
	if (version >= 2) return (REFER << 1) - 1;
	return (MAKE_SYM << 1) - 1;
}

static int grant(int ruleset, uint64_t known, const char *path, bool write)
{
	struct stat st;
	int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0) return 0; /* it is not there */
	struct path_rule rule = {(uint64_t)(write ? WRITE : READ) & known, fd};
	int error = fstat(fd, &st) < 0 ? -errno : 0;
	if (!error && !S_ISDIR(st.st_mode)) rule.allowed &= OF_FILES;
	if (!error && syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0) error = -errno;
	close(fd);
	return error;
}

/* OpenSSL's authorities, where the environment names others.  */
static int grant_environment(int ruleset, uint64_t known)
{
	static const char *const names[] = {"SSL_CERT_FILE", "SSL_CERT_DIR"};
	int error = 0;
	for (size_t i = 0; !error && i < ARRAY_LEN(names); i++) {
		const char *path = getenv(names[i]);
		if (path) error = grant(ruleset, known, path, false);
	}
	return error;
}

int io_confine_paths(struct io *io, const struct io_grant *grants, uint32_t count)
{
	(void)io;
	long version = syscall(CREATE_RULESET, NULL, 0, CREATE_VERSION);
	if (version < 0) return -errno;
	uint64_t known = known_to((int)version);
	struct ruleset all = {.files = known, .scoped = version >= 6 ? SCOPE_SIGNAL : 0};
	int ruleset = (int)syscall(CREATE_RULESET, &all, sizeof all, 0);
	if (ruleset < 0) return -errno;
	int error = grant_environment(ruleset, known);
	for (size_t i = 0; !error && i < ARRAY_LEN(of_the_system); i++)
		error = grant(ruleset, known, of_the_system[i].path, of_the_system[i].write);
	for (uint32_t i = 0; !error && i < count; i++)
		error = grant(ruleset, known, grants[i].path, grants[i].write);
	if (!error && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) error = -errno;
	if (!error && syscall(RESTRICT_SELF, ruleset, 0) < 0) error = -errno;
	close(ruleset);
	return error ? error : (int)version;
}

bool io_is_of_system(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(of_the_system); i++) {
		size_t len = strlen(of_the_system[i].path);
		if (!strncmp(path, of_the_system[i].path, len) &&
			(path[len] == '\0' || path[len] == '/'))
			return true;
	}
	return false;
}

int io_path_real(struct io *io, const char *path, struct buf *out)
{
	(void)io;
	char real[PATH_MAX];
	if (!realpath(path, real)) return -errno;
	return buf_add(out, str_from_c(real)) ? 0 : -ENOMEM;
}
