#include "base/str.h"

#include <endian.h>

/* Eight octets at once: the ASCII capitals among them become small letters.  */
static inline uint64_t lower8(uint64_t x)
{
	const uint64_t each = 0x0101010101010101;
	uint64_t seven = x & each * 0x7f;
	uint64_t from_a = seven + each * (0x80 - 'A');
	uint64_t past_z = seven + each * (0x7f - 'Z');
	uint64_t capital = ~x & (from_a ^ past_z) & each * 0x80;
	return x | capital >> 2;
}

static inline uint64_t load(const char *p, size_t n)
{
	uint64_t x = 0;
	memcpy(&x, p, n);
	return le64toh(x);
}

bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool str_ieq(struct str a, struct str b)
{
	if (a.len != b.len) return false;
	size_t i = 0;
	for (; a.len - i >= 8; i += 8)
		if (lower8(load(a.ptr + i, 8)) != lower8(load(b.ptr + i, 8))) return false;
	for (; i < a.len; i++)
		if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i])) return false;
	return true;
}

int str_icmp(struct str a, struct str b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	for (size_t i = 0; i < common; i++) {
		unsigned char x = (unsigned char)ascii_lower(a.ptr[i]);
		unsigned char y = (unsigned char)ascii_lower(b.ptr[i]);
		if (x != y) return x < y ? -1 : 1;
	}
	return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

bool str_starts(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_eq(str_head(s, prefix.len), prefix);
}

bool str_istarts(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_ieq(str_head(s, prefix.len), prefix);
}

bool str_iends(struct str s, struct str suffix)
{
	return s.len >= suffix.len && str_ieq(str_skip(s, s.len - suffix.len), suffix);
}

size_t str_find(struct str s, char c)
{
	const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;
	return at ? (size_t)(at - s.ptr) : s.len;
}

size_t str_rfind(struct str s, char c)
{
	const char *at = s.len ? memrchr(s.ptr, c, s.len) : NULL;
	return at ? (size_t)(at - s.ptr) : s.len;
}

bool str_contains(struct str s, struct str needle)
{
	if (needle.len == 0) return true;
	return s.len >= needle.len && memmem(s.ptr, s.len, needle.ptr, needle.len) != NULL;
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

struct str str_trim(struct str s)
{
	while (s.len && is_space(s.ptr[0])) s = str_skip(s, 1);
	while (s.len && is_space(s.ptr[s.len - 1])) s.len--;
	return s;
}

bool str_cut(struct str *s, char separator, struct str *ret_head)
{
	size_t at = str_find(*s, separator);
	bool found = at < s->len;
	struct str head = str_head(*s, at);
	*s = str_skip(*s, found ? at + 1 : at);
	*ret_head = head;
	return found;
}

bool str_to_u64(struct str s, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	if (s.len == 0) return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!ascii_digit(s.ptr[i])) return false;
		uint64_t digit = (uint64_t)(s.ptr[i] - '0');
		if (digit > max || value > (max - digit) / 10) return false;
		value = value * 10 + digit;
	}
	*ret_value = value;
	return true;
}

/* Both halves of the product of two words, folded: every bit of the result hangs on all bits of a and b.  */
static inline uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline __attribute__((always_inline)) uint64_t hash(struct str s, uint64_t seed, bool fold)
{
	/* Odd words with about half of their bits set, from the square roots of 2, 3 and 5.  */
	const uint64_t k0 = 0x6a09e667f3bcc909, k1 = 0xbb67ae8584caa73b, k2 = 0x3c6ef372fe94f82b;
	uint64_t h = mix(seed ^ k0, k1 ^ s.len);
	size_t i = 0;
	for (; s.len - i >= 8; i += 8) {
		uint64_t word = load(s.ptr + i, 8);
		h = mix(h ^ k1, (fold ? lower8(word) : word) ^ k2) ^ h;
	}
	if (i < s.len) {
		uint64_t word = load(s.ptr + i, s.len - i);
		h = mix(h ^ k2, (fold ? lower8(word) : word) ^ k0) ^ h;
	}
	return mix(h ^ k0, k2);
}

uint64_t str_hash(struct str s, uint64_t seed) { return hash(s, seed, false); }
uint64_t str_ihash(struct str s, uint64_t seed) { return hash(s, seed, true); }
