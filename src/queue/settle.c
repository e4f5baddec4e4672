#include "queue/state.h"

#include "queue/backoff.h"

#include <errno.h>

enum { READ_AGAIN_MS = 60 * 1000 };

/* ---- telling ---- */

void settle_log_outcome(struct log *log, const struct outcome *o)
{
	if (!log->open) return;
	if (o->host.len) log_str(log, "host", o->host);
	if (o->code) log_i64(log, "code", o->code);
	if (o->enhanced.class)
		log_printf(log, "status", "%u.%u.%u", o->enhanced.class, o->enhanced.subject,
			o->enhanced.detail);
	if (o->text.len) log_str(log, "text", o->text);
	if (o->tls.len) log_str(log, "tls", o->tls);
	if (o->doubtful) log_str(log, "doubtful", STR("yes"));
}

void settle_history(struct queue *q, enum history_event event, uint64_t id, struct str recipient,
	const struct outcome *o)
{
	if (!q->history) return;
	struct history_record record = {
		.event = event, .id = id, .wall = q->wall, .recipient = recipient};
	if (o) record.outcome = *o;
	history_add(q->history, &record);
}

static void log_verdict(struct queue *q, const struct settlement *s, const struct verdict *v,
	struct str to, uint32_t attempts, uint32_t due)
{
	if (q->log->level > LOG_INFO) return;
	char id[SPOOL_ID_LEN + 1];
	log_begin(q->log, LOG_INFO, spool_id_text(s->id, id), outcome_name(v->outcome->class));
	log_str(q->log, "to", to);
	settle_log_outcome(q->log, v->outcome);
	log_i64(q->log, "attempts", attempts);
	if (due) {
		struct buf next;
		buf_init(&next, 64);
		clock_add_rfc3339(&next, queue_wall_of(q, due));
		log_str(q->log, "next", buf_str(&next));
		buf_release(&next);
	}
	if (s->attempt) log_i64(q->log, "ms", q->now - s->began);
	log_end(q->log);
}

static void tell(struct queue *q, const struct settlement *s, const struct verdict *v, uint32_t due)
{
	struct str to = s->envelope ? s->envelope->recipients[v->index].address : STR_NONE;
	uint32_t attempts =
		spool_recipient(q->index, v->recipient)->attempts + (s->attempt ? 1 : 0);
	log_verdict(q, s, v, to, attempts, due);
	if (!q->history) return;
	struct history_record record = {
		.event = HISTORY_ATTEMPT,
		.id = s->id,
		.wall = q->wall,
		.recipient = to,
		.outcome = *v->outcome,
		.elapsed = s->attempt ? q->now - s->began : 0,
		.due = due ? queue_wall_of(q, due) : 0,
	};
	history_add(q->history, &record);
}

void queue_doubtful(struct queue *q, slot recipient, msec now, msec wall)
{
	queue_clock(q, now, wall);
	const struct spool_recipient *r = spool_recipient(q->index, recipient);
	struct outcome o = outcome_local(OUTCOME_DEFERRED, "4.4.2",
		STR("this server was killed before the reply to the end of the message"));
	o.doubtful = true;
	struct spool_reader reader;
	if (spool_read_open(q->spool, r->message, &reader) != 0) return;
	struct settlement s = {
		.id = reader.id, .message = r->message, .envelope = &reader.envelope};
	struct verdict v = {.recipient = recipient, .index = r->index, .outcome = &o};
	tell(q, &s, &v, r->due);
	spool_read_close(&reader);
}

/* Nobody is to be told of a message without a sender.  */
static void tell_lost(struct queue *q, const struct settlement *s, const struct verdict *v)
{
	char id[SPOOL_ID_LEN + 1];
	log_begin(q->log, LOG_WARN, spool_id_text(s->id, id), "undeliverable_bounce");
	log_str(q->log, "to", s->envelope->recipients[v->index].address);
	log_end(q->log);
}

/* ---- age ---- */

bool settle_too_old(const struct queue *q, msec since)
{
	return q->wall - since >= q->options->lifetime;
}

