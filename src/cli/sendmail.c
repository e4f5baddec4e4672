/* sendmail, as cron, PHP and mail(1) call it: a message on standard input, for the running server.  */
#include "cli/sendmail.h"

#include "mail/address.h"
#include "mail/header.h"

struct sendmail {
	struct str from, full_name, config;
	bool take_recipients; /* -t */
	bool ignore_dots;     /* -i */
	bool serve, list;     /* -bs, -bp */
	struct send_options send;
	struct arena arena; /* of recipients */
	struct buf text, message;
};

/* ---- options ---- */

/* Letters that take a value, in the same or the next argument, and mean nothing to us.  */
static bool takes_value(char letter) { return letter && strchr("ABLNORVXhpr", letter) != NULL; }

static int bad(const char *what, const char *argument)
{
	cli_say("sendmail", "%s %s", what, argument);
	return EXIT_USAGE;
}

static int take_mode(struct sendmail *m, char mode)
{
	if (mode == 's')
		m->serve = true;
	else if (mode == 'p')
		m->list = true;
	else if (mode != 'm')
		return cli_say("sendmail", "-b%c is not known here; -bm, -bs and -bp are", mode),
		       EXIT_USAGE;
	return EXIT_DONE;
}

/* argv[*at] begins with '-'.  */
static int take_option(struct sendmail *m, int argc, char **argv, int *at)
{
	const char *argument = argv[*at];
	char letter = argument[1];
	if (letter == 'f' || letter == 'F' || letter == 'C' || letter == 'r') {
		const char *value = argument[2] ? argument + 2
			: *at + 1 < argc        ? argv[++*at]
						: NULL;
		if (!value) return bad("a value is missing after", argument);
		if (letter == 'F')
			m->full_name = str_from_c(value);
		else if (letter == 'C')
			m->config = str_from_c(value);
		else
			m->from = str_from_c(value);
		return EXIT_DONE;
	}
	if (letter == 'b') return take_mode(m, argument[2]);
	if (letter == 't')
		m->take_recipients = true;
	else if (letter == 'i' || strcmp(argument, "-oi") == 0)
		m->ignore_dots = true;
	else if (letter == 'o' || letter == 'v' || letter == 'q' || letter == 'n' ||
		letter == 'm' || letter == 'e' || letter == 'G' || letter == 'U')
		; /* -om, -oem, -odi, -v, -q...: as we do anyway */
	else if (!takes_value(letter))
		return bad("there is no option", argument);
	else if (!argument[2] && *at + 1 < argc)
		++*at;
	return EXIT_DONE;
}

static int add_recipient(struct sendmail *m, struct str address)
{
	struct str kept;
	struct address a;
	if (m->send.recipient_count == SEND_LIST_MAX)
		return cli_say("sendmail", "too many recipients"), EXIT_DATA;
	if (!address_parse(address, true, true, &a)) {
		cli_say("sendmail", "\"" STR_FMT "\" is not an address", STR_ARG(address));
		return EXIT_DATA;
	}
	struct str *grown =
		realloc(m->send.recipients, (m->send.recipient_count + 1) * sizeof *grown);
	if (!grown) return EXIT_SOFTWARE;
	m->send.recipients = grown;
	if (!arena_copy(&m->arena, address, &kept)) return EXIT_SOFTWARE;
	grown[m->send.recipient_count++] = kept;
	return EXIT_DONE;
}

static int read_options(struct sendmail *m, int argc, char **argv)
{
	int at = 1, code = EXIT_DONE;
	for (; !code && at < argc && argv[at][0] == '-' && argv[at][1]; at++) {
		if (strcmp(argv[at], "--") == 0) {
			at++;
			break;
		}
		code = take_option(m, argc, argv, &at);
	}
	for (; !code && at < argc; at++)
		code = add_recipient(m, str_trim(compose_address(str_from_c(argv[at]))));
	return code;
}

/* ---- standard input ---- */

/* Up to its end, or to a line with one dot.  */
static bool read_message(struct sendmail *m)
{
	if (!compose_read_file(STR("-"), "sendmail", &m->text)) return false;
	if (m->ignore_dots) return true;
	struct str rest = buf_str(&m->text), line;
	size_t at = 0;
	while (rest.len) {
		str_cut(&rest, '\n', &line);
		size_t next = m->text.len - rest.len;
		if (str_eq(line, STR(".")) || str_eq(line, STR(".\r"))) {
			m->text.len = at;
			break;
		}
		at = next;
	}
	return true;
}

/* mail(1) of old sends "From user date" first.  */
static struct str without_mbox_line(struct str text)
{
	struct str line;
	if (str_starts(text, STR("From "))) str_cut(&text, '\n', &line);
	return text;
}

/* ---- the header ---- */

static int take_field(void *context, struct str address) { return add_recipient(context, address); }

struct seen {
	bool from, date, message_id, any;
};

static bool is_blind(struct str name)
{
	return str_ieq(name, STR("Bcc")) || str_ieq(name, STR("Resent-Bcc"));
}

/* Copy the header but Bcc, collecting recipients for -t.  *text becomes the body, with the empty line.  */
static int copy_header(struct sendmail *m, struct str *text, struct seen *seen)
{
	int code = EXIT_DONE;
	while (text->len && !code) {
		struct str before = *text, rest = *text, name, value;
		if (!header_next(&rest, &name, &value)) break;
		*text = rest;
		seen->any = true;
		bool blind = is_blind(name);
		if (m->take_recipients &&
			(blind || str_ieq(name, STR("To")) || str_ieq(name, STR("Cc"))))
			code = sendmail_addresses(value, take_field, m);
		seen->from |= str_ieq(name, STR("From"));
		seen->date |= str_ieq(name, STR("Date"));
		seen->message_id |= str_ieq(name, STR("Message-ID"));
		if (!blind) buf_add(&m->message, str_head(before, before.len - rest.len));
	}
	return code;
}

