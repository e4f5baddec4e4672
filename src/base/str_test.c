#include "base/str.h"
#include "base/test.h"

static void test_equality(void **state)
{
	(void)state;
	assert_true(str_eq(STR_NONE, STR("")));
	assert_true(str_eq(STR("abc"), STR("abc")));
	assert_false(str_eq(STR("abc"), STR("abd")));
	assert_false(str_eq(STR("abc"), STR("ab")));
	assert_false(str_eq(STR("abc"), STR("ABC")));
	assert_true(str_eq(STR("a\0b"), STR("a\0b")));
	assert_false(str_eq(STR("a\0b"), STR("a\0c")));
	assert_true(str_eq(str_from_c(NULL), STR("")));
}

/* Every octet against every octet, at each place of a word and of the rest behind it.  */
static void test_ieq_knows_letters_only(void **state)
{
	(void)state;
	char a[11], b[11];
	memset(a, 'x', sizeof(a));
	memset(b, 'x', sizeof(b));
	for (size_t at = 0; at < sizeof(a); at++) {
		for (int x = 0; x < 256; x++) {
			for (int y = 0; y < 256; y++) {
				a[at] = (char)x, b[at] = (char)y;
				bool same = ascii_lower((char)x) == ascii_lower((char)y);
				if (str_ieq(str_of(a, sizeof(a)), str_of(b, sizeof(b))) != same)
					fail_msg("octets %d and %d at %zu", x, y, at);
			}
		}
		a[at] = b[at] = 'x';
	}
	assert_false(str_ieq(STR("abc"), STR("abcd")));
	assert_true(str_ieq(STR_NONE, STR("")));
}

static void test_icmp_orders(void **state)
{
	(void)state;
	const struct str sorted[] = {
		STR(""), STR("A"), STR("a."), STR("Ab"), STR("aB\0"), STR("b"), STR("\xc3")};
	for (size_t i = 0; i < ARRAY_LEN(sorted); i++)
		for (size_t j = 0; j < ARRAY_LEN(sorted); j++)
			assert_int_equal(str_icmp(sorted[i], sorted[j]), (i > j) - (i < j));
	assert_int_equal(str_icmp(STR("HELLO"), STR("hello")), 0);
}

static void test_starts_and_ends(void **state)
{
	(void)state;
	assert_true(str_starts(STR("MAIL FROM"), STR("MAIL")));
	assert_true(str_starts(STR("x"), STR("")));
	assert_false(str_starts(STR("MAI"), STR("MAIL")));
	assert_false(str_starts(STR("mail"), STR("MAIL")));
	assert_true(str_istarts(STR("mail from"), STR("MAIL")));
	assert_false(str_istarts(STR("mai"), STR("MAIL")));
	assert_true(str_iends(STR("host.EXAMPLE"), STR(".example")));
	assert_true(str_iends(STR("x"), STR("")));
	assert_false(str_iends(STR("example"), STR(".example")));
	assert_true(str_iends(STR_NONE, STR_NONE));
}

static void test_find(void **state)
{
	(void)state;
	assert_int_equal(str_find(STR("a@b@c"), '@'), 1);
	assert_int_equal(str_rfind(STR("a@b@c"), '@'), 3);
	assert_int_equal(str_find(STR("abc"), '@'), 3);
	assert_int_equal(str_rfind(STR("abc"), '@'), 3);
	assert_int_equal(str_find(STR_NONE, '@'), 0);
	assert_int_equal(str_rfind(STR_NONE, '@'), 0);
	assert_true(str_contains(STR("hello"), STR("ll")));
	assert_true(str_contains(STR("hello"), STR("")));
	assert_true(str_contains(STR_NONE, STR_NONE));
	assert_false(str_contains(STR("hello"), STR("lol")));
	assert_false(str_contains(STR_NONE, STR("x")));
	/* not past the end of what is borrowed */
	assert_false(str_contains(str_head(STR("hello"), 3), STR("llo")));
}

static void test_skip_head_trim(void **state)
{
	(void)state;
	assert_str(str_skip(STR("abc"), 1), "bc");
	assert_str(str_skip(STR("abc"), 3), "");
	assert_str(str_skip(STR_NONE, 0), "");
	assert_str(str_head(STR("abc"), 2), "ab");
	assert_str(str_head(STR("abc"), 9), "abc");
	assert_str(str_trim(STR(" \t a b\r\n")), "a b");
	assert_str(str_trim(STR(" \r\n\t")), "");
	assert_str(str_trim(STR("a\v")), "a\v");
	assert_str(str_trim(STR_NONE), "");
}

