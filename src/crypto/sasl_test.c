#include "base/code.h"
#include "base/test.h"
#include "crypto/sasl.h"

#include <gsasl.h>
#include <stdio.h>

static const uint8_t secret[32] = {1, 2, 3};

static bool lookup(void *owner, struct str name, struct sasl_keys *ret)
{
	(void)owner;
	*ret = (struct sasl_keys){.iterations = SASL_ITERATIONS, .salt = "0123456789abcde"};
	return str_ieq(name, STR("alice@example.com")) && sasl_derive(STR("open sesame"), ret);
}

struct fixture {
	struct sasl_context *context;
	struct sasl *sasl;
	struct buf challenge;
};

static void begin(struct fixture *f, const char *mechanism)
{
	f->context = sasl_context_new(secret);
	assert_non_null(f->context);
	f->sasl = sasl_new(f->context, str_from_c(mechanism), lookup, NULL);
	assert_non_null(f->sasl);
	buf_init(&f->challenge, 10000);
}

static void end(struct fixture *f)
{
	sasl_free(f->sasl);
	sasl_context_free(f->context);
	buf_release(&f->challenge);
}

static enum sasl_result say(struct fixture *f, const char *octets, size_t len)
{
	struct buf text;
	buf_init(&text, 10000);
	base64_add(&text, str_of(octets, len));
	buf_clear(&f->challenge);
	enum sasl_result result = sasl_step(f->sasl, true, buf_str(&text), &f->challenge);
	buf_release(&text);
	return result;
}

#define SAY(fixture, literal) say(fixture, literal, sizeof(literal) - 1)

/* RFC 7677 3: the password "pencil" of the example.  */
static void test_keys(void **state)
{
	(void)state;
	struct sasl_keys keys = {.iterations = 4096};
	struct buf salt, signature;
	buf_init(&salt, 100);
	buf_init(&signature, 100);
	assert_true(base64_decode(STR("W22ZaJ0SNY7soEsUEjb6gQ=="), &salt));
	memcpy(keys.salt, salt.ptr, SASL_SALT);
	assert_true(sasl_derive(STR("pencil"), &keys));
	hex_add(&signature, str_of(keys.stored, SASL_KEY));
	/* By Python's hashlib: sha256(hmac(pbkdf2(...), "Client Key")).  */
	assert_str(buf_str(&signature),
		"586e5df283e6dceb5c3e791d8b8528ec191e664045ce971792e2e6b5bb13e2a6");
	assert_false(sasl_derive(STR(""), &keys));
	assert_false(sasl_derive(STR("a\0b"), &keys));
	assert_false(sasl_derive(STR("a\x07"), &keys)); /* a control character (RFC 4013 2.3) */
	buf_release(&salt);
	buf_release(&signature);
}

static void test_plain(void **state)
{
	(void)state;
	struct fixture f;
	begin(&f, "PLAIN");
	assert_int_equal(SAY(&f, "\0alice@example.com\0open sesame"), SASL_DONE);
	assert_str(sasl_name(f.sasl), "alice@example.com");
	end(&f);
	begin(&f, "PLAIN"); /* without initial response */
	assert_int_equal(sasl_step(f.sasl, false, STR_NONE, &f.challenge), SASL_MORE);
	assert_str(buf_str(&f.challenge), "");
	assert_int_equal(SAY(&f, "ALICE@example.com\0Alice@example.com\0open sesame"), SASL_DONE);
	end(&f);
}

static void plain_fails(const char *octets, size_t len)
{
	struct fixture f;
	begin(&f, "PLAIN");
	assert_int_equal(say(&f, octets, len), SASL_FAILED);
	end(&f);
}

static void test_plain_refused(void **state)
{
	(void)state;
#define FAILS(literal) plain_fails(literal, sizeof(literal) - 1)
	FAILS("\0alice@example.com\0open");
	FAILS("\0alice@example.com\0open sesame!");
	FAILS("\0alice@example.com\0");
	FAILS("\0bob@example.com\0open sesame");
	FAILS("\0\0open sesame");
	FAILS("alice@example.com");
	FAILS("bob@example.com\0alice@example.com\0open sesame");
	FAILS("\0alice@example.com\0open sesame\0more");
	struct fixture f;
	begin(&f, "PLAIN");
	assert_int_equal(sasl_step(f.sasl, true, STR("no base64"), &f.challenge), SASL_FAILED);
	end(&f);
}

