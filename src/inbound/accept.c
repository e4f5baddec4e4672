/* The verdicts on what a client asks: may they, is there room, is it on disk.  */
#include "inbound/parts.h"
#include "mail/trace.h"
#include "route/idna.h"

enum {
	RECEIVED_MAX = 100,                   /* RFC 5321 6.3: more is a loop */
	ARENA_BASE = 256 * 1024,              /* an envelope's memory, and */
	ARENA_RECIPIENT = 2048,               /* for each recipient that may be named */
	ENVELOPE_RECIPIENTS_MAX = UINT16_MAX, /* what the spool can count */
};

static const struct smtp_reply no_room = {.code = 452,
	.enhanced = {4, 3, 1},
	.text = STR("Insufficient system resources, try again later")};
static const struct smtp_reply standard = {.code = 250};

static struct log *session_log(const struct session *s) { return s->inbound->parts.log; }

static void refuse(struct session *s, struct str address, struct smtp_reply reply)
{
	tell_refusal(s, address, reply);
	smtp_server_answer(&s->smtp, reply);
}

/* ---- MAIL ---- */

static struct transaction *transaction_new(struct session *s)
{
	struct inbound *in = s->inbound;
	struct transaction *t = pool_take(&in->transaction_pool);
	if (!t) return NULL;
	*t = (struct transaction){.inbound = in, .session = s};
	list_init(&t->link);
	arena_init(
		&t->arena, ARENA_BASE + (size_t)s->office->rules.recipients_max * ARENA_RECIPIENT);
	header_watch_init(&t->header);
	return t;
}

void transaction_free(struct transaction *t)
{
	list_remove(&t->link);
	submit_end(t);
	arena_release(&t->arena);
	pool_give(&t->inbound->transaction_pool, t);
}

void transaction_end(struct session *s)
{
	struct transaction *t = s->transaction;
	s->transaction = NULL;
	s->paused = false;
	if (!t) return;
	if (t->committing) { /* the commit goes on; see committed() */
		t->session = NULL;
		list_push_back(&t->inbound->orphans, &t->link);
		return;
	}
	if (t->begun) spool_abort(&t->writer);
	transaction_free(t);
}

/* Who has logged in sends in its own name, or (notifications) in none.  */
static bool may_send_as(const struct session *s, struct str path)
{
	return s->account.len == 0 || path.len == 0 || submit_may_send_as(s, path);
}

static void refuse_sender(struct session *s, struct str path)
{
	struct buf text;
	buf_init(&text, 1024);
	buf_printf(&text,
		"<" STR_FMT ">: Sender address rejected: it is no address of your account " STR_FMT,
		STR_ARG(str_head(path, 300)), STR_ARG(s->account));
	refuse(s, path,
		(struct smtp_reply){.code = 553, .enhanced = {5, 7, 1}, .text = buf_str(&text)});
	buf_release(&text);
}

static void on_mail(struct session *s, const struct smtp_event *event)
{
	transaction_end(s);
	if (!may_send_as(s, event->path.text)) {
		refuse_sender(s, event->path.text);
		return;
	}
	struct smtp_reply limit = submit_limit(s, 0, false);
	if (limit.code) {
		refuse(s, event->path.text, limit);
		return;
	}
	struct inbound *in = s->inbound;
	struct transaction *t = transaction_new(s);
	if (!t) {
		refuse(s, event->path.text, no_room);
		return;
	}
	s->transaction = t;
	msec wall = io_wall(in->parts.io);
	struct envelope *e = &t->envelope;
	e->client = s->peer;
	e->flags = event->flags | (s->secure ? ENVELOPE_TLS : 0) |
		(s->account.len ? ENVELOPE_AUTHENTICATED : 0) |
		(smtp_server_esmtp(&s->smtp) ? ENVELOPE_ESMTP : 0);
	e->hold_until = event->hold_until ? event->hold_until
		: event->hold_for         ? wall + event->hold_for
					  : 0;
	if (!arena_copy(&t->arena, event->path.text, &e->reverse_path) ||
		!arena_copy(&t->arena, event->envid, &e->envid) ||
		!arena_copy(&t->arena, s->account, &e->account) ||
		!arena_copy(&t->arena, s->secure ? tls_text(s->secure->tls) : STR_NONE, &e->tls) ||
		!arena_copy(&t->arena, smtp_server_helo(&s->smtp), &e->helo)) {
		refuse(s, event->path.text, no_room);
		transaction_end(s);
		return;
	}
	smtp_server_answer(&s->smtp, standard);
}

