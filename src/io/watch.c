#include "io/linux.h"

int io_watch(struct io *io, struct io_watch *watch, int fd)
{
	watch->io = io;
	watch->fd = fd;
	int error = linux_poll_add(io, fd, watch, LINUX_WATCH, EPOLLIN);
	if (error) watch->fd = -1;
	return error;
}

void io_unwatch(struct io_watch *watch)
{
	if (!watch->io || watch->fd < 0) return;
	linux_poll_remove(watch->io, watch->fd, watch);
	watch->fd = -1;
}
