#include "smtp/client_private.h"

enum { PATH_MAX_SENT = 900, PARAM_MAX_SENT = 900 };

/* Whether s can be a parameter's value: what came in as xtext is sent as it came (RFC 3461 4),
 * but a space or a control octet would make it something else.  */
static bool param_fits(struct str s)
{
	if (s.len == 0 || s.len > PARAM_MAX_SENT) return false;
	for (size_t i = 0; i < s.len; i++)
		if ((uint8_t)s.ptr[i] <= ' ' || s.ptr[i] == 0x7f) return false;
	return true;
}

struct outcome smtp_command_path_fault(struct str path, bool utf8)
{
	bool control = path.len > PATH_MAX_SENT;
	bool eight_bit = false;
	for (size_t i = 0; i < path.len; i++) {
		uint8_t octet = (uint8_t)path.ptr[i];
		control |= octet < ' ' || octet == 0x7f;
		eight_bit |= octet > 0x7f;
	}
	if (control)
		return outcome_local(
			OUTCOME_FAILED, "5.1.3", STR("the address cannot be written in SMTP"));
	if (eight_bit && !utf8)
		return outcome_local(OUTCOME_FAILED, "5.6.7",
			STR("the address needs SMTPUTF8, the message came without it"));
	return (struct outcome){0};
}

static void add_param(struct buf *out, struct str name, struct str value)
{
	if (!param_fits(value)) return;
	buf_add(out, name);
	buf_add(out, value);
}

static void add_mail_params(struct smtp_client *c, const struct smtp_transaction *t)
{
	const struct smtp_offer *offer = &c->offer;
	uint32_t flags = t->envelope->flags;
	struct buf *out = &c->out;
	if (offer->size) {
		buf_add(out, STR(" SIZE="));
		buf_add_u64(out, t->size);
	}
	if (flags & ENVELOPE_BINARY && offer->binary && offer->chunking)
		buf_add(out, STR(" BODY=BINARYMIME"));
	else if (flags & (ENVELOPE_8BIT | ENVELOPE_UTF8) && offer->eightbit)
		buf_add(out, STR(" BODY=8BITMIME"));
	if (flags & ENVELOPE_UTF8 && offer->utf8) buf_add(out, STR(" SMTPUTF8"));
	if (flags & ENVELOPE_REQUIRETLS && offer->requiretls) buf_add(out, STR(" REQUIRETLS"));
	if (!offer->dsn || !t->dsn_relay) return;
	if (flags & ENVELOPE_RET_FULL)
		buf_add(out, STR(" RET=FULL"));
	else if (flags & ENVELOPE_RET_HDRS)
		buf_add(out, STR(" RET=HDRS"));
	add_param(out, STR(" ENVID="), t->envelope->envid);
}

static void add_mail(struct smtp_client *c, const struct smtp_flight *f)
{
	buf_add(&c->out, STR("MAIL FROM:<"));
	buf_add(&c->out, f->transaction->envelope->reverse_path);
	buf_add_c(&c->out, '>');
	add_mail_params(c, f->transaction);
	buf_add(&c->out, STR("\r\n"));
}

static void add_notify(struct buf *out, uint8_t notify)
{
	static const struct {
		uint8_t bit;
		struct str word;
	} words[] = {
		{NOTIFY_SUCCESS, STR("SUCCESS")},
		{NOTIFY_FAILURE, STR("FAILURE")},
		{NOTIFY_DELAY, STR("DELAY")},
	};
	if (notify == 0) return;
	buf_add(out, STR(" NOTIFY="));
	if (notify & NOTIFY_NEVER) {
		buf_add(out, STR("NEVER"));
		return;
	}
	bool first = true;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!(notify & words[i].bit)) continue;
		if (!first) buf_add_c(out, ',');
		buf_add(out, words[i].word);
		first = false;
	}
}

static void add_rcpt(struct smtp_client *c, const struct smtp_flight *f, uint32_t index)
{
	const struct recipient *r = smtp_flight_recipient(f, index);
	buf_add(&c->out, STR("RCPT TO:<"));
	buf_add(&c->out, r->address);
	buf_add_c(&c->out, '>');
	if (c->offer.dsn && f->transaction->dsn_relay) {
		add_notify(&c->out, r->notify);
		add_param(&c->out, STR(" ORCPT="), r->orcpt);
	}
	buf_add(&c->out, STR("\r\n"));
}

static void add_hello(struct smtp_client *c, struct str verb)
{
	buf_add(&c->out, verb);
	buf_add(&c->out, c->config->helo);
	buf_add(&c->out, STR("\r\n"));
}

void smtp_command_add(struct smtp_client *c, const struct smtp_planned *p)
{
	const struct smtp_flight *f = p->flight == SMTP_NO_FLIGHT ? NULL : &c->flights[p->flight];
	switch ((enum smtp_step)p->step) {
	case STEP_BANNER: break; /* it comes unasked */
	case STEP_EHLO: add_hello(c, c->config->lmtp ? STR("LHLO ") : STR("EHLO ")); break;
	case STEP_HELO: add_hello(c, STR("HELO ")); break;
	case STEP_STARTTLS: buf_add(&c->out, STR("STARTTLS\r\n")); break;
	case STEP_MAIL: add_mail(c, f); break;
	case STEP_RCPT: add_rcpt(c, f, p->index); break;
	case STEP_DATA: buf_add(&c->out, STR("DATA\r\n")); break;
	case STEP_RSET: buf_add(&c->out, STR("RSET\r\n")); break;
	case STEP_QUIT: buf_add(&c->out, STR("QUIT\r\n")); break;
	case STEP_AUTH: /* these are put into the output by who plans them */
	case STEP_BDAT:
	case STEP_DOT:
	case SMTP_STEPS: UNREACHABLE();
	}
}
