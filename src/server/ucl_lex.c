#include "server/ucl_lex.h"

void ucl_advance(struct ucl_text *t)
{
	if (t->text.ptr[t->at] == '\n') t->place.line++;
	t->at++;
}

void ucl_skip_blanks(struct ucl_text *t)
{
	int c;
	while ((c = ucl_peek(t)) == ' ' || c == '\t' || c == '\r') t->at++;
}

static bool at_pair(const struct ucl_text *t, char first, char second)
{
	return t->at + 1 < t->text.len && t->text.ptr[t->at] == first &&
		t->text.ptr[t->at + 1] == second;
}

static bool skip_comment(struct ucl_text *t)
{
	struct place began = t->place;
	unsigned depth = 0;
	do {
		if (ucl_peek(t) < 0) {
			complain(
				t->complaints, began, "this comment does not end; a */ is missing");
			return false;
		}
		bool opens = at_pair(t, '/', '*'), closes = at_pair(t, '*', '/');
		if (opens) depth++;
		if (closes) depth--;
		if (opens || closes) ucl_advance(t);
		ucl_advance(t);
	} while (depth);
	return true;
}

bool ucl_skip_space(struct ucl_text *t, bool separators)
{
	for (;;) {
		int c = ucl_peek(t);
		if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
			ucl_advance(t);
		} else if (separators && (c == ';' || c == ',')) {
			ucl_advance(t);
		} else if (c == '#') {
			while (ucl_peek(t) >= 0 && ucl_peek(t) != '\n') t->at++;
		} else if (at_pair(t, '/', '*')) {
			if (!skip_comment(t)) return false;
		} else {
			return true;
		}
	}
}

static bool keep(struct ucl_text *t, struct str s, struct str *ret)
{
	if (arena_copy(t->arena, s, ret)) return true;
	complain(t->complaints, t->place, "there is no memory for this file");
	return false;
}

/* ---- quoted ---- */

static void add_utf8(struct buf *out, uint32_t c)
{
	if (c < 0x80) {
		buf_add_c(out, (char)c);
		return;
	}
	if (c < 0x800) {
		buf_add_c(out, (char)(0xc0 | c >> 6));
	} else {
		buf_add_c(out, (char)(0xe0 | c >> 12));
		buf_add_c(out, (char)(0x80 | (c >> 6 & 0x3f)));
	}
	buf_add_c(out, (char)(0x80 | (c & 0x3f)));
}

/* The four digits of \uXXXX, of the basic plane without surrogates and NUL.  */
static bool take_unicode(struct ucl_text *t, struct buf *out)
{
	uint32_t value = 0;
	for (int i = 0; i < 4; i++, t->at++) {
		int c = ucl_peek(t);
		int lower = c >= 'A' && c <= 'F' ? c + 32 : c;
		if (lower >= '0' && lower <= '9')
			value = value << 4 | (uint32_t)(lower - '0');
		else if (lower >= 'a' && lower <= 'f')
			value = value << 4 | (uint32_t)(lower - 'a' + 10);
		else
			return false;
	}
	if (value == 0 || (value >= 0xd800 && value <= 0xdfff)) return false;
	add_utf8(out, value);
	return true;
}

static bool take_escape(struct ucl_text *t, struct buf *out)
{
	static const char from[] = "nrtbf\"\\/", to[] = "\n\r\t\b\f\"\\/";
	int c = ucl_peek(t);
	const char *found = c > 0 ? strchr(from, c) : NULL;
	if (found) {
		t->at++;
		return buf_add_c(out, to[found - from]);
	}
	if (c == 'u') {
		t->at++;
		if (take_unicode(t, out)) return true;
	}
	complain(t->complaints, t->place,
		"this escape is unknown; there are \\n \\r \\t \\b \\f \\\" \\\\ \\/ \\uXXXX");
	return false;
}

