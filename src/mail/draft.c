#include "mail/draft.h"

#include "mail/encoded_word.h"
#include "mail/header.h"
#include "mail/mailboxes.h"

#include <stdarg.h>
#include <stdio.h>

void draft_init(struct draft *d)
{
	*d = (struct draft){0};
	buf_init(&d->head, 2 * DRAFT_HEADER_MAX + (1 << 20)); /* with the rest of the last piece */
}

void draft_release(struct draft *d) { buf_release(&d->head); }

/* Just behind an empty line, or 0.  */
static size_t end_of_section(struct str s, size_t from)
{
	if (str_starts(s, STR("\n")) || str_starts(s, STR("\r\n"))) return s.ptr[0] == '\r' ? 2 : 1;
	for (size_t at = from; (at += str_find(str_skip(s, at), '\n')) < s.len; at++) {
		struct str rest = str_skip(s, at + 1);
		if (str_starts(rest, STR("\n"))) return at + 2;
		if (str_starts(rest, STR("\r\n"))) return at + 3;
	}
	return 0;
}

bool draft_feed(struct draft *d, struct str octets)
{
	if (!buf_add(&d->head, octets)) return d->whole = true;
	struct str s = buf_str(&d->head);
	d->whole = end_of_section(s, d->looked) > 0 || s.len > DRAFT_HEADER_MAX;
	d->looked = s.len > 2 ? s.len - 2 : 0;
	return d->whole;
}

/* ---- a field ---- */

enum field {
	FIELD_OTHER,
	FIELD_FROM,
	FIELD_SENDER,
	FIELD_DATE,
	FIELD_MESSAGE_ID,
	FIELD_BCC,
	FIELD_MIME_VERSION,
	FIELD_CONTENT,
};

enum form { FORM_TEXT, FORM_ADDRESSES, FORM_STRICT };

/* Those that are looked at, and those whose words cannot be encoded.  Names that end in '-' are beginnings.  */
static const struct {
	struct str name;
	enum field field;
	enum form form;
} fields[] = {
	{STR("From"), FIELD_FROM, FORM_ADDRESSES},
	{STR("Sender"), FIELD_SENDER, FORM_ADDRESSES},
	{STR("To"), FIELD_OTHER, FORM_ADDRESSES},
	{STR("Cc"), FIELD_OTHER, FORM_ADDRESSES},
	{STR("Bcc"), FIELD_BCC, FORM_ADDRESSES},
	{STR("Reply-To"), FIELD_OTHER, FORM_ADDRESSES},
	{STR("Resent-Bcc"), FIELD_BCC, FORM_ADDRESSES},
	{STR("Resent-From"), FIELD_OTHER, FORM_ADDRESSES},
	{STR("Resent-Sender"), FIELD_OTHER, FORM_ADDRESSES},
	{STR("Resent-To"), FIELD_OTHER, FORM_ADDRESSES},
	{STR("Resent-Cc"), FIELD_OTHER, FORM_ADDRESSES},
	{STR("Resent-Date"), FIELD_OTHER, FORM_STRICT},
	{STR("Resent-Message-ID"), FIELD_OTHER, FORM_STRICT},
	{STR("Disposition-Notification-To"), FIELD_OTHER, FORM_ADDRESSES},
	{STR("Date"), FIELD_DATE, FORM_STRICT},
	{STR("Message-ID"), FIELD_MESSAGE_ID, FORM_STRICT},
	{STR("In-Reply-To"), FIELD_OTHER, FORM_STRICT},
	{STR("References"), FIELD_OTHER, FORM_STRICT},
	{STR("Received"), FIELD_OTHER, FORM_STRICT},
	{STR("Return-Path"), FIELD_OTHER, FORM_STRICT},
	{STR("MIME-Version"), FIELD_MIME_VERSION, FORM_STRICT},
	{STR("Content-Description"), FIELD_CONTENT, FORM_TEXT},
	{STR("Content-"), FIELD_CONTENT, FORM_STRICT},
	{STR("DKIM-Signature"), FIELD_OTHER, FORM_STRICT},
	{STR("ARC-"), FIELD_OTHER, FORM_STRICT},
	{STR("List-"), FIELD_OTHER, FORM_STRICT},
};

static enum field classify(struct str name, enum form *ret_form)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		struct str known = fields[i].name;
		bool same = known.ptr[known.len - 1] == '-' ? str_istarts(name, known)
							    : str_ieq(name, known);
		if (!same) continue;
		*ret_form = fields[i].form;
		return fields[i].field;
	}
	*ret_form = FORM_TEXT;
	return FIELD_OTHER;
}

static bool name_valid(struct str name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] == 127 || name.ptr[i] & 0x80) return false;
	return name.len > 0;
}

/* ---- the section ---- */

struct rewrite {
	const struct draft_terms *terms;
	struct buf *out;
	struct draft_refusal *refusal;
	uint32_t seen[FIELD_CONTENT + 1];
	const char *checked; /* the field whose addresses are looked at */
	uint32_t addresses;
};

