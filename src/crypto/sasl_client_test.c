#include "base/code.h"
#include "base/test.h"
#include "crypto/sasl.h"
#include "crypto/sasl_client.h"

#include <gsasl.h>
#include <stdio.h>

#define ALL "GSSAPI LOGIN PLAIN XOAUTH2 OAUTHBEARER scram-sha-1 SCRAM-SHA-256"
#define PLUS " SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS"

static const uint8_t binding[TLS_BINDING] = "0123456789abcdef0123456789abcde";

static struct sasl_client_options options(const char *offered)
{
	return (struct sasl_client_options){.offered = str_from_c(offered),
		.user = STR("alice@example.com"),
		.secret = STR("open sesame"),
		.secured = true,
		.binding = binding,
		.host = STR("smtp.example.net"),
		.port = 587};
}

/* ---- choice ---- */

static const char *chosen(struct sasl_client_options o)
{
	static char name[40];
	const char *why = "";
	struct sasl_client *c = sasl_client_new(&o, &why);
	snprintf(name, sizeof name, "%s", c ? sasl_client_mechanism(c) : why);
	sasl_client_free(c);
	return name;
}

static void test_the_best_is_taken(void **state)
{
	(void)state;
	struct sasl_client_options o = options(ALL PLUS);
	assert_string_equal(chosen(o), "SCRAM-SHA-256-PLUS");
	o.binding = NULL;
	assert_string_equal(chosen(o), "SCRAM-SHA-256");
	o.secured = false;
	assert_string_equal(chosen(o), "SCRAM-SHA-256");
	o = options("LOGIN PLAIN SCRAM-SHA-1 CRAM-MD5");
	assert_string_equal(chosen(o), "SCRAM-SHA-1");
	o = options("LOGIN PLAIN");
	assert_string_equal(chosen(o), "PLAIN");
	o = options("login");
	assert_string_equal(chosen(o), "LOGIN");
	o.token = true;
	o.offered = STR(ALL);
	assert_string_equal(chosen(o), "OAUTHBEARER");
	o.offered = STR("PLAIN XOAUTH2");
	assert_string_equal(chosen(o), "XOAUTH2");
	o = options(ALL PLUS);
	o.only = STR("plain");
	assert_string_equal(chosen(o), "PLAIN");
}

static void refused(struct sasl_client_options o, const char *words)
{
	const char *why = "";
	assert_null(sasl_client_new(&o, &why));
	if (!strstr(why, words)) fail_msg("\"%s\", not \"%s\"", why, words);
}

static void test_nothing_will_do(void **state)
{
	(void)state;
	struct sasl_client_options o = options("PLAIN LOGIN");
	o.secured = false;
	refused(o, "without TLS");
	o = options(ALL);
	o.token = true;
	o.secured = false;
	refused(o, "without TLS");
	o = options("GSSAPI CRAM-MD5");
	refused(o, "no mechanism that we know");
	o = options("PLAIN");
	o.token = true;
	refused(o, "for a token");
	o = options("PLAIN LOGIN");
	o.only = STR("SCRAM-SHA-256");
	refused(o, "that is wanted");
	o = options("");
	refused(o, "no mechanism");
	o = options("SCRAM-SHA-256");
	o.secret = STR("a\x07");
	refused(o, "not fit for use");
	o = options("PLAIN");
	o.secret = STR("a\0b");
	refused(o, "not fit for use");
	o.secret = STR("");
	refused(o, "not fit for use");
}

static void test_mechanisms_are_told(void **state)
{
	(void)state;
	assert_string_equal(sasl_client_known(0), "SCRAM-SHA-256-PLUS");
	assert_string_equal(sasl_client_known(7), "XOAUTH2");
	assert_null(sasl_client_known(8));
	assert_true(sasl_client_takes_token(STR("oauthbearer")));
	assert_false(sasl_client_takes_token(STR("PLAIN")));
	assert_false(sasl_client_takes_token(STR("other")));
}

/* ---- against the server's side, which is libgsasl's ---- */

static bool lookup(void *owner, struct str name, struct sasl_keys *ret)
{
	(void)owner;
	*ret = (struct sasl_keys){0};
	for (enum sasl_hash h = 0; h < SASL_HASHES; h++) {
		ret->of[h] = (struct sasl_proof){
			.iterations = SASL_ITERATIONS, .salt = "0123456789abcde"};
		assert_true(sasl_derive(STR("open sesame"), h, &ret->of[h]));
	}
	return str_ieq(name, STR("alice@example.com"));
}

