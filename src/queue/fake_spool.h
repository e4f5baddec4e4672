/* A spool in memory for the tests of the queue: the real index, no disk; commits end when the
 * test says so and are refused when it says so.  History is counted.  Include in one file of a
 * test only.  */
#ifndef QUEUE_FAKE_SPOOL_H
#define QUEUE_FAKE_SPOOL_H

#include "spool/history.h"
#include "spool/slots.h"
#include "spool/spool.h"

#include <errno.h>

enum { FAKE_MESSAGES = 1 << 21, FAKE_HISTORY = HISTORY_EVENTS };

struct fake_message {
	struct arena arena;
	struct envelope envelope;
	struct str body;
	struct outcome *reasons; /* one each recipient */
	bool shared;             /* for masses: not freed with the message */
};

struct spool {
	struct spool_index index;
	struct fake_message **messages; /* by slot */
	struct list commits;            /* ops whose `done` is to come */
	uint64_t last_id;
	msec wall;
	int refuse;  /* spool_begin answers with this */
	int fail;    /* commits end with this */
	int damaged; /* spool_read_open answers with this */
	uint32_t commits_done, reads, outcomes, dues, holds, told;
	uint32_t history[FAKE_HISTORY];
	uint64_t ended[OUTCOME_DELETED + 1];
	slot committed;
};

static struct spool *fake_spool_new(msec wall)
{
	struct spool *s = calloc(1, sizeof(*s));
	slots_init(&s->index);
	s->messages = calloc(FAKE_MESSAGES, sizeof(*s->messages));
	list_init(&s->commits);
	s->wall = wall;
	return s;
}

static void fake_message_free(struct fake_message *m)
{
	if (!m || m->shared) return;
	arena_release(&m->arena);
	free(m);
}

static void fake_spool_free(struct spool *s)
{
	for (slot at = 0; at < FAKE_MESSAGES; at++) fake_message_free(s->messages[at]);
	free(s->messages);
	slots_release(&s->index);
	free(s);
}

struct spool_index *spool_index(struct spool *s) { return &s->index; }

static struct fake_message *fake_message_new(const struct envelope *e, struct str body)
{
	struct fake_message *m = calloc(1, sizeof(*m));
	arena_init(&m->arena, 64 << 20);
	ASSERT(envelope_copy(e, &m->arena, &m->envelope));
	ASSERT(arena_copy(&m->arena, body, &m->body));
	m->reasons = arena_alloc(&m->arena, e->recipient_count * sizeof(*m->reasons));
	return m;
}

static uint64_t fake_id(struct spool *s)
{
	uint64_t id = (uint64_t)s->wall << 20;
	s->last_id = id > s->last_id ? id : s->last_id + 1;
	return s->last_id;
}

/* A message as spool_commit leaves it.  */
static slot fake_store(struct spool *s, struct fake_message *m, uint32_t tag)
{
	slot at = slots_take(&s->index, m->envelope.recipient_count);
	ASSERT(at && at < FAKE_MESSAGES);
	spool_message(&s->index, at)->tag = tag;
	slots_publish(&s->index, at, fake_id(s), RECIPIENT_ACTIVE);
	s->messages[at] = m;
	return at;
}

/* ---- writing ---- */

int spool_begin(struct spool *s, struct spool_writer *w, void (*resumed)(struct spool_writer *))
{
	if (s->refuse) return s->refuse;
	*w = (struct spool_writer){.spool = s, .resumed = resumed};
	buf_init(&w->chunk, 64 << 20);
	return 0;
}

enum spool_take spool_write(struct spool_writer *w, struct str octets)
{
	ASSERT(octets.len <= 64 << 10);
	return buf_add(&w->chunk, octets) ? SPOOL_TAKEN : SPOOL_REFUSED;
}

void spool_commit(
	struct spool_writer *w, const struct envelope *e, uint32_t tag, struct spool_op *op)
{
	w->envelope = e;
	w->tag = tag;
	w->op = op;
	list_push_back(&w->spool->commits, &w->link);
}

