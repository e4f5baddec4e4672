#include "smtp/command.h"

#include "base/test.h"

static const struct smtp_server_config config = {.hostname = STR("mx.example.com")};
static const struct smtp_terms terms = {.config = &config};

static void test_words(void **state)
{
	(void)state;
	static const struct {
		const char *line, *word, *rest;
	} rows[] = {
		{"", "", ""},
		{"QUIT", "QUIT", ""},
		{"  noop \t x  y", "noop", "x  y"},
		{"a\tb", "a", "b"},
		{" \t", "", ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str line = str_from_c(rows[i].line);
		assert_str(smtp_command_word(&line), rows[i].word);
		assert_str(line, rows[i].rest);
	}
}

/* Every line also on memory that ends with it, so that reading past the end is seen.  */
static bool parse(bool mail, const char *text, struct smtp_event *e, struct smtp_refusal *refusal,
	char **ret_copy)
{
	size_t len = strlen(text);
	*ret_copy = malloc(len ? len : 1);
	memcpy(*ret_copy, text, len);
	struct str args = str_of(*ret_copy, len);
	return mail ? smtp_command_mail(args, &terms, e, refusal)
		    : smtp_command_rcpt(args, &terms, e, refusal);
}

static void test_good_paths(void **state)
{
	(void)state;
	static const struct {
		bool mail;
		const char *args, *path;
	} rows[] = {
		{true, "FROM:<a@b>", "a@b"},
		{true, "from:a@b", "a@b"},
		{true, "From: a@b", "a@b"},
		{true, "FROM: \t <a@b>", "a@b"},
		{true, "FROM:< a@b >", "a@b"},
		{true, "FROM:<>", ""},
		{true, "FROM: < >", ""},
		{true, "FROM:<a@b> SIZE=1", "a@b"},
		{true, "FROM:a@b  SIZE=1 ", "a@b"},
		{true, "FROM:<\"a>b\"@c> SIZE=1", "\"a>b\"@c"},
		{true, "FROM:<\"a\\\" >b\"@c>", "\"a\\\" >b\"@c"},
		{true, "FROM:\"a b\"@c SIZE=1", "\"a b\"@c"},
		{true, "FROM:<@one,@two.example:a@b>", "a@b"},
		{true, "FROM:@one:a@b", "a@b"},
		{true, "FROM:<a@[IPv6:::1]>", "a@[IPv6:::1]"},
		{false, "TO:<a@b>", "a@b"},
		{false, "to: a@b", "a@b"},
		{false, "TO:<Postmaster>", "Postmaster"},
		{false, "TO:bob", "bob"},
		{false, "TO:<@one:a@b> NOTIFY=NEVER", "a@b"},
		{false, "TO:<@one:postmaster>", "postmaster"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct smtp_event e;
		struct smtp_refusal refusal;
		char *copy;
		if (!parse(rows[i].mail, rows[i].args, &e, &refusal, &copy))
			fail_msg("%s", rows[i].args);
		assert_str(e.path.text, rows[i].path);
		assert_int_equal(e.type, rows[i].mail ? SMTP_EVENT_MAIL : SMTP_EVENT_RCPT);
		free(copy);
	}
}

static void test_bad_paths(void **state)
{
	(void)state;
	static const struct {
		bool mail;
		const char *args;
		unsigned code, subject, detail;
	} rows[] = {
		{true, "", 501, 5, 4},
		{true, "a@b", 501, 5, 4},
		{true, "TO:<a@b>", 501, 5, 4},
		{true, "FROM", 501, 5, 4},
		{true, "FROM <a@b>", 501, 5, 4},
		{true, "FROM:", 501, 5, 4},
		{true, "FROM:  ", 501, 5, 4},
		{true, "FROM:<", 501, 1, 7},
		{true, "FROM:<a@b", 501, 1, 7},
		{true, "FROM:<a@b>x", 501, 1, 7},
		{true, "FROM:<a@b>SIZE=1", 501, 1, 7},
		{true, "FROM:a@b>", 501, 1, 7},
		{true, "FROM:<<a@b>>", 501, 1, 7},
		{true, "FROM:<a>", 501, 1, 7},
		{true, "FROM:<a b@c>", 501, 1, 7},
		{true, "FROM:<\"a@b>", 501, 1, 7},
		{true, "FROM:<a\\>", 501, 1, 7},
		{true, "FROM:<@one>", 501, 1, 7},
		{true, "FROM:<@one,two:a@b>", 501, 1, 7},
		{true, "FROM:<@:a@b>", 501, 1, 7},
		{true, "FROM:<@one,:a@b>", 501, 1, 7},
		{true, "FROM:Bob <a@b>", 501, 1, 7},
		{true, "FROM:<\xc3\xb6@b>", 553, 6, 7},
		{true, "FROM:<\xff@b> SMTPUTF8", 501, 1, 7},
		{true, "FROM:<a@b> FOO", 555, 5, 4},
		{true, "FROM:<a@b> SIZE=x", 501, 5, 4},
		{false, "", 501, 5, 4},
		{false, "FROM:<a@b>", 501, 5, 4},
		{false, "TO:", 501, 5, 4},
		{false, "TO:<>", 501, 1, 3},
		{false, "TO:<a@>", 501, 1, 3},
		{false, "TO:<a@b> SIZE=1", 555, 5, 4},
		{false, "TO:<a@b> NOTIFY=x", 501, 5, 4},
		{false, "TO:<\xc3\xb6@b>", 553, 6, 7},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct smtp_event e;
		struct smtp_refusal refusal;
		char *copy;
		bool parsed = parse(rows[i].mail, rows[i].args, &e, &refusal, &copy);
		if (parsed || refusal.code != rows[i].code ||
			refusal.enhanced.subject != rows[i].subject ||
			refusal.enhanced.detail != rows[i].detail)
			fail_msg("%s: %u", rows[i].args, parsed ? 0 : refusal.code);
		free(copy);
	}
}

/* Lists choose long reverse-paths; a mailbox's own name is bounded.  */
static void test_long_local_parts(void **state)
{
	(void)state;
	char args[100];
	struct smtp_event e;
	struct smtp_refusal refusal;
	char *copy;
	for (size_t len = 64; len <= 65; len++) {
		memset(args, 0, sizeof(args));
		memcpy(args, "FROM:", 5);
		memset(args + 5, 'a', len);
		memcpy(args + 5 + len, "@b", 2);
		assert_true(parse(true, args, &e, &refusal, &copy));
		free(copy);
		memcpy(args + 2, "TO:", 3);
		assert_int_equal(parse(false, args + 2, &e, &refusal, &copy), len == 64);
		free(copy);
	}
}

static void test_rcpt_in_utf8(void **state)
{
	(void)state;
	const struct smtp_terms utf8 = {.config = &config, .utf8 = true};
	struct smtp_event e;
	struct smtp_refusal refusal;
	assert_true(smtp_command_rcpt(STR("TO:<\xc3\xb6@b>"), &utf8, &e, &refusal));
	assert_true(e.path.utf8);
}

static void test_vrfy(void **state)
{
	(void)state;
	static const struct {
		const char *args, *text;
		unsigned code;
	} rows[] = {
		{"a@b", "a@b", 0},
		{"<a@b>", "a@b", 0},
		{" bob ", "bob", 0},
		{"\xc3\xb6@b smtputf8", "\xc3\xb6@b", 0},
		{"", "", 501},
		{"a@b x", "", 501},
		{"<>", "", 501},
		{"a@", "", 501},
		{"\xc3\xb6@b", "", 553},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct address a;
		struct smtp_refusal refusal = {0};
		bool good = smtp_command_vrfy(str_from_c(rows[i].args), &a, &refusal);
		assert_int_equal(refusal.code, rows[i].code);
		assert_int_equal(good, rows[i].code == 0);
		if (good) assert_str(a.text, rows[i].text);
	}
}

static void test_bdat(void **state)
{
	(void)state;
	static const struct {
		const char *args;
		bool good, last;
		uint64_t size;
	} rows[] = {
		{"0", true, false, 0},
		{"12 LAST", true, true, 12},
		{"012  last", true, true, 12},
		{"9223372036854775807", true, false, INT64_MAX},
		{"9223372036854775808", false, false, 0},
		{"", false, false, 0},
		{"LAST", false, false, 0},
		{"1 LASTLY", false, false, 0},
		{"+1", false, false, 0},
		{"1 2", false, false, 0},
		{"1 LAST LAST", false, false, 0},
		{"0x10", false, false, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t size = 0;
		bool last;
		bool good = smtp_command_bdat(str_from_c(rows[i].args), &size, &last);
		if (good != rows[i].good) fail_msg("%s", rows[i].args);
		if (good) assert_int_equal(size, rows[i].size);
		if (good) assert_int_equal(last, rows[i].last);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_good_paths),
		cmocka_unit_test(test_bad_paths),
		cmocka_unit_test(test_long_local_parts),
		cmocka_unit_test(test_rcpt_in_utf8),
		cmocka_unit_test(test_vrfy),
		cmocka_unit_test(test_bdat),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
