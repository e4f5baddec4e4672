#include "smtp/proxy.h"

#include "base/test.h"

#include <stdlib.h>

static void client_is(const struct proxy_header *h, const char *wanted)
{
	struct buf text;
	buf_init(&text, 100);
	net_add_port(&text, &h->client);
	assert_str(buf_str(&text), wanted);
	buf_release(&text);
}

/* Every beginning wants more, and the whole gives the client, whatever follows it; each time in memory of its own,
 * so that a sanitizer sees a step too far.  */
static void told(struct str header, const char *client)
{
	struct proxy_header h;
	for (size_t n = 0; n <= header.len; n++) {
		char *copy = malloc(n ? n : 1);
		assert_non_null(copy);
		memcpy(copy, header.ptr, n);
		enum proxy_result result = proxy_read(str_of(copy, n), &h);
		assert_int_equal(result, n < header.len ? PROXY_MORE : PROXY_DONE);
		free(copy);
	}
	client_is(&h, client);
	char more[PROXY_MAX + 10];
	memcpy(more, header.ptr, header.len);
	memcpy(more + header.len, "EHLO x\r\n", 8);
	assert_int_equal(proxy_read(str_of(more, header.len + 8), &h), PROXY_DONE);
	assert_int_equal(h.len, header.len);
	client_is(&h, client);
}

static void refused(struct str octets, const char *why)
{
	struct proxy_header h;
	assert_int_equal(proxy_read(octets, &h), PROXY_WRONG);
	assert_string_equal(h.why, why);
	for (size_t n = 0; n < octets.len; n++) /* never taken for a header on the way */
		assert_int_not_equal(proxy_read(str_head(octets, n), &h), PROXY_DONE);
}

static void test_lines(void **state)
{
	(void)state;
	told(STR("PROXY TCP4 192.0.2.1 198.51.100.9 56324 25\r\n"), "192.0.2.1:56324");
	told(STR("PROXY TCP6 2001:db8::7 2001:db8::9 65535 0\r\n"), "[2001:db8::7]:65535");
	told(STR("PROXY UNKNOWN\r\n"), "");
	told(STR("PROXY UNKNOWN whatever else it says, ignored\r\n"), "");
	told(STR("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
		"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

static void test_bad_lines(void **state)
{
	(void)state;
	static const char *const addresses[] = {"PROXY TCP4 192.0.2.1 198.51.100.9 56324\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.9 56324 25 26\r\n",
		"PROXY TCP4 192.0.2.1  198.51.100.9 56324 25\r\n",
		"PROXY TCP4 2001:db8::7 2001:db8::9 1 2\r\n",
		"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 2001:db8::9 1 2\r\n",
		"PROXY TCP4 [192.0.2.1] 192.0.2.2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 -2\r\n",
		"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n", "PROXY TCP4\r\n"};
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++)
		refused(str_from_c(addresses[i]), "bad addresses");
	static const char kinds[] = "neither TCP4 nor TCP6 nor UNKNOWN";
	refused(STR("PROXY \r\n"), kinds);
	refused(STR("PROXY UDP4 192.0.2.1 198.51.100.9 56324 25\r\n"), kinds);
	refused(STR("PROXY tcp4 192.0.2.1 198.51.100.9 56324 25\r\n"), kinds);
	refused(STR("PROXY TCP4 192.0.2.1 198.51.100.9 56324 25\n"),
		"the line does not end in CRLF");
	static const char none[] = "the connection does not begin with a PROXY header";
	refused(STR("EHLO client\r\n"), none);
	refused(STR("P\r\n"), none);
	refused(STR("PROXY\r\n"), none);
	refused(STR("\r\n\r\n\r\n"), none);
	char line[PROXY_LINE_MAX];
	memset(line, 'x', sizeof line);
	memcpy(line, "PROXY UNKNOWN ", 14);
	refused(str_of(line, sizeof line), "the line is too long");
	memcpy(line + sizeof line - 2, "\r\n", 2);
	told(str_of(line, sizeof line), "");
}

#define SIGNATURE_2 "\r\n\r\n\0\r\nQUIT\n"
#define FOUR "\xc0\x00\x02\x01\xc6\x33\x64\x09\xdc\x04\x00\x19"
#define SIX                                                                                        \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09"     \
	"\xdc\x04\x00\x19"

static void test_binary(void **state)
{
	(void)state;
	told(STR(SIGNATURE_2 "\x21\x11\x00\x0c" FOUR), "192.0.2.1:56324");
	told(STR(SIGNATURE_2 "\x21\x11\x00\x12" FOUR "\x04\x00\x03"
			     "abc"),
		"192.0.2.1:56324");
	told(STR(SIGNATURE_2 "\x21\x21\x00\x24" SIX), "[2001:db8::7]:56324");
	told(STR(SIGNATURE_2 "\x20\x00\x00\x00"), "");      /* LOCAL */
	told(STR(SIGNATURE_2 "\x20\x11\x00\x0c" FOUR), ""); /* LOCAL, with addresses to ignore */
	told(STR(SIGNATURE_2 "\x21\x00\x00\x03"
			     "abc"),
		"");                                        /* it cannot say */
	told(STR(SIGNATURE_2 "\x21\x12\x00\x0c" FOUR), ""); /* datagrams */
	told(STR(SIGNATURE_2 "\x21\x31\x00\x02"
			     "/x"),
		""); /* a local socket */
}

static void test_bad_binary(void **state)
{
	(void)state;
	refused(STR(SIGNATURE_2 "\x11\x11\x00\x0c"), "the version is unknown");
	refused(STR(SIGNATURE_2 "\x22\x11\x00\x0c"), "the command is unknown");
	refused(STR(SIGNATURE_2 "\x21\x41\x00\x0c"), "the address family is unknown");
	refused(STR(SIGNATURE_2 "\x21\x13\x00\x0c"), "the address family is unknown");
	refused(STR(SIGNATURE_2 "\x21\x11\x10\x01"), "it is too long");
	refused(STR(SIGNATURE_2 "\x21\x11\xff\xff"), "it is too long");
	refused(STR(SIGNATURE_2 "\x21\x11\x00\x0b"
				"\xc0\x00\x02\x01\xc6\x33\x64\x09\xdc\x04\x00"),
		"the addresses are cut short");
	refused(STR(SIGNATURE_2 "\x21\x21\x00\x0c" FOUR), "the addresses are cut short");
	refused(STR(SIGNATURE_2 "\x21\x11\x00\x00"), "the addresses are cut short");
	static char large[PROXY_MAX] = SIGNATURE_2 "\x21\x11\x10\x00" FOUR;
	told(str_of(large, sizeof large), "192.0.2.1:56324");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_bad_binary),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
