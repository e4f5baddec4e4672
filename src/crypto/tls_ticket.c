/* Keys of session tickets (RFC 8446 4.6.1, RFC 5077): a new one seals, the one before still opens.  */
#include "crypto/tls_private.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

enum { IV_OCTETS = 16 };

static bool make(struct tls_ticket_key *key)
{
	return RAND_bytes(key->name, sizeof key->name) == 1 &&
		RAND_priv_bytes(key->cipher, sizeof key->cipher) == 1 &&
		RAND_priv_bytes(key->mac, sizeof key->mac) == 1;
}

bool tls_tickets_init(struct tls_tickets *t)
{
	t->lock = CRYPTO_THREAD_lock_new();
	t->count = 1;
	return t->lock && make(&t->keys[0]);
}

void tls_tickets_release(struct tls_tickets *t)
{
	CRYPTO_THREAD_lock_free(t->lock);
	explicit_bzero(t, sizeof *t);
}

void tls_context_rotate(struct tls_context *context)
{
	struct tls_tickets *t = &context->tickets;
	struct tls_ticket_key fresh;
	if (!make(&fresh)) return; /* the old one seals on */
	CRYPTO_THREAD_write_lock(t->lock);
	t->keys[1] = t->keys[0];
	t->keys[0] = fresh;
	t->count = 2;
	CRYPTO_THREAD_unlock(t->lock);
	explicit_bzero(&fresh, sizeof fresh);
}

void tls_context_inherit(struct tls_context *context, struct tls_context *before)
{
	struct tls_tickets *t = &context->tickets, *from = &before->tickets;
	CRYPTO_THREAD_read_lock(from->lock);
	memcpy(t->keys, from->keys, sizeof t->keys);
	t->count = from->count;
	CRYPTO_THREAD_unlock(from->lock);
}

/* The key that opens a ticket of this name, or the one that seals (name NULL).  Returns which, or -1.  */
static int take_key(struct tls_tickets *t, const unsigned char *name, struct tls_ticket_key *ret)
{
	int found = -1;
	CRYPTO_THREAD_read_lock(t->lock);
	for (unsigned i = 0; found < 0 && i < t->count; i++)
		if (!name || !memcmp(t->keys[i].name, name, sizeof t->keys[i].name)) found = (int)i;
	if (found >= 0) *ret = t->keys[found];
	CRYPTO_THREAD_unlock(t->lock);
	return found;
}

static bool use(const struct tls_ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac, int sealing)
{
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_octet_string(
			OSSL_MAC_PARAM_KEY, (void *)key->mac, sizeof key->mac),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};
	return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, sealing) == 1 &&
		EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

int tls_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac, int sealing)
{
	const struct tls *engine = BIO_get_data(SSL_get_rbio(ssl));
	struct tls_ticket_key key;
	int which = take_key(&engine->context->tickets, sealing ? NULL : name, &key);
	if (which < 0) return 0; /* of a key that is gone: a whole handshake */
	bool fine = !sealing || RAND_bytes(iv, IV_OCTETS) == 1;
	if (fine && sealing) memcpy(name, key.name, sizeof key.name);
	fine = fine && use(&key, iv, cipher, mac, sealing);
	explicit_bzero(&key, sizeof key);
	if (!fine) return -1;
	/* 2: taken, and another ticket is given.  TLS 1.3 wants each used once (RFC 8446 C.4).  */
	return !sealing && (which > 0 || SSL_version(ssl) >= TLS1_3_VERSION) ? 2 : 1;
}
