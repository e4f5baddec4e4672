/* Users: whose rights a process has.  */
#include "io/confine.h"
#include "io/linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NAMES_MAX = 16 << 10, DEPTH_MAX = 64 };

int io_user_find(struct io *io, const char *name, struct io_user *ret)
{
	(void)io;
	char names[NAMES_MAX];
	struct passwd entry, *found;
	int error = getpwnam_r(name, &entry, names, sizeof names, &found);
	if (!found) return error ? -error : -ENOENT;
	*ret = (struct io_user){name, found->pw_uid, found->pw_gid};
	return 0;
}

bool io_is_root(struct io *io)
{
	(void)io;
	return geteuid() == 0;
}

int io_owner(struct io *io, const char *path, uint32_t *ret_uid)
{
	(void)io;
	struct stat st;
	if (stat(path, &st) < 0) return -errno;
	*ret_uid = st.st_uid;
	return 0;
}

bool io_may(struct io *io, const char *path, bool write)
{
	(void)io;
	return access(path, write ? R_OK | W_OK : R_OK) == 0;
}

/* ---- handing over: what is root's; what others own stays theirs, with all in it ---- */

static int hand_over(
	int parent, const char *name, const struct io_user *user, dev_t device, int depth);

/* What is in the directory that fd (taken) reads.  */
static int hand_over_inside(int fd, const struct io_user *user, dev_t device, int depth)
{
	DIR *dir = fdopendir(fd);
	if (!dir) {
		int error = -errno;
		close(fd);
		return error;
	}
	int error = 0;
	for (struct dirent *entry; !error && (errno = 0, entry = readdir(dir));) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
		error = hand_over(fd, entry->d_name, user, device, depth + 1);
	}
	if (!error) error = -errno;
	closedir(dir);
	return error;
}

static int hand_over(
	int parent, const char *name, const struct io_user *user, dev_t device, int depth)
{
	struct stat st;
	if (depth > DEPTH_MAX) return -ELOOP;
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return -errno;
	if ((device && st.st_dev != device) || (st.st_uid != 0 && st.st_uid != user->uid)) return 0;
	if (S_ISDIR(st.st_mode)) {
		int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0) return -errno;
		int error = hand_over_inside(fd, user, st.st_dev, depth);
		if (error) return error;
	}
	return fchownat(parent, name, user->uid, user->gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int io_hand_over(struct io *io, const char *path, const struct io_user *user)
{
	(void)io;
	char real[PATH_MAX];
	if (!realpath(path, real)) return -errno;
	return hand_over(AT_FDCWD, real, user, 0, 0);
}

/* ---- becoming ---- */

/* All rights of root's go but the one to bind low ports.  */
static int keep_low_ports(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.permitted = 1u << CAP_NET_BIND_SERVICE, .effective = 1u << CAP_NET_BIND_SERVICE}};
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

int io_become(struct io *io, const struct io_user *user)
{
	(void)io;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || initgroups(user->name, user->gid) < 0 ||
		setresgid(user->gid, user->gid, user->gid) < 0 ||
		setresuid(user->uid, user->uid, user->uid) < 0)
		return -errno;
	return keep_low_ports();
}
