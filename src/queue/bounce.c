#include "queue/state.h"

/* A DSN is composed whole in memory, because the message it speaks of may end before it is on
 * disk; then it is committed like any mail.  The recipients that failed stay ACTIVE, owned by
 * the bounce, until it is: a crash between makes a second DSN, never none.  */

enum {
	TEXT_MAX = 4 << 20,
	ARENA_MAX = 4 << 20,
	RETURN_FULL_MAX = 1 << 20,      /* larger messages are never returned whole */
	RETURN_UNASKED_MAX = 50 * 1024, /* nor these, unless the sender said RET=FULL */
	RETURN_HEADER_MAX = 64 * 1024,
	AGAIN_MS = 5000, /* after the spool refused */
	PIECE = 64 * 1024,
	RECIPIENTS_MAX = 100, /* of a report, when its sender is an alias */
};

struct bounce_end {
	slot recipient; /* 0: deleted meanwhile */
	struct outcome outcome;
};

struct bounce {
	struct queue *queue; /* NULL: the queue is gone, only the commit's end is awaited */
	uint32_t number;
	bool committing;
	bool failure;     /* it speaks of one */
	uint64_t id;      /* of the message it speaks of */
	struct list link; /* queue.bounces_waiting, when not committing */
	struct spool_writer writer;
	struct spool_op op;
	struct buf text;
	struct arena arena;
	struct envelope envelope;
	struct recipient *to; /* in arena; the envelope's */
	struct bounce_end *ends;
	uint32_t count;
};

bool bounce_room(const struct queue *q)
{
	return q->bounce_count < QUEUE_BOUNCES_MAX && q->bounce_octets < QUEUE_BOUNCES_OCTETS;
}

static void bounce_free(struct bounce *b)
{
	buf_release(&b->text);
	arena_release(&b->arena);
	free(b);
}

static void bounce_drop(struct queue *q, struct bounce *b)
{
	table_remove(&q->bounces, b->number);
	q->bounce_count--;
	q->bounce_octets -= b->text.len;
	list_remove(&b->link);
	bounce_free(b);
}

/* ---- composing ---- */

/* RFC 3461 4.3: RET says how a failure is returned; what is no failure comes back with the
 * header alone, and so does what must not travel without TLS (RFC 8689 5).  */
static bool returns_whole(
	const struct envelope *e, uint64_t size, const struct bounce_item *items, uint32_t count)
{
	bool failed = false;
	for (uint32_t i = 0; i < count; i++) failed |= items[i].action == DSN_FAILED;
	uint32_t never = ENVELOPE_RET_HDRS | ENVELOPE_BINARY | ENVELOPE_REQUIRETLS;
	if (!failed || size > RETURN_FULL_MAX || (e->flags & never)) return false;
	return (e->flags & ENVELOPE_RET_FULL) || size <= RETURN_UNASKED_MAX;
}

static void add_whole(struct buf *out, struct spool_reader *reader)
{
	struct str octets;
	while (spool_read(reader, &octets) == 0 && octets.len > 0) buf_add(out, octets);
}

/* Where the empty line begins, or the length.  */
static size_t header_end(struct str s)
{
	for (size_t i = 0; i + 2 <= s.len; i++) {
		size_t line = i + str_find(str_skip(s, i), '\n') + 1;
		if (i == 0 && str_starts(s, STR("\r\n"))) return 0;
		if (line < s.len && str_starts(str_skip(s, line), STR("\r\n"))) return line;
		i = line - 1;
	}
	return s.len;
}

static void add_header(struct buf *out, struct spool_reader *reader)
{
	struct buf header;
	buf_init(&header, RETURN_HEADER_MAX + PIECE);
	struct str octets;
	while (header.len < RETURN_HEADER_MAX && spool_read(reader, &octets) == 0 &&
		octets.len > 0) {
		if (!buf_add(&header, octets)) break;
		if (header_end(buf_str(&header)) < header.len) break;
	}
	struct str whole = str_head(buf_str(&header), header_end(buf_str(&header)));
	whole = str_head(whole, RETURN_HEADER_MAX);
	/* Cut at the end of a line.  */
	buf_add(out, str_head(whole, whole.len ? str_rfind(whole, '\n') + 1 : 0));
	buf_release(&header);
}

static bool compose_as(
	struct buf *text, const struct dsn *dsn, struct spool_reader *reader, bool whole)
{
	buf_clear(text);
	spool_read_rewind(reader);
	dsn_add_head(text, dsn, whole);
	if (whole)
		add_whole(text, reader);
	else
		add_header(text, reader);
	dsn_add_tail(text, dsn);
	return buf_ok(text);
}

