/* rockdove user: accounts for submission.  The file is the server's too, who reads it again by itself.  */
#include "cli/ask.h"
#include "cli/password.h"
#include "io/file.h"
#include "policy/accounts.h"
#include "policy/usage.h"

#include <errno.h>

enum { FILE_MAX = 256 << 20 };

enum { OPT_PASSWORD_FILE, OPT_JSON, OPTIONS };
const struct cli_option cli_user_options[] = {
	[OPT_PASSWORD_FILE] = {"password-file", 0, true}, [OPT_JSON] = {"json", 0, false}};
const int cli_user_option_count = OPTIONS;

struct user {
	struct cli_world world;
	struct str action, name, password_file;
	bool json;
	char path[4096];
	struct buf text; /* the file's */
};

/* ---- the file ---- */

static int load(struct user *u)
{
	snprintf(u->path, sizeof u->path, STR_FMT "/accounts", STR_ARG(u->world.config->state));
	buf_init(&u->text, FILE_MAX);
	int error = io_file_load(u->world.io, u->path, &u->text);
	if (error == 0 || error == -ENOENT) return EXIT_DONE;
	cli_say("user", "%s: %s", u->path, strerror(-error));
	return EXIT_IO;
}

static int save(struct user *u, struct str text)
{
	int error = io_dir_make(u->world.io, u->world.config->state.ptr);
	if (error == 0) error = io_file_save(u->world.io, u->path, text);
	if (error == 0) return EXIT_DONE;
	cli_say("user", "%s: %s", u->path, strerror(-error));
	return EXIT_IO;
}

/* ---- passwords ---- */

static bool derive(struct user *u, struct str password, struct sasl_keys *keys)
{
	for (enum sasl_hash h = 0; h < SASL_HASHES; h++) {
		keys->of[h].iterations = SASL_ITERATIONS;
		io_random(u->world.io, keys->of[h].salt, SASL_SALT);
		if (!sasl_derive(password, h, &keys->of[h])) return false;
	}
	return true;
}

static int set_password(struct user *u, struct buf *out)
{
	struct buf password;
	buf_init(&password, CLI_PASSWORD_MAX);
	int code = cli_password(u->world.io, "user", u->password_file, &password);
	struct sasl_keys keys = {0};
	if (code == EXIT_DONE && (!buf_ok(&password) || !derive(u, buf_str(&password), &keys))) {
		cli_say("user",
			"this cannot be a password; any text of 1 to %d octets without control characters can",
			CLI_PASSWORD_MAX);
		code = EXIT_DATA;
	}
	cli_password_clear(&password);
	if (code == EXIT_DONE && !account_line(out, u->name, &keys)) code = EXIT_SOFTWARE;
	return code;
}

/* ---- actions ---- */

/* What the server knows of them; nothing, where it has not said anything yet.  */
static void load_usage(struct user *u, struct usage *usage)
{
	char path[4096];
	struct buf text, why;
	buf_init(&text, FILE_MAX);
	buf_init(&why, 1000);
	usage_init(usage, 0);
	snprintf(path, sizeof path, STR_FMT "/usage", STR_ARG(u->world.config->state));
	int error = io_file_load(u->world.io, path, &text);
	if (error && error != -ENOENT) cli_say("user", "%s: %s", path, strerror(-error));
	if (!error && !usage_load(usage, buf_str(&text), &why))
		cli_say("user", "%s: " STR_FMT, path, STR_ARG(buf_str(&why)));
	buf_release(&text);
	buf_release(&why);
}

static json_t *account_json(struct str name, const struct usage_account *held, struct str since)
{
	json_t *o = json_pack("{s:s%}", "name", name.ptr, name.len);
	if (!held) return o;
	json_object_set_new(o, "held", json_stringn(since.ptr, since.len));
	json_object_set_new(o, "why", json_string(held->why));
	return o;
}

static void list_one(struct user *u, struct str name, const struct usage *usage, json_t *names)
{
	const struct usage_account *held = usage_find(usage, name);
	char text[40];
	struct buf since = {.ptr = text, .cap = sizeof text, .max = sizeof text};
	if (held && !held->held) held = NULL;
	if (held) clock_add_rfc3339(&since, held->held);
	if (u->json)
		json_array_append_new(names, account_json(name, held, buf_str(&since)));
	else if (held)
		printf(STR_FMT "  held since " STR_FMT ": %s\n", STR_ARG(name),
			STR_ARG(buf_str(&since)), held->why);
	else
		printf(STR_FMT "\n", STR_ARG(name));
}

