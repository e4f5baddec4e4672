#include "crypto/sasl.h"

#include "base/code.h"

#include <gsasl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { SECRET = 32, RESPONSE_MAX = 8192 };

struct sasl_context {
	Gsasl *gsasl;
	uint8_t secret[SECRET];
};

struct sasl {
	struct sasl_context *context;
	Gsasl_session *session;
	sasl_lookup *lookup;
	void *owner;
	enum sasl_hash hash;
	bool login; /* LOGIN asks first, whatever was given */
	bool asked; /* for keys, and of them: */
	bool known; /* there is such an account, */
	bool kept;  /* and it has keys for this hash */
	bool other; /* it wants to act for another account */
	bool begun;
	bool finished; /* the last word of the server is out; the client's is to be empty */
};

/* ---- keys ---- */

struct str sasl_hash_name(enum sasl_hash hash)
{
	return hash == SASL_SHA256 ? STR("scram-sha-256") : STR("scram-sha-1");
}

size_t sasl_key_len(enum sasl_hash hash) { return hash == SASL_SHA256 ? 32 : 20; }

bool sasl_derive(struct str password, enum sasl_hash hash, struct sasl_proof *proof)
{
	char plain[1024], *prepared = NULL;
	if (password.len >= sizeof plain || memchr(password.ptr, 0, password.len)) return false;
	memcpy(plain, password.ptr, password.len);
	plain[password.len] = '\0';
	bool fine = gsasl_saslprep(plain, 0, &prepared, NULL) == GSASL_OK && *prepared;
	char salted[SASL_KEY], client[SASL_KEY];
	fine = fine &&
		gsasl_scram_secrets_from_password(
			hash == SASL_SHA256 ? GSASL_HASH_SHA256 : GSASL_HASH_SHA1, prepared,
			proof->iterations, (const char *)proof->salt, SASL_SALT, salted, client,
			(char *)proof->server, (char *)proof->stored) == GSASL_OK;
	explicit_bzero(plain, sizeof plain);
	explicit_bzero(salted, sizeof salted);
	explicit_bzero(client, sizeof client);
	if (prepared) explicit_bzero(prepared, strlen(prepared));
	gsasl_free(prepared);
	return fine;
}

/* An account that does not exist has a salt like any other, and keys that nothing fits.  */
static void invent(const struct sasl_context *c, struct str name, enum sasl_hash hash,
	struct sasl_proof *proof)
{
	uint8_t digest[EVP_MAX_MD_SIZE] = {0};
	struct buf text;
	buf_init(&text, SECRET + 1 + RESPONSE_MAX);
	buf_add(&text, str_of(c->secret, SECRET));
	buf_add_c(&text, (char)hash);
	for (size_t i = 0; i < name.len; i++) buf_add_c(&text, ascii_lower(name.ptr[i]));
	EVP_Q_digest(NULL, "SHA256", NULL, text.ptr, text.len, digest, NULL);
	buf_release(&text);
	*proof = (struct sasl_proof){.iterations = SASL_ITERATIONS};
	memcpy(proof->salt, digest, SASL_SALT);
	memcpy(proof->stored, digest + SASL_SALT, SASL_KEY - SASL_SALT);
}

/* Both are made, whoever asks: an account that exists costs what one that does not does.  */
static bool find(struct sasl *s, struct sasl_proof *proof)
{
	struct str name = sasl_name(s);
	struct sasl_keys keys = {0};
	invent(s->context, name, s->hash, proof);
	s->asked = true;
	s->known = s->lookup(s->owner, name, &keys) && name.len;
	s->kept = s->known && keys.of[s->hash].iterations;
	if (s->kept) *proof = keys.of[s->hash];
	explicit_bzero(&keys, sizeof keys);
	return s->kept;
}

/* ---- what libgsasl asks ---- */

static int set_base64(struct sasl *s, Gsasl_property what, const void *octets, size_t len)
{
	struct buf text;
	buf_init(&text, 1000);
	base64_add(&text, str_of(octets, len));
	int result = buf_ok(&text) ? gsasl_property_set_raw(s->session, what, text.ptr, text.len)
				   : GSASL_MALLOC_ERROR;
	buf_release(&text);
	return result;
}

static int give_keys(struct sasl *s)
{
	struct sasl_proof proof;
	find(s, &proof);
	char iterations[12];
	snprintf(iterations, sizeof iterations, "%u", proof.iterations);
	size_t len = sasl_key_len(s->hash);
	int fine = gsasl_property_set(s->session, GSASL_SCRAM_ITER, iterations);
	fine |= set_base64(s, GSASL_SCRAM_SALT, proof.salt, SASL_SALT);
	fine |= set_base64(s, GSASL_SCRAM_STOREDKEY, proof.stored, len);
	fine |= set_base64(s, GSASL_SCRAM_SERVERKEY, proof.server, len);
	explicit_bzero(&proof, sizeof proof);
	return fine == GSASL_OK ? GSASL_OK : GSASL_AUTHENTICATION_ERROR;
}

static int validate(struct sasl *s)
{
	struct sasl_proof proof, tried;
	bool kept = find(s, &proof);
	tried = proof;
	struct str password = str_from_c(gsasl_property_fast(s->session, GSASL_PASSWORD));
	bool fits = password.len && sasl_derive(password, s->hash, &tried) &&
		CRYPTO_memcmp(tried.stored, proof.stored, sasl_key_len(s->hash)) == 0;
	return kept && fits ? GSASL_OK : GSASL_AUTHENTICATION_ERROR;
}

