/* A client's engine: whom it asks for, and what proves that it has reached them.  */
#include "crypto/tls_private.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

enum { NAME_MAX_TEXT = 255 };
/* RFC 6698 7.2 to 7.4, by the numbers.  */
enum { USAGE_DANE_TA = 2, USAGE_DANE_EE = 3 };
enum { SELECTOR_CERTIFICATE, SELECTOR_KEY };
enum { MATCHING_FULL, MATCHING_SHA256, MATCHING_SHA512 };

/* ---- names ---- */

static bool copy_name(struct str name, char ret[NAME_MAX_TEXT + 1])
{
	if (name.len > NAME_MAX_TEXT || str_find(name, '\0') < name.len) return false;
	if (name.len) memcpy(ret, name.ptr, name.len);
	ret[name.len] = '\0';
	return true;
}

static bool is_address(const char *name)
{
	ASN1_OCTET_STRING *octets = a2i_IPADDRESS(name);
	ASN1_OCTET_STRING_free(octets);
	return octets != NULL;
}

/* RFC 9525: one of the names, or the address, is to be in the certificate.  */
static bool expect_names(struct tls *t, const struct tls_expect *e)
{
	char name[NAME_MAX_TEXT + 1];
	SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (uint32_t i = 0; i < e->name_count; i++) {
		if (!copy_name(e->names[i], name)) return false;
		if (!name[0]) continue;
		bool fine = is_address(name)
			? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), name) == 1
			: SSL_add1_host(t->ssl, name) == 1;
		if (!fine) return false;
		t->named = true;
	}
	return true;
}

/* ---- DANE ---- */

static bool parses(const struct tls_tlsa *r)
{
	const unsigned char *at = (const unsigned char *)r->data.ptr, *end = at + r->data.len;
	X509 *certificate = NULL;
	EVP_PKEY *key = NULL;
	if (r->selector == SELECTOR_CERTIFICATE)
		certificate = d2i_X509(NULL, &at, (long)r->data.len);
	else
		key = d2i_PUBKEY(NULL, &at, (long)r->data.len);
	bool fine = (certificate && X509_get0_pubkey(certificate)) || key;
	X509_free(certificate);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return fine && at == end;
}

bool tls_tlsa_usable(const struct tls_tlsa *r)
{
	if (r->usage != USAGE_DANE_TA && r->usage != USAGE_DANE_EE) return false;
	if (r->selector > SELECTOR_KEY) return false;
	switch (r->matching) {
	case MATCHING_FULL: return r->data.len > 0 && parses(r);
	case MATCHING_SHA256: return r->data.len == 32;
	case MATCHING_SHA512: return r->data.len == 64;
	default: return false;
	}
}

/* RFC 7672 3.1.1: a certificate that DNS has itself needs neither a name nor a date.  */
static bool expect_records(struct tls *t, const struct tls_expect *e)
{
	char base[NAME_MAX_TEXT + 1];
	uint32_t taken = 0;
	if (e->name_count == 0 || !copy_name(e->names[0], base)) return false;
	if (SSL_dane_enable(t->ssl, base) <= 0) return false;
	SSL_dane_set_flags(t->ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	for (uint32_t i = 0; i < e->tlsa_count; i++) {
		const struct tls_tlsa *r = &e->tlsa[i];
		if (!tls_tlsa_usable(r)) continue;
		taken += SSL_dane_tlsa_add(t->ssl, r->usage, r->selector, r->matching,
				 (const unsigned char *)r->data.ptr, r->data.len) == 1;
	}
	return taken > 0;
}

/* ---- making ---- */

static bool prepare(struct tls *t, const struct tls_expect *e)
{
	char first[NAME_MAX_TEXT + 1] = "";
	if (e->name_count && !copy_name(e->names[0], first)) return false;
	if (first[0] && !is_address(first) && SSL_set_tlsext_host_name(t->ssl, first) != 1)
		return false;
	if (e->verify == TLS_VERIFY_DANE && !expect_records(t, e)) return false;
	if (!expect_names(t, e)) return false;
	if (e->verify == TLS_VERIFY_NONE) return true;
	if (!e->look) SSL_set_verify(t->ssl, SSL_VERIFY_PEER, NULL);
	return t->named;
}

struct tls *tls_client_expecting(struct tls_context *context, const struct tls_expect *expect)
{
	struct tls *t = tls_new(context);
	if (!t) return NULL;
	SSL_set_connect_state(t->ssl);
	bool fine = prepare(t, expect);
	ERR_clear_error();
	if (fine) return t;
	tls_free(t);
	return NULL;
}

struct tls *tls_client_new(struct tls_context *context, struct str host, enum tls_verify verify)
{
	struct tls_expect expect = {.verify = verify, .names = &host, .name_count = 1};
	return tls_client_expecting(context, &expect);
}

/* ---- what was wrong ---- */

enum tls_fault tls_fault(const struct tls *t)
{
	switch (SSL_get_verify_result(t->ssl)) {
	case X509_V_OK: return TLS_FAULT_NONE;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH: return TLS_FAULT_NAME;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID: return TLS_FAULT_DATE;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_UNTRUSTED: return TLS_FAULT_UNTRUSTED;
	default: return TLS_FAULT_OTHER;
	}
}
