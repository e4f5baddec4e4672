/* What connections share: versions, ciphers, certificates, roots.  */
#include "crypto/pem.h"
#include "crypto/tls_private.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

/* X25519 is the quickest, P-256 the most common.  */
static const char groups[] = "X25519:P-256:P-384";
/* Of TLS 1.2: what keeps its secrets when the key is lost.  CBC is for old peers, who would else come
 * in clear (RFC 7435); CCM's short tags are for nobody.  */
static const char ciphers[] =
	"ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:DHE+AES:!aNULL:!DSS:!AESCCM";

/* ---- making ---- */

static struct tls_context *context_new(uint32_t count)
{
	struct tls_context *c = calloc(1, sizeof *c);
	if (!c) return NULL;
	atomic_init(&c->users, 1);
	c->until = MSEC_NEVER;
	c->method = tls_bio_method();
	c->ssl = calloc(count, sizeof *c->ssl);
	if (c->method && c->ssl) return c;
	tls_context_release(c);
	return NULL;
}

struct tls_context *tls_context_hold(struct tls_context *context)
{
	atomic_fetch_add(&context->users, 1);
	return context;
}

void tls_context_release(struct tls_context *c)
{
	if (!c || atomic_fetch_sub(&c->users, 1) > 1) return;
	for (uint32_t i = 0; i < c->count; i++) SSL_CTX_free(c->ssl[i]);
	tls_tickets_release(&c->tickets);
	BIO_meth_free(c->method);
	free(c->ssl);
	free(c);
}

msec tls_context_until(const struct tls_context *context) { return context->until; }

/* What both sides have in common.  NULL: no memory.  */
static SSL_CTX *common_new(const SSL_METHOD *method)
{
	SSL_CTX *ssl = SSL_CTX_new(method);
	if (!ssl) return NULL;
	SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) &&
		SSL_CTX_set1_groups_list(ssl, groups) && SSL_CTX_set_cipher_list(ssl, ciphers))
		return ssl;
	SSL_CTX_free(ssl);
	return NULL;
}

/* ---- PEM ---- */

static bool use_chain(SSL_CTX *ssl, struct str pem)
{
	BIO *bio = pem_bio(pem);
	if (!bio) return false;
	X509 *certificate = PEM_read_bio_X509(bio, NULL, pem_no_passphrase, NULL);
	bool fine = certificate && SSL_CTX_use_certificate(ssl, certificate) == 1;
	X509_free(certificate);
	while (fine && (certificate = PEM_read_bio_X509(bio, NULL, pem_no_passphrase, NULL)))
		if (SSL_CTX_add0_chain_cert(ssl, certificate) != 1) {
			X509_free(certificate);
			fine = false;
		}
	BIO_free(bio);
	if (fine) ERR_clear_error(); /* the end of the text */
	return fine;
}

static bool use_key(SSL_CTX *ssl, struct str pem)
{
	BIO *bio = pem_bio(pem);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, pem_no_passphrase, NULL) : NULL;
	BIO_free(bio);
	bool fine = key && SSL_CTX_use_PrivateKey(ssl, key) == 1;
	EVP_PKEY_free(key);
	return fine;
}

static bool complain(struct buf *why, const char *what)
{
	buf_printf(why, "%s: ", what);
	tls_add_error(why, "out of memory");
	return false;
}

/* ---- a server's ---- */

