#include "crypto/scram.h"

#include "base/code.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { SALT_MAX = 1024 };

static bool fail(const char **ret_why, const char *why)
{
	*ret_why = why;
	return false;
}

void scram_init(struct scram *s, bool sha1, enum scram_binding binding, struct str channel,
	const uint8_t *nonce)
{
	*s = (struct scram){.digest = sha1 ? "SHA1" : "SHA256", .digest_len = sha1 ? 20 : 32};
	buf_init(&s->header, 256);
	buf_init(&s->nonce, SCRAM_TEXT_MAX);
	buf_init(&s->message, 4 * SCRAM_TEXT_MAX);
	buf_add(&s->header,
		binding == SCRAM_BOUND                 ? STR("p=tls-exporter,,")
			: binding == SCRAM_NOT_OFFERED ? STR("y,,")
						       : STR("n,,"));
	base64_add(&s->nonce, str_of(nonce, SCRAM_NONCE));
	if (binding == SCRAM_BOUND) buf_add(&s->header, channel);
}

void scram_clear(struct scram *s)
{
	buf_release(&s->header);
	buf_release(&s->nonce);
	buf_release(&s->message);
	explicit_bzero(s, sizeof *s);
}

/* ---- first ---- */

/* Without what the channel is bound to.  */
static struct str gs2_header(const struct scram *s)
{
	struct str all = buf_str(&s->header);
	return str_head(all, str_find(all, ',') + 2);
}

bool scram_first(struct scram *s, struct str user, struct buf *out, const char **ret_why)
{
	buf_add(&s->message, STR("n="));
	for (size_t i = 0; i < user.len; i++) {
		if (user.ptr[i] == ',')
			buf_add(&s->message, STR("=2C"));
		else if (user.ptr[i] == '=')
			buf_add(&s->message, STR("=3D"));
		else
			buf_add_c(&s->message, user.ptr[i]);
	}
	buf_add(&s->message, STR(",r="));
	buf_add(&s->message, buf_str(&s->nonce));
	buf_add(out, gs2_header(s));
	buf_add(out, buf_str(&s->message));
	bool fine = buf_ok(&s->message) && buf_ok(&s->header) && buf_ok(&s->nonce) && buf_ok(out);
	return fine || fail(ret_why, "the user's name is too long");
}

/* ---- final ---- */

/* "r=...," : the attribute at the front of text, which must have that name.  */
static bool attribute(struct str *text, char name, struct str *ret_value)
{
	struct str one;
	if (text->len < 2 || text->ptr[0] != name || text->ptr[1] != '=') return false;
	str_cut(text, ',', &one);
	*ret_value = str_skip(one, 2);
	return true;
}

static bool hmac(const struct scram *s, const uint8_t *key, struct str text, uint8_t *ret)
{
	size_t len = 0;
	return EVP_Q_mac(NULL, "HMAC", NULL, s->digest, NULL, key, s->digest_len,
		       (const uint8_t *)text.ptr, text.len, ret, SCRAM_DIGEST_MAX, &len) != NULL &&
		len == s->digest_len;
}

/* The proof goes to ret; what the server will have to answer is kept.  */
static bool prove(
	struct scram *s, struct str password, struct str salt, uint32_t iterations, uint8_t *ret)
{
	uint8_t salted[SCRAM_DIGEST_MAX], client[SCRAM_DIGEST_MAX], stored[SCRAM_DIGEST_MAX],
		server[SCRAM_DIGEST_MAX];
	size_t len = 0;
	bool fine = PKCS5_PBKDF2_HMAC(password.ptr, (int)password.len, (const uint8_t *)salt.ptr,
			    (int)salt.len, (int)iterations, EVP_get_digestbyname(s->digest),
			    (int)s->digest_len, salted) == 1 &&
		hmac(s, salted, STR("Client Key"), client) &&
		EVP_Q_digest(NULL, s->digest, NULL, client, s->digest_len, stored, &len) == 1 &&
		hmac(s, stored, buf_str(&s->message), ret) &&
		hmac(s, salted, STR("Server Key"), server) &&
		hmac(s, server, buf_str(&s->message), s->server_signature);
	for (uint32_t i = 0; i < s->digest_len && fine; i++) ret[i] ^= client[i];
	explicit_bzero(salted, sizeof salted);
	explicit_bzero(client, sizeof client);
	explicit_bzero(stored, sizeof stored);
	explicit_bzero(server, sizeof server);
	return fine;
}

/* Append client-final-message without the proof to out and to AuthMessage.  */
static void add_final(struct scram *s, struct str server_first, struct buf *out)
{
	size_t begin = out->len;
	buf_add(out, STR("c="));
	base64_add(out, buf_str(&s->header));
	buf_add(out, STR(",r="));
	buf_add(out, buf_str(&s->nonce));
	buf_add_c(&s->message, ',');
	buf_add(&s->message, server_first);
	buf_add_c(&s->message, ',');
	buf_add(&s->message, str_skip(buf_str(out), begin));
}

bool scram_final(struct scram *s, struct str server_first, struct str password, struct buf *out,
	const char **ret_why)
{
	struct str text = server_first, nonce, salt64, number;
	if (server_first.len > SCRAM_TEXT_MAX || !attribute(&text, 'r', &nonce) ||
		!attribute(&text, 's', &salt64) || !attribute(&text, 'i', &number))
		return fail(ret_why, "its challenge makes no sense");
	if (!str_starts(nonce, buf_str(&s->nonce)) || nonce.len == s->nonce.len)
		return fail(ret_why, "its challenge is not an answer to ours");
	uint64_t iterations = 0;
	if (!str_to_u64(number, UINT32_MAX, &iterations) || iterations < SCRAM_ITERATIONS_MIN)
		return fail(ret_why, "it asks for fewer than 4096 iterations, which is not safe");
	if (iterations > SCRAM_ITERATIONS_MAX)
		return fail(ret_why, "it asks for more than 1000000 iterations");
	struct buf salt;
	buf_init(&salt, SALT_MAX);
	buf_clear(&s->nonce);
	buf_add(&s->nonce, nonce);
	add_final(s, server_first, out);
	uint8_t proof[SCRAM_DIGEST_MAX];
	bool fine = base64_decode(salt64, &salt) && buf_ok(&s->message) &&
		prove(s, password, buf_str(&salt), (uint32_t)iterations, proof);
	buf_release(&salt);
	if (!fine) return fail(ret_why, "its challenge cannot be worked on");
	buf_add(out, STR(",p="));
	base64_add(out, str_of(proof, s->digest_len));
	return buf_ok(out) || fail(ret_why, "out of memory");
}

/* ---- verify ---- */

bool scram_verify(struct scram *s, struct str server_final, const char **ret_why)
{
	struct str value;
	struct buf signature;
	if (attribute(&server_final, 'e', &value)) return fail(ret_why, "it refuses the proof");
	if (!attribute(&server_final, 'v', &value))
		return fail(ret_why, "its last word makes no sense");
	buf_init(&signature, 2 * SCRAM_DIGEST_MAX);
	s->verified = base64_decode(value, &signature) && signature.len == s->digest_len &&
		CRYPTO_memcmp(signature.ptr, s->server_signature, s->digest_len) == 0;
	buf_release(&signature);
	return s->verified ||
		fail(ret_why,
			"it cannot prove that it knows the password: another host in its place?");
}
