/* mailq and newaliases, as the classic commands do.  */
#include "cli/show.h"

struct listing {
	json_int_t messages, octets;
};

/* "2026-11-22T05:12:47.123Z" as "Sun Nov 22 05:12:47".  */
static void classic_time(const char *rfc3339, char *to, size_t room)
{
	msec wall;
	struct buf text;
	to[0] = 0;
	if (!clock_parse_rfc3339(str_from_c(rfc3339), &wall)) return;
	buf_init(&text, 64);
	clock_add_rfc5322(&text, wall); /* "Sun, 22 Nov 2026 05:12:47 +0000" */
	if (text.len >= 25)
		snprintf(to, room, "%.3s %.3s %.2s %.8s", text.ptr, text.ptr + 8, text.ptr + 5,
			text.ptr + 17);
	buf_release(&text);
}

static void answer(struct ask *ask, const json_t *o, bool last)
{
	struct listing *l = ask->context;
	if (last) {
		if (!l->messages)
			printf("Mail queue is empty\n");
		else
			printf("-- %lld Kbytes in %lld Request%s.\n",
				(long long)(l->octets + 1023) / 1024, (long long)l->messages,
				l->messages == 1 ? "" : "s");
		return;
	}
	char time[32];
	const char *sender = ask_text(o, "sender");
	if (!l->messages++)
		printf("-Queue ID-    --Size-- ----Arrival Time---- -Sender/Recipient-------\n");
	l->octets += ask_number(o, "size");
	classic_time(ask_text(o, "created"), time, sizeof time);
	const json_t *recipients = json_object_get(o, "recipients"), *r;
	size_t index;
	char mark = ' ';
	json_array_foreach((json_t *)recipients, index, r)
	{
		if (strcmp(ask_text(r, "state"), "active") == 0) mark = '*';
		if (strcmp(ask_text(r, "state"), "held") == 0) mark = '!';
	}
	printf("%s%c %8lld %s  %s\n", ask_text(o, "id"), mark, (long long)ask_number(o, "size"),
		time, *sender ? sender : "MAILER-DAEMON");
	json_array_foreach((json_t *)recipients, index, r)
	{
		if (strcmp(ask_text(r, "state"), "done") == 0) continue;
		if (*ask_text(r, "reason")) printf("(%s)\n", ask_text(r, "reason"));
		printf("%45s%s\n", "", ask_text(r, "address"));
	}
	putchar('\n');
}

int cli_mailq(const struct cli *cli, int argc, char **argv)
{
	static const struct cli_option table[] = {{.name = "config", .letter = 'C', .value = true},
		{.name = "verbose", .letter = 'v'}};
	struct cli_options o = {.command = "mailq",
		.table = table,
		.count = 2,
		.argc = argc,
		.at = 1,
		.argv = argv};
	struct cli own = *cli;
	struct str value;
	for (int option; (option = cli_next(&o, &value)) != CLI_END;) {
		if (option == CLI_BAD) return EXIT_USAGE;
		if (option == 0) own.config_file = value;
	}
	struct cli_world w;
	struct listing l = {0};
	int code = cli_world_open(&w, &own, "mailq");
	if (code) return code;
	struct ask ask = {
		.command = "mailq", .path = w.config->control.ptr, .answer = answer, .context = &l};
	code = ask_server(&w, &ask, json_pack("{s:s}", "command", "queue.list"));
	cli_world_close(&w);
	return code;
}

/* Aliases stand in the configuration, and need no other form.  */
int cli_newaliases(const struct cli *cli, int argc, char **argv)
{
	(void)cli, (void)argc, (void)argv;
	return EXIT_DONE;
}
