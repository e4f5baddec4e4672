/* For tests: the server core and the client core against each other, in memory: envelopes, contents,
 * verdicts, splits of the streams and breaks as dice fall, with and without PIPELINING and CHUNKING.
 * What the server took is what the client says was taken.  */
#ifndef SMTP_PAIR_PLAY_TEST_H
#define SMTP_PAIR_PLAY_TEST_H

#include "base/test.h"
#include "smtp/client.h"
#include "smtp/server.h"

/* Where chance comes from: in 0..n-1.  */
struct dice {
	uint64_t (*below)(struct dice *dice, uint64_t n);
};

enum { MESSAGES = 5, RECIPIENTS = 5, CONTENT_MAX = 300000, STEPS_MAX = 400000 };

struct message {
	struct recipient recipients[RECIPIENTS];
	uint32_t indices[RECIPIENTS];
	struct envelope envelope;
	struct outcome outcomes[RECIPIENTS];
	struct smtp_transaction transaction;
	char *content;
	size_t given;
	bool begun, done;
	bool taken; /* by the server: END was answered 250 */
	bool taken_for[RECIPIENTS];
};

struct pair {
	struct dice *dice;
	struct arena arena;
	struct smtp_client client;
	struct smtp_client_config client_config;
	struct smtp_server server;
	struct smtp_server_config server_config;
	struct message messages[MESSAGES];
	struct message *content_of; /* who is being given */
	bool pipelining, chunking, harsh, garble;
	struct buf to_server, to_client;
	/* What the server knows of the transaction under way.  */
	struct buf path, envid, content, rcpts;
	struct smtp_reply verdict; /* not said yet */
	bool verdict_waits, server_closed, client_over, failed, quit;
};

static inline uint64_t below(struct pair *p, uint64_t n) { return p->dice->below(p->dice, n); }
static inline bool chance(struct pair *p, uint64_t n) { return below(p, n) == 0; }

/* ---- messages ---- */

static inline size_t add_line(struct pair *p, char *to, size_t room)
{
	static const char *const starts[] = {
		"", ".", "..", "x", "\xc3\xb6", "BDAT 5 LAST", "QUIT", ". ", "=20"};
	const char *start = starts[below(p, ARRAY_LEN(starts))];
	size_t n = strlen(start), fill = chance(p, 3) ? below(p, 990) : below(p, 40);
	if (n + fill + 2 > room) return 0;
	memcpy(to, start, n);
	memset(to + n, chance(p, 2) ? '.' : 'a', fill);
	memcpy(to + n + fill, "\r\n", 2);
	return n + fill + 2;
}

static inline void make_content(struct pair *p, struct message *m)
{
	size_t max = chance(p, 10) ? below(p, CONTENT_MAX) : below(p, 5000), len = 0, n;
	m->content = malloc(max + 1);
	if (chance(p, 20)) max = 0;
	while ((n = add_line(p, m->content + len, max - len))) len += n;
	/* Without a line end at the end, sometimes.  */
	if (len && chance(p, 5)) len -= 2;
	m->transaction.size = len;
}

/* ENVID says on the server's side which one it is.  */
static inline void make_message(struct pair *p, struct message *m)
{
	static const struct str numbers[MESSAGES] = {
		STR("0"), STR("1"), STR("2"), STR("3"), STR("4")};
	static const struct str senders[] = {
		STR(""), STR("s@y.example"), STR("refused@y.example"), STR("later@y.example")};
	static const struct str names[] = {STR("a@x.example"), STR("b@x.example"),
		STR("no1@x.example"), STR("no2@x.example"), STR("later@x.example"),
		STR("\"q r\"@x.example")};
	*m = (struct message){0};
	uint32_t count = (uint32_t)(1 + below(p, RECIPIENTS));
	for (uint32_t i = 0; i < count; i++) {
		m->recipients[i] = (struct recipient){.address = names[below(p, ARRAY_LEN(names))]};
		m->indices[i] = i;
	}
	m->envelope = (struct envelope){.reverse_path = senders[below(p, chance(p, 4) ? 4 : 2)],
		.recipients = m->recipients,
		.recipient_count = count};
	m->envelope.envid = numbers[m - p->messages];
	m->envelope.flags = chance(p, 2) ? ENVELOPE_8BIT : 0;
	m->transaction = (struct smtp_transaction){.envelope = &m->envelope,
		.recipients = m->indices,
		.recipient_count = count,
		.outcomes = m->outcomes,
		.arena = &p->arena,
		.dsn_relay = true};
	make_content(p, m);
}

