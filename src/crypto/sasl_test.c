#include "base/code.h"
#include "base/test.h"
#include "crypto/sasl.h"

#include <dlfcn.h>
#include <gsasl.h>
#include <openssl/evp.h>
#include <stdio.h>

static const uint8_t secret[32] = {1, 2, 3};

/* ---- work is counted, not timed: these stand in front of the libraries' own ---- */

static unsigned derivations, digests, lookups;

int gsasl_scram_secrets_from_password(Gsasl_hash hash, const char *password,
	unsigned int iteration_count, const char *salt, size_t saltlen, char *salted_password,
	char *client_key, char *server_key, char *stored_key)
{
	static __typeof__(&gsasl_scram_secrets_from_password) real;
	if (!real) *(void **)&real = dlsym(RTLD_NEXT, "gsasl_scram_secrets_from_password");
	derivations++;
	return real(hash, password, iteration_count, salt, saltlen, salted_password, client_key,
		server_key, stored_key);
}

int EVP_Q_digest(OSSL_LIB_CTX *libctx, const char *name, const char *propq, const void *data,
	size_t datalen, unsigned char *md, size_t *mdlen)
{
	static __typeof__(&EVP_Q_digest) real;
	if (!real) *(void **)&real = dlsym(RTLD_NEXT, "EVP_Q_digest");
	digests++;
	return real(libctx, name, propq, data, datalen, md, mdlen);
}

static struct sasl_keys alice;

static bool lookup(void *owner, struct str name, struct sasl_keys *ret)
{
	(void)owner;
	lookups++;
	*ret = alice;
	if (str_ieq(name, STR("old@example.com"))) ret->of[SASL_SHA1].iterations = 0;
	return str_ieq(name, STR("alice@example.com")) || str_ieq(name, STR("old@example.com"));
}

static int make_alice(void **state)
{
	(void)state;
	for (enum sasl_hash h = 0; h < SASL_HASHES; h++) {
		alice.of[h] = (struct sasl_proof){
			.iterations = SASL_ITERATIONS, .salt = "0123456789abcde"};
		if (!sasl_derive(STR("open sesame"), h, &alice.of[h])) return -1;
	}
	return 0;
}

struct fixture {
	struct sasl_context *context;
	struct sasl *sasl;
	struct buf challenge;
};

static void begin_bound(struct fixture *f, const char *mechanism, struct sasl_binding binding)
{
	f->context = sasl_context_new(secret);
	assert_non_null(f->context);
	f->sasl = sasl_new(f->context, str_from_c(mechanism), binding, lookup, NULL);
	assert_non_null(f->sasl);
	buf_init(&f->challenge, 10000);
}

