#include "base/test.h"
#include "policy/accounts.h"

static struct sasl_keys keys(uint8_t fill)
{
	struct sasl_keys k = {0};
	for (enum sasl_hash h = 0; h < SASL_HASHES; h++, fill++) {
		k.of[h].iterations = 4096u + h;
		memset(k.of[h].salt, fill, SASL_SALT);
		memset(k.of[h].stored, fill + 1, sasl_key_len(h));
		memset(k.of[h].server, fill + 2, sasl_key_len(h));
	}
	return k;
}

static void test_what_is_written_is_read(void **state)
{
	(void)state;
	struct buf text, why;
	buf_init(&text, 10000);
	buf_init(&why, 1000);
	struct sasl_keys a = keys(1), b = keys(7);
	buf_add(&text, STR(ACCOUNTS_FORMAT "# people\n\n"));
	assert_true(account_line(&text, STR("Alice@Example.com"), &a));
	assert_true(account_line(&text, STR("bob@example.com"), &b));
	struct accounts *all = accounts_read(buf_str(&text), 1, &why);
	assert_non_null(all);
	const struct account *alice = accounts_find(all, STR("ALICE@example.COM"));
	assert_non_null(alice);
	assert_str(alice->name, "alice@example.com");
	assert_memory_equal(&alice->keys, &a, sizeof a);
	assert_memory_equal(&accounts_find(all, STR("bob@example.com"))->keys, &b, sizeof b);
	assert_null(accounts_find(all, STR("carol@example.com")));
	accounts_release(accounts_hold(all));
	accounts_release(all);
	buf_release(&text);
	buf_release(&why);
}

static void test_removing(void **state)
{
	(void)state;
	struct str text = STR("# alice@x.example is here\nalice@x.example a\nbob@x.example b\n");
	struct buf out;
	buf_init(&out, 1000);
	assert_true(accounts_without(text, STR("Alice@X.example"), &out));
	assert_str(buf_str(&out), "# alice@x.example is here\nbob@x.example b\n");
	buf_clear(&out);
	assert_false(accounts_without(text, STR("carol@x.example"), &out));
	assert_true(str_eq(buf_str(&out), text));
	buf_release(&out);
}

static void wrong(const char *text, const char *wanted)
{
	struct buf why;
	buf_init(&why, 1000);
	assert_null(accounts_read(str_from_c(text), 1, &why));
	assert_str(buf_str(&why), wanted);
	buf_release(&why);
}

#define SALT "AQEBAQEBAQEBAQEBAQEBAQ=="
#define KEY "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="

#define SHORT "AgICAgICAgICAgICAgICAgICAgI="

/* As written before there were keys of SHA-1.  */
static void test_first_format(void **state)
{
	(void)state;
	struct buf why;
	buf_init(&why, 1000);
	struct str text =
		STR("# people\na@b.example scram-sha-256 4096 " SALT " " KEY " " KEY "\n");
	struct accounts *all = accounts_read(text, 1, &why);
	assert_non_null(all);
	const struct account *a = accounts_find(all, STR("a@b.example"));
	assert_int_equal(a->keys.of[SASL_SHA256].iterations, 4096);
	assert_int_equal(a->keys.of[SASL_SHA256].stored[31], 2);
	assert_int_equal(a->keys.of[SASL_SHA1].iterations, 0);
	buf_clear(&why);
	account_line(&why, a->name, &a->keys);
	assert_true(str_eq(str_skip(text, 9), buf_str(&why))); /* and written so again */
	accounts_release(all);
	buf_release(&why);
}

static void test_wrong_lines(void **state)
{
	(void)state;
	wrong("alice scram-sha-256 4096 " SALT " " KEY " " KEY,
		"line 1: an account's name is an address such as alice@example.com");
	wrong("\n#\na@b.example plain secret",
		"line 3: \"scram-sha-256\" is wanted behind the name");
	wrong("a@b.example scram-sha-256 0 " SALT " " KEY " " KEY,
		"line 1: a number of iterations is wanted");
	wrong("a@b.example scram-sha-256 4096 " SALT " " KEY,
		"line 1: salt and two keys in base64 are wanted");
	wrong("a@b.example scram-sha-256 4096 " KEY " " KEY " " KEY,
		"line 1: salt and two keys in base64 are wanted");
	wrong("a@b.example scram-sha-256 4096 " SALT " " KEY " " KEY " x",
		"line 1: \"scram-sha-1\", or nothing, is wanted behind the first keys");
	wrong("a@b.example scram-sha-256 4096 " SALT " " KEY " " KEY " scram-sha-1 4096 " SALT
	      " " KEY " " KEY,
		"line 1: salt and two keys in base64 are wanted");
	wrong("a@b.example scram-sha-256 4096 " SALT " " KEY " " KEY " scram-sha-1 4096 " SALT
	      " " SHORT " " SHORT " x",
		"line 1: nothing is wanted behind the keys of SHA-1");
	wrong("# rockdove accounts 3\n", "line 1: a newer rockdove made this file");
	wrong("# rockdove accounts x\n", "line 1: a newer rockdove made this file");
	wrong("a@b.example scram-sha-256 4096 " SALT " " KEY " " KEY "\n"
	      "A@b.example scram-sha-256 4096 " SALT " " KEY " " KEY "\n",
		"line 2: this account is there twice");
}

static void test_names(void **state)
{
	(void)state;
	static const char *const good[] = {
		"a@b.example", "first.last+x@mail.example.com", "j\xc3\xb6rg@example.com"};
	static const char *const bad[] = {
		"", "a", "a@", "@b", "a b@c.example", "a@b@c", "<a@b.example>", "a\x01@b", "#a@b"};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(account_name_valid(str_from_c(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(account_name_valid(str_from_c(bad[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read),
		cmocka_unit_test(test_removing),
		cmocka_unit_test(test_first_format),
		cmocka_unit_test(test_wrong_lines),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
