#include "outbound/token.h"

#include "base/arena.h"
#include "base/code.h"
#include "io/child.h"
#include "io/fetch.h"
#include "io/file.h"

#include <errno.h>
#include <stdlib.h>

enum {
	TIMEOUT_MS = 30 * 1000,
	MARGIN_MS = 60 * 1000, /* one that ends so soon may end on its way */
	TOKEN_MAX = 12 << 10,
	SECRET_MAX = 4096,
	KEY_MAX = 64 << 10,
	WHY_MAX = 400,
};

/* One way to get tokens, and what came of it.  */
struct token {
	struct list link; /* in outbound->tokens */
	struct outbound *outbound;
	struct arena arena;
	struct str key; /* all that the way consists of */
	const char **argv;
	struct route_token endpoint; /* when there is no argv */
	struct buf text;
	msec until;
	uint32_t version;
	bool renewing;
	struct list waits;
	struct io_child child;
	struct io_work work; /* reads the client's secret */
	struct buf secret;
	int error;
	struct io_fetch fetch;
	struct buf why;
};

/* ---- ways ---- */

static void add_key(struct buf *key, const struct route_rule *rule)
{
	const struct route_token *t = &rule->token;
	const struct str parts[] = {t->url, t->client_id, t->client_secret_file, t->scope};
	for (uint32_t i = 0; rule->token_command && rule->token_command[i]; i++) {
		buf_add(key, str_from_c(rule->token_command[i]));
		buf_add_c(key, '\0');
	}
	for (size_t i = 0; !rule->token_command && i < ARRAY_LEN(parts); i++) {
		buf_add(key, parts[i]);
		buf_add_c(key, '\0');
	}
}

static struct token *find(struct outbound *out, struct str key)
{
	LIST_EACH (&out->tokens, node) {
		struct token *t = CONTAINER_OF(node, struct token, link);
		if (str_eq(t->key, key)) return t;
	}
	return NULL;
}

static void wipe(struct buf *b)
{
	if (b->ptr) explicit_bzero(b->ptr, b->cap);
	buf_release(b);
}

static void token_free(struct token *t)
{
	list_remove(&t->link);
	io_child_clear(&t->child);
	io_fetch_clear(&t->fetch);
	wipe(&t->text);
	wipe(&t->secret);
	buf_release(&t->why);
	arena_release(&t->arena);
	free(t);
}

/* Those of an earlier configuration, in time.  */
static void forget_old(struct outbound *out)
{
	LIST_EACH_SAFE (&out->tokens, node) {
		struct token *t = CONTAINER_OF(node, struct token, link);
		if (!t->renewing && t->until <= outbound_now(out)) token_free(t);
	}
}

static bool copy_way(struct token *t, const struct route_rule *rule)
{
	const struct route_token *from = &rule->token;
	struct route_token *to = &t->endpoint;
	if (!rule->token_command)
		return arena_copy(&t->arena, from->url, &to->url) &&
			arena_copy(&t->arena, from->client_id, &to->client_id) &&
			arena_copy(&t->arena, from->client_secret_file, &to->client_secret_file) &&
			arena_copy(&t->arena, from->scope, &to->scope);
	uint32_t count = 0;
	while (rule->token_command[count]) count++;
	t->argv = arena_alloc(&t->arena, (count + 1) * sizeof *t->argv);
	for (uint32_t i = 0; t->argv && i < count; i++) {
		struct str copy;
		if (!arena_copy(&t->arena, str_from_c(rule->token_command[i]), &copy)) return false;
		t->argv[i] = copy.ptr;
	}
	return t->argv != NULL;
}

static void secret_read(struct io_work *work);
static void secret_done(struct io_work *work);
static void command_done(struct io_child *child);
static void fetch_done(struct io_fetch *fetch);

static struct token *make(struct outbound *out, const struct route_rule *rule, struct str key)
{
	forget_old(out);
	struct token *t = calloc(1, sizeof *t);
	if (!t) return NULL;
	t->outbound = out;
	t->work = (struct io_work){.run = secret_read, .done = secret_done};
	t->child.done = command_done;
	t->fetch.done = fetch_done;
	list_init(&t->waits);
	buf_init(&t->text, TOKEN_MAX);
	buf_init(&t->secret, SECRET_MAX);
	buf_init(&t->why, WHY_MAX);
	arena_init(&t->arena, 4 * KEY_MAX);
	list_push_back(&out->tokens, &t->link);
	if (arena_copy(&t->arena, key, &t->key) && copy_way(t, rule)) return t;
	token_free(t);
	return NULL;
}

static struct token *token_of(struct outbound *out, const struct route_rule *rule, bool may_make)
{
	struct buf key;
	buf_init(&key, KEY_MAX);
	add_key(&key, rule);
	struct token *t = buf_ok(&key) ? find(out, buf_str(&key)) : NULL;
	if (!t && may_make && buf_ok(&key)) t = make(out, rule, buf_str(&key));
	buf_release(&key);
	return t;
}

/* ---- the answer ---- */

static bool answer(struct token *t, struct token_wait *w)
{
	w->text = t->text.len ? buf_str(&t->text) : STR_NONE;
	w->why = buf_str(&t->why);
	w->version = t->version;
	return true;
}

/* The way has been gone: text, or why, is there.  */
static void finish(struct token *t)
{
	struct list batch;
	list_init(&batch);
	t->renewing = false;
	t->version++;
	for (struct list *node; (node = list_pop(&t->waits));) list_push_back(&batch, node);
	for (struct list *node; (node = list_pop(&batch));) {
		struct token_wait *w = CONTAINER_OF(node, struct token_wait, link);
		answer(t, w);
		w->done(w);
	}
}

