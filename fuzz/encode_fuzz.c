/* Quoted-printable and base64: what is encoded, in any cut, decodes to itself by a decoder that was
 * written from the RFC and not from the encoder; lines are short and plain.  */
#include "fuzz/fuzz.h"

#include "base/code.h"
#include "mail/encode.h"

static void encode(
	enum encoding how, struct str in, size_t step, struct buf *out, uint64_t *ret_size)
{
	struct encoder e;
	encoder_init(&e, how);
	while (in.len) {
		bool end = in.ptr[0] == '\n';
		size_t line = str_find(in, '\n');
		struct str part = fuzz_own(str_head(in, step && step < line ? step : line));
		if (end)
			encoder_line_end(&e, out);
		else
			encoder_add(&e, part, out);
		in = str_skip(in, end ? 1 : part.len);
		fuzz_forget(part);
	}
	encoder_end(&e, out);
	*ret_size = e.size;
}

static void decode_qp(struct str in, struct buf *out)
{
	while (in.len) {
		if (str_starts(in, STR("=\r\n"))) {
			in = str_skip(in, 3);
		} else if (in.ptr[0] == '=') {
			ASSERT(in.len >= 3 && hex_decode(str_of(in.ptr + 1, 2), out));
			in = str_skip(in, 3);
		} else if (str_starts(in, STR("\r\n"))) {
			buf_add_c(out, '\n');
			in = str_skip(in, 2);
		} else {
			ASSERT(in.ptr[0] == '\t' || fuzz_is_printable(str_head(in, 1)));
			buf_add_c(out, in.ptr[0]);
			in = str_skip(in, 1);
		}
	}
}

static void decode_base64(struct str in, struct buf *out)
{
	struct buf joined;
	buf_init(&joined, in.len + 1);
	for (struct str line; in.len;) {
		(void)str_cut(&in, '\n', &line);
		buf_add(&joined, str_trim(line));
	}
	ASSERT(base64_decode(buf_str(&joined), out));
	buf_release(&joined);
}

static void check(enum encoding how, struct str in)
{
	struct buf out, cut, back, wanted;
	uint64_t size, counted;
	struct buf *all[] = {&out, &cut, &back, &wanted};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) buf_init(all[i], 5 * in.len + 100);
	encode(how, in, 0, &out, &size);
	encode(how, in, 0, NULL, &counted);
	encode(how, in, 3, &cut, &size);
	ASSERT(size == counted && size == out.len && str_eq(buf_str(&out), buf_str(&cut)));
	for (struct str rest = buf_str(&out), line; rest.len;) {
		bool more = str_cut(&rest, '\n', &line);
		size_t len = line.len - more;
		ASSERT(len <= 76 &&
			(!len || (line.ptr[len - 1] != ' ' && line.ptr[len - 1] != '\t')));
	}
	for (size_t i = 0; i < in.len; i++) {
		if (in.ptr[i] == '\n' && how == ENCODING_BASE64) buf_add_c(&wanted, '\r');
		buf_add_c(&wanted, in.ptr[i]);
	}
	if (how == ENCODING_QP)
		decode_qp(buf_str(&out), &back);
	else
		decode_base64(buf_str(&out), &back);
	ASSERT(str_eq(buf_str(&back), buf_str(&wanted)));
	for (size_t i = 0; i < ARRAY_LEN(all); i++) buf_release(all[i]);
}

/* In the input a line feed stands for a line end; all else, CR too, is content.  */
void fuzz_one(struct str in)
{
	check(ENCODING_QP, in);
	check(ENCODING_BASE64, in);
}
