#include "base/code.h"
#include "mail/dsn_private.h"

enum { OWN_ID_MAX = 48, VALUE_MAX = 1000 };

/* ---- text that others wrote ---- */

static void add_xtext(struct buf *out, struct str xtext, bool utf8)
{
	struct buf plain;
	buf_init(&plain, VALUE_MAX);
	if (xtext_decode(xtext, &plain))
		dsn_add_clean(out, buf_str(&plain), utf8);
	else
		dsn_add_clean(out, str_head(xtext, VALUE_MAX), utf8);
	buf_release(&plain);
}

/* "Name: value" folded (RFC 5322 2.2.3); value is clean.  */
static void add_field(struct buf *out, struct str name, struct str value)
{
	buf_add(out, name);
	buf_add(out, STR(": "));
	dsn_wrap(out, str_trim(value), name.len + 2, STR("\r\n "));
	buf_add(out, STR("\r\n"));
}

/* ---- the kind of report ---- */

static struct dsn_report report_of(const struct dsn *dsn, bool full)
{
	struct dsn_report r = {
		.dsn = dsn, .utf8 = dsn->envelope->flags & ENVELOPE_UTF8, .full = full};
	for (uint32_t i = 0; i < dsn->recipient_count; i++) r.counts[dsn->recipients[i].action]++;
	return r;
}

static void add_boundary(struct buf *out, const struct dsn *dsn)
{
	/* "=_" occurs in no quoted-printable text and no base64.  */
	buf_add(out, STR("=_rockdove_"));
	struct str id = str_head(dsn->own_id, OWN_ID_MAX);
	for (size_t i = 0; i < id.len; i++)
		buf_add_c(out, ascii_alnum(id.ptr[i]) ? id.ptr[i] : '_');
}

void dsn_add_part(struct buf *out, const struct dsn *dsn)
{
	buf_add(out, STR("\r\n--"));
	add_boundary(out, dsn);
	buf_add(out, STR("\r\n"));
}

/* What the returned content needs, and so the whole.  */
static struct str content_encoding(const struct dsn_report *r)
{
	uint32_t flags = r->dsn->envelope->flags;
	if (r->full && flags & ENVELOPE_BINARY) return STR("binary");
	return flags & (ENVELOPE_8BIT | ENVELOPE_BINARY) || r->utf8 ? STR("8bit") : STR("7bit");
}

void dsn_add_encoding(struct buf *out, struct str encoding)
{
	if (str_eq(encoding, STR("7bit"))) return;
	buf_add(out, STR("Content-Transfer-Encoding: "));
	buf_add(out, encoding);
	buf_add(out, STR("\r\n"));
}

/* ---- header section ---- */

static struct str subject(const struct dsn_report *r)
{
	if (r->counts[DSN_FAILED]) return STR("Undelivered mail: your message was not delivered");
	if (r->counts[DSN_DELAYED]) return STR("Delayed mail: your message is still being tried");
	return STR("Delivered mail: your message has arrived");
}

static void add_header(struct buf *out, const struct dsn_report *r)
{
	const struct dsn *dsn = r->dsn;
	buf_add(out, STR("From: Mail Delivery System <MAILER-DAEMON@"));
	buf_add(out, dsn->hostname);
	buf_add(out, STR(">\r\nTo: <"));
	dsn_add_clean(out, dsn->envelope->reverse_path, r->utf8);
	buf_add(out, STR(">\r\nSubject: "));
	buf_add(out, subject(r));
	buf_add(out, STR("\r\nDate: "));
	clock_add_rfc5322(out, dsn->now);
	buf_add(out, STR("\r\nMessage-ID: <"));
	dsn_add_clean(out, dsn->own_id, false);
	buf_add_c(out, '@');
	buf_add(out, dsn->hostname);
	buf_add(out,
		STR(">\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
		    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
		    "\tboundary=\""));
	add_boundary(out, dsn);
	buf_add(out, STR("\"\r\n"));
	dsn_add_encoding(out, content_encoding(r));
}

/* ---- the part for programs (RFC 3464 2) ---- */

static struct enhanced status_of(const struct dsn_recipient *r)
{
	struct enhanced e = r->outcome.enhanced;
	uint8_t class = r->action == DSN_FAILED ? 5 : r->action == DSN_DELAYED ? 4 : 2;
	/* What expired keeps the passing status that it failed with (RFC 3463 2, X.4.7).  */
	bool expired = r->outcome.class == OUTCOME_EXPIRED && e.class == 4;
	if (expired && e.subject == 0 && e.detail == 0) e = (struct enhanced){4, 4, 7};
	if (e.class == 0) e = (struct enhanced){0};
	if (!expired) e.class = class;
	return e;
}

static void add_recipient_field(struct buf *out, struct str name, struct str address, bool utf8)
{
	bool eight_bit = false;
	for (size_t i = 0; i < address.len; i++) eight_bit |= (uint8_t)address.ptr[i] > 0x7f;
	struct buf value;
	buf_init(&value, 2 * VALUE_MAX);
	buf_add(&value, utf8 && eight_bit ? STR("utf-8;") : STR("rfc822;"));
	dsn_add_clean(&value, address, utf8);
	add_field(out, name, buf_str(&value));
	buf_release(&value);
}

static void add_time_field(struct buf *out, struct str name, msec wall)
{
	if (wall == 0) return;
	buf_add(out, name);
	buf_add(out, STR(": "));
	clock_add_rfc5322(out, wall);
	buf_add(out, STR("\r\n"));
}

