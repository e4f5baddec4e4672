#include "smtp/client_private.h"

/* ---- text ---- */

/* Octets of s up to max that do not end within a UTF-8 character.  */
static size_t whole_characters(struct str s, size_t max)
{
	if (s.len <= max) return s.len;
	while (max > 0 && ((uint8_t)s.ptr[max] & 0xc0) == 0x80) max--;
	return max;
}

static void add_line(struct buf *out, struct str line)
{
	line = str_trim(line);
	if (line.len == 0) return;
	if (out->len && out->len < OUTCOME_TEXT_MAX) buf_add_c(out, ' ');
	size_t n = whole_characters(line, OUTCOME_TEXT_MAX - out->len);
	char *at = buf_reserve(out, n);
	if (!at) return;
	for (size_t i = 0; i < n; i++) {
		uint8_t octet = (uint8_t)line.ptr[i];
		at[i] = octet == '\t' ? ' ' : octet < ' ' || octet == 0x7f ? '?' : (char)octet;
	}
	out->len += n;
}

void smtp_answer_add_text(struct buf *out, struct str raw)
{
	struct str line;
	while (raw.len) {
		str_cut(&raw, '\n', &line);
		add_line(out, line);
	}
}

static enum outcome_class class_of(uint16_t code)
{
	return code / 100 == 2    ? OUTCOME_DELIVERED
		: code / 100 == 5 ? OUTCOME_FAILED
				  : OUTCOME_DEFERRED;
}

/* What the reply says, as an outcome.  Text is in c->words.  */
static struct outcome outcome_of(struct smtp_client *c, enum outcome_class class)
{
	uint8_t digit = (uint8_t)(c->reader.code / 100);
	struct enhanced enhanced = c->reader.enhanced;
	if (enhanced.class != digit) enhanced = (struct enhanced){digit, 0, 0};
	buf_clear(&c->words);
	smtp_answer_add_text(&c->words, buf_str(&c->reader.text));
	return (struct outcome){.class = class,
		.code = c->reader.code,
		.enhanced = enhanced,
		.text = buf_str(&c->words),
		.remote = true};
}

static struct outcome kept_outcome(
	struct smtp_client *c, struct smtp_flight *f, enum outcome_class class)
{
	struct outcome o = outcome_of(c, class);
	o.dsn_passed = class == OUTCOME_DELIVERED && c->offer.dsn && f->transaction->dsn_relay;
	return smtp_flight_keep(f, o);
}

static bool positive(const struct smtp_client *c) { return c->reader.code / 100 == 2; }

/* ---- before mail ---- */

static void refuse_session(struct smtp_client *c)
{
	smtp_client_fail_politely(c, outcome_of(c, OUTCOME_DEFERRED));
}

static void answer_banner(struct smtp_client *c, const struct smtp_planned *p)
{
	(void)p;
	if (!positive(c)) return refuse_session(c);
	smtp_client_enter(c, SMTP_CLIENT_HELLO);
	smtp_plan_command(c, STEP_EHLO);
}

static void open_session(struct smtp_client *c)
{
	if (c->config->auth && !c->offer.auth[0]) {
		smtp_client_fail_local(c, "4.7.4",
			"a log-in is configured, the next hop does not offer AUTH", STR_NONE);
	} else if (c->config->auth) {
		smtp_client_enter(c, SMTP_CLIENT_AUTH);
		smtp_client_event(c, SMTP_CLIENT_EVENT_AUTH, SMTP_NO_FLIGHT);
	} else {
		smtp_client_enter(c, SMTP_CLIENT_OPEN);
		smtp_client_event(c, SMTP_CLIENT_EVENT_READY, SMTP_NO_FLIGHT);
	}
}

static void hello_done(struct smtp_client *c)
{
	bool required = c->config->starttls_required;
	bool wanted = (c->config->starttls || required) && !c->secured;
	if (wanted && c->offer.starttls) {
		smtp_client_enter(c, SMTP_CLIENT_STARTTLS);
		smtp_plan_command(c, STEP_STARTTLS);
	} else if (wanted && required) {
		smtp_client_fail_local(c, "4.7.4",
			"TLS is required, the next hop does not offer STARTTLS", STR_NONE);
	} else {
		open_session(c);
	}
}