static bool quoted_into(struct ucl_text *t, char quote, struct buf *out)
{
	t->at++;
	for (;;) {
		int c = ucl_peek(t);
		if (c < 0 || c == '\n') {
			complain(t->complaints, t->place,
				"this text is not closed; a %c is missing", quote);
			return false;
		}
		t->at++;
		if (c == quote) return true;
		if (c == '\\' && quote == '"') {
			if (!take_escape(t, out)) return false;
		} else if (c == '\\' && ucl_peek(t) == quote) {
			buf_add_c(out, quote);
			t->at++;
		} else {
			buf_add_c(out, (char)c);
		}
	}
}

static bool take_quoted(struct ucl_text *t, struct str *ret)
{
	struct buf text;
	buf_init(&text, t->text.len + 1);
	bool fine = quoted_into(t, t->text.ptr[t->at], &text);
	if (fine) fine = keep(t, buf_str(&text), ret);
	buf_release(&text);
	return fine;
}

/* ---- bare ---- */

static bool ends_word(int c) { return c < 0 || (c <= ' ') || strchr("=:{}[],;#\"'", c); }

bool ucl_take_word(struct ucl_text *t, struct str *ret_word)
{
	int c = ucl_peek(t);
	if (c == '"' || c == '\'') return take_quoted(t, ret_word);
	size_t began = t->at;
	while (!ends_word(ucl_peek(t))) t->at++;
	if (t->at > began) return keep(t, str_of(t->text.ptr + began, t->at - began), ret_word);
	if (c < 0)
		complain(t->complaints, t->place, "the file ends where a key is expected");
	else
		complain(t->complaints, t->place, "there is '%c' where a key is expected", c);
	return false;
}

/* <<WORD, line end, lines, WORD alone on a line.  */
static bool take_here(struct ucl_text *t, struct str *ret)
{
	struct place began = t->place;
	struct str rest = str_skip(t->text, t->at + 2), word, line;
	size_t used = 2;
	if (!str_cut(&rest, '\n', &word)) goto unclosed;
	used += word.len + 1;
	word = str_trim(word);
	if (!word.len) goto unclosed;
	const char *content = rest.ptr;
	for (bool more = true; more;) {
		const char *line_at = rest.ptr;
		more = str_cut(&rest, '\n', &line);
		used += line.len;
		if (!str_eq(str_trim(line), word)) {
			used++;
			continue;
		}
		size_t len = line_at > content ? (size_t)(line_at - content) - 1 : 0;
		while (used--) ucl_advance(t);
		return keep(t, str_of(content, len), ret);
	}
unclosed:
	complain(t->complaints, began,
		"this text is not closed; after <<WORD a line with WORD alone must follow");
	return false;
}

/* Bare text may hold %{user} and [::1]: those brackets are its own.  */
static size_t bare_end(const struct ucl_text *t)
{
	struct str s = t->text;
	size_t at = t->at;
	for (; at < s.len && s.ptr[at] != '\n'; at++) {
		char c = s.ptr[at], before = at > t->at ? s.ptr[at - 1] : ' ';
		char closes = c == '[' ? ']' : c == '{' && before == '%' ? '}' : 0;
		if (closes) {
			while (at < s.len && s.ptr[at] != closes && s.ptr[at] != '\n') at++;
			if (at < s.len && s.ptr[at] == closes) continue;
			break;
		}
		if (strchr(";,]}{", c)) break;
		if (c == '#' && (before == ' ' || before == '\t')) break;
	}
	return at;
}

bool ucl_take_text(struct ucl_text *t, struct str *ret_text)
{
	int c = ucl_peek(t);
	if (c == '"' || c == '\'') return take_quoted(t, ret_text);
	if (at_pair(t, '<', '<')) return take_here(t, ret_text);
	size_t end = bare_end(t);
	struct str bare = str_trim(str_of(t->text.ptr + t->at, end - t->at));
	if (!bare.len) {
		complain(
			t->complaints, t->place, "a value is missing here; the empty text is \"\"");
		return false;
	}
	t->at = end;
	return keep(t, bare, ret_text);
}
