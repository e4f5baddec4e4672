#include "base/code.h"

static const char lower_digits[] = "0123456789abcdef";
static const char upper_digits[] = "0123456789ABCDEF";

static int hex_value(char c)
{
	if (ascii_digit(c)) return c - '0';
	char l = ascii_lower(c);
	return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* What was appended since `start` goes away again: a text that is wrong leaves nothing.  */
static bool undo(struct buf *out, size_t start)
{
	out->len = start;
	return false;
}

void hex_add(struct buf *out, struct str octets)
{
	if (octets.len > out->max) out->failed = true;
	char *at = buf_reserve(out, octets.len * 2);
	if (!at) return;
	for (size_t i = 0; i < octets.len; i++) {
		uint8_t c = (uint8_t)octets.ptr[i];
		*at++ = lower_digits[c >> 4];
		*at++ = lower_digits[c & 15];
	}
	out->len += octets.len * 2;
}

bool hex_decode(struct str text, struct buf *out)
{
	size_t start = out->len;
	if (text.len % 2) return false;
	for (size_t i = 0; i < text.len; i += 2) {
		int high = hex_value(text.ptr[i]), low = hex_value(text.ptr[i + 1]);
		if (high < 0 || low < 0) return undo(out, start);
		if (!buf_add_c(out, (char)(high << 4 | low))) return undo(out, start);
	}
	return buf_ok(out);
}

void base64_add(struct buf *out, struct str octets)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	if (octets.len > out->max) out->failed = true;
	size_t len = (octets.len / 3 + (octets.len % 3 != 0)) * 4;
	char *at = buf_reserve(out, len);
	if (!at) return;
	for (size_t i = 0; i < octets.len; i += 3) {
		size_t n = octets.len - i < 3 ? octets.len - i : 3;
		uint32_t bits = 0;
		for (size_t j = 0; j < 3; j++)
			bits = bits << 8 | (j < n ? (uint8_t)octets.ptr[i + j] : 0u);
		*at++ = digits[bits >> 18];
		*at++ = digits[bits >> 12 & 63];
		*at++ = n > 1 ? digits[bits >> 6 & 63] : '=';
		*at++ = n > 2 ? digits[bits & 63] : '=';
	}
	out->len += len;
}

void base64url_add(struct buf *out, struct str octets)
{
	size_t start = out->len;
	base64_add(out, octets);
	if (!buf_ok(out)) return;
	while (out->len > start && out->ptr[out->len - 1] == '=') out->len--;
	for (size_t i = start; i < out->len; i++) {
		if (out->ptr[i] == '+') out->ptr[i] = '-';
		if (out->ptr[i] == '/') out->ptr[i] = '_';
	}
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z') return c - 'A';
	if (c >= 'a' && c <= 'z') return c - 'a' + 26;
	if (ascii_digit(c)) return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four digits, the last `pads` of which are padding.  Bits that padding cuts off must be zero.  */
static bool decode_group(const char *digits, unsigned pads, struct buf *out)
{
	uint32_t bits = 0;
	for (unsigned i = 0; i < 4; i++) {
		int value = i < 4 - pads ? base64_value(digits[i]) : 0;
		if (value < 0) return false;
		bits = bits << 6 | (uint32_t)value;
	}
	const char octets[] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};
	for (unsigned i = 3 - pads; i < 3; i++)
		if (octets[i]) return false;
	return buf_add(out, str_of(octets, 3 - pads));
}

bool base64_decode(struct str text, struct buf *out)
{
	size_t start = out->len;
	if (text.len % 4) return false;
	for (size_t i = 0; i < text.len; i += 4) {
		const char *group = text.ptr + i;
		unsigned pads = 0;
		if (i + 4 == text.len && group[3] == '=') pads = group[2] == '=' ? 2 : 1;
		if (!decode_group(group, pads, out)) return undo(out, start);
	}
	return buf_ok(out);
}

static bool is_xchar(char c) { return c >= '!' && c <= '~' && c != '+' && c != '='; }

void xtext_add(struct buf *out, struct str octets)
{
	for (size_t i = 0; i < octets.len; i++) {
		char c = octets.ptr[i];
		if (is_xchar(c)) {
			buf_add_c(out, c);
			continue;
		}
		const char escaped[] = {'+', upper_digits[(uint8_t)c >> 4], upper_digits[c & 15]};
		buf_add(out, str_of(escaped, 3));
	}
}

bool xtext_decode(struct str text, struct buf *out)
{
	size_t start = out->len;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (c == '+') {
			if (text.len - i < 3) return undo(out, start);
			int high = hex_value(text.ptr[i + 1]), low = hex_value(text.ptr[i + 2]);
			if (high < 0 || low < 0) return undo(out, start);
			c = (char)(high << 4 | low);
			i += 2;
		} else if (!is_xchar(c)) {
			return undo(out, start);
		}
		if (!buf_add_c(out, c)) return undo(out, start);
	}
	return buf_ok(out);
}
