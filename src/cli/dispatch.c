/* From argv to a command: the configuration's name, help, and which command it is.  */
#include "cli/cli.h"
#include "server/units.h"

#include <stdarg.h>

#define DEFAULT_CONFIG "/etc/rockdove/rockdove.conf"

void cli_say(const char *command, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fprintf(stderr, "rockdove%s%s: ", command ? " " : "", command ? command : "");
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
}

const struct cli_command *cli_command_find(struct str name)
{
	for (const struct cli_command *c = cli_commands; c->name; c++)
		if (str_eq(str_from_c(c->name), name)) return c;
	return NULL;
}

static int unknown(struct str name)
{
	const struct cli_command *nearest = NULL;
	unsigned distance = 0;
	for (const struct cli_command *c = cli_commands; c->name; c++) {
		unsigned d = units_distance(name, str_from_c(c->name));
		if (!nearest || d < distance) nearest = c, distance = d;
	}
	if (nearest && units_near(name, distance))
		cli_say(NULL, "there is no command \"" STR_FMT "\"; did you mean \"%s\"?",
			STR_ARG(name), nearest->name);
	else
		cli_say(NULL, "there is no command \"" STR_FMT "\"; `rockdove --help` shows them",
			STR_ARG(name));
	return EXIT_USAGE;
}

/* ---- what every command takes ---- */

struct common {
	struct str config; /* ptr NULL: not given */
	bool help, version;
	bool missing; /* -c without a value */
};

/* Whether argument is an option of the command that takes its value from the next argument.  */
static bool takes_next(const struct cli_command *command, struct str argument)
{
	if (!command || !command->options) return false;
	for (int i = 0; i < *command->option_count; i++) {
		const struct cli_option *o = &command->options[i];
		if (!o->value) continue;
		if (argument.len == 2 && o->letter && argument.ptr[1] == o->letter) return true;
		if (str_starts(argument, STR("--")) &&
			str_eq(str_skip(argument, 2), str_from_c(o->name)))
			return true;
	}
	return false;
}

/* argv[at] is one of the common options: how many arguments it takes; 0: it is none.  */
static int common_option(struct common *common, int argc, char **argv, int at)
{
	struct str argument = str_from_c(argv[at]);
	if (str_eq(argument, STR("-h")) || str_eq(argument, STR("--help")))
		return common->help = true, 1;
	if (str_eq(argument, STR("--version"))) return common->version = true, 1;
	if (str_eq(argument, STR("-c")) || str_eq(argument, STR("--config"))) {
		common->missing = at + 1 >= argc;
		if (!common->missing) common->config = str_from_c(argv[at + 1]);
		return 2;
	}
	if (str_starts(argument, STR("--config=")))
		return common->config = str_skip(argument, 9), 1;
	return 0;
}

/* Take the common options out of argv, up to "--"; and up to the first operand when there is no command yet.  Returns
 * how many arguments are left.  */
static int take_common(
	struct common *common, const struct cli_command *command, int argc, char **argv)
{
	int kept = 1, at = 1;
	while (at < argc && strcmp(argv[at], "--") != 0) {
		if (!command && argv[at][0] != '-') break;
		int used = common_option(common, argc, argv, at);
		at += used;
		if (used) continue;
		bool value = takes_next(command, str_from_c(argv[at]));
		argv[kept++] = argv[at++];
		if (value && at < argc) argv[kept++] = argv[at++];
	}
	while (at < argc) argv[kept++] = argv[at++];
	argv[kept] = NULL;
	return kept;
}

static struct str find_config(struct str given)
{
	if (given.ptr) return given;
	const char *environment = getenv("ROCKDOVE_CONF");
	if (environment && *environment) return str_from_c(environment);
	return access(DEFAULT_CONFIG, F_OK) == 0 ? STR(DEFAULT_CONFIG) : STR("");
}

/* ---- dispatch ---- */

static int run(const struct cli_command *command, struct str config, int argc, char **argv)
{
	struct cli cli = {.program = "rockdove", .config_file = find_config(config)};
	int code = command->run(&cli, argc, argv);
	if (fflush(stdout) != 0 && code == EXIT_DONE) code = EXIT_IO;
	return code;
}

static int show_version(void)
{
	printf("rockdove %s\n", ROCKDOVE_VERSION);
	return EXIT_DONE;
}

/* Under these names the binary behaves as the classic commands, whose options are their own (-C FILE, -h NUMBER).  */
static const struct cli_command *classic(const char *argv0)
{
	struct str name = str_from_c(argv0);
	size_t slash = str_rfind(name, '/');
	if (slash < name.len) name = str_skip(name, slash + 1);
	if (!str_eq(name, STR("sendmail")) && !str_eq(name, STR("mailq")) &&
		!str_eq(name, STR("newaliases")))
		return NULL;
	return cli_command_find(name);
}

static int run_command(struct common *common, int argc, char **argv)
{
	struct str name = str_from_c(argv[0]);
	const struct cli_command *command = cli_command_find(name);
	if (!command) return unknown(name);
	bool is_classic = classic(argv[0]) != NULL;
	if (!is_classic) argc = take_common(common, command, argc, argv);
	if (common->missing) {
		cli_say(command->name, "a file is missing after -c");
		return EXIT_USAGE;
	}
	if (common->help) return cli_help(command), EXIT_DONE;
	if (common->version) return show_version();
	return run(command, common->config, argc, argv);
}

int cli_main(int argc, char **argv)
{
	struct common common = {0};
	const struct cli_command *command = argc > 0 ? classic(argv[0]) : NULL;
	if (command && argc == 2 && strcmp(argv[1], "--help") == 0)
		return cli_help_classic(command), EXIT_DONE;
	if (command && argc == 2 && strcmp(argv[1], "--version") == 0) return show_version();
	if (command) return run(command, STR_NONE, argc, argv);
	if (argc > 0) argc = take_common(&common, NULL, argc, argv);
	if (common.version) return show_version();
	bool help = common.help || (argc > 1 && strcmp(argv[1], "help") == 0);
	if (help && argc > 2) return common.help = true, run_command(&common, argc - 2, argv + 2);
	if (help && (argc < 2 || strcmp(argv[1], "help") == 0)) return cli_help(NULL), EXIT_DONE;
	if (argc < 2) {
		cli_say(NULL, "a command is missing; `rockdove --help` shows them");
		return EXIT_USAGE;
	}
	if (argv[1][0] == '-') {
		cli_say(NULL, "there is no option %s; `rockdove --help` shows what there is",
			argv[1]);
		return EXIT_USAGE;
	}
	return run_command(&common, argc - 1, argv + 1);
}