static void begin(struct fixture *f, const char *mechanism)
{
	begin_bound(f, mechanism, (struct sasl_binding){0});
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
	struct sasl_proof keys = {.iterations = 4096};
	struct buf salt, signature;
	buf_init(&salt, 100);
	buf_init(&signature, 100);
	assert_true(base64_decode(STR("W22ZaJ0SNY7soEsUEjb6gQ=="), &salt));
	memcpy(keys.salt, salt.ptr, SASL_SALT);
	assert_true(sasl_derive(STR("pencil"), SASL_SHA256, &keys));
	hex_add(&signature, str_of(keys.stored, SASL_KEY));
	/* By Python's hashlib: sha256(hmac(pbkdf2(...), "Client Key")).  */
	assert_str(buf_str(&signature),
		"586e5df283e6dceb5c3e791d8b8528ec191e664045ce971792e2e6b5bb13e2a6");
	assert_false(sasl_derive(STR(""), SASL_SHA256, &keys));
	assert_false(sasl_derive(STR("a\0b"), SASL_SHA1, &keys));
	assert_false(sasl_derive(
		STR("a\x07"), SASL_SHA256, &keys)); /* a control character (RFC 4013 2.3) */
	buf_clear(&signature);
	memset(keys.salt, 0, SASL_SALT);
	assert_true(sasl_derive(STR("pencil"), SASL_SHA1, &keys));
	hex_add(&signature, str_of(keys.stored, sasl_key_len(SASL_SHA1)));
	assert_str(buf_str(&signature), "e2a06ac41facbe890d360522876ae0196e47d53c");
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
	assert_int_equal(sasl_step(f.sasl, true, STR("AGEA===="), &f.challenge), SASL_FAILED);
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

struct scram {
	const char *mechanism, *name, *password;
	struct sasl_binding server;
	const char *exporter, *unique; /* what the client believes, base64 */
	int client;                    /* what it thinks of the server at the end */
	char why[100];
};

static void prepare(const struct scram *x, Gsasl_session *client)
{
	gsasl_property_set(client, GSASL_AUTHID, x->name);
	gsasl_property_set(client, GSASL_PASSWORD, x->password);
	if (x->exporter) gsasl_property_set(client, GSASL_CB_TLS_EXPORTER, x->exporter);
	if (x->unique) gsasl_property_set(client, GSASL_CB_TLS_UNIQUE, x->unique);
}

/* A login by a client of libgsasl's.  */
static enum sasl_result scram(struct scram *x)
{
	struct fixture f;
	Gsasl *gsasl;
	Gsasl_session *client;
	begin_bound(&f, x->mechanism, x->server);
	assert_int_equal(gsasl_init(&gsasl), GSASL_OK);
	assert_int_equal(gsasl_client_start(gsasl, x->mechanism, &client), GSASL_OK);
	prepare(x, client);
	enum sasl_result result = SASL_MORE;
	x->client = GSASL_NEEDS_MORE;
	while (result == SASL_MORE) {
		char *said = NULL;
		buf_add_c(&f.challenge, '\0');
		if (x->client == GSASL_NEEDS_MORE)
			x->client = gsasl_step64(client, f.challenge.ptr, &said);
		buf_clear(&f.challenge);
		if (x->client != GSASL_OK && x->client != GSASL_NEEDS_MORE) break;
		result = sasl_step(f.sasl, true, str_from_c(said ? said : ""), &f.challenge);
		gsasl_free(said);
	}
	snprintf(x->why, sizeof x->why, "%s", result == SASL_FAILED ? sasl_why(f.sasl) : "");
	gsasl_finish(client);
	gsasl_done(gsasl);
	end(&f);
	return result;
}

#define OCTETS "what both ends know"
#define OCTETS_64 "d2hhdCBib3RoIGVuZHMga25vdw=="
static const char *const scrams[] = {
	"SCRAM-SHA-256", "SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"};

static void test_scram(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(scrams); i++) {
		struct scram x = {.mechanism = scrams[i],
			.name = "alice@example.com",
			.password = "open sesame"};
		if (i >= 2) x.server.octets = STR(OCTETS), x.exporter = OCTETS_64;
		assert_int_equal(scram(&x), SASL_DONE);
		assert_int_equal(x.client, GSASL_OK); /* the server has proved itself */
		x.password = "open";
		assert_int_equal(scram(&x), SASL_FAILED);
		assert_string_equal(x.why, "wrong password");
		x.password = "open sesame";
		x.name = "bob@example.com";
		assert_int_equal(scram(&x), SASL_FAILED);
		assert_string_equal(x.why, "there is no such account");
		x.name = "old@example.com"; /* whose line is of the first format */
		assert_int_equal(scram(&x), i % 2 ? SASL_FAILED : SASL_DONE);
		if (i % 2) assert_non_null(strstr(x.why, "rockdove user passwd"));
	}
}

/* Somebody in the middle has two sessions, with two bindings.  */
static void test_binding(void **state)
{
	(void)state;
	for (size_t i = 2; i < ARRAY_LEN(scrams); i++) {
		struct scram x = {.mechanism = scrams[i],
			.name = "alice@example.com",
			.password = "open sesame",
			.server = {.octets = STR(OCTETS)},
			.exporter = "YW5vdGhlciBzZXNzaW9u"};
		assert_int_equal(scram(&x), SASL_FAILED);
		x.exporter = OCTETS_64;
		x.server.unique = true; /* of another kind */
		assert_int_equal(scram(&x), SASL_FAILED);
		x.exporter = NULL;
		x.unique = OCTETS_64;
		assert_int_equal(scram(&x), SASL_DONE);
	}
}

