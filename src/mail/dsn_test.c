#include "mail/dsn.h"

#include "base/rng.h"
#include "base/test.h"
#include "mail/header.h"

enum { NOW = 1795324367 }; /* seconds: Sun, 22 Nov 2026 05:12:47 */

static struct recipient recipients[3];
static struct envelope envelope;

static void set_up(void)
{
	recipients[0] = (struct recipient){.address = STR("bob@example.net"),
		.orcpt = STR("rfc822;Bob+2Bx@example.org"),
		.original = STR("bob+x@example.org")};
	recipients[1] = (struct recipient){.address = STR("eve@example.net")};
	recipients[2] = (struct recipient){.address = STR("joe@example.com")};
	envelope = (struct envelope){.reverse_path = STR("alice@example.org"),
		.envid = STR("QQ+3D314"),
		.recipients = recipients,
		.recipient_count = 3,
		.created = SECONDS(NOW - 86400)};
}

static const struct outcome unknown_user = {
	.class = OUTCOME_FAILED,
	.code = 550,
	.enhanced = {5, 1, 1},
	.remote = true,
	.text = STR("No such user here, please check the spelling of what you wrote behind RCPT"),
	.host = STR("mx1.example.net[192.0.2.1]:25"),
};

static void compose(struct buf *out, const struct dsn_recipient *of, uint32_t count, bool full,
	const char *content)
{
	struct dsn dsn = {.envelope = &envelope,
		.hostname = STR("mail.example.org"),
		.id = STR("4Tq7"),
		.own_id = STR("4Tq8"),
		.now = SECONDS(NOW),
		.recipients = of,
		.recipient_count = count};
	buf_init(out, 1 << 20);
	assert_true(dsn_add_head(out, &dsn, full));
	buf_add(out, str_from_c(content));
	assert_true(dsn_add_tail(out, &dsn));
}

/* ---- the output taken apart again ---- */

enum { PARTS = 3 };

struct parsed {
	struct str header;
	struct str part_headers[PARTS];
	struct str bodies[PARTS];
	char boundary[100];
};

static struct str field(struct str section, const char *name)
{
	struct str n, v, found = STR_NONE;
	while (header_next(&section, &n, &v)) {
		if (!str_ieq(n, str_from_c(name))) continue;
		assert_null(found.ptr); /* each at most once */
		found = str_trim(v);
	}
	return found;
}

static size_t find(struct str s, const char *needle)
{
	size_t len = strlen(needle);
	for (size_t i = 0; i + len <= s.len; i++)
		if (memcmp(s.ptr + i, needle, len) == 0) return i;
	return s.len;
}

static struct str take_section(struct str *s)
{
	size_t end = find(*s, "\r\n\r\n");
	assert_true(end < s->len);
	struct str section = str_head(*s, end + 4);
	*s = str_skip(*s, end + 4);
	return section;
}

static void lines_are_sound(struct str s, bool seven_bit)
{
	size_t line = 0;
	for (size_t i = 0; i < s.len; i++) {
		uint8_t octet = (uint8_t)s.ptr[i];
		assert_true(octet != 0 && (octet != '\n' || s.ptr[i - 1] == '\r'));
		assert_true(octet != '\r' || (i + 1 < s.len && s.ptr[i + 1] == '\n'));
		assert_false(seven_bit && octet > 0x7f);
		line = octet == '\n' ? 0 : line + 1;
		assert_true(line < 999);
	}
}

static void parse(struct str s, struct parsed *ret)
{
	ret->header = take_section(&s);
	struct str type = field(ret->header, "Content-Type");
	size_t at = find(type, "boundary=\"");
	assert_true(at < type.len);
	struct str boundary;
	struct str rest = str_skip(type, at + 10);
	assert_true(str_cut(&rest, '"', &boundary));
	assert_true(boundary.len > 4 && boundary.len <= 70);
	snprintf(ret->boundary, sizeof(ret->boundary), "\r\n--" STR_FMT, STR_ARG(boundary));
	s = str_skip(s, boundary.len + 4); /* "--", and the CRLF */
	for (size_t i = 0; i < PARTS; i++) {
		ret->part_headers[i] = take_section(&s);
		size_t end = find(s, ret->boundary);
		ret->bodies[i] = str_head(s, end);
		s = str_skip(s, end + strlen(ret->boundary) + 2);
		if (i + 1 == PARTS) assert_str(str_of(s.ptr - 2, 2), "--");
	}
	assert_str(s, "\r\n");
}

