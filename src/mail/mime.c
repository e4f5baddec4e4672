#include "mail/mime.h"

/* Skip white space and comments, which nest (RFC 822 3.4.3).  */
static struct str skip_comments(struct str s)
{
	size_t i = 0, depth = 0;
	for (; i < s.len; i++) {
		char c = s.ptr[i];
		if (c == '\\' && depth)
			i++;
		else if (c == '(')
			depth++;
		else if (c == ')' && depth)
			depth--;
		else if (!depth && c != ' ' && c != '\t')
			break;
	}
	return str_skip(s, i < s.len ? i : s.len);
}

static bool ends_token(char c)
{
	return c == ';' || c == ' ' || c == '\t' || c == '(' || c == '=' || c == '"';
}

static struct str take_token(struct str *s)
{
	size_t n = 0;
	while (n < s->len && !ends_token(s->ptr[n])) n++;
	struct str token = str_head(*s, n);
	*s = skip_comments(str_skip(*s, n));
	return token;
}

/* A quoted string from behind its opening quote; what does not fit makes the length 0.  */
static size_t take_quoted(struct str *s, char *to, size_t max)
{
	size_t n = 0, i = 0;
	bool fits = true;
	for (; i < s->len && s->ptr[i] != '"'; i++) {
		if (s->ptr[i] == '\\' && i + 1 < s->len) i++;
		if (n < max)
			to[n++] = s->ptr[i];
		else
			fits = false;
	}
	*s = skip_comments(str_skip(*s, i < s->len ? i + 1 : s->len));
	return fits ? n : 0;
}

static size_t take_value(struct str *s, char *to, size_t max)
{
	if (s->len && s->ptr[0] == '"') {
		*s = str_skip(*s, 1);
		return take_quoted(s, to, max);
	}
	/* '=' is no token character, yet boundaries with it are met unquoted.  */
	size_t n = 0;
	while (n < s->len && (!ends_token(s->ptr[n]) || s->ptr[n] == '=')) n++;
	struct str token = str_head(*s, n);
	*s = skip_comments(str_skip(*s, n));
	if (token.len > max) return 0;
	memcpy(to, token.ptr, token.len);
	return token.len;
}

static enum mime_kind kind_of(struct str type)
{
	if (type.len == 0 || str_istarts(type, STR("text/"))) return MIME_TEXT;
	if (str_istarts(type, STR("multipart/"))) return MIME_MULTIPART;
	if (str_ieq(type, STR("message/rfc822"))) return MIME_MESSAGE;
	if (str_istarts(type, STR("message/global"))) return MIME_MESSAGE_GLOBAL;
	if (str_istarts(type, STR("message/"))) return MIME_MESSAGE_OTHER;
	return MIME_DATA;
}

/* A parameter from behind its semicolon.  */
static void take_param(struct str *s, struct mime_type *type)
{
	char text[MIME_BOUNDARY_MAX];
	struct str name = take_token(s);
	if (s->len == 0 || s->ptr[0] != '=') return;
	*s = skip_comments(str_skip(*s, 1));
	size_t len = take_value(s, text, sizeof(text));
	if (!str_ieq(name, STR("boundary")) || type->boundary_len) return;
	while (len && text[len - 1] == ' ') len--; /* a boundary does not end in one */
	memcpy(type->boundary, text, len);
	type->boundary_len = (uint8_t)len;
}

void mime_parse_type(struct str value, struct mime_type *ret)
{
	struct str s = skip_comments(value);
	struct str type = take_token(&s);
	*ret = (struct mime_type){.kind = kind_of(type)};
	ret->is_signed = str_ieq(type, STR("multipart/signed"));
	ret->digest = str_ieq(type, STR("multipart/digest"));
	for (;;) {
		size_t semicolon = str_find(s, ';');
		if (semicolon == s.len) return;
		s = skip_comments(str_skip(s, semicolon + 1));
		take_param(&s, ret);
	}
}

enum mime_encoding mime_parse_encoding(struct str value)
{
	struct str s = skip_comments(value);
	struct str token = take_token(&s);
	if (token.len == 0 || str_ieq(token, STR("7bit"))) return MIME_7BIT;
	if (str_ieq(token, STR("8bit"))) return MIME_8BIT;
	if (str_ieq(token, STR("binary"))) return MIME_BINARY;
	return MIME_ENCODED;
}
