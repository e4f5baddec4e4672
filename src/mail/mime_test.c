#include "mail/mime.h"

#include "base/test.h"

static void type_is(const char *value, enum mime_kind kind, const char *boundary)
{
	struct mime_type t;
	mime_parse_type(str_from_c(value), &t);
	if (t.kind != kind) fail_msg("%s: kind %d, wanted %d", value, t.kind, kind);
	assert_str(str_of(t.boundary, t.boundary_len), boundary);
}

static void test_types(void **state)
{
	(void)state;
	type_is("", MIME_TEXT, "");
	type_is(";", MIME_TEXT, "");
	type_is("text/plain", MIME_TEXT, "");
	type_is("TEXT/HTML; charset=utf-8", MIME_TEXT, "");
	type_is("image/png; name=\"a;boundary=b\"", MIME_DATA, "");
	type_is("textual", MIME_DATA, "");
	type_is("message/rfc822", MIME_MESSAGE, "");
	type_is("message/rfc8222", MIME_MESSAGE_OTHER, "");
	type_is("Message/Global-Headers", MIME_MESSAGE_GLOBAL, "");
	type_is("message/partial; id=x", MIME_MESSAGE_OTHER, "");
}

static void test_boundaries(void **state)
{
	(void)state;
	type_is("multipart/mixed; boundary=abc", MIME_MULTIPART, "abc");
	type_is("multipart/mixed;boundary = \"a b\\\"c: \"; x=y", MIME_MULTIPART, "a b\"c:");
	type_is("multipart/mixed (c; boundary=no (nested\\))) ; (d) BOUNDARY(e)=(f)abc(g)",
		MIME_MULTIPART, "abc");
	type_is("multipart/mixed (\\() ; boundary=abc", MIME_MULTIPART, "abc");
	type_is("multipart/mixed; a=b; boundary=----=_Part_1; boundary=second", MIME_MULTIPART,
		"----=_Part_1");
	type_is("multipart/mixed; a=\"; boundary=no\"", MIME_MULTIPART, "");
	type_is("multipart/mixed; boundary", MIME_MULTIPART, "");
	type_is("multipart/mixed; boundary=", MIME_MULTIPART, "");
	type_is("multipart/mixed; boundary=\"abc", MIME_MULTIPART, "abc");
	type_is("multipart/mixed; boundary=\"abc\\", MIME_MULTIPART, "abc\\");
	type_is("multipart/mixed; (unended boundary=abc", MIME_MULTIPART, "");
	char value[300] = "multipart/mixed; boundary=";
	size_t at = strlen(value);
	memset(value + at, 'x', MIME_BOUNDARY_MAX);
	struct mime_type t;
	mime_parse_type(str_from_c(value), &t);
	assert_int_equal(t.boundary_len, MIME_BOUNDARY_MAX);
	value[at + MIME_BOUNDARY_MAX] = 'x';
	mime_parse_type(str_from_c(value), &t);
	assert_int_equal(t.boundary_len, 0);
	mime_parse_type(STR("multipart/signed; boundary=a"), &t);
	assert_true(t.is_signed && !t.digest);
	mime_parse_type(STR("Multipart/Digest; boundary=a"), &t);
	assert_true(!t.is_signed && t.digest);
}

static void test_encodings(void **state)
{
	(void)state;
	assert_int_equal(mime_parse_encoding(STR("")), MIME_7BIT);
	assert_int_equal(mime_parse_encoding(STR("7Bit")), MIME_7BIT);
	assert_int_equal(mime_parse_encoding(STR("(x) 8bit (y)")), MIME_8BIT);
	assert_int_equal(mime_parse_encoding(STR("BINARY")), MIME_BINARY);
	assert_int_equal(mime_parse_encoding(STR("base64")), MIME_ENCODED);
	assert_int_equal(mime_parse_encoding(STR("Quoted-Printable")), MIME_ENCODED);
	assert_int_equal(mime_parse_encoding(STR("x-uuencode")), MIME_ENCODED);
	assert_int_equal(mime_parse_encoding(STR("8bits")), MIME_ENCODED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_boundaries),
		cmocka_unit_test(test_encodings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
