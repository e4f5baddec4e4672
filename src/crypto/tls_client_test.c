/* What proves the server: names, and TLSA records (DANE), whatever the certificate's dates and issuer say.  */
#include "base/test.h"
#include "crypto/certificate.h"
#include "crypto/tls_peer.h"
#include "crypto/tls_private.h"

#include <openssl/pem.h>
#include <time.h>

/* ---- a server, and what its certificate would be in DNS ---- */

static struct buf chain, key;
static struct tls_context *server_context, *client_context;
static unsigned char whole[4096], public_key[512];
static struct str certificate_der, key_der;

static struct str hash(const char *name, struct str of, unsigned char to[64])
{
	unsigned len = 0;
	assert_true(EVP_Digest(of.ptr, of.len, to, &len, EVP_get_digestbyname(name), NULL));
	return str_of(to, len);
}

static void serve(const char *host, msec wall)
{
	struct buf why;
	buf_init(&why, 1000);
	buf_init(&chain, 1 << 16);
	buf_init(&key, 1 << 16);
	assert_true(certificate_make(str_from_c(host), wall, 365, &chain, &key));
	struct tls_identity identity = {buf_str(&chain), buf_str(&key)};
	server_context = tls_server_context(&identity, 1, &why);
	client_context = tls_client_context(STR_NONE, &why); /* trusts nobody who is here */
	assert_non_null(server_context);
	assert_non_null(client_context);
	X509 *x = SSL_CTX_get0_certificate(server_context->ssl[0]);
	unsigned char *at = whole;
	certificate_der = str_of(whole, (size_t)i2d_X509(x, &at));
	at = public_key;
	key_der = str_of(public_key, (size_t)i2d_PUBKEY(X509_get0_pubkey(x), &at));
	assert_true(certificate_der.len <= sizeof whole && key_der.len <= sizeof public_key);
}

static void serve_no_more(void)
{
	tls_context_release(server_context);
	tls_context_release(client_context);
	buf_release(&chain);
	buf_release(&key);
}

static bool carry(struct tls *from, struct tls *to)
{
	struct str octets = tls_output(from);
	if (!octets.len) return false;
	tls_feed(to, octets);
	tls_sent(from, octets.len);
	return true;
}

/* Shake hands; "open", "open verified", or why not.  */
static enum tls_fault fault; /* that the client saw when it last met the server */

static const char *meet(const struct tls_expect *expect)
{
	static char told[400];
	struct tls *client = tls_client_expecting(client_context, expect);
	if (!client) return "no engine";
	struct tls *server = tls_server_new(server_context);
	tls_feed(client, STR_NONE);
	while (carry(client, server) || carry(server, client)) {
	}
	snprintf(told, sizeof told, STR_FMT, STR_ARG(tls_why(client)));
	if (tls_state(client) == TLS_OPEN)
		snprintf(told, sizeof told, "open%s", tls_verified(client) ? " verified" : "");
	fault = tls_fault(client);
	tls_free(client);
	tls_free(server);
	return told;
}

#define NAMES(...)                                                                                 \
	.names = (const struct str[]){__VA_ARGS__},                                                \
	.name_count = ARRAY_LEN(((const struct str[]){__VA_ARGS__}))
#define DANE(...)                                                                                  \
	.verify = TLS_VERIFY_DANE, .tlsa = (const struct tls_tlsa[]){__VA_ARGS__},                 \
	.tlsa_count = ARRAY_LEN(((const struct tls_tlsa[]){__VA_ARGS__}))
#define EXPECT(...) meet(&(const struct tls_expect){__VA_ARGS__})

static msec now(void) { return (msec)time(NULL) * 1000; }

static void test_every_form_of_record(void **state)
{
	(void)state;
	serve("mx.example", now());
	unsigned char digest[64];
	for (uint8_t selector = 0; selector < 2; selector++) {
		struct str of = selector ? key_der : certificate_der;
		struct str data[] = {of, hash("SHA256", of, digest), STR_NONE};
		unsigned char longer[64];
		data[2] = hash("SHA512", of, longer);
		for (uint8_t matching = 0; matching < 3; matching++) {
			struct tls_tlsa r = {3, selector, matching, data[matching]};
			assert_true(tls_tlsa_usable(&r));
			assert_string_equal(
				EXPECT(NAMES(STR("mx.example")), DANE(r)), "open verified");
			/* The same octets in the other field are about something else.  */
			r.selector = !selector;
			assert_string_not_equal(
				EXPECT(NAMES(STR("mx.example")), DANE(r)), "open verified");
		}
	}
	serve_no_more();
}

