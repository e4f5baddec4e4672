/* The table of commands.  */
#include "cli/cli.h"

const struct cli_command cli_commands[] = {
	{
		.name = "serve",
		.arguments = "[--check] [HOST[:PORT]]...",
		.summary = "Run the server in the foreground, until SIGTERM or SIGINT.",
		.help = "HOST is a name or address to listen on, * is any, PORT is 25 unless given; with none, the\n"
			"`listen` blocks of the configuration. SIGHUP reads configuration and certificates again.\n\n"
			"      --check         read the configuration, say what is wrong with it, and leave\n",
		.run = cli_serve,
	},
	{0},
};