static void test_login(void **state)
{
	(void)state;
	struct fixture f;
	begin(&f, "LOGIN");
	assert_int_equal(sasl_step(f.sasl, false, STR_NONE, &f.challenge), SASL_MORE);
	assert_str(buf_str(&f.challenge), "VXNlciBOYW1l");
	assert_int_equal(SAY(&f, "alice@example.com"), SASL_MORE);
	assert_str(buf_str(&f.challenge), "UGFzc3dvcmQ=");
	assert_int_equal(SAY(&f, "open sesame"), SASL_DONE);
	end(&f);
	begin(&f, "LOGIN"); /* with an initial response */
	assert_int_equal(SAY(&f, "alice@example.com"), SASL_MORE);
	assert_str(buf_str(&f.challenge), "UGFzc3dvcmQ=");
	assert_int_equal(SAY(&f, "wrong"), SASL_FAILED);
	end(&f);
}

/* A client of libgsasl's.  Returns the last result; *ret_client: what the client thinks.  */
static enum sasl_result scram(const char *name, const char *password, int *ret_client)
{
	struct fixture f;
	Gsasl *gsasl;
	Gsasl_session *client;
	begin(&f, "SCRAM-SHA-256");
	assert_int_equal(gsasl_init(&gsasl), GSASL_OK);
	assert_int_equal(gsasl_client_start(gsasl, "SCRAM-SHA-256", &client), GSASL_OK);
	gsasl_property_set(client, GSASL_AUTHID, name);
	gsasl_property_set(client, GSASL_PASSWORD, password);
	enum sasl_result result = SASL_MORE;
	*ret_client = GSASL_NEEDS_MORE;
	while (result == SASL_MORE) {
		char *said = NULL;
		buf_add_c(&f.challenge, '\0');
		if (*ret_client == GSASL_NEEDS_MORE)
			*ret_client = gsasl_step64(client, f.challenge.ptr, &said);
		buf_clear(&f.challenge);
		if (*ret_client != GSASL_OK && *ret_client != GSASL_NEEDS_MORE) break;
		result = sasl_step(f.sasl, true, str_from_c(said ? said : ""), &f.challenge);
		gsasl_free(said);
	}
	gsasl_finish(client);
	gsasl_done(gsasl);
	end(&f);
	return result;
}

static void test_scram(void **state)
{
	(void)state;
	int client;
	assert_int_equal(scram("alice@example.com", "open sesame", &client), SASL_DONE);
	assert_int_equal(client, GSASL_OK); /* the server has proved itself */
	assert_int_equal(scram("alice@example.com", "open", &client), SASL_FAILED);
	assert_int_equal(scram("bob@example.com", "open sesame", &client), SASL_FAILED);
}

/* Whoever asks twice gets the same salt: so it is with real accounts.  */
static void test_unknown_names_have_a_salt(void **state)
{
	(void)state;
	char salts[3][200];
	static const char *const names[] = {"bob", "bob", "carol"};
	for (int i = 0; i < 3; i++) {
		struct fixture f;
		char first[100];
		begin(&f, "SCRAM-SHA-256");
		snprintf(first, sizeof first, "n,,n=%s,r=nonce", names[i]);
		assert_int_equal(say(&f, first, strlen(first)), SASL_MORE);
		struct buf plain;
		buf_init(&plain, 1000);
		assert_true(base64_decode(buf_str(&f.challenge), &plain));
		buf_add_c(&plain, '\0');
		const char *salt = strstr(plain.ptr, ",s=");
		assert_non_null(salt);
		snprintf(salts[i], sizeof salts[i], "%s", salt);
		buf_release(&plain);
		end(&f);
	}
	assert_string_equal(salts[0], salts[1]);
	assert_string_not_equal(salts[0], salts[2]);
	assert_non_null(strstr(salts[0], ",i=4096"));
}

static void test_mechanisms(void **state)
{
	(void)state;
	struct sasl_context *context = sasl_context_new(secret);
	struct str all = STR(SASL_MECHANISMS), one;
	for (bool more = true; more;) {
		more = str_cut(&all, ' ', &one);
		struct sasl *s = sasl_new(context, one, lookup, NULL);
		assert_non_null(s);
		sasl_free(s);
	}
	assert_null(sasl_new(context, STR("CRAM-MD5"), lookup, NULL));
	assert_null(sasl_new(context, STR("ANONYMOUS"), lookup, NULL));
	sasl_context_free(context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_plain_refused),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_scram),
		cmocka_unit_test(test_unknown_names_have_a_salt),
		cmocka_unit_test(test_mechanisms),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
