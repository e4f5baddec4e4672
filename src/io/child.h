/* Another program, run for what it writes; no shell, nothing on its standard input.  The simulator has no programs: there
 * every start is refused.  */
#ifndef IO_CHILD_H
#define IO_CHILD_H

#include "io/io.h"

#include <sys/types.h>

enum {
	IO_CHILD_OUTPUT = 16 << 10, /* octets of standard output at most; more is an error */
	IO_CHILD_ERRORS = 1 << 10,  /* of standard error; the rest is dropped */
};

struct io_child_pipe {
	struct io_watch watch;
	struct io_child *child;
	struct buf octets;
};

/* Caller-owned, one outstanding use.  A struct of zeros is one that was never used.  */
struct io_child {
	/* It has ended, and so has every process of its group.  */
	void (*done)(struct io_child *child);
	/* How it ended, valid in `done` and until io_child_clear.  */
	int error;  /* 0, or why it was killed: ETIMEDOUT, EMSGSIZE (too much output) */
	int status; /* exit code; 128 and the number of the signal that ended it */
	struct io_child_pipe output, errors;
	/* private */
	struct io *io;
	pid_t pid; /* 0: nothing runs */
	struct io_watch end;
	struct timer limit;
};

/* Begin.  argv: NULL-terminated, argv[0] a path; borrowed for the call.  It gets our environment and none of our descriptors.
 * 0 or -errno (then `done` never comes).  */
int MUST_CHECK io_child_start(
	struct io *io, struct io_child *child, const char *const *argv, msec timeout);
/* Kill it when it runs: `done` comes no more.  Memory goes.  */
void io_child_clear(struct io_child *child);

#endif
