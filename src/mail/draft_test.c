#include "base/test.h"
#include "mail/draft.h"

static bool is_alice(void *context, struct str address)
{
	(void)context;
	return str_ieq(address, STR("alice@example.com"));
}

static const struct draft_terms terms = {.account = {"alice@example.com", 17},
	.hostname = {"mail.example.com", 16},
	.id = {"ID", 2},
	.wall = 1795334400000, /* 22 Nov 2026 08:00:00 */
	.may_send_as = is_alice};

#define DATE "Date: Sun, 22 Nov 2026 08:00:00 +0000\r\n"
#define MID "Message-ID: <ID@mail.example.com>\r\n"
#define ADDED DATE MID
#define HAS "From: alice@example.com\r\nDate: now\r\nMessage-ID: <x>\r\n"

/* Fed in two pieces, the rest as it comes.  */
static bool finish(struct str text, size_t at, const struct draft_terms *t, struct buf *out,
	struct draft_refusal *refusal)
{
	struct draft d;
	draft_init(&d);
	buf_clear(out);
	bool whole = draft_feed(&d, str_head(text, at));
	if (!whole) whole = draft_feed(&d, str_skip(text, at)), at = text.len;
	bool fine = draft_finish(&d, t, out, refusal);
	if (fine) buf_add(out, str_skip(text, at));
	draft_release(&d);
	return fine;
}

static void gives_by(const struct draft_terms *t, const char *octets, const char *wanted)
{
	struct buf out;
	struct draft_refusal refusal;
	struct str text = str_from_c(octets);
	buf_init(&out, 1 << 20);
	for (size_t at = 0; at <= text.len; at++) {
		if (!finish(text, at, t, &out, &refusal)) fail_msg("%s: %s", octets, refusal.text);
		assert_str(buf_str(&out), wanted);
	}
	buf_release(&out);
}

static void gives(const char *octets, const char *wanted) { gives_by(&terms, octets, wanted); }

static void refuses(const char *octets, uint16_t code, const char *words)
{
	struct buf out;
	struct draft_refusal refusal;
	struct str text = str_from_c(octets);
	buf_init(&out, 1 << 20);
	for (size_t at = 0; at <= text.len; at++) {
		if (finish(text, at, &terms, &out, &refusal)) fail_msg("taken: %s", octets);
		assert_int_equal(refusal.code, code);
		if (!strstr(refusal.text, words)) fail_msg("\"%s\"", refusal.text);
	}
	buf_release(&out);
}

static void test_whole_messages_pass(void **state)
{
	(void)state;
	gives(HAS "\r\nbody\r\n", HAS "\r\nbody\r\n");
	gives("From: Alice\r\n <alice@example.com>\r\nSUBJECT:x\r\nDate: d\r\nMessage-Id: <y>\r\n\r\n\r\n.\r\n",
		"From: Alice\r\n <alice@example.com>\r\nSUBJECT:x\r\nDate: d\r\nMessage-Id: <y>\r\n\r\n\r\n.\r\n");
	gives(HAS "Sender: Alice <ALICE@example.com>\r\n\r\n",
		HAS "Sender: Alice <ALICE@example.com>\r\n\r\n");
}

static void test_missing_fields(void **state)
{
	(void)state;
	gives("From: alice@example.com\r\nSubject: x\r\n\r\nhi\r\n",
		"From: alice@example.com\r\nSubject: x\r\n" ADDED "\r\nhi\r\n");
	gives("\r\nhi\r\n", "From: <alice@example.com>\r\n" ADDED "\r\nhi\r\n");
	gives("", "From: <alice@example.com>\r\n" ADDED "\r\n");
	gives(HAS "Content-Type: text/plain\r\n\r\n",
		HAS "Content-Type: text/plain\r\nMIME-Version: 1.0\r\n\r\n");
	gives(HAS "Mime-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n",
		HAS "Mime-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n");
}

static void test_bcc(void **state)
{
	(void)state;
	gives(HAS
		"Bcc: secret@example.org,\r\n other@example.org\r\nTo: x\r\nbcc:\r\nResent-BCC: z\r\n\r\nBcc: body\r\n",
		HAS "To: x\r\n\r\nBcc: body\r\n");
}

