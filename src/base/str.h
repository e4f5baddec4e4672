/* Borrowed text: a pointer and a length, passed by value, never NUL-terminated by promise.  */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *ptr;
	size_t len;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_NONE ((struct str){NULL, 0})
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).len, (s).ptr

static inline struct str str_of(const void *ptr, size_t len) { return (struct str){ptr, len}; }
static inline struct str str_from_c(const char *c) { return c ? str_of(c, strlen(c)) : STR_NONE; }

/* s without its first n octets; n at most s.len.  */
static inline struct str str_skip(struct str s, size_t n)
{
	ASSERT(n <= s.len);
	return (struct str){s.len ? s.ptr + n : s.ptr, s.len - n};
}

/* The first n octets of s; all of it when it is shorter.  */
static inline struct str str_head(struct str s, size_t n)
{
	return (struct str){s.ptr, s.len < n ? s.len : n};
}

/* Equality octet by octet; then equality, and order, without regard to the case of ASCII letters.  */
bool str_eq(struct str a, struct str b);
bool str_ieq(struct str a, struct str b);
int str_icmp(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_istarts(struct str s, struct str prefix);
bool str_iends(struct str s, struct str suffix);

/* Index of the first / last c in s; s.len when there is none.  */
size_t str_find(struct str s, char c);
size_t str_rfind(struct str s, char c);
bool str_contains(struct str s, struct str needle);

/* s without spaces, tabs, CR and LF at both ends.  */
struct str str_trim(struct str s);

/* Split at the first separator: *ret_head gets what is before it (all of s when there is none), *s
 * what is behind it.  Returns false when there was no separator (and *s becomes empty).  */
bool str_cut(struct str *s, char separator, struct str *ret_head);

/* Whole of s as an unsigned decimal number of at most max.  False on anything else, also on "".  */
bool str_to_u64(struct str s, uint64_t max, uint64_t *ret_value);

static inline char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }
static inline bool ascii_digit(char c) { return c >= '0' && c <= '9'; }
static inline bool ascii_alpha(char c) { return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z'; }
static inline bool ascii_alnum(char c) { return ascii_alpha(c) || ascii_digit(c); }

/* A 64-bit hash; the second is blind to the case of ASCII letters.  Not for keyed security: seed it
 * (rng) where an attacker chooses the keys.  */
uint64_t str_hash(struct str s, uint64_t seed);
uint64_t str_ihash(struct str s, uint64_t seed);

#endif
