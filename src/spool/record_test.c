#include "spool/record.h"

#include "base/test.h"

static const uint64_t SALT = 0x1122334455667788;

static size_t make(char *to, const char *payload, size_t len)
{
	struct disk_record r = record_make(RECORD_CHUNK, 77, len);
	struct iovec pieces[] = {{(void *)(uintptr_t)payload, len / 3},
		{(void *)(uintptr_t)(payload + len / 3), len - len / 3}};
	r.part = 5;
	record_seal(&r, SALT, pieces, 2);
	memcpy(to, &r, sizeof(r));
	memcpy(to + sizeof(r), payload, len);
	return sizeof(r) + len;
}

static void reads_what_was_sealed(void **state)
{
	(void)state;
	char octets[256] = {0};
	struct disk_record r;
	struct str payload;
	size_t size, len = make(octets, "the payload", 11);
	assert_true(record_read(str_of(octets, sizeof(octets)), SALT, &r, &payload, &size));
	assert_str(payload, "the payload");
	assert_int_equal(size, record_round(len));
	assert_int_equal(r.id, 77);
	assert_int_equal(r.part, 5);
	assert_true(record_read(
		str_of(octets, len), SALT, &r, &payload, &size)); /* without the padding */
	assert_int_equal(size, len);
}

static void every_bit_counts(void **state)
{
	(void)state;
	char octets[64] = {0};
	struct disk_record r;
	struct str payload;
	size_t size, len = make(octets, "the payload", 11);
	for (size_t bit = 0; bit < len * 8; bit++) {
		octets[bit / 8] = (char)(octets[bit / 8] ^ 1 << bit % 8);
		assert_false(
			record_read(str_of(octets, sizeof(octets)), SALT, &r, &payload, &size));
		octets[bit / 8] = (char)(octets[bit / 8] ^ 1 << bit % 8);
	}
	for (size_t cut = 0; cut < len; cut++)
		assert_false(record_read(str_of(octets, cut), SALT, &r, &payload, &size));
	assert_true(record_read(str_of(octets, sizeof(octets)), SALT, &r, &payload, &size));
}

static void another_life_does_not_pass(void **state)
{
	(void)state;
	char octets[64] = {0};
	struct disk_record r;
	struct str payload;
	size_t size;
	make(octets, "the payload", 11);
	assert_false(record_read(str_of(octets, sizeof(octets)), SALT ^ 1, &r, &payload, &size));
	assert_false(record_read(
		str_of(octets, sizeof(octets)), SALT ^ 1ull << 63, &r, &payload, &size));
}

static void headers_are_checked(void **state)
{
	(void)state;
	struct disk_header h;
	header_make(&h, 3, 9, SALT, 64 << 20);
	assert_true(header_valid(&h));
	for (size_t bit = 0; bit < sizeof(h) * 8; bit++) {
		((char *)&h)[bit / 8] = (char)(((char *)&h)[bit / 8] ^ 1 << bit % 8);
		assert_false(header_valid(&h));
		((char *)&h)[bit / 8] = (char)(((char *)&h)[bit / 8] ^ 1 << bit % 8);
	}
	header_make(&h, 3, 9, SALT, RECORD_BLOCK);
	assert_false(header_valid(&h));
	header_make(&h, 3, 9, SALT, (64 << 20) + 1);
	assert_false(header_valid(&h));
	header_make(&h, 3, 0, SALT, 64 << 20);
	assert_false(header_valid(&h));
	assert_false(header_newer(&h));
}

static void size_classes_are_near(void **state)
{
	(void)state;
	uint8_t before = 0;
	for (uint64_t n = 1; n < (7 << 20); n += 1 + n / 97) {
		uint8_t class = size_class(n);
		assert_true(class < 127);
		assert_true(class >= before);
		assert_true(size_of_class(class) >= n);
		assert_true(n < 128 || size_of_class(class) <= n + n / 8 + 16);
		before = class;
	}
	assert_int_equal(size_class(1ull << 30), 127);
	for (uint8_t class = 0; class < 127; class ++)
		assert_int_equal(size_class(size_of_class(class)), class);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_was_sealed),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(another_life_does_not_pass),
		cmocka_unit_test(headers_are_checked),
		cmocka_unit_test(size_classes_are_near),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
