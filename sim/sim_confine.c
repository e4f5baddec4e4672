/* A machine here has one user, and no walls.  */
#include "io/confine.h"
#include "io/file.h"

#include <errno.h>

int io_user_find(struct io *io, const char *name, struct io_user *ret)
{
	(void)io, (void)name, (void)ret;
	return -ENOENT;
}

bool io_is_root(struct io *io)
{
	(void)io;
	return false;
}

int io_owner(struct io *io, const char *path, uint32_t *ret_uid)
{
	*ret_uid = 0;
	return io_path_exists(io, path) ? 0 : -ENOENT;
}

int io_hand_over(struct io *io, const char *path, const struct io_user *user)
{
	(void)io, (void)path, (void)user;
	return 0;
}

int io_become(struct io *io, const struct io_user *user)
{
	(void)io, (void)user;
	return -EPERM;
}

bool io_may(struct io *io, const char *path, bool write)
{
	(void)write;
	return io_path_exists(io, path);
}

int io_confine_paths(struct io *io, const struct io_grant *grants, uint32_t count)
{
	(void)io, (void)grants, (void)count;
	return -ENOSYS;
}

bool io_is_of_system(const char *path)
{
	(void)path;
	return false;
}

int io_path_real(struct io *io, const char *path, struct buf *out)
{
	if (!io_path_exists(io, path)) return -ENOENT;
	return buf_add(out, str_from_c(path)) ? 0 : -ENOMEM;
}

int io_confine_calls(struct io *io)
{
	(void)io;
	return -ENOSYS;
}
