#include "crypto/tls_peer.h"

#include "base/net.h"
#include "crypto/pem.h"
#include "crypto/tls_private.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

/* A name's text, cut to what fits.  */
static void read_name(const X509_NAME *name, char *to, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int got = 0;
	if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0)
		got = BIO_read(bio, to, (int)size - 1);
	to[got > 0 ? got : 0] = '\0';
	BIO_free(bio);
}

static void add_address(struct buf *text, struct str octets)
{
	struct net_address a = {.family = octets.len == 4 ? NET_IPV4 : NET_IPV6};
	if (octets.len != 4 && octets.len != 16) return;
	memcpy(a.octets, octets.ptr, octets.len);
	net_add(text, &a);
}

static void read_names(X509 *certificate, char *to, size_t size)
{
	struct buf text = {.ptr = to, .cap = size - 1, .max = size - 1};
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		int type;
		const ASN1_STRING *value =
			GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
		if (type != GEN_DNS && type != GEN_IPADD) continue;
		struct str octets =
			str_of(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
		if (text.len) buf_add_c(&text, ' ');
		if (type == GEN_DNS)
			buf_add(&text, octets);
		else
			add_address(&text, octets);
	}
	to[text.len] = '\0';
	GENERAL_NAMES_free(names);
}

/* 0 when it cannot be said.  */
static msec read_time(const ASN1_TIME *time)
{
	msec wall;
	return pem_time(time, &wall) ? wall : 0;
}

bool tls_peer_read(const struct tls *t, struct tls_peer *ret)
{
	X509 *certificate = SSL_get0_peer_certificate(t->ssl);
	if (!certificate) return false;
	*ret = (struct tls_peer){.from = read_time(X509_get0_notBefore(certificate)),
		.until = read_time(X509_get0_notAfter(certificate))};
	read_name(X509_get_subject_name(certificate), ret->subject, sizeof ret->subject);
	read_name(X509_get_issuer_name(certificate), ret->issuer, sizeof ret->issuer);
	read_names(certificate, ret->names, sizeof ret->names);
	ERR_clear_error();
	return true;
}

struct str tls_peer_distrust(const struct tls *t)
{
	long verdict = SSL_get_verify_result(t->ssl);
	return verdict == X509_V_OK ? STR_NONE : str_from_c(X509_verify_cert_error_string(verdict));
}

static bool expect(X509_VERIFY_PARAM *param, const struct str *names, uint32_t count)
{
	char name[256];
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (uint32_t i = 0; i < count; i++) {
		snprintf(name, sizeof name, STR_FMT, STR_ARG(str_head(names[i], sizeof name - 1)));
		if (X509_VERIFY_PARAM_set1_ip_asc(param, name) != 1 &&
			X509_VERIFY_PARAM_add1_host(param, name, 0) != 1)
			return false;
	}
	return count > 0;
}

bool tls_peer_vouched(
	const struct tls *t, const struct str *names, uint32_t count, const char **ret_why)
{
	X509_STORE_CTX *check = X509_STORE_CTX_new();
	bool fine = false;
	*ret_why = "it cannot be checked";
	if (check &&
		X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(t->context->ssl[0]),
			SSL_get0_peer_certificate(t->ssl), SSL_get_peer_cert_chain(t->ssl)) == 1 &&
		X509_STORE_CTX_set_default(check, "ssl_server") == 1 &&
		expect(X509_STORE_CTX_get0_param(check), names, count)) {
		fine = X509_verify_cert(check) == 1;
		*ret_why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(check));
	}
	X509_STORE_CTX_free(check);
	ERR_clear_error();
	return fine;
}
