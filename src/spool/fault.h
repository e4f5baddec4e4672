/* A disk that fails on demand: the calls io/ makes are caught here, in the test's own executable.  */
#ifndef SPOOL_FAULT_H
#define SPOOL_FAULT_H

#include "base/rng.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>

static struct {
	atomic_int sync_error;    /* of each fdatasync; 0: none */
	atomic_int sync_after;    /* so many succeed first */
	atomic_int write_error;
	atomic_ulong syncs;
	atomic_ulong free_octets; /* what statfs says; 0: the truth */
} fault;

int fdatasync(int fd)
{
	fault.syncs++;
	if (fault.sync_error && fault.sync_after-- <= 0) {
		errno = fault.sync_error;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	if (fault.write_error) {
		errno = fault.write_error;
		return -1;
	}
	return syscall(SYS_pwritev, fd, iov, count, offset, 0);
}

int statfs(const char *path, struct statfs *ret)
{
	int error = (int)syscall(SYS_statfs, path, ret);
	if (error == 0 && fault.free_octets) {
		ret->f_bavail = fault.free_octets / (uint64_t)ret->f_bsize;
		ret->f_bfree = ret->f_bavail;
	}
	return error;
}

#endif
