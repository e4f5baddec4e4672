/* The verbs of a transaction: MAIL, RCPT, DATA, BDAT.  Syntax and order were looked at, or are
 * here; whether it may be is asked.  */
#include "smtp/server_private.h"

void smtp_server_refuse(struct smtp_server *s, struct smtp_refusal refusal)
{
	struct buf text;
	buf_init(&text, 1024);
	buf_add(&text, refusal.text);
	buf_add(&text, str_head(refusal.detail, 256));
	smtp_server_blame(s,
		(struct smtp_reply){.code = refusal.code,
			.enhanced = refusal.enhanced,
			.text = buf_str(&text)});
	buf_release(&text);
}

static bool hold_fits(const struct smtp_server *s, const struct smtp_event *e)
{
	msec max = s->config->hold_max;
	return e->hold_for <= max && e->hold_until <= smtp_server_wall(s) + max;
}

void smtp_server_mail(struct smtp_server *s, const struct smtp_server_command *c)
{
	struct smtp_terms terms = smtp_server_terms(s);
	struct smtp_event e;
	struct smtp_refusal refusal;
	uint64_t max = s->config->message_max;
	if (s->config->submission && !s->authenticated)
		smtp_server_blame(s, SMTP_REPLY(530, 5, 7, 0, "Authentication required"));
	else if (!smtp_command_mail(c->args, &terms, &e, &refusal))
		smtp_server_refuse(s, refusal);
	else if (max && e.size > max)
		smtp_server_say(s, SMTP_REPLY(552, 5, 3, 4, "Message size exceeds fixed limit"));
	else if (!hold_fits(s, &e))
		smtp_server_say(s, SMTP_REPLY(501, 5, 5, 4, "Error: too far in the future"));
	else {
		s->flags = e.flags;
		smtp_server_ask(s, SMTP_EVENT_MAIL, c->line);
	}
}

void smtp_server_rcpt(struct smtp_server *s, const struct smtp_server_command *c)
{
	struct smtp_terms terms = smtp_server_terms(s);
	struct smtp_event e;
	struct smtp_refusal refusal;
	uint32_t max = s->config->recipients_max;
	if (!smtp_command_rcpt(c->args, &terms, &e, &refusal))
		smtp_server_refuse(s, refusal);
	else if (max && s->recipients >= max)
		smtp_server_say(s, SMTP_REPLY(452, 4, 5, 3, "Error: too many recipients"));
	else
		smtp_server_ask(s, SMTP_EVENT_RCPT, c->line);
}

static void begin_body(struct smtp_server *s, bool raw)
{
	body_decoder_init(&s->body, s->config->normalize, s->config->data_end);
	s->body.raw = raw;
}

void smtp_server_data(struct smtp_server *s, const struct smtp_server_command *c)
{
	(void)c;
	if (s->flags & ENVELOPE_BINARY) {
		smtp_server_blame(s, SMTP_REPLY(503, 5, 5, 1, "Error: BINARYMIME needs BDAT"));
		return;
	}
	begin_body(s, false);
	smtp_server_ask(s, SMTP_EVENT_DATA, STR_NONE);
}

void smtp_server_bdat(struct smtp_server *s, const struct smtp_server_command *c)
{
	bool last, first = s->state == SMTP_SERVER_RCPT;
	if (!smtp_command_bdat(c->args, &s->chunk_size, &last)) {
		/* Nobody knows how many octets follow; none of them may be read as a command.  */
		smtp_server_say(s, SMTP_REPLY(521, 5, 5, 4, "Syntax: BDAT count [LAST]"));
		smtp_server_close(s, SMTP_CLOSE_PROTOCOL);
		return;
	}
	s->chunk_left = s->chunk_size;
	if (c->refusal || s->dead) {
		static const struct smtp_reply dead =
			REPLY(503, 5, 5, 1, "Error: need RSET after a failed BDAT");
		s->errors += c->refusal != &smtp_server_no_recipients;
		smtp_server_skip_chunk(s, s->state, c->refusal ? *c->refusal : dead);
		return;
	}
	s->last = last;
	if (first) begin_body(s, true);
	if (!smtp_server_chunk_fits(s))
		smtp_server_refuse_chunk(
			s, SMTP_REPLY(552, 5, 3, 4, "Message size exceeds fixed limit"));
	else if (first)
		smtp_server_ask(s, SMTP_EVENT_DATA, STR_NONE);
	else
		smtp_server_begin_chunk(s);
}

/* What was parsed when the line came in is parsed again when the driver asks, which is cheaper
 * than to keep it.  */
void smtp_server_parse_asked(
	struct smtp_server *s, enum smtp_event_type type, struct smtp_event *ret_event)
{
	struct smtp_terms terms = smtp_server_terms(s);
	struct smtp_refusal refusal;
	struct str line = str_trim(buf_str(&s->line));
	if (type == SMTP_EVENT_AUTH && s->state == SMTP_SERVER_AUTH) {
		ret_event->response = line;
		return;
	}
	smtp_command_word(&line);
	if (type == SMTP_EVENT_MAIL) ASSERT(smtp_command_mail(line, &terms, ret_event, &refusal));
	if (type == SMTP_EVENT_RCPT) ASSERT(smtp_command_rcpt(line, &terms, ret_event, &refusal));
	if (type == SMTP_EVENT_XCLIENT) ret_event->attributes = line;
	if (type != SMTP_EVENT_AUTH) return;
	ret_event->mechanism = smtp_command_word(&line);
	ret_event->has_initial = line.len > 0;
	ret_event->response = str_eq(line, STR("=")) ? STR("") : line;
}
