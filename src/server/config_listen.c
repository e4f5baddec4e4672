/* `listen` blocks, and what `serve HOST:PORT` gives in their place.  */
#include "io/io.h"
#include "server/config_schema.h"
#include "server/units.h"

enum { ADDRESSES_MAX = 64 };

static const struct config_choice role_choices[] = {{"mx", false}, {"submission", true}, {0}};
static const struct config_choice tls_choices[] = {{"off", LISTENER_TLS_OFF},
	{"starttls", LISTENER_TLS_STARTTLS}, {"required", LISTENER_TLS_REQUIRED},
	{"implicit", LISTENER_TLS_IMPLICIT}, {0}};
static const struct config_choice newline_choices[] = {{"reject", false}, {"normalize", true}, {0}};

static void read_bind(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field);

static void read_words(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field);

/* clang-format off */
#define WORDS(name) \
	{#name, CONFIG_OTHER, offsetof(struct smtp_words, name), "\"\"", .read = read_words, .help = "words of this reply"}
/* clang-format on */
static const struct config_key words_keys[] = {
	WORDS(banner),
	WORDS(helo),
	WORDS(mail),
	WORDS(rcpt),
	WORDS(data),
	WORDS(queued),
	WORDS(quit),
	{0},
};

/* bind comes last: its default port follows from role and tls.  */
const struct config_key config_listen_keys[] = {
	{"role", CONFIG_FLAG, offsetof(struct listener_options, submission), "mx",
		.choices = role_choices, .help = "whom it serves"},
	{"tls", CONFIG_CHOICE, offsetof(struct listener_options, tls), "starttls",
		.choices = tls_choices, .help = "when TLS is spoken"},
	{"replies", CONFIG_BLOCK, offsetof(struct listener_options, words), .keys = words_keys,
		.help = "words in place of the standard ones"},
	{"data_end", CONFIG_TEXT, offsetof(struct listener_options, data_end), "\"\"",
		.help = "one more line that ends DATA; on loopback only"},
	{"bare_newline", CONFIG_FLAG, offsetof(struct listener_options, normalize), "reject",
		.choices = newline_choices, .help = "what becomes of a lone CR or LF"},
	{"proxy_from", CONFIG_OTHER, offsetof(struct listener_options, proxy_from), "[]",
		.read = config_read_ranges,
		.help = "load balancers, which begin with a PROXY header"},
	{"xclient_from", CONFIG_OTHER, offsetof(struct listener_options, xclient_from), "[]",
		.read = config_read_ranges, .help = "clients that may speak for others (XCLIENT)"},
	{"bind", CONFIG_OTHER, offsetof(struct listener_options, binds), "[\"0.0.0.0\", \"[::]\"]",
		.read = read_bind, .help = "addresses"},
	{0},
};

/* ---- words ---- */

/* Only %{helo}, %{id} and %{hostname} are put in.  */
static bool words_fine(struct str words)
{
	static const struct str known[] = {STR("%{helo}"), STR("%{id}"), STR("%{hostname}")};
	for (; words.len; words = str_skip(words, 1)) {
		bool fine = !str_starts(words, STR("%{"));
		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			fine = fine || str_starts(words, known[i]);
		if (!fine) return false;
	}
	return true;
}

static void read_words(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	if (v->type != UCL_TEXT || !words_fine(v->text))
		config_wrong(r, v, where,
			"a text is wanted, in which only %%{helo}, %%{id} and %%{hostname} are put in");
	else
		*(struct str *)field = config_copy(r, v->text, false);
}

/* ---- addresses ---- */

static bool only_digits(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_digit(s.ptr[i])) return false;
	return s.len > 0;
}

static int resolve(struct str host, uint16_t port, struct net_address *to, int max)
{
	char name[256];
	if (host.len >= sizeof name) return 0;
	memcpy(name, host.ptr, host.len);
	name[host.len] = 0;
	return io_resolve(name, port, to, max);
}

/* The addresses of text, "HOST[:PORT]" with "*" for any; how many, or 0 and *ret_why.  */
static int read_address(
	struct str text, uint16_t port, struct net_address *to, int max, const char **ret_why)
{
	struct str host;
	if (net_parse_port(text, port, to)) return 1;
	*ret_why = "an address such as 127.0.0.1:2525, [::1]:25 or a host's name is wanted";
	if (!units_host_port(text, port, &host, &port)) return 0;
	if (only_digits(host)) {
		*ret_why =
			"a number alone is no address; a port is written 127.0.0.1:2525 or *:2525";
		return 0;
	}
	if (str_eq(host, STR("*")) && max >= 2) {
		to[0] = (struct net_address){.family = NET_IPV4, .port = port};
		to[1] = (struct net_address){.family = NET_IPV6, .port = port};
		return 2;
	}
	int count = resolve(host, port, to, max);
	if (count > 0) return count;
	*ret_why = "no address is known for this name";
	return 0;
}

static bool same_bind(const struct net_address *a, const struct net_address *b)
{
	return a->family == b->family && a->port && a->port == b->port &&
		!memcmp(a->octets, b->octets, 16);
}

static const struct listener_options *bound_already(
	const struct listener_options *listeners, uint32_t count, const struct net_address *address)
{
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = 0; j < listeners[i].bind_count; j++)
			if (same_bind(&listeners[i].binds[j], address)) return &listeners[i];
	return NULL;
}

static uint16_t default_port(const struct listener_options *l)
{
	if (l->tls == LISTENER_TLS_IMPLICIT) return 465;
	return l->submission ? 587 : 25;
}

