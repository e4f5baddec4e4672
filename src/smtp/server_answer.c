#include "smtp/server_private.h"
#include "smtp/xclient.h"

static bool is_positive(const struct smtp_reply *reply) { return reply->code < 400; }

void smtp_server_add_words(
	const struct smtp_server *s, struct buf *out, struct str words, struct str id)
{
	const struct {
		struct str name, value;
	} known[] = {
		{STR("{helo}"), buf_str(&s->helo)},
		{STR("{id}"), id},
		{STR("{hostname}"), s->config->hostname},
	};
	struct str before;
	while (str_cut(&words, '%', &before)) {
		buf_add(out, before);
		size_t i = 0;
		while (i < ARRAY_LEN(known) && !str_starts(words, known[i].name)) i++;
		if (i == ARRAY_LEN(known)) {
			buf_add_c(out, '%');
			continue;
		}
		buf_add(out, known[i].value);
		words = str_skip(words, known[i].name.len);
	}
	buf_add(out, before);
}

/* Say reply; where it is positive and has no text of its own, the listener's words or else the
 * standard ones.  */
static void say_words(struct smtp_server *s, const struct smtp_reply *reply,
	struct smtp_reply standard, struct str words, struct str id)
{
	struct buf text;
	if (words.len) standard.text = words;
	standard.code = reply->code;
	buf_init(&text, 1024);
	if (str_find(standard.text, '%') < standard.text.len) {
		smtp_server_add_words(s, &text, standard.text, id);
		standard.text = buf_str(&text);
	}
	smtp_server_say(s, standard);
	buf_release(&text);
}

static void say_or(struct smtp_server *s, const struct smtp_reply *reply,
	struct smtp_reply standard, struct str words)
{
	if (is_positive(reply) && reply->text.len == 0)
		say_words(s, reply, standard, words, STR_NONE);
	else
		smtp_server_say(s, *reply);
}

static void answer_mail(struct smtp_server *s, const struct smtp_reply *reply)
{
	if (is_positive(reply)) smtp_server_enter(s, SMTP_SERVER_MAIL);
	say_or(s, reply, SMTP_REPLY(250, 2, 1, 0, "Ok"), s->config->words.mail);
}

static void answer_rcpt(struct smtp_server *s, const struct smtp_reply *reply)
{
	if (is_positive(reply)) {
		s->recipients++;
		smtp_server_enter(s, SMTP_SERVER_RCPT);
	}
	say_or(s, reply, SMTP_REPLY(250, 2, 1, 5, "Ok"), s->config->words.rcpt);
}

static void answer_data(struct smtp_server *s, const struct smtp_reply *reply)
{
	bool chunk = s->body.raw;
	s->content = is_positive(reply);
	if (chunk && s->content) {
		smtp_server_begin_chunk(s);
	} else if (chunk && !s->shutting && !reply->close) {
		smtp_server_refuse_chunk(s, *reply);
	} else {
		if (s->content) smtp_server_begin_data(s);
		say_or(s, reply, SMTP_REPLY(354, 0, 0, 0, "End data with <CR><LF>.<CR><LF>"),
			s->config->words.data);
	}
}

static void answer_end(struct smtp_server *s, const struct smtp_reply *reply)
{
	smtp_server_forget(s);
	smtp_server_enter(s, SMTP_SERVER_READY);
	if (is_positive(reply))
		say_words(s, reply, SMTP_REPLY(250, 2, 0, 0, "Ok: queued as %{id}"),
			s->config->words.queued, reply->text);
	else
		smtp_server_say(s, *reply);
}

static void answer_starttls(struct smtp_server *s, const struct smtp_reply *reply)
{
	say_or(s, reply, SMTP_REPLY(220, 2, 0, 0, "Ready to start TLS"), STR_NONE);
	s->tls_begins = is_positive(reply);
}

/* A challenge goes out as it is, whatever its length.  */
static void challenge(struct smtp_server *s, struct str text)
{
	buf_add(&s->out, STR("334 "));
	buf_add(&s->out, text);
	s->no_memory |= !buf_add(&s->out, STR("\r\n"));
	smtp_server_enter(s, SMTP_SERVER_AUTH);
}

static void answer_auth(struct smtp_server *s, const struct smtp_reply *reply)
{
	if (reply->code == 334) {
		challenge(s, reply->text);
		return;
	}
	smtp_server_enter(s, SMTP_SERVER_READY);
	if (is_positive(reply))
		say_or(s, reply, SMTP_REPLY(235, 2, 7, 0, "Authentication successful"), STR_NONE);
	else
		smtp_server_blame(s, *reply); /* who guesses passwords is to be stopped */
}

/* The session of somebody else begins; who he is was told with it, or will be by EHLO.  */
static void answer_xclient(struct smtp_server *s, const struct smtp_reply *reply)
{
	struct str args = str_trim(buf_str(&s->line));
	struct smtp_xclient told;
	if (!is_positive(reply)) {
		smtp_server_say(s, *reply);
		return;
	}
	smtp_command_word(&args);
	ASSERT(smtp_xclient_parse(args, &told));
	s->esmtp = told.esmtp;
	s->authenticated = false;
	buf_release(&s->helo);
	if (told.helo.len) smtp_server_keep_helo(s, told.helo);
	smtp_server_enter(s, told.helo.len ? SMTP_SERVER_READY : SMTP_SERVER_FRESH);
	smtp_server_say_banner(s);
}

void smtp_server_answer(struct smtp_server *s, struct smtp_reply reply)
{
	static const struct {
		enum smtp_event_type type;
		void (*run)(struct smtp_server *s, const struct smtp_reply *reply);
	} answers[] = {
		{SMTP_EVENT_MAIL, answer_mail},
		{SMTP_EVENT_RCPT, answer_rcpt},
		{SMTP_EVENT_DATA, answer_data},
		{SMTP_EVENT_END, answer_end},
		{SMTP_EVENT_STARTTLS, answer_starttls},
		{SMTP_EVENT_AUTH, answer_auth},
		{SMTP_EVENT_XCLIENT, answer_xclient},
	};
	ASSERT(s->awaited && !(s->pending & s->awaited));
	size_t i = 0;
	while (smtp_server_bit(answers[i].type) != s->awaited) i++;
	s->awaited = 0;
	s->answered = true;
	answers[i].run(s, &reply);
	buf_release(&s->line);
	/* Or else the end of a chunk, which speaks of no line, is asked for already.  */
	if (!s->awaited) {
		if (s->shutting && !s->tls_begins)
			s->no_memory |= !buf_add(&s->out, buf_str(&s->late));
		if (s->shutting || reply.close) smtp_server_close(s, SMTP_CLOSE_ANSWER);
	}
	smtp_server_settle(s);
}
