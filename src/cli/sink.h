/* Parts of `rockdove sink`.  */
#ifndef CLI_SINK_H
#define CLI_SINK_H

#include "cli/cli.h"
#include "smtp/server.h"

/* When it can be made to misbehave.  */
enum sink_moment { SINK_BANNER, SINK_MAIL, SINK_RCPT, SINK_DATA, SINK_END, SINK_MOMENTS };

struct sink_options {
	struct str address;
	struct smtp_reply replies[SINK_MOMENTS]; /* code 0: the usual one */
	msec delays[SINK_MOMENTS];
	unsigned fail_percent;
	const char *dump; /* directory; NULL: nothing is kept */
	uint64_t count;   /* leave after so many; 0: never */
};

/* Run it until SIGTERM, SIGINT or count; the exit code.  */
int sink_run(const struct sink_options *options);

#endif
