#include "smtp/reply.h"

#include "base/test.h"

static void wire(struct smtp_reply reply, const char *wanted)
{
	struct buf out;
	buf_init(&out, 10000);
	assert_true(smtp_reply_add(&out, &reply));
	assert_str(buf_str(&out), wanted);
	buf_release(&out);
}

static void test_wire_form(void **state)
{
	(void)state;
	wire(SMTP_REPLY(250, 2, 1, 0, "Ok"), "250 2.1.0 Ok\r\n");
	wire(SMTP_REPLY(354, 0, 0, 0, "End data with <CR><LF>.<CR><LF>"),
		"354 End data with <CR><LF>.<CR><LF>\r\n");
	wire(SMTP_REPLY(550, 5, 7, 26, "a\nb\nc"),
		"550-5.7.26 a\r\n550-5.7.26 b\r\n550 5.7.26 c\r\n");
	wire(SMTP_REPLY(250, 0, 0, 0, "host\nSIZE 1\n"), "250-host\r\n250 SIZE 1\r\n");
	wire(SMTP_REPLY(250, 0, 0, 0, ""), "250 \r\n");
	wire(SMTP_REPLY(250, 2, 0, 0, ""), "250 2.0.0\r\n");
	wire(SMTP_REPLY(250, 0, 0, 0, "a\n\nb"), "250-a\r\n250-\r\n250 b\r\n");
	wire(SMTP_REPLY(550, 5, 0, 0, "x\r250 y\tz\0\x1b\x7f\xc3\xb6"),
		"550 5.0.0 x?250 y z???\xc3\xb6\r\n");
}

static void test_long_lines_are_cut(void **state)
{
	(void)state;
	char text[1200];
	for (size_t i = 0; i + 2 <= sizeof(text); i += 2) memcpy(text + i, "\xc3\xb6", 2);
	for (size_t len = 490; len < 520; len++) {
		struct smtp_reply reply = {
			.code = 250, .enhanced = {2, 0, 0}, .text = str_of(text, len)};
		struct buf out;
		buf_init(&out, 2000);
		assert_true(smtp_reply_add(&out, &reply));
		size_t fits = 510 - 10; /* "250 2.0.0 " */
		assert_int_equal(out.len, (len < fits ? len : fits) + 12);
		buf_release(&out);
		reply.text = str_of(text + 1, len); /* now the cut would part a character */
		assert_true(smtp_reply_add(&out, &reply));
		assert_int_equal(out.len, (len <= fits ? len : fits - 1) + 12);
		buf_release(&out);
	}
}

static void test_no_room(void **state)
{
	(void)state;
	struct smtp_reply reply = SMTP_REPLY(250, 2, 1, 0, "Ok");
	struct buf out;
	buf_init(&out, 10);
	assert_false(smtp_reply_add(&out, &reply));
	buf_release(&out);
}

/* One reply from s, cut in two everywhere and octet by octet, with `rest` behind it left alone.  */
static void reads(
	const char *text, unsigned code, const char *enhanced, const char *wanted, const char *rest)
{
	struct str s = str_from_c(text);
	for (size_t cut = 0; cut <= s.len + 1; cut++) {
		struct smtp_reply_reader r;
		enum smtp_read read = SMTP_READ_MORE;
		size_t used, all = 0;
		smtp_reply_reader_init(&r);
		while (read == SMTP_READ_MORE && all < s.len) {
			struct str piece = str_skip(s, all);
			if (cut > s.len)
				piece = str_head(piece, 1);
			else if (all < cut)
				piece = str_head(piece, cut - all);
			read = smtp_reply_feed(&r, piece, &used);
			assert_true(used > 0);
			all += used;
		}
		assert_int_equal(read, SMTP_READ_DONE);
		assert_int_equal(r.code, code);
		assert_str(buf_str(&r.text), wanted);
		assert_str(str_skip(s, all), rest);
		struct buf e;
		buf_init(&e, 20);
		if (r.enhanced.class) enhanced_add(&e, r.enhanced);
		assert_str(buf_str(&e), enhanced);
		buf_release(&e);
		smtp_reply_reader_release(&r);
	}
}

