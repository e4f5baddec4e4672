#include "base/buf.h"
#include "base/test.h"

static void test_empty_takes_no_memory(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 100);
	assert_true(buf_add(&b, STR("")));
	assert_null(b.ptr);
	assert_int_equal(buf_str(&b).len, 0);
	buf_release(&b);
}

static void test_grows_by_powers_of_two_to_the_maximum(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 1000);
	size_t last = 0;
	for (int i = 0; i < 1000; i++) {
		assert_true(buf_add_c(&b, (char)i));
		if (b.cap != last) assert_true(b.cap == 1000 || (b.cap & (b.cap - 1)) == 0);
		last = b.cap;
	}
	assert_int_equal(b.cap, 1000);
	assert_false(buf_add_c(&b, 'x'));
	assert_false(buf_ok(&b));
	assert_int_equal(b.len, 1000);
	for (int i = 0; i < 1000; i++) assert_int_equal(b.ptr[i], (char)i);
	buf_release(&b);
}

static void test_failure_appends_nothing_and_stays(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 5);
	assert_true(buf_add(&b, STR("abc")));
	assert_false(buf_add(&b, STR("def")));
	assert_str(buf_str(&b), "abc");
	assert_false(buf_add(&b, STR("d"))); /* would fit, but what is before it is missing */
	assert_false(buf_add(&b, STR("")));
	assert_false(buf_printf(&b, "%s", ""));
	assert_null(buf_reserve(&b, 1));
	assert_str(buf_str(&b), "abc");
	buf_clear(&b);
	assert_true(buf_ok(&b));
	assert_true(buf_add(&b, STR("defgh")));
	assert_str(buf_str(&b), "defgh");
	buf_release(&b);
	assert_true(buf_ok(&b) && b.len == 0 && b.max == 5);
	assert_true(buf_add(&b, STR("again")));
	buf_release(&b);
}

static void test_absurd_sizes(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, SIZE_MAX);
	assert_true(buf_add_c(&b, 'x'));
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_false(buf_ok(&b));
	buf_release(&b);
	buf_init(&b, 0);
	assert_false(buf_add_c(&b, 'x'));
	buf_release(&b);
}

static void test_reserve(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 100);
	char *at = buf_reserve(&b, 70);
	assert_non_null(at);
	memset(at, 'r', 70);
	b.len += 70;
	assert_ptr_equal(buf_reserve(&b, 30), b.ptr + 70);
	assert_null(buf_reserve(&b, 31));
	assert_int_equal(b.len, 70);
	buf_release(&b);
}

static void test_numbers_and_printf(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 200);
	buf_add_u64(&b, 0);
	buf_add_c(&b, ' ');
	buf_add_u64(&b, UINT64_MAX);
	assert_str(buf_str(&b), "0 18446744073709551615");
	buf_clear(&b);
	assert_true(buf_printf(&b, "%d-%s", 25, "smtp"));
	assert_true(buf_printf(&b, " %0100d", 7)); /* past what is at hand */
	assert_int_equal(b.len, 108);
	assert_str(str_head(buf_str(&b), 12), "25-smtp 0000");
	assert_int_equal(b.ptr[107], '7');
	buf_release(&b);
}

/* Text that fills the maximum exactly has no room for the NUL that printf writes.  */
static void test_printf_to_the_brim(void **state)
{
	(void)state;
	for (int len = 0; len < 10; len++) {
		struct buf b;
		buf_init(&b, 8);
		bool fits = len <= 8;
		assert_true(buf_printf(&b, "%.*s", len, "123456789") == fits);
		assert_int_equal(b.len, fits ? len : 0);
		assert_true(buf_ok(&b) == fits);
		buf_release(&b);
	}
}

static void test_little_endian_layout(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 100);
	buf_add_u8(&b, 0x01);
	buf_add_le16(&b, 0x0302);
	buf_add_le32(&b, 0x07060504);
	buf_add_le64(&b, 0xf0e0d0c0b0a09080);
	buf_add_lestr(&b, STR("ab"));
	static const uint8_t wanted[] = {1, 2, 3, 4, 5, 6, 7, 0x80, 0x90, 0xa0, 0xb0, 0xc0, 0xd0,
		0xe0, 0xf0, 2, 0, 0, 0, 'a', 'b'};
	assert_true(str_eq(buf_str(&b), str_of(wanted, sizeof(wanted))));
	buf_release(&b);
}

static bool take_all(struct str s)
{
	uint8_t a;
	uint16_t b;
	uint32_t c;
	uint64_t d;
	struct str e;
	if (!take_u8(&s, &a) || !take_le16(&s, &b) || !take_le32(&s, &c) || !take_le64(&s, &d))
		return false;
	if (!take_lestr(&s, &e)) return false;
	assert_int_equal(a, 0xfe);
	assert_int_equal(b, 0xfedc);
	assert_int_equal(c, 0xfedcba98);
	assert_true(d == 0xfedcba9876543210);
	assert_str(e, "text");
	assert_int_equal(s.len, 0);
	return true;
}

static void test_take_reads_back_and_never_past_the_end(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 100);
	buf_add_u8(&b, 0xfe), buf_add_le16(&b, 0xfedc), buf_add_le32(&b, 0xfedcba98);
	buf_add_le64(&b, 0xfedcba9876543210), buf_add_lestr(&b, STR("text"));
	for (size_t len = 0; len <= b.len; len++) {
		char *exact = malloc(len ? len : 1);
		memcpy(exact, b.ptr, len);
		assert_true(take_all(str_of(exact, len)) == (len == b.len));
		free(exact);
	}
	buf_release(&b);
}

static void test_take_lestr_that_is_cut_leaves_all(void **state)
{
	(void)state;
	struct str s = STR("\5\0\0\0text"), before = s, got;
	assert_false(take_lestr(&s, &got));
	assert_ptr_equal(s.ptr, before.ptr);
	assert_int_equal(s.len, before.len);
	struct str huge = STR("\xff\xff\xff\xfftext");
	assert_false(take_lestr(&huge, &got));
}

static void test_lestr_is_whole_or_absent(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 6);
	assert_false(buf_add_lestr(&b, STR("abc")));
	assert_int_equal(b.len, 0);
	buf_release(&b);
}

static void test_consume(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 100);
	buf_consume(&b, 0);
	buf_add(&b, STR("abcdef"));
	buf_consume(&b, 2);
	assert_str(buf_str(&b), "cdef");
	buf_consume(&b, 4);
	assert_str(buf_str(&b), "");
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_takes_no_memory),
		cmocka_unit_test(test_grows_by_powers_of_two_to_the_maximum),
		cmocka_unit_test(test_failure_appends_nothing_and_stays),
		cmocka_unit_test(test_absurd_sizes),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_numbers_and_printf),
		cmocka_unit_test(test_printf_to_the_brim),
		cmocka_unit_test(test_little_endian_layout),
		cmocka_unit_test(test_take_reads_back_and_never_past_the_end),
		cmocka_unit_test(test_take_lestr_that_is_cut_leaves_all),
		cmocka_unit_test(test_lestr_is_whole_or_absent),
		cmocka_unit_test(test_consume),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
