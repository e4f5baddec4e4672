/* There are no programs in the other world.  */
#include "io/child.h"

#include "io/warden.h"

#include <errno.h>

int io_child_start(struct io *io, struct io_child *child, const char *const *argv, msec timeout)
{
	(void)io, (void)child, (void)argv, (void)timeout;
	return -ENOSYS;
}

void io_child_clear(struct io_child *child) { (void)child; }

int io_warden_start(struct io *io, const char *const *const *commands, uint32_t count)
{
	(void)io, (void)commands, (void)count;
	return 0;
}
