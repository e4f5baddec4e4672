/* Transactions of one connection: from the queue's job, through the client core, to the job's outcomes.  */
#include "outbound/session.h"

#include <errno.h>
#include <stdlib.h>

enum {
	UNSENT_MAX = 256 * 1024,
	ARENA_BASE = 64 * 1024,
	ARENA_RECIPIENT = 1024,
	RECODED_MAX = 1 << 20, /* of one piece of 64 KiB: base64 and quoted-printable fit easily */
	PIECES_MAX = 16,
	RECIPIENTS_MAX = 100, /* every server takes so many (RFC 5321 4.5.3.1.8) */
};

bool flights_any(const struct client_session *s)
{
	for (int i = 0; i < FLIGHTS; i++)
		if (s->flights[i].job) return true;
	return false;
}

static void note_sent(struct client_session *s, struct flight *f)
{
	f->sent = true;
	for (uint32_t i = 0; i < f->job->count; i++)
		if (f->job->recipients[i] && f->transaction.outcomes[i].class == OUTCOME_NONE)
			spool_sent(s->outbound->parts.spool, f->job->recipients[i]);
}

void flights_note_sent(struct client_session *s)
{
	for (int i = 0; i < FLIGHTS; i++) {
		struct flight *f = &s->flights[i];
		if (f->job && !f->sent && smtp_client_end_sent(&s->client, &f->transaction))
			note_sent(s, f);
	}
}

/* ---- the end of a flight ---- */

static void flight_clear(struct flight *f)
{
	spool_read_close(&f->reader);
	arena_release(&f->arena);
	buf_release(&f->recoded);
	free(f->recode);
	f->recode = NULL;
	f->job = NULL;
}

static bool is_status(const struct outcome *o, uint8_t class, uint16_t subject, uint16_t detail)
{
	return o->enhanced.class == class && o->enhanced.subject == subject &&
		o->enhanced.detail == detail;
}

/* The peer took some recipients, and the others were too many for one transaction (RFC 5321 4.5.3.1.10): they go in the
 * next, at once.  */
static void try_rest_soon(struct client_session *s, const struct flight *f)
{
	struct outcome *outcomes = f->transaction.outcomes;
	uint32_t count = f->job->count, first = 0;
	bool delivered = false;
	for (uint32_t i = 0; i < count; i++) delivered |= outcomes[i].class == OUTCOME_DELIVERED;
	if (!delivered) return;
	while (first < count && !is_status(&outcomes[first], 4, 5, 3)) first++;
	if (first == 0 || first == count) return;
	s->recipients_most = first;
	for (uint32_t i = first; i < count; i++)
		if (is_status(&outcomes[i], 4, 5, 3)) outcomes[i].class = OUTCOME_NONE;
}

static void land(struct client_session *s, struct flight *f)
{
	try_rest_soon(s, f);
	struct queue_job *job = f->job;
	struct outcome *outcomes = f->transaction.outcomes;
	for (uint32_t i = 0; i < job->count; i++) {
		outcomes[i].host = str_of(s->host, s->host_len);
		outcomes[i].tls = hop_tls_text(s);
		s->outbound->stats.delivered += outcomes[i].class == OUTCOME_DELIVERED;
	}
	s->outbound->stats.attempts++;
	queue_finish(s->outbound->queue, job, outcomes, outbound_now(s->outbound),
		outbound_wall(s->outbound));
	flight_clear(f);
}

static struct flight *flight_of(struct smtp_transaction *t)
{
	return CONTAINER_OF(t, struct flight, transaction);
}

/* Whether the peer has answered for this transaction itself, whatever it said.  */
static bool was_served(const struct flight *f)
{
	for (uint32_t i = 0; i < f->job->count; i++) {
		const struct outcome *o = &f->transaction.outcomes[i];
		if (o->class == OUTCOME_DELIVERED || o->class == OUTCOME_FAILED ||
			(o->remote && o->code != 421))
			return true;
	}
	return false;
}

void flight_done(struct client_session *s, struct smtp_transaction *t)
{
	struct flight *f = flight_of(t);
	if (was_served(f)) {
		s->served++;
		queue_served(s->outbound->queue, s->site->destination, outbound_now(s->outbound));
	}
	land(s, f);
}

void flights_drop(struct client_session *s)
{
	for (int i = 0; i < FLIGHTS; i++)
		if (s->flights[i].job) land(s, &s->flights[i]);
}

/* We leave with transactions under way.  What the peer may have taken is told as such; the rest counts as not tried.  */
void flights_cut(struct client_session *s)
{
	smtp_client_lost(&s->client, outbound_now(s->outbound), STR("this server stops"));
	struct smtp_client_event event;
	while (smtp_client_next(&s->client, &event)) {
		if (event.type != SMTP_CLIENT_EVENT_DONE) continue;
		struct flight *f = flight_of(event.transaction);
		for (uint32_t i = 0; i < f->job->count; i++) {
			struct outcome *o = &f->transaction.outcomes[i];
			if (o->class == OUTCOME_DEFERRED && !o->remote && !o->doubtful)
				o->class = OUTCOME_NONE;
		}
		land(s, f);
	}
}

/* ---- content made fit ---- */

