/* rockdove send: one message, from the command line.  */
#include "cli/send.h"

#include "cli/password.h"
#include "mail/address.h"

#include <pwd.h>

enum option {
	OPT_SERVER,
	OPT_FROM,
	OPT_TO,
	OPT_SUBJECT,
	OPT_BODY,
	OPT_BODY_FILE,
	OPT_HEADER,
	OPT_ATTACH,
	OPT_MESSAGE,
	OPT_TLS,
	OPT_TLS_VERIFY,
	OPT_USER,
	OPT_PASSWORD_FILE,
	OPT_AUTH,
	OPT_HELO,
	OPT_REPEAT,
	OPT_CONNECTIONS,
	OPT_UNTIL,
	OPT_TRACE,
	OPTIONS
};

const struct cli_option cli_send_options[] = {
	[OPT_SERVER] = {"server", 's', true},
	[OPT_FROM] = {"from", 'f', true},
	[OPT_TO] = {"to", 't', true},
	[OPT_SUBJECT] = {"subject", 0, true},
	[OPT_BODY] = {"body", 0, true},
	[OPT_BODY_FILE] = {"body-file", 0, true},
	[OPT_HEADER] = {"header", 0, true},
	[OPT_ATTACH] = {"attach", 0, true},
	[OPT_MESSAGE] = {"message", 0, true},
	[OPT_TLS] = {"tls", 0, true},
	[OPT_TLS_VERIFY] = {"tls-verify", 0, false},
	[OPT_USER] = {"user", 0, true},
	[OPT_PASSWORD_FILE] = {"password-file", 0, true},
	[OPT_AUTH] = {"auth", 0, true},
	[OPT_HELO] = {"helo", 0, true},
	[OPT_REPEAT] = {"repeat", 0, true},
	[OPT_CONNECTIONS] = {"connections", 0, true},
	[OPT_UNTIL] = {"until", 0, true},
	[OPT_TRACE] = {"trace", 0, false},
};
const int cli_send_option_count = OPTIONS;

/* ---- options ---- */

static int wrong(const char *what, struct str value)
{
	cli_say("send", "%s \"" STR_FMT "\" will not do", what, STR_ARG(value));
	return EXIT_USAGE;
}

static int add(struct str **list, uint32_t *count, struct str value)
{
	if (*count == SEND_LIST_MAX) return wrong("more than 10000 of these, as", value);
	struct str *grown = realloc(*list, (*count + 1) * sizeof *grown);
	if (!grown) return EXIT_SOFTWARE;
	*list = grown;
	grown[(*count)++] = value;
	return EXIT_DONE;
}

static int add_recipient(struct send_options *o, struct str value)
{
	struct address a;
	if (!address_parse(compose_address(value), true, false, &a))
		return wrong("the recipient", value);
	return add(&o->recipients, &o->recipient_count, value);
}

static int read_until(struct send_options *o, struct str value)
{
	static const char *const names[] = {[UNTIL_EHLO] = "ehlo",
		[UNTIL_MAIL] = "mail",
		[UNTIL_RCPT] = "rcpt",
		[UNTIL_DATA] = "data"};
	for (size_t i = UNTIL_EHLO; i < ARRAY_LEN(names); i++) {
		if (!str_ieq(value, str_from_c(names[i]))) continue;
		o->until = (enum send_until)i;
		return EXIT_DONE;
	}
	return wrong("--until wants ehlo, mail, rcpt or data;", value);
}

static int read_tls(struct send_options *o, struct str value)
{
	static const char *const names[] = {[TALK_TLS_OFF] = "off",
		[TALK_TLS_OPPORTUNISTIC] = "opportunistic",
		[TALK_TLS_STARTTLS] = "starttls",
		[TALK_TLS_IMPLICIT] = "implicit"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!str_ieq(value, str_from_c(names[i]))) continue;
		o->tls = (enum talk_tls)i;
		return EXIT_DONE;
	}
	return wrong("--tls wants off, opportunistic, starttls or implicit;", value);
}

static int read_mechanism(struct send_options *o, struct str value)
{
	const char *name;
	for (uint32_t i = 0; (name = sasl_client_known(i)); i++) {
		if (!str_ieq(value, str_from_c(name))) continue;
		o->auth = str_from_c(name);
		return EXIT_DONE;
	}
	return wrong("--auth wants a mechanism such as SCRAM-SHA-256, PLAIN or XOAUTH2;", value);
}