/* ---- the server's driver ---- */

static inline struct smtp_reply verdict(struct pair *p, const struct smtp_event *e)
{
	struct str local = e->path.local;
	if (p->harsh && chance(p, 60))
		return (struct smtp_reply){
			.code = 421, .text = STR("4.3.2 leaving"), .close = true};
	if (str_starts(local, STR("no")) || str_eq(local, STR("refused")))
		return SMTP_REPLY(550, 5, 1, 1, "no");
	if (str_eq(local, STR("later"))) return SMTP_REPLY(451, 4, 2, 0, "later");
	if (e->type == SMTP_EVENT_DATA && chance(p, 12)) return SMTP_REPLY(452, 4, 3, 1, "full");
	if (e->type == SMTP_EVENT_DATA) return (struct smtp_reply){.code = 354};
	if (e->type == SMTP_EVENT_END && chance(p, 8))
		return SMTP_REPLY(554, 5, 6, 0, "bad content");
	if (e->type == SMTP_EVENT_END && chance(p, 8)) return SMTP_REPLY(452, 4, 3, 1, "full");
	if (e->type == SMTP_EVENT_END) return (struct smtp_reply){.code = 250, .text = STR("ID")};
	return (struct smtp_reply){.code = 250};
}

static inline void server_took(struct pair *p)
{
	uint64_t number;
	assert_true(str_to_u64(buf_str(&p->envid), MESSAGES - 1, &number));
	struct message *m = &p->messages[number];
	struct str got = buf_str(&p->content), given = str_of(m->content, m->transaction.size);
	assert_true(m->begun && !m->taken && m->given == given.len);
	/* DATA ends in CRLF always (RFC 5321 4.1.1.4).  */
	if (!p->chunking && got.len == given.len + 2) got.len -= 2;
	assert_true(str_eq(got, given));
	assert_true(str_eq(buf_str(&p->path), m->envelope.reverse_path));
	m->taken = true;
	struct str list = buf_str(&p->rcpts), one;
	for (uint32_t i = 0; i < m->transaction.recipient_count; i++) {
		struct str rest = list;
		if (!str_cut(&rest, '\n', &one) || !str_eq(one, m->recipients[i].address)) continue;
		m->taken_for[i] = true;
		list = rest;
	}
	assert_int_equal(list.len, 0); /* each that was accepted was asked for, in order */
}

static inline void note(struct pair *p, const struct smtp_event *e, uint16_t code)
{
	bool good = code / 100 == 2;
	if (e->type == SMTP_EVENT_MAIL && good) {
		buf_clear(&p->path);
		buf_clear(&p->rcpts);
		buf_clear(&p->content);
		buf_clear(&p->envid);
		buf_add(&p->path, e->path.text);
		buf_add(&p->envid, e->envid);
	}
	if (e->type == SMTP_EVENT_RCPT && good) {
		buf_add(&p->rcpts, e->path.text);
		buf_add_c(&p->rcpts, '\n');
	}
	if (e->type == SMTP_EVENT_CHUNK) buf_add(&p->content, e->chunk);
	if (e->type == SMTP_EVENT_ABANDON) buf_clear(&p->content);
	if (e->type == SMTP_EVENT_END && good && !p->garble) server_took(p);
	if (e->type == SMTP_EVENT_END) buf_clear(&p->content);
	if (e->type == SMTP_EVENT_CLOSE) p->server_closed = true;
}

static inline void server_events(struct pair *p)
{
	struct smtp_event e;
	if (p->verdict_waits) {
		if (!chance(p, 3)) return;
		p->verdict_waits = false;
		smtp_server_answer(&p->server, p->verdict);
	}
	while (!p->verdict_waits && smtp_server_next(&p->server, &e)) {
		bool asks = smtp_server_waits(&p->server) && e.type != SMTP_EVENT_CHUNK;
		struct smtp_reply reply = asks ? verdict(p, &e) : (struct smtp_reply){0};
		note(p, &e, reply.code);
		if (!asks) continue;
		p->verdict = reply;
		p->verdict_waits = chance(p, 4);
		if (!p->verdict_waits) smtp_server_answer(&p->server, reply);
	}
}

