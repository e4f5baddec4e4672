#include "crypto/certificate.h"

#include "crypto/pem.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

enum {
	COMMON_NAME_MAX = 64,
	NAME_MAX_LEN = 253,
	DIGEST = SHA256_DIGEST_LENGTH,
	CHALLENGE_DAYS = 7
};

/* 20 octets at most, positive, not to be guessed (RFC 5280 4.1.2.2).  */
static bool set_serial(X509 *x)
{
	unsigned char octets[16];
	if (RAND_bytes(octets, sizeof octets) != 1) return false;
	octets[0] = (unsigned char)((octets[0] & 0x7f) | 0x40);
	BIGNUM *number = BN_bin2bn(octets, sizeof octets, NULL);
	bool fine = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x));
	BN_free(number);
	return fine;
}

/* The common name is for people; where the host's is too long the alternative name stands alone.  */
static bool set_names(X509 *x, struct str host)
{
	struct str shown = host.len <= COMMON_NAME_MAX ? host : STR("mail server");
	X509_NAME *name = X509_get_subject_name(x);
	return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
		       (const unsigned char *)shown.ptr, (int)shown.len, -1, 0) &&
		X509_set_issuer_name(x, name);
}

static bool push_name(GENERAL_NAMES *names, struct str host)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	bool fine = name && text && host.len > 0 && host.len <= NAME_MAX_LEN &&
		ASN1_STRING_set(text, host.ptr, (int)host.len);
	if (fine) {
		GENERAL_NAME_set0_value(name, GEN_DNS, text);
		text = NULL;
		fine = sk_GENERAL_NAME_push(names, name) > 0;
		if (fine) name = NULL;
	}
	ASN1_IA5STRING_free(text);
	GENERAL_NAME_free(name);
	return fine;
}

/* NULL: no memory, or one of them cannot be a name.  */
static GENERAL_NAMES *alternatives(const struct str *hosts, uint32_t count)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	for (uint32_t i = 0; names && i < count; i++) {
		if (push_name(names, hosts[i])) continue;
		GENERAL_NAMES_free(names);
		names = NULL;
	}
	return names;
}

static bool add_alternative(X509 *x, struct str host)
{
	GENERAL_NAMES *names = alternatives(&host, 1);
	bool fine = names && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1;
	GENERAL_NAMES_free(names);
	return fine;
}

/* The extension that answers a challenge, critical: an octet string in an octet string (RFC 8737 3).  */
static bool add_digest(X509 *x, const uint8_t *digest)
{
	unsigned char value[2 + DIGEST] = {V_ASN1_OCTET_STRING, DIGEST};
	memcpy(value + 2, digest, DIGEST);
	ASN1_OBJECT *kind = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
	ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension = NULL;
	if (kind && octets && ASN1_OCTET_STRING_set(octets, value, sizeof value))
		extension = X509_EXTENSION_create_by_OBJ(NULL, kind, 1, octets);
	bool fine = extension && X509_add_ext(x, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(octets);
	ASN1_OBJECT_free(kind);
	return fine;
}

static bool set_times(X509 *x, msec wall, uint32_t days)
{
	time_t now = (time_t)(wall / 1000);
	return ASN1_TIME_adj(X509_getm_notBefore(x), now, -1, 0) &&
		ASN1_TIME_adj(X509_getm_notAfter(x), now, (int)days, 0);
}

static bool write_out(X509 *x, EVP_PKEY *pair, struct buf *certificate, struct buf *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	bool fine = bio && PEM_write_bio_X509(bio, x) && pem_add_bio(certificate, bio) &&
		pem_add_key(key, pair);
	BIO_free(bio);
	return fine;
}

/* digest: NULL, or of the challenge that it answers.  */
static bool make(struct str host, const uint8_t *digest, msec wall, uint32_t days,
	struct buf *certificate, struct buf *key)
{
	if (host.len == 0 || host.len > NAME_MAX_LEN) return false;
	EVP_PKEY *pair = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	bool fine = pair && x && X509_set_version(x, X509_VERSION_3) && set_serial(x) &&
		set_names(x, host) && set_times(x, wall, days) && X509_set_pubkey(x, pair) &&
		add_alternative(x, host) && (!digest || add_digest(x, digest)) &&
		X509_sign(x, pair, EVP_sha256()) && write_out(x, pair, certificate, key);
	X509_free(x);
	EVP_PKEY_free(pair);
	ERR_clear_error();
	return fine;
}

bool certificate_make(
	struct str host, msec wall, uint32_t days, struct buf *certificate, struct buf *key)
{
	return make(host, NULL, wall, days, certificate, key);
}

bool certificate_make_challenge(struct str host, struct str authorization, msec wall,
	struct buf *certificate, struct buf *key)
{
	unsigned char digest[DIGEST];
	SHA256((const unsigned char *)authorization.ptr, authorization.len, digest);
	return make(host, digest, wall, CHALLENGE_DAYS, certificate, key);
}

/* ---- asking an authority ---- */

static bool add_names(X509_REQ *request, const struct str *names, uint32_t count)
{
	STACK_OF(X509_EXTENSION) *extensions = NULL;
	GENERAL_NAMES *all = alternatives(names, count);
	bool fine = all && X509V3_add1_i2d(&extensions, NID_subject_alt_name, all, 0, 0) == 1 &&
		X509_REQ_add_extensions(request, extensions) == 1;
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	GENERAL_NAMES_free(all);
	return fine;
}

static bool add_der(struct buf *out, X509_REQ *request)
{
	unsigned char *der = NULL;
	int len = i2d_X509_REQ(request, &der);
	bool fine = len > 0 && buf_add(out, str_of(der, (size_t)len));
	OPENSSL_free(der);
	return fine;
}

bool certificate_request(
	const struct str *names, uint32_t count, struct buf *key, struct buf *request)
{
	EVP_PKEY *pair = EVP_EC_gen("P-256");
	X509_REQ *r = X509_REQ_new();
	bool fine = count > 0 && pair && r && X509_REQ_set_version(r, X509_REQ_VERSION_1) &&
		X509_REQ_set_pubkey(r, pair) && add_names(r, names, count) &&
		X509_REQ_sign(r, pair, EVP_sha256()) && pem_add_key(key, pair) &&
		add_der(request, r);
	X509_REQ_free(r);
	EVP_PKEY_free(pair);
	ERR_clear_error();
	return fine;
}

/* ---- reading ---- */

/* 0 when it cannot be said.  */
static msec time_of(const ASN1_TIME *t)
{
	msec wall;
	return pem_time(t, &wall) ? wall : 0;
}

bool certificate_read(
	struct str pem, const struct str *names, uint32_t count, struct certificate_facts *ret)
{
	BIO *bio = pem_bio(pem);
	X509 *x = bio ? PEM_read_bio_X509(bio, NULL, pem_no_passphrase, NULL) : NULL;
	BIO_free(bio);
	ERR_clear_error();
	if (!x) return false;
	*ret = (struct certificate_facts){.from = time_of(X509_get0_notBefore(x)),
		.until = time_of(X509_get0_notAfter(x)),
		.own = X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) == 0,
		.covers = true};
	for (uint32_t i = 0; i < count; i++)
		ret->covers &= X509_check_host(x, names[i].ptr, names[i].len, 0, NULL) == 1;
	X509_free(x);
	return true;
}
