#include "base/test.h"
#include "crypto/pem.h"

#include <openssl/err.h>
#include <openssl/evp.h>

static void test_times(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		msec wall;
	} times[] = {{"19700101000000Z", 0}, {"20270115080000Z", INT64_C(1800000000) * 1000},
		{"19691231235959Z", -1000}, {"21000101000000Z", INT64_C(4102444800) * 1000}};
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		ASN1_TIME *time = ASN1_TIME_new();
		assert_int_equal(ASN1_TIME_set_string(time, times[i].text), 1);
		msec wall = 1;
		assert_true(pem_time(time, &wall));
		assert_int_equal(wall, times[i].wall);
		ASN1_TIME_free(time);
	}
	ASN1_TIME *none = ASN1_TIME_new();
	msec wall = 1;
	assert_int_equal(ASN1_STRING_set(none, "no time", 7), 1);
	assert_false(pem_time(none, &wall));
	assert_int_equal(wall, 1);
	ASN1_TIME_free(none);
	ERR_clear_error();
}

static void test_a_key_is_written_and_read(void **state)
{
	(void)state;
	EVP_PKEY *pair = EVP_EC_gen("P-256");
	struct buf text, none;
	buf_init(&text, 4096);
	buf_init(&none, 10);
	assert_true(pem_add_key(&text, pair));
	assert_false(pem_add_key(&none, pair));
	BIO *bio = pem_bio(buf_str(&text));
	EVP_PKEY *again = PEM_read_bio_PrivateKey(bio, NULL, pem_no_passphrase, NULL);
	assert_int_equal(EVP_PKEY_eq(pair, again), 1);
	EVP_PKEY_free(again);
	BIO_free(bio);
	EVP_PKEY_free(pair);
	buf_release(&text);
	buf_release(&none);
}

/* One that wants a pass phrase is refused; nobody is asked for it.  */
static void test_no_pass_phrase(void **state)
{
	(void)state;
	EVP_PKEY *pair = EVP_EC_gen("P-256");
	BIO *bio = BIO_new(BIO_s_mem());
	char phrase[] = "secret";
	assert_int_equal(
		PEM_write_bio_PKCS8PrivateKey(bio, pair, EVP_aes_128_cbc(), phrase, 6, NULL, NULL),
		1);
	assert_null(PEM_read_bio_PrivateKey(bio, NULL, pem_no_passphrase, NULL));
	BIO_free(bio);
	EVP_PKEY_free(pair);
	ERR_clear_error();
}

static void test_nothing(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 100);
	BIO *bio = pem_bio(STR_NONE);
	assert_non_null(bio);
	assert_false(pem_add_bio(&out, bio));
	BIO_free(bio);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_a_key_is_written_and_read),
		cmocka_unit_test(test_no_pass_phrase),
		cmocka_unit_test(test_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
