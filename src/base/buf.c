#include "base/buf.h"

#include <stdarg.h>

enum { LEAST_CAP = 64 };

void buf_release(struct buf *b)
{
	free(b->ptr);
	buf_init(b, b->max);
}

/* Powers of two, so that growing costs little over a life, and never past the maximum.  */
static bool grow(struct buf *b, size_t need)
{
	size_t cap = b->cap ? b->cap : LEAST_CAP;
	while (cap < need && cap <= SIZE_MAX / 2) cap *= 2;
	if (cap > b->max || cap < need) cap = b->max;
	if (cap == 0) return false;
	char *ptr = realloc(b->ptr, cap);
	if (!ptr) return false;
	b->ptr = ptr;
	b->cap = cap;
	return true;
}

char *buf_reserve(struct buf *b, size_t n)
{
	if (b->failed) return NULL;
	bool fits = n <= b->max - b->len;
	if (!fits || ((!b->ptr || n > b->cap - b->len) && !grow(b, b->len + n))) {
		b->failed = true;
		return NULL;
	}
	return b->ptr + b->len;
}

bool buf_add(struct buf *b, struct str s)
{
	if (s.len == 0) return !b->failed;
	char *at = buf_reserve(b, s.len);
	if (!at) return false;
	memcpy(at, s.ptr, s.len);
	b->len += s.len;
	return true;
}

bool buf_add_c(struct buf *b, char c) { return buf_add(b, str_of(&c, 1)); }

bool buf_add_u64(struct buf *b, uint64_t decimal)
{
	char digits[20];
	size_t at = sizeof(digits);
	do digits[--at] = (char)('0' + decimal % 10);
	while (decimal /= 10);
	return buf_add(b, str_of(digits + at, sizeof(digits) - at));
}

bool buf_printf(struct buf *b, const char *format, ...)
{
	if (b->failed) return false;
	va_list args;
	va_start(args, format);
	size_t room = b->cap - b->len;
	int n = vsnprintf(room ? b->ptr + b->len : NULL, room, format, args);
	va_end(args);
	ASSERT(n >= 0);
	if ((size_t)n >= room) {
		/* vsnprintf ends with a NUL, for which the maximum need not have room.  */
		char *text = NULL;
		va_start(args, format);
		n = vasprintf(&text, format, args);
		va_end(args);
		if (n < 0) return b->failed = true, false;
		bool ok = buf_add(b, str_of(text, (size_t)n));
		free(text);
		return ok;
	}
	b->len += (size_t)n;
	return true;
}

static bool add_le(struct buf *b, uint64_t v, size_t octets)
{
	char le[8];
	for (size_t i = 0; i < octets; i++) le[i] = (char)(v >> 8 * i);
	return buf_add(b, str_of(le, octets));
}

bool buf_add_u8(struct buf *b, uint8_t v) { return add_le(b, v, 1); }
bool buf_add_le16(struct buf *b, uint16_t v) { return add_le(b, v, 2); }
bool buf_add_le32(struct buf *b, uint32_t v) { return add_le(b, v, 4); }
bool buf_add_le64(struct buf *b, uint64_t v) { return add_le(b, v, 8); }

bool buf_add_lestr(struct buf *b, struct str s)
{
	ASSERT(s.len <= UINT32_MAX);
	if (!buf_reserve(b, 4 + s.len)) return false;
	return buf_add_le32(b, (uint32_t)s.len) && buf_add(b, s);
}

void buf_consume(struct buf *b, size_t n)
{
	ASSERT(n <= b->len);
	if (n == 0) return;
	b->len -= n;
	memmove(b->ptr, b->ptr + n, b->len);
}

static bool take_le(struct str *s, size_t octets, uint64_t *ret_v)
{
	if (s->len < octets) return false;
	uint64_t v = 0;
	for (size_t i = 0; i < octets; i++) v |= (uint64_t)(uint8_t)s->ptr[i] << 8 * i;
	*s = str_skip(*s, octets);
	*ret_v = v;
	return true;
}

bool take_u8(struct str *s, uint8_t *ret_v)
{
	uint64_t v;
	if (!take_le(s, 1, &v)) return false;
	*ret_v = (uint8_t)v;
	return true;
}

bool take_le16(struct str *s, uint16_t *ret_v)
{
	uint64_t v;
	if (!take_le(s, 2, &v)) return false;
	*ret_v = (uint16_t)v;
	return true;
}

bool take_le32(struct str *s, uint32_t *ret_v)
{
	uint64_t v;
	if (!take_le(s, 4, &v)) return false;
	*ret_v = (uint32_t)v;
	return true;
}

bool take_le64(struct str *s, uint64_t *ret_v) { return take_le(s, 8, ret_v); }

bool take_lestr(struct str *s, struct str *ret_v)
{
	struct str rest = *s;
	uint32_t len;
	if (!take_le32(&rest, &len) || rest.len < len) return false;
	*ret_v = str_head(rest, len);
	*s = str_skip(rest, len);
	return true;
}
