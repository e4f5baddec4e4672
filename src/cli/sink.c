/* rockdove sink: a server that accepts, counts and forgets, for tests; and can be made to misbehave.  */
#include "cli/sink.h"

enum option { OPT_REPLY, OPT_DELAY, OPT_FAIL, OPT_DUMP, OPT_COUNT, OPTIONS };

const struct cli_option cli_sink_options[] = {
	[OPT_REPLY] = {"reply", 0, true},
	[OPT_DELAY] = {"delay", 0, true},
	[OPT_FAIL] = {"fail", 0, true},
	[OPT_DUMP] = {"dump", 0, true},
	[OPT_COUNT] = {"count", 0, true},
};
const int cli_sink_option_count = OPTIONS;

static const char *const moment_names[SINK_MOMENTS] = {[SINK_BANNER] = "banner",
	[SINK_MAIL] = "mail",
	[SINK_RCPT] = "rcpt",
	[SINK_DATA] = "data",
	[SINK_END] = "end"};

static int wrong(const char *what, struct str value)
{
	cli_say("sink", "%s, not \"" STR_FMT "\"", what, STR_ARG(value));
	return EXIT_USAGE;
}

/* "CMD=REST".  SINK_MOMENTS: none is named so.  */
static enum sink_moment moment_of(struct str *value)
{
	struct str name;
	if (!str_cut(value, '=', &name)) return SINK_MOMENTS;
	if (str_ieq(name, STR("connect"))) return SINK_BANNER;
	if (str_ieq(name, STR("dot"))) return SINK_END;
	for (int i = 0; i < SINK_MOMENTS; i++)
		if (str_ieq(name, str_from_c(moment_names[i]))) return (enum sink_moment)i;
	return SINK_MOMENTS;
}

/* "CMD=CODE" or "CMD=CODE words".  */
static int read_reply(struct sink_options *o, struct str value)
{
	static const char what[] =
		"--reply wants CMD=CODE, CMD one of banner, mail, rcpt, data, end, CODE 200 to 599";
	struct str rest = value, code;
	enum sink_moment moment = moment_of(&rest);
	uint64_t number;
	str_cut(&rest, ' ', &code);
	if (moment == SINK_MOMENTS || !str_to_u64(code, 599, &number) || number < 200)
		return wrong(what, value);
	struct smtp_reply *reply = &o->replies[moment];
	size_t len = 0;
	reply->code = (uint16_t)number;
	rest = str_trim(rest);
	if (enhanced_parse(rest, &reply->enhanced, &len))
		rest = str_trim(str_skip(rest, len));
	else if (number != 354)
		reply->enhanced = (struct enhanced){(uint8_t)(number / 100), 0, 0};
	reply->text = rest.len ? rest : STR("as the sink was told");
	reply->close = number == 421;
	return EXIT_DONE;
}

static int read_delay(struct sink_options *o, struct str value)
{
	struct str rest = value;
	enum sink_moment moment = moment_of(&rest);
	msec time;
	if (moment == SINK_MOMENTS || !cli_parse_time(rest, &time))
		return wrong(
			"--delay wants CMD=TIME, CMD one of banner, mail, rcpt, data, end", value);
	o->delays[moment] = time;
	return EXIT_DONE;
}

static int read_fail(struct sink_options *o, struct str value)
{
	struct str number = value;
	if (number.len && number.ptr[number.len - 1] == '%') number.len--;
	uint64_t percent;
	if (!str_to_u64(number, 100, &percent)) return wrong("--fail wants 0% to 100%", value);
	o->fail_percent = (unsigned)percent;
	return EXIT_DONE;
}

static int take_option(struct sink_options *o, int option, struct str value)
{
	switch (option) {
	case OPT_REPLY: return read_reply(o, value);
	case OPT_DELAY: return read_delay(o, value);
	case OPT_FAIL: return read_fail(o, value);
	case OPT_DUMP: o->dump = value.ptr; return EXIT_DONE;
	case OPT_COUNT:
		if (str_to_u64(value, UINT64_MAX, &o->count) && o->count) return EXIT_DONE;
		return wrong("--count wants a number", value);
	case CLI_ARGUMENT: o->address = value; return EXIT_DONE;
	default: return EXIT_USAGE;
	}
}

int cli_sink(const struct cli *cli, int argc, char **argv)
{
	struct cli_options all = {.command = "sink",
		.table = cli_sink_options,
		.count = OPTIONS,
		.argc = argc,
		.at = 1,
		.argv = argv};
	struct sink_options o = {.address = STR("127.0.0.1:2525")};
	struct str value;
	(void)cli;
	for (int option; (option = cli_next(&all, &value)) != CLI_END;) {
		int code = option == CLI_BAD ? EXIT_USAGE : take_option(&o, option, value);
		if (code) return code;
	}
	return sink_run(&o);
}
