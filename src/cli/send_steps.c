/* send --until: command by command, each after the reply to the one before.  */
#include "cli/send.h"

/* Command number `at`: MAIL, a RCPT each, DATA, QUIT.  False: there is none so far.  */
static bool add_command(const struct send_steps *s, struct buf *out)
{
	const struct envelope *e = &s->send->envelope;
	enum send_until until = s->send->options->until;
	bool utf8 = e->flags & ENVELOPE_UTF8 && s->talk->client.offer.utf8;
	if (s->at == 0)
		return buf_printf(out, "MAIL FROM:<" STR_FMT ">%s\r\n", STR_ARG(e->reverse_path),
			utf8 ? " SMTPUTF8" : "");
	if (until == UNTIL_MAIL) return false;
	if (s->at <= s->recipient_count) {
		struct str to = e->recipients[s->recipients[s->at - 1]].address;
		return buf_printf(out, "RCPT TO:<" STR_FMT ">\r\n", STR_ARG(to));
	}
	return until == UNTIL_DATA && s->at == s->recipient_count + 1 &&
		buf_add(out, STR("DATA\r\n"));
}

static void next_command(struct send_steps *s)
{
	struct buf command;
	buf_init(&command, 4096);
	if (!add_command(s, &command)) {
		buf_clear(&command);
		buf_add(&command, STR("QUIT\r\n"));
		s->at = UINT32_MAX;
	}
	talk_send(s->talk, buf_str(&command));
	buf_release(&command);
}

/* A reply that refuses is what the run comes to.  */
static void judge(struct send_steps *s)
{
	if (s->reader.code < 400) return;
	struct outcome o = {
		.class = s->reader.code < 500 ? OUTCOME_DEFERRED : OUTCOME_FAILED,
		.code = s->reader.code,
		.enhanced = s->reader.enhanced,
		.text = buf_str(&s->reader.text),
		.remote = true,
	};
	bool rcpt = s->at >= 1 && s->at <= s->recipient_count;
	send_report(s->send,
		rcpt ? s->send->envelope.recipients[s->recipients[s->at - 1]].address
			: s->at == 0 ? STR("MAIL")
				     : STR("DATA"),
		&o, s->talk->host);
}

/* True: go on.  */
static bool take_reply(struct send_steps *s)
{
	bool quit = s->at == UINT32_MAX, data = s->at == s->recipient_count + 1;
	if (!quit) judge(s);
	/* After 354 only silence is left: what would follow is a message.  */
	if (quit || (data && s->reader.code == 354)) {
		talk_end(s->talk, (struct outcome){0});
		return false;
	}
	bool stop = s->at == 0 && s->reader.code >= 400;
	s->at = stop ? s->recipient_count + 2 : s->at + 1;
	next_command(s);
	return true;
}

void send_steps_raw(struct send_steps *s, struct str octets)
{
	size_t used;
	while (octets.len) {
		enum smtp_read read = smtp_reply_feed(&s->reader, octets, &used);
		if (read == SMTP_READ_BAD) {
			talk_end(s->talk,
				outcome_local(OUTCOME_DEFERRED, "4.5.0", STR("invalid reply")));
			return;
		}
		octets = str_skip(octets, used);
		if (read == SMTP_READ_DONE && !take_reply(s)) return;
	}
}

void send_steps_begin(struct send_steps *s)
{
	s->at = 0;
	s->reading = true;
	smtp_reply_reader_init(&s->reader);
	talk_take_over(s->talk);
	next_command(s);
}

void send_steps_clear(struct send_steps *s)
{
	if (s->reading) smtp_reply_reader_release(&s->reader);
	s->reading = false;
}
