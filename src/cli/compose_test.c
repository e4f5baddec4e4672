#include "cli/compose.h"

#include "base/test.h"

static char path[] = "/tmp/rockdove-compose-XXXXXX";

static void check(const struct compose *c, const char *wanted)
{
	struct composed got;
	assert_int_equal(compose_message(c, "test", &got), EXIT_DONE);
	assert_str(buf_str(&got.content), wanted);
	buf_release(&got.content);
}

static const struct str to[] = {STR("a@b.example"), STR("B <b@b.example>")};

static void plain(void **state)
{
	(void)state;
	struct compose c = {.from = STR("x@y.example"),
		.to = to,
		.to_count = 2,
		.subject = STR("hi"),
		.body = STR("one\ntwo\r\n.\n")};
	check(&c,
		"From: x@y.example\r\nTo: a@b.example, B <b@b.example>\r\nSubject: hi\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\none\r\ntwo\r\n.\r\n");
	/* Not ASCII: readable still, and seven bits.  */
	c.subject = STR("Gr\xc3\xbc\xc3\x9f"
			"e");
	c.body = STR("Sch\xc3\xb6ne Gr\xc3\xbc\xc3\x9f"
		     "e = viele\n");
	check(&c,
		"From: x@y.example\r\nTo: a@b.example, B <b@b.example>\r\nSubject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n"
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Transfer-Encoding: quoted-printable\r\n\r\nSch=C3=B6ne Gr=C3=BC=C3=9Fe =3D viele\r\n");
	c.subject = STR_NONE;
	c.body = STR("\xe6\x97\xa5\xe6\x9c\xac");
	check(&c,
		"From: x@y.example\r\nTo: a@b.example, B <b@b.example>\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n5pel5pys\r\n");
}

static void headers(void **state)
{
	(void)state;
	const struct str fields[] = {
		STR("X-A: 1"), STR("X-A:2"), STR("subject: mine"), STR("From: Me <me@y.example>")};
	struct compose c = {.from = STR("x@y.example"),
		.to = to,
		.to_count = 1,
		.subject = STR("hi"),
		.body = STR("b"),
		.headers = fields,
		.header_count = ARRAY_LEN(fields)};
	check(&c,
		"From: Me <me@y.example>\r\nTo: a@b.example\r\nSubject: mine\r\nX-A: 1\r\nX-A: 2\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\nb\r\n");

	const struct str dated[] = {STR("Date: yesterday"), STR("Message-ID: <x@y>")};
	struct composed got;
	c.headers = dated, c.header_count = 2;
	assert_int_equal(compose_message(&c, "test", &got), EXIT_DONE);
	assert_true(got.has_date && got.has_message_id);
	buf_release(&got.content);

	static const char *const wrong[] = {
		"X", ": x", "X y: z", "X: a\nB: c", "X\n: a", "X: \xff"};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct str field = str_from_c(wrong[i]);
		c.headers = &field, c.header_count = 1;
		if (compose_message(&c, "test", &got) != EXIT_USAGE) fail_msg("%zu is taken", i);
		buf_release(&got.content);
	}
	c.header_count = 0;
	c.body = STR("\xff");
	assert_int_equal(compose_message(&c, "test", &got), EXIT_DATA);
}

static void attachments(void **state)
{
	(void)state;
	char name[128];
	snprintf(name, sizeof name,
		"%s/Gr\xc3\xbc\xc3\x9f"
		"e & \"more\".txt",
		path);
	FILE *file = fopen(name, "w");
	assert_non_null(file);
	fputs("plain text\n", file);
	fclose(file);
	const struct str files[] = {str_from_c(name)};
	struct compose c = {.from = STR("x@y.example"),
		.to = to,
		.to_count = 1,
		.body = STR("b\n"),
		.files = files,
		.file_count = 1};
	struct composed got;
	assert_int_equal(compose_message(&c, "test", &got), EXIT_DONE);
	struct str text = buf_str(&got.content);
	assert_true(str_contains(text, STR("Content-Type: multipart/mixed; boundary=")));
	assert_true(str_contains(text, STR("Content-Type: text/plain; charset=utf-8\r\n")));
	assert_true(str_contains(text, STR("Content-Disposition: attachment;")));
	assert_true(str_contains(
		text, STR("filename*=UTF-8''Gr%C3%BC%C3%9Fe%20&%20%22more%22.txt\r\n")));
	assert_true(str_contains(text, STR("\r\n\r\ncGxhaW4gdGV4dAo=\r\n")));
	assert_false(got.eight_bit);
	/* No line end of another kind.  */
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] == '\n') assert_true(i > 0 && text.ptr[i - 1] == '\r');
	buf_release(&got.content);
	unlink(name);

	assert_int_equal(compose_message(&c, "test", &got), EXIT_IO);
}

static void whole(void **state)
{
	(void)state;
	struct composed got;
	assert_int_equal(compose_whole(STR("A: b\n\nx\r\n\xff\ny"), "test", &got), EXIT_DONE);
	assert_str(buf_str(&got.content), "A: b\r\n\r\nx\r\n\xff\r\ny\r\n");
	assert_true(got.eight_bit);
	struct buf copy;
	buf_init(&copy, 4096);
	assert_true(compose_add_copy(&got, &copy, 0, STR("1"), STR("h")));
	assert_true(str_eq(buf_str(&copy), buf_str(&got.content)));
	got.has_date = got.has_message_id = false;
	buf_clear(&copy);
	assert_true(compose_add_copy(&got, &copy, 0, STR("1"), STR("h")));
	assert_true(
		str_starts(buf_str(&copy),
			STR("Date: Thu, 01 Jan 1970 00:00:00 +0000\r\nMessage-ID: <1@h>\r\nA: b\r\n")) ||
		str_starts(buf_str(&copy),
			STR("Date: Thu, 1 Jan 1970 00:00:00 +0000\r\nMessage-ID: <1@h>\r\nA: b\r\n")));
	buf_release(&copy);
	buf_release(&got.content);
}

static void addresses(void **state)
{
	(void)state;
	assert_str(compose_address(STR("a@b")), "a@b");
	assert_str(compose_address(STR(" a@b ")), "a@b");
	assert_str(compose_address(STR("A <a@b>")), "a@b");
	assert_str(compose_address(STR("\"<x>\" <a@b>")), "a@b");
	assert_str(compose_address(STR("<>")), "");
	assert_str(compose_address(STR("")), "");
}

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(path) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(path);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(plain),
		cmocka_unit_test(headers),
		cmocka_unit_test(attachments),
		cmocka_unit_test(whole),
		cmocka_unit_test(addresses),
	};
	return cmocka_run_group_tests(all, make_directory, remove_directory);
}
