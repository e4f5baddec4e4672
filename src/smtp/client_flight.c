#include "smtp/body.h"
#include "smtp/client_private.h"

enum { BDAT_HEADER_MAX = 40 };

#define BIT(n) (1u << (n))

void smtp_flight_enter(struct smtp_flight *f, enum smtp_flight_phase next)
{
	static const uint8_t may[FLIGHT_PHASES] = {
		[FLIGHT_FREE] = BIT(FLIGHT_ENVELOPE),
		[FLIGHT_ENVELOPE] = BIT(FLIGHT_CONTENT) | BIT(FLIGHT_ENDING) | BIT(FLIGHT_DONE),
		[FLIGHT_CONTENT] = BIT(FLIGHT_ENDING) | BIT(FLIGHT_DONE),
		[FLIGHT_ENDING] = BIT(FLIGHT_DONE),
		[FLIGHT_DONE] = BIT(FLIGHT_FREE),
	};
	ASSERT(may[f->phase] & BIT(next));
	f->phase = next;
}

struct smtp_flight *smtp_flight_in(struct smtp_client *c, enum smtp_flight_phase phase)
{
	for (size_t i = 0; i < ARRAY_LEN(c->flights); i++)
		if (c->flights[i].phase == phase) return &c->flights[i];
	return NULL;
}

bool smtp_flight_any(const struct smtp_client *c, enum smtp_flight_phase phase)
{
	return c->flights[0].phase == phase || c->flights[1].phase == phase;
}

static uint8_t index_of(const struct smtp_client *c, const struct smtp_flight *f)
{
	return (uint8_t)(f - c->flights);
}

bool smtp_flight_dead(const struct smtp_flight *f)
{
	return f->refused || (f->rcpt_left == 0 && f->taken == 0);
}

struct outcome smtp_flight_keep(struct smtp_flight *f, struct outcome o)
{
	/* A reply whose words find no memory still counts.  */
	if (!arena_copy(f->transaction->arena, o.text, &o.text)) o.text = STR_NONE;
	return o;
}

void smtp_flight_settle(struct smtp_flight *f, uint32_t index, struct outcome o)
{
	uint32_t first = index == SMTP_WHOLE ? 0 : index;
	uint32_t end = index == SMTP_WHOLE ? f->transaction->recipient_count : index + 1;
	for (uint32_t i = first; i < end; i++)
		if (f->transaction->outcomes[i].class == OUTCOME_NONE)
			f->transaction->outcomes[i] = o;
}

static void complete(struct smtp_client *c, struct smtp_flight *f)
{
	for (uint32_t i = 0; i < f->transaction->recipient_count; i++)
		ASSERT(f->transaction->outcomes[i].class != OUTCOME_NONE);
	smtp_flight_enter(f, FLIGHT_DONE);
	smtp_client_event(c, SMTP_CLIENT_EVENT_DONE, index_of(c, f));
}

void smtp_flight_fail(struct smtp_client *c, struct smtp_flight *f, struct outcome o)
{
	o.doubtful = f->end_written && c->gone >= f->end_at;
	smtp_flight_settle(f, SMTP_WHOLE, smtp_flight_keep(f, o));
	f->pending = 0;
	complete(c, f);
}

bool smtp_client_end_sent(const struct smtp_client *c, const struct smtp_transaction *t)
{
	for (size_t i = 0; i < ARRAY_LEN(c->flights); i++) {
		const struct smtp_flight *f = &c->flights[i];
		if (f->phase != FLIGHT_FREE && f->transaction == t)
			return f->end_written && c->gone >= f->end_at;
	}
	return false;
}

/* ---- the envelope ---- */

bool smtp_client_ready(const struct smtp_client *c)
{
	if (c->state != SMTP_CLIENT_OPEN) return false;
	if (c->offer.mail_max && c->mails >= c->offer.mail_max) return false;
	bool room = false, idle = true;
	for (size_t i = 0; i < ARRAY_LEN(c->flights); i++) {
		const struct smtp_flight *f = &c->flights[i];
		if (f->phase == FLIGHT_ENVELOPE || f->phase == FLIGHT_CONTENT) return false;
		/* Refused within its content: until DONE the driver may still want to give the
		 * rest.  */
		if (f->phase == FLIGHT_ENDING && !f->end_written) return false;
		room |= f->phase == FLIGHT_FREE;
		idle &= f->phase != FLIGHT_ENDING;
	}
	return room && (idle || c->offer.pipelining);
}

