/* Which messages of the queue a command line means.  */
#ifndef CLI_FILTER_H
#define CLI_FILTER_H

#include "cli/cli.h"

#include <jansson.h>

/* Options that every table of `queue` begins with, in this order.  */
enum {
	FILTER_JSON,
	FILTER_SENDER,
	FILTER_RECIPIENT,
	FILTER_DOMAIN,
	FILTER_ALL,
	FILTER_MESSAGE,
	FILTER_OPTIONS
};
extern const struct cli_option filter_options[FILTER_OPTIONS];
extern const int filter_option_count;

struct filter {
	json_t *request; /* with "command" and what was chosen; the caller's */
	bool json, message;
	bool chosen; /* anything at all */
};

/* Read argv (argv[0] is the verb).  command: for the request.  False: said.  */
bool filter_read(struct filter *f, const char *command, int argc, char **argv);

#endif
