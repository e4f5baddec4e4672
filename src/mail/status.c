#include "mail/status.h"

/* One to three digits.  */
static size_t take_part(struct str s, uint16_t *ret_value)
{
	size_t n = 0;
	while (n < s.len && n < 4 && ascii_digit(s.ptr[n])) n++;
	uint64_t value;
	if (!str_to_u64(str_head(s, n), 999, &value)) return 0;
	*ret_value = (uint16_t)value;
	return n;
}

bool enhanced_parse(struct str s, struct enhanced *ret, size_t *ret_len)
{
	struct enhanced e;
	if (s.len < 5 || !strchr("245", s.ptr[0]) || s.ptr[0] == 0 || s.ptr[1] != '.') return false;
	e.class = (uint8_t)(s.ptr[0] - '0');
	size_t at = 2, n = take_part(str_skip(s, at), &e.subject);
	at += n;
	if (n == 0 || at == s.len || s.ptr[at] != '.') return false;
	at++;
	n = take_part(str_skip(s, at), &e.detail);
	at += n;
	if (n == 0 || (at < s.len && (s.ptr[at] == '.' || ascii_alnum(s.ptr[at])))) return false;
	*ret = e;
	if (ret_len) *ret_len = at;
	return true;
}

void enhanced_add(struct buf *out, struct enhanced e)
{
	buf_add_u64(out, e.class);
	buf_add_c(out, '.');
	buf_add_u64(out, e.subject);
	buf_add_c(out, '.');
	buf_add_u64(out, e.detail);
}

const char *outcome_name(enum outcome_class c)
{
	static const char *const names[] = {
		[OUTCOME_NONE] = "none",
		[OUTCOME_DELIVERED] = "delivered",
		[OUTCOME_DEFERRED] = "deferred",
		[OUTCOME_FAILED] = "failed",
		[OUTCOME_EXPIRED] = "expired",
		[OUTCOME_DELETED] = "deleted",
	};
	ASSERT((size_t)c < ARRAY_LEN(names));
	return names[c];
}

struct outcome outcome_local(enum outcome_class c, const char *enhanced, struct str text)
{
	struct outcome o = {.class = c, .text = text};
	ASSERT(enhanced_parse(str_from_c(enhanced), &o.enhanced, NULL));
	o.code = o.enhanced.class == 2 ? 250 : o.enhanced.class == 4 ? 451 : 550;
	return o;
}

enum { BIT_REMOTE = 1, BIT_DOUBTFUL = 2 };

bool outcome_encode(struct buf *out, const struct outcome *o)
{
	buf_add_u8(out, (uint8_t)o->class);
	buf_add_le16(out, o->code);
	buf_add_u8(out, o->enhanced.class);
	buf_add_le16(out, o->enhanced.subject);
	buf_add_le16(out, o->enhanced.detail);
	buf_add_u8(out, (uint8_t)((o->remote ? BIT_REMOTE : 0) | (o->doubtful ? BIT_DOUBTFUL : 0)));
	buf_add_lestr(out, str_head(o->text, OUTCOME_TEXT_MAX));
	buf_add_lestr(out, o->host);
	buf_add_lestr(out, o->tls);
	return buf_ok(out);
}

bool outcome_decode(struct str *from, struct outcome *ret)
{
	struct str s = *from;
	struct outcome o = {0};
	uint8_t class, bits;
	if (!take_u8(&s, &class) || class > OUTCOME_DELETED) return false;
	if (!take_le16(&s, &o.code)) return false;
	if (!take_u8(&s, &o.enhanced.class) || !take_le16(&s, &o.enhanced.subject) ||
		!take_le16(&s, &o.enhanced.detail))
		return false;
	if (!take_u8(&s, &bits) || bits > (BIT_REMOTE | BIT_DOUBTFUL)) return false;
	if (!take_lestr(&s, &o.text) || !take_lestr(&s, &o.host) || !take_lestr(&s, &o.tls))
		return false;
	o.class = class;
	o.remote = bits & BIT_REMOTE;
	o.doubtful = bits & BIT_DOUBTFUL;
	*from = s;
	*ret = o;
	return true;
}

bool outcome_copy(const struct outcome *o, struct arena *arena, struct outcome *ret)
{
	struct outcome to = *o;
	if (!arena_copy(arena, o->text, &to.text) || !arena_copy(arena, o->host, &to.host) ||
		!arena_copy(arena, o->tls, &to.tls))
		return false;
	*ret = to;
	return true;
}
