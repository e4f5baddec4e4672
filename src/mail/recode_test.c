#include "mail/recode.h"

#include "base/rng.h"
#include "base/test.h"

static struct recode recode;

/* Run both passes with the content cut every `piece` octets.  Returns the fault; out has the
 * result.  */
static enum recode_fault pass(struct str content, size_t piece, struct buf *out)
{
	recode_init(&recode);
	for (struct str s = content; s.len; s = str_skip(s, str_head(s, piece).len))
		if (!recode_feed(&recode, str_head(s, piece), NULL)) break;
	recode_end(&recode, NULL);
	if (recode.fault) return recode.fault;
	recode_rewind(&recode);
	for (struct str s = content; s.len; s = str_skip(s, str_head(s, piece).len))
		assert_true(recode_feed(&recode, str_head(s, piece), out));
	assert_true(recode_end(&recode, out));
	assert_int_equal(out->len, recode.size);
	return RECODE_FINE;
}

static void becomes_len(struct str content, const char *wanted, uint32_t needed)
{
	for (size_t piece = 1; piece <= content.len + 1; piece++) {
		struct buf out;
		buf_init(&out, 1 << 20);
		assert_int_equal(pass(content, piece, &out), RECODE_FINE);
		assert_str(buf_str(&out), wanted);
		assert_int_equal(recode.needed, needed);
		buf_release(&out);
	}
}

static void becomes(const char *content, const char *wanted, uint32_t needed)
{
	becomes_len(str_from_c(content), wanted, needed);
}

static void passes(const char *content) { becomes(content, content, 0); }

static void fails_len(struct str content, enum recode_fault wanted)
{
	for (size_t piece = 1; piece <= content.len; piece++) {
		struct buf out;
		buf_init(&out, 1 << 20);
		enum recode_fault got = pass(content, piece, &out);
		if (got != wanted)
			fail_msg("fault %d, wanted %d: " STR_FMT, got, wanted, STR_ARG(content));
		struct outcome o = recode_outcome(&recode);
		assert_true(o.class == OUTCOME_FAILED && o.enhanced.subject == 6 &&
			o.enhanced.detail == 3);
		buf_release(&out);
	}
}

static void fails(const char *content, enum recode_fault wanted)
{
	fails_len(str_from_c(content), wanted);
}

#define MIXED "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n"

static void test_seven_bit_passes(void **state)
{
	(void)state;
	passes("");
	passes("A: b");
	passes("A: b\r\n");
	passes("Content-Type\r\nA: b\r\n\r\nContent-Type\r\n");
	passes("A: b\r\n\r\n");
	passes("A: b\r\n\r\ntext without end");
	passes("A: b\r\nContent-Transfer-Encoding: 8bit\r\n\r\ntext\r\n");
	passes(MIXED
		"Content-Transfer-Encoding: 8bit\r\n\r\npreamble\r\n--b\r\n\r\na\r\n--b\r\nX: y\r\n--b--\r\nepilogue");
	passes("Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\na\r\n--b--\r\n");
	passes("DKIM-Signature: v=1\r\n\r\ntext\r\n");
}

static void test_text(void **state)
{
	(void)state;
	becomes("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding:\r\n 8bit\r\nX: y\r\n"
		"\r\n\xc3\xb6 = \r\n.\r\n",
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nX: y\r\n"
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=B6 =3D=20\r\n.\r\n",
		1);
	/* A field's name without its colon is no field.  */
	becomes("Content-Type\r\nContent-Transfer-Encoding\r\nMIME-Version\r\n\r\n\xf6",
		"Content-Type\r\nContent-Transfer-Encoding\r\nMIME-Version\r\n"
		"Content-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=unknown-8bit\r\n\r\n=F6",
		1);
	/* Labelled 7bit, or not at all, and no MIME: what is there counts.  */
	becomes("A: b\r\n\r\n\xf6\r\n",
		"A: b\r\nContent-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=unknown-8bit\r\n\r\n=F6\r\n",
		1);
	becomes("MIME-Version: 1.0\r\ncontent-type: text/html\r\ncontent-transfer-encoding: 7bit\r\n\r\n\xf6",
		"MIME-Version: 1.0\r\ncontent-type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=F6",
		1);
}

