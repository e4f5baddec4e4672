#include "base/utf8.h"
#include "base/test.h"

static size_t encode(uint32_t c, char *out)
{
	if (c < 0x80) return out[0] = (char)c, 1;
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = n; i-- > 1; c >>= 6) out[i] = (char)(0x80 | (c & 63));
	out[0] = (char)(0xf00 >> n | c);
	return n;
}

/* Every code point there could be goes through, but surrogates; cut short, none does.  */
static void test_all_characters(void **state)
{
	(void)state;
	for (uint32_t c = 0; c < 0x200000; c++) {
		char text[4];
		uint32_t got = 0;
		size_t n = encode(c, text);
		bool exists = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
		if (utf8_next(str_of(text, n), &got) != (exists ? n : 0) || (exists && got != c))
			fail_msg("U+%04X", c);
		if (utf8_next(str_of(text, n - 1), &got) != 0) fail_msg("U+%04X cut", c);
	}
}

static void test_bad_octets(void **state)
{
	(void)state;
	const struct str bad[] = {STR("\x80"), STR("\xbf"), STR("\xff"), STR("\xfe"), STR("\xc3"),
		STR("\xc3("), STR("\xc0\x80"), STR("\xc1\xbf"), /* overlong */
		STR("\xe0\x80\x80"), STR("\xe0\x9f\xbf"),       /* overlong */
		STR("\xf0\x80\x80\x80"), STR("\xf0\x8f\xbf\xbf"), STR("\xed\xa0\x80"),
		STR("\xf4\x90\x80\x80"), STR("\xf8\x88\x80\x80\x80"), STR("\xf8\x90\x80\x80"),
		STR("\xf5\x90\x80\x80"), STR("\xe2\x82("), STR("\xe2(\xac"), STR("\xf0\x9f\x98(")};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint32_t c;
		assert_int_equal(utf8_next(bad[i], &c), 0);
		assert_false(utf8_valid(bad[i]));
	}
}

static void test_valid_texts(void **state)
{
	(void)state;
	assert_true(utf8_valid(STR("")));
	assert_true(utf8_valid(STR("plain")));
	assert_true(utf8_valid(STR("pel\xc3\xa9@ex\xe2\x82\xac\xf0\x9f\x98\x80")));
	assert_false(utf8_valid(STR("good\xc3\xa9then bad\xa9")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_characters),
		cmocka_unit_test(test_bad_octets),
		cmocka_unit_test(test_valid_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
