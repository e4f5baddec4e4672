#include "crypto/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

enum { COMMON_NAME_MAX = 64 };

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

static bool add_alternative(X509 *x, struct str host)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	bool fine = names && name && text && ASN1_STRING_set(text, host.ptr, (int)host.len);
	if (fine) {
		GENERAL_NAME_set0_value(name, GEN_DNS, text);
		text = NULL;
		fine = sk_GENERAL_NAME_push(names, name) > 0;
		if (fine) name = NULL;
	}
	fine = fine && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1;
	ASN1_IA5STRING_free(text);
	GENERAL_NAME_free(name);
	GENERAL_NAMES_free(names);
	return fine;
}

static bool set_times(X509 *x, msec wall, uint32_t days)
{
	time_t now = (time_t)(wall / 1000);
	return ASN1_TIME_adj(X509_getm_notBefore(x), now, -1, 0) &&
		ASN1_TIME_adj(X509_getm_notAfter(x), now, (int)days, 0);
}

static bool add_pem(struct buf *out, BIO *bio)
{
	char *octets;
	long len = BIO_get_mem_data(bio, &octets);
	return len > 0 && buf_add(out, str_of(octets, (size_t)len));
}

static bool write_out(X509 *x, EVP_PKEY *pair, struct buf *certificate, struct buf *key)
{
	BIO *public = BIO_new(BIO_s_mem()), *private = BIO_new(BIO_s_secmem());
	bool fine = public && private && PEM_write_bio_X509(public, x) &&
		PEM_write_bio_PrivateKey(private, pair, NULL, NULL, 0, NULL, NULL) &&
		add_pem(certificate, public) && add_pem(key, private);
	BIO_free(public);
	BIO_free(private);
	return fine;
}

bool certificate_make(
	struct str host, msec wall, uint32_t days, struct buf *certificate, struct buf *key)
{
	if (host.len == 0 || host.len > 253) return false;
	EVP_PKEY *pair = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	bool fine = pair && x && X509_set_version(x, X509_VERSION_3) && set_serial(x) &&
		set_names(x, host) && set_times(x, wall, days) && X509_set_pubkey(x, pair) &&
		add_alternative(x, host) && X509_sign(x, pair, EVP_sha256()) &&
		write_out(x, pair, certificate, key);
	X509_free(x);
	EVP_PKEY_free(pair);
	ERR_clear_error();
	return fine;
}
