#include "mail/encode.h"

#include "base/code.h"
#include "base/rng.h"
#include "base/test.h"

/* Decoders of the test's own, as RFC 2045 tells a reader to be.  */
static void qp_decode(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] != '=') {
			buf_add_c(out, s.ptr[i]);
		} else if (s.ptr[i + 1] == '\r') {
			assert_true(s.ptr[i + 2] == '\n');
			i += 2;
		} else {
			assert_true(hex_decode(str_of(s.ptr + i + 1, 2), out));
			i += 2;
		}
	}
}

static void base64_lines_decode(struct str s, struct buf *out)
{
	struct buf joined;
	buf_init(&joined, 1 << 20);
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] != '\r' && s.ptr[i] != '\n') buf_add_c(&joined, s.ptr[i]);
	assert_true(base64_decode(buf_str(&joined), out));
	buf_release(&joined);
}

/* Octets before the first CRLF.  */
static size_t run_of(struct str s)
{
	for (size_t i = 0; i + 1 < s.len; i++)
		if (s.ptr[i] == '\r' && s.ptr[i + 1] == '\n') return i;
	return s.len;
}

static void encode(enum encoding encoding, struct str text, size_t piece, struct buf *out)
{
	struct encoder e, counting;
	encoder_init(&e, encoding);
	encoder_init(&counting, encoding);
	while (text.len) {
		struct str part = str_head(str_head(text, run_of(text)), piece);
		encoder_add(&e, part, out);
		encoder_add(&counting, part, NULL);
		text = str_skip(text, part.len);
		if (part.len) continue;
		encoder_line_end(&e, out);
		encoder_line_end(&counting, NULL);
		text = str_skip(text, 2);
	}
	encoder_end(&e, out);
	encoder_end(&counting, NULL);
	assert_int_equal(e.size, out->len);
	assert_int_equal(counting.size, out->len);
}

static void lines_are_short(struct str s)
{
	struct str line;
	while (s.len) {
		str_cut(&s, '\n', &line);
		while (line.len && line.ptr[line.len - 1] == '\r') line.len--;
		assert_true(line.len <= 76);
		assert_false(line.len &&
			(line.ptr[line.len - 1] == ' ' || line.ptr[line.len - 1] == '\t'));
		for (size_t i = 0; i < line.len; i++)
			assert_true(
				(line.ptr[i] >= ' ' && line.ptr[i] < 0x7f) || line.ptr[i] == '\t');
	}
}

static void qp_is(const char *text, size_t len, const char *wanted)
{
	struct buf out;
	buf_init(&out, 10000);
	encode(ENCODING_QP, str_of(text, len), 1000, &out);
	assert_str(buf_str(&out), wanted);
	buf_release(&out);
}
#define QP_IS(text, wanted) qp_is(text, sizeof(text) - 1, wanted)

static void test_quoted_printable(void **state)
{
	(void)state;
	QP_IS("", "");
	QP_IS("plain text.\r\n", "plain text.\r\n");
	QP_IS("a=b \t\r\n \r\nend ", "a=3Db =09\r\n=20\r\nend=20");
	QP_IS("\xc3\xb6\0\x7f~!\r\n", "=C3=B6=00=7F~!\r\n");
	QP_IS("lone\rcr\nlf\r\n", "lone=0Dcr=0Alf\r\n");
	/* 75 octets fit, and a soft break makes 76; a triplet is not parted.  */
	QP_IS("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=\r\na");
	QP_IS("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xc3",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=\r\n=C3");
}

static void test_base64(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 10000);
	encode(ENCODING_BASE64, STR(""), 10, &out);
	assert_str(buf_str(&out), "");
	encode(ENCODING_BASE64, STR("a\r\n"), 10, &out);
	assert_str(buf_str(&out), "YQ0K");
	buf_clear(&out);
	char octets[58] = {0};
	encode(ENCODING_BASE64, str_of(octets, 57), 10, &out);
	assert_int_equal(out.len, 76);
	buf_clear(&out);
	encode(ENCODING_BASE64, str_of(octets, 58), 10, &out);
	assert_int_equal(out.len, 82);
	assert_str(str_skip(buf_str(&out), 76), "\r\nAA==");
	buf_release(&out);
}

static void test_decodes_to_what_it_was(void **state)
{
	(void)state;
	struct rng rng;
	rng_init(&rng, 7);
	static const char octets[] = "aaaaaa bb\t\r\n\r\n=.\0\x80\xff\r\n";
	for (int round = 0; round < 4000; round++) {
		char text[600];
		struct str s = str_of(text, rng_below(&rng, sizeof(text)));
		for (size_t i = 0; i < s.len; i++)
			text[i] = octets[rng_below(&rng, sizeof(octets) - 1)];
		struct buf coded, decoded, other;
		buf_init(&coded, 10000);
		buf_init(&decoded, 10000);
		buf_init(&other, 10000);
		enum encoding encoding = round % 2 ? ENCODING_QP : ENCODING_BASE64;
		encode(encoding, s, 1 + rng_below(&rng, 80), &coded);
		encode(encoding, s, 1, &other);
		assert_true(str_eq(buf_str(&coded), buf_str(&other)));
		lines_are_short(buf_str(&coded));
		if (encoding == ENCODING_QP)
			qp_decode(buf_str(&coded), &decoded);
		else
			base64_lines_decode(buf_str(&coded), &decoded);
		assert_true(str_eq(buf_str(&decoded), s));
		buf_release(&coded);
		buf_release(&decoded);
		buf_release(&other);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quoted_printable),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_decodes_to_what_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
