/* The content codecs, DATA against BDAT: the same content says the same through both, in any cut; what
 * is stuffed is decoded to itself; nothing but CRLF.CRLF ends.  */
#include "fuzz/fuzz.h"

#include "smtp/body.h"

struct decoded {
	struct buf content;
	size_t used;
	bool ended, eight_bit;
	enum body_fault fault;
};

static void decode(
	struct str in, struct str end_word, unsigned how, size_t step, struct decoded *ret)
{
	struct body_decoder d;
	struct str run;
	*ret = (struct decoded){0};
	buf_init(&ret->content, 2 * in.len + 512);
	body_decoder_init(&d, how & 1, end_word);
	d.raw = how & 2;
	while (in.len && !d.ended) {
		struct str piece = fuzz_own(str_head(in, step ? step : in.len)), rest = piece;
		while (rest.len && !d.ended) {
			size_t used = body_decode(&d, rest, &run);
			ASSERT(used <= rest.len && (used > 0 || run.len > 0));
			ASSERT(d.fault == BODY_FINE || run.len == 0);
			buf_add(&ret->content, run);
			rest = str_skip(rest, used);
		}
		ret->used += piece.len - rest.len;
		in = str_skip(in, piece.len);
		fuzz_forget(piece);
	}
	if (d.raw) {
		body_finish(&d, &run);
		buf_add(&ret->content, run);
	}
	ASSERT(buf_ok(&ret->content) && d.size == ret->content.len);
	ASSERT(!(d.raw && d.ended));
	ret->ended = d.ended;
	ret->fault = d.fault;
	ret->eight_bit = d.eight_bit;
}

static void check_lines(struct str content)
{
	for (size_t i = 0; i < content.len; i++) {
		char c = content.ptr[i];
		ASSERT(c != 0);
		if (c == '\r') ASSERT(i + 1 < content.len && content.ptr[i + 1] == '\n');
		if (c == '\n') ASSERT(i > 0 && content.ptr[i - 1] == '\r');
	}
}

static void check_cuts(struct str in, struct str word, unsigned how)
{
	struct decoded whole, cut;
	decode(in, word, how, 0, &whole);
	bool fine = whole.fault == BODY_FINE && (whole.ended || how & 2);
	if (fine) check_lines(buf_str(&whole.content));
	if (how & 1) ASSERT(whole.fault == BODY_FINE || whole.fault == BODY_NUL);
	if (whole.ended && !word.len)
		ASSERT(whole.used >= 3 && memcmp(in.ptr + whole.used - 3, ".\r\n", 3) == 0);
	for (size_t step = 1; step <= 17; step += 4) {
		decode(in, word, how, step, &cut);
		ASSERT(cut.ended == whole.ended && cut.used == whole.used);
		ASSERT(cut.fault == whole.fault);
		/* Runs before a fault may be cut differently; a refused content is of no use.  */
		if (fine) ASSERT(str_eq(buf_str(&cut.content), buf_str(&whole.content)));
		if (fine) ASSERT(cut.eight_bit == whole.eight_bit);
		buf_release(&cut.content);
	}
	buf_release(&whole.content);
}

/* Content by BDAT and the same by DATA: stuffed, with its end behind it.  */
static void check_same_by_both(struct str content, unsigned how)
{
	struct decoded raw, dots;
	struct buf wire;
	bool line_start = true;
	buf_init(&wire, 2 * content.len + 16);
	decode(content, STR_NONE, how | 2, 0, &raw);
	struct str first = str_head(content, content.len / 2);
	ASSERT(body_stuff(&wire, first, &line_start));
	ASSERT(body_stuff(&wire, str_skip(content, first.len), &line_start));
	bool whole_lines = content.len == 0 ||
		(content.len > 1 && memcmp(content.ptr + content.len - 2, "\r\n", 2) == 0);
	if (!whole_lines) buf_add(&wire, STR("\r\n"));
	buf_add(&wire, STR(".\r\n"));
	decode(buf_str(&wire), STR_NONE, how & 1u, 0, &dots);
	if (raw.fault == BODY_FINE && !(how & 1)) {
		ASSERT(dots.ended && dots.fault == BODY_FINE && dots.used == wire.len);
		struct str got = buf_str(&dots.content), sent = buf_str(&raw.content);
		ASSERT(got.len == sent.len + (whole_lines ? 0 : 2));
		ASSERT(str_starts(got, sent) && raw.eight_bit == dots.eight_bit);
	}
	buf_release(&wire);
	buf_release(&raw.content);
	buf_release(&dots.content);
}

void fuzz_one(struct str in)
{
	struct str all = in;
	uint8_t head = fuzz_octet(&in);
	struct str word = head & 4 ? fuzz_take(&in, (head >> 3) & 7) : STR_NONE;
	if (!fuzz_is_printable(word)) word = STR_NONE; /* it stands in the configuration */
	for (unsigned how = 0; how < 4; how++) check_cuts(in, word, how);
	check_same_by_both(all, 0);
	check_same_by_both(all, 1);
}
