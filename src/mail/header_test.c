#include "mail/header.h"

#include "base/test.h"

struct seen {
	unsigned received;
	bool done, eight_bit;
	const char *message_id;
};

/* In one piece, octet by octet, and cut in two everywhere: the same is seen.  */
static void watch(struct str s, struct seen wanted)
{
	for (size_t cut = 0; cut <= s.len + 1; cut++) {
		struct header_watch w;
		header_watch_init(&w);
		if (cut <= s.len) {
			header_watch_feed(&w, str_head(s, cut));
			header_watch_feed(&w, str_skip(s, cut));
		} else {
			for (size_t i = 0; i < s.len; i++)
				header_watch_feed(&w, str_of(s.ptr + i, 1));
		}
		if (w.received != wanted.received || w.done != wanted.done ||
			w.eight_bit != wanted.eight_bit)
			fail_msg("cut %zu of \"" STR_FMT "\": %u %d %d", cut, STR_ARG(s),
				w.received, w.done, w.eight_bit);
		assert_str(header_message_id(&w), wanted.message_id);
	}
}

static void test_watch(void **state)
{
	(void)state;
	watch(STR(""), (struct seen){0, false, false, ""});
	watch(STR("\r\n"), (struct seen){0, true, false, ""});
	watch(STR("\nReceived: x"), (struct seen){0, true, false, ""});
	watch(STR("Subject: x\r\n\r\nReceived: x\r\n\xff"), (struct seen){0, true, false, ""});
	watch(STR("Received: a\r\n b\r\n\tc\r\nRECEIVED:\r\nreceived : x\r\nX-Received: n\r\n"
		  "Received-SPF: n\r\n\r\n"),
		(struct seen){3, true, false, ""});
	watch(STR("Subject: Received: x\r\n Received: y\r\n\r\n"),
		(struct seen){0, true, false, ""});
	watch(STR("Subject: \xc3\xb6\r\n\r\n"), (struct seen){0, true, true, ""});
	watch(STR("Subject: 12345678901234567890\xc3\r\n\r\n"), (struct seen){0, true, true, ""});
	watch(STR("S\xc3: x\r\n\r\n"), (struct seen){0, true, true, ""});
	watch(STR("Subject: o\r\n\r\n\xc3\xb6"), (struct seen){0, true, false, ""});
}

static void test_message_id(void **state)
{
	(void)state;
	watch(STR("Message-ID: <a@b>\r\n\r\n"), (struct seen){0, true, false, "<a@b>"});
	watch(STR("message-id:<a@b> (x)\r\nMessage-ID: <second@b>\r\n\r\n"),
		(struct seen){0, true, false, "<a@b>"});
	watch(STR("Message-Id:\r\n <a@b>\r\n\r\n"), (struct seen){0, true, false, "<a@b>"});
	watch(STR("Message-ID:  \r\n\t \r\n <a@b>\r\n <no>\r\n\r\n"),
		(struct seen){0, true, false, "<a@b>"});
	watch(STR("Message-ID:\r\nReceived: x\r\n <a@b>\r\n\r\n"),
		(struct seen){1, true, false, ""});
	watch(STR("Message-ID: bare\r\n more\r\n\r\n"), (struct seen){0, true, false, "bare"});
	watch(STR("Subject: <a@b>\r\n <a@b>\r\n\r\n"), (struct seen){0, true, false, ""});
	watch(STR("X: y\r\n\r\nMessage-ID: <a@b>\r\n"), (struct seen){0, true, false, ""});
	watch(STR("Message-ID: <a@b"), (struct seen){0, false, false, "<a@b"});
}

static void test_message_id_is_cut(void **state)
{
	(void)state;
	struct header_watch w;
	char id[400];
	memset(id, 'i', sizeof(id));
	header_watch_init(&w);
	header_watch_feed(&w, STR("Message-ID: "));
	header_watch_feed(&w, str_of(id, sizeof(id)));
	header_watch_feed(&w, STR("\r\nReceived: x\r\n\r\n"));
	assert_int_equal(header_message_id(&w).len, 255);
	assert_int_equal(w.received, 1);
}

static void test_long_names(void **state)
{
	(void)state;
	watch(STR("ReceivedReceivedReceivedReceived: x\r\n\r\n"),
		(struct seen){0, true, false, ""});
	watch(STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: x\r\n"
		  "Received: x\r\n\r\n"),
		(struct seen){1, true, false, ""});
}

static void test_no_field_ends_the_section(void **state)
{
	(void)state;
	watch(STR("hello\r\nReceived: x\r\n"), (struct seen){0, true, false, ""});
	watch(STR("Received: x\r\nhello there\r\nReceived: x\r\n"),
		(struct seen){1, true, false, ""});
	watch(STR(": x\r\nReceived: x\r\n"), (struct seen){0, true, false, ""});
	watch(STR("From a@b Sun Nov 22\r\nReceived: x\r\n\r\n"), (struct seen){1, true, false, ""});
	watch(STR(">From a@b\r\nReceived: x\r\n\r\n"), (struct seen){1, true, false, ""});
	watch(STR("\rX\r\nReceived: x\r\n"), (struct seen){0, true, false, ""});
}

static void test_next(void **state)
{
	(void)state;
	static const struct {
		struct str section;
		const char *fields; /* name=value; */
		const char *rest;
	} rows[] = {
		{STR("A: 1\r\nB:2\r\n\r\nbody\r\n"), "A= 1;B=2;", "body\r\n"},
		{STR("A: 1\nB: x\n y\n\tz\n\nbody"), "A= 1;B= x\n y\n\tz;", "body"},
		{STR("A: 1\r\n x\r\n"), "A= 1\r\n x;", ""},
		{STR("A : 1"), "A= 1;", ""},
		{STR("A:\r\n\r\n"), "A=;", ""},
		{STR("A: b:c\r\n\r\n\r\n"), "A= b:c;", "\r\n"},
		{STR(""), "", ""},
		{STR("\r\nbody"), "", "body"},
		{STR("A: 1\r\nbody\r\n"), "A= 1;", "body\r\n"},
		{STR(" A: 1\r\n"), "", " A: 1\r\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str section = rows[i].section, name, value;
		struct buf seen;
		buf_init(&seen, 1000);
		while (header_next(&section, &name, &value)) {
			buf_add(&seen, name), buf_add_c(&seen, '=');
			buf_add(&seen, value), buf_add_c(&seen, ';');
		}
		assert_str(buf_str(&seen), rows[i].fields);
		assert_str(section, rows[i].rest);
		buf_release(&seen);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_message_id),
		cmocka_unit_test(test_message_id_is_cut),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_no_field_ends_the_section),
		cmocka_unit_test(test_next),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
