/* Sub-commands: each in a file of its own, cli/NAME.c.  */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/buf.h"

/* sysexits(3).  */
enum cli_exit {
	EXIT_DONE = 0,
	EXIT_USAGE = 64,
	EXIT_DATA = 65,
	EXIT_UNAVAILABLE = 69,
	EXIT_SOFTWARE = 70,
	EXIT_IO = 74,
	EXIT_TRY_AGAIN = 75,
	EXIT_CONFIG = 78
};

struct cli {
	const char *program; /* "rockdove" */
	struct str
		config_file; /* -c, $ROCKDOVE_CONF, /etc/rockdove/rockdove.conf, or empty: the defaults */
};

struct cli_option {
	const char *name; /* "from" */
	char letter;      /* 'f', or 0 */
	bool value;       /* takes one */
};

struct cli_command {
	const char *name;
	const char *arguments; /* for the usage line */
	const char *summary;   /* one line */
	const char *help;      /* what -h prints besides: options, a line each */
	/* argv[0] is the sub-command's name; -c and -h are taken out already.  */
	int (*run)(const struct cli *cli, int argc, char **argv);
	/* Its options, so that a value that looks like -c or -h is left alone; NULL: none takes a value.  */
	const struct cli_option *options;
	const int *option_count;
};

/* Terminated by a row without name.  */
extern const struct cli_command cli_commands[];

int cli_serve(const struct cli *cli, int argc, char **argv);
int cli_send(const struct cli *cli, int argc, char **argv);
int cli_queue(const struct cli *cli, int argc, char **argv);
int cli_trace(const struct cli *cli, int argc, char **argv);
int cli_route(const struct cli *cli, int argc, char **argv);
int cli_user(const struct cli *cli, int argc, char **argv);
int cli_sink(const struct cli *cli, int argc, char **argv);
int cli_bench(const struct cli *cli, int argc, char **argv);
int cli_sendmail(const struct cli *cli, int argc, char **argv);
int cli_mailq(const struct cli *cli, int argc, char **argv);
int cli_newaliases(const struct cli *cli, int argc, char **argv);

/* Tables that the row of their command names.  */
extern const struct cli_option cli_send_options[];
extern const int cli_send_option_count;
extern const struct cli_option cli_sink_options[];
extern const int cli_sink_option_count;
extern const struct cli_option cli_user_options[];
extern const int cli_user_option_count;
extern const struct cli_option cli_bench_options[];
extern const int cli_bench_option_count;

/* All of it: argv as main got it.  Returns the exit code.  */
int cli_main(int argc, char **argv);
/* Usage of one command, or (NULL) the list of all, on standard output.  */
void cli_help(const struct cli_command *command);
/* The same of one that stands under its classic name.  */
void cli_help_classic(const struct cli_command *command);
const struct cli_command *cli_command_find(struct str name);

/* Say "rockdove COMMAND: message" on standard error.  */
void cli_say(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);

/* Options as the commands take them: long names ("--from X", "--from=X"), one-letter ones, repeated at will.  Returns the
 * option's name index in table order, CLI_ARGUMENT for an operand (*ret_value), CLI_END, or CLI_BAD (said on standard error).  */
struct cli_options {
	const char *command;
	const struct cli_option *table;
	int count, argc, at;
	char **argv;
	bool operands_only; /* after "--" */
};
enum { CLI_END = -1, CLI_BAD = -2, CLI_ARGUMENT = -3 };
int cli_next(struct cli_options *o, struct str *ret_value);

/* "5m", "350ms", "2d"; "50M", "10k"; "127.0.0.1:2525".  False: not one.  */
bool cli_parse_time(struct str s, int64_t *ret_ms);
bool cli_parse_size(struct str s, uint64_t *ret_octets);

#endif
