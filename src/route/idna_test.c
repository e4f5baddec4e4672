#include "base/test.h"
#include "route/idna.h"

static const char *ascii(const char *domain)
{
	static char name[IDNA_NAME_MAX];
	return idna_to_ascii(str_from_c(domain), name) ? name : "no name";
}

static void test_ascii(void **state)
{
	(void)state;
	assert_string_equal(ascii("example.net"), "example.net");
	assert_string_equal(ascii("Mail.EXAMPLE.net."), "mail.example.net");
	assert_string_equal(ascii("localhost"), "localhost");
	assert_string_equal(ascii("_x.example.net"), "_x.example.net");
	assert_string_equal(ascii(""), "no name");
	assert_string_equal(ascii("."), "no name");
	assert_string_equal(ascii("a..b"), "no name");
	assert_string_equal(ascii("a b"), "no name");
	char label[80];
	memset(label, 'a', sizeof(label));
	label[63] = '\0';
	assert_string_equal(ascii(label), label);
	label[63] = 'a', label[64] = '\0';
	assert_string_equal(ascii(label), "no name");
	char name[IDNA_NAME_MAX];
	assert_false(idna_to_ascii(str_of("a\0b", 3), name));
}

static void test_letters_beyond(void **state)
{
	(void)state;
	assert_string_equal(ascii("bücher.example"), "xn--bcher-kva.example");
	assert_string_equal(ascii("BÜCHER.Example."), "xn--bcher-kva.example");
	assert_string_equal(ascii("straße.example"), "xn--strae-oqa.example");
	assert_string_equal(ascii("普遍适用测试.我爱你"), "xn--tkvs6ms8gqpywye3ma.xn--6qq986b3xl");
	assert_string_equal(ascii("bu\xcc\x88"
				  "cher.example"),
		"xn--bcher-kva.example"); /* u and a diaeresis */
	assert_string_equal(ascii("\xff.example"), "no name");
	assert_string_equal(ascii("ü..example"), "no name");
	char name[IDNA_NAME_MAX];
	assert_false(idna_to_ascii(str_of("\xc3\xbc\0x", 4), name));
}

/* A label that is short in UTF-8 terms but too long as an A-label.  */
static void test_too_long_encoded(void **state)
{
	(void)state;
	char label[200] = "";
	size_t len = 0;
	for (int i = 0; i < 62; i++)
		len += (size_t)snprintf(label + len, sizeof(label) - len, "%s", i % 2 ? "ü" : "x");
	assert_string_equal(ascii(label), "no name");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ascii),
		cmocka_unit_test(test_letters_beyond),
		cmocka_unit_test(test_too_long_encoded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
