#include "cli/filter.h"

const struct cli_option filter_options[FILTER_OPTIONS] = {
	[FILTER_JSON] = {.name = "json"},
	[FILTER_SENDER] = {.name = "sender", .value = true},
	[FILTER_RECIPIENT] = {.name = "recipient", .value = true},
	[FILTER_DOMAIN] = {.name = "domain", .value = true},
	[FILTER_ALL] = {.name = "all"},
	[FILTER_MESSAGE] = {.name = "message"},
};

const int filter_option_count = FILTER_OPTIONS;

static json_t *text(struct str s) { return json_stringn(s.len ? s.ptr : "", s.len); }

static void choose(struct filter *f, const char *key, json_t *value)
{
	f->chosen = true;
	json_object_set_new(f->request, key, value);
}

static void add_id(struct filter *f, struct str id)
{
	if (!json_object_get(f->request, "ids")) choose(f, "ids", json_array());
	json_array_append_new(json_object_get(f->request, "ids"), text(id));
}

bool filter_read(struct filter *f, const char *command, int argc, char **argv)
{
	static const char *const keys[] = {[FILTER_SENDER] = "sender",
		[FILTER_RECIPIENT] = "recipient",
		[FILTER_DOMAIN] = "domain"};
	struct cli_options o = {.command = "queue",
		.table = filter_options,
		.count = FILTER_OPTIONS,
		.argc = argc,
		.at = 1,
		.argv = argv};
	*f = (struct filter){.request = json_pack("{s:s}", "command", command)};
	struct str value;
	for (int option; (option = cli_next(&o, &value)) != CLI_END;) {
		if (option == CLI_BAD) {
			json_decref(f->request);
			return false;
		}
		if (option == FILTER_JSON)
			f->json = true;
		else if (option == FILTER_MESSAGE)
			f->message = true;
		else if (option == FILTER_ALL)
			choose(f, "all", json_true());
		else if (option == CLI_ARGUMENT)
			add_id(f, value);
		else
			choose(f, keys[option], text(value));
	}
	if (f->message) json_object_set_new(f->request, "message", json_true());
	return true;
}