/* RFC 7672 3.1.1: whose certificate is in DNS itself needs no name, no date, no authority.  */
static void test_expired_and_of_another_name(void **state)
{
	(void)state;
	serve("other.example", now() - DAYS(500));
	unsigned char digest[64];
	struct tls_tlsa r = {3, 1, 1, hash("SHA256", key_der, digest)};
	assert_string_equal(EXPECT(NAMES(STR("mx.example")), DANE(r)), "open verified");
	assert_string_equal(EXPECT(NAMES(STR("mx.example"))), "open");
	assert_string_equal(EXPECT(NAMES(STR("other.example")), .verify = TLS_VERIFY_NAME),
		"certificate verify failed: self-signed certificate");
	serve_no_more();
}

static void test_other_key(void **state)
{
	(void)state;
	serve("mx.example", now());
	static const char zero[64];
	struct tls_tlsa wrong = {3, 1, 1, {zero, 32}};
	const char *why = EXPECT(NAMES(STR("mx.example")), DANE(wrong));
	assert_string_equal(why, "certificate verify failed: no matching DANE TLSA records");
	unsigned char digest[64];
	struct tls_tlsa right = {3, 1, 1, hash("SHA256", key_der, digest)};
	assert_string_equal(EXPECT(NAMES(STR("mx.example")), DANE(wrong, right)), "open verified");
	/* RFC 7671 9: a stronger digest of the same kind makes the weaker ones count no more.  */
	struct tls_tlsa stronger = {3, 1, 2, {zero, 64}};
	assert_string_equal(EXPECT(NAMES(STR("mx.example")), DANE(right, stronger)), why);
	/* What nobody can use takes nothing away.  */
	struct tls_tlsa foreign = {1, 1, 2, {zero, 64}}, odd = {3, 7, 9, {zero, 5}};
	assert_string_equal(
		EXPECT(NAMES(STR("mx.example")), DANE(foreign, right, odd)), "open verified");
	assert_string_equal(EXPECT(NAMES(STR("mx.example")), DANE(foreign, odd)), "no engine");
	assert_string_equal(EXPECT(DANE(right)), "no engine");
	serve_no_more();
}

/* A record of an authority (usage 2) is not for the server's own certificate.  */
static void test_leaf_is_no_authority(void **state)
{
	(void)state;
	serve("mx.example", now());
	unsigned char digest[64];
	struct tls_tlsa r = {2, 0, 1, hash("SHA256", certificate_der, digest)};
	assert_string_equal(EXPECT(NAMES(STR("mx.example")), DANE(r)),
		"certificate verify failed: no matching DANE TLSA records");
	serve_no_more();
}

