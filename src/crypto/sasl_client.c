#include "crypto/sasl_client.h"

#include "base/code.h"

#include <gsasl.h>
#include <stdlib.h>

enum {
	SECRET_MAX = 16 << 10, /* tokens are long */
	COMMAND_MAX =
		480, /* of an initial response, so that the command stays a line (RFC 4954 4) */
};

enum kind { KIND_SCRAM, KIND_PLAIN, KIND_LOGIN, KIND_BEARER, KIND_XOAUTH2 };

struct mechanism {
	const char *name;
	enum kind kind;
	bool plus, sha1, token;
};

static const struct mechanism mechanisms[] = {
	{"SCRAM-SHA-256-PLUS", KIND_SCRAM, .plus = true},
	{"SCRAM-SHA-256", KIND_SCRAM},
	{"SCRAM-SHA-1-PLUS", KIND_SCRAM, .plus = true, .sha1 = true},
	{"SCRAM-SHA-1", KIND_SCRAM, .sha1 = true},
	{"PLAIN", KIND_PLAIN},
	{"LOGIN", KIND_LOGIN},
	{"OAUTHBEARER", KIND_BEARER, .token = true},
	{"XOAUTH2", KIND_XOAUTH2, .token = true},
};

struct sasl_client {
	const struct mechanism *mechanism;
	struct scram scram;
	struct buf user, secret;
	struct buf held; /* an initial response that did not fit the command */
	uint32_t steps;  /* challenges answered */
	bool refused;    /* OAuth: the server has said what it dislikes */
};

const char *sasl_client_known(uint32_t index)
{
	return index < ARRAY_LEN(mechanisms) ? mechanisms[index].name : NULL;
}

bool sasl_client_takes_token(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (str_ieq(name, str_from_c(mechanisms[i].name))) return mechanisms[i].token;
	return false;
}

/* ---- choice ---- */

static bool offers(struct str offered, struct str name)
{
	struct str word;
	while (offered.len) {
		str_cut(&offered, ' ', &word);
		if (str_ieq(word, name)) return true;
	}
	return false;
}

static bool fits(const struct mechanism *m, const struct sasl_client_options *o)
{
	if (m->token != o->token) return false;
	if (o->only.len && !str_ieq(o->only, str_from_c(m->name))) return false;
	if (m->plus && !o->binding) return false;
	return m->kind == KIND_SCRAM || o->secured;
}

static const struct mechanism *choose(const struct sasl_client_options *o)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (fits(&mechanisms[i], o) && offers(o->offered, str_from_c(mechanisms[i].name)))
			return &mechanisms[i];
	return NULL;
}

/* RFC 5802 6: "y" says that we saw no offer to bind the channel; a server that made one then knows that somebody removed it.  */
static enum scram_binding binding_of(const struct mechanism *m, const struct sasl_client_options *o)
{
	if (m->plus) return SCRAM_BOUND;
	bool offered = offers(o->offered, STR("SCRAM-SHA-256-PLUS")) ||
		offers(o->offered, STR("SCRAM-SHA-1-PLUS"));
	return o->binding && !offered ? SCRAM_NOT_OFFERED : SCRAM_UNBOUND;
}

/* ---- begin and end ---- */

/* Copy s; for SCRAM as SASLprep would have it, so that both sides mean the same octets.  */
static bool prepare(struct str s, bool scram, struct buf *to)
{
	char *prepared = NULL;
	if (s.len == 0 || memchr(s.ptr, 0, s.len) || !buf_add(to, s) || !buf_add_c(to, '\0'))
		return false;
	to->len--;
	if (!scram) return true;
	bool fine = gsasl_saslprep(to->ptr, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) == GSASL_OK;
	buf_clear(to);
	fine = fine && *prepared && buf_add(to, str_from_c(prepared));
	if (prepared) explicit_bzero(prepared, strlen(prepared));
	gsasl_free(prepared);
	return fine;
}

static void no_words(const struct sasl_client_options *o, const char **ret_why)
{
	struct sasl_client_options secured = *o;
	secured.secured = true;
	secured.binding = o->nonce; /* any: it is only asked for whether it is there */
	*ret_why = choose(&secured)
		? "what it offers would show the secret without TLS, or needs TLS 1.3"
		: o->only.len ? "it does not offer the mechanism that is wanted"
		: o->token    ? "it offers no mechanism for a token"
			      : "it offers no mechanism that we know";
}

struct sasl_client *sasl_client_new(const struct sasl_client_options *o, const char **ret_why)
{
	const struct mechanism *m = choose(o);
	if (!m) {
		no_words(o, ret_why);
		return NULL;
	}
	struct sasl_client *c = calloc(1, sizeof *c);
	if (!c) {
		*ret_why = "out of memory";
		return NULL;
	}
	c->mechanism = m;
	buf_init(&c->user, SECRET_MAX);
	buf_init(&c->secret, SECRET_MAX);
	buf_init(&c->held, 2 * SECRET_MAX);
	scram_init(&c->scram, m->sha1, binding_of(m, o),
		m->plus ? str_of(o->binding, TLS_BINDING) : STR_NONE, o->nonce);
	bool scram = m->kind == KIND_SCRAM;
	if (!prepare(o->user, scram, &c->user) || !prepare(o->secret, scram, &c->secret)) {
		*ret_why = "the user's name or the secret is empty, too long or not fit for use";
		sasl_client_free(c);
		return NULL;
	}
	if (m->kind == KIND_BEARER)
		buf_printf(&c->held, "host=" STR_FMT "\x01port=%u\x01", STR_ARG(o->host), o->port);
	return c;
}

