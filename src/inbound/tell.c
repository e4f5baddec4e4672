/* What is told of clients and their mail: in the log, and in the history of messages.  */
#include "inbound/parts.h"

void session_log_client(struct log *log, const struct session *s)
{
	char text[80];
	struct buf b = {.ptr = text, .cap = sizeof text, .max = sizeof text};
	net_add(&b, &s->peer);
	log_str(log, "client", buf_str(&b));
}

/* The line of a refusal, with the queue id once the message has one.  */
static struct log *begin_refusal(const struct session *s)
{
	struct log *log = s->inbound->parts.log;
	const struct transaction *t = s->transaction;
	char id[SPOOL_ID_LEN + 1];
	log_begin(log, LOG_INFO,
		t && t->has_id ? spool_id_text(spool_writer_id(&t->writer), id) : STR_NONE,
		"refused");
	session_log_client(log, s);
	log_str(log, "helo", smtp_server_helo(&s->smtp));
	if (t) log_str(log, "from", t->envelope.reverse_path);
	return log;
}

static void end_refusal(struct log *log, const struct smtp_reply *reply)
{
	log_i64(log, "code", reply->code);
	if (reply->enhanced.class)
		log_printf(log, "status", "%u.%u.%u", reply->enhanced.class,
			reply->enhanced.subject, reply->enhanced.detail);
	log_str(log, "text", reply->text);
	log_end(log);
}

void tell_refusal(struct session *s, struct str address, struct smtp_reply reply)
{
	struct log *log = begin_refusal(s);
	log_str(log, "address", address);
	end_refusal(log, &reply);
}

void tell_command(struct session *s, const struct smtp_event *event)
{
	struct log *log = begin_refusal(s);
	log_str(log, "command", event->command);
	end_refusal(log, &event->refusal);
}

void tell_errors(const struct session *s)
{
	if (!s->smtp.errors) return;
	struct log *log = s->inbound->parts.log;
	log_begin(log, LOG_INFO, STR_NONE, "bad-commands");
	session_log_client(log, s);
	log_str(log, "helo", smtp_server_helo(&s->smtp));
	log_i64(log, "count", s->smtp.errors);
	log_end(log);
}

static void log_accepted(const struct transaction *t, uint64_t number)
{
	char text[SPOOL_ID_LEN + 1];
	struct str id = spool_id_text(number, text);
	const struct envelope *e = &t->envelope;
	struct log *log = t->inbound->parts.log;
	char client[80];
	struct buf b = {.ptr = client, .cap = sizeof client, .max = sizeof client};
	net_add(&b, &e->client);
	log_begin(log, LOG_INFO, id, "accepted");
	log_str(log, "from", e->reverse_path);
	log_i64(log, "recipients", e->recipient_count);
	log_i64(log, "size", (int64_t)e->size);
	log_str(log, "client", buf_str(&b));
	log_str(log, "helo", e->helo);
	if (e->tls.len) log_str(log, "tls", e->tls);
	if (e->account.len) log_str(log, "account", e->account);
	log_str(log, "message-id", header_message_id(&t->header));
	log_end(log);
}

/* Whom each alias stood for: recipients of one alias stand together.  */
static void note_aliases(
	struct history *history, const struct envelope *e, uint64_t id, const struct str *to)
{
	for (uint32_t i = 0, next; i < e->recipient_count; i = next) {
		struct str alias = e->recipients[i].original;
		for (next = i + 1; next < e->recipient_count; next++)
			if (!str_eq(e->recipients[next].original, alias)) break;
		if (alias.len == 0) continue;
		history_add(history,
			&(struct history_record){.event = HISTORY_ALIAS,
				.id = id,
				.wall = e->created,
				.recipient = alias,
				.recipients = to + i,
				.recipient_count = next - i});
	}
}

static void note_history(const struct transaction *t, uint64_t id)
{
	struct history *history = t->inbound->parts.history;
	if (!history) return;
	const struct envelope *e = &t->envelope;
	struct str few[16], *to = few;
	if (e->recipient_count > ARRAY_LEN(few)) to = calloc(e->recipient_count, sizeof *to);
	if (!to) return;
	for (uint32_t i = 0; i < e->recipient_count; i++) to[i] = e->recipients[i].address;
	char client[80];
	struct buf b = {.ptr = client, .cap = sizeof client, .max = sizeof client};
	net_add(&b, &e->client);
	history_add(history,
		&(struct history_record){.event = HISTORY_ACCEPTED,
			.id = id,
			.wall = e->created,
			.sender = e->reverse_path,
			.client = buf_str(&b),
			.helo = e->helo,
			.account = e->account,
			.tls = e->tls,
			.message_id = header_message_id(&t->header),
			.size = e->size,
			.recipients = to,
			.recipient_count = e->recipient_count});
	note_aliases(history, e, id, to);
	if (to != few) free(to);
}

void tell_accepted(const struct transaction *t, uint64_t id)
{
	log_accepted(t, id);
	note_history(t, id);
}
