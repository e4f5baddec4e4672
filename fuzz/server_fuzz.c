/* The server's core against any client: the same events, content and replies however the octets are
 * cut, replies that are replies, and one end to each content; then, with time-outs, shut-downs, TLS and
 * late verdicts in between, that it stands.
 *
 * Input: an octet of configuration, the verdicts (a text, gone through in circles), what the client
 * says.  */
#include "fuzz/asserts.h"

#include "smtp/server_play_test.h"

struct script {
	struct smtp_server_config config;
	struct str verdicts, stream;
	size_t at; /* in verdicts */
};

static uint8_t next_verdict(struct script *s)
{
	return s->verdicts.len ? (uint8_t)s->verdicts.ptr[s->at++ % s->verdicts.len] : 0;
}

static struct smtp_reply verdict(struct script *s, struct play *p, const struct smtp_event *e)
{
	static const uint16_t refusals[] = {550, 451, 452, 554};
	uint8_t octet = next_verdict(s);
	struct smtp_reply r = {.code = refusals[octet >> 1 & 3], .enhanced = {5, 7, 1}};
	if (octet & 8) r.text = STR("why\nnot %{helo}");
	if (r.code < 500) r.enhanced.class = 4;
	r.close = (octet & 0xf0) == 0xf0;
	if (r.close) r.code = 421, r.enhanced.class = 4;
	if (octet & 1 || r.close) return r;
	r = (struct smtp_reply){.code = 250};
	if (e->type == SMTP_EVENT_DATA) r.code = 354;
	if (e->type == SMTP_EVENT_END) r.text = STR("3XAMPLE1D");
	if (e->type == SMTP_EVENT_STARTTLS || e->type == SMTP_EVENT_XCLIENT) r.code = 220;
	if (e->type == SMTP_EVENT_AUTH) r.code = octet & 2 ? 334 : 235;
	if (r.code == 334) r.text = STR("Y2hhbGxlbmdl");
	if (r.code == 235) smtp_server_authenticated(&p->s);
	return r;
}

static void answer(struct script *s, struct play *p, const struct smtp_event *e)
{
	ASSERT(smtp_server_deadline(&p->s) == MSEC_NEVER);
	/* Nothing moves before the verdict.  */
	ASSERT(smtp_server_feed(&p->s, p->now, STR("QUIT\r\n")) == 0);
	struct smtp_reply r = verdict(s, p, e);
	if (e->type == SMTP_EVENT_DATA && r.code < 400) buf_add(&p->events, STR("LET\n"));
	smtp_server_answer(&p->s, r);
}

static void take_output(struct play *p, size_t n)
{
	struct str out = str_head(smtp_server_output(&p->s), n);
	ASSERT(out.len <= SMTP_SERVER_OUT_MAX + 4096);
	buf_add(&p->out, out);
	smtp_server_sent(&p->s, out.len);
}

static void take_events(struct script *s, struct play *p)
{
	struct smtp_event e;
	while (smtp_server_next(&p->s, &e)) {
		play_note(p, &e);
		if (e.type == SMTP_EVENT_END) {
			buf_add(&p->messages, buf_str(&p->content));
			buf_add_c(&p->messages, '|');
		}
		bool over = e.type == SMTP_EVENT_END || e.type == SMTP_EVENT_ABANDON;
		if (over) buf_clear(&p->content);
		p->closed |= e.type == SMTP_EVENT_CLOSE;
		if (e.type == SMTP_EVENT_CLOSE) ASSERT(p->s.state == SMTP_SERVER_CLOSED);
		if (smtp_server_waits(&p->s) && e.type != SMTP_EVENT_CHUNK) answer(s, p, &e);
	}
	take_output(p, SIZE_MAX);
}

/* As the driver's loop does it.  */
static void feed(struct script *s, struct play *p, struct str octets)
{
	struct str own = fuzz_own(octets), rest = own;
	for (unsigned idle = 0; rest.len && idle < 3;) {
		size_t used = smtp_server_feed(&p->s, p->now, rest);
		rest = str_skip(rest, used);
		idle = used ? 0 : idle + 1;
		ASSERT(idle < 3);
		take_events(s, p);
	}
	fuzz_forget(own);
}

/* DATA that was let come is followed by exactly one of END and ABANDON; after CLOSE comes nothing.  */
static void check_events(struct str events)
{
	struct str line;
	bool open = false, closed = false;
	while (events.len) {
		str_cut(&events, '\n', &line);
		bool over = str_starts(line, STR("END")) || str_eq(line, STR("ABANDON"));
		ASSERT(!closed && (!over || open));
		if (over) open = false;
		if (str_eq(line, STR("LET"))) {
			ASSERT(!open);
			open = true;
		}
		closed = str_starts(line, STR("CLOSE"));
		ASSERT(!closed || !open);
	}
}

