/* The client's core against any peer: every transaction that was begun gets its outcomes, once; nothing
 * is delivered that the peer did not take; what goes out is commands; replies cut anywhere mean the
 * same.
 *
 * Input: two octets of configuration, the driver's moves (a text, gone through in circles), what the
 * peer says.  */
#include "fuzz/fuzz.h"

#include "smtp/client.h"

enum { TRANSACTIONS = 3, RECIPIENTS = 3 };

static const struct str contents[TRANSACTIONS] = {
	STR("cc\r\n.c\r\n..c\r\n"), STR(""), STR("c without an end")};

struct session {
	struct smtp_client client;
	struct smtp_client_config config;
	struct arena arena;
	struct recipient recipients[RECIPIENTS];
	struct envelope envelope;
	struct smtp_transaction transactions[TRANSACTIONS];
	struct outcome outcomes[TRANSACTIONS][RECIPIENTS];
	size_t given[TRANSACTIONS];
	unsigned begun, done;
	int content_of; /* -1: none */
	bool over, quit, secure_next, auth_next;
	unsigned auths;
	msec now;
	struct buf out, events;
	bool positive; /* the peer has said 2xx somewhere */
};

static void begin_session(struct session *s, uint16_t bits)
{
	static const uint32_t indices[RECIPIENTS] = {0, 1, 2};
	*s = (struct session){.content_of = -1, .now = 1000};
	s->config = (struct smtp_client_config){.helo = STR("me.example"),
		.lmtp = bits & 1,
		.starttls = bits & 2,
		.starttls_required = bits & 4,
		.implicit_tls = bits & 8,
		.auth = bits & 16,
		.timeout = bits & 32 ? 5000 : 0};
	s->recipients[0] = (struct recipient){
		.address = STR("a@x.example"), .orcpt = STR("rfc822;a@x.example"), .notify = 6};
	s->recipients[1].address = bits & 64 ? STR("b@x.example\r\nRCPT TO:<evil@x.example>")
					     : STR("\"b >\"@x.example");
	s->recipients[2].address = bits & 128 ? STR("\xc3\xb6@x.example") : STR("c@x.example");
	s->envelope = (struct envelope){.reverse_path = bits & 256 ? STR("") : STR("s@y.example"),
		.envid = STR("QQ+2B1"),
		.flags = bits >> 9,
		.recipients = s->recipients,
		.recipient_count = RECIPIENTS};
	arena_init(&s->arena, 1 << 20);
	buf_init(&s->out, 1 << 22);
	buf_init(&s->events, 1 << 22);
	for (unsigned i = 0; i < TRANSACTIONS; i++)
		s->transactions[i] = (struct smtp_transaction){.envelope = &s->envelope,
			.recipients = indices,
			.recipient_count = 1 + (i + bits) % RECIPIENTS,
			.size = contents[i].len,
			.outcomes = s->outcomes[i],
			.arena = &s->arena,
			.dsn_relay = bits & 4096};
	ASSERT(smtp_client_init(&s->client, &s->config, s->now));
}

static void end_session(struct session *s)
{
	smtp_client_release(&s->client);
	arena_release(&s->arena);
	buf_release(&s->out);
	buf_release(&s->events);
}

static void check_outcome(const struct session *s, const struct outcome *o)
{
	ASSERT(o->class == OUTCOME_DELIVERED || o->class == OUTCOME_DEFERRED ||
		o->class == OUTCOME_FAILED);
	ASSERT(o->class != OUTCOME_DELIVERED || (s->positive && o->code / 100 == 2));
	ASSERT(!o->doubtful || o->class == OUTCOME_DEFERRED);
	ASSERT(o->text.len <= OUTCOME_TEXT_MAX && o->host.len == 0 && o->tls.len == 0);
	for (size_t i = 0; i < o->text.len; i++)
		ASSERT((uint8_t)o->text.ptr[i] >= ' ' && o->text.ptr[i] != 0x7f);
	unsigned class = o->enhanced.class;
	ASSERT(class ==
			(o->class == OUTCOME_FAILED                    ? 5
					: o->class == OUTCOME_DEFERRED ? 4
								       : 2) ||
		(o->remote && class == o->code / 100u));
}

