#include "smtp/extension.h"
#include "smtp/server_private.h"
#include "smtp/xclient.h"

enum {
	VERB_CLEAR = 1,   /* goes before TLS where that is required (RFC 3207 4) */
	VERB_ALONE = 2,   /* takes no argument */
	VERB_CHUNK = 4,   /* octets follow whatever the reply will be */
	VERB_HIDDEN = 8,  /* HELP is silent about it */
	VERB_TOLD = 16,   /* that it was refused is an event, */
	VERB_SECRET = 32, /* in which the arguments are not shown */
};

/* Everything about a verb.  refuse: for each state in which it is out of order, why.  */
struct verb {
	struct str name;
	struct str syntax;
	unsigned flags;
	void (*run)(struct smtp_server *s, const struct smtp_server_command *c);
	const struct smtp_reply *refuse[SMTP_SERVER_STATES];
};

static const struct smtp_reply helo_first = REPLY(503, 5, 5, 1, "Error: send HELO/EHLO first");
static const struct smtp_reply nested = REPLY(503, 5, 5, 1, "Error: nested MAIL command");
static const struct smtp_reply need_mail = REPLY(503, 5, 5, 1, "Error: need mail command");
static const struct smtp_reply need_rcpt = REPLY(503, 5, 5, 1, "Error: need RCPT command");
const struct smtp_reply smtp_server_no_recipients =
	REPLY(554, 5, 5, 1, "Error: no valid recipients");
static const struct smtp_reply rcpt_after_bdat = REPLY(503, 5, 5, 1, "Error: RCPT after BDAT");
static const struct smtp_reply data_after_bdat = REPLY(503, 5, 5, 1, "Error: DATA after BDAT");
static const struct smtp_reply in_transaction =
	REPLY(503, 5, 5, 1, "Error: MAIL transaction in progress");
static const struct smtp_reply tls_first =
	REPLY(530, 5, 7, 0, "Must issue a STARTTLS command first");
static const struct smtp_reply ok = REPLY(250, 2, 0, 0, "Ok");

/* ---- The session ---- */

void smtp_server_keep_helo(struct smtp_server *s, struct str name)
{
	buf_clear(&s->helo);
	s->no_memory |= !buf_add(&s->helo, str_head(name, s->helo.max));
	for (size_t i = 0; i < s->helo.len; i++)
		if (s->helo.ptr[i] < ' ' || s->helo.ptr[i] == 0x7f) s->helo.ptr[i] = '?';
}

static void greet_back(struct smtp_server *s)
{
	struct str words = s->config->words.helo;
	struct buf text;
	buf_init(&text, 4096);
	smtp_server_add_words(s, &text, words.len ? words : s->config->hostname, STR_NONE);
	if (s->esmtp) {
		struct smtp_terms terms = smtp_server_terms(s);
		smtp_extension_offer(&text, &terms, smtp_server_wall(s));
	}
	smtp_server_say(s, (struct smtp_reply){.code = 250, .text = buf_str(&text)});
	buf_release(&text);
}

static void hello(struct smtp_server *s, const struct smtp_server_command *c, bool esmtp)
{
	if (c->args.len == 0) {
		smtp_server_blame(s,
			esmtp ? SMTP_REPLY(501, 0, 0, 0, "Syntax: EHLO hostname")
			      : SMTP_REPLY(501, 0, 0, 0, "Syntax: HELO hostname"));
		return;
	}
	smtp_server_forget(s);
	smtp_server_keep_helo(s, c->args);
	s->esmtp = esmtp;
	smtp_server_enter(s, SMTP_SERVER_READY);
	smtp_server_raise(s, SMTP_EVENT_HELO);
	greet_back(s);
}

static void helo(struct smtp_server *s, const struct smtp_server_command *c) { hello(s, c, false); }
static void ehlo(struct smtp_server *s, const struct smtp_server_command *c) { hello(s, c, true); }

static void rset(struct smtp_server *s, const struct smtp_server_command *c)
{
	(void)c;
	bool fresh = s->state == SMTP_SERVER_FRESH;
	smtp_server_forget(s);
	if (!fresh) smtp_server_enter(s, SMTP_SERVER_READY);
	smtp_server_say(s, ok);
}

static void noop(struct smtp_server *s, const struct smtp_server_command *c)
{
	(void)c;
	smtp_server_say(s, ok);
}

