/* rockdove queue, and mailq.  */
#include "base/code.h"
#include "cli/filter.h"
#include "cli/show.h"

struct view {
	bool json, message, chosen;
	struct show_array array;
	json_int_t messages;
	const char *done; /* "deleted" */
	int code;
};

/* An id that is not there is no success.  */
static void report_missing(struct view *v, const json_t *last)
{
	size_t index;
	const json_t *id;
	json_array_foreach(json_object_get(last, "missing"), index, id)
	{
		cli_say("queue", "message %s is not in the queue", json_string_value(id));
		v->code = EXIT_UNAVAILABLE;
	}
}

/* ---- list ---- */

static void list_answer(struct ask *ask, const json_t *o, bool last)
{
	struct view *v = ask->context;
	if (last) {
		report_missing(v, o);
		if (v->json)
			show_array_end(&v->array);
		else if (!v->messages)
			printf("%s\n",
				v->chosen ? "Nothing like that is in the queue."
					  : "The queue is empty.");
		return;
	}
	v->messages++;
	if (v->json)
		show_array_add(&v->array, o);
	else
		show_message(o);
}

/* ---- show ---- */

static void show_octets(const json_t *o)
{
	struct buf octets;
	buf_init(&octets, 1 << 20);
	if (base64_decode(str_from_c(ask_text(o, "base64")), &octets))
		fwrite(octets.ptr, 1, octets.len, stdout);
	buf_release(&octets);
}

static void show_details(const json_t *o)
{
	static const char *const keys[] = {"client", "helo", "account", "tls", "hold_until"};
	show_message(o);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (*ask_text(o, keys[i])) printf("  %-10s %s\n", keys[i], ask_text(o, keys[i]));
	const json_t *flags = json_object_get(o, "flags"), *flag;
	size_t index;
	if (json_array_size(flags)) printf("  %-10s", "flags");
	json_array_foreach((json_t *)flags, index, flag) printf(" %s", json_string_value(flag));
	if (json_array_size(flags)) putchar('\n');
}

static void show_answer(struct ask *ask, const json_t *o, bool last)
{
	const struct view *v = ask->context;
	if (json_object_get(o, "base64"))
		show_octets(o);
	else if (last || v->message)
		return;
	else if (v->json)
		show_json(o);
	else
		show_details(o);
}

/* ---- acts ---- */

static void act_answer(struct ask *ask, const json_t *o, bool last)
{
	struct view *v = ask->context;
	if (!last) return;
	report_missing(v, o);
	if (v->json) {
		show_json(o);
		return;
	}
	json_int_t recipients = ask_number(o, "recipients"), messages = ask_number(o, "messages");
	printf("%lld recipient%s of %lld message%s %s.\n", (long long)recipients,
		recipients == 1 ? "" : "s", (long long)messages, messages == 1 ? "" : "s", v->done);
}

/* ---- stats ---- */

static void show_numbers(const char *title, const json_t *numbers)
{
	const char *key;
	json_t *value;
	printf("%s\n", title);
	json_object_foreach((json_t *)numbers, key, value)
	{
		if (json_is_integer(value))
			printf("  %-16s %lld\n", key, (long long)json_integer_value(value));
		else if (json_is_string(value))
			printf("  %-16s %s\n", key, json_string_value(value));
		else if (json_is_true(value))
			printf("  %-16s yes\n", key);
	}
}

static void show_destination(const json_t *d)
{
	printf("  %-32s %7lld ready %7lld deferred %4lld active %4lld held  %lld/%lld connections%s\n",
		ask_text(d, "destination"), (long long)ask_number(d, "ready"),
		(long long)ask_number(d, "deferred"), (long long)ask_number(d, "active"),
		(long long)ask_number(d, "held"), (long long)ask_number(d, "connections"),
		(long long)ask_number(d, "window"),
		json_is_true(json_object_get(d, "paused")) ? "  PAUSED" : "");
	if (*ask_text(d, "reason")) printf("      %s", ask_text(d, "reason"));
	if (*ask_text(d, "next_attempt")) printf("; next attempt %s", ask_text(d, "next_attempt"));
	if (*ask_text(d, "reason") || *ask_text(d, "next_attempt")) putchar('\n');
}

static void stats_answer(struct ask *ask, const json_t *o, bool last)
{
	const struct view *v = ask->context;
	if (!last) return;
	if (v->json) {
		show_json(o);
		return;
	}
	show_numbers("queue", json_object_get(o, "queue"));
	show_numbers("spool", json_object_get(o, "spool"));
	printf("destinations\n");
	size_t index;
	const json_t *destination;
	json_array_foreach(json_object_get(o, "destinations"), index, destination)
		show_destination(destination);
}

/* ---- verbs ---- */

static const struct verb {
	const char *name, *command, *done;
	bool choice; /* which messages has to be said */
	void (*answer)(struct ask *ask, const json_t *o, bool last);
} verbs[] = {
	{"list", "queue.list", NULL, false, list_answer},
	{"show", "queue.show", NULL, true, show_answer},
	{"retry", "queue.retry", "due at once", true, act_answer},
	{"hold", "queue.hold", "held", true, act_answer},
	{"release", "queue.release", "released", true, act_answer},
	{"delete", "queue.delete", "deleted", true, act_answer},
	{"stats", "queue.stats", NULL, false, stats_answer},
};

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0) return &verbs[i];
	return NULL;
}

static int run_verb(const struct cli *cli, const struct verb *verb, const struct filter *f)
{
	struct cli_world w;
	struct view v = {
		.json = f->json, .message = f->message, .chosen = f->chosen, .done = verb->done};
	int code = cli_world_open(&w, cli, "queue");
	if (code) {
		json_decref(f->request);
		return code;
	}
	struct ask ask = {.command = "queue",
		.path = w.config->control.ptr,
		.answer = verb->answer,
		.context = &v};
	code = ask_server(&w, &ask, f->request);
	cli_world_close(&w);
	return code ? code : v.code;
}

int cli_queue(const struct cli *cli, int argc, char **argv)
{
	const struct verb *verb = argc > 1 ? find_verb(argv[1]) : NULL;
	if (!verb) {
		cli_say("queue",
			"one of list, show, retry, hold, release, delete or stats is wanted");
		return EXIT_USAGE;
	}
	struct filter f;
	if (!filter_read(&f, verb->command, argc - 1, argv + 1)) return EXIT_USAGE;
	bool one = strcmp(verb->name, "show") == 0;
	size_t ids = json_array_size(json_object_get(f.request, "ids"));
	if ((verb->choice && !f.chosen) || (one && ids != 1)) {
		cli_say("queue",
			one ? "%s wants the id of one message"
			    : "%s wants ids, --sender A, --recipient A, --domain D or --all",
			verb->name);
		json_decref(f.request);
		return EXIT_USAGE;
	}
	return run_verb(cli, verb, &f);
}
