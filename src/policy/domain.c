#include "policy/domain.h"

#include "base/buf.h"

enum {
	DEPTH_MAX = 32,        /* aliases of aliases; what is deeper is taken for a loop */
	LOCAL_ROOM = 1024,     /* for a local part without its quotes */
	WALK_MEMORY = 1 << 20, /* for checking one alias */
};

static const struct str catch_all = {"*", 1};

const struct local_domain *domain_find(const struct domains *d, struct str name)
{
	struct map_node *node = map_find(&d->names, name);
	return node ? CONTAINER_OF(node, struct local_domain, node) : NULL;
}

const struct local_domain *domains_first(const struct domains *d)
{
	const struct map_node *first = NULL;
	for (struct map_node *n = NULL; (n = map_next(&d->names, n));)
		if (!first || str_icmp(n->key, first->key) < 0) first = n;
	return first ? CONTAINER_OF(first, const struct local_domain, node) : NULL;
}

/* ---- who a local part is in its domain ---- */

enum who { WHO_NOBODY, WHO_ALIAS, WHO_MAILBOX };

static const struct alias *alias_find(const struct local_domain *domain, struct str local)
{
	struct map_node *node = map_find(&domain->aliases, local);
	return node ? CONTAINER_OF(node, struct alias, node) : NULL;
}

/* A separator in front separates nothing.  */
static struct str before_separator(const struct local_domain *domain, struct str local)
{
	if (domain->separator.len == 0) return local;
	size_t at = str_find(local, domain->separator.ptr[0]);
	return at == 0 ? local : str_head(local, at);
}

static bool has_user(const struct domains *d, const struct local_domain *domain, struct str local)
{
	if (map_find(&domain->users, local)) return true;
	return domain->accounts && d->account && d->account(d->context, local, domain->name);
}

static bool has_mailbox(
	const struct domains *d, const struct local_domain *domain, struct str local)
{
	return domain->everyone || has_user(d, domain, local) ||
		has_user(d, domain, before_separator(domain, local));
}

/* Names written out come before those that a separator or "*" leads to.  A postmaster there is
 * in any domain (RFC 5321 4.5.1): with a mailbox of its own, unless an alias, a user or the
 * catch-all takes its mail.  */
static enum who look_up(const struct domains *d, const struct local_domain *domain,
	struct str local, const struct alias **ret_alias)
{
	struct str base = before_separator(domain, local);
	if ((*ret_alias = alias_find(domain, local))) return WHO_ALIAS;
	if (has_user(d, domain, local)) return WHO_MAILBOX;
	if ((*ret_alias = alias_find(domain, base))) return WHO_ALIAS;
	if (has_mailbox(d, domain, local)) return WHO_MAILBOX;
	if ((*ret_alias = alias_find(domain, catch_all))) return WHO_ALIAS;
	return str_ieq(base, STR("postmaster")) ? WHO_MAILBOX : WHO_NOBODY;
}

bool domain_mailbox(const struct local_domain *d, const struct address *a, struct buf *out)
{
	size_t start = out->len;
	if (!address_local_plain(a, out)) return false;
	struct str local = str_skip(buf_str(out), start);
	if (!map_find(&d->users, local)) out->len = start + before_separator(d, local).len;
	for (size_t i = start; i < out->len; i++) out->ptr[i] = ascii_lower(out->ptr[i]);
	return buf_ok(out);
}

/* ---- expansion ---- */

/* An address that was met.  */
struct met {
	struct map_node node;
	struct met *next; /* listed after this one */
	bool open;        /* an alias whose targets are being visited */
	bool listed;      /* is part of the result */
};

struct expansion {
	const struct domains *domains;
	struct arena *arena;
	struct map met;
	struct met *first, **end;
	uint32_t count;
	uint32_t known; /* of them, those that exist as far as we can tell */
	uint32_t max;
	struct buf local;
};

static void expansion_init(
	struct expansion *x, const struct domains *d, uint32_t max, struct arena *arena)
{
	*x = (struct expansion){.domains = d, .arena = arena, .max = max};
	x->end = &x->first;
	map_init(&x->met, d->names.seed);
	buf_init(&x->local, LOCAL_ROOM);
}

static void expansion_release(struct expansion *x)
{
	map_release(&x->met);
	buf_release(&x->local);
}

/* The local part as it is looked up by; valid until the next call.  */
static bool plain_local(struct expansion *x, const struct address *a, struct str *ret_local)
{
	buf_clear(&x->local);
	if (!address_local_plain(a, &x->local)) return false;
	*ret_local = buf_str(&x->local);
	return true;
}

static struct met *meet(struct expansion *x, struct str text)
{
	struct met *m = arena_alloc(x->arena, sizeof(*m));
	struct str key;
	if (!m || !arena_copy(x->arena, text, &key)) return NULL;
	return map_insert(&x->met, &m->node, key) ? m : NULL;
}

static enum expand_result list(struct expansion *x, struct met *m, bool known)
{
	if (x->count == x->max) return EXPAND_TOO_MANY;
	m->listed = true;
	*x->end = m;
	x->end = &m->next;
	x->count++;
	x->known += known;
	return EXPAND_DONE;
}

static enum expand_result visit(struct expansion *x, const struct address *a, unsigned depth);

static enum expand_result visit_targets(
	struct expansion *x, const struct alias *alias, unsigned depth)
{
	for (uint32_t i = 0; i < alias->target_count; i++) {
		struct address target;
		if (!address_parse(alias->targets[i], true, false, &target)) continue;
		enum expand_result result = visit(x, &target, depth + 1);
		if (result != EXPAND_DONE) return result;
	}
	return EXPAND_DONE;
}