struct outcome settle_expiry_outcome(
	const struct queue *q, struct arena *arena, const struct outcome *last)
{
	struct buf words;
	buf_init(&words, OUTCOME_TEXT_MAX);
	buf_add(&words, STR("not delivered within "));
	clock_add_span(&words, q->options->lifetime);
	if (last && last->text.len) {
		buf_add(&words, STR("; the last reason was: "));
		buf_add(&words, str_head(last->text, words.max - words.len));
	}
	struct str text;
	if (!arena_copy(arena, buf_str(&words), &text)) text = STR("not delivered in time");
	buf_release(&words);
	struct outcome o = outcome_local(OUTCOME_EXPIRED, "4.4.7", text);
	if (last) o.host = last->host;
	return o;
}

bool settle_reason(struct queue *q, slot recipient, struct arena *arena, struct outcome *ret)
{
	const struct spool_recipient *r = spool_recipient(q->index, recipient);
	const struct destination *d = destination_of(q, r);
	if (r->place == PLACE_READY && d->why.text.len) {
		*ret = d->why;
		return true;
	}
	return r->attempts > 0 && spool_reason(q->spool, recipient, arena, ret);
}

/* ---- recording ---- */

void settle_end(struct queue *q, slot recipient, uint64_t id, const struct outcome *o)
{
	struct destination *d = destination_of(q, spool_recipient(q->index, recipient));
	switch (o->class) {
	case OUTCOME_DELIVERED: q->stats.delivered++, d->delivered++; break;
	case OUTCOME_FAILED: q->stats.failed++, d->failed++; break;
	case OUTCOME_EXPIRED: q->stats.expired++, d->failed++; break;
	case OUTCOME_DELETED: q->stats.deleted++; break;
	default: UNREACHABLE();
	}
	place_leave(q, recipient);
	if (spool_outcome(q->spool, recipient, o, 0))
		settle_history(q, HISTORY_DONE, id, STR_NONE, NULL);
}

static void defer(struct queue *q, const struct verdict *v, uint32_t due)
{
	struct destination *d = destination_of(q, spool_recipient(q->index, v->recipient));
	q->stats.deferrals++, d->deferrals++;
	place_move(q, v->recipient, PLACE_NONE);
	spool_outcome(q->spool, v->recipient, v->outcome, due);
	if (v->hold) {
		spool_hold(q->spool, v->recipient, true);
		place_move(q, v->recipient, PLACE_HELD);
	} else {
		place_due(q, v->recipient);
	}
}

static void set_deferred(struct verdict *v)
{
	if (v->outcome != &v->changed) v->changed = *v->outcome;
	v->changed.class = OUTCOME_DEFERRED;
	v->outcome = &v->changed;
}

/* The envelope is lost, so nobody can be told: the operator has to see to it.  */
static void quarantine(struct queue *q, const struct settlement *s, struct verdict *v)
{
	char id[SPOOL_ID_LEN + 1];
	log_begin(q->log, LOG_ERROR, spool_id_text(s->id, id), "held");
	log_str(q->log, "why", STR("the message is damaged and could not be returned"));
	settle_log_outcome(q->log, v->outcome);
	log_end(q->log);
	set_deferred(v);
	v->hold = true;
	defer(q, v, queue_due(q, 0));
}

/* ---- who is to be told ---- */

static enum dsn_action action_of(const struct settlement *s, const struct outcome *o)
{
	if (o->class != OUTCOME_DELIVERED) return DSN_FAILED;
	bool relayed = s->destination && !s->destination->rule->local &&
		(s->destination->rule->kind == ROUTE_MX ||
			s->destination->rule->kind == ROUTE_SMTP);
	return relayed ? DSN_RELAYED : DSN_DELIVERED;
}

static bool is_due(const struct settlement *s, const struct verdict *v)
{
	if (v->outcome->class == OUTCOME_DEFERRED) return false;
	if (v->outcome->class == OUTCOME_DELIVERED && v->outcome->dsn_passed) return false;
	return dsn_due(s->envelope, &s->envelope->recipients[v->index], action_of(s, v->outcome));
}

