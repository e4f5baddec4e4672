#include "base/utf8.h"
#include "mail/dsn_private.h"

enum { COLUMNS = 76, TEXT_MAX = 4000 };

void dsn_add_clean(struct buf *out, struct str s, bool utf8)
{
	while (s.len) {
		uint32_t character;
		size_t n = utf8_next(s, &character);
		bool plain = n == 1 && character >= ' ' && character < 0x7f;
		if (plain || (n > 1 && utf8 && character >= 0xa0))
			buf_add(out, str_head(s, n));
		else
			buf_add_c(out, n == 1 && character == '\t' ? ' ' : '?');
		s = str_skip(s, n ? n : 1);
	}
}

void dsn_wrap(struct buf *out, struct str text, size_t column, struct str line_end)
{
	while (text.len) {
		struct str word;
		bool more = str_cut(&text, ' ', &word);
		buf_add(out, word);
		column += word.len;
		if (!more) return;
		size_t next = str_find(text, ' ');
		bool fits = column + 1 + next <= COLUMNS || word.len == 0 || next == 0;
		buf_add(out, fits ? STR(" ") : line_end);
		column = fits ? column + 1 : line_end.len - 2;
	}
}

static void add_paragraph(struct buf *out, struct str text, struct str indent)
{
	char line_end[8] = "\r\n";
	ASSERT(indent.len <= 4);
	memcpy(line_end + 2, indent.ptr, indent.len);
	buf_add(out, indent);
	dsn_wrap(out, text, indent.len, str_of(line_end, 2 + indent.len));
	buf_add(out, STR("\r\n"));
}

static void add_greeting(struct buf *out, const struct dsn_report *r)
{
	struct buf text;
	buf_init(&text, TEXT_MAX);
	buf_add(&text, STR("This is the mail system at "));
	buf_add(&text, r->dsn->hostname);
	buf_add_c(&text, '.');
	add_paragraph(out, buf_str(&text), STR(""));
	buf_release(&text);
}

/* What is said above the recipients of one action.  */
static const char *const section_heads[] = {
	[DSN_FAILED] =
		"Your message was not delivered to the following, and will not be tried again:",
	[DSN_DELAYED] =
		"Your message has not yet reached the following. It is still being tried: you "
		"need not send it again.",
	[DSN_DELIVERED] = "Your message was delivered to:",
	[DSN_RELAYED] =
		"Your message was handed on to a mail system that sends no confirmations. You "
		"will hear no more unless it fails:",
	[DSN_EXPANDED] = "Your message was handed on to all members of:",
};

/* "4.2.2" is the same matter whether it is passing or for good, so one set of words serves
 * both.  */
static void add_explanation(struct buf *text, const struct dsn_recipient *r, msec created, msec now)
{
	if (r->outcome.class == OUTCOME_EXPIRED) {
		buf_add(text, STR("It could not be delivered for "));
		clock_add_span(text, now > created ? now - created : 0);
		buf_add(text, STR(", which is as long as we try. The last reason was this. "));
	}
	if (r->action == DSN_FAILED) buf_add(text, dsn_words_failed(&r->outcome));
	if (r->action == DSN_DELAYED) buf_add(text, dsn_words_delayed(&r->outcome));
	if (r->action == DSN_DELAYED && r->retry_until) {
		buf_add(text, STR(" We try until "));
		clock_add_rfc5322(text, r->retry_until);
		buf_add_c(text, '.');
	}
}

static void add_said(struct buf *text, const struct dsn_report *report, const struct outcome *o)
{
	if (o->remote) {
		dsn_add_clean(text, o->host.len ? o->host : STR("The other system"), false);
		buf_printf(text, " said: %u ", o->code);
		if (o->enhanced.subject || o->enhanced.detail) {
			enhanced_add(text, o->enhanced);
			buf_add_c(text, ' ');
		}
	} else {
		buf_add(text, STR("What we noted: "));
	}
	dsn_add_clean(text, o->text, report->utf8);
}

static void add_person(
	struct buf *out, const struct dsn_report *report, const struct dsn_recipient *r)
{
	struct buf text;
	buf_init(&text, TEXT_MAX);
	buf_add_c(&text, '<');
	dsn_add_clean(&text,
		r->recipient->original.len ? r->recipient->original : r->recipient->address,
		report->utf8);
	buf_add_c(&text, '>');
	if (r->recipient->original.len) {
		buf_add(&text, STR(", which goes on to <"));
		dsn_add_clean(&text, r->recipient->address, report->utf8);
		buf_add_c(&text, '>');
	}
	buf_add(out, STR("\r\n"));
	add_paragraph(out, buf_str(&text), STR("  "));
	buf_clear(&text);
	add_explanation(&text, r, report->dsn->envelope->created, report->dsn->now);
	if (text.len) add_paragraph(out, buf_str(&text), STR("    "));
	buf_clear(&text);
	bool bad = r->action == DSN_FAILED || r->action == DSN_DELAYED;
	if (bad && r->outcome.text.len) {
		add_said(&text, report, &r->outcome);
		add_paragraph(out, buf_str(&text), STR("    "));
	}
	buf_release(&text);
}

void dsn_add_human_part(struct buf *out, const struct dsn_report *r)
{
	const struct dsn *dsn = r->dsn;
	dsn_add_part(out, dsn);
	buf_add(out,
		r->utf8 ? STR("Content-Type: text/plain; charset=utf-8\r\n")
			: STR("Content-Type: text/plain; charset=us-ascii\r\n"));
	dsn_add_encoding(out, r->utf8 ? STR("8bit") : STR("7bit"));
	buf_add(out, STR("\r\n"));
	add_greeting(out, r);
	for (enum dsn_action action = 0; action <= DSN_EXPANDED; action++) {
		if (!r->counts[action]) continue;
		buf_add(out, STR("\r\n"));
		add_paragraph(out, str_from_c(section_heads[action]), STR(""));
		for (uint32_t i = 0; i < dsn->recipient_count; i++)
			if (dsn->recipients[i].action == action)
				add_person(out, r, &dsn->recipients[i]);
	}
	buf_add(out, STR("\r\n"));
	buf_add(out, STR("Below are a report for mail programs and "));
	buf_add(out, r->full ? STR("your message.\r\n") : STR("the header of your message.\r\n"));
}
