#include "smtp/server.h"

#include "smtp/server_private.h"

enum {
	LINE_MAX = 2048,       /* RFC 5321 4.5.3.1.4 has 512, extensions add some hundreds */
	AUTH_LINE_MAX = 12288, /* RFC 4954 4 */
	OUT_HARD_MAX = 2 * SMTP_SERVER_OUT_MAX,
	LATE_MAX = 32 * 1024,
	HELO_MAX = 255,
	SLOW_VERDICT_MS = 1000,
	REFUSAL_MAX = 600,
};

/*                ┌──────────── secured ────────────┐   ┌─▶ AUTH ─▶┐
 * GREETING ─▶ FRESH ─▶ READY ─▶ MAIL ─▶ RCPT ─▶ DATA ─▶ READY
 *                        ▲                └▶ CHUNK ⇄ BDAT ─▶┘
 *                        └── RSET, HELO
 * A refused BDAT is swallowed in CHUNK and leads back to where it came.  CLOSED: from anywhere.  */
#define TO(name) (1u << SMTP_SERVER_##name)
static const uint16_t transitions[SMTP_SERVER_STATES] = {
	[SMTP_SERVER_GREETING] = TO(FRESH) | TO(CLOSED),
	[SMTP_SERVER_FRESH] = TO(FRESH) | TO(READY) | TO(CHUNK) | TO(CLOSED),
	[SMTP_SERVER_READY] = TO(READY) | TO(FRESH) | TO(MAIL) | TO(CHUNK) | TO(AUTH) | TO(CLOSED),
	[SMTP_SERVER_MAIL] = TO(READY) | TO(RCPT) | TO(CHUNK) | TO(CLOSED),
	[SMTP_SERVER_RCPT] = TO(READY) | TO(RCPT) | TO(DATA) | TO(CHUNK) | TO(CLOSED),
	[SMTP_SERVER_DATA] = TO(READY) | TO(CLOSED),
	[SMTP_SERVER_BDAT] = TO(READY) | TO(CHUNK) | TO(CLOSED),
	[SMTP_SERVER_CHUNK] = TO(FRESH) | TO(READY) | TO(MAIL) | TO(BDAT) | TO(CLOSED),
	[SMTP_SERVER_AUTH] = TO(READY) | TO(AUTH) | TO(CLOSED),
	[SMTP_SERVER_CLOSED] = 0,
};

void smtp_server_enter(struct smtp_server *s, enum smtp_server_state state)
{
	ASSERT(transitions[s->state] & (1u << state));
	s->state = state;
}

void smtp_server_init(struct smtp_server *s, const struct smtp_server_config *config)
{
	*s = (struct smtp_server){.config = config, .state = SMTP_SERVER_GREETING};
	buf_init(&s->out, OUT_HARD_MAX);
	buf_init(&s->line, AUTH_LINE_MAX + 2);
	buf_init(&s->helo, HELO_MAX);
	buf_init(&s->late, LATE_MAX);
	buf_init(&s->refusal, REFUSAL_MAX);
}

void smtp_server_release(struct smtp_server *s)
{
	buf_release(&s->out);
	buf_release(&s->line);
	buf_release(&s->helo);
	buf_release(&s->late);
	buf_release(&s->refusal);
}

struct smtp_terms smtp_server_terms(const struct smtp_server *s)
{
	return (struct smtp_terms){.config = s->config,
		.secured = s->secured,
		.bound = s->bound,
		.xclient = s->xclient,
		.utf8 = s->flags & ENVELOPE_UTF8};
}

msec smtp_server_wall(const struct smtp_server *s) { return s->heard + s->config->wall_ahead; }
bool smtp_server_esmtp(const struct smtp_server *s) { return s->esmtp; }
bool smtp_server_waits(const struct smtp_server *s) { return s->awaited != 0; }

/* ---- Saying ---- */

void smtp_server_say(struct smtp_server *s, struct smtp_reply reply)
{
	/* While the handshake runs there is no way to say anything.  */
	if (!s->tls_begins) s->no_memory |= !smtp_reply_add(&s->out, &reply);
}

/* Not of errors in syntax, which a session counts, and not that nobody is left to send to: that each of them was refused has
 * been told.  */