/* Folding undone: CRLF before a space is nothing.  */
static struct str unfold(struct str s, struct buf *to)
{
	buf_init(to, 10000);
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] != '\r' && s.ptr[i] != '\n') buf_add_c(to, s.ptr[i]);
	return buf_str(to);
}

static void field_is(struct str section, const char *name, const char *wanted)
{
	struct buf b;
	assert_str(unfold(field(section, name), &b), wanted);
	buf_release(&b);
}

/* ---- tests ---- */

static void test_the_whole_of_one(void **state)
{
	(void)state;
	set_up();
	struct dsn_recipient of[] = {
		{&recipients[0], DSN_FAILED, unknown_user, SECONDS(NOW - 2), 0}};
	struct buf out;
	compose(&out, of, 1, false, "Subject: hi\r\n");
	assert_str(buf_str(&out),
		"From: Mail Delivery System <MAILER-DAEMON@mail.example.org>\r\n"
		"To: <alice@example.org>\r\n"
		"Subject: Undelivered mail: your message was not delivered\r\n"
		"Date: Sun, 22 Nov 2026 05:12:47 +0000\r\n"
		"Message-ID: <4Tq8@mail.example.org>\r\n"
		"Auto-Submitted: auto-replied\r\n"
		"MIME-Version: 1.0\r\n"
		"Content-Type: multipart/report; report-type=delivery-status;\r\n"
		"\tboundary=\"=_rockdove_4Tq8\"\r\n"
		"\r\n"
		"--=_rockdove_4Tq8\r\n"
		"Content-Type: text/plain; charset=us-ascii\r\n"
		"\r\n"
		"This is the mail system at mail.example.org.\r\n"
		"\r\n"
		"Your message was not delivered to the following, and will not be tried\r\n"
		"again:\r\n"
		"\r\n"
		"  <bob+x@example.org>, which goes on to <bob@example.net>\r\n"
		"    There is no such mailbox at that domain. Check the spelling of the\r\n"
		"    address; if it is right, ask the recipient in another way for the one in\r\n"
		"    use now.\r\n"
		"    mx1.example.net[192.0.2.1]:25 said: 550 5.1.1 No such user here, please\r\n"
		"    check the spelling of what you wrote behind RCPT\r\n"
		"\r\n"
		"Below are a report for mail programs and the header of your message.\r\n"
		"\r\n"
		"--=_rockdove_4Tq8\r\n"
		"Content-Type: message/delivery-status\r\n"
		"\r\n"
		"Original-Envelope-Id: QQ=314\r\n"
		"Reporting-MTA: dns; mail.example.org\r\n"
		"Arrival-Date: Sat, 21 Nov 2026 05:12:47 +0000\r\n"
		"X-Rockdove-Queue-Id: 4Tq7\r\n"
		"\r\n"
		"Original-Recipient: rfc822;Bob+x@example.org\r\n"
		"Final-Recipient: rfc822;bob@example.net\r\n"
		"Action: failed\r\n"
		"Status: 5.1.1\r\n"
		"Remote-MTA: dns; mx1.example.net\r\n"
		"Diagnostic-Code: smtp; 550 5.1.1 No such user here, please check the\r\n"
		" spelling of what you wrote behind RCPT\r\n"
		"Last-Attempt-Date: Sun, 22 Nov 2026 05:12:45 +0000\r\n"
		"\r\n"
		"--=_rockdove_4Tq8\r\n"
		"Content-Type: text/rfc822-headers\r\n"
		"\r\n"
		"Subject: hi\r\n"
		"\r\n"
		"--=_rockdove_4Tq8--\r\n");
	buf_release(&out);
}

