/* rockdove bench: load for a server.  */
#include "cli/bench.h"

#include "mail/address.h"

enum option {
	OPT_MESSAGES,
	OPT_CONNECTIONS,
	OPT_SIZE,
	OPT_RECIPIENTS,
	OPT_RATE,
	OPT_PER_CONNECTION,
	OPT_FROM,
	OPT_TO,
	OPT_HELO,
	OPT_JSON,
	OPTIONS
};

const struct cli_option cli_bench_options[] = {
	[OPT_MESSAGES] = {"messages", 'm', true},
	[OPT_CONNECTIONS] = {"connections", 'n', true},
	[OPT_SIZE] = {"size", 'l', true},
	[OPT_RECIPIENTS] = {"recipients", 'r', true},
	[OPT_RATE] = {"rate", 0, true},
	[OPT_PER_CONNECTION] = {"per-connection", 0, true},
	[OPT_FROM] = {"from", 'f', true},
	[OPT_TO] = {"to", 't', true},
	[OPT_HELO] = {"helo", 0, true},
	[OPT_JSON] = {"json", 0, false},
};
const int cli_bench_option_count = OPTIONS;

enum { TO_MAX = 1000 };

static int number(struct str value, uint64_t min, uint64_t max, const char *what, uint64_t *to)
{
	if (str_to_u64(value, max, to) && *to >= min) return EXIT_DONE;
	cli_say("bench", "--%s wants %llu to %llu, not \"" STR_FMT "\"", what,
		(unsigned long long)min, (unsigned long long)max, STR_ARG(value));
	return EXIT_USAGE;
}

static int read_size(struct str value, uint64_t *to)
{
	if (cli_parse_size(value, to) && *to >= 256 && *to <= (1 << 30)) return EXIT_DONE;
	cli_say("bench", "--size wants 256 to 1G, not \"" STR_FMT "\"", STR_ARG(value));
	return EXIT_USAGE;
}

/* "100", "100/s", "6000/m": per second.  */
static int read_rate(struct str value, uint64_t *to)
{
	struct str count, unit = value;
	bool has_unit = str_cut(&unit, '/', &count);
	int64_t ms = 1000;
	char text[32];
	snprintf(text, sizeof text, "1" STR_FMT, STR_ARG(str_head(unit, 8)));
	if (str_to_u64(count, 100000000, to) &&
		(!has_unit || cli_parse_time(str_from_c(text), &ms)) && ms > 0) {
		*to = *to * 1000 / (uint64_t)ms;
		if (*to) return EXIT_DONE;
	}
	cli_say("bench",
		"--rate wants messages per time such as 1000/s, at least 1/s, not \"" STR_FMT "\"",
		STR_ARG(value));
	return EXIT_USAGE;
}

static int add_to(struct bench_options *o, struct str *list, struct str value)
{
	struct address a;
	if (o->to_count == TO_MAX || !address_parse(value, true, false, &a)) {
		cli_say("bench", "the recipient \"" STR_FMT "\" will not do", STR_ARG(value));
		return EXIT_USAGE;
	}
	list[o->to_count++] = value;
	return EXIT_DONE;
}

static int take_option(struct bench_options *o, struct str *to, int option, struct str value)
{
	switch (option) {
	case OPT_MESSAGES: return number(value, 1, 100000000, "messages", &o->messages);
	case OPT_CONNECTIONS: return number(value, 1, 100000, "connections", &o->connections);
	case OPT_SIZE: return read_size(value, &o->size);
	case OPT_RECIPIENTS: return number(value, 1, 10000, "recipients", &o->recipients);
	case OPT_RATE: return read_rate(value, &o->rate);
	case OPT_PER_CONNECTION:
		return number(value, 0, 100000000, "per-connection", &o->per_connection);
	case OPT_FROM: o->from = value; return EXIT_DONE;
	case OPT_TO: return add_to(o, to, value);
	case OPT_HELO: o->helo = value; return EXIT_DONE;
	case OPT_JSON: o->json = true; return EXIT_DONE;
	case CLI_ARGUMENT: o->server = value; return EXIT_DONE;
	default: return EXIT_USAGE;
	}
}

static int run(const struct cli *cli, struct bench_options *o, struct str *to)
{
	struct cli_world w;
	struct buf self;
	int code = cli_world_open(&w, cli, "bench");
	if (code) return code;
	buf_init(&self, 1024);
	buf_printf(&self, "bench@" STR_FMT, STR_ARG(w.config->hostname));
	if (!o->from.ptr) o->from = buf_str(&self);
	if (!o->helo.len) o->helo = w.config->hostname;
	if (!o->to_count) to[o->to_count++] = buf_str(&self);
	code = bench_run(&w, o);
	buf_release(&self);
	cli_world_close(&w);
	return code;
}

int cli_bench(const struct cli *cli, int argc, char **argv)
{
	struct cli_options all = {.command = "bench",
		.table = cli_bench_options,
		.count = OPTIONS,
		.argc = argc,
		.at = 1,
		.argv = argv};
	struct str to[TO_MAX];
	struct bench_options o = {
		.messages = 1000, .connections = 10, .size = 4096, .recipients = 1, .to = to};
	struct str value;
	for (int option; (option = cli_next(&all, &value)) != CLI_END;) {
		int code = option == CLI_BAD ? EXIT_USAGE : take_option(&o, to, option, value);
		if (code) return code;
	}
	if (o.server.len) return run(cli, &o, to);
	cli_say("bench", "which server? HOST[:PORT] is wanted");
	return EXIT_USAGE;
}