/* All that went out is whole replies.  */
static void check_replies(struct str out)
{
	struct smtp_reply_reader r;
	smtp_reply_reader_init(&r);
	enum smtp_read read = SMTP_READ_DONE;
	while (out.len) {
		size_t used;
		read = smtp_reply_feed(&r, out, &used);
		ASSERT(read != SMTP_READ_BAD);
		out = str_skip(out, used);
	}
	ASSERT(read == SMTP_READ_DONE);
	smtp_reply_reader_release(&r);
}

static void check_messages(struct str all)
{
	for (size_t i = 0; i < all.len; i++) {
		char c = all.ptr[i];
		ASSERT(c != 0);
		if (c == '\r') ASSERT(i + 1 < all.len && all.ptr[i + 1] == '\n');
		if (c == '\n') ASSERT(i > 0 && all.ptr[i - 1] == '\r');
	}
}

static void run(struct script *s, size_t step, struct play *p)
{
	s->at = 0;
	play_begin(p, &s->config);
	if (s->verdicts.len > 3) smtp_server_offer_xclient(&p->s);
	smtp_server_greet(&p->s, p->now, NULL);
	take_events(s, p);
	for (struct str rest = s->stream; rest.len;) {
		struct str piece = str_head(rest, step ? step : rest.len);
		feed(s, p, piece);
		rest = str_skip(rest, piece.len);
	}
	check_replies(buf_str(&p->out));
	check_messages(buf_str(&p->messages));
}

static void check_cuts(struct script *s)
{
	struct play whole, cut;
	run(s, 0, &whole);
	check_events(buf_str(&whole.events));
	static const size_t steps[] = {1, 13};
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		run(s, steps[i], &cut);
		ASSERT(str_eq(buf_str(&cut.out), buf_str(&whole.out)));
		ASSERT(str_eq(buf_str(&cut.events), buf_str(&whole.events)));
		ASSERT(str_eq(buf_str(&cut.messages), buf_str(&whole.messages)));
		play_end(&cut);
	}
	play_end(&whole);
}

/* One thing that happens besides octets.  */
static void happen(struct script *s, struct play *p, uint8_t what)
{
	switch (what % 16) {
	case 0: smtp_server_expire(&p->s, p->now += MINUTES(6)); break;
	case 1: smtp_server_shut(&p->s, SMTP_REPLY(421, 4, 3, 2, "bye")); break;
	case 2:
		if (p->s.tls_begins) smtp_server_secured(&p->s);
		break;
	case 3: p->now += 1000; break;
	case 4: take_output(p, 3); break;
	default: break;
	}
	(void)smtp_server_deadline(&p->s);
	(void)smtp_server_fault(&p->s);
	if (what & 16) take_events(s, p);
}

/* Verdicts come late, events are taken late, and the world goes on meanwhile.  */
static void run_wild(struct script *s)
{
	struct play p;
	struct smtp_event e;
	s->at = 0;
	play_begin(&p, &s->config);
	uint8_t start = next_verdict(s);
	if (start & 1) smtp_server_secured(&p.s);
	if (start & 2) smtp_server_bound(&p.s);
	if (start & 4) smtp_server_offer_xclient(&p.s);
	smtp_server_greet(&p.s, p.now, NULL);
	struct str rest = s->stream;
	for (unsigned idle = 0; rest.len && idle < 40; idle++) {
		struct str piece = fuzz_own(str_head(rest, 1u + next_verdict(s) % 32));
		size_t used = smtp_server_feed(&p.s, ++p.now, piece);
		rest = str_skip(rest, used);
		if (used) idle = 0;
		bool asked = false;
		while (!asked && smtp_server_next(&p.s, &e)) {
			play_note(&p, &e);
			bool over = e.type == SMTP_EVENT_END || e.type == SMTP_EVENT_ABANDON;
			if (over) buf_clear(&p.content);
			asked = smtp_server_waits(&p.s) && e.type != SMTP_EVENT_CHUNK;
		}
		happen(s, &p, next_verdict(s));
		if (asked && smtp_server_waits(&p.s)) answer(s, &p, &e);
		fuzz_forget(piece);
	}
	play_end(&p);
}

void fuzz_one(struct str in)
{
	uint8_t bits = fuzz_octet(&in);
	struct script s = {.config = play_plain};
	s.config.message_max = bits & 1 ? 100 : 100000;
	s.config.normalize = bits & 2;
	if (bits & 4) s.config.data_end = STR("end of email");
	s.config.offer_starttls = bits & 8;
	s.config.submission = bits & 16;
	if (bits & 32) s.config.auth_plain = STR("PLAIN SCRAM-SHA-256");
	s.config.auth_bound = STR("SCRAM-SHA-256-PLUS SCRAM-SHA-256");
	s.config.tls_required = bits & 64;
	s.config.errors_max = bits & 128 ? 3 : 20;
	s.verdicts = fuzz_text(&in);
	s.stream = in;
	check_cuts(&s);
	run_wild(&s);
}
