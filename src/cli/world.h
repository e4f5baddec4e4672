/* What most commands begin with: a loop, and the configuration.  */
#ifndef CLI_WORLD_H
#define CLI_WORLD_H

#include "cli/cli.h"
#include "server/config.h"

struct cli_world {
	struct io *io;
	struct config *config;
	struct buf hostname; /* this machine's */
};

/* EXIT_DONE, or the exit code; what is wrong is said.  */
int cli_world_open(struct cli_world *w, const struct cli *cli, const char *command);
void cli_world_close(struct cli_world *w);

/* The addresses of "HOST[:PORT]", names resolved; how many, or 0 and it is said.  */
int cli_resolve(const char *command, struct str host_port, uint16_t port_default,
	struct net_address *to, int max);

#endif
