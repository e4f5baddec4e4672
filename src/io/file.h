/* Files and directories, synchronous: for workers, and for starting.  Every path is as the caller
 * names it.  Functions return 0 (or a count) or a negative errno.  All but where said may be called
 * from any thread; `io` tells which world (the simulator's disk belongs to its machine).  */
#ifndef IO_FILE_H
#define IO_FILE_H

#include "io/io.h"

#include <sys/uio.h>

struct io_file {
	int fd; /* -1: not open */
};

enum io_open {
	IO_OPEN_READ = 0,
	IO_OPEN_WRITE = 1,     /* read and write */
	IO_OPEN_CREATE = 2,    /* make it (0600) when absent */
	IO_OPEN_EXCLUSIVE = 4, /* with CREATE: -EEXIST when it exists */
	IO_OPEN_TRUNCATE = 8,
	IO_OPEN_DIRECT = 16, /* past the page cache; octets, offsets and lengths aligned to 4096 */
};

/* how: IO_OPEN_*.  *ret is written on success alone.  */
int MUST_CHECK io_file_open(struct io *io, const char *path, unsigned how, struct io_file *ret);
/* f->fd is -1 afterwards; harmless when it was.  What was not synced may be lost.  */
void io_file_close(struct io *io, struct io_file *f);
/* Octets read (short only at the end of the file).  */
int64_t MUST_CHECK io_file_read(
	struct io *io, const struct io_file *f, void *to, size_t len, uint64_t offset);
/* All of it or an error; iov is used up.  */
int MUST_CHECK io_file_write(
	struct io *io, const struct io_file *f, struct iovec *iov, int count, uint64_t offset);
/* Data (and what is needed to find it) is on the medium: fdatasync.  */
int MUST_CHECK io_file_sync(struct io *io, const struct io_file *f);
/* What reads see from now on is on the medium: all that is pending is synced, and what a sync that failed
 * has left in memory alone (the system may call it clean) is let go of.  For who starts on files that
 * another life has written.  */
int MUST_CHECK io_file_settle(struct io *io, const struct io_file *f);
int64_t MUST_CHECK io_file_size(struct io *io, const struct io_file *f);
int MUST_CHECK io_file_truncate(struct io *io, const struct io_file *f, uint64_t size);
/* Only one process holds it, until the file is closed; -EWOULDBLOCK when another does.  */
int MUST_CHECK io_file_lock(struct io *io, const struct io_file *f);
/* A whole small file (at most out->max) / replace one atomically and durably (tmp, sync, rename, sync
 * of the directory).  */
int MUST_CHECK io_file_load(struct io *io, const char *path, struct buf *out);
int MUST_CHECK io_file_save(struct io *io, const char *path, struct str content);

/* As the system calls; durable after io_dir_sync of the directory.  */
int MUST_CHECK io_rename(struct io *io, const char *from, const char *to);
/* See io_rename.  */
int MUST_CHECK io_link(struct io *io, const char *from, const char *to);
/* See io_rename.  */
int MUST_CHECK io_unlink(struct io *io, const char *path);
/* Make path and what is missing above it (0700); fine when it exists; each new entry is synced.  */
int MUST_CHECK io_dir_make(struct io *io, const char *path);
int MUST_CHECK io_dir_sync(struct io *io, const char *path);
/* Call visit for each entry but . and .., in no order, until it returns false.  */
int MUST_CHECK io_dir_each(struct io *io, const char *path,
	bool (*visit)(void *context, const char *name), void *context);
bool io_path_exists(struct io *io, const char *path);
/* Modification time and size; -ENOENT.  */
int io_path_stat(struct io *io, const char *path, msec *ret_mtime, uint64_t *ret_size);

/* Who may do what with it: permission bits.  -ENOENT.  */
int MUST_CHECK io_path_mode(struct io *io, const char *path, uint32_t *ret_mode);

/* What the file system under path has left for us, and what kind it is.  */
enum io_fs { IO_FS_DISK, IO_FS_MEMORY, IO_FS_OVERLAY, IO_FS_NETWORK };
int MUST_CHECK io_fs(struct io *io, const char *path, uint64_t *ret_free, enum io_fs *ret_kind);

#endif
