/* Submission (RFC 6409): in whose name an account sends, and the header that its message goes on with.  */
#include "inbound/parts.h"

#include <stdlib.h>

/* ---- in whose name ---- */

bool submit_may_send_as(const struct session *s, struct str address)
{
	const struct inbound_rules *rules = &s->office->rules;
	return sender_allowed(rules->senders, rules->domains, s->account, address);
}

/* ---- how much ---- */

struct smtp_reply submit_limit(const struct session *s, uint32_t recipients, bool take)
{
	const struct inbound_rules *rules = &s->office->rules;
	if (!s->account.len || !rules->usage) return (struct smtp_reply){0};
	msec wall = io_wall(s->inbound->parts.io);
	enum usage_verdict verdict = take ? usage_take(rules->usage, s->account, recipients, wall)
					  : usage_ask(rules->usage, s->account, recipients, wall);
	if (take) rules->usage_changed(rules->accounts_context);
	switch (verdict) {
	case USAGE_FINE: break;
	case USAGE_HELD:
		return SMTP_REPLY(450, 4, 7, 1,
			"Error: your account is held, because it has sent far more than usual");
	case USAGE_MESSAGES:
		return SMTP_REPLY(450, 4, 7, 1,
			"Error: too many messages from your account, try again later");
	case USAGE_RECIPIENTS:
		return SMTP_REPLY(452, 4, 7, 1,
			"Error: too many recipients from your account, try again later");
	}
	return (struct smtp_reply){0};
}

void submit_failed(const struct session *s)
{
	const struct inbound_rules *rules = &s->office->rules;
	if (!s->account.len || !rules->usage) return;
	usage_failed(rules->usage, s->account, io_wall(s->inbound->parts.io));
	rules->usage_changed(rules->accounts_context);
}

void submit_committed(const struct transaction *t)
{
	const struct inbound *in = t->inbound;
	const struct usage *usage = in->office->rules.usage;
	if (!t->envelope.account.len || !usage || !usage_is_held(usage, t->envelope.account))
		return;
	queue_act_message(in->parts.queue, spool_committed(&t->writer), QUEUE_HOLD, "breaker",
		io_now(in->parts.io), io_wall(in->parts.io));
}

/* ---- the header ---- */

bool submit_begin(struct session *s)
{
	struct transaction *t = s->transaction;
	if (!s->listener->submission || !s->account.len) return true;
	t->draft = malloc(sizeof *t->draft);
	if (t->draft) draft_init(t->draft);
	return t->draft != NULL;
}

void submit_end(struct transaction *t)
{
	if (!t->draft) return;
	draft_release(t->draft);
	free(t->draft);
	t->draft = NULL;
}

static bool may_send_as(void *context, struct str address)
{
	return submit_may_send_as(context, address);
}

static void object(struct transaction *t, const struct draft_refusal *refusal)
{
	struct str text;
	t->objection = (struct smtp_reply){.code = refusal->code, .enhanced = refusal->enhanced};
	if (arena_copy(&t->arena, str_from_c(refusal->text), &text)) t->objection.text = text;
	t->refused = true;
}

/* The header is whole: it goes on, rewritten, and what was behind it as it is.  */
static void finish(struct session *s)
{
	struct transaction *t = s->transaction;
	char id[SPOOL_ID_LEN + 1];
	struct draft_terms terms = {
		.account = s->account,
		.hostname = s->office->rules.hostname,
		.id = spool_id_text(spool_writer_id(&t->writer), id),
		.wall = t->envelope.created,
		.utf8 = t->envelope.flags & ENVELOPE_UTF8,
		.may_send_as = may_send_as,
		.context = s,
	};
	struct draft_refusal refusal;
	struct buf out;
	buf_init(&out, 2 * t->draft->head.max);
	bool fine = draft_finish(t->draft, &terms, &out, &refusal);
	submit_end(t);
	if (fine)
		session_store(s, buf_str(&out));
	else
		object(t, &refusal);
	buf_release(&out);
}

void submit_feed(struct session *s, struct str octets, bool last)
{
	if (draft_feed(s->transaction->draft, octets) || last) finish(s);
}
