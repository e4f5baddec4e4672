/* There are no programs in the other world.  */
#include "io/child.h"

#include <errno.h>

int io_child_start(struct io *io, struct io_child *child, const char *const *argv, msec timeout)
{
	(void)io, (void)child, (void)argv, (void)timeout;
	return -ENOSYS;
}

void io_child_clear(struct io_child *child) { (void)child; }