static bool PRINTF_LIKE(4, 5)
	refuse(struct rewrite *w, uint16_t code, struct enhanced status, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	w->refusal->code = code;
	w->refusal->enhanced = status;
	vsnprintf(w->refusal->text, sizeof w->refusal->text, format, arguments);
	va_end(arguments);
	return false;
}

static bool visit(void *context, struct str address)
{
	struct rewrite *w = context;
	w->addresses++;
	if (w->terms->may_send_as(w->terms->context, address)) return true;
	struct str shown = str_head(address, 100), account = str_head(w->terms->account, 100);
	return refuse(w, 550, (struct enhanced){5, 7, 1},
		"Error: the header says %s: <" STR_FMT
		">, which is no address of your account " STR_FMT,
		w->checked, STR_ARG(shown), STR_ARG(account));
}

/* Every address in From and Sender is the account's.  */
static bool check_own(struct rewrite *w, enum field field, struct str value)
{
	w->checked = field == FIELD_FROM ? "From" : "Sender";
	w->addresses = 0;
	if (w->seen[field] > 1)
		return refuse(w, 550, (struct enhanced){5, 6, 0},
			"Error: the header has more than one %s field", w->checked);
	if (mailboxes_each(value, visit, w) && w->addresses) return true;
	if (w->refusal->code) return false;
	return refuse(w, 550, (struct enhanced){5, 6, 0},
		"Error: the %s field of the header cannot be read as an address", w->checked);
}

static bool is_ascii(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] & 0x80) return false;
	return true;
}

static bool write_field(struct rewrite *w, struct str name, struct str value, enum form form)
{
	buf_add(w->out, name);
	buf_add_c(w->out, ':');
	bool fine = true;
	if (w->terms->utf8 || is_ascii(value))
		buf_add(w->out, value);
	else if (form == FORM_TEXT)
		fine = encoded_text_add(w->out, value);
	else
		fine = form == FORM_ADDRESSES && encoded_addresses_add(w->out, value);
	buf_add(w->out, STR("\r\n"));
	struct str shown = str_head(name, 100);
	return fine ||
		refuse(w, 550, (struct enhanced){5, 6, 7},
			"Error: the " STR_FMT
			" field of the header is not ASCII; that needs SMTPUTF8, or encoding (RFC 2047)",
			STR_ARG(shown));
}

static bool take_field(struct rewrite *w, struct str name, struct str value)
{
	enum form form;
	enum field field = classify(name, &form);
	w->seen[field]++;
	if (field == FIELD_BCC) return true;
	if ((field == FIELD_FROM || field == FIELD_SENDER) && !check_own(w, field, value))
		return false;
	return write_field(w, name, value, form);
}

static void add_missing(struct rewrite *w)
{
	const struct draft_terms *t = w->terms;
	struct buf *out = w->out;
	if (!w->seen[FIELD_FROM]) buf_printf(out, "From: <" STR_FMT ">\r\n", STR_ARG(t->account));
	if (!w->seen[FIELD_DATE]) {
		buf_add(out, STR("Date: "));
		clock_add_rfc5322(out, t->wall);
		buf_add(out, STR("\r\n"));
	}
	if (!w->seen[FIELD_MESSAGE_ID])
		buf_printf(out, "Message-ID: <" STR_FMT "@" STR_FMT ">\r\n", STR_ARG(t->id),
			STR_ARG(t->hostname));
	if (w->seen[FIELD_CONTENT] && !w->seen[FIELD_MIME_VERSION])
		buf_add(out, STR("MIME-Version: 1.0\r\n"));
}

/* "From alice@example.com Sun Nov 22 08:00:00 2026", on top of what comes out of a mailbox file.  */
static void skip_mailbox_line(struct str *section)
{
	if (!str_starts(*section, STR("From ")) && !str_starts(*section, STR(">From "))) return;
	size_t n = str_find(*section, '\n');
	*section = str_skip(*section, n < section->len ? n + 1 : n);
}

bool draft_finish(struct draft *d, const struct draft_terms *terms, struct buf *out,
	struct draft_refusal *ret_refusal)
{
	struct rewrite w = {.terms = terms, .out = out, .refusal = ret_refusal};
	struct str rest = buf_str(&d->head), name, value;
	*ret_refusal = (struct draft_refusal){0};
	if (!buf_ok(&d->head) || (rest.len > DRAFT_HEADER_MAX && !end_of_section(rest, 0)))
		return refuse(&w, 552, (struct enhanced){5, 3, 4},
			"Error: the header is longer than %d octets", DRAFT_HEADER_MAX);
	skip_mailbox_line(&rest);
	for (struct str before = rest; header_next(&rest, &name, &value); before = rest) {
		if (name_valid(name)) {
			if (!take_field(&w, name, value)) return false;
			continue;
		}
		rest = before; /* no field: the body begins, and nobody has said so */
		break;
	}
	add_missing(&w);
	buf_add(out, STR("\r\n"));
	if (buf_add(out, rest)) return true;
	return refuse(&w, 452, (struct enhanced){4, 3, 1},
		"Insufficient system resources, try again later");
}