static void wipe(struct buf *b)
{
	if (b->ptr) explicit_bzero(b->ptr, b->cap);
	buf_release(b);
}

void sasl_client_free(struct sasl_client *c)
{
	if (!c) return;
	scram_clear(&c->scram);
	wipe(&c->user);
	wipe(&c->secret);
	wipe(&c->held);
	free(c);
}

const char *sasl_client_mechanism(const struct sasl_client *c) { return c->mechanism->name; }

bool sasl_client_shows_secret(const struct sasl_client *c)
{
	return c->mechanism->kind != KIND_SCRAM;
}

/* ---- steps ---- */

/* What we say first, in clear text; nothing for LOGIN.  False: why.  */
static bool add_first(struct sasl_client *c, struct buf *out, const char **ret_why)
{
	struct str user = buf_str(&c->user), secret = buf_str(&c->secret);
	switch (c->mechanism->kind) {
	case KIND_SCRAM: return scram_first(&c->scram, user, out, ret_why);
	case KIND_LOGIN: return true;
	case KIND_PLAIN: /* RFC 4616 */
		buf_add_c(out, '\0');
		buf_add(out, user);
		buf_add_c(out, '\0');
		return buf_add(out, secret);
	case KIND_BEARER: /* RFC 7628 3.1 */
		buf_add(out, STR("n,a="));
		for (size_t i = 0; i < user.len; i++)
			buf_add(out,
				user.ptr[i] == ','           ? STR("=2C")
					: user.ptr[i] == '=' ? STR("=3D")
							     : str_of(&user.ptr[i], 1));
		buf_add(out, STR(",\x01"));
		buf_add(out, buf_str(&c->held));
		buf_add(out, STR("auth=Bearer "));
		break;
	case KIND_XOAUTH2: /* Google's and Microsoft's forerunner of it */
		buf_add(out, STR("user="));
		buf_add(out, user);
		buf_add(out,
			STR("\x01"
			    "auth=Bearer "));
		break;
	}
	buf_add(out, secret);
	return buf_add(out, STR("\x01\x01"));
}

bool sasl_client_first(struct sasl_client *c, struct buf *response)
{
	struct buf plain;
	const char *why;
	buf_init(&plain, 2 * SECRET_MAX);
	bool fine = add_first(c, &plain, &why);
	buf_clear(&c->held);
	if (fine) base64_add(&c->held, buf_str(&plain));
	wipe(&plain);
	if (c->mechanism->kind == KIND_LOGIN || c->held.len == 0 || c->held.len > COMMAND_MAX)
		return false;
	fine = buf_add(response, buf_str(&c->held));
	wipe(&c->held);
	return fine;
}

static bool step(
	struct sasl_client *c, struct str challenge, struct buf *plain, const char **ret_why)
{
	switch (c->mechanism->kind) {
	case KIND_SCRAM:
		if (c->steps == 0)
			return scram_final(
				&c->scram, challenge, buf_str(&c->secret), plain, ret_why);
		if (c->steps == 1) return scram_verify(&c->scram, challenge, ret_why);
		break;
	case KIND_LOGIN: /* whatever the prompts say: they come in this order */
		if (c->steps < 2) return buf_add(plain, buf_str(c->steps ? &c->secret : &c->user));
		break;
	case KIND_BEARER:
	case KIND_XOAUTH2: /* an error, in JSON; the refusal comes when we have acknowledged it */
		c->refused = true;
		if (c->steps == 0 && c->mechanism->kind == KIND_BEARER) return buf_add_c(plain, 1);
		if (c->steps == 0) return true;
		break;
	case KIND_PLAIN: break;
	}
	*ret_why = "it asks more than the mechanism knows";
	return false;
}

bool sasl_client_step(
	struct sasl_client *c, struct str challenge, struct buf *response, const char **ret_why)
{
	if (c->held.len) {
		bool fine = buf_add(response, buf_str(&c->held));
		wipe(&c->held);
		*ret_why = "out of memory";
		return fine;
	}
	struct buf octets, plain;
	buf_init(&octets, SECRET_MAX);
	buf_init(&plain, SECRET_MAX);
	*ret_why = "its challenge is not base64";
	bool fine = base64_decode(challenge, &octets) && step(c, buf_str(&octets), &plain, ret_why);
	c->steps++;
	if (fine) base64_add(response, buf_str(&plain));
	buf_release(&octets);
	wipe(&plain);
	return fine;
}

bool sasl_client_satisfied(const struct sasl_client *c)
{
	return c->mechanism->kind == KIND_SCRAM ? c->scram.verified : !c->refused;
}
