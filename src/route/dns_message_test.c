#include "route/dns_message.h"

#include "base/rng.h"
#include "base/test.h"

#define OCTETS(literal) str_of(literal, sizeof(literal) - 1)

/* example.net asks; answers come as given, with counts in the header.  */
#define HEAD(flags, answers) "\x12\x34" flags "\0\1\0" answers "\0\0\0\0"
#define ASKED(type) "\7example\3net\0\0" type "\0\1"

static void test_question(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 512);
	assert_true(dns_question_add(&out, 0x1234, STR("mx1.example.net"), DNS_MX));
	static const char wanted[] =
		"\x12\x34\x01\x20\0\1\0\0\0\0\0\0\3mx1\7example\3net\0\0\17\0\1";
	assert_int_equal(out.len, sizeof(wanted) - 1);
	assert_memory_equal(out.ptr, wanted, out.len);
	buf_release(&out);
}

static struct arena arena;
static struct dns_answer answer;

static bool read_mx(struct str message)
{
	return dns_answer_read(message, STR("example.NET"), DNS_MX, &arena, &answer);
}

/* 10 mx.example.net by pointers into the question; 20 x.y */
static const char two[] =
	HEAD("\x81\xa0", "\2") ASKED("\17") "\xc0\x0c\0\17\0\1\0\0\1\0\0\7\0\12\2mx\xc0\x0c"
					    "\xc0\x0c\0\17\0\1\0\0\0\5\0\7\0\24\1x\1y\0";

static void test_records(void **state)
{
	(void)state;
	assert_true(read_mx(OCTETS(two)));
	assert_int_equal(answer.result, DNS_FOUND);
	assert_true(answer.secure);
	assert_int_equal(answer.count, 2);
	assert_int_equal(answer.ttl, 5);
	assert_int_equal(answer.canonical.len, 0);
	char name[256];
	uint16_t preference;
	assert_true(dns_read_mx(answer.data[0], &preference, name));
	assert_int_equal(preference, 10);
	assert_string_equal(name, "mx.example.net");
	assert_true(dns_read_mx(answer.data[1], &preference, name));
	assert_string_equal(name, "x.y");
	arena_release(&arena);
}

static void test_cnames(void **state)
{
	(void)state;
	/* The record before the CNAME that leads to it; a stranger's between.  */
	static const char message[] =
		HEAD("\x81\x80", "\4") ASKED("\1") "\1b\0\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
						   "\1z\0\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\2"
						   "\1a\0\0\5\0\1\0\0\0\x3c\0\3\1B\0"
						   "\xc0\x0c\0\5\0\1\0\0\0\x3c\0\3\1a\0";
	assert_true(dns_answer_read(OCTETS(message), STR("example.net"), DNS_A, &arena, &answer));
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.data[0].len, 4);
	assert_memory_equal(answer.data[0].ptr, "\xc0\0\2\1", 4);
	assert_str(answer.canonical, "B");
	assert_false(answer.secure);
	static const char circle[] =
		HEAD("\x81\x80", "\1") ASKED("\1") "\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x0c";
	assert_true(dns_answer_read(OCTETS(circle), STR("example.net"), DNS_A, &arena, &answer));
	assert_int_equal(answer.result, DNS_NO_DATA);
	arena_release(&arena);
}

static void test_nothing(void **state)
{
	(void)state;
	assert_true(read_mx(OCTETS(HEAD("\x81\x83", "\0") ASKED("\17"))));
	assert_int_equal(answer.result, DNS_NO_NAME);
	assert_true(read_mx(OCTETS(HEAD("\x81\x80", "\0") ASKED("\17"))));
	assert_int_equal(answer.result, DNS_NO_DATA);
	assert_true(read_mx(OCTETS(HEAD("\x81\x82", "\0") ASKED("\17"))));
	assert_int_equal(answer.result, DNS_TEMPORARY);
	arena_release(&arena);
}

static void test_what_is_no_answer(void **state)
{
	(void)state;
	assert_false(read_mx(OCTETS(HEAD("\x01\x00", "\0") ASKED("\17")))); /* a question */
	assert_false(read_mx(OCTETS(HEAD("\x81\x80", "\0") ASKED("\1"))));  /* another type */
	assert_false(read_mx(OCTETS(HEAD("\x81\x80", "\0") "\7example\3org\0\0\17\0\1")));
	assert_false(read_mx(OCTETS(HEAD("\x81\x80", "\1") ASKED("\17")))); /* a record less */
	assert_false(read_mx(
		OCTETS(HEAD("\x81\x80", "\1") "\xc0\x0c\0\17\0\1"))); /* a name that is itself */
	arena_release(&arena);
}

/* Cut anywhere, and with any octet changed: read within its bounds, never past them.  */
static void test_damage(void **state)
{
	(void)state;
	struct rng rng;
	rng_init(&rng, 5);
	for (size_t n = 0; n < sizeof(two) - 1; n++) {
		char *exact = malloc(n ? n : 1);
		memcpy(exact, two, n);
		assert_false(read_mx(str_of(exact, n)));
		free(exact);
	}
	for (int round = 0; round < 20000; round++) {
		char *copy = malloc(sizeof(two) - 1);
		memcpy(copy, two, sizeof(two) - 1);
		for (int i = 0; i < 3; i++)
			copy[rng_below(&rng, sizeof(two) - 1)] = (char)rng_next(&rng);
		(void)!read_mx(str_of(copy, sizeof(two) - 1));
		free(copy);
		arena_release(&arena);
	}
}

int main(void)
{
	arena_init(&arena, 1 << 20);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_question),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_cnames),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_what_is_no_answer),
		cmocka_unit_test(test_damage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