static bool login(const struct sasl_client_options *o)
{
	const char *why = "";
	struct sasl_context *context = sasl_context_new((const uint8_t[32]){1});
	struct sasl_client *c = sasl_client_new(o, &why);
	if (!c) fail_msg("%s", why);
	struct sasl_binding bound = {.octets = str_of(o->binding, o->binding ? TLS_BINDING : 0)};
	struct sasl *s =
		sasl_new(context, str_from_c(sasl_client_mechanism(c)), bound, lookup, NULL);
	assert_non_null(s);
	struct buf challenge, response;
	buf_init(&challenge, 10000);
	buf_init(&response, 10000);
	bool initial = sasl_client_first(c, &response);
	enum sasl_result result = sasl_step(s, initial, buf_str(&response), &challenge);
	bool going = true;
	while (result == SASL_MORE && going) {
		buf_clear(&response);
		going = sasl_client_step(c, buf_str(&challenge), &response, &why);
		buf_clear(&challenge);
		if (going) result = sasl_step(s, true, buf_str(&response), &challenge);
	}
	bool done = result == SASL_DONE && sasl_client_satisfied(c);
	buf_release(&challenge);
	buf_release(&response);
	sasl_client_free(c);
	sasl_free(s);
	sasl_context_free(context);
	return done;
}

static void test_our_own_server(void **state)
{
	(void)state;
	static const char *const names[] = {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS",
		"SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct sasl_client_options o = options(names[i]);
		o.nonce[0] = (uint8_t)i;
		if (!strstr(names[i], "PLUS")) o.binding = NULL;
		assert_true(login(&o));
		o.secret = STR("open");
		assert_false(login(&o));
		o.secret = STR("open sesame");
		o.user = STR("bob@example.com");
		assert_false(login(&o));
	}
}

struct gsasl_server {
	const char *mechanism;
	const uint8_t *binding;
};

static int answer(Gsasl *gsasl, Gsasl_session *session, Gsasl_property what)
{
	const struct gsasl_server *server = gsasl_callback_hook_get(gsasl);
	struct buf text;
	buf_init(&text, 200);
	switch (what) {
	case GSASL_PASSWORD: return gsasl_property_set(session, what, "p\xc3\xa4ss");
	case GSASL_CB_TLS_EXPORTER:
		if (!server->binding) return GSASL_NO_CB_TLS_EXPORTER;
		base64_add(&text, str_of(server->binding, TLS_BINDING));
		buf_add_c(&text, '\0');
		int rc = gsasl_property_set(session, what, text.ptr);
		buf_release(&text);
		return rc;
	default: return GSASL_NO_CALLBACK;
	}
}

/* Whether both sides are content.  */
static bool with_gsasl(
	const char *mechanism, const struct sasl_client_options *o, const uint8_t *theirs)
{
	struct gsasl_server server = {mechanism, theirs};
	const char *why = "";
	Gsasl *gsasl;
	Gsasl_session *session;
	struct buf response;
	buf_init(&response, 10000);
	assert_int_equal(gsasl_init(&gsasl), GSASL_OK);
	gsasl_callback_hook_set(gsasl, &server);
	gsasl_callback_set(gsasl, answer);
	assert_int_equal(gsasl_server_start(gsasl, mechanism, &session), GSASL_OK);
	struct sasl_client *c = sasl_client_new(o, &why);
	if (!c) fail_msg("%s", why);
	assert_string_equal(sasl_client_mechanism(c), mechanism);
	assert_true(sasl_client_first(c, &response));
	int rc = GSASL_NEEDS_MORE;
	for (bool going = true; going;) {
		char *said = NULL;
		buf_add_c(&response, '\0');
		rc = gsasl_step64(session, response.ptr, &said);
		going = rc == GSASL_OK || rc == GSASL_NEEDS_MORE;
		buf_clear(&response);
		if (going && said && *said)
			going = sasl_client_step(c, str_from_c(said), &response, &why);
		going = going && rc == GSASL_NEEDS_MORE;
		gsasl_free(said);
	}
	bool done = rc == GSASL_OK && sasl_client_satisfied(c);
	sasl_client_free(c);
	gsasl_finish(session);
	gsasl_done(gsasl);
	buf_release(&response);
	return done;
}

static void test_scram_with_and_without_binding(void **state)
{
	(void)state;
	static const char *const names[] = {
		"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"};
	uint8_t other[TLS_BINDING] = {0};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct sasl_client_options o = options(names[i]);
		bool plus = strstr(names[i], "PLUS") != NULL;
		o.secret = STR("p\xc3\xa4ss");
		assert_true(with_gsasl(names[i], &o, plus ? binding : NULL));
		/* Somebody sits between two sessions of TLS.  */
		if (plus) assert_false(with_gsasl(names[i], &o, other));
		o.secret = STR("pass");
		assert_false(with_gsasl(names[i], &o, plus ? binding : NULL));
	}
}

static void first_of(const struct sasl_client_options *o, const char *wanted)
{
	const char *why = "";
	struct buf response, plain;
	buf_init(&response, 10000);
	buf_init(&plain, 10000);
	struct sasl_client *c = sasl_client_new(o, &why);
	if (!c) fail_msg("%s", why);
	assert_true(sasl_client_first(c, &response));
	assert_true(base64_decode(buf_str(&response), &plain));
	assert_true(str_starts(buf_str(&plain), str_from_c(wanted)));
	sasl_client_free(c);
	buf_release(&response);
	buf_release(&plain);
}