/* ---- RCPT ---- */

static struct smtp_reply reply_about(struct session *s, uint16_t code, struct enhanced status,
	struct str address, const char *words)
{
	struct buf text;
	buf_init(&text, 1024);
	buf_printf(&text, "<" STR_FMT ">: %s", STR_ARG(str_head(address, 400)), words);
	struct str copy = STR_NONE;
	bool ok = arena_copy(&s->transaction->arena, buf_str(&text), &copy);
	buf_release(&text);
	return ok ? (struct smtp_reply){.code = code, .enhanced = status, .text = copy} : no_room;
}

static bool add_recipient(struct transaction *t, struct str address, struct str original,
	struct str orcpt, uint8_t notify)
{
	struct envelope *e = &t->envelope;
	for (uint32_t i = 0; i < e->recipient_count && e->recipient_count <= 64; i++)
		if (str_eq(e->recipients[i].address, address)) return true; /* once is enough */
	if (e->recipient_count == t->recipient_room) {
		uint32_t room = t->recipient_room ? t->recipient_room * 2 : 4;
		struct recipient *more = arena_alloc(&t->arena, room * sizeof *more);
		if (!more) return false;
		if (e->recipient_count)
			memcpy(more, e->recipients, e->recipient_count * sizeof *more);
		e->recipients = more;
		t->recipient_room = room;
	}
	struct recipient r = {.notify = notify};
	if (!arena_copy(&t->arena, address, &r.address)) return false;
	if (original.len && !arena_copy(&t->arena, original, &r.original)) return false;
	if (orcpt.len && !arena_copy(&t->arena, orcpt, &r.orcpt)) return false;
	e->recipients[e->recipient_count++] = r;
	return true;
}

/* The same with another domain; as it was when there is no memory.  */
static struct address at_domain(struct session *s, struct address a, struct str domain)
{
	struct buf text;
	buf_init(&text, 1024);
	buf_printf(&text, STR_FMT "@" STR_FMT, STR_ARG(a.local), STR_ARG(domain));
	struct str copy;
	if (buf_ok(&text) && arena_copy(&s->transaction->arena, buf_str(&text), &copy)) {
		a.text = copy;
		a.local = str_head(copy, a.local.len);
		a.domain = str_skip(copy, a.local.len + 1);
	}
	buf_release(&text);
	return a;
}

/* "postmaster" alone is this host's (RFC 5321 4.5.1), or the first local domain's when the host has no mailboxes.  Local
 * domains are known by their A-labels.  */
static struct address complete(struct session *s, const struct address *path)
{
	const struct inbound_rules *rules = &s->office->rules;
	char ascii[IDNA_NAME_MAX];
	if (path->domain.len && !idna_is_ascii(path->domain) &&
		idna_to_ascii(path->domain, ascii) &&
		domain_find(rules->domains, str_from_c(ascii)))
		return at_domain(s, *path, str_from_c(ascii));
	if (path->domain.len) return *path;
	const struct local_domain *first = domains_first(rules->domains);
	bool hosts = !first || domain_find(rules->domains, rules->hostname);
	return at_domain(s, *path, hosts ? rules->hostname : first->name);
}

static bool may_relay(const struct session *s)
{
	return s->account.len || access_allows(s->office->rules.relay_from, &s->peer);
}

