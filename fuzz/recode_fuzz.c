/* Conversion to 7 bits, twice over any message: the size that was foretold, nothing but 7-bit lines
 * of bounded length, the same in any cut; and what was converted needs no more of it.  */
#include "fuzz/fuzz.h"

#include "mail/recode.h"

static bool pass(struct recode *r, struct str in, size_t step, struct buf *out)
{
	while (in.len) {
		struct str piece = fuzz_own(str_head(in, step ? step : in.len));
		bool good = recode_feed(r, piece, out);
		in = str_skip(in, piece.len);
		fuzz_forget(piece);
		if (!good) return false;
	}
	return recode_end(r, out);
}

static void check_result(const struct recode *r, struct str out)
{
	ASSERT(out.len == r->size);
	for (size_t i = 0; i < out.len; i++) {
		uint8_t c = (uint8_t)out.ptr[i];
		ASSERT(c != 0 && c < 0x80);
		if (c == '\r') ASSERT(i + 1 < out.len && out.ptr[i + 1] == '\n');
		if (c == '\n') ASSERT(i > 0 && out.ptr[i - 1] == '\r');
	}
}

void fuzz_one(struct str in)
{
	static struct recode r, cut; /* too large for comfort on the stack */
	struct buf out, again;
	buf_init(&out, 64 * in.len + (1 << 20));
	buf_init(&again, 64 * in.len + (1 << 20));
	recode_init(&r);
	recode_init(&cut);
	bool good = pass(&r, in, 0, NULL);
	ASSERT(good == (r.fault == RECODE_FINE));
	ASSERT(pass(&cut, in, 7, NULL) == good && cut.fault == r.fault);
	if (!good) {
		ASSERT(recode_outcome(&r).class == OUTCOME_FAILED);
	} else {
		ASSERT(cut.needed == r.needed && cut.size == r.size);
		uint32_t needed = r.needed;
		if (!needed) ASSERT(r.size == in.len);
		recode_rewind(&r);
		recode_rewind(&cut);
		ASSERT(pass(&r, in, 0, &out) && pass(&cut, in, 5, &again));
		ASSERT(str_eq(buf_str(&out), buf_str(&again)));
		if (!needed) ASSERT(str_eq(buf_str(&out), in));
		check_result(&r, buf_str(&out));
		recode_init(&cut);
		ASSERT(pass(&cut, buf_str(&out), 0, NULL) && cut.needed == 0);
	}
	buf_release(&out);
	buf_release(&again);
}
