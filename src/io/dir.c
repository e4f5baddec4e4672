#include "io/file.h"
#include "io/linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* ---- directories ---- */

int io_dir_sync(struct io *io, const char *path)
{
	(void)io;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) return -errno;
	int error = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return error;
}

/* The directory that holds path's last name.  */
static int parent_of(const char *path, char parent[PATH_MAX])
{
	size_t len = strlen(path);
	if (len >= PATH_MAX) return -ENAMETOOLONG;
	while (len > 0 && path[len - 1] == '/') len--;
	while (len > 0 && path[len - 1] != '/') len--;
	memcpy(parent, len ? path : ".", len ? len : 1);
	parent[len ? len : 1] = 0;
	return 0;
}

int linux_sync_parent(const char *path)
{
	char parent[PATH_MAX];
	int error = parent_of(path, parent);
	return error ? error : io_dir_sync(NULL, parent);
}

int linux_stat_parent(const char *path, struct stat *ret)
{
	char parent[PATH_MAX];
	int error = parent_of(path, parent);
	if (error) return error;
	return stat(parent, ret) < 0 ? -errno : 0;
}

static int check_directory(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0) return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

static int make_one(const char *path)
{
	if (mkdir(path, 0700) < 0) return errno == EEXIST ? 0 : -errno;
	return linux_sync_parent(path);
}

int io_dir_make(struct io *io, const char *path)
{
	(void)io;
	int error = check_directory(path);
	if (error != -ENOENT) return error;
	char part[PATH_MAX];
	size_t len = strlen(path);
	if (len == 0) return -ENOENT;
	if (len >= sizeof part) return -ENAMETOOLONG;
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != 0) continue;
		memcpy(part, path, i);
		part[i] = 0;
		error = make_one(part);
		if (error) return error;
	}
	return check_directory(path);
}

int io_dir_each(struct io *io, const char *path, bool (*visit)(void *context, const char *name),
	void *context)
{
	(void)io;
	DIR *dir = opendir(path);
	if (!dir) return -errno;
	int error = 0;
	for (;;) {
		errno = 0;
		struct dirent *entry = readdir(dir);
		if (!entry) {
			error = -errno;
			break;
		}
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
		if (!visit(context, entry->d_name)) break;
	}
	closedir(dir);
	return error;
}

/* ---- paths ---- */

bool io_path_exists(struct io *io, const char *path)
{
	(void)io;
	return access(path, F_OK) == 0;
}

int io_path_stat(struct io *io, const char *path, msec *ret_mtime, uint64_t *ret_size)
{
	(void)io;
	struct stat st;
	if (stat(path, &st) < 0) return -errno;
	*ret_mtime = (msec)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

int io_path_mode(struct io *io, const char *path, uint32_t *ret_mode)
{
	(void)io;
	struct stat st;
	if (stat(path, &st) < 0) return -errno;
	*ret_mode = st.st_mode & 07777;
	return 0;
}

/* Those of linux/magic.h and, by number, those that it lacks here.  */
static enum io_fs file_system_kind(uint32_t magic)
{
	switch (magic) {
	case TMPFS_MAGIC:
	case RAMFS_MAGIC:
	case HUGETLBFS_MAGIC: return IO_FS_MEMORY;
	case OVERLAYFS_SUPER_MAGIC: return IO_FS_OVERLAY;
	case NFS_SUPER_MAGIC:
	case SMB_SUPER_MAGIC:
	case NCP_SUPER_MAGIC:
	case CODA_SUPER_MAGIC:
	case AFS_SUPER_MAGIC:
	case AFS_FS_MAGIC:
	case V9FS_MAGIC:
	case 0xff534d42: /* CIFS */
	case 0xfe534d42: /* SMB2 */
	case 0x65735546: /* FUSE: sshfs, gluster, s3fs ... */
	case 0x00c36400: /* Ceph */
	case 0x0bd00bd0: /* Lustre */
	case 0x47504653: /* GPFS */ return IO_FS_NETWORK;
	default: return IO_FS_DISK;
	}
}

int io_fs(struct io *io, const char *path, uint64_t *ret_free, enum io_fs *ret_kind)
{
	(void)io;
	struct statfs fs;
	if (statfs(path, &fs) < 0) return -errno;
	*ret_free = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
	*ret_kind = file_system_kind((uint32_t)fs.f_type);
	return 0;
}
