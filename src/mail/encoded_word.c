#include "mail/encoded_word.h"

#include "base/code.h"
#include "base/utf8.h"
#include "mail/mailboxes.h"

enum {
	WORD_OCTETS = 39
}; /* of content in one encoded word, which is 75 octets at most with unknown-8bit */

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

static bool is_ascii(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] & 0x80) return false;
	return true;
}

/* How much of s goes into one word: no character is cut (RFC 2047 5).  */
static size_t piece_of(struct str s, bool utf8)
{
	size_t n = 0;
	uint32_t character;
	if (!utf8) return s.len < WORD_OCTETS ? s.len : WORD_OCTETS;
	for (size_t one; n < s.len; n += one) {
		one = utf8_next(str_skip(s, n), &character);
		if (n + one > WORD_OCTETS) break;
	}
	return n;
}

static void add_word(struct buf *out, struct str text)
{
	bool utf8 = utf8_valid(text);
	for (bool first = true; text.len; first = false) {
		size_t n = piece_of(text, utf8);
		if (!first) buf_add(out, STR("\r\n "));
		buf_add(out, utf8 ? STR("=?utf-8?B?") : STR("=?unknown-8bit?B?"));
		base64_add(out, str_head(text, n));
		buf_add(out, STR("?="));
		text = str_skip(text, n);
	}
}

/* Words being written.  Blanks between two encoded words are nothing to who reads them, so what stands side by side is gathered and
 * encoded as one.  */
struct words {
	struct buf *out;
	struct buf plain; /* what is gathered */
	struct str lead;  /* blanks in front of that, and */
	struct str gap;   /* of what comes */
	bool gathered;
	bool encoded; /* was written last */
};

static void flush_gathered(struct words *w)
{
	if (!w->gathered) return;
	buf_add(w->out, w->lead);
	add_word(w->out, buf_str(&w->plain));
	w->out->failed |= w->plain.failed;
	buf_clear(&w->plain);
	w->gathered = false;
	w->encoded = true;
}

static void flush_gap(struct words *w)
{
	buf_add(w->out, w->gap);
	w->gap = STR_NONE;
}

static void put_ascii(struct words *w, struct str text)
{
	flush_gathered(w);
	if (w->encoded && !w->gap.len && text.ptr[0] != ')') w->gap = STR(" ");
	flush_gap(w);
	buf_add(w->out, text);
	w->encoded = false;
}

/* An encoded word wants a blank in front of it, or a parenthesis.  */
static void begin_gathering(struct words *w)
{
	char before = w->out->len ? w->out->ptr[w->out->len - 1] : ' ';
	w->lead = w->gap.len || is_blank(before) || before == '(' ? w->gap : STR(" ");
	w->gathered = true;
}

/* quoted: backslashes are taken out.  */
static void put_encoded(struct words *w, struct str text, bool quoted)
{
	if (!w->gathered)
		begin_gathering(w);
	else if (w->gap.len)
		buf_add_c(&w->plain, ' ');
	w->gap = STR_NONE;
	for (size_t i = 0; i < text.len; i++) {
		if (quoted && text.ptr[i] == '\\' && i + 1 < text.len) i++;
		if (text.ptr[i] != '\r' && text.ptr[i] != '\n') buf_add_c(&w->plain, text.ptr[i]);
	}
}

static struct words words_begin(struct buf *out, struct str value)
{
	struct words w = {.out = out};
	buf_init(&w.plain, 2 * value.len + 8);
	return w;
}

static bool words_end(struct words *w)
{
	flush_gathered(w);
	flush_gap(w);
	buf_release(&w->plain);
	return buf_ok(w->out);
}

/* Octets at the front of s that are blanks, or are none.  */
static size_t run_of(struct str s, bool blanks, const char *ends)
{
	size_t n = 0;
	while (n < s.len && is_blank(s.ptr[n]) == blanks && !(s.ptr[n] && strchr(ends, s.ptr[n])))
		n++;
	return n;
}

bool encoded_text_add(struct buf *out, struct str value)
{
	struct words w = words_begin(out, value);
	while (value.len) {
		size_t n = run_of(value, true, "");
		w.gap = str_head(value, n);
		value = str_skip(value, n);
		n = run_of(value, false, "");
		struct str word = str_head(value, n);
		value = str_skip(value, n);
		if (is_ascii(word))
			put_ascii(&w, word);
		else
			put_encoded(&w, word, false);
	}
	return words_end(&w);
}

/* ---- addresses ---- */

static void put_comment(struct words *w, struct str text)
{
	put_ascii(w, STR("("));
	put_encoded(w, str_of(text.ptr + 1, text.len - 2), true);
	put_ascii(w, STR(")"));
}

/* One token at the front of *rest, which is no blank.  */
static bool put_token(struct words *w, struct str *rest)
{
	char c = rest->ptr[0];
	bool whole = c == '"' || c == '(' || c == '<';
	char close = c == '(' ? ')' : c == '<' ? '>' : c;
	size_t n = whole ? mailboxes_enclosed(*rest, close) : run_of(*rest, false, "\"(<>),;:");
	if (n == 0 && !whole) n = 1; /* a special */
	struct str token = str_head(*rest, n);
	*rest = str_skip(*rest, n);
	char next = rest->len ? rest->ptr[0] : ' ';
	if (n == 0) return false;
	if (is_ascii(token))
		put_ascii(w, token);
	else if (c == '(')
		put_comment(w, token);
	else if (c == '"' && next != '@')
		put_encoded(w, str_of(token.ptr + 1, n - 2), true);
	else if (!whole && str_find(token, '@') == n)
		put_encoded(w, token, false);
	else
		return false;
	return true;
}

bool encoded_addresses_add(struct buf *out, struct str value)
{
	struct words w = words_begin(out, value);
	bool fine = true;
	while (fine && value.len) {
		size_t n = run_of(value, true, "");
		w.gap = str_head(value, n);
		value = str_skip(value, n);
		if (value.len) fine = put_token(&w, &value);
	}
	return words_end(&w) && fine;
}
