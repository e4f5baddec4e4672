/* Between child.c and warden.c.  */
#ifndef IO_SPAWN_H
#define IO_SPAWN_H

#include "io/linux.h"

#include <sys/types.h>

/* Start a program that writes to output and errors.  0 or -errno.  */
int MUST_CHECK linux_spawn(const char *const *argv, int output, int errors, pid_t *ret_pid);

/* Have the warden start it.  Returns a socket: shut down for writing it kills the program and all of its group; an int, as
 * waitpid tells, comes when it has ended, and the end of the stream without one when the warden has.  Or -errno; -EACCES:
 * it does not know this command.  */
int MUST_CHECK linux_warden_spawn(int warden, const char *const *argv, int output, int errors);

#endif
