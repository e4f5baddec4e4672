/* Replies of a peer: the same however the octets are cut, and bounded; and ours, which the reader
 * understands.  */
#include "fuzz/fuzz.h"

#include "base/utf8.h"
#include "smtp/reply.h"

/* What was read, as text: a line for each reply.  */
static void read_all(struct str in, size_t step, struct buf *said)
{
	struct smtp_reply_reader r;
	smtp_reply_reader_init(&r);
	enum smtp_read read = SMTP_READ_MORE;
	while (in.len && read != SMTP_READ_BAD) {
		struct str piece = fuzz_own(str_head(in, step ? step : in.len));
		size_t used;
		read = smtp_reply_feed(&r, piece, &used);
		ASSERT(used <= piece.len && (used == piece.len || read != SMTP_READ_MORE));
		fuzz_forget(piece);
		in = str_skip(in, used);
		if (read == SMTP_READ_MORE) continue;
		buf_printf(said, "%d %u %u.%u.%u ", (int)read, r.code, r.enhanced.class,
			r.enhanced.subject, r.enhanced.detail);
		buf_add(said, buf_str(&r.text));
		buf_add_c(said, '\n');
		if (read != SMTP_READ_DONE) continue;
		ASSERT(r.code >= 200 && r.code <= 599 && r.text.len <= SMTP_REPLY_TEXT_MAX);
		ASSERT(r.enhanced.class == 0 || r.enhanced.class == r.code / 100);
		ASSERT(r.lines >= 1 && r.lines <= SMTP_REPLY_LINES_MAX);
	}
	smtp_reply_reader_release(&r);
}

static void check_cuts(struct str in)
{
	struct buf whole, cut;
	buf_init(&whole, 1 << 22);
	buf_init(&cut, 1 << 22);
	read_all(in, 0, &whole);
	for (size_t step = 1; step < 20; step += 6) {
		buf_clear(&cut);
		read_all(in, step, &cut);
		ASSERT(str_eq(buf_str(&cut), buf_str(&whole)));
	}
	buf_release(&whole);
	buf_release(&cut);
}

/* What we say is one reply, in lines that are not too long, and with the same code.  */
static void check_ours(struct str in)
{
	struct smtp_reply reply = {.code = (uint16_t)(200 + fuzz_below(&in, 400))};
	if (fuzz_bool(&in))
		reply.enhanced = (struct enhanced){(uint8_t)(reply.code / 100),
			(uint16_t)fuzz_below(&in, 1000), (uint16_t)fuzz_below(&in, 1000)};
	if (reply.enhanced.class == 3) reply.enhanced.class = 0;
	reply.text = in;
	struct buf out;
	struct smtp_reply_reader r;
	buf_init(&out, 1 << 22);
	smtp_reply_reader_init(&r);
	ASSERT(smtp_reply_add(&out, &reply));
	unsigned lines = 0;
	for (struct str rest = buf_str(&out), line; rest.len; lines++) {
		ASSERT(str_cut(&rest, '\n', &line) && line.len <= 511 && line.len >= 5);
		ASSERT(line.ptr[line.len - 1] == '\r' && line.ptr[3] == (rest.len ? '-' : ' '));
		for (size_t i = 0; i + 1 < line.len; i++)
			ASSERT((unsigned char)line.ptr[i] >= ' ' && line.ptr[i] != 0x7f);
		if (utf8_valid(in)) ASSERT(utf8_valid(line));
	}
	size_t used;
	enum smtp_read read = smtp_reply_feed(&r, buf_str(&out), &used);
	ASSERT(lines > SMTP_REPLY_LINES_MAX ? read == SMTP_READ_BAD : read == SMTP_READ_DONE);
	if (read == SMTP_READ_DONE) ASSERT(used == out.len && r.code == reply.code);
	if (read == SMTP_READ_DONE && reply.enhanced.class)
		ASSERT(r.enhanced.class == reply.enhanced.class &&
			r.enhanced.subject == reply.enhanced.subject &&
			r.enhanced.detail == reply.enhanced.detail);
	smtp_reply_reader_release(&r);
	buf_release(&out);
}

void fuzz_one(struct str in)
{
	check_cuts(in);
	check_ours(in);
}
