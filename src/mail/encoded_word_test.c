#include "base/test.h"
#include "mail/encoded_word.h"

typedef bool encode(struct buf *out, struct str value);

static void gives(encode *run, const char *value, const char *wanted)
{
	struct buf out;
	buf_init(&out, 10000);
	if (!run(&out, str_from_c(value))) fail_msg("refused: %s", value);
	assert_str(buf_str(&out), wanted);
	buf_release(&out);
}

/* The results are read by Python's email.header in tests/server/test_submission.py too.  */
static void test_text(void **state)
{
	(void)state;
	gives(encoded_text_add, " plain words", " plain words");
	gives(encoded_text_add, " caf\xc3\xa9", " =?utf-8?B?Y2Fmw6k=?=");
	gives(encoded_text_add, "caf\xc3\xa9", "=?utf-8?B?Y2Fmw6k=?=");
	gives(encoded_text_add, " the caf\xc3\xa9 is open", " the =?utf-8?B?Y2Fmw6k=?= is open");
	/* What stands between two encoded words is not shown: the blank is in the word.  */
	gives(encoded_text_add, " \xc3\xa9 \xc3\xa9", " =?utf-8?B?w6kgw6k=?=");
	gives(encoded_text_add, " \xc3\xa9\r\n\t\xc3\xa9 x", " =?utf-8?B?w6kgw6k=?= x");
	gives(encoded_text_add, " caf\xe9", " =?unknown-8bit?B?Y2Fm6Q==?=");
}

/* Words of at most 75 octets, and no character in two of them.  */
static void test_long_words(void **state)
{
	(void)state;
	struct buf in, out;
	buf_init(&in, 1000);
	buf_init(&out, 10000);
	buf_add_c(&in, ' ');
	for (int i = 0; i < 100; i++) buf_add(&in, STR("\xe2\x82\xac"));
	assert_true(encoded_text_add(&out, buf_str(&in)));
	struct str rest = buf_str(&out), line;
	unsigned lines = 0;
	for (bool more = true; more; lines++) {
		more = str_cut(&rest, '\n', &line);
		line = str_trim(line);
		assert_true(line.len <= 75 && str_starts(line, STR("=?utf-8?B?4oKs")));
	}
	assert_int_equal(lines, 8);
	buf_release(&in);
	buf_release(&out);
}

static void test_addresses(void **state)
{
	(void)state;
	gives(encoded_addresses_add, " a@example.com", " a@example.com");
	gives(encoded_addresses_add, " J\xc3\xb6rg <j@example.com>, Bob <b@example.com>",
		" =?utf-8?B?SsO2cmc=?= <j@example.com>, Bob <b@example.com>");
	gives(encoded_addresses_add, " J\xc3\xb6rg M\xc3\xbcller <j@example.com>",
		" =?utf-8?B?SsO2cmcgTcO8bGxlcg==?= <j@example.com>");
	gives(encoded_addresses_add, "\"M\xc3\xbcller, \\\"J\\\"\"<j@example.com>",
		"=?utf-8?B?TcO8bGxlciwgIkoi?= <j@example.com>");
	gives(encoded_addresses_add, " j@example.com (J\xc3\xb6rg, at home)",
		" j@example.com (=?utf-8?B?SsO2cmcsIGF0IGhvbWU=?=)");
	gives(encoded_addresses_add, " Fr\xc3\xbcnde: a@example.com;",
		" =?utf-8?B?RnLDvG5kZQ==?= : a@example.com;");
}

static void test_addresses_that_are_not_ascii(void **state)
{
	(void)state;
	static const char *const all[] = {"j\xc3\xb6rg@example.com", "<j\xc3\xb6rg@example.com>",
		"\"j\xc3\xb6rg\"@example.com", "a@ex\xc3\xa4mple.com", "\"J\xc3\xb6rg",
		"(\xc3\xb6"};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct buf out;
		buf_init(&out, 1000);
		if (encoded_addresses_add(&out, str_from_c(all[i]))) fail_msg("%s", all[i]);
		buf_release(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_long_words),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_addresses_that_are_not_ascii),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