static void test_other_types_become_base64(void **state)
{
	(void)state;
	becomes("MIME-Version: 1.0\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n\xff\r\nab\r\n",
		"MIME-Version: 1.0\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n/w0KYWINCg==\r\n",
		1);
	/* The line end before a boundary is the boundary's.  */
	becomes(MIXED
		"\r\n--b\r\nContent-Type: image/png\r\n\r\n\xff\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\n\xff\r\n--b--\r\n",
		MIXED
		"\r\n--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n/w0K\r\n"
		"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n/w==\r\n--b--\r\n",
		2);
	becomes("MIME-Version: 1.0\r\nContent-Type: message/global\r\n\r\n\xff",
		"MIME-Version: 1.0\r\nContent-Type: message/global\r\nContent-Transfer-Encoding: base64\r\n\r\n/w==\r\n",
		1);
}

static void test_binary(void **state)
{
	(void)state;
	/* A boundary line ends in blanks at most: a bare CR or LF behind it is content.  */
	becomes(MIXED "\r\n--b \t\r\n\r\nx\r\n--b\r\r\n--b\n\r\n--b--\r\n",
		MIXED
		"\r\n--b \t\r\nContent-Transfer-Encoding: quoted-printable\r\n"
		"Content-Type: text/plain; charset=unknown-8bit\r\n\r\nx\r\n--b=0D\r\n--b=0A\r\n--b--\r\n",
		1);
	becomes_len(STR("MIME-Version: 1.0\r\nContent-Type: image/png\r\n\r\na\0\nb\rc\r\n"),
		"MIME-Version: 1.0\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nYQAKYg1jDQo=\r\n",
		1);
	becomes("MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\na\nb\rc\r",
		"MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
		"a=0Ab=0Dc=0D",
		1);
	fails("A: b\nB: c\r\n\r\n", RECODE_HEADER);
	fails_len(STR("A: b\0\r\n\r\n"), RECODE_HEADER);
}

static void test_only_the_parts_that_need_it(void **state)
{
	(void)state;
	becomes(MIXED
		"Content-Transfer-Encoding: 8bit\r\n\r\npreamble\r\n"
		"--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nplain\r\n"
		"--b  \r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xb6\r\n\r\n"
		"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n/w==\r\n--b--\r\nend\r\n",
		MIXED
		"Content-Transfer-Encoding: 7bit\r\n\r\npreamble\r\n"
		"--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nplain\r\n"
		"--b  \r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
		"=C3=B6\r\n\r\n"
		"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n/w==\r\n--b--\r\nend\r\n",
		1);
}

static void test_nesting(void **state)
{
	(void)state;
	/* An outer boundary ends inner parts; "--bb" is no "--b"; a message is entered.  */
	becomes(MIXED
		"\r\n--b\r\nContent-Type: multipart/alternative; boundary=bb\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
		"--bb\r\n\r\n--bbb\r\n\xf6\r\n--bb\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
		"Subject: x\r\n\r\n\xf6\r\n--b\r\n\r\n\xf6\r\n--b--\r\n--b\r\n\r\n",
		MIXED
		"\r\n--b\r\nContent-Type: multipart/alternative; boundary=bb\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
		"--bb\r\nContent-Transfer-Encoding: quoted-printable\r\n"
		"Content-Type: text/plain; charset=unknown-8bit\r\n\r\n--bbb\r\n=F6\r\n"
		"--bb\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
		"Subject: x\r\nContent-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=unknown-8bit\r\n\r\n=F6\r\n"
		"--b\r\nContent-Transfer-Encoding: quoted-printable\r\n"
		"Content-Type: text/plain; charset=unknown-8bit\r\n\r\n=F6\r\n--b--\r\n--b\r\n\r\n",
		3);
	becomes(MIXED "\r\n--b\r\n" MIXED
		      "\r\n--b--\r\n--b\r\nContent-Type: text/plain\r\n\r\n\xf6\r\n--b--\r\n",
		MIXED "\r\n--b\r\n" MIXED "\r\n--b--\r\n--b\r\nContent-Type: text/plain\r\n"
		      "Content-Transfer-Encoding: quoted-printable\r\n\r\n=F6\r\n--b--\r\n",
		1);
	/* In a digest a part is a message unless it says otherwise (RFC 2046 5.1.5).  */
	becomes("MIME-Version: 1.0\r\nContent-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nA: b\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain\r\n\r\n\xf6\r\n--b--\r\n",
		"MIME-Version: 1.0\r\nContent-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nA: b\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=F6\r\n--b--\r\n",
		1);
}