void smtp_server_tell(struct smtp_server *s, struct str said, struct str command)
{
	struct str line;
	str_cut(&said, '\n', &line);
	line = str_head(str_trim(line), REFUSAL_MAX / 2 - 1);
	if (line.len == 0 || line.ptr[0] < '4') return;
	if (str_starts(line, STR("500 ")) || str_starts(line, STR("501 "))) return;
	if (str_contains(line, smtp_server_no_recipients.text)) return;
	buf_add(&s->refusal, line);
	buf_add_c(&s->refusal, '\n');
	buf_add(&s->refusal, str_head(command, REFUSAL_MAX / 2));
	if (buf_ok(&s->refusal)) smtp_server_raise(s, SMTP_EVENT_REFUSED);
}

static void describe_refusal(const struct smtp_server *s, struct smtp_event *e)
{
	struct str line;
	uint64_t code = 0;
	size_t len = 0;
	e->command = buf_str(&s->refusal);
	str_cut(&e->command, '\n', &line);
	str_to_u64(str_head(line, 3), 999, &code);
	line = str_skip(line, line.len < 4 ? line.len : 4);
	if (enhanced_parse(line, &e->refusal.enhanced, &len)) line = str_trim(str_skip(line, len));
	e->refusal.code = (uint16_t)code;
	e->refusal.text = line;
}

void smtp_server_settle(struct smtp_server *s)
{
	if (s->no_memory) smtp_server_close(s, SMTP_CLOSE_PROTOCOL);
	if (s->state == SMTP_SERVER_CLOSED || s->out.len <= SMTP_SERVER_OUT_MAX) return;
	smtp_server_give_up(s, (struct enhanced){4, 7, 0}, "Error: too many commands at once",
		SMTP_CLOSE_PROTOCOL);
}

void smtp_server_blame(struct smtp_server *s, struct smtp_reply reply)
{
	smtp_server_say(s, reply);
	s->errors++;
	smtp_server_judge(s);
}

void smtp_server_judge(struct smtp_server *s)
{
	if (s->config->errors_max && s->errors >= s->config->errors_max)
		smtp_server_give_up(
			s, (struct enhanced){4, 7, 0}, "Error: too many errors", SMTP_CLOSE_ERRORS);
}

void smtp_server_give_up(
	struct smtp_server *s, struct enhanced enhanced, const char *error, enum smtp_closing why)
{
	struct buf text;
	buf_init(&text, 1024);
	buf_add(&text, s->config->hostname);
	buf_add_c(&text, ' ');
	buf_add(&text, str_from_c(error));
	smtp_server_say(
		s, (struct smtp_reply){.code = 421, .enhanced = enhanced, .text = buf_str(&text)});
	buf_release(&text);
	smtp_server_close(s, why);
}

void smtp_server_close(struct smtp_server *s, enum smtp_closing why)
{
	if (s->state == SMTP_SERVER_CLOSED) return;
	smtp_server_abandon(s);
	smtp_server_enter(s, SMTP_SERVER_CLOSED);
	s->closing = (uint8_t)why;
	smtp_server_raise(s, SMTP_EVENT_CLOSE);
}

void smtp_server_abandon(struct smtp_server *s)
{
	if (!s->content) return;
	s->content = false;
	smtp_server_raise(s, SMTP_EVENT_ABANDON);
}

void smtp_server_forget(struct smtp_server *s)
{
	const unsigned transaction = TO(MAIL) | TO(RCPT) | TO(DATA) | TO(BDAT) | TO(CHUNK);
	smtp_server_abandon(s);
	if (transaction & (1u << s->state)) smtp_server_raise(s, SMTP_EVENT_RESET);
	s->flags = 0;
	s->recipients = 0;
	s->dead = s->too_large = s->last = false;
}

static void start_clock(struct smtp_server *s, msec now)
{
	s->heard = now;
	s->answered = false;
}

void smtp_server_say_banner(struct smtp_server *s)
{
	struct str words = s->config->words.banner;
	struct buf text;
	buf_init(&text, 1024);
	smtp_server_add_words(
		s, &text, words.len ? words : STR("%{hostname} ESMTP rockdove"), STR_NONE);
	smtp_server_say(s, (struct smtp_reply){.code = 220, .text = buf_str(&text)});
	buf_release(&text);
}