static void quit(struct smtp_server *s, const struct smtp_server_command *c)
{
	(void)c;
	struct str words = s->config->words.quit;
	struct buf text;
	buf_init(&text, 1024);
	smtp_server_add_words(s, &text, words.len ? words : STR("Bye"), STR_NONE);
	smtp_server_say(
		s, (struct smtp_reply){.code = 221, .enhanced = {2, 0, 0}, .text = buf_str(&text)});
	buf_release(&text);
	smtp_server_close(s, SMTP_CLOSE_QUIT);
}

/* A browser, or a web page that has one speak to us: nothing of what follows is to be read as
 * mail.  */
static void foreign(struct smtp_server *s, const struct smtp_server_command *c)
{
	(void)c;
	smtp_server_say(s, SMTP_REPLY(221, 2, 7, 0, "Error: I can break rules, too. Goodbye."));
	smtp_server_close(s, SMTP_CLOSE_PROTOCOL);
}

static void starttls(struct smtp_server *s, const struct smtp_server_command *c)
{
	(void)c;
	if (s->secured)
		smtp_server_blame(s, SMTP_REPLY(554, 5, 5, 1, "Error: TLS already active"));
	else if (!s->config->offer_starttls)
		smtp_server_blame(s, SMTP_REPLY(502, 5, 5, 1, "Error: command not implemented"));
	else
		smtp_server_ask(s, SMTP_EVENT_STARTTLS, STR_NONE);
}

/* Capital letters for the mechanism in the line that was kept.  */
static void raise_mechanism(struct smtp_server *s)
{
	struct str line = buf_str(&s->line);
	smtp_command_word(&line);
	struct str mechanism = smtp_command_word(&line);
	char *at = s->line.ptr + (mechanism.ptr - s->line.ptr);
	for (size_t i = 0; i < mechanism.len; i++)
		if (ascii_alpha(at[i])) at[i] &= (char)~0x20;
}

static void auth(struct smtp_server *s, const struct smtp_server_command *c)
{
	struct smtp_terms terms = smtp_server_terms(s);
	struct str offered = smtp_extension_mechanisms(&terms), later = s->config->auth_tls;
	struct str response = c->args, mechanism = smtp_command_word(&response);
	if (offered.len == 0 && later.len == 0)
		smtp_server_blame(s, SMTP_REPLY(503, 5, 5, 1, "Error: authentication not enabled"));
	else if (s->authenticated)
		smtp_server_blame(s, SMTP_REPLY(503, 5, 5, 1, "Error: already authenticated"));
	else if (mechanism.len == 0 || str_find(response, ' ') < response.len)
		smtp_server_blame(s, SMTP_REPLY(501, 5, 5, 4, "Syntax: AUTH mechanism"));
	else if (smtp_extension_listed(offered, mechanism)) {
		smtp_server_ask(s, SMTP_EVENT_AUTH, c->line);
		if (s->awaited) raise_mechanism(s);
	} else if (!s->secured && smtp_extension_listed(later, mechanism))
		smtp_server_blame(s,
			SMTP_REPLY(538, 5, 7, 11,
				"Encryption required for requested authentication mechanism"));
	else
		smtp_server_blame(s,
			SMTP_REPLY(504, 5, 5, 4, "Error: unrecognized authentication mechanism"));
}

void smtp_server_auth_line(struct smtp_server *s, struct str line)
{
	if (!str_eq(str_trim(line), STR("*"))) {
		/* An empty response has no octet to keep.  */
		smtp_server_ask(s, SMTP_EVENT_AUTH, line.len ? line : STR(" "));
		return;
	}
	smtp_server_enter(s, SMTP_SERVER_READY);
	smtp_server_blame(s, SMTP_REPLY(501, 5, 7, 0, "Authentication aborted"));
}

static void xclient(struct smtp_server *s, const struct smtp_server_command *c)
{
	struct smtp_xclient told;
	if (!s->xclient)
		smtp_server_blame(s, SMTP_REPLY(550, 5, 7, 0, "Error: insufficient authorization"));
	else if (!smtp_xclient_parse(c->args, &told))
		smtp_server_blame(
			s, SMTP_REPLY(501, 5, 5, 4, "Error: bad XCLIENT attribute name or value"));
	else
		smtp_server_ask(s, SMTP_EVENT_XCLIENT, c->line);
}

