#include "base/code.h"
#include "base/rng.h"
#include "base/test.h"

typedef void adder(struct buf *out, struct str octets);
typedef bool decoder(struct str text, struct buf *out);

static const struct {
	adder *add;
	decoder *decode;
} codes[] = {{hex_add, hex_decode}, {base64_add, base64_decode}, {xtext_add, xtext_decode}};

static void assert_added(adder *add, struct str octets, const char *wanted)
{
	struct buf b;
	buf_init(&b, 100);
	add(&b, octets);
	assert_true(buf_ok(&b));
	assert_str(buf_str(&b), wanted);
	buf_release(&b);
}

static void assert_decoded(decoder *decode, const char *text, struct str wanted)
{
	struct buf b;
	buf_init(&b, 100);
	if (!decode(str_from_c(text), &b)) fail_msg("%s was refused", text);
	assert_true(str_eq(buf_str(&b), wanted));
	buf_release(&b);
}

/* Wrong text is refused and leaves nothing behind what was there.  */
static void assert_refused(decoder *decode, struct str text)
{
	struct buf b;
	buf_init(&b, 100);
	buf_add(&b, STR("before"));
	char *exact = malloc(text.len); /* the sanitizer watches its end */
	memcpy(exact, text.ptr, text.len);
	if (decode(str_of(exact, text.len), &b)) fail_msg(STR_FMT " was taken", STR_ARG(text));
	free(exact);
	assert_str(buf_str(&b), "before");
	assert_true(buf_ok(&b));
	buf_release(&b);
}

static void test_hex(void **state)
{
	(void)state;
	assert_added(hex_add, STR(""), "");
	assert_added(hex_add, STR("\x00\x7f\xff"), "007fff");
	assert_decoded(hex_decode, "007FfF", STR("\x00\x7f\xff"));
	const struct str bad[] = {STR("0"), STR("0g"), STR("g0"), STR("00 "), STR("00 0"),
		STR("0x00"), STR("00\0\0")};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_refused(hex_decode, bad[i]);
}

/* RFC 4648 10.  */
static void test_base64(void **state)
{
	(void)state;
	const struct {
		const char *plain, *coded;
	} pairs[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		assert_added(base64_add, str_from_c(pairs[i].plain), pairs[i].coded);
		assert_decoded(base64_decode, pairs[i].coded, str_from_c(pairs[i].plain));
	}
	assert_added(base64_add, STR("\xfb\xff\xbf"), "+/+/");
	assert_decoded(base64_decode, "+/+/", STR("\xfb\xff\xbf"));
	assert_added(base64url_add, STR("\xfb\xff\xbf"), "-_-_");
	assert_added(base64url_add, STR("f"), "Zg");
	assert_added(base64url_add, STR_NONE, "");
}

static void test_base64_is_strict(void **state)
{
	(void)state;
	const struct str bad[] = {STR("Z"), STR("Zg"), STR("Zg="), STR("Zg==="), STR("===="),
		STR("Z==="), STR("Zg=v"), STR("=g=="), STR("Zh=="),
		STR("Zm9="), /* bits behind the end */
		STR("Zg==Zg=="), STR("Zm8=Zm9v"), STR("Zm9v\r\n"), STR("Zm9 "), STR("Zm9-"),
		STR("Zm9_"), STR("Zm9\0"), STR("Zm9\xff")};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_refused(base64_decode, bad[i]);
}

static void test_xtext(void **state)
{
	(void)state;
	assert_added(xtext_add, STR("a+b=c d\xe9\x00~!"), "a+2Bb+3Dc+20d+E9+00~!");
	assert_decoded(xtext_decode, "a+2Bb+3Dc+20d+e9+00~!", STR("a+b=c d\xe9\x00~!"));
	const struct str bad[] = {STR("+"), STR("+2"), STR("a+2G"), STR("+G2"), STR("a=b"),
		STR("a b"), STR("\x7f"), STR("\xe9"), STR("\0")};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_refused(xtext_decode, bad[i]);
}

static void test_there_and_back(void **state)
{
	(void)state;
	struct rng r;
	struct buf text, back;
	rng_init(&r, 1);
	buf_init(&text, 1000);
	buf_init(&back, 1000);
	for (size_t len = 0; len < 256; len++) {
		char octets[256];
		for (size_t i = 0; i < len; i++) octets[i] = (char)rng_next(&r);
		for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
			buf_clear(&text), buf_clear(&back);
			codes[i].add(&text, str_of(octets, len));
			assert_true(codes[i].decode(buf_str(&text), &back));
			assert_true(str_eq(buf_str(&back), str_of(octets, len)));
		}
	}
	buf_release(&text);
	buf_release(&back);
}

static void test_no_room(void **state)
{
	(void)state;
	const char *texts[] = {"616263", "YWJj", "abc"}; /* abc */
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		struct buf b;
		buf_init(&b, 2);
		codes[i].add(&b, STR("abc"));
		assert_false(buf_ok(&b));
		buf_clear(&b);
		assert_false(codes[i].decode(str_from_c(texts[i]), &b));
		assert_false(buf_ok(&b));
		buf_release(&b);
	}
	struct buf b;
	buf_init(&b, SIZE_MAX / 2); /* sizes that overflow when they are multiplied */
	hex_add(&b, str_of("", SIZE_MAX / 2 + 1));
	assert_false(buf_ok(&b));
	buf_clear(&b);
	base64_add(&b, str_of("", SIZE_MAX / 2));
	assert_false(buf_ok(&b));
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_base64_is_strict),
		cmocka_unit_test(test_xtext),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_no_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
