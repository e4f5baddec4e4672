#include "base/test.h"
#include "crypto/certificate.h"

#include <openssl/pem.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_it_says),
		cmocka_unit_test(test_two_are_two),
		cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
