#include "cli/cli.h"

void cli_help_classic(const struct cli_command *command)
{
	printf("Usage: %s%s%s\n\n%s\n\n", command->name, *command->arguments ? " " : "",
		command->arguments, command->summary);
	printf("%s  -C FILE     the configuration; else $ROCKDOVE_CONF, else /etc/rockdove/rockdove.conf\n"
	       "  --help      this\n",
		command->help);
}

void cli_help(const struct cli_command *command)
{
	if (command) {
		printf("Usage: rockdove %s%s%s\n\n%s\n", command->name,
			*command->arguments ? " " : "", command->arguments, command->summary);
		if (*command->help) printf("\n%s", command->help);
		printf("\n  -c, --config FILE   the configuration; else $ROCKDOVE_CONF, else /etc/rockdove/rockdove.conf\n"
		       "  -h, --help          this\n");
		return;
	}
	printf("rockdove, a mail server: takes mail over SMTP, keeps it safe, and forwards or delivers it.\n\n"
	       "Usage: rockdove [-c FILE] COMMAND [ARGUMENTS]\n\n");
	for (const struct cli_command *c = cli_commands; c->name; c++)
		printf("  %-11s %s\n", c->name, c->summary);
	printf("\n`rockdove COMMAND --help` says more. To try it out: `rockdove serve 127.0.0.1:2525`.\n");
}