void smtp_server_greet(struct smtp_server *s, msec now, const struct smtp_reply *instead)
{
	ASSERT(s->state == SMTP_SERVER_GREETING);
	start_clock(s, now);
	if (instead) {
		smtp_server_say(s, *instead);
		smtp_server_close(s, SMTP_CLOSE_ANSWER);
		return;
	}
	smtp_server_enter(s, SMTP_SERVER_FRESH);
	smtp_server_say_banner(s);
	smtp_server_settle(s);
}

/* ---- Lines ---- */

static size_t line_max(const struct smtp_server *s, struct str line)
{
	bool auth = s->state == SMTP_SERVER_AUTH || str_istarts(line, STR("AUTH "));
	return auth ? AUTH_LINE_MAX : LINE_MAX;
}

static struct str without_end(struct str line)
{
	if (line.len && line.ptr[line.len - 1] == '\n') line.len--;
	if (line.len && line.ptr[line.len - 1] == '\r') line.len--;
	return line;
}

static void too_long(struct smtp_server *s)
{
	if (s->state != SMTP_SERVER_AUTH) {
		smtp_server_blame(s, SMTP_REPLY(500, 5, 5, 2, "Error: line too long"));
		return;
	}
	smtp_server_enter(s, SMTP_SERVER_READY);
	smtp_server_blame(s, SMTP_REPLY(500, 5, 5, 6, "Authentication exchange line is too long"));
}

static void whole_line(struct smtp_server *s, struct str line)
{
	line = without_end(line);
	if (line.len > line_max(s, line))
		too_long(s);
	else if (s->state == SMTP_SERVER_AUTH)
		smtp_server_auth_line(s, line);
	else
		smtp_server_run(s, line);
}

/* Take octets up to the end of a line.  One that comes in one piece is read where it stands.  */
static size_t take_line(struct smtp_server *s, struct str octets)
{
	size_t at = str_find(octets, '\n');
	bool whole = at < octets.len;
	struct str piece = str_head(octets, whole ? at + 1 : at);
	if (s->skip_line) {
		if (whole) too_long(s);
		s->skip_line = !whole;
		return piece.len;
	}
	struct str line = piece;
	if (!whole || s->line.len) {
		/* What does not fit is too long in any case.  */
		buf_add(&s->line, str_head(piece, s->line.max - s->line.len));
		line = buf_str(&s->line);
		s->no_memory |= !buf_ok(&s->line);
	}
	if (s->no_memory) return piece.len;
	if (!whole && line.len <= line_max(s, line) + 1) return piece.len; /* 1: for the CR */
	if (whole)
		whole_line(s, line);
	else
		s->skip_line = true;
	if (!s->awaited) buf_release(&s->line);
	return piece.len;
}

static size_t step(struct smtp_server *s, struct str octets)
{
	switch (s->state) {
	case SMTP_SERVER_CLOSED: return octets.len;
	case SMTP_SERVER_DATA: return smtp_server_take_data(s, octets);
	case SMTP_SERVER_CHUNK: return smtp_server_take_chunk(s, octets);
	default: break;
	}
	if (!s->tls_begins) return take_line(s, octets);
	/* Sent in clear behind STARTTLS: somebody on the way would have it read as if it were
	 * secured.  */
	smtp_server_close(s, SMTP_CLOSE_PROTOCOL);
	return octets.len;
}

size_t smtp_server_feed(struct smtp_server *s, msec now, struct str bytes)
{
	if (s->state == SMTP_SERVER_GREETING) return 0;
	if (bytes.len) start_clock(s, now);
	if (s->refusal.len && !s->pending) buf_release(&s->refusal);
	size_t used = 0;
	while (used < bytes.len && !s->pending && !s->awaited) {
		used += step(s, str_skip(bytes, used));
		smtp_server_settle(s);
	}
	return used;
}

/* ---- Events ---- */

void smtp_server_ask(struct smtp_server *s, enum smtp_event_type type, struct str line)
{
	s->no_memory |= line.len && s->line.len == 0 && !buf_add(&s->line, line);
	if (s->no_memory) return;
	smtp_server_raise(s, type);
	s->awaited = smtp_server_bit(type);
}

