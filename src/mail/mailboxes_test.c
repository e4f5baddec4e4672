#include "base/test.h"
#include "mail/mailboxes.h"

static bool visit(void *context, struct str address)
{
	struct buf *out = context;
	if (out->len) buf_add_c(out, '|');
	return buf_add(out, address);
}

static void finds(const char *value, const char *wanted)
{
	struct buf out;
	buf_init(&out, 5000);
	if (!mailboxes_each(str_from_c(value), visit, &out)) fail_msg("not read: %s", value);
	assert_str(buf_str(&out), wanted);
	buf_release(&out);
}

static void fails(const char *value)
{
	struct buf out;
	buf_init(&out, 5000);
	if (mailboxes_each(str_from_c(value), visit, &out))
		fail_msg("%s: " STR_FMT, value, STR_ARG(buf_str(&out)));
	buf_release(&out);
}

static void test_addresses(void **state)
{
	(void)state;
	finds(" alice@example.com", "alice@example.com");
	finds("<alice@example.com>", "alice@example.com");
	finds("Alice Example <alice@example.com>", "alice@example.com");
	finds("\"Example, Alice\" <alice@example.com>, bob@example.com",
		"alice@example.com|bob@example.com");
	finds(" Alice\r\n <alice@\r\n\texample.com>", "alice@example.com");
	finds("alice @ example . com (Alice (of) Example \\) )", "alice@example.com");
	finds("\"<bob@example.com>\" <alice@example.com> (<carol@example.com>)",
		"alice@example.com");
	finds("\"a b\"@example.com", "\"a b\"@example.com");
	finds("a@[IPv6:2001:db8::1], <b@[192.0.2.1]>", "a@[IPv6:2001:db8::1]|b@[192.0.2.1]");
	finds("<@relay.example,@other.example:alice@example.com>", "alice@example.com");
	finds("friends: a@example.com, B <b@example.com>;, c@example.com",
		"a@example.com|b@example.com|c@example.com");
	finds("Undisclosed recipients:;", "");
	finds(",,a@example.com,,", "a@example.com");
	finds("", "");
	finds("alice", "alice");
	finds("J\xc3\xb6rg <j\xc3\xb6rg@example.com>", "j\xc3\xb6rg@example.com");
	finds("Joe Q. Public <joe@example.com>", "joe@example.com");
}

/* Some programs show what stands in front of the brackets: it counts too.  */
static void test_what_looks_like_the_sender(void **state)
{
	(void)state;
	finds("boss@example.com <alice@example.com>", "boss@example.com|alice@example.com");
	finds("alice@example.com <alice@example.com>", "alice@example.com|alice@example.com");
}

static void test_no_addresses(void **state)
{
	(void)state;
	static const char *const all[] = {"<alice@example.com", "alice@example.com>", "\"alice",
		"(alice", "alice)", "<a@example.com> b@example.com",
		"<a@example.com> <b@example.com>", "<<a@example.com>>", "a@example.com;",
		"x: y: a@example.com;;", "x: a@example.com", "a@example.com: b@example.com;",
		"a\x01@example.com", "a\\b@example.com", "[a@b"};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) fails(all[i]);
	struct buf text; /* longer than any address */
	buf_init(&text, 5000);
	for (int i = 0; i < 2000; i++) buf_add_c(&text, 'a');
	buf_add_c(&text, '\0');
	fails(text.ptr);
	buf_release(&text);
}

static bool never(void *context, struct str address)
{
	(void)address;
	++*(int *)context;
	return false;
}

static void test_the_visitor_ends_it(void **state)
{
	(void)state;
	int count = 0;
	assert_false(mailboxes_each(STR("a@example.com, b@example.com"), never, &count));
	assert_int_equal(count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_what_looks_like_the_sender),
		cmocka_unit_test(test_no_addresses),
		cmocka_unit_test(test_the_visitor_ends_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