static int read_number(struct str value, uint64_t max, const char *what, uint64_t *to)
{
	if (str_to_u64(value, max, to) && *to > 0) return EXIT_DONE;
	return wrong(what, value);
}

static int take_option(struct send_options *o, int option, struct str value)
{
	switch (option) {
	case OPT_SERVER: o->server = value; return EXIT_DONE;
	case OPT_FROM: o->from = value; return EXIT_DONE;
	case OPT_TO:
	case CLI_ARGUMENT: return add_recipient(o, value);
	case OPT_SUBJECT: o->subject = value; return EXIT_DONE;
	case OPT_BODY: o->body = value, o->has_body = true; return EXIT_DONE;
	case OPT_BODY_FILE: o->body_file = value; return EXIT_DONE;
	case OPT_HEADER: return add(&o->headers, &o->header_count, value);
	case OPT_ATTACH: return add(&o->files, &o->file_count, value);
	case OPT_MESSAGE: o->message = value; return EXIT_DONE;
	case OPT_TLS: return read_tls(o, value);
	case OPT_TLS_VERIFY: o->tls_verify = true; return EXIT_DONE;
	case OPT_USER: o->user = value; return EXIT_DONE;
	case OPT_PASSWORD_FILE: o->password_file = value; return EXIT_DONE;
	case OPT_AUTH: return read_mechanism(o, value);
	case OPT_HELO: o->helo = value; return EXIT_DONE;
	case OPT_REPEAT: return read_number(value, UINT32_MAX, "--repeat", &o->repeat);
	case OPT_CONNECTIONS:
		return read_number(value, SEND_CONNECTIONS_MAX, "--connections", &o->connections);
	case OPT_UNTIL: return read_until(o, value);
	case OPT_TRACE: o->trace = true; return EXIT_DONE;
	default: return EXIT_USAGE;
	}
}

static int check_security(const struct send_options *o)
{
	const char *what = NULL;
	if ((o->password_file.len || o->auth.len) && !o->user.len)
		what = "--password-file and --auth need --user";
	else if (o->user.len && !o->server.len)
		what = "--user needs --server: no exchanger knows it";
	else if (o->tls == TALK_TLS_IMPLICIT && !o->server.len)
		what = "--tls implicit needs --server: exchangers have STARTTLS";
	else if (o->tls_verify && o->tls < TALK_TLS_STARTTLS)
		what = "--tls-verify needs --tls starttls or implicit: what may be sent in clear need not be verified";
	if (what) cli_say("send", "%s", what);
	return what ? EXIT_USAGE : EXIT_DONE;
}

static int check_options(const struct send_options *o)
{
	bool parts = o->has_body || o->body_file.len || o->subject.len || o->header_count ||
		o->file_count;
	struct address a;
	if (!o->recipient_count) return cli_say("send", "a recipient is missing"), EXIT_USAGE;
	if (o->message.len && parts) {
		cli_say("send",
			"--message is whole; --subject, --body, --header and --attach make another");
		return EXIT_USAGE;
	}
	if (o->has_body && o->body_file.len)
		return cli_say("send", "--body or --body-file, not both"), EXIT_USAGE;
	struct str from = compose_address(o->from);
	if (o->from.ptr && from.len && !address_parse(from, true, true, &a))
		return wrong("the sender", o->from);
	return check_security(o);
}

static int read_options(struct send_options *o, int argc, char **argv)
{
	struct cli_options all = {.command = "send",
		.table = cli_send_options,
		.count = OPTIONS,
		.argc = argc,
		.at = 1,
		.argv = argv};
	struct str value;
	for (int option; (option = cli_next(&all, &value)) != CLI_END;) {
		if (option == CLI_BAD) return EXIT_USAGE;
		int code = take_option(o, option, value);
		if (code) return code;
	}
	return check_options(o);
}

/* ---- the message ---- */

