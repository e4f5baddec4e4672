#include "smtp/server_private.h"

static struct smtp_reply too_large(void)
{
	return SMTP_REPLY(552, 5, 3, 4, "Message size exceeds fixed limit");
}

struct smtp_reply smtp_server_fault(const struct smtp_server *s)
{
	switch (s->body.fault) {
	case BODY_BARE_CR: return SMTP_REPLY(550, 5, 6, 11, "Error: bare <CR> in message content");
	case BODY_BARE_LF: return SMTP_REPLY(550, 5, 6, 11, "Error: bare <LF> in message content");
	case BODY_NUL: return SMTP_REPLY(550, 5, 6, 11, "Error: NUL in message content");
	case BODY_FINE: break;
	}
	return smtp_server_chunk_fits(s) ? (struct smtp_reply){0} : too_large();
}

/* Hand on a run of content, unless there is something wrong with all of it.  */
static void pass(struct smtp_server *s, struct str run)
{
	if (!s->content) return;
	uint64_t max = s->config->message_max;
	s->too_large = max && s->body.size > max;
	if (s->too_large || s->body.fault != BODY_FINE) {
		smtp_server_abandon(s);
	} else if (run.len) {
		s->chunk = run;
		smtp_server_raise(s, SMTP_EVENT_CHUNK);
	}
}

static void complete(struct smtp_server *s)
{
	s->content = false;
	smtp_server_ask(s, SMTP_EVENT_END, STR_NONE);
}

static void refuse_all(struct smtp_server *s, struct smtp_reply reply)
{
	smtp_server_forget(s);
	smtp_server_enter(s, SMTP_SERVER_READY);
	smtp_server_say(s, reply);
}

/* ---- DATA ---- */

void smtp_server_begin_data(struct smtp_server *s)
{
	s->content = true;
	smtp_server_enter(s, SMTP_SERVER_DATA);
}

/* Faulty or too large: everything up to the true end is content still, so that no part of it is
 * ever a command.  */
size_t smtp_server_take_data(struct smtp_server *s, struct str octets)
{
	struct str run;
	size_t used = body_decode(&s->body, octets, &run);
	pass(s, run);
	if (!s->body.ended) return used;
	struct smtp_reply failed = smtp_server_fault(s);
	if (failed.code)
		refuse_all(s, failed);
	else
		complete(s);
	return used;
}

/* ---- BDAT ---- */

static void end_skipped(struct smtp_server *s)
{
	smtp_server_enter(s, s->after_chunk);
	s->no_memory |= !buf_add(&s->out, buf_str(&s->late));
	buf_release(&s->late);
	s->skip_chunk = false;
	smtp_server_judge(s);
}

static void end_chunk(struct smtp_server *s)
{
	if (s->skip_chunk) {
		end_skipped(s);
		return;
	}
	if (s->last && !(s->flags & ENVELOPE_BINARY)) {
		struct str run;
		body_finish(&s->body, &run);
		pass(s, run);
	}
	struct smtp_reply failed = smtp_server_fault(s);
	if (failed.code && s->last) {
		refuse_all(s, failed);
	} else if (failed.code) {
		s->dead = true;
		smtp_server_enter(s, SMTP_SERVER_BDAT);
		smtp_server_say(s, failed);
	} else if (s->last) {
		complete(s);
	} else {
		char text[40];
		snprintf(text, sizeof(text), "Ok: %llu bytes", (unsigned long long)s->chunk_size);
		smtp_server_enter(s, SMTP_SERVER_BDAT);
		smtp_server_say(s,
			(struct smtp_reply){
				.code = 250, .enhanced = {2, 0, 0}, .text = str_from_c(text)});
	}
}

void smtp_server_begin_chunk(struct smtp_server *s)
{
	smtp_server_enter(s, SMTP_SERVER_CHUNK);
	if (s->chunk_left == 0) end_chunk(s);
}

void smtp_server_skip_chunk(
	struct smtp_server *s, enum smtp_server_state after, struct smtp_reply reply)
{
	smtp_server_abandon(s);
	s->after_chunk = (uint8_t)after;
	s->skip_chunk = true;
	s->no_memory |= !smtp_reply_add(&s->late, &reply);
	smtp_server_begin_chunk(s);
}

void smtp_server_refuse_chunk(struct smtp_server *s, struct smtp_reply reply)
{
	enum smtp_server_state after = SMTP_SERVER_BDAT;
	if (s->last) {
		smtp_server_forget(s);
		after = SMTP_SERVER_READY;
	} else {
		s->dead = true;
	}
	smtp_server_skip_chunk(s, after, reply);
}

bool smtp_server_chunk_fits(const struct smtp_server *s)
{
	uint64_t max = s->config->message_max;
	return !max || (s->body.size <= max && s->chunk_left <= max - s->body.size);
}

size_t smtp_server_take_chunk(struct smtp_server *s, struct str octets)
{
	struct str run =
		str_head(octets, s->chunk_left < octets.len ? (size_t)s->chunk_left : octets.len);
	size_t used = run.len;
	if (s->content && s->flags & ENVELOPE_BINARY)
		s->body.size += run.len;
	else if (s->content)
		used = body_decode(&s->body, run, &run);
	s->chunk_left -= used;
	pass(s, run);
	if (s->chunk_left == 0) end_chunk(s);
	return used;
}
