/* Programs for a server that may start none: a process of its own, made before the server gives that up, starts them in its
 * place.  It knows beforehand which; whoever has taken the server over can have these run, and no others.  */
#ifndef IO_WARDEN_H
#define IO_WARDEN_H

#include "io/io.h"

/* Make it, for these commands (each as argv of io_child_start; copied).  To be called before any thread starts.  From now on
 * io_child_start asks it; it ends when io does.  0 or -errno.  */
int MUST_CHECK io_warden_start(struct io *io, const char *const *const *commands, uint32_t count);

#endif