static int compose(struct send *s, const struct send_options *o, struct str self)
{
	struct buf text;
	buf_init(&text, 0);
	bool file = o->message.len || o->body_file.len;
	if (file && !compose_read_file(o->message.len ? o->message : o->body_file, "send", &text)) {
		buf_release(&text);
		return EXIT_IO;
	}
	struct compose parts = {
		.from = compose_address(o->from).len ? o->from
						     : self, /* a null reverse-path is no From */
		.to = o->recipients,
		.to_count = o->recipient_count,
		.subject = o->subject,
		.body = file ? buf_str(&text) : o->body,
		.headers = o->headers,
		.header_count = o->header_count,
		.files = o->files,
		.file_count = o->file_count,
	};
	int code = o->message.len ? compose_whole(buf_str(&text), "send", &s->message)
				  : compose_message(&parts, "send", &s->message);
	buf_release(&text);
	return code;
}

static bool is_utf8(struct str address)
{
	struct address a;
	return address_parse(address, true, true, &a) && a.utf8;
}

int send_envelope(struct send *s)
{
	const struct send_options *o = s->options;
	struct envelope *e = &s->envelope;
	e->reverse_path = compose_address(o->from);
	e->recipients = calloc(o->recipient_count, sizeof *e->recipients);
	if (!e->recipients) return EXIT_SOFTWARE;
	for (uint32_t i = 0; i < o->recipient_count; i++) {
		e->recipients[i].address = compose_address(o->recipients[i]);
		if (is_utf8(e->recipients[i].address)) e->flags |= ENVELOPE_UTF8;
	}
	e->recipient_count = o->recipient_count;
	if (is_utf8(e->reverse_path)) e->flags |= ENVELOPE_UTF8;
	if (s->message.eight_bit) e->flags |= ENVELOPE_8BIT;
	e->size = s->message.content.len;
	return EXIT_DONE;
}

void send_default_sender(struct buf *to, struct str hostname)
{
	const char *user = getenv("LOGNAME");
	if (!user || !*user) user = getenv("USER");
	const struct passwd *account = user && *user ? NULL : getpwuid(getuid());
	if (account) user = account->pw_name;
	buf_printf(to, "%s@" STR_FMT, user && *user ? user : "nobody", STR_ARG(hostname));
}

/* ---- the run ---- */

static int open_security(struct send *s, struct buf *secret)
{
	const struct send_options *o = s->options;
	struct talk_security *security = &s->security;
	security->tls = o->tls;
	security->verify = o->tls_verify ? TLS_VERIFY_NAME : TLS_VERIFY_NONE;
	security->user = o->user;
	security->mechanism = o->auth;
	if (o->tls != TALK_TLS_OFF) {
		struct buf why;
		buf_init(&why, 1000);
		security->context = tls_client_context(STR_NONE, &why);
		if (!security->context) cli_say("send", STR_FMT, STR_ARG(buf_str(&why)));
		buf_release(&why);
		if (!security->context) return EXIT_SOFTWARE;
	}
	if (!o->user.len) return EXIT_DONE;
	int code = cli_password(s->world->io, "send", o->password_file, secret);
	security->secret = buf_str(secret);
	return code;
}

static int run(const struct cli *cli, struct send_options *o)
{
	struct cli_world w;
	struct buf sender, secret;
	int code = cli_world_open(&w, cli, "send");
	if (code) return code;
	buf_init(&sender, 1024);
	buf_init(&secret, CLI_TOKEN_MAX);
	if (!o->helo.len) o->helo = w.config->hostname;
	send_default_sender(&sender, w.config->hostname);
	if (!o->from.ptr) o->from = buf_str(&sender);
	struct send s = {.command = "send", .world = &w, .options = o, .config = {.helo = o->helo}};
	code = compose(&s, o, buf_str(&sender));
	if (!code) code = send_envelope(&s);
	if (!code) code = open_security(&s, &secret);
	if (!code) code = send_run(&s);
	tls_context_release(s.security.context);
	cli_password_clear(&secret);
	free(s.envelope.recipients);
	buf_release(&s.message.content);
	buf_release(&sender);
	cli_world_close(&w);
	return code;
}

int cli_send(const struct cli *cli, int argc, char **argv)
{
	struct send_options o = {.repeat = 1, .connections = 1, .tls = TALK_TLS_OPPORTUNISTIC};
	int code = read_options(&o, argc, argv);
	if (!code) code = run(cli, &o);
	free(o.recipients);
	free(o.headers);
	free(o.files);
	return code;
}