static void test_several_recipients(void **state)
{
	(void)state;
	set_up();
	struct outcome full = {.class = OUTCOME_DEFERRED,
		.code = 452,
		.enhanced = {4, 2, 2},
		.remote = true,
		.text = STR("full"),
		.host = STR("[192.0.2.9]:25")};
	struct outcome silent =
		outcome_local(OUTCOME_EXPIRED, "4.4.1", STR("no answer from any of 2 hosts"));
	struct dsn_recipient of[] = {
		{&recipients[0], DSN_DELAYED, full, SECONDS(NOW), SECONDS(NOW + 3600)},
		{&recipients[1], DSN_FAILED, silent, SECONDS(NOW), 0},
		{&recipients[2], DSN_RELAYED,
			{.class = OUTCOME_DELIVERED, .code = 250, .enhanced = {2, 0, 0}}, 0, 0},
	};
	struct buf out;
	struct parsed p;
	compose(&out, of, 3, true, "Subject: hi\r\n\r\nbody\r\n");
	parse(buf_str(&out), &p);
	field_is(p.header, "Subject", "Undelivered mail: your message was not delivered");
	field_is(p.part_headers[2], "Content-Type", "message/rfc822");
	assert_str(p.bodies[2], "Subject: hi\r\n\r\nbody\r\n");
	struct str s = p.bodies[1];
	take_section(&s);
	struct str first = take_section(&s), second = take_section(&s);
	field_is(first, "Action", "delayed");
	field_is(first, "Status", "4.2.2");
	field_is(first, "Remote-MTA", "dns; [192.0.2.9]");
	field_is(first, "Diagnostic-Code", "smtp; 452 4.2.2 full");
	field_is(first, "Will-Retry-Until", "Sun, 22 Nov 2026 06:12:47 +0000");
	field_is(second, "Action", "failed");
	field_is(second, "Status", "4.4.1");
	field_is(second, "Diagnostic-Code", ""); /* nobody else said anything */
	field_is(second, "Remote-MTA", "");
	field_is(s, "Final-Recipient", "rfc822;joe@example.com");
	field_is(s, "Action", "relayed");
	field_is(s, "Status", "2.0.0");
	field_is(s, "Last-Attempt-Date", "");
	assert_true(str_contains(p.bodies[0], STR("It could not be delivered for 1d")));
	assert_true(
		str_contains(p.bodies[0], STR("We try until Sun, 22 Nov 2026 06:12:47 +0000.")));
	assert_true(str_contains(p.bodies[0], STR("What we noted: no answer from any of 2 hosts")));
	assert_true(str_contains(p.bodies[0], STR("[192.0.2.9]:25 said: 452 4.2.2 full")));
	buf_release(&out);
}

static void status_is(
	enum dsn_action action, enum outcome_class class, struct enhanced e, const char *wanted)
{
	struct outcome o = {.class = class, .enhanced = e};
	struct dsn_recipient of[] = {{&recipients[1], action, o, 0, 0}};
	struct buf out;
	struct parsed p;
	compose(&out, of, 1, false, "");
	parse(buf_str(&out), &p);
	struct str s = p.bodies[1];
	take_section(&s);
	field_is(s, "Status", wanted);
	buf_release(&out);
}

static void test_status_fits_the_action(void **state)
{
	(void)state;
	set_up();
	status_is(DSN_FAILED, OUTCOME_FAILED, (struct enhanced){5, 7, 26}, "5.7.26");
	status_is(DSN_FAILED, OUTCOME_FAILED, (struct enhanced){0}, "5.0.0");
	status_is(DSN_FAILED, OUTCOME_FAILED, (struct enhanced){4, 2, 2}, "5.2.2");
	status_is(DSN_FAILED, OUTCOME_EXPIRED, (struct enhanced){4, 2, 2}, "4.2.2");
	status_is(DSN_FAILED, OUTCOME_EXPIRED, (struct enhanced){4, 0, 0}, "4.4.7");
	status_is(DSN_FAILED, OUTCOME_EXPIRED, (struct enhanced){5, 7, 1}, "5.7.1");
	status_is(DSN_DELAYED, OUTCOME_DEFERRED, (struct enhanced){5, 7, 1}, "4.7.1");
	status_is(DSN_DELIVERED, OUTCOME_DELIVERED, (struct enhanced){2, 1, 5}, "2.1.5");
	status_is(DSN_EXPANDED, OUTCOME_DELIVERED, (struct enhanced){0}, "2.0.0");
}