static void answer_ehlo(struct smtp_client *c, const struct smtp_planned *p)
{
	(void)p;
	if (positive(c)) {
		smtp_offer_read(&c->offer, buf_str(&c->reader.text));
		hello_done(c);
	} else if (c->reader.code / 100 == 5 && !c->config->lmtp) {
		smtp_client_enter(c, SMTP_CLIENT_HELO);
		smtp_plan_command(c, STEP_HELO);
	} else {
		refuse_session(c);
	}
}

static void answer_helo(struct smtp_client *c, const struct smtp_planned *p)
{
	(void)p;
	if (!positive(c)) return refuse_session(c);
	c->offer = (struct smtp_offer){0};
	hello_done(c);
}

static void answer_starttls(struct smtp_client *c, const struct smtp_planned *p)
{
	(void)p;
	if (positive(c)) {
		smtp_client_enter(c, SMTP_CLIENT_HANDSHAKE);
		smtp_client_event(c, SMTP_CLIENT_EVENT_STARTTLS, SMTP_NO_FLIGHT);
	} else if (c->config->starttls_required) {
		refuse_session(c);
	} else {
		open_session(c);
	}
}

static void answer_auth(struct smtp_client *c, const struct smtp_planned *p)
{
	(void)p;
	if (c->out.ptr && c->out.len == 0)
		explicit_bzero(c->out.ptr, c->out.cap); /* a password was there */
	if (c->reader.code / 100 == 3) {
		smtp_client_event(c, SMTP_CLIENT_EVENT_AUTH, SMTP_NO_FLIGHT);
	} else if (positive(c)) {
		smtp_client_enter(c, SMTP_CLIENT_OPEN);
		smtp_client_event(c, SMTP_CLIENT_EVENT_READY, SMTP_NO_FLIGHT);
	} else {
		refuse_session(c);
	}
}

/* ---- a transaction ---- */

static void refuse_all(struct smtp_client *c, struct smtp_flight *f)
{
	smtp_flight_settle(f, SMTP_WHOLE, kept_outcome(c, f, class_of(c->reader.code)));
	f->refused = true;
}

static void answer_mail(struct smtp_client *c, const struct smtp_planned *p)
{
	if (positive(c))
		c->dirty = true;
	else
		refuse_all(c, &c->flights[p->flight]);
}

/* A limit on recipients and not a word on this one: 452, or 552 as old servers say (RFC 5321
 * 4.5.3.1.10).  Without an enhanced status it can mean that when others were taken before.  */
static bool too_many_recipients(const struct smtp_client *c, const struct smtp_flight *f)
{
	struct enhanced e = c->reader.enhanced;
	if (f->taken == 0 || (c->reader.code != 452 && c->reader.code != 552)) return false;
	return e.class == 0 || (e.subject == 5 && e.detail == 3);
}

static void answer_rcpt(struct smtp_client *c, const struct smtp_planned *p)
{
	struct smtp_flight *f = &c->flights[p->flight];
	f->rcpt_left--;
	if (f->refused) return; /* MAIL was: what is said about a recipient is not kept */
	if (positive(c)) {
		f->taken++;
		return;
	}
	struct outcome o = kept_outcome(c, f, class_of(c->reader.code));
	if (too_many_recipients(c, f)) {
		o.class = OUTCOME_DEFERRED;
		o.enhanced = (struct enhanced){4, 5, 3};
	}
	smtp_flight_settle(f, p->index, o);
}

static void answer_data(struct smtp_client *c, const struct smtp_planned *p)
{
	struct smtp_flight *f = &c->flights[p->flight];
	if (c->reader.code / 100 != 3)
		refuse_all(c, f);
	else if (smtp_flight_dead(f) &&
		c->config->lmtp) /* a dot would get no reply at all (RFC 2033 4.2) */
		smtp_client_fail_local(
			c, "4.5.0", "invalid reply to DATA after no recipient was taken", STR_NONE);
	else
		smtp_flight_start_content(c, f);
}

static void answer_chunk(struct smtp_client *c, const struct smtp_planned *p)
{
	struct smtp_flight *f = &c->flights[p->flight];
	bool part = p->index == SMTP_PART;
	if (!positive(c))
		c->dirty = true;
	else if (!part)
		c->dirty = false;
	if (part && !positive(c)) refuse_all(c, f);
	if (!part) smtp_flight_settle(f, p->index, kept_outcome(c, f, class_of(c->reader.code)));
}