static void done(struct session *s, unsigned i)
{
	const struct smtp_transaction *t = &s->transactions[i];
	ASSERT(s->begun & 1u << i && !(s->done & 1u << i));
	s->done |= 1u << i;
	if (s->content_of == (int)i) s->content_of = -1;
	buf_printf(&s->events, "done %u:", i);
	for (uint32_t r = 0; r < t->recipient_count; r++) {
		check_outcome(s, &t->outcomes[r]);
		buf_printf(&s->events, " %d %u " STR_FMT ";", (int)t->outcomes[r].class,
			t->outcomes[r].code, STR_ARG(t->outcomes[r].text));
	}
}

static void take_events(struct session *s)
{
	struct smtp_client_event e;
	while (smtp_client_next(&s->client, &e)) {
		ASSERT(!s->over); /* after the last word there is none */
		unsigned i = e.transaction ? (unsigned)(e.transaction - s->transactions) : 0;
		buf_printf(&s->events, "event %d %u\n", (int)e.type, i);
		switch (e.type) {
		case SMTP_CLIENT_EVENT_READY: ASSERT(smtp_client_ready(&s->client)); break;
		case SMTP_CLIENT_EVENT_STARTTLS: s->secure_next = true; break;
		case SMTP_CLIENT_EVENT_AUTH: s->auth_next = true; break;
		case SMTP_CLIENT_EVENT_CONTENT:
			ASSERT(s->content_of == -1 && e.transaction->size > 0);
			s->content_of = (int)i;
			break;
		case SMTP_CLIENT_EVENT_DONE: done(s, i); break;
		case SMTP_CLIENT_EVENT_FAILED:
			check_outcome(s, &e.outcome);
			s->over = true;
			break;
		case SMTP_CLIENT_EVENT_CLOSED: s->over = true; break;
		}
	}
	ASSERT(!s->over || s->done == s->begun);
	ASSERT(!s->over || smtp_client_deadline(&s->client) == MSEC_NEVER);
}

static void send(struct session *s, size_t n)
{
	struct str out = smtp_client_output(&s->client);
	ASSERT(out.len <= 2 * SMTP_CLIENT_OUT_MAX);
	out = str_head(out, n);
	buf_add(&s->out, out);
	smtp_client_sent(&s->client, out.len);
}

static void begin(struct session *s)
{
	for (unsigned i = 0; i < TRANSACTIONS; i++) {
		if (s->begun & 1u << i || !smtp_client_ready(&s->client)) continue;
		struct smtp_transaction *t = &s->transactions[i];
		if (smtp_client_fits(&s->client, t).class != OUTCOME_NONE) continue;
		s->begun |= 1u << i;
		smtp_client_begin(&s->client, s->now, t);
		return;
	}
}

static void give(struct session *s, size_t n)
{
	if (s->content_of < 0) return;
	unsigned i = (unsigned)s->content_of;
	struct str piece = str_head(str_skip(contents[i], s->given[i]), n);
	struct str own = fuzz_own(piece);
	if (smtp_client_content(&s->client, s->now, own)) s->given[i] += piece.len;
	fuzz_forget(own);
	if (s->given[i] == contents[i].len) s->content_of = -1;
}

static void secure(struct session *s)
{
	if (!s->secure_next || s->client.state != SMTP_CLIENT_HANDSHAKE) return;
	s->secure_next = false;
	smtp_client_secured(&s->client, s->now);
}

static void log_in(struct session *s)
{
	if (!s->auth_next || s->client.state != SMTP_CLIENT_AUTH) return;
	s->auth_next = false;
	bool first = s->auths++ == 0;
	smtp_client_auth(&s->client, s->now, first ? STR("PLAIN") : STR_NONE,
		first ? STR_NONE : STR("AGEAYg=="), !first);
}

static void feed(struct session *s, struct str octets)
{
	struct str own = fuzz_own(octets);
	s->positive |= str_find(octets, '2') < octets.len;
	smtp_client_feed(&s->client, ++s->now, own);
	fuzz_forget(own);
}

/* All that an eager driver does.  */
static void drive(struct session *s)
{
	bool moves = true;
	while (moves && !s->over) {
		size_t before = s->events.len + s->out.len + s->begun;
		take_events(s);
		secure(s);
		log_in(s);
		begin(s);
		take_events(s);
		give(s, SIZE_MAX);
		send(s, SIZE_MAX);
		moves = before != s->events.len + s->out.len + s->begun;
	}
	take_events(s);
}

