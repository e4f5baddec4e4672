#include "server/acme_order.h"

#include "base/code.h"
#include "crypto/certificate.h"

enum {
	POLL_MS = 1000,
	POLL_MOST_MS = 30 * 1000,
	POLLS_MAX = 60, /* of one authorization, or of the order */
	KEY_MAX = 4096,
	REQUEST_MAX = 64 << 10,
	TOKEN_MAX = 256,
};

static const char *const method_names[] = {
	[ACME_HTTP] = "http-01", [ACME_TLS_ALPN] = "tls-alpn-01"};

struct step {
	const char *doing; /* for the log */
	void (*answered)(struct acme_order *o, const struct acme_answer *a);
};
static const struct step steps[ACME_STEPS];

/* ---- the end ---- */

static void release(struct acme_order *o)
{
	io_timer_cancel(o->talk.io, &o->timer);
	acme_talk_end(&o->talk);
	free(o->authorizations);
	o->authorizations = NULL;
}

static void end(struct acme_order *o, const char *why, struct str chain)
{
	struct buf pem;
	buf_init(&pem, IO_FETCH_MAX); /* the chain lies in the memory that goes now */
	if (!why && !buf_add(&pem, chain)) why = "out of memory";
	release(o);
	struct buf key = o->key;
	o->key = (struct buf){0};
	o->ended(o, why, buf_str(&pem), buf_str(&key));
	if (key.ptr) explicit_bzero(key.ptr, key.cap);
	buf_release(&key);
	buf_release(&pem);
}

static void fail(struct acme_order *o, const char *why)
{
	char words[2 * ACME_WHY_MAX];
	snprintf(words, sizeof words, "%s: %.800s", steps[o->step].doing, why);
	end(o, words, STR_NONE);
}

static void talk_failed(struct acme_talk *talk, const char *why)
{
	fail(CONTAINER_OF(talk, struct acme_order, talk), why);
}

static void talk_answered(struct acme_talk *talk, const struct acme_answer *answer)
{
	struct acme_order *o = CONTAINER_OF(talk, struct acme_order, talk);
	steps[o->step].answered(o, answer);
}

/* ---- asking ---- */

static void post(struct acme_order *o, enum acme_step step, const char *url, json_t *payload)
{
	o->step = step;
	char *text = payload ? json_dumps(payload, JSON_COMPACT) : NULL;
	bool fine = !payload || text;
	json_decref(payload);
	if (fine)
		acme_talk_post(&o->talk, url, str_from_c(text));
	else
		fail(o, "out of memory");
	free(text);
}

static void poll_now(struct timer *timer)
{
	struct acme_order *o = CONTAINER_OF(timer, struct acme_order, timer);
	post(o, o->step, o->polled, NULL);
}

/* Look again, at `step`, when the authority says so.  */
static void poll(struct acme_order *o, enum acme_step step, const char *url, msec after)
{
	o->step = step;
	if (++o->polls > POLLS_MAX) {
		fail(o, "the authority does not come to an end");
		return;
	}
	snprintf(o->polled, sizeof o->polled, "%s", url);
	if (after < POLL_MS) after = POLL_MS;
	if (after > POLL_MOST_MS) after = POLL_MOST_MS;
	o->timer.fire = poll_now;
	io_timer_set(o->talk.io, &o->timer, io_now(o->talk.io) + after);
}

static bool status_is(const struct acme_answer *a, const char *status)
{
	const char *text = json_string_value(json_object_get(a->body, "status"));
	return text && strcmp(text, status) == 0;
}

/* ---- account and order ---- */

static void directory_known(struct acme_order *o, const struct acme_answer *a)
{
	(void)a;
	json_t *account = json_pack("{s:b}", "termsOfServiceAgreed", 1);
	if (o->email.len)
		json_object_set_new(account, "contact",
			json_pack("[o]",
				json_sprintf("mailto:%.*s", (int)o->email.len, o->email.ptr)));
	post(o, ACME_ACCOUNT, o->talk.new_account, account);
}

static void account_known(struct acme_order *o, const struct acme_answer *a)
{
	if (a->location.len == 0 || a->location.len >= sizeof o->talk.account) {
		fail(o, "the authority gives the account no name");
		return;
	}
	memcpy(o->talk.account, a->location.ptr, a->location.len);
	o->talk.account[a->location.len] = '\0';
	json_t *identifiers = json_array();
	for (uint32_t i = 0; i < o->name_count; i++)
		json_array_append_new(identifiers,
			json_pack("{s:s, s:s%}", "type", "dns", "value", o->names[i].ptr,
				o->names[i].len));
	post(o, ACME_ORDER, o->talk.new_order, json_pack("{s:o}", "identifiers", identifiers));
}

static void ask_next(struct acme_order *o);

static void order_known(struct acme_order *o, const struct acme_answer *a)
{
	json_t *list = json_object_get(a->body, "authorizations");
	size_t count = json_array_size(list);
	acme_text(a->body, "finalize", o->finalize, sizeof o->finalize);
	bool fine = count > 0 && count <= ACME_NAMES_MAX && *o->finalize && a->location.len &&
		a->location.len < sizeof o->order_url;
	if (fine) o->authorizations = calloc(count, sizeof *o->authorizations);
	if (!o->authorizations) {
		fail(o, "the order makes no sense");
		return;
	}
	memcpy(o->order_url, a->location.ptr, a->location.len);
	o->order_url[a->location.len] = '\0';
	for (size_t i = 0; i < count; i++) {
		const char *url = json_string_value(json_array_get(list, i));
		snprintf(o->authorizations[i], sizeof o->authorizations[i], "%s", url ? url : "");
	}
	o->authorization_count = (uint32_t)count;
	o->at = 0;
	ask_next(o);
}