/* ALPN (RFC 7301): there are no names for SMTP's versions, only for what it is not.  */
static int choose_protocol(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len,
	const unsigned char *offered, unsigned len, void *context)
{
	(void)ssl;
	const char *wanted = context;
	for (unsigned at = 0; at < len; at += 1U + offered[at]) {
		*ret_name = offered + at + 1;
		*ret_len = offered[at];
		if (str_eq(str_of(*ret_name, *ret_len), str_from_c(wanted)))
			return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int choose_identity(SSL *ssl, int *ret_alert, void *context)
{
	(void)ret_alert;
	const struct tls_context *c = context;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	if (!name) return SSL_TLSEXT_ERR_NOACK;
	for (uint32_t i = 0; i < c->count; i++) {
		X509 *certificate = SSL_CTX_get0_certificate(c->ssl[i]);
		if (X509_check_host(certificate, name, 0, 0, NULL) != 1) continue;
		if (i > 0) SSL_set_SSL_CTX(ssl, c->ssl[i]);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}

static msec end_of(const X509 *certificate)
{
	msec end;
	return pem_time(X509_get0_notAfter(certificate), &end) ? end : MSEC_NEVER;
}

msec tls_context_ends(const struct tls_context *context, uint32_t identity)
{
	ASSERT(identity < context->count);
	return end_of(SSL_CTX_get0_certificate(context->ssl[identity]));
}

static bool add_identity(
	struct tls_context *c, const struct tls_identity *identity, char *protocol, struct buf *why)
{
	SSL_CTX *ssl = common_new(TLS_server_method());
	if (!ssl) return complain(why, "TLS");
	c->ssl[c->count++] = ssl;
	SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_num_tickets(ssl, 1);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, tls_ticket);
	SSL_CTX_set_dh_auto(ssl, 1);
	SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, protocol);
	SSL_CTX_set_tlsext_servername_callback(ssl, choose_identity);
	SSL_CTX_set_tlsext_servername_arg(ssl, c);
	if (!use_chain(ssl, identity->chain)) return complain(why, "certificate");
	if (!use_key(ssl, identity->key)) return complain(why, "private key");
	if (SSL_CTX_check_private_key(ssl) != 1) return complain(why, "private key");
	msec end = end_of(SSL_CTX_get0_certificate(ssl));
	if (end < c->until) c->until = end;
	return true;
}

static struct tls_context *server_context(
	const struct tls_identity *identities, uint32_t count, char *protocol, struct buf *why)
{
	ASSERT(count > 0);
	ERR_clear_error();
	struct tls_context *c = context_new(count);
	if (!c || !tls_tickets_init(&c->tickets)) {
		complain(why, "TLS");
		tls_context_release(c);
		return NULL;
	}
	for (uint32_t i = 0; i < count; i++)
		if (!add_identity(c, &identities[i], protocol, why)) {
			tls_context_release(c);
			return NULL;
		}
	return c;
}

struct tls_context *tls_server_context(
	const struct tls_identity *identities, uint32_t count, struct buf *why)
{
	static char smtp[] = "smtp";
	return server_context(identities, count, smtp, why);
}

struct tls_context *tls_challenge_context(const struct tls_identity *identity, struct buf *why)
{
	static char acme[] = "acme-tls/1";
	return server_context(identity, 1, acme, why);
}

/* ---- a client's ---- */

static bool trust(SSL_CTX *ssl, struct str pem)
{
	BIO *bio = pem_bio(pem);
	X509_STORE *store = SSL_CTX_get_cert_store(ssl);
	bool fine = false;
	for (X509 *root; bio && (root = PEM_read_bio_X509(bio, NULL, pem_no_passphrase, NULL));) {
		fine = X509_STORE_add_cert(store, root) == 1;
		X509_free(root);
		if (!fine) break;
	}
	BIO_free(bio);
	if (fine) ERR_clear_error();
	return fine;
}

struct tls_context *tls_client_context(struct str roots, struct buf *why)
{
	ERR_clear_error();
	struct tls_context *c = context_new(1);
	SSL_CTX *ssl = c ? common_new(TLS_client_method()) : NULL;
	if (!ssl) {
		complain(why, "TLS");
		tls_context_release(c);
		return NULL;
	}
	c->ssl[c->count++] = ssl;
	if (SSL_CTX_dane_enable(ssl) != 1) {
		complain(why, "DANE");
		tls_context_release(c);
		return NULL;
	}
	if (roots.len ? trust(ssl, roots) : SSL_CTX_set_default_verify_paths(ssl) == 1) return c;
	complain(why, "trusted certificates");
	tls_context_release(c);
	return NULL;
}