/* Nothing but commands and what content has: no reply and no address makes a line of its own.  */
static void check_output(struct str out)
{
	static const struct str starts[] = {STR("EHLO me.example"), STR("LHLO me.example"),
		STR("HELO me.example"), STR("STARTTLS"), STR("AUTH PLAIN"), STR("AGEAYg=="),
		STR("MAIL FROM:<"), STR("RCPT TO:<"), STR("DATA"), STR("BDAT "), STR("RSET"),
		STR("QUIT"), STR("."), STR("c")};
	for (struct str line; out.len;) {
		(void)str_cut(&out, '\n', &line);
		bool known = false;
		for (size_t i = 0; i < ARRAY_LEN(starts); i++)
			known |= str_starts(line, starts[i]) || str_starts(starts[i], line);
		ASSERT(known && !str_contains(line, STR("evil")));
	}
}

static void lose(struct session *s)
{
	smtp_client_lost(&s->client, s->now, STR("broken"));
	take_events(s);
	ASSERT(s->over && s->done == s->begun);
	check_output(buf_str(&s->out));
}

/* The peer's lines one by one, each whole or octet by octet.  */
static void run_eager(struct session *s, uint16_t bits, struct str peer, bool octets)
{
	begin_session(s, bits);
	drive(s);
	for (struct str line; peer.len && !s->over;) {
		size_t n = str_find(peer, '\n');
		line = str_head(peer, n < peer.len ? n + 1 : n);
		peer = str_skip(peer, line.len);
		if (!octets) feed(s, line);
		for (size_t i = 0; octets && i < line.len; i++) feed(s, str_of(line.ptr + i, 1));
		drive(s);
	}
	lose(s);
}

static void check_cuts(uint16_t bits, struct str peer)
{
	struct session whole, cut;
	run_eager(&whole, bits, peer, false);
	run_eager(&cut, bits, peer, true);
	ASSERT(whole.begun == cut.begun);
	/* The words of an invalid reply are what came in one piece.  */
	if (!str_contains(buf_str(&whole.events), STR("invalid reply")))
		ASSERT(str_eq(buf_str(&whole.events), buf_str(&cut.events)));
	ASSERT(str_eq(buf_str(&whole.out), buf_str(&cut.out)));
	end_session(&whole);
	end_session(&cut);
}

/* What a driver may do at any time, in any order.  */
static void move(struct session *s, uint8_t what, struct str *peer)
{
	switch (what & 15) {
	case 0: send(s, what >> 4); break;
	case 1: send(s, SIZE_MAX); break;
	case 2: begin(s); break;
	case 3: give(s, what >> 4); break;
	case 4: give(s, SIZE_MAX); break;
	case 5: secure(s); break;
	case 6: log_in(s); break;
	case 7: take_events(s); break;
	case 8: s->now += (msec)(what >> 4) * 30000; break;
	case 9: smtp_client_expire(&s->client, s->now); break;
	case 10:
		if ((what >> 4) == 15) smtp_client_abandon(&s->client, STR("disk"));
		if ((what >> 4) == 14) smtp_client_auth_failed(&s->client, STR("no"));
		if ((what >> 4) == 13) smtp_client_lost(&s->client, s->now, STR("cut"));
		break;
	case 11:
		if (s->over || s->content_of >= 0 || !smtp_client_ready(&s->client)) break;
		if ((what >> 4) > 11) smtp_client_quit(&s->client, s->now);
		break;
	default: feed(s, fuzz_take(peer, (what & 3) ? what >> 4 : 200)); break;
	}
}

static void run_wild(uint16_t bits, struct str moves, struct str peer)
{
	struct session s;
	begin_session(&s, bits);
	for (size_t i = 0; i < 600 && !s.over && moves.len && (peer.len || i < moves.len); i++) {
		move(&s, (uint8_t)moves.ptr[i % moves.len], &peer);
		(void)smtp_client_busy(&s.client);
	}
	take_events(&s);
	send(&s, SIZE_MAX);
	if (!s.over) lose(&s);
	end_session(&s);
}

void fuzz_one(struct str in)
{
	uint16_t bits = (uint16_t)fuzz_below(&in, 65536);
	struct str moves = fuzz_text(&in);
	check_cuts(bits, in);
	run_wild(bits, moves, in);
}
