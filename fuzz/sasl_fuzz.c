/* Logins, both sides: a server that hears anything from a client logs in nobody who does not know the
 * password; a client that hears anything from a server is not satisfied, and says no password where
 * it should not.
 *
 * Input: an octet of choices, then texts: what the other side says, in base64 already or not.  */
#include "fuzz/fuzz.h"

#include "base/code.h"
#include "crypto/sasl.h"
#include "crypto/sasl_client.h"

static const struct str password = STR("open sesame");

static bool lookup(void *owner, struct str name, struct sasl_keys *ret)
{
	(void)owner;
	*ret = (struct sasl_keys){0};
	for (enum sasl_hash h = 0; h < SASL_HASHES; h++) {
		ret->of[h] = (struct sasl_proof){.iterations = 1, .salt = "0123456789abcde"};
		ASSERT(sasl_derive(password, h, &ret->of[h]));
	}
	return str_ieq(name, STR("alice@example.com"));
}

/* The next thing that the other side says, as base64 (or as what pretends to be).  */
static void next_said(struct str *in, struct buf *out)
{
	uint8_t how = fuzz_octet(in);
	struct str text = fuzz_text(in);
	buf_clear(out);
	if (how & 1)
		buf_add(out, text);
	else
		base64_add(out, text);
}

static void check_server(struct str in, struct sasl_context *context)
{
	static const struct str mechanisms[] = {STR("SCRAM-SHA-256"), STR("SCRAM-SHA-1"),
		STR("PLAIN"), STR("LOGIN"), STR("SCRAM-SHA-256-PLUS"), STR("CRAM-MD5")};
	uint8_t choice = fuzz_octet(&in);
	struct sasl_binding binding = {0};
	if (choice & 64) binding.octets = STR("0123456789abcdef0123456789abcdef");
	struct sasl *s = sasl_new(
		context, mechanisms[(choice & 63) % ARRAY_LEN(mechanisms)], binding, lookup, NULL);
	if (!s) return;
	struct buf said, challenge;
	buf_init(&said, 2000);
	buf_init(&challenge, 8192);
	enum sasl_result result = SASL_MORE;
	bool knows = false;
	for (int i = 0; i < 6 && result == SASL_MORE; i++) {
		bool given = i > 0 || choice & 128;
		next_said(&in, &said);
		struct buf plain;
		buf_init(&plain, 2000);
		if (base64_decode(buf_str(&said), &plain))
			knows |= str_contains(buf_str(&plain), password);
		buf_release(&plain);
		buf_clear(&challenge);
		struct str own = fuzz_own(buf_str(&said));
		result = sasl_step(s, given, own, &challenge);
		fuzz_forget(own);
		if (result == SASL_MORE) {
			buf_init(&plain, 8192);
			ASSERT(base64_decode(buf_str(&challenge), &plain));
			buf_release(&plain);
		}
		if (result == SASL_FAILED) ASSERT(sasl_why(s));
	}
	if (result == SASL_DONE) ASSERT(knows && str_ieq(sasl_name(s), STR("alice@example.com")));
	sasl_free(s);
	buf_release(&said);
	buf_release(&challenge);
}

static void check_client(struct str in)
{
	static const uint8_t binding[TLS_BINDING] = "0123456789abcdef0123456789abcde";
	uint8_t choice = fuzz_octet(&in);
	struct sasl_client_options o = {.user = STR("alice@example.com"),
		.secret = password,
		.token = choice & 1,
		.secured = choice & 2,
		.binding = choice & 4 ? binding : NULL,
		.host = STR("smtp.example.net"),
		.port = 587};
	o.offered = fuzz_text(&in);
	const char *why = NULL;
	struct sasl_client *c = sasl_client_new(&o, &why);
	if (!c) {
		ASSERT(why && *why);
		return;
	}
	/* Where somebody listens nothing shows the secret.  */
	ASSERT(o.secured || !sasl_client_shows_secret(c));
	struct buf response, said, plain;
	buf_init(&response, 8192);
	buf_init(&plain, 8192);
	buf_init(&said, 2000);
	(void)sasl_client_first(c, &response);
	for (int i = 0; i < 4; i++) {
		buf_clear(&plain);
		if (!sasl_client_shows_secret(c) && base64_decode(buf_str(&response), &plain))
			ASSERT(!str_contains(buf_str(&plain), password));
		next_said(&in, &said);
		buf_clear(&response);
		struct str own = fuzz_own(buf_str(&said));
		why = NULL;
		bool fine = sasl_client_step(c, own, &response, &why);
		fuzz_forget(own);
		if (!fine) ASSERT(why && *why);
		if (!fine) break;
		/* With SCRAM the server would have had to prove itself.  */
		if (!sasl_client_shows_secret(c)) ASSERT(!sasl_client_satisfied(c));
	}
	sasl_client_free(c);
	buf_release(&response);
	buf_release(&said);
	buf_release(&plain);
}

void fuzz_one(struct str in)
{
	static struct sasl_context *context;
	if (!context) context = sasl_context_new((const uint8_t[32]){1});
	ASSERT(context);
	if (fuzz_bool(&in))
		check_server(in, context);
	else
		check_client(in);
}