/* ---- proving that the names are ours ---- */

static void finalize(struct acme_order *o)
{
	struct buf request, coded;
	buf_init(&request, REQUEST_MAX);
	buf_init(&coded, REQUEST_MAX);
	buf_init(&o->key, KEY_MAX);
	o->step = ACME_FINALIZE;
	if (certificate_request(o->names, o->name_count, &o->key, &request)) {
		base64url_add(&coded, buf_str(&request));
		post(o, ACME_FINALIZE, o->finalize,
			json_pack("{s:s%}", "csr", coded.ptr, coded.len));
	} else {
		fail(o, "the request for the certificate cannot be made");
	}
	buf_release(&request);
	buf_release(&coded);
}

static void ask_next(struct acme_order *o)
{
	o->polls = 0;
	o->challenged = false;
	if (o->at == o->authorization_count)
		finalize(o);
	else
		post(o, ACME_AUTHORIZATION, o->authorizations[o->at], NULL);
}

static const json_t *find_challenge(const struct acme_order *o, const json_t *authorization)
{
	size_t i;
	const json_t *challenge;
	json_array_foreach(json_object_get(authorization, "challenges"), i, challenge)
	{
		const char *type = json_string_value(json_object_get(challenge, "type"));
		if (type && strcmp(type, method_names[o->method]) == 0) return challenge;
	}
	return NULL;
}

/* RFC 8555 8: base64url alone; it becomes part of a path.  */
static bool token_fine(const char *token)
{
	for (const char *c = token; *c; c++)
		if (!ascii_alnum(*c) && *c != '-' && *c != '_') return false;
	return *token != '\0';
}

static void challenge(struct acme_order *o, const json_t *authorization)
{
	const json_t *c = find_challenge(o, authorization);
	char name[256], token[TOKEN_MAX], url[ACME_URL_MAX];
	acme_text(json_object_get(authorization, "identifier"), "value", name, sizeof name);
	acme_text(c, "token", token, sizeof token);
	acme_text(c, "url", url, sizeof url);
	if (!c || !*name || !token_fine(token) || !*url) {
		fail(o,
			c ? "the challenge makes no sense"
			  : "the authority offers no challenge of the kind that is configured");
		return;
	}
	struct buf text;
	buf_init(&text, TOKEN_MAX + 128);
	buf_printf(&text, "%s.", token);
	bool fine = jws_thumbprint(o->talk.key, &text) &&
		o->show(o, str_from_c(name), str_from_c(token), buf_str(&text));
	buf_release(&text);
	o->challenged = true;
	if (fine)
		post(o, ACME_CHALLENGE, url, json_object());
	else
		fail(o, "the challenge cannot be answered");
}

/* Their reason, from the challenge that did not succeed.  */
static void fail_authorization(struct acme_order *o, const json_t *authorization)
{
	const json_t *error = json_object_get(find_challenge(o, authorization), "error");
	const char *detail = json_string_value(json_object_get(error, "detail"));
	char why[ACME_WHY_MAX + 300], name[256];
	acme_text(json_object_get(authorization, "identifier"), "value", name, sizeof name);
	snprintf(why, sizeof why, "%s was not proved by %s: %.300s", name, method_names[o->method],
		detail ? detail : "no reason is given");
	fail(o, why);
}

static void authorization_known(struct acme_order *o, const struct acme_answer *a)
{
	if (status_is(a, "valid")) {
		o->at++;
		ask_next(o);
	} else if (!status_is(a, "pending")) {
		fail_authorization(o, a->body);
	} else if (!o->challenged) {
		challenge(o, a->body);
	} else {
		poll(o, ACME_AUTHORIZATION, o->authorizations[o->at], a->retry_after);
	}
}

static void challenge_taken(struct acme_order *o, const struct acme_answer *a)
{
	poll(o, ACME_AUTHORIZATION, o->authorizations[o->at], a->retry_after);
}

/* ---- the certificate ---- */

static void order_polled(struct acme_order *o, const struct acme_answer *a)
{
	char url[ACME_URL_MAX];
	acme_text(a->body, "certificate", url, sizeof url);
	if (status_is(a, "valid") && *url)
		post(o, ACME_CERTIFICATE, url, NULL);
	else if (status_is(a, "processing") || status_is(a, "ready"))
		poll(o, ACME_READY, o->order_url, a->retry_after);
	else
		fail(o, "the authority does not fulfil the order");
}

static void certificate_came(struct acme_order *o, const struct acme_answer *a)
{
	struct certificate_facts facts;
	if (!certificate_read(a->text, o->names, o->name_count, &facts) || !facts.covers)
		fail(o, "what came is no certificate for the names that were asked for");
	else
		end(o, NULL, a->text);
}

static const struct step steps[ACME_STEPS] = {
	[ACME_DIRECTORY] = {"directory", directory_known},
	[ACME_ACCOUNT] = {"account", account_known},
	[ACME_ORDER] = {"order", order_known},
	[ACME_AUTHORIZATION] = {"authorization", authorization_known},
	[ACME_CHALLENGE] = {"challenge", challenge_taken},
	[ACME_FINALIZE] = {"finalize", order_polled},
	[ACME_READY] = {"waiting for the certificate", order_polled},
	[ACME_CERTIFICATE] = {"certificate", certificate_came},
};

void acme_order_begin(struct acme_order *o)
{
	o->talk.answered = talk_answered;
	o->talk.failed = talk_failed;
	o->talk.account[0] = '\0';
	o->step = ACME_DIRECTORY;
	o->polls = 0;
	acme_talk_begin(&o->talk);
}

void acme_order_cancel(struct acme_order *o)
{
	release(o);
	buf_release(&o->key);
}
