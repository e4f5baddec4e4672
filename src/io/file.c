#include "io/file.h"

#include "io/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { LOAD_STEP = 16 << 10 };

/* 0 or -errno of a call that returns -1 on failure.  */
static int result(int returned) { return returned < 0 ? -errno : 0; }

int io_file_open(struct io *io, const char *path, unsigned how, struct io_file *ret)
{
	(void)io;
	int flags = O_CLOEXEC | (how & IO_OPEN_WRITE ? O_RDWR : O_RDONLY);
	if (how & IO_OPEN_DIRECT) flags |= O_DIRECT;
	if (how & IO_OPEN_CREATE) flags |= O_CREAT;
	if (how & IO_OPEN_EXCLUSIVE) flags |= O_EXCL;
	if (how & IO_OPEN_TRUNCATE) flags |= O_TRUNC;
	do ret->fd = open(path, flags, 0600);
	while (ret->fd < 0 && errno == EINTR);
	return result(ret->fd);
}

void io_file_close(struct io *io, struct io_file *f)
{
	(void)io;
	if (f->fd >= 0) close(f->fd);
	f->fd = -1;
}

int64_t io_file_read(struct io *io, const struct io_file *f, void *to, size_t len, uint64_t offset)
{
	(void)io;
	size_t got = 0;
	while (got < len) {
		ssize_t n = pread(f->fd, (char *)to + got, len - got, (off_t)(offset + got));
		if (n == 0) break;
		if (n > 0)
			got += (size_t)n;
		else if (errno != EINTR)
			return -errno;
	}
	return (int64_t)got;
}

/* Drop the n octets that were written, and what is empty behind them.  */
static void advance(struct iovec **iov, int *count, size_t n)
{
	while (*count > 0 && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		(*iov)++;
		(*count)--;
	}
	if (n == 0) return;
	(*iov)->iov_base = (char *)(*iov)->iov_base + n;
	(*iov)->iov_len -= n;
}

int io_file_write(
	struct io *io, const struct io_file *f, struct iovec *iov, int count, uint64_t offset)
{
	(void)io;
	for (advance(&iov, &count, 0); count > 0;) {
		ssize_t n = pwritev(f->fd, iov, count < IOV_MAX ? count : IOV_MAX, (off_t)offset);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return -errno;
		if (n == 0) return -EIO; /* a device that takes nothing and says nothing */
		offset += (size_t)n;
		advance(&iov, &count, (size_t)n);
	}
	return 0;
}

int io_file_sync(struct io *io, const struct io_file *f)
{
	(void)io;
	/* Never tried again: after a failure the system may call the lost pages clean.  */
	return result(fdatasync(f->fd));
}

int io_file_settle(struct io *io, const struct io_file *f)
{
	int error = io_file_sync(io, f);
	return error ? error : -posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
}

int64_t io_file_size(struct io *io, const struct io_file *f)
{
	(void)io;
	struct stat st;
	return fstat(f->fd, &st) < 0 ? -errno : st.st_size;
}

int io_file_truncate(struct io *io, const struct io_file *f, uint64_t size)
{
	(void)io;
	int error;
	do error = result(ftruncate(f->fd, (off_t)size));
	while (error == -EINTR);
	return error;
}

int io_file_lock(struct io *io, const struct io_file *f)
{
	(void)io;
	return result(flock(f->fd, LOCK_EX | LOCK_NB));
}

/* ---- whole files ---- */

static int read_all(int fd, struct buf *out)
{
	for (;;) {
		size_t room = out->max - out->len;
		char beyond;
		char *to = room ? buf_reserve(out, room < LOAD_STEP ? room : LOAD_STEP) : &beyond;
		if (!to) return -ENOMEM;
		ssize_t n = read(fd, to, !room ? 1 : room < LOAD_STEP ? room : LOAD_STEP);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) return result((int)n);
		if (!room) return -EFBIG;
		out->len += (size_t)n;
	}
}

int io_file_load(struct io *io, const char *path, struct buf *out)
{
	struct io_file f;
	int error = io_file_open(io, path, IO_OPEN_READ, &f);
	if (error) return error;
	size_t before = out->len;
	error = read_all(f.fd, out);
	if (error) out->len = before;
	io_file_close(io, &f);
	return error;
}

/* What root saves belongs to the owner of its directory: the server, which is not root.  */
static int give_to_owner(const char *path, const struct io_file *f)
{
	struct stat st;
	if (geteuid() != 0) return 0;
	int error = linux_stat_parent(path, &st);
	if (error || st.st_uid == 0) return error;
	error = result(fchown(f->fd, st.st_uid, st.st_gid));
	return error == -ENOSYS ? 0 : error; /* a server that stays root, in its sandbox */
}

static int write_synced(struct io *io, const char *path, struct str content)
{
	struct io_file f;
	int error = io_file_open(io, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE, &f);
	if (error) return error;
	struct iovec iov = {(void *)(uintptr_t)content.ptr, content.len};
	error = give_to_owner(path, &f);
	if (!error) error = io_file_write(io, &f, &iov, 1, 0);
	if (!error) error = io_file_sync(io, &f);
	io_file_close(io, &f);
	return error;
}

int io_file_save(struct io *io, const char *path, struct str content)
{
	char tmp[PATH_MAX];
	int len = snprintf(tmp, sizeof tmp, "%s.tmp", path);
	if (len < 0 || len >= (int)sizeof tmp) return -ENAMETOOLONG;
	int error = write_synced(io, tmp, content);
	if (!error) error = io_rename(io, tmp, path);
	if (!error) return linux_sync_parent(path);
	(void)unlink(tmp);
	return error;
}

/* ---- names ---- */

int io_rename(struct io *io, const char *from, const char *to)
{
	(void)io;
	return result(rename(from, to));
}

int io_link(struct io *io, const char *from, const char *to)
{
	(void)io;
	return result(link(from, to));
}

int io_unlink(struct io *io, const char *path)
{
	(void)io;
	return result(unlink(path));
}
