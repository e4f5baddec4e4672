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
	bool login; /* LOGIN asks first, whatever was given */
	bool begun;
	bool finished; /* the last word of the server is out; the client's is to be empty */
};

/* ---- keys ---- */

bool sasl_derive(struct str password, struct sasl_keys *keys)
{
	char plain[1024], *prepared = NULL;
	if (password.len >= sizeof plain || memchr(password.ptr, 0, password.len)) return false;
	memcpy(plain, password.ptr, password.len);
	plain[password.len] = '\0';
	bool fine = gsasl_saslprep(plain, 0, &prepared, NULL) == GSASL_OK && *prepared;
	char salted[SASL_KEY], client[SASL_KEY];
	fine = fine &&
		gsasl_scram_secrets_from_password(GSASL_HASH_SHA256, prepared, keys->iterations,
			(const char *)keys->salt, SASL_SALT, salted, client, (char *)keys->server,
			(char *)keys->stored) == GSASL_OK;
	explicit_bzero(plain, sizeof plain);
	explicit_bzero(salted, sizeof salted);
	explicit_bzero(client, sizeof client);
	if (prepared) explicit_bzero(prepared, strlen(prepared));
	gsasl_free(prepared);
	return fine;
}

/* An account that does not exist has a salt like any other, and keys that nothing fits.  */
static void invent(const struct sasl_context *c, struct str name, struct sasl_keys *keys)
{
	uint8_t digest[EVP_MAX_MD_SIZE] = {0};
	struct buf text;
	buf_init(&text, SECRET + RESPONSE_MAX);
	buf_add(&text, str_of(c->secret, SECRET));
	for (size_t i = 0; i < name.len; i++) buf_add_c(&text, ascii_lower(name.ptr[i]));
	EVP_Q_digest(NULL, "SHA256", NULL, text.ptr, text.len, digest, NULL);
	buf_release(&text);
	*keys = (struct sasl_keys){.iterations = SASL_ITERATIONS};
	memcpy(keys->salt, digest, SASL_SALT);
	memcpy(keys->stored, digest + SASL_SALT, SASL_KEY - SASL_SALT);
}

static bool find(struct sasl *s, struct sasl_keys *keys)
{
	struct str name = sasl_name(s);
	bool known = name.len && s->lookup(s->owner, name, keys);
	if (!known) invent(s->context, name, keys);
	return known;
}

/* ---- what libgsasl asks ---- */

static int give_keys(struct sasl *s)
{
	struct sasl_keys keys;
	find(s, &keys);
	char iterations[12];
	snprintf(iterations, sizeof iterations, "%u", keys.iterations);
	struct buf text;
	buf_init(&text, 1000);
	base64_add(&text, str_of(keys.salt, SASL_SALT));
	int fine = gsasl_property_set(s->session, GSASL_SCRAM_ITER, iterations);
	fine |= gsasl_property_set_raw(s->session, GSASL_SCRAM_SALT, text.ptr, text.len);
	buf_clear(&text);
	base64_add(&text, str_of(keys.stored, SASL_KEY));
	fine |= gsasl_property_set_raw(s->session, GSASL_SCRAM_STOREDKEY, text.ptr, text.len);
	buf_clear(&text);
	base64_add(&text, str_of(keys.server, SASL_KEY));
	fine |= gsasl_property_set_raw(s->session, GSASL_SCRAM_SERVERKEY, text.ptr, text.len);
	buf_release(&text);
	explicit_bzero(&keys, sizeof keys);
	return fine == GSASL_OK ? GSASL_OK : GSASL_AUTHENTICATION_ERROR;
}

static int validate(struct sasl *s)
{
	struct sasl_keys keys, tried;
	bool known = find(s, &keys);
	tried = keys;
	struct str password = str_from_c(gsasl_property_fast(s->session, GSASL_PASSWORD));
	bool fits = password.len && sasl_derive(password, &tried) &&
		CRYPTO_memcmp(tried.stored, keys.stored, SASL_KEY) == 0;
	return known && fits ? GSASL_OK : GSASL_AUTHENTICATION_ERROR;
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

struct sasl *sasl_new(
	struct sasl_context *context, struct str mechanism, sasl_lookup *lookup, void *owner)
{
	static const char *const mechanisms[] = {"SCRAM-SHA-256", "PLAIN", "LOGIN"};
	const char *found = NULL;
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (str_eq(mechanism, str_from_c(mechanisms[i]))) found = mechanisms[i];
	struct sasl *s = found ? calloc(1, sizeof *s) : NULL;
	if (!s) return NULL;
	*s = (struct sasl){
		.context = context, .lookup = lookup, .owner = owner, .login = *found == 'L'};
	if (gsasl_server_start(context->gsasl, found, &s->session) != GSASL_OK) {
		free(s);
		return NULL;
	}
	gsasl_session_hook_set(s->session, s);
	return s;
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
	if (result != GSASL_OK || !acts_for_itself(s)) return SASL_FAILED;
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
	if (!base64_decode(response, &octets)) return SASL_FAILED;
	if (s->finished) {
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