/* ---- Questions ---- */

static void vrfy(struct smtp_server *s, const struct smtp_server_command *c)
{
	struct address a;
	struct smtp_refusal refusal;
	if (smtp_command_vrfy(c->args, &a, &refusal))
		smtp_server_say(
			s, (struct smtp_reply){.code = 252, .enhanced = {2, 0, 0}, .text = a.text});
	else
		smtp_server_refuse(s, refusal);
}

static void expn(struct smtp_server *s, const struct smtp_server_command *c)
{
	(void)c;
	smtp_server_blame(s, SMTP_REPLY(502, 5, 5, 1, "Error: command not implemented"));
}

static void help(struct smtp_server *s, const struct smtp_server_command *c);

/* ---- The table ---- */

#define FRESH SMTP_SERVER_FRESH
#define READY SMTP_SERVER_READY
#define MAIL SMTP_SERVER_MAIL
#define RCPT SMTP_SERVER_RCPT
#define BDAT SMTP_SERVER_BDAT

static const struct verb verbs[] = {
	{.name = STR("MAIL"),
		.syntax = STR("MAIL FROM:<address> [SIZE=n] [BODY=8BITMIME] ..."),
		.flags = VERB_TOLD,
		.run = smtp_server_mail,
		.refuse = {[FRESH] = &helo_first,
			[MAIL] = &nested,
			[RCPT] = &nested,
			[BDAT] = &nested}},
	{.name = STR("RCPT"),
		.syntax = STR("RCPT TO:<address> [NOTIFY=...] [ORCPT=...]"),
		.flags = VERB_TOLD,
		.run = smtp_server_rcpt,
		.refuse = {[FRESH] = &helo_first, [READY] = &need_mail, [BDAT] = &rcpt_after_bdat}},
	{.name = STR("DATA"),
		.syntax = STR("DATA"),
		.flags = VERB_TOLD | VERB_ALONE,
		.run = smtp_server_data,
		.refuse = {[FRESH] = &helo_first,
			[READY] = &need_rcpt,
			[MAIL] = &smtp_server_no_recipients,
			[BDAT] = &data_after_bdat}},
	{.name = STR("BDAT"),
		.syntax = STR("BDAT count [LAST]"),
		.flags = VERB_TOLD | VERB_CHUNK,
		.run = smtp_server_bdat,
		.refuse = {[FRESH] = &helo_first,
			[READY] = &need_rcpt,
			[MAIL] = &smtp_server_no_recipients}},
	{.name = STR("HELO"), .syntax = STR("HELO hostname"), .flags = VERB_CLEAR, .run = helo},
	{.name = STR("EHLO"), .syntax = STR("EHLO hostname"), .flags = VERB_CLEAR, .run = ehlo},
	{.name = STR("RSET"), .syntax = STR("RSET"), .flags = VERB_CLEAR | VERB_ALONE, .run = rset},
	{.name = STR("NOOP"), .syntax = STR("NOOP"), .flags = VERB_CLEAR, .run = noop},
	{.name = STR("VRFY"), .syntax = STR("VRFY address"), .run = vrfy},
	{.name = STR("EXPN"), .syntax = STR("EXPN list"), .run = expn},
	{.name = STR("HELP"), .syntax = STR("HELP [command]"), .flags = VERB_CLEAR, .run = help},
	{.name = STR("STARTTLS"),
		.syntax = STR("STARTTLS"),
		.flags = VERB_CLEAR | VERB_ALONE,
		.run = starttls,
		.refuse = {[FRESH] = &helo_first,
			[MAIL] = &in_transaction,
			[RCPT] = &in_transaction,
			[BDAT] = &in_transaction}},
	{.name = STR("AUTH"),
		.syntax = STR("AUTH mechanism [initial-response]"),
		.flags = VERB_TOLD | VERB_SECRET,
		.run = auth,
		.refuse = {[FRESH] = &helo_first,
			[MAIL] = &in_transaction,
			[RCPT] = &in_transaction,
			[BDAT] = &in_transaction}},
	{.name = STR("XCLIENT"),
		.flags = VERB_CLEAR | VERB_HIDDEN,
		.run = xclient,
		.refuse = {[MAIL] = &in_transaction,
			[RCPT] = &in_transaction,
			[BDAT] = &in_transaction}},
	{.name = STR("QUIT"), .syntax = STR("QUIT"), .flags = VERB_CLEAR, .run = quit},
	{.name = STR("GET"), .flags = VERB_CLEAR | VERB_HIDDEN, .run = foreign},
	{.name = STR("POST"), .flags = VERB_CLEAR | VERB_HIDDEN, .run = foreign},
	{.name = STR("PUT"), .flags = VERB_CLEAR | VERB_HIDDEN, .run = foreign},
	{.name = STR("HEAD"), .flags = VERB_CLEAR | VERB_HIDDEN, .run = foreign},
	{.name = STR("DELETE"), .flags = VERB_CLEAR | VERB_HIDDEN, .run = foreign},
	{.name = STR("CONNECT"), .flags = VERB_CLEAR | VERB_HIDDEN, .run = foreign},
	{.name = STR("OPTIONS"), .flags = VERB_CLEAR | VERB_HIDDEN, .run = foreign},
	{.name = STR("TRACE"), .flags = VERB_CLEAR | VERB_HIDDEN, .run = foreign},
	{.name = STR("PATCH"), .flags = VERB_CLEAR | VERB_HIDDEN, .run = foreign},
};

