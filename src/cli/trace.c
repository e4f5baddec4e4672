/* rockdove trace: where is my mail?  */
#include "cli/show.h"

struct trace_view {
	bool json;
	struct show_array array;
	json_int_t events;
	char id[32]; /* of the message that is being told */
};

static void show_recipients(const json_t *o)
{
	size_t index;
	const json_t *recipient;
	json_array_foreach(json_object_get(o, "recipients"), index, recipient)
		printf("%s %s", index ? "," : "", json_string_value(recipient));
}

static void show_accepted(const json_t *o)
{
	char size[16];
	show_size(ask_number(o, "size"), size, sizeof size);
	printf("accepted from %s for", *ask_text(o, "sender") ? ask_text(o, "sender") : "<>");
	show_recipients(o);
	printf(", %s", size);
	if (*ask_text(o, "client"))
		printf(", client %s (%s)", ask_text(o, "client"), ask_text(o, "helo"));
	if (*ask_text(o, "account")) printf(", logged in as %s", ask_text(o, "account"));
	if (*ask_text(o, "tls")) printf(", %s", ask_text(o, "tls"));
	if (*ask_text(o, "message_id")) printf(", Message-ID %s", ask_text(o, "message_id"));
}

static void show_attempt(const json_t *o)
{
	printf("%s: %s", ask_text(o, "recipient"), ask_text(o, "outcome"));
	if (*ask_text(o, "host")) printf(" by %s", ask_text(o, "host"));
	if (json_object_get(o, "code")) printf(", %lld", (long long)ask_number(o, "code"));
	if (*ask_text(o, "status")) printf(" %s", ask_text(o, "status"));
	if (*ask_text(o, "text")) printf(" %s", ask_text(o, "text"));
	if (*ask_text(o, "tls")) printf(", %s", ask_text(o, "tls"));
	printf(", after %lld ms", (long long)ask_number(o, "elapsed_ms"));
	if (json_is_true(json_object_get(o, "doubtful"))) printf(", may arrive twice");
	if (*ask_text(o, "next_attempt")) printf("; next attempt %s", ask_text(o, "next_attempt"));
}

static void show_event(const json_t *o)
{
	const char *event = ask_text(o, "event");
	printf("  %s  ", ask_text(o, "time"));
	if (strcmp(event, "accepted") == 0)
		show_accepted(o);
	else if (strcmp(event, "attempt") == 0)
		show_attempt(o);
	else if (strcmp(event, "bounced") == 0)
		printf("returned to its sender as %s", ask_text(o, "other_id"));
	else if (strcmp(event, "reported") == 0)
		printf("a report about it went to its sender as %s", ask_text(o, "other_id"));
	else if (strcmp(event, "alias") == 0)
		printf("%s stood for", ask_text(o, "recipient")), show_recipients(o);
	else if (strcmp(event, "delay-told") == 0)
		printf("its sender was told that it is delayed");
	else if (strcmp(event, "done") == 0)
		printf("done");
	else
		printf("%s by the operator: %s", event, ask_text(o, "recipient"));
	putchar('\n');
}

static void answer(struct ask *ask, const json_t *o, bool last)
{
	struct trace_view *v = ask->context;
	if (last) {
		if (v->json) show_array_end(&v->array);
		return;
	}
	v->events++;
	if (v->json) {
		show_array_add(&v->array, o);
		return;
	}
	bool queued = strcmp(ask_text(o, "event"), "queued") == 0;
	if (strcmp(v->id, ask_text(o, "id")) != 0 && !queued)
		printf("%s%s\n", *v->id ? "\n" : "", ask_text(o, "id"));
	if (queued) printf("\nIn the queue now:\n");
	snprintf(v->id, sizeof v->id, "%s", ask_text(o, "id"));
	if (queued)
		show_message(o);
	else
		show_event(o);
}

int cli_trace(const struct cli *cli, int argc, char **argv)
{
	static const struct cli_option table[] = {{.name = "json"}};
	struct cli_options o = {.command = "trace",
		.table = table,
		.count = 1,
		.argc = argc,
		.at = 1,
		.argv = argv};
	struct trace_view v = {0};
	struct str value, what = STR_NONE;
	for (int option; (option = cli_next(&o, &value)) != CLI_END;) {
		if (option == CLI_BAD) return EXIT_USAGE;
		if (option == 0)
			v.json = true;
		else if (!what.len)
			what = value;
		else
			return cli_say("trace", "one thing is traced at a time"), EXIT_USAGE;
	}
	if (!what.len) {
		cli_say("trace",
			"what? A queue id, Message-ID, sender, recipient or @domain is wanted");
		return EXIT_USAGE;
	}
	struct cli_world w;
	int code = cli_world_open(&w, cli, "trace");
	if (code) return code;
	struct ask ask = {
		.command = "trace", .path = w.config->control.ptr, .answer = answer, .context = &v};
	code = ask_server(
		&w, &ask, json_pack("{s:s, s:s%}", "command", "trace", "what", what.ptr, what.len));
	cli_world_close(&w);
	if (code == EXIT_DONE && !v.events) {
		cli_say("trace", "nothing is known of " STR_FMT, STR_ARG(what));
		return EXIT_UNAVAILABLE;
	}
	return code;
}
