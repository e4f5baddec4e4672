#include "crypto/jws.h"

#include "base/code.h"
#include "crypto/pem.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

enum { COORDINATE = 32, SIGNATURE_DER_MAX = 80 };

struct jws_key {
	EVP_PKEY *pair;
};

static struct jws_key *key_of(EVP_PKEY *pair)
{
	struct jws_key *key = pair ? malloc(sizeof *key) : NULL;
	if (!key) {
		EVP_PKEY_free(pair);
		ERR_clear_error();
		return NULL;
	}
	key->pair = pair;
	return key;
}

struct jws_key *jws_key_new(void) { return key_of(EVP_EC_gen("P-256")); }

static bool is_p256(EVP_PKEY *pair)
{
	char group[32];
	return EVP_PKEY_get_utf8_string_param(
		       pair, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) == 1 &&
		strcmp(group, "prime256v1") == 0;
}

struct jws_key *jws_key_read(struct str pem)
{
	BIO *bio = pem_bio(pem);
	EVP_PKEY *pair = bio ? PEM_read_bio_PrivateKey(bio, NULL, pem_no_passphrase, NULL) : NULL;
	BIO_free(bio);
	if (pair && !is_p256(pair)) {
		EVP_PKEY_free(pair);
		pair = NULL;
	}
	return key_of(pair);
}

void jws_key_free(struct jws_key *key)
{
	if (!key) return;
	EVP_PKEY_free(key->pair);
	free(key);
}

bool jws_key_write(const struct jws_key *key, struct buf *pem)
{
	bool fine = pem_add_key(pem, key->pair);
	ERR_clear_error();
	return fine;
}

static bool add_coordinate(const struct jws_key *key, const char *which, struct buf *out)
{
	BIGNUM *number = NULL;
	unsigned char octets[COORDINATE];
	bool fine = EVP_PKEY_get_bn_param(key->pair, which, &number) == 1 &&
		BN_bn2binpad(number, octets, sizeof octets) == (int)sizeof octets;
	BN_free(number);
	if (fine) base64url_add(out, str_of(octets, sizeof octets));
	return fine;
}

bool jws_key_public(const struct jws_key *key, struct buf *out)
{
	buf_add(out, STR("{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\""));
	bool fine = add_coordinate(key, OSSL_PKEY_PARAM_EC_PUB_X, out);
	buf_add(out, STR("\",\"y\":\""));
	fine = fine && add_coordinate(key, OSSL_PKEY_PARAM_EC_PUB_Y, out);
	buf_add(out, STR("\"}"));
	return fine && buf_ok(out);
}

bool jws_thumbprint(const struct jws_key *key, struct buf *out)
{
	struct buf text;
	buf_init(&text, 512);
	bool fine = jws_key_public(key, &text);
	unsigned char digest[SHA256_DIGEST_LENGTH];
	if (fine) {
		SHA256((const unsigned char *)text.ptr, text.len, digest);
		base64url_add(out, str_of(digest, sizeof digest));
	}
	buf_release(&text);
	return fine && buf_ok(out);
}

/* From OpenSSL's form to both numbers in full width, one after the other.  */
static bool flatten(const unsigned char *der, size_t len, unsigned char *ret)
{
	ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)len);
	bool fine = signature &&
		BN_bn2binpad(ECDSA_SIG_get0_r(signature), ret, COORDINATE) == COORDINATE &&
		BN_bn2binpad(ECDSA_SIG_get0_s(signature), ret + COORDINATE, COORDINATE) ==
			COORDINATE;
	ECDSA_SIG_free(signature);
	return fine;
}

static bool sign(const struct jws_key *key, struct str text, unsigned char *ret)
{
	unsigned char der[SIGNATURE_DER_MAX];
	size_t len = sizeof der;
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	bool fine = digest &&
		EVP_DigestSignInit(digest, NULL, EVP_sha256(), NULL, key->pair) == 1 &&
		EVP_DigestSign(digest, der, &len, (const unsigned char *)text.ptr, text.len) == 1 &&
		flatten(der, len, ret);
	EVP_MD_CTX_free(digest);
	ERR_clear_error();
	return fine;
}

bool jws_sign(const struct jws_key *key, struct str header, struct str payload, struct buf *out)
{
	struct buf text; /* what is signed: HEADER.PAYLOAD */
	unsigned char signature[2 * COORDINATE];
	buf_init(&text, out->max);
	base64url_add(&text, header);
	size_t header_len = text.len;
	buf_add_c(&text, '.');
	base64url_add(&text, payload);
	bool fine = buf_ok(&text) && sign(key, buf_str(&text), signature);
	if (fine) {
		buf_add(out, STR("{\"protected\":\""));
		buf_add(out, str_head(buf_str(&text), header_len));
		buf_add(out, STR("\",\"payload\":\""));
		buf_add(out, str_skip(buf_str(&text), header_len + 1));
		buf_add(out, STR("\",\"signature\":\""));
		base64url_add(out, str_of(signature, sizeof signature));
		buf_add(out, STR("\"}"));
	}
	buf_release(&text);
	return fine && buf_ok(out);
}