static void add_missing(
	struct sendmail *m, const struct seen *seen, struct str hostname, msec wall, uint64_t token)
{
	if (!seen->from && m->full_name.len)
		buf_printf(&m->message, "From: " STR_FMT " <" STR_FMT ">\n", STR_ARG(m->full_name),
			STR_ARG(m->from));
	else if (!seen->from)
		buf_printf(&m->message, "From: " STR_FMT "\n", STR_ARG(m->from));
	if (!seen->date) {
		buf_add(&m->message, STR("Date: "));
		clock_add_rfc5322(&m->message, wall);
		buf_add_c(&m->message, '\n');
	}
	if (!seen->message_id)
		buf_printf(&m->message, "Message-ID: <%016llx@" STR_FMT ">\n",
			(unsigned long long)token, STR_ARG(hostname));
}

static int make_message(struct sendmail *m, struct cli_world *w)
{
	struct seen seen = {0};
	uint64_t token;
	io_random(w->io, &token, sizeof token);
	struct str text = without_mbox_line(buf_str(&m->text));
	int code = copy_header(m, &text, &seen);
	if (code) return code;
	add_missing(m, &seen, w->config->hostname, io_wall(w->io), token);
	/* A text without a header is all body.  */
	bool separated = str_starts(text, STR("\n")) || str_starts(text, STR("\r\n"));
	if (!separated) buf_add_c(&m->message, '\n');
	buf_add(&m->message, text);
	if (!buf_ok(&m->message)) return cli_say("sendmail", "the message is too large"), EXIT_DATA;
	if (m->send.recipient_count) return EXIT_DONE;
	cli_say("sendmail", "there is no recipient");
	return EXIT_USAGE;
}

/* ---- handing over ---- */

/* A user of this machine: cron writes to "root".  */
static bool complete(struct sendmail *m, struct str *address, struct str hostname)
{
	if (!address->len || str_find(*address, '@') < address->len) return true;
	struct buf whole;
	buf_init(&whole, 4096);
	buf_printf(&whole, STR_FMT "@" STR_FMT, STR_ARG(*address), STR_ARG(hostname));
	bool fine = buf_ok(&whole) && arena_copy(&m->arena, buf_str(&whole), address);
	buf_release(&whole);
	return fine;
}

static bool complete_all(struct sendmail *m, struct str hostname)
{
	bool fine = complete(m, &m->send.from, hostname);
	for (uint32_t i = 0; fine && i < m->send.recipient_count; i++)
		fine = complete(m, &m->send.recipients[i], hostname);
	return fine;
}

static int submit(struct sendmail *m, struct cli_world *w)
{
	struct send s = {.command = "sendmail",
		.world = w,
		.options = &m->send,
		.quiet = true,
		.config = {.helo = w->config->hostname}};
	if (!complete_all(m, w->config->hostname)) return EXIT_SOFTWARE;
	int code = compose_whole(buf_str(&m->message), "sendmail", &s.message);
	if (!code) code = send_envelope(&s);
	if (!code) code = send_run(&s);
	free(s.envelope.recipients);
	buf_release(&s.message.content);
	return code;
}

static int run(struct sendmail *m, const struct cli *cli)
{
	struct cli_world w;
	struct buf sender, server;
	int code = cli_world_open(&w, cli, "sendmail");
	if (code) return code;
	buf_init(&sender, 1024);
	buf_init(&server, 256);
	if (!sendmail_server(w.config, &server)) {
		cli_say("sendmail", "no listener of this configuration takes mail from here");
		code = EXIT_TRY_AGAIN;
	}
	m->send.server = buf_str(&server);
	if (!code && m->serve) {
		code = sendmail_pipe(&w, m->send.server);
	} else if (!code) {
		send_default_sender(&sender, w.config->hostname);
		if (!m->from.ptr) m->from = buf_str(&sender);
		m->send.from = m->from;
		if (str_eq(m->from, STR("<>"))) m->send.from = STR("");
		if (!m->send.from.len) m->from = STR("MAILER-DAEMON");
		code = read_message(m) ? make_message(m, &w) : EXIT_IO;
		if (!code) code = submit(m, &w);
	}
	buf_release(&sender);
	buf_release(&server);
	cli_world_close(&w);
	return code;
}

int cli_sendmail(const struct cli *cli, int argc, char **argv)
{
	struct sendmail m = {.send = {.repeat = 1, .connections = 1}};
	struct cli own = *cli;
	arena_init(&m.arena, 16 << 20);
	buf_init(&m.text, COMPOSED_MAX);
	buf_init(&m.message, COMPOSED_MAX);
	int code = read_options(&m, argc, argv);
	if (m.config.ptr) own.config_file = m.config;
	if (!code && m.list) {
		char *arguments[] = {argv[0], NULL};
		code = cli_mailq(&own, 1, arguments);
	} else if (!code) {
		code = run(&m, &own);
	}
	free(m.send.recipients);
	arena_release(&m.arena);
	buf_release(&m.text);
	buf_release(&m.message);
	return code;
}