bool smtp_client_busy(const struct smtp_client *c)
{
	return c->flights[0].phase != FLIGHT_FREE || c->flights[1].phase != FLIGHT_FREE;
}

/* Whether the peer may still hold a transaction when the next MAIL gets there: one was given
 * up, or a last chunk is not answered yet, whose refusal would leave it (RFC 3030 2); a dot
 * leaves none, whatever the reply.  */
static bool wants_reset(struct smtp_client *c)
{
	const struct smtp_flight *ending = smtp_flight_in(c, FLIGHT_ENDING);
	return ending ? ending->bdat : c->dirty;
}

static void plan_envelope(struct smtp_client *c, struct smtp_flight *f)
{
	const struct envelope *e = f->transaction->envelope;
	uint8_t at = index_of(c, f);
	bool utf8 = e->flags & ENVELOPE_UTF8;
	struct outcome fault = smtp_command_path_fault(e->reverse_path, utf8);
	if (fault.class != OUTCOME_NONE) {
		smtp_flight_settle(f, SMTP_WHOLE, fault);
		return;
	}
	if (wants_reset(c)) smtp_plan_push(c, STEP_RSET, SMTP_NO_FLIGHT, 0);
	smtp_plan_push(c, STEP_MAIL, at, 0);
	for (uint32_t i = 0; i < f->transaction->recipient_count; i++) {
		fault = smtp_command_path_fault(smtp_flight_recipient(f, i)->address, utf8);
		if (fault.class != OUTCOME_NONE) {
			smtp_flight_settle(f, i, fault);
			continue;
		}
		smtp_plan_push(c, STEP_RCPT, at, i);
		f->rcpt_left++;
	}
	if (!f->bdat) smtp_plan_push(c, STEP_DATA, at, 0);
	if (f->rcpt_left == 0)
		smtp_plan_cut(c);
	else
		c->mails++;
}

void smtp_client_begin(struct smtp_client *c, msec now, struct smtp_transaction *t)
{
	ASSERT(smtp_client_ready(c) && t->recipient_count > 0 &&
		t->recipient_count < SMTP_PART / 2);
	struct smtp_flight *f = smtp_flight_in(c, FLIGHT_FREE);
	*f = (struct smtp_flight){
		.transaction = t, .bdat = c->offer.chunking, .at_line_start = true};
	smtp_flight_enter(f, FLIGHT_ENVELOPE);
	for (uint32_t i = 0; i < t->recipient_count; i++) t->outcomes[i] = (struct outcome){0};
	if (c->sent == c->answered) c->since = now;
	if (smtp_plan_reserve(c, t->recipient_count + 3)) /* RSET, MAIL, DATA */
		plan_envelope(c, f);
	else
		smtp_flight_settle(f, SMTP_WHOLE,
			outcome_local(OUTCOME_DEFERRED, "4.3.0", STR("out of memory")));
	smtp_plan_pump(c);
	smtp_flight_advance(c, f);
}

/* ---- the content ---- */

/* Room in the plan for the replies to the end: one, or with LMTP one a recipient (RFC 2033
 * 4.2).  */
static bool reserve_end(struct smtp_client *c, const struct smtp_flight *f)
{
	if (smtp_plan_reserve(c, 1 + (c->config->lmtp ? f->taken : 0))) return true;
	smtp_client_fail_memory(c);
	return false;
}

static void push_end(struct smtp_client *c, struct smtp_flight *f, enum smtp_step step)
{
	if (!c->config->lmtp) {
		smtp_plan_push_sent(c, step, index_of(c, f), SMTP_WHOLE);
		return;
	}
	for (uint32_t i = 0; i < f->transaction->recipient_count; i++)
		if (f->transaction->outcomes[i].class == OUTCOME_NONE)
			smtp_plan_push_sent(c, step, index_of(c, f), i);
}