/* The EHLO reply without what this run does not offer: the keyword becomes one that nobody
 * knows.  */
static inline void hide(struct buf *b, struct str keyword)
{
	for (size_t i = 0; i + keyword.len <= b->len; i++)
		if (memcmp(b->ptr + i, keyword.ptr, keyword.len) == 0) b->ptr[i] = 'X';
}

static inline void garble(struct pair *p, struct buf *b, size_t from)
{
	static const struct str odd[] = {STR("421 4.3.2 bye\r\n"), STR("250 ok\r\n"),
		STR("354 go\r\n"), STR("\r\n"), STR("550-no\r\n"), STR("250-\r\n"), STR("\0\xff"),
		STR("5")};
	if (chance(p, 10)) buf_add(b, odd[below(p, ARRAY_LEN(odd))]);
	if (b->len > from && chance(p, 10))
		b->ptr[from + below(p, b->len - from)] = "0234569 -\r\nA"[below(p, 12)];
}

static inline size_t some(struct pair *p, size_t len)
{
	if (chance(p, 4)) return len;
	return len < 40 || chance(p, 2) ? below(p, len < 60 ? len + 1 : 60) : below(p, len + 1);
}

static inline void server_step(struct pair *p)
{
	server_events(p);
	struct str in = str_head(buf_str(&p->to_server), some(p, p->to_server.len));
	if (!p->verdict_waits && !p->server_closed) {
		size_t used = smtp_server_feed(&p->server, 0, in);
		server_events(p); /* they borrow from what was fed */
		buf_consume(&p->to_server, used);
	}
	struct str out = smtp_server_output(&p->server);
	out = str_head(out, some(p, out.len));
	size_t from = p->to_client.len;
	buf_add(&p->to_client, out);
	smtp_server_sent(&p->server, out.len);
	if (p->garble) garble(p, &p->to_client, from);
	if (!p->pipelining) hide(&p->to_client, STR("PIPELINING"));
	if (!p->chunking) hide(&p->to_client, STR("CHUNKING"));
}

/* ---- the client's driver ---- */

static inline struct message *message_of(struct smtp_transaction *t)
{
	return CONTAINER_OF(t, struct message, transaction);
}

static inline void client_events(struct pair *p)
{
	struct smtp_client_event e;
	while (smtp_client_next(&p->client, &e)) {
		assert_false(p->client_over);
		if (e.type == SMTP_CLIENT_EVENT_CONTENT) {
			assert_null(p->content_of);
			p->content_of = message_of(e.transaction);
		}
		if (e.type == SMTP_CLIENT_EVENT_DONE) {
			struct message *m = message_of(e.transaction);
			assert_true(m->begun && !m->done);
			m->done = true;
			if (p->content_of == m) p->content_of = NULL;
		}
		p->failed |= e.type == SMTP_CLIENT_EVENT_FAILED;
		p->client_over |=
			e.type == SMTP_CLIENT_EVENT_FAILED || e.type == SMTP_CLIENT_EVENT_CLOSED;
	}
}

static inline void client_begin(struct pair *p)
{
	for (size_t i = 0; i < MESSAGES && smtp_client_ready(&p->client); i++) {
		if (p->messages[i].begun) continue;
		p->messages[i].begun = true;
		smtp_client_begin(&p->client, 0, &p->messages[i].transaction);
		client_events(p);
		return;
	}
	bool all = true;
	for (size_t i = 0; i < MESSAGES; i++) all &= p->messages[i].begun;
	if (!all || p->quit || p->content_of || !smtp_client_ready(&p->client)) return;
	p->quit = true;
	smtp_client_quit(&p->client, 0);
}

static inline void client_content(struct pair *p)
{
	struct message *m = p->content_of;
	if (!m) return;
	size_t left = m->transaction.size - m->given;
	size_t n = some(p, left < SMTP_CLIENT_PIECE_MAX ? left : SMTP_CLIENT_PIECE_MAX);
	if (!smtp_client_content(&p->client, 0, str_of(m->content + m->given, n))) return;
	m->given += n;
	if (m->given == m->transaction.size) p->content_of = NULL;
	client_events(p);
}