static void test_impossible(void **state)
{
	(void)state;
	fails("Subject: \xf6\r\n\r\n", RECODE_HEADER);
	fails(MIXED "\r\n--b\r\nContent-Disposition: x; filename=\xf6\r\n\r\n\r\n--b--\r\n",
		RECODE_HEADER);
	fails("Content-Type: message/rfc822\r\n\r\nSubject: \xf6\r\n\r\n", RECODE_HEADER);
	fails(MIXED "\r\n\xf6\r\n--b--\r\n", RECODE_OUTSIDE);
	fails(MIXED "\r\n--b--\r\n\xf6", RECODE_OUTSIDE);
	fails(MIXED "\r\n--b--\r\n--b\r\n\r\n\xf6",
		RECODE_OUTSIDE); /* what was closed is not opened again */
	fails(MIXED "\r\n--b\r\n" MIXED "\r\n--b--\r\n\xf6",
		RECODE_OUTSIDE); /* the inner of two alike is closed */
	fails("Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xf6\r\n--b--\r\n",
		RECODE_SIGNED);
	fails("Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
	      "--c\r\n\r\n\xf6\r\n--c--\r\n--b--\r\n",
		RECODE_SIGNED);
	fails("DKIM-Signature: v=1\r\n\r\n\xf6\r\n", RECODE_SIGNED);
	fails("Arc-Message-Signature: i=1\r\n\r\n\xf6\r\n", RECODE_SIGNED);
	fails("Content-Transfer-Encoding: base64\r\n\r\n\xf6\r\n", RECODE_FIXED);
	fails("Content-Transfer-Encoding: quoted-printable\r\n\r\n\xf6\r\n", RECODE_FIXED);
	fails("Content-Transfer-Encoding: x-odd\r\n\r\n\xf6\r\n", RECODE_FIXED);
	fails("Content-Type: message/partial; id=1\r\n\r\n\xf6\r\n", RECODE_FIXED);
	fails("Content-Type: message/delivery-status\r\n\r\n\xf6\r\n", RECODE_FIXED);
	fails("Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\n\xf6\r\n", RECODE_FIXED);
	fails("Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n\xf6\r\n",
		RECODE_FIXED);
}

/* A signature of a message that is attached is none of the message's.  */
static void test_attached_signature(void **state)
{
	(void)state;
	becomes("Content-Type: message/rfc822\r\n\r\nDKIM-Signature: v=1\r\nContent-Type: text/plain\r\nMIME-Version: 1.0\r\n\r\n\xf6",
		"Content-Type: message/rfc822\r\n\r\nDKIM-Signature: v=1\r\nContent-Type: text/plain\r\nMIME-Version: 1.0\r\n"
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n=F6",
		1);
	/* Beside what is signed everything may change.  */
	becomes(MIXED
		"\r\n--b\r\nContent-Type: multipart/signed; boundary=c\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
		"--c\r\nContent-Type: multipart/mixed; boundary=d\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--d--\r\n--c--\r\n"
		"--b\r\nContent-Type: text/plain\r\n\r\n\xf6\r\n--b--\r\n",
		MIXED
		"\r\n--b\r\nContent-Type: multipart/signed; boundary=c\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
		"--c\r\nContent-Type: multipart/mixed; boundary=d\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--d--\r\n--c--\r\n"
		"--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=F6\r\n--b--\r\n",
		1);
}

