#include "server/acme_talk.h"

#include "base/code.h"

enum { TRIES = 10, REQUEST_MAX = 64 << 10, REQUEST_MS = 30 * 1000 };

void acme_text(const json_t *object, const char *name, char *to, size_t max)
{
	const char *text = json_string_value(json_object_get(object, name));
	size_t len = text ? strlen(text) : 0;
	if (len >= max) len = 0;
	if (len) memcpy(to, text, len);
	to[len] = '\0';
}

/* ---- what went wrong ---- */

static void fail(struct acme_talk *t, const char *format, const char *words)
{
	char why[ACME_WHY_MAX];
	snprintf(why, sizeof why, format, words);
	t->failed(t, why);
}

/* Their problem document (RFC 7807) in one line.  */
static void fail_with_problem(struct acme_talk *t, const json_t *problem)
{
	const char *kind = json_string_value(json_object_get(problem, "type"));
	const char *detail = json_string_value(json_object_get(problem, "detail"));
	char why[ACME_WHY_MAX];
	snprintf(why, sizeof why, "the authority answers %d%s%.100s%s%.300s", t->fetch.status,
		kind ? " " : "", kind ? kind : "", detail ? ": " : "", detail ? detail : "");
	t->failed(t, why);
}

static json_t *body_of(const struct io_fetch *f)
{
	json_t *body = f->answer.len ? json_loadb(f->answer.ptr, f->answer.len, 0, NULL) : NULL;
	if (body && json_is_object(body)) return body;
	json_decref(body);
	return NULL;
}

/* ---- requests ---- */

static void keep_nonce(struct acme_talk *t)
{
	struct str nonce = io_fetch_header(&t->fetch, STR("Replay-Nonce"));
	if (nonce.len == 0 || nonce.len >= sizeof t->nonce) return;
	memcpy(t->nonce, nonce.ptr, nonce.len);
	t->nonce[nonce.len] = '\0';
}

static void fetch(struct acme_talk *t, const char *method, const char *url, struct str body,
	void (*done)(struct io_fetch *))
{
	static const char *const headers[] = {"Content-Type: application/jose+json", NULL};
	t->fetch.done = done;
	t->fetch.url = url;
	t->fetch.method = method;
	t->fetch.body = body;
	t->fetch.headers = body.len ? headers : NULL;
	t->fetch.ca_file = t->ca_file;
	t->fetch.timeout = REQUEST_MS;
	int error = io_fetch(t->fetcher, &t->fetch);
	if (error) fail(t, "the request cannot be made: %s", strerror(-error));
}

/* False: there was no answer, which is told.  */
static bool has_answer(struct acme_talk *t)
{
	if (t->fetch.error == IO_FETCH_ANSWERED) return true;
	fail(t, "no answer from the authority: %s", t->fetch.why);
	return false;
}

static void send(struct acme_talk *t);

static void directory_came(struct io_fetch *f)
{
	struct acme_talk *t = CONTAINER_OF(f, struct acme_talk, fetch);
	if (!has_answer(t)) return;
	json_t *body = body_of(f);
	acme_text(body, "newNonce", t->new_nonce, sizeof t->new_nonce);
	acme_text(body, "newAccount", t->new_account, sizeof t->new_account);
	acme_text(body, "newOrder", t->new_order, sizeof t->new_order);
	json_decref(body);
	if (f->status != 200 || !*t->new_nonce || !*t->new_account || !*t->new_order)
		fail(t, "%s is no ACME directory", t->directory);
	else
		t->answered(t, &(struct acme_answer){0});
}

static void nonce_came(struct io_fetch *f)
{
	struct acme_talk *t = CONTAINER_OF(f, struct acme_talk, fetch);
	if (!has_answer(t)) return;
	keep_nonce(t);
	if (*t->nonce)
		send(t);
	else
		fail(t, "%s", "the authority gives no nonce");
}

static bool is_bad_nonce(const json_t *body)
{
	const char *kind = json_string_value(json_object_get(body, "type"));
	return kind && strcmp(kind, "urn:ietf:params:acme:error:badNonce") == 0;
}

/* Seconds; the form with a date is rare and is left alone.  */
static msec retry_after(const struct io_fetch *f)
{
	uint64_t seconds;
	bool said = str_to_u64(io_fetch_header(f, STR("Retry-After")), 86400, &seconds);
	return said ? (msec)seconds * 1000 : 0;
}

static void answer_came(struct io_fetch *f)
{
	struct acme_talk *t = CONTAINER_OF(f, struct acme_talk, fetch);
	if (!has_answer(t)) return;
	keep_nonce(t);
	json_t *body = body_of(f);
	if (f->status >= 200 && f->status < 300) {
		t->answered(t,
			&(struct acme_answer){.body = body,
				.text = buf_str(&f->answer),
				.location = io_fetch_header(f, STR("Location")),
				.retry_after = retry_after(f)});
	} else if (is_bad_nonce(body) && *t->nonce && --t->tries > 0) {
		send(t); /* RFC 8555 6.5: with the nonce that came with the complaint */
	} else {
		fail_with_problem(t, body);
	}
	json_decref(body);
}

/* The protected header (RFC 8555 6.2): the key itself until there is an account.  */
static json_t *header_of(const struct acme_talk *t)
{
	json_t *header =
		json_pack("{s:s, s:s, s:s}", "alg", "ES256", "nonce", t->nonce, "url", t->url);
	if (*t->account) {
		json_object_set_new(header, "kid", json_string(t->account));
		return header;
	}
	struct buf public;
	buf_init(&public, 1024);
	if (jws_key_public(t->key, &public))
		json_object_set_new(header, "jwk", json_loadb(public.ptr, public.len, 0, NULL));
	buf_release(&public);
	return header;
}

static void send(struct acme_talk *t)
{
	if (!*t->nonce) {
		fetch(t, "HEAD", t->new_nonce, STR_NONE, nonce_came);
		return;
	}
	json_t *header = header_of(t);
	char *text = json_dumps(header, JSON_COMPACT);
	json_decref(header);
	buf_clear(&t->request);
	bool fine = text && jws_sign(t->key, str_from_c(text), buf_str(&t->payload), &t->request);
	free(text);
	*t->nonce = '\0'; /* each serves once */
	if (fine)
		fetch(t, "POST", t->url, buf_str(&t->request), answer_came);
	else
		fail(t, "%s", "out of memory");
}

void acme_talk_begin(struct acme_talk *t)
{
	buf_init(&t->payload, REQUEST_MAX);
	buf_init(&t->request, REQUEST_MAX);
	fetch(t, NULL, t->directory, STR_NONE, directory_came);
}

void acme_talk_post(struct acme_talk *t, const char *url, struct str payload)
{
	snprintf(t->url, sizeof t->url, "%s", url);
	buf_clear(&t->payload);
	if (!buf_add(&t->payload, payload)) {
		fail(t, "%s", "out of memory");
		return;
	}
	t->tries = TRIES;
	send(t);
}

void acme_talk_end(struct acme_talk *t)
{
	io_fetch_clear(&t->fetch);
	buf_release(&t->payload);
	buf_release(&t->request);
}
