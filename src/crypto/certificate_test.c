#include "base/test.h"
#include "crypto/certificate.h"

#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

static const msec wall = INT64_C(1800000000) * 1000;

static X509 *make(const char *host, uint32_t days, EVP_PKEY **ret_key)
{
	struct buf certificate, key;
	buf_init(&certificate, 1 << 16);
	buf_init(&key, 1 << 16);
	assert_true(certificate_make(str_from_c(host), wall, days, &certificate, &key));
	BIO *bio = BIO_new_mem_buf(certificate.ptr, (int)certificate.len);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	bio = BIO_new_mem_buf(key.ptr, (int)key.len);
	*ret_key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	buf_release(&certificate);
	buf_release(&key);
	assert_non_null(x);
	assert_non_null(*ret_key);
	return x;
}

static void test_what_it_says(void **state)
{
	(void)state;
	EVP_PKEY *key;
	X509 *x = make("mail.example.com", 3650, &key);
	assert_int_equal(X509_check_private_key(x, key), 1);
	assert_int_equal(X509_verify(x, key), 1);
	assert_int_equal(X509_check_host(x, "mail.example.com", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(x, "example.com", 0, 0, NULL), 0);
	assert_int_equal(EVP_PKEY_get_bits(key), 256);
	time_t begin = wall / 1000 - 86400, end = wall / 1000 + INT64_C(3650) * 86400;
	assert_int_equal(ASN1_TIME_cmp_time_t(X509_get0_notBefore(x), begin), 0);
	assert_int_equal(ASN1_TIME_cmp_time_t(X509_get0_notAfter(x), end), 0);
	X509_free(x);
	EVP_PKEY_free(key);
}

static void test_two_are_two(void **state)
{
	(void)state;
	EVP_PKEY *key_a, *key_b;
	X509 *a = make("a.example", 365, &key_a), *b = make("a.example", 365, &key_b);
	assert_int_not_equal(
		ASN1_INTEGER_cmp(X509_get0_serialNumber(a), X509_get0_serialNumber(b)), 0);
	assert_int_equal(EVP_PKEY_eq(key_a, key_b), 0);
	X509_free(a);
	X509_free(b);
	EVP_PKEY_free(key_a);
	EVP_PKEY_free(key_b);
}

/* RFC 5280 lets a common name have 64 octets, a host name may have more.  */
static void test_long_name(void **state)
{
	(void)state;
	const char *host =
		"a-name-of-more-than-sixty-four-octets.which-is-allowed-for-a-host.example.com";
	EVP_PKEY *key;
	X509 *x = make(host, 365, &key);
	assert_int_equal(X509_check_host(x, host, 0, 0, NULL), 1);
	X509_free(x);
	EVP_PKEY_free(key);
}

static void test_refusals(void **state)
{
	(void)state;
	struct buf certificate, key;
	buf_init(&certificate, 1 << 16);
	buf_init(&key, 16); /* too small for a key */
	assert_false(certificate_make(STR(""), wall, 365, &certificate, &key));
	assert_false(certificate_make(STR("a.example"), wall, 365, &certificate, &key));
	buf_release(&certificate);
	buf_release(&key);
}

static void test_a_challenge_carries_its_digest(void **state)
{
	(void)state;
	unsigned char digest[32];
	SHA256((const unsigned char *)"token.thumbprint", 16, digest);
	struct buf certificate, key;
	buf_init(&certificate, 1 << 16);
	buf_init(&key, 1 << 16);
	assert_true(certificate_make_challenge(
		STR("a.test"), STR("token.thumbprint"), wall, &certificate, &key));
	BIO *bio = BIO_new_mem_buf(certificate.ptr, (int)certificate.len);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	assert_non_null(x);
	ASN1_OBJECT *kind = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
	int at = X509_get_ext_by_OBJ(x, kind, -1);
	assert_true(at >= 0);
	X509_EXTENSION *e = X509_get_ext(x, at);
	assert_int_equal(X509_EXTENSION_get_critical(e), 1);
	ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(e);
	assert_int_equal(ASN1_STRING_length(value), 34);
	assert_memory_equal(ASN1_STRING_get0_data(value) + 2, digest, sizeof digest);
	ASN1_OBJECT_free(kind);
	X509_free(x);
	buf_release(&certificate);
	buf_release(&key);
}

static void test_a_request_names_all(void **state)
{
	(void)state;
	const struct str names[] = {STR("a.test"), STR("b.example")};
	struct buf key, request;
	buf_init(&key, 1 << 16);
	buf_init(&request, 1 << 16);
	assert_true(certificate_request(names, 2, &key, &request));
	const unsigned char *at = (const unsigned char *)request.ptr;
	X509_REQ *r = d2i_X509_REQ(NULL, &at, (long)request.len);
	assert_non_null(r);
	EVP_PKEY *public = X509_REQ_get0_pubkey(r);
	assert_int_equal(X509_REQ_verify(r, public), 1);
	BIO *bio = BIO_new_mem_buf(key.ptr, (int)key.len);
	EVP_PKEY *private = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	assert_int_equal(EVP_PKEY_eq(public, private), 1);
	STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(r);
	GENERAL_NAMES *all = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
	assert_int_equal(sk_GENERAL_NAME_num(all), 2);
	const ASN1_STRING *second = sk_GENERAL_NAME_value(all, 1)->d.dNSName;
	assert_str(str_of(ASN1_STRING_get0_data(second), (size_t)ASN1_STRING_length(second)),
		"b.example");
	GENERAL_NAMES_free(all);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	EVP_PKEY_free(private);
	X509_REQ_free(r);
	assert_false(certificate_request(names, 0, &key, &request));
	assert_false(certificate_request((const struct str[]){STR("")}, 1, &key, &request));
	buf_release(&key);
	buf_release(&request);
}

static void test_what_is_read(void **state)
{
	(void)state;
	struct buf certificate, key;
	buf_init(&certificate, 1 << 16);
	buf_init(&key, 1 << 16);
	assert_true(certificate_make(STR("a.test"), wall, 10, &certificate, &key));
	const struct str names[] = {STR("a.test"), STR("b.test")};
	struct certificate_facts facts;
	assert_true(certificate_read(buf_str(&certificate), names, 1, &facts));
	assert_true(facts.own && facts.covers);
	assert_int_equal(facts.from, wall - DAYS(1));
	assert_int_equal(facts.until, wall + DAYS(10));
	assert_true(certificate_read(buf_str(&certificate), names, 2, &facts));
	assert_false(facts.covers);
	assert_false(certificate_read(STR("nothing"), names, 1, &facts));
	assert_false(certificate_read(STR_NONE, names, 1, &facts));
	buf_release(&certificate);
	buf_release(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_it_says),
		cmocka_unit_test(test_two_are_two),
		cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_a_challenge_carries_its_digest),
		cmocka_unit_test(test_a_request_names_all),
		cmocka_unit_test(test_what_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
