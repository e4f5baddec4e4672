/* Giving up power: whose rights a process has, which paths it reaches, which calls it may make.  None of it can be taken
 * back.  All hold for the calling thread and the threads it starts afterwards, so they come before any other thread
 * does.  Functions return 0 or a negative errno.  Inert in the simulator.  */
#ifndef IO_CONFINE_H
#define IO_CONFINE_H

#include "io/io.h"

/* ---- whose rights ---- */

struct io_user {
	const char *name; /* borrowed */
	uint32_t uid, gid;
};

/* Find a user by name; -ENOENT.  ret->name borrows name.  */
int MUST_CHECK io_user_find(struct io *io, const char *name, struct io_user *ret);
/* Whether this process is the superuser.  */
bool io_is_root(struct io *io);
/* Owner of path.  */
int MUST_CHECK io_owner(struct io *io, const char *path, uint32_t *ret_uid);
/* Make path and all in it that is root's the user's; directories of others are not entered, nor are other file systems, and
 * symbolic links are not followed.  path itself is the last, so that who finds it handed over finds all in it so.  */
int MUST_CHECK io_hand_over(struct io *io, const char *path, const struct io_user *user);
/* Root becomes the user, with the user's groups, for good.  One right of root's stays: to bind ports below 1024.  */
int MUST_CHECK io_become(struct io *io, const struct io_user *user);
/* Whether this process may read, or change too, what stands at path.  */
bool io_may(struct io *io, const char *path, bool write);

/* ---- which paths ---- */

/* Something that stays in reach: a file, or a directory with all that is and will be under it.  */
struct io_grant {
	const char *path;
	bool write;
};

/* Keep within grants, and within what libc, OpenSSL and libunbound read of the system (reading alone).  What is open
 * stays open; local sockets elsewhere can still be connected to.  A grant whose path is not there is left out.  Returns
 * the version of Landlock; -ENOSYS, -EOPNOTSUPP: this kernel has none.  */
int MUST_CHECK io_confine_paths(struct io *io, const struct io_grant *grants, uint32_t count);
/* Whether path is of the system, and can be read without a grant.  */
bool io_is_of_system(const char *path);
/* path with its symbolic links followed, appended to out (no NUL).  */
int MUST_CHECK io_path_real(struct io *io, const char *path, struct buf *out);

/* ---- which calls ---- */

/* Keep to the system calls that a server needs.  Any other fails with ENOSYS, as on a kernel that has no such call: libc
 * and the libraries then take the older way, where they have one.  No process can be started, no program executed, no
 * memory made executable that can be written.  Returns how many calls are left.  */
int MUST_CHECK io_confine_calls(struct io *io);

#endif