/* Take what the address stands for; foreign addresses stand for themselves.  Returns the reply.  */
static struct smtp_reply take_recipient(struct session *s, const struct smtp_event *event,
	const struct address *a, struct str *to, uint32_t room)
{
	struct transaction *t = s->transaction;
	uint32_t count = 0;
	switch (domain_expand(s->office->rules.domains, a, room, &t->arena, to, &count)) {
	case EXPAND_UNKNOWN:
		submit_failed(s);
		return reply_about(s, 550, (struct enhanced){5, 1, 1}, a->text,
			"Recipient address rejected: User unknown in local recipient table");
	case EXPAND_FOREIGN:
		if (!may_relay(s))
			return reply_about(
				s, 550, (struct enhanced){5, 7, 1}, a->text, "Relay access denied");
		to[0] = a->text;
		count = 1;
		break;
	case EXPAND_TOO_MANY:
		return reply_about(s, 452, (struct enhanced){4, 5, 3}, a->text,
			"Error: alias leads to too many recipients");
	case EXPAND_NO_MEMORY: return no_room;
	case EXPAND_DONE: break;
	}
	uint32_t before = t->envelope.recipient_count;
	struct smtp_reply limit = submit_limit(s, before + count, false);
	if (limit.code) return limit;
	if (count > ENVELOPE_RECIPIENTS_MAX - before)
		return reply_about(
			s, 452, (struct enhanced){4, 5, 3}, a->text, "Error: too many recipients");
	for (uint32_t i = 0; i < count; i++) {
		struct str original = count == 1 && str_eq(to[i], a->text) ? STR_NONE : a->text;
		if (add_recipient(t, to[i], original, event->orcpt, event->notify)) continue;
		t->envelope.recipient_count = before; /* all whom an alias stands for, or none */
		return no_room;
	}
	return standard;
}

static void on_rcpt(struct session *s, const struct smtp_event *event)
{
	struct address a = complete(s, &event->path);
	uint32_t room = s->office->rules.recipients_max;
	struct str *to = malloc(room * sizeof *to);
	struct smtp_reply reply = to ? take_recipient(s, event, &a, to, room) : no_room;
	free(to);
	if (reply.code == 250)
		smtp_server_answer(&s->smtp, reply);
	else
		refuse(s, a.text, reply);
}

/* ---- content ---- */

static void resumed(struct spool_writer *writer)
{
	struct transaction *t = CONTAINER_OF(writer, struct transaction, writer);
	if (!t->session) return;
	t->session->paused = false;
	session_work(t->session);
}

static bool write_received(struct session *s, struct transaction *t)
{
	char id[SPOOL_ID_LEN + 1];
	struct buf field;
	buf_init(&field, 4096);
	bool ok = trace_add_received(&field, &t->envelope, s->office->rules.hostname,
			  spool_id_text(spool_writer_id(&t->writer), id)) &&
		spool_write(&t->writer, buf_str(&field)) != SPOOL_REFUSED;
	buf_release(&field);
	return ok;
}

static void on_data(struct session *s)
{
	struct transaction *t = s->transaction;
	t->envelope.created = io_wall(s->inbound->parts.io);
	int error = spool_begin(s->inbound->parts.spool, &t->writer, resumed);
	if (error != 0) {
		refuse(s, STR_NONE, no_room);
		return;
	}
	t->begun = t->has_id = true;
	if (!write_received(s, t) || !submit_begin(s)) t->refused = true;
	smtp_server_answer(&s->smtp, (struct smtp_reply){.code = 354});
}

void session_store(struct session *s, struct str chunk)
{
	struct transaction *t = s->transaction;
	t->envelope.size += chunk.len;
	header_watch_feed(&t->header, chunk);
	if (t->refused) return;
	switch (spool_write(&t->writer, chunk)) {
	case SPOOL_TAKEN: break;
	case SPOOL_WAIT: s->paused = true; break;
	case SPOOL_REFUSED: t->refused = true; break;
	}
}

static void on_chunk(struct session *s, struct str chunk)
{
	if (s->transaction->draft)
		submit_feed(s, chunk, false);
	else
		session_store(s, chunk);
}