/* "mx1.example.net[192.0.2.1]:25": the name, or the address with its brackets.  */
static struct str name_of_host(struct str host)
{
	size_t bracket = str_find(host, '[');
	return bracket ? str_head(host, bracket) : str_head(host, str_rfind(host, ':'));
}

static void add_remote_fields(
	struct buf *out, const struct dsn_report *report, const struct outcome *o)
{
	if (!o->remote || o->code == 0) return;
	struct buf value;
	buf_init(&value, VALUE_MAX);
	if (o->host.len) {
		buf_add(&value, STR("dns; "));
		dsn_add_clean(&value, name_of_host(o->host), false);
		add_field(out, STR("Remote-MTA"), buf_str(&value));
		buf_clear(&value);
	}
	buf_printf(&value, "smtp; %u ", o->code);
	if (o->enhanced.subject || o->enhanced.detail) {
		enhanced_add(&value, o->enhanced);
		buf_add_c(&value, ' ');
	}
	dsn_add_clean(&value, str_head(o->text, OUTCOME_TEXT_MAX), report->utf8);
	add_field(out, STR("Diagnostic-Code"), buf_str(&value));
	buf_release(&value);
}

static void add_recipient_fields(
	struct buf *out, const struct dsn_report *report, const struct dsn_recipient *r)
{
	static const struct str actions[] = {
		[DSN_FAILED] = STR("failed"),
		[DSN_DELAYED] = STR("delayed"),
		[DSN_DELIVERED] = STR("delivered"),
		[DSN_RELAYED] = STR("relayed"),
		[DSN_EXPANDED] = STR("expanded"),
	};
	struct buf value;
	buf_init(&value, VALUE_MAX);
	buf_add(out, STR("\r\n"));
	if (r->recipient->orcpt.len) {
		add_xtext(&value, r->recipient->orcpt, report->utf8);
		add_field(out, STR("Original-Recipient"), buf_str(&value));
		buf_clear(&value);
	}
	add_recipient_field(out, STR("Final-Recipient"), r->recipient->address, report->utf8);
	add_field(out, STR("Action"), actions[r->action]);
	enhanced_add(&value, status_of(r));
	add_field(out, STR("Status"), buf_str(&value));
	add_remote_fields(out, report, &r->outcome);
	add_time_field(out, STR("Last-Attempt-Date"), r->last_attempt);
	if (r->action == DSN_DELAYED) add_time_field(out, STR("Will-Retry-Until"), r->retry_until);
	buf_release(&value);
}

static void add_status_part(struct buf *out, const struct dsn_report *r)
{
	const struct dsn *dsn = r->dsn;
	struct buf value;
	buf_init(&value, VALUE_MAX);
	dsn_add_part(out, dsn);
	buf_add(out,
		r->utf8 ? STR("Content-Type: message/global-delivery-status\r\n")
			: STR("Content-Type: message/delivery-status\r\n"));
	dsn_add_encoding(out, r->utf8 ? STR("8bit") : STR("7bit"));
	buf_add(out, STR("\r\n"));
	if (dsn->envelope->envid.len) {
		add_xtext(&value, dsn->envelope->envid, r->utf8);
		add_field(out, STR("Original-Envelope-Id"), buf_str(&value));
		buf_clear(&value);
	}
	buf_add(&value, STR("dns; "));
	buf_add(&value, dsn->hostname);
	add_field(out, STR("Reporting-MTA"), buf_str(&value));
	add_time_field(out, STR("Arrival-Date"), dsn->envelope->created);
	if (dsn->id.len) add_field(out, STR("X-Rockdove-Queue-Id"), dsn->id);
	for (uint32_t i = 0; i < dsn->recipient_count; i++)
		add_recipient_fields(out, r, &dsn->recipients[i]);
	buf_release(&value);
}

/* ---- the whole ---- */

bool dsn_add_head(struct buf *out, const struct dsn *dsn, bool full)
{
	struct dsn_report r = report_of(dsn, full);
	add_header(out, &r);
	dsn_add_human_part(out, &r);
	add_status_part(out, &r);
	dsn_add_part(out, dsn);
	struct str type = full ? r.utf8 ? STR("message/global") : STR("message/rfc822")
		: r.utf8 ? STR("message/global-headers")
			       : STR("text/rfc822-headers");
	buf_add(out, STR("Content-Type: "));
	buf_add(out, type);
	buf_add(out, STR("\r\n"));
	dsn_add_encoding(out, content_encoding(&r));
	return buf_add(out, STR("\r\n"));
}

bool dsn_add_tail(struct buf *out, const struct dsn *dsn)
{
	buf_add(out, STR("\r\n--"));
	add_boundary(out, dsn);
	return buf_add(out, STR("--\r\n"));
}

bool dsn_due(const struct envelope *e, const struct recipient *r, enum dsn_action action)
{
	if (e->reverse_path.len == 0 || r->notify & NOTIFY_NEVER) return false;
	switch (action) {
	case DSN_FAILED: return r->notify == 0 || r->notify & NOTIFY_FAILURE;
	case DSN_DELAYED: return r->notify == 0 || r->notify & NOTIFY_DELAY;
	case DSN_DELIVERED:
	case DSN_RELAYED:
	case DSN_EXPANDED: return r->notify & NOTIFY_SUCCESS;
	}
	UNREACHABLE();
}
