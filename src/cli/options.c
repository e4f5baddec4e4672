#include "cli/cli.h"
#include "server/units.h"

static int bad(const struct cli_options *o, const char *what, struct str name)
{
	cli_say(o->command, "%s " STR_FMT "; `rockdove %s --help` shows the options", what,
		STR_ARG(name), o->command);
	return CLI_BAD;
}

static int unknown(const struct cli_options *o, struct str name)
{
	const struct cli_option *nearest = NULL;
	unsigned distance = 0;
	for (int i = 0; i < o->count; i++) {
		unsigned d = units_distance(name, str_from_c(o->table[i].name));
		if (!nearest || d < distance) nearest = &o->table[i], distance = d;
	}
	if (!nearest || !units_near(name, distance)) {
		cli_say(o->command,
			"there is no option --" STR_FMT "; `rockdove %s --help` shows them",
			STR_ARG(name), o->command);
		return CLI_BAD;
	}
	cli_say(o->command, "there is no option --" STR_FMT "; did you mean --%s?", STR_ARG(name),
		nearest->name);
	return CLI_BAD;
}

/* The value of option i: what is behind its name (has), or the next argument.  */
static int with_value(struct cli_options *o, int i, struct str given, bool has, struct str rest,
	struct str *ret_value)
{
	*ret_value = o->table[i].value ? rest : STR_NONE;
	if (!o->table[i].value) return has ? bad(o, "no value is wanted by", given) : i;
	if (has) return i;
	if (o->at >= o->argc) return bad(o, "a value is missing after", given);
	*ret_value = str_from_c(o->argv[o->at++]);
	return i;
}

static int long_option(struct cli_options *o, struct str argument, struct str *ret_value)
{
	struct str name, rest = argument;
	bool has = str_cut(&rest, '=', &name);
	for (int i = 0; i < o->count; i++)
		if (str_eq(str_skip(name, 2), str_from_c(o->table[i].name)))
			return with_value(o, i, name, has, rest, ret_value);
	return unknown(o, str_skip(name, 2));
}

/* "-v", "-fVALUE", "-f VALUE"; letters are not bundled.  */
static int short_option(struct cli_options *o, struct str argument, struct str *ret_value)
{
	for (int i = 0; i < o->count; i++) {
		if (!o->table[i].letter || o->table[i].letter != argument.ptr[1]) continue;
		return with_value(o, i, str_head(argument, 2), argument.len > 2,
			str_skip(argument, 2), ret_value);
	}
	return bad(o, "there is no option", argument);
}

int cli_next(struct cli_options *o, struct str *ret_value)
{
	*ret_value = STR_NONE;
	if (o->at >= o->argc) return CLI_END;
	struct str argument = str_from_c(o->argv[o->at++]);
	if (!o->operands_only && str_eq(argument, STR("--"))) {
		o->operands_only = true;
		return cli_next(o, ret_value);
	}
	if (!o->operands_only && str_starts(argument, STR("--")))
		return long_option(o, argument, ret_value);
	if (!o->operands_only && argument.len > 1 && argument.ptr[0] == '-')
		return short_option(o, argument, ret_value);
	*ret_value = argument;
	return CLI_ARGUMENT;
}

bool cli_parse_time(struct str s, int64_t *ret_ms) { return units_time(s, ret_ms); }

bool cli_parse_size(struct str s, uint64_t *ret_octets) { return units_size(s, ret_octets); }
