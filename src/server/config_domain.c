/* `domain` blocks: local domains, their users and aliases, and the rules by which their mail is delivered.  */
#include "server/config_schema.h"

/* What a block is read into.  */
struct local {
	struct local_domain *domain;
	struct route_rule *rule;
};

static void read_deliver(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field);
static void read_users(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field);
static void read_aliases(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field);
static void read_separator(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field);

const struct config_key config_domain_keys[] = {
	{"deliver", CONFIG_OTHER, 0, "\"maildir:mail/%{domain}/%{user}\"", .read = read_deliver,
		.help = "where mail for its users goes"},
	{"users", CONFIG_OTHER, 0, .read = read_users,
		.help = "who lives there; \"*\" is everyone"},
	{"aliases", CONFIG_OTHER, 0, .read = read_aliases,
		.help = "NAME = ADDRESS, or a list of them"},
	{"separator", CONFIG_OTHER, 0, "\"+\"", .read = read_separator,
		.help = "what ends a user's name in an address"},
	{0},
};

/* ---- keys ---- */

/* Only %{user} and %{domain} are known.  */
static bool placeholders_fine(struct str path)
{
	for (size_t at; (at = str_find(path, '%')) < path.len;) {
		path = str_skip(path, at);
		size_t len = str_starts(path, STR("%{user}")) ? 7
			: str_starts(path, STR("%{domain}"))  ? 9
							      : 0;
		if (!len) return false;
		path = str_skip(path, len);
	}
	return true;
}

static void read_deliver(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct route_rule *rule = ((struct local *)field)->rule;
	config_read_destination(r, v, where, CONFIG_TO_MAILDIR, rule);
	if (rule->kind != ROUTE_MAILDIR || placeholders_fine(v->text)) return;
	config_wrong(r, v, where, "\"" STR_FMT "\": only %%{user} and %%{domain} are known here",
		STR_ARG(v->text));
}

static void add_user(struct config_reader *r, struct local_domain *d, struct str name)
{
	struct local_user *user = config_alloc(r, sizeof *user);
	if (!user || map_find(&d->users, name)) return;
	user->name = config_copy(r, name, true);
	if (!map_insert(&d->users, &user->node, user->name))
		complain(&r->complaints, (struct place){0}, "there is no memory for the users");
}

static bool local_part_fine(struct str name)
{
	struct address address;
	return address_parse(name, true, true, &address) && !address.domain.len;
}

/* name without "@domain" when that is this very domain.  */
static struct str without_domain(const struct local_domain *d, struct str name)
{
	size_t at = str_rfind(name, '@');
	return at < name.len && str_ieq(str_skip(name, at + 1), d->name) ? str_head(name, at)
									 : name;
}

static void read_users(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct local_domain *d = ((struct local *)field)->domain;
	d->accounts = !v;
	for (const struct ucl_value *t = NULL; (t = config_each_text(r, v, t, where));) {
		struct str name = without_domain(d, t->text);
		if (str_eq(name, STR("*")))
			d->everyone = true;
		else if (local_part_fine(name))
			add_user(r, d, name);
		else
			config_wrong(r, t, where,
				"\"" STR_FMT
				"\" is not the local part of an address; alice, or \"*\", is wanted",
				STR_ARG(t->text));
	}
}

static void read_separator(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct local_domain *d = ((struct local *)field)->domain;
	if (v->type != UCL_TEXT || v->text.len > 1 ||
		(v->text.len && strchr("@\".", v->text.ptr[0])))
		config_wrong(r, v, where,
			"one character such as \"+\" or \"-\" is wanted, or \"\" for none");
	else
		d->separator = config_copy(r, v->text, false);
}

/* A whole address; a bare local part gets the domain.  */
static bool read_target(
	struct config_reader *r, const struct local_domain *d, struct str text, struct str *ret)
{
	struct address address;
	char whole[ADDRESS_PATH_MAX + 2];
	if (!address_parse(text, true, true, &address)) return false;
	if (address.domain.len) return *ret = config_copy(r, text, false), true;
	int len =
		snprintf(whole, sizeof whole, STR_FMT "@" STR_FMT, STR_ARG(text), STR_ARG(d->name));
	if (len < 0 || (size_t)len >= sizeof whole) return false;
	*ret = config_copy(r, str_of(whole, (size_t)len), false);
	return true;
}