/* RFC 5802 6: who removes the offer is found out.  */
static void test_the_offer_to_bind_is_confirmed(void **state)
{
	(void)state;
	struct sasl_client_options o = options("SCRAM-SHA-256");
	first_of(&o, "y,,n=alice@example.com,r=");
	o.binding = NULL;
	first_of(&o, "n,,");
	o = options("SCRAM-SHA-256" PLUS);
	o.only = STR("SCRAM-SHA-256");
	first_of(&o, "n,,");
	o.only = STR_NONE;
	first_of(&o, "p=tls-exporter,,n=");
}

/* ---- tokens ---- */

static void test_tokens(void **state)
{
	(void)state;
	struct sasl_client_options o = options("XOAUTH2");
	const char *why = "";
	struct buf response;
	buf_init(&response, 10000);
	o.token = true;
	o.secret = STR("vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==");
	o.user = STR("someuser@example.com");
	/* The example of Google's description.  */
	first_of(&o,
		"user=someuser@example.com\x01"
		"auth=Bearer vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==\x01\x01");
	o.offered = STR("OAUTHBEARER");
	o.user = STR("a,b=c");
	/* RFC 7628 4.1 */
	first_of(&o,
		"n,a=a=2Cb=3Dc,\x01host=smtp.example.net\x01port=587\x01"
		"auth=Bearer vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==\x01\x01");
	struct sasl_client *c = sasl_client_new(&o, &why);
	assert_true(sasl_client_first(c, &response));
	assert_true(sasl_client_satisfied(c));
	assert_true(sasl_client_shows_secret(c));
	buf_clear(&response);
	/* {"status":"invalid_token"} is acknowledged (RFC 7628 3.2.3).  */
	assert_true(
		sasl_client_step(c, STR("eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0="), &response, &why));
	assert_str(buf_str(&response), "AQ==");
	assert_false(sasl_client_satisfied(c));
	assert_false(sasl_client_step(c, STR(""), &response, &why));
	sasl_client_free(c);
	buf_release(&response);
}

/* RFC 4954 4: what is too long for the command goes as an answer to an empty challenge.  */
static void test_long_secrets(void **state)
{
	(void)state;
	char token[5001];
	memset(token, 'x', 5000);
	token[5000] = '\0';
	struct sasl_client_options o = options("XOAUTH2");
	const char *why = "";
	struct buf response, plain;
	buf_init(&response, 20000);
	buf_init(&plain, 20000);
	o.token = true;
	o.secret = str_from_c(token);
	struct sasl_client *c = sasl_client_new(&o, &why);
	assert_false(sasl_client_first(c, &response));
	assert_int_equal(response.len, 0);
	assert_true(sasl_client_step(c, STR(""), &response, &why));
	assert_true(base64_decode(buf_str(&response), &plain));
	assert_true(str_contains(buf_str(&plain), str_from_c(token)));
	buf_clear(&response);
	assert_true(sasl_client_step(c, STR("e30="), &response, &why));
	assert_str(buf_str(&response), "");
	sasl_client_free(c);
	buf_release(&response);
	buf_release(&plain);
}

static void test_challenges_that_nobody_expects(void **state)
{
	(void)state;
	struct sasl_client_options o = options("PLAIN");
	const char *why = "";
	struct buf response;
	buf_init(&response, 10000);
	struct sasl_client *c = sasl_client_new(&o, &why);
	assert_true(sasl_client_first(c, &response));
	assert_str(buf_str(&response), "AGFsaWNlQGV4YW1wbGUuY29tAG9wZW4gc2VzYW1l");
	assert_false(sasl_client_step(c, STR("Zm9v"), &response, &why));
	sasl_client_free(c);
	o.offered = STR("LOGIN");
	c = sasl_client_new(&o, &why);
	assert_false(sasl_client_first(c, &response));
	assert_false(sasl_client_step(c, STR("not base64"), &response, &why));
	assert_true(strstr(why, "base64"));
	sasl_client_free(c);
	o.offered = STR("SCRAM-SHA-256");
	c = sasl_client_new(&o, &why);
	assert_true(sasl_client_first(c, &response));
	assert_false(sasl_client_satisfied(c)); /* a 235 at once proves nothing */
	sasl_client_free(c);
	buf_release(&response);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_best_is_taken),
		cmocka_unit_test(test_nothing_will_do),
		cmocka_unit_test(test_mechanisms_are_told),
		cmocka_unit_test(test_our_own_server),
		cmocka_unit_test(test_scram_with_and_without_binding),
		cmocka_unit_test(test_the_offer_to_bind_is_confirmed),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_long_secrets),
		cmocka_unit_test(test_challenges_that_nobody_expects),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