static bool compose(struct queue *q, struct bounce *b, struct spool_reader *reader,
	const struct bounce_item *items, uint32_t count)
{
	const struct envelope *e = &reader->envelope;
	struct dsn_recipient *recipients = queue_alloc(count * sizeof(*recipients));
	for (uint32_t i = 0; i < count; i++) {
		recipients[i] = (struct dsn_recipient){
			.recipient = &e->recipients[items[i].index],
			.action = items[i].action,
			.outcome = *items[i].outcome,
			.last_attempt = items[i].last_attempt,
			.retry_until = items[i].action == DSN_DELAYED
				? spool_created(b->id) + q->options->lifetime
				: 0,
		};
	}
	char id[SPOOL_ID_LEN + 1];
	struct buf own;
	buf_init(&own, 64);
	buf_add(&own, spool_id_text(b->id, id));
	buf_printf(&own, ".%016llx", (unsigned long long)rng_next(&q->rng));
	struct dsn dsn = {.envelope = e,
		.hostname = q->options->hostname,
		.id = spool_id_text(b->id, id),
		.own_id = buf_str(&own),
		.now = q->wall,
		.recipients = recipients,
		.recipient_count = count};
	bool whole = returns_whole(e, reader->size, items, count);
	bool ok = buf_ok(&own) &&
		(compose_as(&b->text, &dsn, reader, whole) ||
			(whole && compose_as(&b->text, &dsn, reader, false)));
	buf_release(&own);
	free(recipients);
	return ok;
}

static bool has_8bit(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.ptr[i] > 127) return true;
	}
	return false;
}

/* To the sender; a local one may be an alias.  One that is unknown here stays: its delivery fails, and is told.  */
static bool find_recipients(struct queue *q, struct bounce *b, struct str sender)
{
	const struct domains *domains = q->options->domains;
	struct address a;
	struct str to[RECIPIENTS_MAX];
	uint32_t count = 0;
	if (!domains || !address_parse(sender, true, true, &a) ||
		domain_expand(domains, &a, RECIPIENTS_MAX, &b->arena, to, &count) != EXPAND_DONE)
		to[0] = sender, count = 1;
	b->to = arena_alloc(&b->arena, count * sizeof(*b->to));
	if (!b->to) return false;
	for (uint32_t i = 0; i < count; i++) {
		b->to[i].notify = NOTIFY_NEVER; /* RFC 3461 6.2 */
		if (!arena_copy(&b->arena, to[i], &b->to[i].address)) return false;
	}
	b->envelope.recipients = b->to;
	b->envelope.recipient_count = count;
	return true;
}

static bool address_it(struct queue *q, struct bounce *b, const struct envelope *e)
{
	b->envelope = (struct envelope){
		.flags = ENVELOPE_DSN,
		.size = b->text.len,
		.created = q->wall,
	};
	if (has_8bit(buf_str(&b->text))) b->envelope.flags |= ENVELOPE_8BIT;
	if (e->flags & ENVELOPE_UTF8) b->envelope.flags |= ENVELOPE_UTF8;
	return find_recipients(q, b, e->reverse_path);
}

static bool copy_ends(struct bounce *b, const struct bounce_item *items, uint32_t count)
{
	b->ends = arena_alloc(&b->arena, count * sizeof(*b->ends));
	if (!b->ends) return false;
	for (uint32_t i = 0; i < count; i++) {
		if (!items[i].recipient) continue;
		struct bounce_end *end = &b->ends[b->count++];
		end->recipient = items[i].recipient;
		if (!outcome_copy(items[i].outcome, &b->arena, &end->outcome)) return false;
	}
	return true;
}

/* ---- committing ---- */

static void done(struct spool_op *op, int error);

static void wait_for_spool(struct queue *q, struct bounce *b)
{
	b->committing = false;
	if (list_empty(&q->bounces_waiting)) q->bounce_retry = q->now + AGAIN_MS;
	list_push_back(&q->bounces_waiting, &b->link);
}

/* Only small amounts, and all at once: that the spool asks to wait with more is of no matter.  */
static void resumed(struct spool_writer *w) { (void)w; }

static bool commit(struct bounce *b)
{
	if (spool_begin(b->queue->spool, &b->writer, resumed) != 0) return false;
	struct str rest = buf_str(&b->text);
	while (rest.len > 0) {
		struct str piece = str_head(rest, PIECE);
		if (spool_write(&b->writer, piece) == SPOOL_REFUSED) {
			spool_abort(&b->writer);
			return false;
		}
		rest = str_skip(rest, piece.len);
	}
	b->committing = true;
	b->op = (struct spool_op){.done = done};
	spool_commit(&b->writer, &b->envelope, queue_tag(STR_NONE), &b->op);
	return true;
}

