#include "base/code.h"
#include "base/test.h"
#include "crypto/jws.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

/* The key of RFC 7515 A.3, in PEM, and what belongs to it.  */
static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
			  "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIff\n"
			  "H1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp\n"
			  "7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\n"
			  "-----END PRIVATE KEY-----\n";
static const char public[] =
	"{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";

static struct buf out;

static int clear(void **state)
{
	(void)state;
	buf_release(&out);
	buf_init(&out, 1 << 16);
	return 0;
}

static struct jws_key *known(void)
{
	struct jws_key *key = jws_key_read(str_from_c(pem));
	assert_non_null(key);
	return key;
}

static void test_the_public_key_and_its_thumbprint(void **state)
{
	(void)state;
	struct jws_key *key = known();
	assert_true(jws_key_public(key, &out));
	assert_str(buf_str(&out), public);
	buf_clear(&out);
	assert_true(jws_thumbprint(key, &out));
	assert_str(buf_str(&out), "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
	jws_key_free(key);
}

/* The member's value, as it stands in the JSON.  */
static struct str member(struct str json, const char *name)
{
	for (struct str part; json.len;) {
		(void)str_cut(&json, '"', &part);
		if (!str_eq(part, str_from_c(name))) continue;
		(void)str_cut(&json, '"', &part);
		(void)str_cut(&json, '"', &part);
		return part;
	}
	fail_msg("no %s", name);
	return STR_NONE;
}

static void decode(struct str coded, struct buf *to)
{
	struct buf padded;
	buf_init(&padded, 4096);
	for (size_t i = 0; i < coded.len; i++)
		buf_add_c(&padded,
			coded.ptr[i] == '-'           ? '+'
				: coded.ptr[i] == '_' ? '/'
						      : coded.ptr[i]);
	while (padded.len % 4) buf_add_c(&padded, '=');
	assert_true(base64_decode(buf_str(&padded), to));
	buf_release(&padded);
}

static bool verifies(struct str text, struct str signature)
{
	ECDSA_SIG *s = ECDSA_SIG_new();
	const unsigned char *octets = (const unsigned char *)signature.ptr;
	assert_int_equal(signature.len, 64);
	ECDSA_SIG_set0(s, BN_bin2bn(octets, 32, NULL), BN_bin2bn(octets + 32, 32, NULL));
	unsigned char *der = NULL;
	int len = i2d_ECDSA_SIG(s, &der);
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *pair = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	assert_int_equal(EVP_DigestVerifyInit(digest, NULL, EVP_sha256(), NULL, pair), 1);
	bool fine = EVP_DigestVerify(digest, der, (size_t)len, (const unsigned char *)text.ptr,
			    text.len) == 1;
	EVP_MD_CTX_free(digest);
	EVP_PKEY_free(pair);
	BIO_free(bio);
	OPENSSL_free(der);
	ECDSA_SIG_free(s);
	return fine;
}

static void test_a_signature_verifies(void **state)
{
	(void)state;
	struct jws_key *key = known();
	/* Often enough that numbers with leading zeros are among them.  */
	for (int i = 0; i < 300; i++) {
		clear(NULL);
		assert_true(jws_sign(key, STR("{\"alg\":\"ES256\"}"), STR("{\"a\":1}"), &out));
		struct str json = buf_str(&out);
		assert_str(member(json, "protected"), "eyJhbGciOiJFUzI1NiJ9");
		assert_str(member(json, "payload"), "eyJhIjoxfQ");
		struct buf signature;
		buf_init(&signature, 4096);
		decode(member(json, "signature"), &signature);
		assert_true(verifies(STR("eyJhbGciOiJFUzI1NiJ9.eyJhIjoxfQ"), buf_str(&signature)));
		assert_false(verifies(STR("eyJhbGciOiJFUzI1NiJ9.eyJhIjoyfQ"), buf_str(&signature)));
		buf_release(&signature);
	}
	buf_clear(&out);
	assert_true(jws_sign(key, STR("{}"), STR_NONE, &out));
	assert_str(member(buf_str(&out), "payload"), "");
	jws_key_free(key);
}

static void test_a_key_is_kept(void **state)
{
	(void)state;
	struct jws_key *key = jws_key_new();
	assert_non_null(key);
	struct buf text, first;
	buf_init(&text, 4096);
	buf_init(&first, 4096);
	assert_true(jws_key_write(key, &text));
	assert_true(jws_thumbprint(key, &first));
	jws_key_free(key);
	key = jws_key_read(buf_str(&text));
	assert_non_null(key);
	assert_true(jws_thumbprint(key, &out));
	assert_true(str_eq(buf_str(&first), buf_str(&out)));
	jws_key_free(key);
	assert_null(jws_key_read(STR("no key")));
	assert_null(jws_key_read(STR_NONE));
	buf_release(&text);
	buf_release(&first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_the_public_key_and_its_thumbprint, clear),
		cmocka_unit_test_setup(test_a_signature_verifies, clear),
		cmocka_unit_test_setup(test_a_key_is_kept, clear),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	buf_release(&out);
	return failed;
}