static void test_usable(void **state)
{
	(void)state;
	static const char octets[64];
	static const struct {
		struct tls_tlsa record;
		bool usable;
	} all[] = {
		{{3, 1, 1, {octets, 32}}, true},
		{{2, 0, 2, {octets, 64}}, true},
		{{0, 0, 1, {octets, 32}}, false}, /* of the web's authorities */
		{{1, 1, 1, {octets, 32}}, false},
		{{4, 1, 1, {octets, 32}}, false},
		{{3, 2, 1, {octets, 32}}, false},
		{{3, 1, 3, {octets, 32}}, false},
		{{3, 1, 1, {octets, 33}}, false},
		{{3, 1, 1, {octets, 0}}, false},
		{{3, 1, 2, {octets, 32}}, false},
		{{3, 1, 0, {octets, 64}}, false}, /* neither certificate nor key */
		{{3, 0, 0, {octets, 0}}, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (tls_tlsa_usable(&all[i].record) != all[i].usable) fail_msg("row %zu", i);
	serve("mx.example", now());
	struct tls_tlsa r = {3, 0, 0, certificate_der};
	assert_true(tls_tlsa_usable(&r));
	r.data.len--;
	assert_false(tls_tlsa_usable(&r));
	r.data.len += 2; /* something behind its end */
	assert_false(tls_tlsa_usable(&r));
	serve_no_more();
}

static void trust_it(void)
{
	struct buf why;
	buf_init(&why, 1000);
	tls_context_release(client_context);
	client_context = tls_client_context(buf_str(&chain), &why);
	assert_non_null(client_context);
}

/* What is wrong is known, whether it was to be proved or not.  */
static void test_faults(void **state)
{
	(void)state;
	serve("mx.example", now());
	assert_string_equal(EXPECT(NAMES(STR("mx.example"))), "open");
	assert_int_equal(fault, TLS_FAULT_UNTRUSTED);
	trust_it();
	assert_string_equal(EXPECT(NAMES(STR("mx.example"))), "open verified");
	assert_int_equal(fault, TLS_FAULT_NONE);
	assert_string_equal(EXPECT(NAMES(STR("other.example"))), "open");
	assert_int_equal(fault, TLS_FAULT_NAME);
	(void)EXPECT(NAMES(STR("other.example")), .verify = TLS_VERIFY_NAME);
	assert_int_equal(fault, TLS_FAULT_NAME);
	unsigned char digest[64];
	struct tls_tlsa r = {3, 1, 1, hash("SHA256", STR("another key"), digest)};
	(void)EXPECT(NAMES(STR("mx.example")), DANE(r));
	assert_int_equal(fault, TLS_FAULT_OTHER);
	serve_no_more();
	serve("mx.example", now() - DAYS(500));
	trust_it();
	assert_string_equal(EXPECT(NAMES(STR("mx.example"))), "open");
	assert_int_equal(fault, TLS_FAULT_DATE);
	serve_no_more();
}

static void test_names(void **state)
{
	(void)state;
	static const char zero[] = "a\0b";
	serve("mx.example", now());
	assert_string_equal(EXPECT(.verify = TLS_VERIFY_NAME), "no engine");
	assert_string_equal(EXPECT(NAMES(str_of(zero, 3))), "no engine");
	char name[300];
	memset(name, 'a', sizeof name);
	assert_string_equal(EXPECT(NAMES(str_of(name, sizeof name))), "no engine");
	assert_string_equal(EXPECT(NAMES(STR("192.0.2.1"))), "open");
	serve_no_more();
}

/* To look at a server goes on whoever it is, and tells.  */
static void test_looking(void **state)
{
	(void)state;
	static const char zero[64];
	serve("mx.example", now());
	unsigned char digest[64];
	struct tls_tlsa wrong = {3, 1, 1, {zero, 32}},
			right = {3, 1, 1, hash("SHA256", key_der, digest)};
	assert_string_equal(EXPECT(NAMES(STR("mx.example")), DANE(wrong), .look = true), "open");
	assert_string_equal(
		EXPECT(NAMES(STR("mx.example")), DANE(right), .look = true), "open verified");
	assert_string_equal(
		EXPECT(NAMES(STR("mx.example")), .verify = TLS_VERIFY_NAME, .look = true), "open");
	serve_no_more();
}

static struct tls *open_client(const struct tls_expect *expect)
{
	struct tls *client = tls_client_expecting(client_context, expect);
	struct tls *server = tls_server_new(server_context);
	struct tls_peer peer;
	assert_false(tls_peer_read(client, &peer));
	tls_feed(client, STR_NONE);
	while (carry(client, server) || carry(server, client)) {
	}
	tls_free(server);
	assert_int_equal(tls_state(client), TLS_OPEN);
	return client;
}

static void test_what_the_certificate_says(void **state)
{
	(void)state;
	msec wall = now() / 1000 * 1000;
	serve("mx.example", wall);
	struct str names[] = {STR("other.example"), STR("mx.example")};
	struct tls *client =
		open_client(&(const struct tls_expect){.names = names, .name_count = 1});
	struct tls_peer peer;
	assert_true(tls_peer_read(client, &peer));
	assert_string_equal(peer.subject, "CN=mx.example");
	assert_string_equal(peer.issuer, "CN=mx.example");
	assert_string_equal(peer.names, "mx.example");
	assert_int_equal(peer.from, wall - DAYS(1));
	assert_int_equal(peer.until, wall + DAYS(365));
	assert_str(tls_peer_distrust(client), "self-signed certificate");
	const char *why;
	assert_false(tls_peer_vouched(client, names, 2, &why));
	assert_string_equal(why, "self-signed certificate");
	assert_false(tls_peer_vouched(client, names, 0, &why));
	tls_free(client);

	/* By who trusts it.  */
	struct buf trouble;
	buf_init(&trouble, 100);
	tls_context_release(client_context);
	client_context = tls_client_context(buf_str(&chain), &trouble);
	client = open_client(&(const struct tls_expect){.names = names, .name_count = 2});
	assert_str(tls_peer_distrust(client), "");
	assert_true(tls_peer_vouched(client, names, 2, &why));
	assert_false(tls_peer_vouched(client, names, 1, &why));
	assert_string_equal(why, "hostname mismatch");
	tls_free(client);
	serve_no_more();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_form_of_record),
		cmocka_unit_test(test_expired_and_of_another_name),
		cmocka_unit_test(test_other_key),
		cmocka_unit_test(test_leaf_is_no_authority),
		cmocka_unit_test(test_usable),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_looking),
		cmocka_unit_test(test_what_the_certificate_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