static void test_cut(void **state)
{
	(void)state;
	struct str rest = STR("a,,b"), head;
	assert_true(str_cut(&rest, ',', &head));
	assert_str(head, "a");
	assert_true(str_cut(&rest, ',', &head));
	assert_str(head, "");
	assert_false(str_cut(&rest, ',', &head));
	assert_str(head, "b");
	assert_int_equal(rest.len, 0);
	rest = STR("x,");
	assert_true(str_cut(&rest, ',', &head));
	assert_str(head, "x");
	assert_int_equal(rest.len, 0);
	rest = STR("own=head");
	assert_true(str_cut(&rest, '=', &rest)); /* the head may be the string itself */
	assert_str(rest, "own");
}

static void test_to_u64(void **state)
{
	(void)state;
	uint64_t v = 7;
	assert_true(str_to_u64(STR("0"), 10, &v) && v == 0);
	assert_true(str_to_u64(STR("0010"), 10, &v) && v == 10);
	assert_false(str_to_u64(STR("11"), 10, &v));
	assert_false(str_to_u64(STR("9"), 8, &v));
	assert_true(str_to_u64(STR("0"), 0, &v) && v == 0);
	assert_false(str_to_u64(STR("1"), 0, &v));
	assert_true(str_to_u64(STR("18446744073709551615"), UINT64_MAX, &v) && v == UINT64_MAX);
	v = 7;
	const struct str bad[] = {STR("18446744073709551616"), STR("18446744073709551620"),
		STR("99999999999999999999"), STR("184467440737095516150"), STR(""), STR("-1"),
		STR("+1"), STR(" 1"), STR("1 "), STR("1\0"), STR("0x1"), STR("1e3")};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(str_to_u64(bad[i], UINT64_MAX, &v));
	assert_int_equal(v, 7);
}

static void test_ihash_is_the_hash_in_small_letters(void **state)
{
	(void)state;
	char mixed[40], small[40];
	for (int first = 0; first < 256; first++) {
		for (size_t i = 0; i < sizeof(mixed); i++) {
			mixed[i] = (char)((size_t)first + i * 7);
			small[i] = ascii_lower(mixed[i]);
		}
		for (size_t len = 0; len <= sizeof(mixed); len++)
			assert_true(str_ihash(str_of(mixed, len), 5) ==
				str_hash(str_of(small, len), 5));
	}
	assert_true(str_hash(STR("a"), 1) != str_hash(STR("A"), 1));
}

/* Flipping any bit of text, length or seed flips about half of the result.  */
static void test_hash_mixes(void **state)
{
	(void)state;
	char text[25] = "postmaster@example.net..";
	long flipped = 0, cases = 0;
	for (size_t len = 1; len <= 24; len++) {
		uint64_t plain = str_hash(str_of(text, len), 1);
		for (size_t bit = 0; bit < len * 8; bit++, cases++) {
			text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
			int n = __builtin_popcountll(plain ^ str_hash(str_of(text, len), 1));
			text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
			assert_in_range(n, 8, 56);
			flipped += n;
		}
		assert_true(plain != str_hash(str_of(text, len - 1), 1));
		for (int bit = 0; bit < 64; bit++)
			assert_in_range(__builtin_popcountll(plain ^
						str_hash(str_of(text, len), 1 ^ 1ull << bit)),
				8, 56);
	}
	assert_in_range(flipped * 100 / cases, 3100, 3300);
	/* Zeros of each length are told apart.  */
	assert_true(str_hash(STR("\0"), 1) != str_hash(STR("\0\0"), 1));
}

/* Numbered hosts fall evenly into buckets by their low bits.  */
static void test_hash_spreads(void **state)
{
	(void)state;
	int buckets[64] = {0};
	for (int i = 0; i < 64000; i++) {
		char name[32];
		int n = snprintf(name, sizeof(name), "host-%d.example.com", i);
		buckets[str_ihash(str_of(name, (size_t)n), 99) & 63]++;
	}
	for (int i = 0; i < 64; i++) assert_in_range(buckets[i], 850, 1150);
}

static void test_hash_reads_no_further(void **state)
{
	(void)state;
	for (size_t len = 0; len < 20; len++) {
		char *exact = malloc(len ? len : 1); /* the sanitizer watches its end */
		memset(exact, 'Q', len);
		assert_true(str_ihash(str_of(exact, len), 0) ==
			str_hash(str_head(STR("qqqqqqqqqqqqqqqqqqqq"), len), 0));
		assert_true(
			str_ieq(str_of(exact, len), str_head(STR("qqqqqqqqqqqqqqqqqqqq"), len)));
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equality),
		cmocka_unit_test(test_ieq_knows_letters_only),
		cmocka_unit_test(test_icmp_orders),
		cmocka_unit_test(test_starts_and_ends),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_skip_head_trim),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_to_u64),
		cmocka_unit_test(test_ihash_is_the_hash_in_small_letters),
		cmocka_unit_test(test_hash_mixes),
		cmocka_unit_test(test_hash_spreads),
		cmocka_unit_test(test_hash_reads_no_further),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