static int list(struct user *u)
{
	struct buf why;
	buf_init(&why, 1000);
	struct accounts *all = accounts_read(buf_str(&u->text), 0, &why);
	if (!all) cli_say("user", "%s: " STR_FMT, u->path, STR_ARG(buf_str(&why)));
	buf_release(&why);
	if (!all) return EXIT_DATA;
	struct usage usage;
	load_usage(u, &usage);
	json_t *names = json_array();
	for (struct map_node *n = NULL; (n = map_next(&all->names, n));)
		list_one(u, CONTAINER_OF(n, struct account, node)->name, &usage, names);
	if (u->json) {
		json_dumpf(names, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(names);
	usage_release(&usage);
	accounts_release(all);
	return EXIT_DONE;
}

static void released(struct ask *ask, const json_t *o, bool last)
{
	const struct user *u = ask->context;
	(void)o;
	if (last) printf(STR_FMT " is released, and so is its mail.\n", STR_ARG(u->name));
}

/* The running server's: the file is only what it remembers.  */
static int release(struct user *u)
{
	struct ask ask = {.command = "user",
		.path = u->world.config->control.ptr,
		.answer = released,
		.context = u};
	return ask_server(&u->world, &ask,
		json_pack("{s:s, s:s%}", "command", "user.release", "name", u->name.ptr,
			u->name.len));
}

static int change(struct user *u)
{
	bool adding = str_eq(u->action, STR("add")), removing = str_eq(u->action, STR("remove"));
	struct buf text;
	buf_init(&text, FILE_MAX);
	bool there = accounts_without(buf_str(&u->text), u->name, &text);
	int code = EXIT_DONE;
	if (there == adding) {
		cli_say("user", STR_FMT " %s", STR_ARG(u->name),
			adding ? "has an account; `rockdove user passwd` changes its password"
			       : "has no account");
		code = EXIT_DATA;
	} else if (!removing) {
		if (text.len && text.ptr[text.len - 1] != '\n') buf_add_c(&text, '\n');
		if (!text.len) buf_add(&text, STR(ACCOUNTS_FORMAT));
		code = set_password(u, &text);
	}
	if (code == EXIT_DONE) code = save(u, buf_str(&text));
	buf_release(&text);
	return code;
}

static int wrong(const char *words)
{
	cli_say("user", "%s; `rockdove user --help` tells more", words);
	return EXIT_USAGE;
}

static int read_arguments(struct user *u, int argc, char **argv)
{
	struct cli_options o = {.command = "user",
		.table = cli_user_options,
		.count = OPTIONS,
		.argc = argc,
		.at = 1,
		.argv = argv};
	struct str value;
	for (int option; (option = cli_next(&o, &value)) != CLI_END;) {
		if (option == CLI_BAD) return EXIT_USAGE;
		if (option == OPT_PASSWORD_FILE) u->password_file = value;
		if (option == OPT_JSON) u->json = true;
		if (option != CLI_ARGUMENT) continue;
		if (!u->action.ptr)
			u->action = value;
		else if (!u->name.ptr)
			u->name = value;
		else
			return wrong("one NAME at a time");
	}
	if (str_eq(u->action, STR("list")))
		return u->name.ptr ? wrong("list takes no NAME") : EXIT_DONE;
	static const struct str actions[] = {
		STR("add"), STR("remove"), STR("passwd"), STR("release")};
	bool known = false;
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) known |= str_eq(u->action, actions[i]);
	if (!known) return wrong("add, list, remove, passwd or release is wanted");
	return account_name_valid(u->name)
		? EXIT_DONE
		: wrong("NAME is a full address such as alice@example.com");
}

int cli_user(const struct cli *cli, int argc, char **argv)
{
	struct user u = {0};
	int code = read_arguments(&u, argc, argv);
	if (code) return code;
	code = cli_world_open(&u.world, cli, "user");
	if (code) return code;
	code = load(&u);
	if (code == EXIT_DONE)
		code = str_eq(u.action, STR("list"))       ? list(&u)
			: str_eq(u.action, STR("release")) ? release(&u)
							   : change(&u);
	buf_release(&u.text);
	cli_world_close(&u.world);
	return code;
}