/* The message is safe, or it is not: the reply to the final dot.  */
static void committed(struct spool_op *op, int error)
{
	struct transaction *t = CONTAINER_OF(op, struct transaction, committed);
	struct inbound *in = t->inbound;
	struct session *s = t->session;
	char text[SPOOL_ID_LEN + 1];
	uint64_t number = spool_writer_id(&t->writer);
	struct str id = spool_id_text(number, text);
	t->committing = t->begun = false;
	if (error == 0) {
		in->stats.accepted++;
		in->stats.octets += t->envelope.size;
		tell_accepted(t, number);
		queue_accepted(in->parts.queue, spool_committed(&t->writer), &t->envelope,
			io_now(in->parts.io), io_wall(in->parts.io));
		submit_committed(t);
	}
	if (!s) { /* the client is gone: it will send the message again */
		transaction_free(t);
		inbound_check_stopped(in);
		return;
	}
	if (error == 0) {
		s->messages++;
		smtp_server_answer(&s->smtp,
			(struct smtp_reply){.code = 250, .enhanced = {2, 0, 0}, .text = id});
	} else {
		refuse(s, STR_NONE, no_room);
	}
	session_work(s);
}

static void on_end(struct session *s)
{
	struct transaction *t = s->transaction;
	if (t->draft) submit_feed(s, STR_NONE, true);
	if (t->objection.code) {
		refuse(s, STR_NONE, t->objection);
		return;
	}
	if (t->header.received > RECEIVED_MAX - 1) {
		refuse(s, STR_NONE,
			SMTP_REPLY(554, 5, 4, 6,
				"Error: too many hops: this mail goes round in a loop"));
		return;
	}
	if (t->refused) {
		refuse(s, STR_NONE, no_room);
		return;
	}
	struct smtp_reply limit = submit_limit(s, t->envelope.recipient_count, true);
	if (limit.code) {
		refuse(s, STR_NONE, limit);
		return;
	}
	if (t->header.eight_bit || s->smtp.body.eight_bit) t->envelope.flags |= ENVELOPE_8BIT;
	t->committed.done = committed;
	t->committing = true;
	spool_commit(&t->writer, &t->envelope, queue_tag(t->envelope.reverse_path), &t->committed);
}

/* ---- all ---- */

/* The content was refused as a whole, or its sender has given it up.  */
static void on_abandon(struct session *s)
{
	struct transaction *t = s->transaction;
	struct smtp_reply fault = smtp_server_fault(&s->smtp);
	if (fault.code) tell_refusal(s, STR_NONE, fault);
	s->inbound->stats.refused_messages++;
	s->paused = false; /* nothing will ask us to go on */
	if (!t || !t->begun) return;
	spool_abort(&t->writer);
	t->begun = false;
	t->refused = true;
}

static void on_close(struct session *s, enum smtp_closing why)
{
	static const char *const words[] = {[SMTP_CLOSE_ERRORS] = "too many errors",
		[SMTP_CLOSE_TIMEOUT] = "timeout",
		[SMTP_CLOSE_PROTOCOL] = "protocol violation"};
	if (why >= ARRAY_LEN(words) || !words[why]) return;
	struct log *log = session_log(s);
	log_begin(log, LOG_INFO, STR_NONE, "disconnected");
	session_log_client(log, s);
	log_str(log, "why", str_from_c(words[why]));
	log_end(log);
}

void session_event(struct session *s, const struct smtp_event *event)
{
	switch (event->type) {
	case SMTP_EVENT_HELO: break;
	case SMTP_EVENT_MAIL: on_mail(s, event); break;
	case SMTP_EVENT_RCPT: on_rcpt(s, event); break;
	case SMTP_EVENT_DATA: on_data(s); break;
	case SMTP_EVENT_CHUNK: on_chunk(s, event->chunk); break;
	case SMTP_EVENT_END: on_end(s); break;
	case SMTP_EVENT_ABANDON: on_abandon(s); break;
	case SMTP_EVENT_RESET: transaction_end(s); break;
	case SMTP_EVENT_STARTTLS:
		smtp_server_answer(&s->smtp, (struct smtp_reply){.code = 220});
		s->starting = true;
		break;
	case SMTP_EVENT_AUTH: login_event(s, event); break;
	case SMTP_EVENT_XCLIENT: xclient_event(s, event); break;
	case SMTP_EVENT_REFUSED: tell_command(s, event); break;
	case SMTP_EVENT_CLOSE: on_close(s, event->closing); break;
	}
}