static void take(struct token *t, struct str said, bool json)
{
	msec life = 0;
	if (token_read(said, json, &t->text, &life, &t->why)) {
		msec early = life > 2 * MARGIN_MS ? MARGIN_MS : life / 2;
		t->until = outbound_now(t->outbound) + life - early;
	} else if (t->why.len == 0) {
		buf_add(&t->why, STR("the token is too long"));
	}
	if (t->why.len) wipe(&t->text);
}

/* ---- by a command ---- */

static void command_done(struct io_child *child)
{
	struct token *t = CONTAINER_OF(child, struct token, child);
	struct str words = str_trim(str_head(buf_str(&child->errors.octets), 200));
	if (child->error == EMSGSIZE)
		buf_printf(&t->why, "%s prints more than %d octets", t->argv[0], IO_CHILD_OUTPUT);
	else if (child->error)
		buf_printf(&t->why, "%s did not end within %d s", t->argv[0], TIMEOUT_MS / 1000);
	else if (child->status)
		buf_printf(&t->why, "%s ended with status %d%s" STR_FMT, t->argv[0], child->status,
			words.len ? ": " : "", STR_ARG(words));
	else
		take(t, buf_str(&child->output.octets), false);
	io_child_clear(child);
	finish(t);
}

/* ---- by the endpoint (RFC 6749 4.4) ---- */

static void secret_read(struct io_work *work)
{
	struct token *t = CONTAINER_OF(work, struct token, work);
	t->error =
		io_file_load(t->outbound->parts.io, t->endpoint.client_secret_file.ptr, &t->secret);
}

/* application/x-www-form-urlencoded.  */
static void add_form(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (ascii_alnum(c) || c == '-' || c == '.' || c == '_')
			buf_add_c(out, c);
		else
			buf_printf(out, "%%%02X", (uint8_t)c);
	}
}

static int ask(struct token *t)
{
	struct outbound *out = t->outbound;
	struct buf body, who;
	static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded",
		"Accept: application/json", NULL};
	if (!out->fetcher) out->fetcher = io_fetcher_start(out->parts.io);
	if (!out->fetcher) return -ENOMEM;
	buf_init(&body, KEY_MAX);
	buf_init(&who, KEY_MAX);
	buf_add(&body, STR("grant_type=client_credentials"));
	if (t->endpoint.scope.len) buf_add(&body, STR("&scope="));
	add_form(&body, t->endpoint.scope);
	add_form(&who, t->endpoint.client_id); /* RFC 6749 2.3.1 */
	buf_add_c(&who, ':');
	add_form(&who, str_trim(buf_str(&t->secret)));
	buf_add_c(&who, '\0');
	t->fetch.url = t->endpoint.url.ptr;
	t->fetch.body = buf_str(&body);
	t->fetch.headers = headers;
	t->fetch.user_password = who.ptr;
	t->fetch.timeout = TIMEOUT_MS;
	int error = buf_ok(&body) && buf_ok(&who) ? io_fetch(out->fetcher, &t->fetch) : -ENOMEM;
	buf_release(&body);
	wipe(&who);
	return error;
}

static void secret_done(struct io_work *work)
{
	struct token *t = CONTAINER_OF(work, struct token, work);
	const char *what = t->endpoint.client_secret_file.ptr;
	int error = t->error;
	if (!error) {
		what = t->endpoint.url.ptr;
		error = ask(t);
	}
	wipe(&t->secret);
	if (!error) return;
	buf_printf(&t->why, "%s: %s", what, strerror(-error));
	finish(t);
}

static void fetch_done(struct io_fetch *fetch)
{
	struct token *t = CONTAINER_OF(fetch, struct token, fetch);
	struct str said = buf_str(&fetch->answer);
	if (fetch->error)
		buf_add(&t->why, str_head(str_from_c(fetch->why), 250));
	else if (fetch->status != 200 && !str_starts(str_trim(said), STR("{")))
		buf_printf(&t->why, "HTTP status %d", fetch->status);
	else
		take(t, said, true);
	if (t->why.len) buf_printf(&t->why, " (" STR_FMT ")", STR_ARG(t->endpoint.url));
	io_fetch_clear(fetch);
	finish(t);
}

/* ---- the interface ---- */

static void renew(struct token *t)
{
	struct outbound *out = t->outbound;
	t->renewing = true;
	wipe(&t->text);
	buf_clear(&t->why);
	if (!t->argv) {
		io_work(out->workers, &t->work);
		return;
	}
	int error =
		io_child_start(out->parts.io, &t->child, (const char *const *)t->argv, TIMEOUT_MS);
	if (!error) return;
	buf_printf(&t->why, "%s: %s%s", t->argv[0], strerror(-error),
		error == -EACCES ? ", or new since the server was started: restart it" : "");
	t->renewing = false;
}

bool token_want(struct outbound *out, const struct route_rule *rule, struct token_wait *wait)
{
	struct token *t = token_of(out, rule, true);
	wait->text = STR_NONE;
	wait->why = STR("out of memory");
	list_init(&wait->link);
	if (!t) return true;
	if (t->text.len && t->until > outbound_now(out)) return answer(t, wait);
	if (!t->renewing) renew(t);
	if (!t->renewing) return answer(t, wait);
	list_push_back(&t->waits, &wait->link);
	return false;
}

void token_cancel(struct token_wait *wait)
{
	if (wait->link.next) list_remove(&wait->link);
}

void token_refused(struct outbound *out, const struct route_rule *rule, uint32_t version)
{
	struct token *t = token_of(out, rule, false);
	if (t && t->version == version) t->until = 0;
}

void tokens_free(struct outbound *out)
{
	while (!list_empty(&out->tokens))
		token_free(CONTAINER_OF(out->tokens.next, struct token, link));
	io_fetcher_stop(out->fetcher);
	out->fetcher = NULL;
}