static void test_forms_of_the_content(void **state)
{
	(void)state;
	const struct {
		uint32_t flags;
		bool full;
		const char *type, *encoding, *whole;
	} cases[] = {
		{0, true, "message/rfc822", "", ""},
		{0, false, "text/rfc822-headers", "", ""},
		{ENVELOPE_8BIT, true, "message/rfc822", "8bit", "8bit"},
		{ENVELOPE_8BIT, false, "text/rfc822-headers", "8bit", "8bit"},
		{ENVELOPE_BINARY, true, "message/rfc822", "binary", "binary"},
		{ENVELOPE_BINARY, false, "text/rfc822-headers", "8bit", "8bit"},
		{ENVELOPE_UTF8, true, "message/global", "8bit", "8bit"},
		{ENVELOPE_UTF8, false, "message/global-headers", "8bit", "8bit"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		set_up();
		envelope.flags = cases[i].flags;
		struct dsn_recipient of[] = {{&recipients[1], DSN_FAILED, unknown_user, 0, 0}};
		struct buf out;
		struct parsed p;
		compose(&out, of, 1, cases[i].full, "S: x\r\n");
		parse(buf_str(&out), &p);
		field_is(p.part_headers[2], "Content-Type", cases[i].type);
		field_is(p.part_headers[2], "Content-Transfer-Encoding", cases[i].encoding);
		field_is(p.header, "Content-Transfer-Encoding", cases[i].whole);
		field_is(p.part_headers[1], "Content-Type",
			cases[i].flags & ENVELOPE_UTF8 ? "message/global-delivery-status"
						       : "message/delivery-status");
		buf_release(&out);
	}
}

static void test_utf8(void **state)
{
	(void)state;
	set_up();
	recipients[0].address = STR("j\xc3\xb6rg@example.net");
	recipients[0].orcpt = STR("utf-8;j\xc3\xb6rg@example.net");
	struct outcome o = unknown_user;
	o.text = STR("N\xc3\xb6, \xff\xc2\x85");
	struct dsn_recipient of[] = {{&recipients[0], DSN_FAILED, o, 0, 0}};
	struct buf out;
	struct parsed p;
	for (int utf8 = 0; utf8 < 2; utf8++) {
		envelope.flags = utf8 ? ENVELOPE_UTF8 : 0;
		compose(&out, of, 1, false, "");
		parse(buf_str(&out), &p);
		lines_are_sound(buf_str(&out), !utf8);
		struct str s = p.bodies[1];
		take_section(&s);
		field_is(s, "Final-Recipient",
			utf8 ? "utf-8;j\xc3\xb6rg@example.net" : "rfc822;j?rg@example.net");
		field_is(s, "Diagnostic-Code",
			utf8 ? "smtp; 550 5.1.1 N\xc3\xb6, ??" : "smtp; 550 5.1.1 N?, ??");
		assert_true(
			str_contains(p.bodies[0], utf8 ? STR("<j\xc3\xb6rg@") : STR("<j?rg@")) ||
			str_contains(
				p.bodies[0], utf8 ? STR("to <j\xc3\xb6rg@") : STR("to <j?rg@")));
		buf_release(&out);
	}
}

/* Whatever strangers wrote stays within its field: the fields are the same ones.  */
static void test_hostile_text(void **state)
{
	(void)state;
	struct rng rng;
	rng_init(&rng, 1);
	static const char evil[] = "\r\n\0\t \x7f\x80\xc3\xb6+0D+0A:;=<>\"--=_rockdove_4Tq8abc";
	for (int round = 0; round < 3000; round++) {
		char octets[4][512];
		struct str s[4];
		for (size_t i = 0; i < 4; i++) {
			size_t max = i < 2 ? 254 : 512;
			s[i] = str_of(octets[i], 1 + rng_below(&rng, max));
			for (size_t j = 0; j < s[i].len; j++)
				octets[i][j] = evil[rng_below(&rng, sizeof(evil) - 1)];
		}
		set_up();
		recipients[0].address = s[0];
		recipients[0].orcpt = s[1];
		envelope.envid = s[1];
		envelope.reverse_path = s[0];
		struct outcome o = unknown_user;
		o.text = s[2];
		o.host = str_head(s[3], 300);
		struct dsn_recipient of[] = {{&recipients[0], DSN_FAILED, o, 1000, 0}};
		struct buf out;
		struct parsed p;
		compose(&out, of, 1, false, "");
		lines_are_sound(buf_str(&out), true);
		parse(buf_str(&out), &p);
		assert_non_null(field(p.header, "To").ptr);
		struct str status = p.bodies[1], message = take_section(&status), name, value;
		const char *wanted[] = {"Original-Envelope-Id", "Reporting-MTA", "Arrival-Date",
			"X-Rockdove-Queue-Id", "Original-Recipient", "Final-Recipient", "Action",
			"Status", "Remote-MTA", "Diagnostic-Code", "Last-Attempt-Date"};
		for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
			assert_true(header_next(i < 4 ? &message : &status, &name, &value));
			assert_str(name, wanted[i]);
		}
		assert_false(header_next(&status, &name, &value));
		buf_release(&out);
	}
}