static bool write_chunk_header(struct smtp_client *c, struct smtp_flight *f, uint64_t left)
{
	bool last = !c->offer.pipelining || left <= SMTP_CLIENT_CHUNK;
	if (!reserve_end(c, f)) return false;
	f->chunk_left = last ? left : SMTP_CLIENT_CHUNK;
	buf_add(&c->out, STR("BDAT "));
	buf_add_u64(&c->out, f->chunk_left);
	buf_add(&c->out, last ? STR(" LAST\r\n") : STR("\r\n"));
	if (last)
		push_end(c, f, STEP_BDAT);
	else
		smtp_plan_push_sent(c, STEP_BDAT, index_of(c, f), SMTP_PART);
	return true;
}

static bool write_chunks(struct smtp_client *c, struct smtp_flight *f, struct str octets)
{
	while (octets.len) {
		if (f->chunk_left == 0) {
			if (smtp_flight_dead(f))
				return true; /* refused: what is left need not go */
			if (!write_chunk_header(c, f, f->transaction->size - f->given))
				return false;
		}
		struct str part = str_head(octets, f->chunk_left);
		buf_add(&c->out, part);
		f->given += part.len;
		f->chunk_left -= part.len;
		octets = str_skip(octets, part.len);
	}
	return true;
}

static void write_dot(struct smtp_client *c, struct smtp_flight *f)
{
	if (!reserve_end(c, f)) return;
	if (!f->at_line_start) buf_add(&c->out, STR("\r\n"));
	buf_add(&c->out, STR(".\r\n"));
	push_end(c, f, STEP_DOT);
	smtp_flight_enter(f, FLIGHT_ENDING);
}

/* All of the content is given, or there is none: mark where its end stands.  */
static void end_content(struct smtp_client *c, struct smtp_flight *f)
{
	if (!f->bdat)
		write_dot(c, f);
	else if (f->transaction->size > 0 || write_chunk_header(c, f, 0))
		smtp_flight_enter(f, FLIGHT_ENDING);
	if (f->phase != FLIGHT_ENDING) return;
	f->end_written = true;
	f->end_at = c->gone + c->out.len - c->out_head;
}

void smtp_flight_start_content(struct smtp_client *c, struct smtp_flight *f)
{
	smtp_flight_enter(f, FLIGHT_CONTENT);
	if (f->transaction->size == 0 || smtp_flight_dead(f))
		end_content(c, f);
	else
		smtp_client_event(c, SMTP_CLIENT_EVENT_CONTENT, index_of(c, f));
}

bool smtp_client_content(struct smtp_client *c, msec now, struct str octets)
{
	struct smtp_flight *f = smtp_flight_in(c, FLIGHT_CONTENT);
	if (!f || octets.len == 0) return true;
	ASSERT(octets.len <= SMTP_CLIENT_PIECE_MAX &&
		octets.len <= f->transaction->size - f->given);
	if (!smtp_client_room(c, 2 * octets.len + 2 * BDAT_HEADER_MAX)) return false;
	c->since = now;
	c->moved = false;
	if (f->bdat) {
		if (!write_chunks(c, f, octets)) return true;
	} else {
		body_stuff(&c->out, octets, &f->at_line_start);
		f->given += octets.len;
	}
	if (f->given == f->transaction->size) end_content(c, f);
	if (!buf_ok(&c->out)) smtp_client_fail_memory(c);
	smtp_flight_advance(c, f);
	return true;
}

/* ---- as far as it can go ---- */

/* Chunks may follow at once when one chunk is all, so that little is sent in vain; else when it
 * is known who is taken.  LMTP waits, since the number of its replies depends on that.  */
static bool chunks_may_start(const struct smtp_client *c, const struct smtp_flight *f)
{
	if (c->sent < c->planned) return false;
	if (f->rcpt_left == 0) return true;
	return c->offer.pipelining && !c->config->lmtp && f->transaction->size <= SMTP_CLIENT_CHUNK;
}

void smtp_flight_advance(struct smtp_client *c, struct smtp_flight *f)
{
	if (f->phase == FLIGHT_ENVELOPE && smtp_flight_dead(f)) {
		smtp_plan_cut(c);
		if (f->pending == 0) complete(c, f);
	} else if (f->phase == FLIGHT_ENVELOPE && f->bdat && chunks_may_start(c, f)) {
		smtp_flight_start_content(c, f);
	} else if (f->phase == FLIGHT_CONTENT && smtp_flight_dead(f) && f->chunk_left == 0) {
		smtp_flight_enter(f, FLIGHT_ENDING);
	}
	if (f->phase == FLIGHT_ENDING && f->pending == 0) complete(c, f);
}