static int answer(Gsasl *gsasl, Gsasl_session *session, Gsasl_property what)
{
	(void)gsasl;
	struct sasl *s = gsasl_session_hook_get(session);
	switch (what) {
	case GSASL_SCRAM_ITER:
	case GSASL_SCRAM_SALT: return give_keys(s);
	case GSASL_VALIDATE_SIMPLE: return validate(s);
	default: return GSASL_NO_CALLBACK;
	}
}

/* ---- begin and end ---- */

struct sasl_context *sasl_context_new(const uint8_t *secret)
{
	struct sasl_context *c = calloc(1, sizeof *c);
	if (!c) return NULL;
	memcpy(c->secret, secret, SECRET);
	if (gsasl_init(&c->gsasl) != GSASL_OK) {
		free(c);
		return NULL;
	}
	gsasl_callback_set(c->gsasl, answer);
	return c;
}

void sasl_context_free(struct sasl_context *c)
{
	if (!c) return;
	gsasl_done(c->gsasl);
	free(c);
}

static const struct mechanism {
	const char *name;
	enum sasl_hash hash;
	bool bound;
} mechanisms[] = {
	{"SCRAM-SHA-256-PLUS", SASL_SHA256, true},
	{"SCRAM-SHA-1-PLUS", SASL_SHA1, true},
	{"SCRAM-SHA-256", SASL_SHA256, false},
	{"SCRAM-SHA-1", SASL_SHA1, false},
	{"PLAIN", SASL_SHA256, false},
	{"LOGIN", SASL_SHA256, false},
};

static const struct mechanism *find_mechanism(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (str_eq(name, str_from_c(mechanisms[i].name))) return &mechanisms[i];
	return NULL;
}

/* Known to the plain mechanisms too, which refuse a client whom somebody has made believe that there is no -PLUS (RFC 5802
 * 6).  */
static bool bind(struct sasl *s, struct sasl_binding binding)
{
	return !binding.octets.len ||
		set_base64(s, binding.unique ? GSASL_CB_TLS_UNIQUE : GSASL_CB_TLS_EXPORTER,
			binding.octets.ptr, binding.octets.len) == GSASL_OK;
}

struct sasl *sasl_new(struct sasl_context *context, struct str mechanism,
	struct sasl_binding binding, sasl_lookup *lookup, void *owner)
{
	const struct mechanism *found = find_mechanism(mechanism);
	if (!found || (found->bound && !binding.octets.len)) return NULL;
	struct sasl *s = calloc(1, sizeof *s);
	if (!s) return NULL;
	*s = (struct sasl){.context = context,
		.lookup = lookup,
		.owner = owner,
		.hash = found->hash,
		.login = found->name[0] == 'L'};
	if (gsasl_server_start(context->gsasl, found->name, &s->session) != GSASL_OK) {
		free(s);
		return NULL;
	}
	gsasl_session_hook_set(s->session, s);
	if (bind(s, binding)) return s;
	sasl_free(s);
	return NULL;
}

void sasl_free(struct sasl *s)
{
	if (!s) return;
	gsasl_finish(s->session);
	free(s);
}

/* ---- steps ---- */

struct str sasl_name(const struct sasl *s)
{
	return str_from_c(gsasl_property_fast(s->session, GSASL_AUTHID));
}

const char *sasl_why(const struct sasl *s)
{
	if (s->other) return "it wants to act for another account";
	if (!s->asked) return "the exchange was not understood, or its channel binding is wrong";
	if (!s->known) return "there is no such account";
	if (!s->kept) return "no key for this mechanism is kept; `rockdove user passwd` makes one";
	return "wrong password";
}

/* Nobody acts for somebody else.  */
static bool acts_for_itself(const struct sasl *s)
{
	struct str other = str_from_c(gsasl_property_fast(s->session, GSASL_AUTHZID));
	return other.len == 0 || str_ieq(other, sasl_name(s));
}

static enum sasl_result step(struct sasl *s, struct str octets, struct buf *challenge)
{
	char *said = NULL;
	size_t len = 0;
	int result = gsasl_step(s->session, octets.len ? octets.ptr : "", octets.len, &said, &len);
	if (result == GSASL_OK || result == GSASL_NEEDS_MORE)
		base64_add(challenge, str_of(said, len));
	gsasl_free(said);
	if (result == GSASL_NEEDS_MORE) return SASL_MORE;
	s->other = result == GSASL_OK && !acts_for_itself(s);
	if (result != GSASL_OK || s->other) return SASL_FAILED;
	if (len == 0) return SASL_DONE;
	s->finished = true; /* RFC 4954 4: what comes with success goes as a challenge */
	return SASL_MORE;
}

enum sasl_result sasl_step(struct sasl *s, bool given, struct str response, struct buf *challenge)
{
	struct buf octets;
	buf_init(&octets, RESPONSE_MAX);
	enum sasl_result result = SASL_FAILED;
	bool ask = !s->begun && s->login;
	s->begun = true;
	if (!base64_decode(response, &octets)) {
		result = SASL_FAILED;
	} else if (s->finished) {
		result = octets.len ? SASL_FAILED : SASL_DONE;
	} else {
		if (ask) result = step(s, STR_NONE, challenge);
		if (!ask || given) {
			buf_clear(challenge);
			result = step(s, buf_str(&octets), challenge);
		}
	}
	if (octets.ptr) explicit_bzero(octets.ptr, octets.cap);
	buf_release(&octets);
	return result;
}