static void read_alias(struct config_reader *r, struct local_domain *d, const struct ucl_value *v,
	const char *where)
{
	struct str name = without_domain(d, v->key);
	struct alias *alias = config_alloc(r, sizeof *alias);
	struct str *targets = config_alloc(r, config_count(v) * sizeof *targets);
	if (!alias || !targets) return;
	if (!str_eq(name, STR("*")) && !local_part_fine(name)) {
		config_wrong(r, v, where, "\"" STR_FMT "\" is not the local part of an address",
			STR_ARG(v->key));
		return;
	}
	if (map_find(&d->aliases, name)) {
		config_wrong(r, v, where, "\"" STR_FMT "\" is there already", STR_ARG(v->key));
		return;
	}
	for (const struct ucl_value *t = NULL; (t = config_each_text(r, v, t, where));) {
		if (read_target(r, d, t->text, &targets[alias->target_count]))
			alias->target_count++;
		else
			config_wrong(r, t, where,
				"\"" STR_FMT
				"\" is not an address; alice or alice@example.com is wanted",
				STR_ARG(t->text));
	}
	if (!config_count(v))
		config_wrong(r, v, where, "\"" STR_FMT "\" leads to nobody", STR_ARG(v->key));
	alias->name = config_copy(r, name, true);
	alias->targets = targets;
	if (!map_insert(&d->aliases, &alias->node, alias->name))
		complain(&r->complaints, v->place, "there is no memory for the aliases");
}

static void read_aliases(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct local_domain *d = ((struct local *)field)->domain;
	if (v && v->type != UCL_BLOCK)
		config_wrong(
			r, v, where, "a block is wanted, as in aliases { postmaster = alice }");
	else if (v)
		for (const struct ucl_value *one = v->first; one; one = one->next)
			read_alias(r, d, one, where);
}

/* ---- blocks ---- */

static struct local_domain *new_domain(struct config_reader *r, struct str name)
{
	struct local_domain *d = config_alloc(r, sizeof *d);
	if (!d) return NULL;
	uint64_t seed = r->config->domains.names.seed;
	d->name = config_copy(r, name, true);
	map_init(&d->users, seed);
	map_init(&d->aliases, seed);
	return d;
}

/* block: NULL for this machine's name, when no domain is configured.  */
static void add_domain(
	struct config_reader *r, struct str name, const struct ucl_value *block, const char *where)
{
	struct place place = block ? block->place : (struct place){0};
	struct local local = {new_domain(r, name), config_new_rule(r, NULL, "domain.")};
	if (!local.domain || !local.rule) return;
	local.rule->name = local.domain->name;
	local.rule->local = true;
	local.rule->allow_loopback = true; /* smtp: and lmtp: name their host */
	config_read_keys(r, config_domain_keys, block, where, &local);
	if (!block) local.domain->everyone = true, local.domain->accounts = false;
	if (map_find(&r->config->domains.names, name)) {
		complain(&r->complaints, place, "domain \"" STR_FMT "\" is there already",
			STR_ARG(name));
		map_release(&local.domain->users);
		map_release(&local.domain->aliases);
		return;
	}
	config_add_rule(r, local.rule, place);
	if (!map_insert(&r->config->domains.names, &local.domain->node, local.domain->name))
		complain(&r->complaints, place, "there is no memory for the domains");
}

static void read_domain(struct config_reader *r, const struct ucl_value *v)
{
	char where[300];
	snprintf(where, sizeof where, "domain \"%.*s\".", (int)str_head(v->key, 256).len,
		v->key.ptr);
	struct str name;
	if (v->type != UCL_BLOCK || !domain_valid(v->key, true) ||
		!config_domain(r, v->key, &name)) {
		complain(&r->complaints, v->place,
			"domain: \"" STR_FMT "\" will not do; it is domain \"example.com\" { ... }",
			STR_ARG(v->key));
		return;
	}
	add_domain(r, name, v, where);
}

/* ---- aliases as a whole ---- */

struct check {
	struct config_reader *r;
	const struct ucl_value *domains;
};

static const struct ucl_value *find_any_case(const struct ucl_value *block, struct str key)
{
	for (const struct ucl_value *v = block ? block->first : NULL; v; v = v->next)
		if (str_ieq(v->key, key)) return v;
	return NULL;
}

static void alias_wrong(void *context, struct str domain, struct str alias, struct str why)
{
	const struct check *check = context;
	const struct ucl_value *block = find_any_case(check->domains, domain);
	const struct ucl_value *v = find_any_case(ucl_find(block, STR("aliases")), alias);
	complain(&check->r->complaints,
		v               ? v->place
			: block ? block->place
				: (struct place){0},
		"alias " STR_FMT "@" STR_FMT ": " STR_FMT, STR_ARG(alias), STR_ARG(domain),
		STR_ARG(why));
}

/* Accounts are not known yet: whoever may have one is taken to be there.  */
static bool any_account(void *context, struct str local, struct str domain)
{
	(void)context, (void)local, (void)domain;
	return true;
}

void config_read_domains(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	(void)field;
	struct domains *domains = &r->config->domains;
	if (v && v->type != UCL_BLOCK)
		config_wrong(r, v, where,
			"a name and a block are wanted, as in domain \"example.com\" { ... }");
	for (const struct ucl_value *one = v && v->type == UCL_BLOCK ? v->first : NULL; one;
		one = one->next)
		read_domain(r, one);
	if (!v) add_domain(r, r->config->hostname, NULL, "domain.");

	struct check check = {r, v && v->type == UCL_BLOCK ? v : NULL};
	domains->account = any_account;
	domains_check(domains, alias_wrong, &check);
	domains->account = NULL;
}