static void tell(struct queue *q, const struct bounce *b, uint64_t own_id)
{
	char id[SPOOL_ID_LEN + 1], own[SPOOL_ID_LEN + 1];
	struct str to[RECIPIENTS_MAX];
	for (uint32_t i = 0; i < b->envelope.recipient_count; i++) to[i] = b->to[i].address;
	log_begin(q->log, LOG_INFO, spool_id_text(b->id, id), "bounced");
	log_str(q->log, "to", b->to[0].address);
	log_str(q->log, "dsn", spool_id_text(own_id, own));
	log_i64(q->log, "recipients", b->count);
	if (!b->failure) log_str(q->log, "failed", STR("no"));
	log_end(q->log);
	if (!q->history) return;
	history_add(q->history,
		&(struct history_record){.event = b->failure ? HISTORY_BOUNCED : HISTORY_REPORTED,
			.id = b->id,
			.wall = q->wall,
			.recipient = b->to[0].address,
			.other_id = own_id});
	history_add(q->history,
		&(struct history_record){.event = HISTORY_ACCEPTED,
			.id = own_id,
			.wall = q->wall,
			.size = b->envelope.size,
			.recipients = to,
			.recipient_count = b->envelope.recipient_count});
}

static void done(struct spool_op *op, int error)
{
	struct bounce *b = CONTAINER_OF(op, struct bounce, op);
	struct queue *q = b->queue;
	if (!q) {
		bounce_free(b);
		return;
	}
	if (error) {
		wait_for_spool(q, b);
		return;
	}
	slot message = spool_committed(&b->writer);
	tell(q, b, spool_message(q->index, message)->id);
	q->stats.bounces++;
	for (uint32_t i = 0; i < b->count; i++) {
		if (b->ends[i].recipient)
			settle_end(q, b->ends[i].recipient, b->id, &b->ends[i].outcome);
	}
	queue_accepted(q, message, &b->envelope, q->now, q->wall);
	bounce_drop(q, b);
}

/* ---- ---- */

static bool prepare(struct queue *q, struct bounce *b, slot message,
	const struct bounce_item *items, uint32_t count)
{
	struct spool_reader reader;
	if (spool_read_open(q->spool, message, &reader) != 0) return false;
	bool ok = compose(q, b, &reader, items, count) && address_it(q, b, &reader.envelope) &&
		copy_ends(b, items, count);
	spool_read_close(&reader);
	return ok;
}

bool bounce_make(struct queue *q, slot message, const struct bounce_item *items, uint32_t count)
{
	if (!bounce_room(q)) return false;
	struct bounce *b = queue_alloc(sizeof(*b));
	b->queue = q;
	b->id = spool_message(q->index, message)->id;
	for (uint32_t i = 0; i < count; i++) b->failure |= items[i].action == DSN_FAILED;
	list_init(&b->link);
	buf_init(&b->text, TEXT_MAX);
	arena_init(&b->arena, ARENA_MAX);
	if (!prepare(q, b, message, items, count)) {
		bounce_free(b);
		return false;
	}
	b->number = table_add(&q->bounces, b);
	if (b->number == 0) queue_no_memory();
	q->bounce_count++;
	q->bounce_octets += b->text.len;
	for (uint32_t i = 0; i < b->count; i++) {
		struct spool_recipient *r = spool_recipient(q->index, b->ends[i].recipient);
		place_move(q, b->ends[i].recipient, PLACE_BOUNCE);
		r->link.next = b->number;
		r->link.prev = i;
	}
	if (!commit(b)) wait_for_spool(q, b);
	return true;
}

void bounce_forget(struct queue *q, const struct spool_recipient *r)
{
	struct bounce *b = table_get(&q->bounces, r->link.next);
	ASSERT(r->link.prev < b->count);
	b->ends[r->link.prev].recipient = 0;
}

slot bounce_owns(const struct queue *q, const struct spool_recipient *r)
{
	const struct bounce *b = table_get(&q->bounces, r->link.next);
	return r->link.prev < b->count ? b->ends[r->link.prev].recipient : 0;
}

void bounce_run(struct queue *q)
{
	if (list_empty(&q->bounces_waiting) || q->now < q->bounce_retry) return;
	q->bounce_retry = q->now + AGAIN_MS;
	for (struct list *node; (node = list_pop(&q->bounces_waiting));) {
		struct bounce *b = CONTAINER_OF(node, struct bounce, link);
		if (commit(b)) continue;
		list_push_front(&q->bounces_waiting, &b->link);
		return;
	}
}

void bounce_release(struct queue *q)
{
	for (uint32_t i = 1; i <= q->bounces.used; i++) {
		if (q->bounces.items[i] & 1) continue;
		struct bounce *b = table_get(&q->bounces, i);
		list_remove(&b->link);
		if (b->committing)
			b->queue = NULL;
		else
			bounce_free(b);
	}
	table_release(&q->bounces);
}