static void describe(struct smtp_server *s, enum smtp_event_type type, struct smtp_event *e)
{
	*e = (struct smtp_event){.type = type};
	switch (type) {
	case SMTP_EVENT_HELO:
		e->helo = buf_str(&s->helo);
		e->esmtp = s->esmtp;
		break;
	case SMTP_EVENT_MAIL:
	case SMTP_EVENT_RCPT:
	case SMTP_EVENT_AUTH:
	case SMTP_EVENT_XCLIENT: smtp_server_parse_asked(s, type, e); break;
	case SMTP_EVENT_CHUNK: e->chunk = s->chunk; break;
	case SMTP_EVENT_END:
		e->size = s->body.size;
		e->flags = s->flags | (s->body.eight_bit ? ENVELOPE_8BIT : 0);
		break;
	case SMTP_EVENT_REFUSED: describe_refusal(s, e); break;
	case SMTP_EVENT_CLOSE: e->closing = s->closing; break;
	case SMTP_EVENT_DATA:
	case SMTP_EVENT_ABANDON:
	case SMTP_EVENT_RESET:
	case SMTP_EVENT_STARTTLS: break;
	}
}

bool smtp_server_next(struct smtp_server *s, struct smtp_event *ret_event)
{
	/* Those that can wait together, in the order they are to be seen; at most one of the
	 * middle line.  */
	static const uint8_t order[] = {
		SMTP_EVENT_CHUNK,
		SMTP_EVENT_ABANDON,
		SMTP_EVENT_RESET,
		SMTP_EVENT_HELO,
		SMTP_EVENT_MAIL,
		SMTP_EVENT_RCPT,
		SMTP_EVENT_DATA,
		SMTP_EVENT_END,
		SMTP_EVENT_STARTTLS,
		SMTP_EVENT_AUTH,
		SMTP_EVENT_XCLIENT,
		SMTP_EVENT_REFUSED,
		SMTP_EVENT_CLOSE,
	};
	if (!s->pending) return false;
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		uint16_t bit = smtp_server_bit(order[i]);
		if (!(s->pending & bit)) continue;
		s->pending &= (uint16_t)~bit;
		describe(s, order[i], ret_event);
		return true;
	}
	UNREACHABLE();
}

struct str smtp_server_output(const struct smtp_server *s) { return buf_str(&s->out); }

void smtp_server_sent(struct smtp_server *s, size_t n)
{
	buf_consume(&s->out, n);
	if (s->out.len == 0) buf_release(&s->out);
}

/* ---- Time, and ends from outside ---- */

msec smtp_server_deadline(const struct smtp_server *s)
{
	bool silent =
		!s->awaited && s->state != SMTP_SERVER_GREETING && s->state != SMTP_SERVER_CLOSED;
	return silent && s->config->timeout > 0 ? s->heard + s->config->timeout : MSEC_NEVER;
}

void smtp_server_expire(struct smtp_server *s, msec now)
{
	msec deadline = smtp_server_deadline(s);
	if (now < deadline) return;
	/* The silence was ours: the verdict outlasted the deadline.  The client's begins now.  */
	if (s->answered && now - deadline > SLOW_VERDICT_MS) {
		start_clock(s, now);
		return;
	}
	smtp_server_give_up(
		s, (struct enhanced){4, 4, 2}, "Error: timeout exceeded", SMTP_CLOSE_TIMEOUT);
}

void smtp_server_shut(struct smtp_server *s, struct smtp_reply reply)
{
	if (s->state == SMTP_SERVER_CLOSED || s->shutting) return;
	if (s->awaited) {
		s->shutting = true;
		smtp_reply_add(&s->late, &reply);
		return;
	}
	smtp_server_say(s, reply);
	smtp_server_close(s, SMTP_CLOSE_ANSWER);
}

void smtp_server_secured(struct smtp_server *s)
{
	s->secured = true;
	if (s->state == SMTP_SERVER_GREETING) return; /* TLS from the first octet */
	if (s->state == SMTP_SERVER_CLOSED) return;   /* it took too long, or we leave */
	ASSERT(s->tls_begins);
	s->tls_begins = s->esmtp = s->authenticated = false;
	buf_release(&s->helo);
	smtp_server_enter(s, SMTP_SERVER_FRESH);
}

void smtp_server_offer_xclient(struct smtp_server *s) { s->xclient = true; }
void smtp_server_bound(struct smtp_server *s) { s->bound = true; }
void smtp_server_authenticated(struct smtp_server *s) { s->authenticated = true; }