static const struct verb *find_verb(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (str_ieq(verbs[i].name, name)) return &verbs[i];
	return NULL;
}

static void help(struct smtp_server *s, const struct smtp_server_command *c)
{
	const struct verb *verb = find_verb(c->args);
	struct buf text;
	buf_init(&text, 1024);
	if (verb && !(verb->flags & VERB_HIDDEN)) {
		buf_add(&text, STR("Syntax: "));
		buf_add(&text, verb->syntax);
	} else {
		buf_add(&text, STR("Commands:"));
		for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
			if (verbs[i].flags & VERB_HIDDEN) continue;
			buf_add_c(&text, ' ');
			buf_add(&text, verbs[i].name);
		}
		buf_add(&text, STR("\nHELP and a command shows how it is written (RFC 5321)"));
	}
	smtp_server_say(
		s, (struct smtp_reply){.code = 214, .enhanced = {2, 0, 0}, .text = buf_str(&text)});
	buf_release(&text);
}

static const struct smtp_reply *out_of_order(const struct smtp_server *s, const struct verb *verb)
{
	if (s->config->tls_required && !s->secured && !(verb->flags & VERB_CLEAR))
		return &tls_first;
	return verb->refuse[s->state];
}

static bool printable(struct str line)
{
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.ptr[i];
		if ((c < ' ' && c != '\t') || c == 0x7f) return false;
	}
	return true;
}

static void syntax_error(struct smtp_server *s, const struct verb *verb)
{
	smtp_server_refuse(s,
		(struct smtp_refusal){.code = 501,
			.enhanced = {5, 5, 4},
			.text = STR("Syntax: "),
			.detail = verb->syntax});
}

static void run_verb(
	struct smtp_server *s, const struct verb *verb, const struct smtp_server_command *c)
{
	if (!c->refusal || verb->flags & VERB_CHUNK) {
		if (verb->flags & VERB_ALONE && c->args.len)
			syntax_error(s, verb);
		else
			verb->run(s, c);
	} else if (c->refusal == &smtp_server_no_recipients) {
		smtp_server_say(s, *c->refusal); /* what a client that sends ahead cannot know */
	} else {
		smtp_server_blame(s, *c->refusal);
	}
}

void smtp_server_run(struct smtp_server *s, struct str line)
{
	struct smtp_server_command c = {.line = line, .args = str_trim(line)};
	struct str word = smtp_command_word(&c.args);
	const struct verb *verb = find_verb(word);
	if (word.len == 0 || !printable(line)) {
		smtp_server_blame(s, SMTP_REPLY(500, 5, 5, 2, "Error: bad syntax"));
		return;
	}
	if (!verb) {
		smtp_server_blame(s, SMTP_REPLY(500, 5, 5, 2, "Error: command not recognized"));
		return;
	}
	c.refusal = out_of_order(s, verb);
	size_t before = s->out.len;
	run_verb(s, verb, &c);
	if (!(verb->flags & VERB_TOLD)) return;
	smtp_server_tell(s, s->skip_chunk ? buf_str(&s->late) : str_skip(buf_str(&s->out), before),
		verb->flags & VERB_SECRET ? verb->name : str_trim(line));
}