static bool keep_binds(struct config_reader *r, const struct net_address *all, int count,
	const struct net_address **ret_binds, uint32_t *ret_count)
{
	struct net_address *binds = config_alloc(r, (size_t)count * sizeof *binds);
	if (!binds) return false;
	memcpy(binds, all, (size_t)count * sizeof *binds);
	*ret_binds = binds;
	*ret_count = (uint32_t)count;
	return true;
}

bool config_read_binds(struct config_reader *r, const struct ucl_value *v, const char *where,
	uint16_t port, const struct net_address **ret_binds, uint32_t *ret_count)
{
	struct net_address all[ADDRESSES_MAX];
	int count = 0;
	for (const struct ucl_value *t = NULL; (t = config_each_text(r, v, t, where));) {
		const char *why = NULL;
		int found = read_address(t->text, port, all + count, ADDRESSES_MAX - count, &why);
		if (!found) config_wrong(r, t, where, "\"" STR_FMT "\": %s", STR_ARG(t->text), why);
		count += found;
	}
	if (!config_count(v)) config_wrong(r, v, where, "at least one address is wanted");
	return count > 0 && keep_binds(r, all, count, ret_binds, ret_count);
}

static void read_bind(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct listener_options *l = CONTAINER_OF(field, struct listener_options, binds);
	(void)config_read_binds(r, v, where, default_port(l), &l->binds, &l->bind_count);
}

/* ---- blocks ---- */

static bool loopback_alone(const struct listener_options *l)
{
	for (uint32_t i = 0; i < l->bind_count; i++)
		if (!net_is_loopback(&l->binds[i])) return false;
	return true;
}

static void check_listener(struct config_reader *r, const struct ucl_value *v,
	const struct listener_options *all, uint32_t before, const char *where)
{
	const struct listener_options *l = &all[before];
	const struct ucl_value *end = ucl_find(v, STR("data_end"));
	if (l->data_end.len && !loopback_alone(l))
		config_wrong(r, end ? end : v, where,
			"data_end is refused on a listener that is not bound to loopback "
			"alone (127.0.0.1, ::1): a mail could be cut in two; replies { data = ... } only changes words");
	if (l->data_end.len > 72)
		config_wrong(r, end ? end : v, where, "data_end is one line of at most 72 octets");
	for (uint32_t i = 0; i < l->bind_count; i++) {
		const struct listener_options *other = bound_already(all, before, &l->binds[i]);
		if (!other) continue;
		struct buf address;
		buf_init(&address, 128);
		net_add_port(&address, &l->binds[i]);
		config_wrong(r, v, where, STR_FMT " is taken by listen " STR_FMT " already",
			STR_ARG(buf_str(&address)), STR_ARG(other->name));
		buf_release(&address);
	}
}

static void read_listener(struct config_reader *r, const struct ucl_value *v,
	struct listener_options *all, uint32_t before)
{
	char where[96];
	snprintf(where, sizeof where, "listen %.*s.", (int)str_head(v->key, 80).len, v->key.ptr);
	if (v->type != UCL_BLOCK) {
		complain(&r->complaints, v->place,
			"listen: a name and a block are wanted, as in listen mx { bind = \"*:25\" }");
		return;
	}
	struct listener_options *l = &all[before];
	l->name = config_copy(r, v->key, false);
	config_read_keys(r, config_listen_keys, v, where, l);
	where[strlen(where) - 1] = 0;
	check_listener(r, v, all, before, where);
}

static void use_listeners(
	struct config *c, const struct listener_options *listeners, uint32_t count)
{
	c->listeners = listeners;
	c->listener_count = count;
}

void config_read_listeners(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	(void)field;
	uint32_t count = v && v->type == UCL_BLOCK ? v->count : 1;
	struct listener_options *all = config_alloc(r, (count ? count : 1) * sizeof *all);
	if (!all) return;
	if (!v) {
		all[0].name = STR("mx");
		config_read_keys(r, config_listen_keys, NULL, "listen mx.", &all[0]);
	} else if (v->type != UCL_BLOCK || !count) {
		config_wrong(r, v, where,
			"a name and a block are wanted, as in listen mx { bind = \"*:25\" }");
		return;
	} else {
		uint32_t at = 0;
		for (const struct ucl_value *one = v->first; one; one = one->next)
			read_listener(r, one, all, at++);
	}
	use_listeners(r->config, all, count);
}

bool config_listen(
	struct config *c, struct str const *binds, uint32_t count, struct buf *complaints)
{
	struct config_reader r = {.config = c};
	complaints_init(&r.complaints, &c->arena);
	struct listener_options *l = config_alloc(&r, sizeof *l);
	struct net_address all[ADDRESSES_MAX];
	int found = 0;
	for (uint32_t i = 0; l && i < count; i++) {
		const char *why = NULL;
		int more = read_address(binds[i], 25, all + found, ADDRESSES_MAX - found, &why);
		if (!more)
			complain(&r.complaints, (struct place){0}, "\"" STR_FMT "\": %s",
				STR_ARG(binds[i]), why);
		found += more;
	}
	if (l && found) {
		*l = (struct listener_options){.name = STR("mx"), .tls = LISTENER_TLS_STARTTLS};
		(void)keep_binds(&r, all, found, &l->binds, &l->bind_count);
	}
	if (!r.complaints.count) use_listeners(c, l, 1);
	complaints_print(&r.complaints, complaints);
	return !r.complaints.count;
}