static void answer_dot(struct smtp_client *c, const struct smtp_planned *p)
{
	struct smtp_flight *f = &c->flights[p->flight];
	c->dirty = false;
	smtp_flight_settle(f, p->index, kept_outcome(c, f, class_of(c->reader.code)));
}

static void answer_rset(struct smtp_client *c, const struct smtp_planned *p)
{
	(void)p;
	if (!positive(c)) return refuse_session(c);
	c->dirty = false;
}

static void answer_quit(struct smtp_client *c, const struct smtp_planned *p)
{
	(void)p;
	smtp_client_enter(c, SMTP_CLIENT_CLOSED);
	smtp_client_event(c, SMTP_CLIENT_EVENT_CLOSED, SMTP_NO_FLIGHT);
}

/* ---- dispatch ---- */

enum { R2 = 1 << 2, R3 = 1 << 3, R4 = 1 << 4, R5 = 1 << 5, FINAL = R2 | R4 | R5, ANY = FINAL | R3 };

const struct smtp_step_row smtp_steps[SMTP_STEPS] = {
	[STEP_BANNER] = {"waiting for the banner", MINUTES(5), FINAL, answer_banner},
	[STEP_EHLO] = {"waiting for the reply to EHLO", MINUTES(5), FINAL, answer_ehlo},
	[STEP_HELO] = {"waiting for the reply to HELO", MINUTES(5), FINAL, answer_helo},
	[STEP_STARTTLS] = {"waiting for the reply to STARTTLS", MINUTES(5), FINAL, answer_starttls},
	[STEP_AUTH] = {"waiting for the reply to AUTH", MINUTES(5), ANY, answer_auth},
	[STEP_MAIL] = {"waiting for the reply to MAIL", MINUTES(5), FINAL, answer_mail},
	[STEP_RCPT] = {"waiting for the reply to RCPT", MINUTES(5), FINAL, answer_rcpt},
	[STEP_DATA] = {"waiting for the reply to DATA", MINUTES(2), R3 | R4 | R5, answer_data},
	[STEP_BDAT] = {"waiting for the reply to BDAT", MINUTES(10), FINAL, answer_chunk},
	[STEP_DOT] = {"waiting for the reply to the end of the message", MINUTES(10), FINAL,
		answer_dot},
	[STEP_RSET] = {"waiting for the reply to RSET", MINUTES(5), FINAL, answer_rset},
	[STEP_QUIT] = {"waiting for the reply to QUIT", MINUTES(2), ANY, answer_quit},
};

/* "invalid reply while waiting for the reply to MAIL: 354 go".  The code is the peer's, the
 * fault is ours to report.  */
static void invalid_reply(struct smtp_client *c)
{
	char start[256];
	struct str words = buf_str(&c->reader.text);
	int n = snprintf(start, sizeof(start), "%u " STR_FMT, c->reader.code,
		STR_ARG(str_head(words, sizeof(start) - 16)));
	smtp_client_fail_local(c, "4.5.0", "invalid reply", str_of(start, (size_t)n));
}

void smtp_answer_take(struct smtp_client *c)
{
	bool leaving = c->reader.code == 421;
	if (c->answered == c->sent) {
		if (leaving)
			smtp_client_fail(c, outcome_of(c, OUTCOME_DEFERRED));
		else
			invalid_reply(c);
		return;
	}
	struct smtp_planned p = *smtp_planned_at(c, c->answered);
	unsigned digit = c->reader.code / 100;
	if (digit > 5 || !(smtp_steps[p.step].classes & 1u << digit)) return invalid_reply(c);
	struct smtp_flight *f = p.flight == SMTP_NO_FLIGHT ? NULL : &c->flights[p.flight];
	c->answered++;
	if (f) f->pending--;
	if (f || !leaving || p.step == STEP_QUIT) smtp_steps[p.step].answer(c, &p);
	/* What 421 answers is answered; the rest will not be.  */
	if (leaving) smtp_client_fail(c, outcome_of(c, OUTCOME_DEFERRED));
	if (f) smtp_flight_advance(c, f);
	smtp_plan_pump(c);
	if (f && f->phase == FLIGHT_ENVELOPE) smtp_flight_advance(c, f);
}