static void test_syntax(void **state)
{
	(void)state;
	gives(HAS "Subject : x\r\n\r\n", HAS "Subject: x\r\n\r\n");
	gives("From alice Sun Nov 22 08:00:00 2026\r\n" HAS "\r\nFrom here\r\n",
		HAS "\r\nFrom here\r\n");
	gives(HAS "no field\r\nX: y\r\n", HAS "\r\nno field\r\nX: y\r\n");
	gives(HAS "two words: y\r\n", HAS "\r\ntwo words: y\r\n");
	gives("hello\r\n", "From: <alice@example.com>\r\n" ADDED "\r\nhello\r\n");
	gives(HAS, HAS "\r\n"); /* no body at all */
}

static void test_not_ascii(void **state)
{
	(void)state;
	gives(HAS "Subject: caf\xc3\xa9\r\nTo: J\xc3\xb6rg <j@example.org>\r\n\r\ncaf\xc3\xa9\r\n",
		HAS
		"Subject: =?utf-8?B?Y2Fmw6k=?=\r\nTo: =?utf-8?B?SsO2cmc=?= <j@example.org>\r\n\r\ncaf\xc3\xa9\r\n");
	refuses(HAS "To: j\xc3\xb6rg@example.org\r\n\r\n", 550,
		"the To field of the header is not ASCII");
	refuses(HAS "References: <\xc3\xa9>\r\n\r\n", 550, "References");
	refuses(HAS "Content-Disposition: attachment; filename=\"\xc3\xa9\"\r\n\r\n", 550,
		"SMTPUTF8");
	struct draft_terms utf8 = terms;
	utf8.utf8 = true;
	gives_by(&utf8, HAS "To: j\xc3\xb6rg@example.org\r\nSubject: \xc3\xa9\r\n\r\n",
		HAS "To: j\xc3\xb6rg@example.org\r\nSubject: \xc3\xa9\r\n\r\n");
}

static void test_whose_name(void **state)
{
	(void)state;
	refuses("From: bob@example.com\r\n\r\n", 550,
		"From: <bob@example.com>, which is no address of your account alice@example.com");
	refuses("From: alice@example.com, Bob <bob@example.com>\r\n\r\n", 550, "<bob@example.com>");
	refuses("From: bob@example.com <alice@example.com>\r\n\r\n", 550, "<bob@example.com>");
	refuses("from : Bob\r\n <bob@example.com>\r\n\r\n", 550, "<bob@example.com>");
	refuses(HAS "Sender: bob@example.com\r\n\r\n", 550, "Sender: <bob@example.com>");
	refuses(HAS "From: alice@example.com\r\n\r\n", 550, "more than one From");
	refuses("From: nobody:;\r\n\r\n", 550, "cannot be read");
	refuses("From:\r\n\r\n", 550, "cannot be read");
	refuses("From: <alice@example.com\r\n\r\n", 550, "cannot be read");
	refuses("From: \"bob@example.com\" <>\r\n\r\n", 550, "From: <>");
	/* Only the section itself counts.  */
	gives(HAS "\r\nFrom: bob@example.com\r\n", HAS "\r\nFrom: bob@example.com\r\n");
}

static void test_too_long(void **state)
{
	(void)state;
	struct draft d;
	struct buf out;
	struct draft_refusal refusal;
	buf_init(&out, 1 << 20);
	draft_init(&d);
	bool whole = draft_feed(&d, STR("X: "));
	size_t fed = 3;
	for (; !whole; fed += 1000) {
		char line[1000];
		memset(line, 'x', sizeof line);
		memcpy(line + 997, "\r\n ", 3);
		whole = draft_feed(&d, str_of(line, sizeof line));
	}
	assert_true(fed > DRAFT_HEADER_MAX && fed < DRAFT_HEADER_MAX + 2000);
	assert_false(draft_finish(&d, &terms, &out, &refusal));
	assert_int_equal(refusal.code, 552);
	draft_release(&d);
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_messages_pass),
		cmocka_unit_test(test_missing_fields),
		cmocka_unit_test(test_bcc),
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_not_ascii),
		cmocka_unit_test(test_whose_name),
		cmocka_unit_test(test_too_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