static void add_repeated(struct buf *b, const char *s, size_t n)
{
	while (n--) buf_add(b, str_from_c(s));
}

static void test_long_lines(void **state)
{
	(void)state;
	static const size_t lengths[] = {
		997, 998, 999, 1022, 1023, 1024, 1025, 2047, 2048, 2049, 5000};
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		struct buf in, wanted, out;
		buf_init(&in, 20000);
		buf_init(&wanted, 20000);
		buf_init(&out, 20000);
		buf_add(&in, STR("Content-Type: text/plain\r\nMIME-Version: 1.0\r\n\r\n"));
		add_repeated(&in, "x", lengths[i]);
		buf_add(&in, STR("\r\n"));
		bool too_long = lengths[i] > 998;
		buf_add(&wanted, STR("Content-Type: text/plain\r\nMIME-Version: 1.0\r\n"));
		if (too_long)
			buf_add(&wanted, STR("Content-Transfer-Encoding: quoted-printable\r\n"));
		buf_add(&wanted, STR("\r\n"));
		for (size_t j = 0; j < lengths[i]; j++) {
			if (too_long && j && j % 75 == 0) buf_add(&wanted, STR("=\r\n"));
			buf_add_c(&wanted, 'x');
		}
		buf_add(&wanted, STR("\r\n"));
		for (size_t piece = 1; piece < 3000; piece += piece < 5 ? 1 : 97) {
			buf_clear(&out);
			assert_int_equal(pass(buf_str(&in), piece, &out), RECODE_FINE);
			assert_true(str_eq(buf_str(&out), buf_str(&wanted)));
			assert_int_equal(recode.needed, too_long);
		}
		buf_release(&in);
		buf_release(&wanted);
		buf_release(&out);
	}
	/* A header line may be long, too, and its field is still known.  */
	struct buf in, out;
	buf_init(&in, 20000);
	buf_init(&out, 20000);
	buf_add(&in, STR("Content-Type: multipart/mixed; boundary=b; x="));
	add_repeated(&in, "x", 3000);
	buf_add(&in, STR("\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n\xf6\r\n--b--\r\n"));
	assert_int_equal(pass(buf_str(&in), 100, &out), RECODE_FINE);
	assert_true(str_contains(buf_str(&out), STR("\r\n\r\n=F6\r\n--b--\r\n")));
	buf_release(&in);
	buf_release(&out);
}

static void test_limits(void **state)
{
	(void)state;
	for (size_t depth = RECODE_LEVELS; depth <= RECODE_LEVELS + 1; depth++) {
		struct buf in, out;
		buf_init(&in, 100000);
		buf_init(&out, 100000);
		for (size_t i = 0; i < depth; i++)
			buf_printf(&in,
				"Content-Type: multipart/mixed; boundary=b%zu\r\n\r\n--b%zu\r\n", i,
				i);
		buf_add(&in, STR("Content-Type: text/plain\r\n\r\n\xf6\r\n"));
		bool too_deep = depth > RECODE_LEVELS;
		assert_int_equal(
			pass(buf_str(&in), 1000, &out), too_deep ? RECODE_DEEP : RECODE_FINE);
		buf_release(&in);
		buf_release(&out);
	}
	for (size_t parts = RECODE_ENTITIES - 1; parts <= RECODE_ENTITIES; parts++) {
		struct buf in, out;
		buf_init(&in, 1 << 20);
		buf_init(&out, 1 << 20);
		buf_add(&in, STR(MIXED "\r\n"));
		add_repeated(&in, "--b\r\nContent-Type: text/plain\r\n\r\n\xf6\r\n", parts);
		assert_int_equal(pass(buf_str(&in), 1000, &out),
			parts < RECODE_ENTITIES ? RECODE_FINE : RECODE_DEEP);
		if (parts < RECODE_ENTITIES) assert_int_equal(recode.needed, parts);
		buf_release(&in);
		buf_release(&out);
	}
}

