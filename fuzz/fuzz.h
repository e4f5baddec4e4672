/* What the fuzz targets share.  A target is x_fuzz.c: fuzz_one, which looks at one input and asserts
 * what must be true of any.  It is linked twice: with libfuzzer.c, which invents inputs (./dev fuzz),
 * and with replay.c, which gives it those of fuzz/corpus (./dev test).
 *
 * A target may read its input as it is, or as a script: decisions are taken from the front, and an
 * input that has run out decides 0 forever.  */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "base/buf.h"

#include <stdlib.h>

/* in: on a piece of memory of its own, so that reading behind it is found.  */
void fuzz_one(struct str in);

static inline uint8_t fuzz_octet(struct str *in)
{
	uint8_t octet = 0;
	(void)take_u8(in, &octet);
	return octet;
}

static inline bool fuzz_bool(struct str *in) { return fuzz_octet(in) & 1; }

/* In 0..n-1; n at most 65536.  */
static inline uint32_t fuzz_below(struct str *in, uint32_t n)
{
	uint32_t value = fuzz_octet(in);
	if (n > 256) value |= (uint32_t)fuzz_octet(in) << 8;
	return value % n;
}

static inline uint64_t fuzz_u64(struct str *in)
{
	uint64_t value = 0;
	for (int i = 0; i < 8; i++) value = value << 8 | fuzz_octet(in);
	return value;
}

/* So many octets, or what is left; borrowed from the input.  */
static inline struct str fuzz_take(struct str *in, size_t len)
{
	struct str piece = str_head(*in, len);
	*in = str_skip(*in, piece.len);
	return piece;
}

/* A text of at most 255 octets, led by its length.  */
static inline struct str fuzz_text(struct str *in) { return fuzz_take(in, fuzz_octet(in)); }

/* s on a piece of memory of its own, exactly as long; given back with fuzz_forget.  */
static inline struct str fuzz_own(struct str s)
{
	char *copy = malloc(s.len ? s.len : 1);
	ASSERT(copy);
	if (s.len) memcpy(copy, s.ptr, s.len);
	return str_of(copy, s.len);
}
static inline void fuzz_forget(struct str own) { free((char *)own.ptr); }

/* Whether part lies within whole, as what a parser borrows must.  */
static inline bool fuzz_within(struct str part, struct str whole)
{
	if (part.len == 0) return true;
	return part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len;
}

/* No octet but printable ASCII.  */
static inline bool fuzz_is_printable(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < ' ' || s.ptr[i] > '~') return false;
	return true;
}

#endif