static inline void client_step(struct pair *p)
{
	struct str in = str_head(buf_str(&p->to_client), some(p, p->to_client.len));
	smtp_client_feed(&p->client, 0, in);
	buf_consume(&p->to_client, in.len);
	client_events(p);
	client_begin(p);
	client_content(p);
	struct str out = smtp_client_output(&p->client);
	assert_true(out.len <= SMTP_CLIENT_OUT_MAX);
	out = str_head(out, some(p, out.len));
	buf_add(&p->to_server, out);
	smtp_client_sent(&p->client, out.len);
}

/* ---- a session and what must be true of it ---- */

static inline void check(struct pair *p)
{
	for (size_t i = 0; i < MESSAGES; i++) {
		const struct message *m = &p->messages[i];
		assert_int_equal(m->begun, m->done);
		if (!m->begun) continue;
		for (uint32_t r = 0; r < m->transaction.recipient_count; r++) {
			const struct outcome *o = &m->outcomes[r];
			assert_int_not_equal(o->class, OUTCOME_NONE);
			if (p->garble) continue;
			if (o->class == OUTCOME_DELIVERED) assert_true(m->taken_for[r]);
			/* What was taken is known to be, or in doubt since the line broke.  */
			else if (m->taken_for[r])
				assert_true(o->doubtful && p->failed);
			bool never = str_starts(m->recipients[r].address, STR("no"));
			if (never && o->class == OUTCOME_DEFERRED)
				assert_true(p->failed || o->code != 550);
		}
	}
}

enum { PAIR_PIPELINING = 1, PAIR_CHUNKING = 2, PAIR_HARSH = 4, PAIR_GARBLE = 8 };

static inline void run_session(
	struct dice *dice, unsigned how, unsigned *ret_delivered, unsigned *ret_doubtful)
{
	static struct pair p; /* memory of the last session is looked at by no one */
	p = (struct pair){.dice = dice};
	arena_init(&p.arena, 1 << 20);
	struct buf *all[] = {&p.to_server, &p.to_client, &p.path, &p.envid, &p.content, &p.rcpts};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) buf_init(all[i], 1 << 24);
	p.pipelining = how & PAIR_PIPELINING, p.chunking = how & PAIR_CHUNKING;
	p.harsh = how & PAIR_HARSH, p.garble = how & PAIR_GARBLE;
	p.client_config.helo = STR("me.example");
	p.server_config = (struct smtp_server_config){.hostname = STR("mx.example"),
		.message_max = 1 << 20,
		.recipients_max = 1000,
		.errors_max = 1000,
		.timeout = MINUTES(5)};
	for (size_t i = 0; i < MESSAGES; i++) make_message(&p, &p.messages[i]);
	assert_true(smtp_client_init(&p.client, &p.client_config, 0));
	smtp_server_init(&p.server, &p.server_config);
	smtp_server_greet(&p.server, 0, NULL);
	uint64_t break_at = p.harsh ? below(&p, 3000) : STEPS_MAX;
	for (uint64_t step = 0; !p.client_over; step++) {
		assert_true(step < STEPS_MAX);
		if (chance(&p, 2))
			server_step(&p);
		else
			client_step(&p);
		bool silent = p.garble && step > 5000; /* a garbled reply may leave both waiting */
		bool gone =
			p.server_closed && !p.to_client.len && !smtp_server_output(&p.server).len;
		if (step < break_at && !silent && !gone) continue;
		smtp_client_lost(&p.client, 0, STR("broken"));
		client_events(&p);
	}
	check(&p);
	for (size_t i = 0; i < MESSAGES; i++) {
		for (uint32_t r = 0;
			p.messages[i].begun && r < p.messages[i].transaction.recipient_count; r++) {
			*ret_delivered += p.messages[i].outcomes[r].class == OUTCOME_DELIVERED;
			*ret_doubtful += p.messages[i].outcomes[r].doubtful;
		}
		free(p.messages[i].content);
	}
	smtp_client_release(&p.client);
	smtp_server_release(&p.server);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) buf_release(all[i]);
	arena_release(&p.arena);
}

#endif