/* The first pass: can it be re-coded, and how large will it be?  */
static struct outcome plan_recoding(struct flight *f)
{
	struct outcome memory = outcome_local(OUTCOME_DEFERRED, "4.3.0", STR("out of memory"));
	struct recode *r = f->recode = calloc(1, sizeof *r);
	if (!r) return memory;
	recode_init(r);
	struct str octets;
	do {
		if (spool_read(&f->reader, &octets) != 0)
			return outcome_local(OUTCOME_DEFERRED, "4.3.0",
				STR("the message cannot be read at present"));
	} while (octets.len && recode_feed(r, octets, NULL));
	if (!r->fault) recode_end(r, NULL);
	if (r->fault) return recode_outcome(r);
	spool_read_rewind(&f->reader);
	f->reader.envelope.flags &= ~(uint32_t)(ENVELOPE_8BIT | ENVELOPE_BINARY);
	if (!r->needed) { /* marked as 8-bit by its sender, and is not */
		free(r);
		f->recode = NULL;
		return (struct outcome){0};
	}
	f->transaction.size = r->size;
	recode_rewind(r);
	buf_init(&f->recoded, RECODED_MAX);
	return (struct outcome){0};
}

/* Whether the next hop can take it, if need be after re-coding.  */
static struct outcome make_fit(struct client_session *s, struct flight *f)
{
	struct outcome o = hop_tls_fits(s, &f->reader.envelope);
	if (o.class == OUTCOME_NONE) o = smtp_client_fits(&s->client, &f->transaction);
	if (!is_status(&o, 5, 6, 3)) return o;
	o = plan_recoding(f);
	return o.class == OUTCOME_NONE ? smtp_client_fits(&s->client, &f->transaction) : o;
}

/* ---- the beginning ---- */

static struct outcome describe(struct client_session *s, struct flight *f, struct queue_job *job)
{
	int error = spool_read_open(s->outbound->parts.spool, job->message, &f->reader);
	if (error)
		return outcome_local(OUTCOME_DEFERRED, "4.3.0",
			error == -EBADMSG ? STR("the message is damaged on our disk")
					  : STR("the message cannot be read at present"));
	job->envelope = &f->reader.envelope;
	arena_init(&f->arena, ARENA_BASE + (size_t)job->count * ARENA_RECIPIENT);
	f->transaction = (struct smtp_transaction){
		.envelope = &f->reader.envelope,
		.recipients = job->indices,
		.recipient_count = job->count,
		.size = f->reader.size,
		.outcomes = arena_alloc(&f->arena, job->count * sizeof(struct outcome)),
		.arena = &f->arena,
		.dsn_relay = true,
	};
	struct outcome o = f->transaction.outcomes
		? make_fit(s, f)
		: outcome_local(OUTCOME_DEFERRED, "4.3.0", STR("out of memory"));
	return o;
}

bool flight_begin(struct client_session *s)
{
	if (!smtp_client_ready(&s->client)) return false;
	struct flight *f = s->flights[0].job ? &s->flights[1] : &s->flights[0];
	if (f->job) return false;
	uint32_t most = s->client.offer.rcpt_max ? s->client.offer.rcpt_max : RECIPIENTS_MAX;
	if (s->recipients_most && s->recipients_most < most) most = s->recipients_most;
	struct queue_job *job = queue_take(
		s->outbound->queue, s->site->destination, most, outbound_now(s->outbound));
	if (!job) return false;
	*f = (struct flight){0};
	struct outcome unfit = describe(s, f, job);
	if (unfit.class != OUTCOME_NONE) {
		unfit.host = str_of(s->host, s->host_len);
		unfit.tls = hop_tls_text(s);
		outbound_finish_all(s->outbound, job, &unfit);
		flight_clear(f);
		return true;
	}
	f->job = job;
	smtp_client_begin(&s->client, outbound_now(s->outbound), &f->transaction);
	return true;
}

/* ---- content ---- */

void flight_wants_content(struct client_session *s, struct smtp_transaction *t)
{
	(void)s;
	flight_of(t)->content = true;
}

/* The flight whose content is being sent; NULL: none.  */
static struct flight *sending(struct client_session *s)
{
	for (int i = 0; i < FLIGHTS; i++) {
		struct flight *f = &s->flights[i];
		if (f->job && f->content && f->given < f->transaction.size) return f;
	}
	return NULL;
}

/* Have something pending.  False: what the message promised is not there.  */
static bool read_more(struct flight *f)
{
	struct str octets;
	if (!f->recode) return spool_read(&f->reader, &f->pending) == 0 && f->pending.len > 0;
	buf_clear(&f->recoded);
	while (f->recoded.len == 0 && !f->ended) {
		if (spool_read(&f->reader, &octets) != 0) return false;
		f->ended = octets.len == 0;
		if (f->ended ? !recode_end(f->recode, &f->recoded)
			     : !recode_feed(f->recode, octets, &f->recoded))
			return false;
	}
	f->pending = buf_str(&f->recoded);
	return f->pending.len > 0;
}

bool flight_content(struct client_session *s)
{
	bool any = false;
	int pieces =
		PIECES_MAX; /* then the core's events have their turn: the peer may have had enough */
	for (struct flight *f;
		pieces-- && (f = sending(s)) && io_unsent(&s->connection->stream) <= UNSENT_MAX;) {
		if (f->pending.len == 0 && !read_more(f)) {
			s->ours = true;
			smtp_client_abandon(
				&s->client, STR("the message cannot be read at present"));
			return true;
		}
		struct str piece = str_head(f->pending, SMTP_CLIENT_PIECE_MAX);
		if (smtp_client_content(&s->client, outbound_now(s->outbound), piece)) {
			f->given += piece.len;
			f->pending = str_skip(f->pending, piece.len);
			any = true;
		} else if (smtp_client_output(&s->client).len == 0) {
			break; /* the core wants none now */
		}
		/* The next envelope leaves with the last piece: one send a message.  */
		if (f->given < f->transaction.size && !client_session_flush(s)) return true;
	}
	return any;
}