static void test_words_for_every_status(void **state)
{
	(void)state;
	set_up();
	for (uint16_t subject = 0; subject < 9; subject++) {
		for (uint16_t detail = 0; detail < 35; detail++) {
			for (enum dsn_action action = DSN_FAILED; action <= DSN_DELAYED; action++) {
				struct outcome o = unknown_user;
				o.enhanced = (struct enhanced){5, subject, detail};
				struct dsn_recipient of[] = {{&recipients[1], action, o, 0, 0}};
				struct buf out;
				struct parsed p;
				compose(&out, of, 1, false, "");
				parse(buf_str(&out), &p);
				/* A sentence stands between the address and what was said.  */
				struct str text = str_skip(
					p.bodies[0], find(p.bodies[0], "<eve@example.net>") + 19);
				size_t said = find(text, "mx1.example.net");
				assert_true(str_trim(str_head(text, said)).len > 15);
				assert_true(str_contains(str_head(text, said), STR(".\r\n")));
				buf_release(&out);
			}
		}
	}
}

static void test_no_room(void **state)
{
	(void)state;
	set_up();
	struct dsn_recipient of[] = {{&recipients[0], DSN_FAILED, unknown_user, 0, 0}};
	struct dsn dsn = {.envelope = &envelope,
		.hostname = STR("h"),
		.own_id = STR("x"),
		.recipients = of,
		.recipient_count = 1};
	struct buf out;
	buf_init(&out, 500);
	assert_false(dsn_add_head(&out, &dsn, true));
	assert_false(dsn_add_tail(&out, &dsn));
	buf_release(&out);
}

static void test_due(void **state)
{
	(void)state;
	const struct {
		uint8_t notify;
		bool failed, delayed, success;
	} cases[] = {
		{0, true, true, false},
		{NOTIFY_NEVER, false, false, false},
		{NOTIFY_FAILURE, true, false, false},
		{NOTIFY_DELAY, false, true, false},
		{NOTIFY_SUCCESS, false, false, true},
		{NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY, true, true, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct recipient r = {.address = STR("a@b"), .notify = cases[i].notify};
		struct envelope e = {.reverse_path = STR("s@b")};
		assert_int_equal(dsn_due(&e, &r, DSN_FAILED), cases[i].failed);
		assert_int_equal(dsn_due(&e, &r, DSN_DELAYED), cases[i].delayed);
		assert_int_equal(dsn_due(&e, &r, DSN_DELIVERED), cases[i].success);
		assert_int_equal(dsn_due(&e, &r, DSN_RELAYED), cases[i].success);
		assert_int_equal(dsn_due(&e, &r, DSN_EXPANDED), cases[i].success);
		e.reverse_path = STR_NONE;
		for (enum dsn_action action = 0; action <= DSN_EXPANDED; action++)
			assert_false(dsn_due(&e, &r, action));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_whole_of_one),
		cmocka_unit_test(test_several_recipients),
		cmocka_unit_test(test_status_fits_the_action),
		cmocka_unit_test(test_forms_of_the_content),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_words_for_every_status),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_due),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