void spool_abort(struct spool_writer *w) { buf_release(&w->chunk); }
slot spool_committed(const struct spool_writer *w) { return w->spool->committed; }

/* End the commits that wait.  */
static void fake_spool_sync(struct spool *s)
{
	struct list batch;
	list_init(&batch);
	list_push_back(&s->commits, &batch);
	list_remove(&s->commits);
	for (struct list *node; (node = list_pop(&batch));) {
		struct spool_writer *w = CONTAINER_OF(node, struct spool_writer, link);
		if (!s->fail)
			s->committed = fake_store(
				s, fake_message_new(w->envelope, buf_str(&w->chunk)), w->tag);
		buf_release(&w->chunk);
		s->commits_done += !s->fail;
		w->op->done(w->op, s->fail);
	}
}

/* ---- outcomes ---- */

bool spool_outcome(struct spool *s, slot recipient, const struct outcome *o, uint32_t due)
{
	struct spool_recipient *r = spool_recipient(&s->index, recipient);
	slot message = r->message;
	struct fake_message *m = s->messages[message];
	ASSERT(r->state == RECIPIENT_ACTIVE && o->class != OUTCOME_NONE);
	s->outcomes++;
	if (o->class == OUTCOME_DEFERRED) {
		r->state = RECIPIENT_DUE;
		r->due = due;
		if (r->attempts < 255) r->attempts++;
		if (!m->shared) ASSERT(outcome_copy(o, &m->arena, &m->reasons[r->index]));
		return false;
	}
	ASSERT(r->link.lane == 0 && r->place == 0);
	s->ended[o->class]++;
	r->state = RECIPIENT_DONE;
	if (--spool_message(&s->index, message)->open > 0) return false;
	slots_free(&s->index, message);
	s->messages[message] = NULL;
	fake_message_free(m);
	return true;
}

void spool_hold(struct spool *s, slot recipient, bool hold)
{
	struct spool_recipient *r = spool_recipient(&s->index, recipient);
	ASSERT(r->state == (hold ? RECIPIENT_DUE : RECIPIENT_HELD));
	r->state = hold ? RECIPIENT_HELD : RECIPIENT_DUE;
	s->holds++;
}

void spool_set_due(struct spool *s, slot recipient, uint32_t due)
{
	spool_recipient(&s->index, recipient)->due = due;
	s->dues++;
}

void spool_delay_told(struct spool *s, slot message)
{
	struct spool_message *m = spool_message(&s->index, message);
	m->flags = (m->flags | SPOOL_MESSAGE_DELAY_TOLD) & 127;
	s->told++;
}

bool spool_reason(struct spool *s, slot recipient, struct arena *arena, struct outcome *ret)
{
	const struct spool_recipient *r = spool_recipient(&s->index, recipient);
	const struct fake_message *m = s->messages[r->message];
	return !m->shared && m->reasons[r->index].class != OUTCOME_NONE &&
		outcome_copy(&m->reasons[r->index], arena, ret);
}

/* ---- reading ---- */

int spool_read_open(struct spool *s, slot message, struct spool_reader *r)
{
	if (s->damaged) return s->damaged;
	struct fake_message *m = s->messages[message];
	ASSERT(m && spool_message(&s->index, message)->id);
	s->reads++;
	*r = (struct spool_reader){.spool = s, .size = m->body.len};
	arena_init(&r->arena, 64 << 20);
	ASSERT(envelope_copy(&m->envelope, &r->arena, &r->envelope));
	ASSERT(arena_copy(&r->arena, m->body, &r->inline_body));
	return 0;
}

int spool_read(struct spool_reader *r, struct str *ret_octets)
{
	*ret_octets = str_head(str_skip(r->inline_body, r->position), 1000);
	r->position += ret_octets->len;
	return 0;
}

void spool_read_rewind(struct spool_reader *r) { r->position = 0; }
void spool_read_close(struct spool_reader *r) { arena_release(&r->arena); }

/* ---- history ---- */

struct history {
	struct spool *spool;
};

void history_add(struct history *h, const struct history_record *record)
{
	h->spool->history[record->event]++;
}

#endif