static const struct str pieces[] = {STR("\r\n"), STR("\r\n"), STR("\r\n\r\n"), STR("--a"),
	STR("--b"), STR("--a\r\n"), STR("--b\r\n"), STR("--"), STR("\xf6"), STR("\xc3\xb6 text "),
	STR("Content-Type: multipart/mixed; boundary=a\r\n"),
	STR("Content-Type: multipart/digest; boundary=\"b\"\r\n"),
	STR("Content-Type: text/plain\r\n"), STR("Content-Type: image/gif\r\n"),
	STR("Content-Type: message/rfc822\r\n\r\n"), STR("MIME-Version: 1.0\r\n"),
	STR("Content-Transfer-Encoding: 8bit\r\n"), STR("Content-Transfer-Encoding: binary\r\n"),
	STR(" "), STR("x: y\r\n"), STR("\n"), STR("\r"), STR("some words"),
	STR("Content-Type: application/x; a=\"b")};

static void add_random_message(struct rng *rng, struct buf *in)
{
	for (uint64_t n = rng_below(rng, 25); n; n--) {
		struct str piece = pieces[rng_below(rng, ARRAY_LEN(pieces))];
		/* What nothing can be done about is rarer, so that most get through.  */
		if (piece.ptr[0] == '\xf6' && rng_below(rng, 3)) continue;
		buf_add(in, piece);
	}
}

/* The result is 7-bit with lines of lawful length, and re-coding it again changes nothing.  */
static void result_is_sound(struct str out)
{
	struct buf again;
	buf_init(&again, 1 << 16);
	for (size_t i = 0; i < out.len; i++) assert_true((uint8_t)out.ptr[i] < 0x80 && out.ptr[i]);
	assert_int_equal(pass(out, 100, &again), RECODE_FINE);
	assert_int_equal(recode.needed, 0);
	assert_true(str_eq(buf_str(&again), out));
	buf_release(&again);
}

/* Heaps of pieces that mean something; the result does not depend on how they are cut.  */
static void test_random_messages(void **state)
{
	(void)state;
	struct rng rng;
	rng_init(&rng, 42);
	int fine = 0, needed = 0;
	for (int round = 0; round < 60000; round++) {
		struct buf in, out, other;
		buf_init(&in, 1 << 16);
		buf_init(&out, 1 << 16);
		buf_init(&other, 1 << 16);
		add_random_message(&rng, &in);
		enum recode_fault first = pass(buf_str(&in), 1 + rng_below(&rng, 40), &out);
		uint32_t count = recode.needed;
		assert_int_equal(first, pass(buf_str(&in), 4096, &other));
		assert_true(str_eq(buf_str(&out), buf_str(&other)));
		if (first == RECODE_FINE) {
			fine++;
			needed += count > 0;
			if (count == 0) assert_true(str_eq(buf_str(&in), buf_str(&out)));
			result_is_sound(buf_str(&out));
		}
		buf_release(&in);
		buf_release(&out);
		buf_release(&other);
	}
	assert_true(fine > 5000 && needed > 1000);
}

static void test_no_room(void **state)
{
	(void)state;
	struct str content = STR("Content-Type: text/plain\r\n\r\n\xf6\xf6\xf6\r\n");
	struct buf out;
	buf_init(&out, 90);
	recode_init(&recode);
	assert_true(recode_feed(&recode, content, NULL) && recode_end(&recode, NULL));
	recode_rewind(&recode);
	assert_false(recode_feed(&recode, content, &out));
	assert_false(recode_end(&recode, &out));
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seven_bit_passes),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_other_types_become_base64),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_only_the_parts_that_need_it),
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_impossible),
		cmocka_unit_test(test_attached_signature),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_random_messages),
		cmocka_unit_test(test_no_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