static void set_bounces(struct queue *q, struct settlement *s)
{
	struct bounce_item one,
		*items = s->count == 1 ? &one : queue_alloc(s->count * sizeof(*items));
	uint32_t count = 0;
	for (uint32_t i = 0; i < s->count; i++) {
		struct verdict *v = &s->verdicts[i];
		if (!is_due(s, v)) continue;
		bool ends = v->outcome->class != OUTCOME_DELIVERED;
		items[count++] = (struct bounce_item){
			.recipient = ends ? v->recipient : 0,
			.index = v->index,
			.action = action_of(s, v->outcome),
			.outcome = v->outcome,
			.last_attempt = s->attempt ? q->wall : 0,
		};
		v->bounces = ends;
	}
	if (count > 0 && !bounce_make(q, s->message, items, count)) {
		for (uint32_t i = 0; i < s->count; i++) {
			struct verdict *v = &s->verdicts[i];
			if (v->bounces) set_deferred(v);
			v->bounces = false;
		}
	}
	if (items != &one) free(items);
}

static void settle_one(struct queue *q, const struct settlement *s, struct verdict *v, uint32_t due)
{
	enum outcome_class class = v->outcome->class;
	tell(q, s, v, class == OUTCOME_DEFERRED ? due : 0);
	if (class == OUTCOME_FAILED && s->envelope && s->envelope->account.len && q->drivers.failed)
		q->drivers.failed(q->drivers.context, s->envelope->account);
	if (v->bounces) return;
	bool nobody = s->envelope && s->envelope->reverse_path.len == 0;
	if (nobody && (class == OUTCOME_FAILED || class == OUTCOME_EXPIRED)) tell_lost(q, s, v);
	if (class == OUTCOME_DEFERRED)
		defer(q, v, due);
	else
		settle_end(q, v->recipient, s->id, v->outcome);
}

/* What is deferred and too old has expired.  */
static void set_expired(struct queue *q, struct settlement *s, struct arena *arena)
{
	for (uint32_t i = 0; s->attempt && i < s->count; i++) {
		struct verdict *v = &s->verdicts[i];
		msec hold = s->envelope->hold_until, created = spool_created(s->id);
		if (v->outcome->class != OUTCOME_DEFERRED || v->hold) continue;
		if (!settle_too_old(q, hold > created ? hold : created)) continue;
		v->changed = settle_expiry_outcome(q, arena, v->outcome);
		v->outcome = &v->changed;
	}
}

static void settle_known(struct queue *q, struct settlement *s)
{
	struct arena arena;
	arena_init(&arena, 1 << 20);
	set_expired(q, s, &arena);
	set_bounces(q, s);
	/* What failed together comes back together: one delay for the same number of attempts.  */
	uint32_t due = 0, due_attempts = 0;
	for (uint32_t i = 0; i < s->count; i++) {
		struct verdict *v = &s->verdicts[i];
		uint32_t attempts = spool_recipient(q->index, v->recipient)->attempts + 1u;
		if (v->outcome->class == OUTCOME_DEFERRED && attempts != due_attempts) {
			due_attempts = attempts;
			due = queue_due(q,
				backoff_message(q->options->retry, q->options->retry_count,
					attempts, &q->rng));
		}
		settle_one(q, s, v, due);
	}
	arena_release(&arena);
}

/* The envelope cannot be read: what is delivered is, what is deferred is, and nothing is lost
 * silently.  */
static void settle_unknown(struct queue *q, struct settlement *s, bool damaged)
{
	for (uint32_t i = 0; i < s->count; i++) {
		struct verdict *v = &s->verdicts[i];
		bool lost =
			v->outcome->class == OUTCOME_FAILED || v->outcome->class == OUTCOME_EXPIRED;
		if (lost && damaged) {
			quarantine(q, s, v);
			continue;
		}
		if (lost) set_deferred(v);
		settle_one(q, s, v, queue_due(q, READ_AGAIN_MS));
	}
}

void settle(struct queue *q, struct settlement *s)
{
	if (s->envelope) {
		settle_known(q, s);
		return;
	}
	struct spool_reader reader;
	int error = spool_read_open(q->spool, s->message, &reader);
	if (error) {
		settle_unknown(q, s, error == -EBADMSG);
		return;
	}
	s->envelope = &reader.envelope;
	settle_known(q, s);
	spool_read_close(&reader);
	s->envelope = NULL;
}