static void test_reader(void **state)
{
	(void)state;
	reads("250 2.1.0 Ok\r\n", 250, "2.1.0", "Ok", "");
	reads("250 Ok\r\n354 go", 250, "", "Ok", "354 go");
	reads("250\r\n", 250, "", "", "");
	reads("250 \n", 250, "", "", "");
	reads("250-host\r\n250-SIZE 1\r\n250 DSN\r\n250 x\r\n", 250, "", "host\nSIZE 1\nDSN",
		"250 x\r\n");
	reads("550-5.7.1 a\r\n550-\r\n550 5.7.26 b\r\n", 550, "5.7.26", "a\n\nb", "");
	reads("550 5.1.1\r\n", 550, "5.1.1", "", "");
	reads("250 5.1.1 x\r\n", 250, "", "5.1.1 x", "");
	reads("220 2.0.0.1 is my address\r\n", 220, "", "2.0.0.1 is my address", "");
	reads("421 a\tb\x01\xff\r\r\n", 421, "", "a b?\xff", "");
}

static void test_reader_is_used_again(void **state)
{
	(void)state;
	struct smtp_reply_reader r;
	size_t used;
	smtp_reply_reader_init(&r);
	struct str s = STR("550-5.1.1 a\r\n550 b\r\n250 c\r\n");
	assert_int_equal(smtp_reply_feed(&r, s, &used), SMTP_READ_DONE);
	s = str_skip(s, used);
	assert_int_equal(smtp_reply_feed(&r, s, &used), SMTP_READ_DONE);
	assert_int_equal(r.code, 250);
	assert_int_equal(r.enhanced.class, 0);
	assert_str(buf_str(&r.text), "c");
	assert_int_equal(used, s.len);
	smtp_reply_reader_release(&r);
}

static void test_bad(void **state)
{
	(void)state;
	static const char *const rows[] = {
		"\r\n",
		"25\r\n",
		"hello\r\n",
		"250x\r\n",
		"199 x\r\n",
		"600 x\r\n",
		"2500 x\r\n",
		" 250 x\r\n",
		"HTTP/1.1 400 Bad Request\r\n",
		"250-a\r\n251 b\r\n",
		"250-a\r\n550 b\r\n",
		"-50 x\r\n",
		"\x16\x03\x01\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct smtp_reply_reader r;
		size_t used;
		smtp_reply_reader_init(&r);
		if (smtp_reply_feed(&r, str_from_c(rows[i]), &used) != SMTP_READ_BAD)
			fail_msg("%s", rows[i]);
		smtp_reply_reader_release(&r);
	}
}

static enum smtp_read feed_again(const char *piece, size_t times, size_t *ret_len)
{
	struct smtp_reply_reader r;
	enum smtp_read read = SMTP_READ_MORE;
	size_t used;
	smtp_reply_reader_init(&r);
	for (size_t i = 0; i < times && read == SMTP_READ_MORE; i++)
		read = smtp_reply_feed(&r, str_from_c(piece), &used);
	assert_true(r.text.cap + r.line.cap <= SMTP_REPLY_TEXT_MAX + SMTP_REPLY_LINE_MAX);
	*ret_len = r.text.len;
	smtp_reply_reader_release(&r);
	return read;
}

static void test_endless(void **state)
{
	(void)state;
	size_t len;
	assert_int_equal(feed_again("250-x\r\n", 127, &len), SMTP_READ_MORE);
	assert_int_equal(feed_again("250-x\r\n", 1000, &len), SMTP_READ_BAD);
	assert_int_equal(feed_again("250 xxxxxxxx", 1000000, &len), SMTP_READ_BAD);
	/* 100 lines of 100 octets: done, the text cut at its maximum.  */
	char line[104];
	memset(line, 'x', sizeof(line));
	memcpy(line, "250-", 4);
	memcpy(line + 101, "\r\n", 3);
	assert_int_equal(feed_again(line, 100, &len), SMTP_READ_MORE);
	assert_int_equal(len, SMTP_REPLY_TEXT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wire_form),
		cmocka_unit_test(test_long_lines_are_cut),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_reader_is_used_again),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_endless),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