/* A target that does not exist is listed as well: then its delivery fails visibly, instead of
 * one recipient less getting the mail.  */
static enum expand_result visit(struct expansion *x, const struct address *a, unsigned depth)
{
	const struct local_domain *domain = domain_find(x->domains, a->domain);
	struct str local = a->local;
	if (domain && !plain_local(x, a, &local)) return EXPAND_NO_MEMORY;

	struct map_node *node = map_find(&x->met, a->text);
	if (node) {
		/* An alias that leads to its own name means the mailbox of that name.  */
		struct met *again = CONTAINER_OF(node, struct met, node);
		if (!again->open || again->listed) return EXPAND_DONE;
		return has_mailbox(x->domains, domain, local) ? list(x, again, true) : EXPAND_DONE;
	}
	struct met *m = meet(x, a->text);
	if (!m) return EXPAND_NO_MEMORY;
	const struct alias *alias;
	enum who who = domain ? look_up(x->domains, domain, local, &alias) : WHO_MAILBOX;
	if (who != WHO_ALIAS) return list(x, m, who == WHO_MAILBOX);
	if (depth == DEPTH_MAX) return EXPAND_DONE;
	m->open = true;
	enum expand_result result = visit_targets(x, alias, depth);
	m->open = false;
	return result;
}

enum expand_result domain_expand(const struct domains *d, const struct address *a, uint32_t max,
	struct arena *arena, struct str *ret_addresses, uint32_t *ret_count)
{
	if (!domain_find(d, a->domain)) return EXPAND_FOREIGN;
	struct expansion x;
	expansion_init(&x, d, max, arena);
	enum expand_result result = visit(&x, a, 0);
	if (result == EXPAND_DONE && x.known == 0) result = EXPAND_UNKNOWN;
	if (result == EXPAND_DONE) {
		for (struct met *m = x.first; m; m = m->next) *ret_addresses++ = m->node.key;
		*ret_count = x.count;
	}
	expansion_release(&x);
	return result;
}

/* ---- checking what was configured ---- */

struct check {
	const struct domains *domains;
	const struct local_domain *domain;
	const struct alias *alias; /* the one that is looked at */
	void (*complain)(void *context, struct str domain, struct str alias, struct str why);
	void *context;
	uint32_t complaints;
};

static void complain(struct check *c, struct str target, const char *why)
{
	struct buf text;
	buf_init(&text, 1024);
	buf_printf(&text, STR_FMT " %s", STR_ARG(target), why);
	c->complain(c->context, c->domain->name, c->alias->name, buf_str(&text));
	buf_release(&text);
	c->complaints++;
}

/* Whether what is reached through the targets of from is c->alias again, without a mailbox that
 * ends it.  */
static bool leads_back(
	struct check *c, struct expansion *x, const struct alias *from, unsigned depth)
{
	for (uint32_t i = 0; i < from->target_count; i++) {
		struct address a;
		struct str local;
		if (!address_parse(from->targets[i], true, false, &a)) continue;
		const struct local_domain *domain = domain_find(c->domains, a.domain);
		if (!domain || map_find(&x->met, a.text) || !plain_local(x, &a, &local)) continue;
		const struct alias *next;
		if (look_up(c->domains, domain, local, &next) != WHO_ALIAS) continue;
		if (next == c->alias) {
			if (!has_mailbox(c->domains, domain, local)) return true;
			continue;
		}
		if (!meet(x, a.text)) return false;
		if (depth == DEPTH_MAX || leads_back(c, x, next, depth + 1)) return true;
	}
	return false;
}

static void check_loop(struct check *c)
{
	struct arena arena;
	struct expansion x;
	arena_init(&arena, WALK_MEMORY);
	expansion_init(&x, c->domains, 0, &arena);
	if (leads_back(c, &x, c->alias, 0)) complain(c, c->alias->name, "leads back to itself");
	expansion_release(&x);
	arena_release(&arena);
}

static bool target_exists(struct check *c, const struct address *a)
{
	const struct local_domain *domain = domain_find(c->domains, a->domain);
	if (!domain) return true;
	struct buf local;
	const struct alias *alias;
	buf_init(&local, LOCAL_ROOM);
	bool exists = address_local_plain(a, &local);
	if (exists) {
		enum who who = look_up(c->domains, domain, buf_str(&local), &alias);
		/* The catch-all cannot make its own targets exist.  */
		bool own_catch =
			who == WHO_ALIAS && alias == c->alias && str_eq(alias->name, catch_all);
		exists = who != WHO_NOBODY && !own_catch;
	}
	buf_release(&local);
	return exists;
}

static void check_alias(struct check *c)
{
	uint32_t before = c->complaints;
	for (uint32_t i = 0; i < c->alias->target_count; i++) {
		struct address a;
		struct str target = c->alias->targets[i];
		if (!address_parse(target, true, false, &a))
			complain(c, target, "is not an address");
		else if (!target_exists(c, &a))
			complain(c, target, "does not exist");
	}
	if (c->complaints == before) check_loop(c);
}

uint32_t domains_check(const struct domains *d,
	void (*complain_to)(void *context, struct str domain, struct str alias, struct str why),
	void *context)
{
	struct check c = {.domains = d, .complain = complain_to, .context = context};
	for (struct map_node *n = map_next(&d->names, NULL); n; n = map_next(&d->names, n)) {
		c.domain = CONTAINER_OF(n, struct local_domain, node);
		const struct map *aliases = &c.domain->aliases;
		for (struct map_node *m = map_next(aliases, NULL); m; m = map_next(aliases, m)) {
			c.alias = CONTAINER_OF(m, struct alias, node);
			check_alias(&c);
		}
	}
	return c.complaints;
}