/* The first message of a client, to a server that can bind or cannot.  */
static enum sasl_result first(const char *mechanism, const char *octets, const char *said)
{
	struct fixture f;
	begin_bound(&f, mechanism, (struct sasl_binding){.octets = str_from_c(octets)});
	enum sasl_result result = say(&f, said, strlen(said));
	end(&f);
	return result;
}

/* "y": I could bind, but you seem not to offer it (RFC 5802 6).  */
static void test_hidden_binding(void **state)
{
	(void)state;
	assert_int_equal(first("SCRAM-SHA-256", OCTETS, "y,,n=a,r=nonce"), SASL_FAILED);
	assert_int_equal(first("SCRAM-SHA-256", OCTETS, "n,,n=a,r=nonce"), SASL_MORE);
	assert_int_equal(first("SCRAM-SHA-256", "", "y,,n=a,r=nonce"), SASL_MORE);
	assert_int_equal(first("SCRAM-SHA-256-PLUS", OCTETS, "y,,n=a,r=nonce"), SASL_FAILED);
	assert_int_equal(first("SCRAM-SHA-256-PLUS", OCTETS, "n,,n=a,r=nonce"), SASL_FAILED);
}

struct work {
	unsigned derivations, digests, lookups;
};

static struct work work_of(enum sasl_result (*run)(const char *), const char *name)
{
	derivations = digests = lookups = 0;
	assert_int_equal(run(name), SASL_FAILED);
	return (struct work){derivations, digests, lookups};
}

static enum sasl_result try_plain(const char *name)
{
	struct fixture f;
	char octets[100];
	begin(&f, "PLAIN");
	int len = snprintf(octets, sizeof octets, "%c%s%cguess", 0, name, 0);
	enum sasl_result result = say(&f, octets, (size_t)len);
	end(&f);
	return result;
}

/* The client's own share is the same whatever the name is.  */
static enum sasl_result try_scram(const char *name)
{
	struct scram x = {.mechanism = "SCRAM-SHA-256", .name = name, .password = "guess"};
	return scram(&x);
}

/* Nobody learns from the time a refusal takes whether there is such an account.  */
static void test_unknown_names_cost_the_same(void **state)
{
	(void)state;
	enum sasl_result (*const runs[])(const char *) = {try_plain, try_scram};
	for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
		struct work known = work_of(runs[i], "alice@example.com"),
			    unknown = work_of(runs[i], "alicf@example.com");
		assert_memory_equal(&known, &unknown, sizeof known);
		assert_true(known.digests > 0 && known.lookups > 0);
		assert_int_equal(known.derivations, 1); /* with SCRAM it is the client's */
	}
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
	struct str all = STR(SASL_MECHANISMS_BOUND), one;
	struct sasl_binding none = {0}, bound = {.octets = STR(OCTETS)};
	for (bool more = true; more;) {
		more = str_cut(&all, ' ', &one);
		struct sasl *s = sasl_new(context, one, bound, lookup, NULL);
		assert_non_null(s);
		sasl_free(s);
	}
	assert_null(sasl_new(context, STR("SCRAM-SHA-256-PLUS"), none, lookup, NULL));
	assert_null(sasl_new(context, STR("CRAM-MD5"), bound, lookup, NULL));
	assert_null(sasl_new(context, STR("ANONYMOUS"), bound, lookup, NULL));
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
		cmocka_unit_test(test_binding),
		cmocka_unit_test(test_hidden_binding),
		cmocka_unit_test(test_unknown_names_cost_the_same),
		cmocka_unit_test(test_unknown_names_have_a_salt),
		cmocka_unit_test(test_mechanisms),
	};
	return cmocka_run_group_tests(tests, make_alice, NULL);
}
