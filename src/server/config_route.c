/* `route` blocks, and destinations as routes and domains write them.  */
#include "server/config_schema.h"
#include "server/units.h"

static const struct config_choice mx_choices[] = {{"preference", false}, {"latency", true}, {0}};
static const struct config_choice tls_choices[] = {{"off", ROUTE_TLS_OFF},
	{"opportunistic", ROUTE_TLS_OPPORTUNISTIC}, {"required", ROUTE_TLS_REQUIRED},
	{"verify", ROUTE_TLS_VERIFY}, {"dane", ROUTE_TLS_DANE}, {0}};

static void read_to(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	config_read_destination(r, v, where, CONFIG_TO_MX | CONFIG_TO_REJECT,
		CONTAINER_OF(field, struct route_rule, kind));
}

static void read_rate(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct route_rate *rate = field;
	if (v->type != UCL_TEXT || !units_rate(v->text, &rate->messages, &rate->per))
		config_wrong(r, v, where,
			"messages per time are wanted, such as \"100/m\" or \"5/10s\"; \"0\" is no limit");
}

const struct config_key config_route_keys[] = {
	{"to", CONFIG_OTHER, offsetof(struct route_rule, kind), "mx", .read = read_to,
		.help = "where mail goes"},
	{"mx", CONFIG_FLAG, offsetof(struct route_rule, latency), "preference",
		.choices = mx_choices, .help = "which exchanger is first"},
	{"port", CONFIG_PORT, offsetof(struct route_rule, port), "25", 1, UINT16_MAX,
		.help = "of the exchangers"},
	{"tls", CONFIG_CHOICE, offsetof(struct route_rule, tls), "opportunistic",
		.choices = tls_choices, .help = "what TLS must be"},
	{"connections", CONFIG_COUNT, offsetof(struct route_rule, connections), "20", 1, 100000,
		.help = "to one destination at once"},
	{"rate", CONFIG_OTHER, offsetof(struct route_rule, rate), "\"0\"", .read = read_rate,
		.help = "messages per time to one destination"},
	{"user", CONFIG_TEXT, offsetof(struct route_rule, user), "\"\"",
		.help = "for AUTH at the next hop"},
	{"password_file", CONFIG_PATH, offsetof(struct route_rule, password_file), "\"\"",
		.help = "file with that user's password"},
	{"token_command", CONFIG_OTHER, offsetof(struct route_rule, token_command), "[]",
		.read = config_read_token_command, .help = "program that prints a token of OAuth"},
	{"token", CONFIG_BLOCK, offsetof(struct route_rule, token), .keys = config_token_keys,
		.help = "where to get a token of OAuth"},
	{"auth", CONFIG_OTHER, offsetof(struct route_rule, auth), "\"\"", .read = config_read_auth,
		.help = "the mechanism to log in with"},
	{"allow_loopback", CONFIG_BOOL, offsetof(struct route_rule, allow_loopback), "false",
		.help = "whether an exchanger may be on this machine"},
	{"timeout", CONFIG_TIME, offsetof(struct route_rule, timeout), "0", 0, DAYS(1),
		.help = "caps every phase of a delivery; 0 is the times of RFC 5321"},
	{0},
};

/* ---- destinations ---- */

static bool starts(struct str s, struct str scheme, struct str *ret_rest)
{
	if (!str_istarts(s, scheme)) return false;
	*ret_rest = str_skip(s, scheme.len);
	return true;
}

static const char *wanted(unsigned allowed)
{
	return allowed & CONFIG_TO_MAILDIR
		? "maildir:PATH, lmtp:/SOCKET, lmtp:HOST:PORT, smtp:HOST:PORT, smtps:HOST:PORT or discard: is wanted"
		: "mx, smtp:HOST:PORT, smtps:HOST:PORT, a list of those, lmtp:HOST:PORT, lmtp:/SOCKET, discard: or reject:REASON is wanted";
}

static bool host_fine(struct str host)
{
	struct net_address address;
	return net_parse(host, &address) || domain_valid(host, false);
}

struct host_scheme {
	struct str prefix;
	enum route_kind kind;
	bool implicit_tls;
	uint16_t port;
};

/* "smtp:HOST[:PORT]" and its like, of perhaps several, which must all be of one kind.  */
static bool read_host(struct config_reader *r, const struct ucl_value *v, struct route_rule *rule,
	struct route_host *to)
{
	static const struct host_scheme schemes[] = {{STR("smtp:"), ROUTE_SMTP, false, 25},
		{STR("smtps:"), ROUTE_SMTP, true, 465}, {STR("lmtp:"), ROUTE_LMTP, false, 24}};
	const struct host_scheme *scheme = NULL;
	struct str rest, host;
	uint16_t port;
	for (size_t i = 0; i < ARRAY_LEN(schemes) && !scheme; i++)
		if (starts(v->text, schemes[i].prefix, &rest)) scheme = &schemes[i];
	if (!scheme) return false;
	bool other = rule->kind != scheme->kind || rule->implicit_tls != scheme->implicit_tls;
	if (rule->host_count && other) return false;
	if (!units_host_port(rest, scheme->port, &host, &port) || !port || !host_fine(host))
		return false;
	rule->kind = scheme->kind;
	rule->implicit_tls = scheme->implicit_tls;
	*to = (struct route_host){config_copy(r, host, true), port};
	rule->host_count++;
	return true;
}

static bool read_hosts(struct config_reader *r, const struct ucl_value *v, const char *where,
	struct route_rule *rule)
{
	struct route_host *hosts = config_alloc(r, config_count(v) * sizeof *hosts);
	if (!hosts) return true;
	rule->hosts = hosts;
	rule->host_count = 0;
	for (const struct ucl_value *t = NULL; (t = config_each_text(r, v, t, where));)
		if (!read_host(r, t, rule, &hosts[rule->host_count])) return false;
	return rule->host_count > 0;
}

/* The directory that the mailboxes of a template lie in.  */
static void use_mailboxes(struct config_reader *r, struct str template, struct place place)
{
	size_t variable = str_find(template, '%');
	struct str fixed = str_head(template, variable);
	if (variable < template.len) fixed = str_head(fixed, str_rfind(fixed, '/'));
	config_use(r, config_copy(r, fixed, false), true, place);
}

/* The forms that are one text and no host.  False: it is none of them.  */
static bool read_single(struct config_reader *r, const struct ucl_value *v, unsigned allowed,
	struct route_rule *rule)
{
	struct str rest, text = v->text;
	if (str_ieq(text, STR("mx")) && allowed & CONFIG_TO_MX) {
		rule->kind = ROUTE_MX;
		return true;
	}
	if (str_ieq(text, STR("discard:")) || str_ieq(text, STR("discard"))) {
		rule->kind = ROUTE_DISCARD;
		return true;
	}
	if (starts(text, STR("reject:"), &rest) && allowed & CONFIG_TO_REJECT) {
		rest = str_trim(rest);
		rule->kind = ROUTE_REJECT;
		rule->reject = config_copy(
			r, rest.len ? rest : STR("mail to this domain is not accepted"), false);
		return true;
	}
	if (starts(text, STR("maildir:"), &rest) && rest.len && allowed & CONFIG_TO_MAILDIR) {
		rule->kind = ROUTE_MAILDIR;
		rule->maildir = config_path(r, config_copy(r, rest, false));
		use_mailboxes(r, rule->maildir, v->place);
		return true;
	}
	if (starts(text, STR("lmtp:"), &rest) && str_starts(rest, STR("/"))) {
		rule->kind = ROUTE_LMTP;
		rule->socket = config_copy(r, rest, false);
		return true;
	}
	return false;
}

void config_read_destination(struct config_reader *r, const struct ucl_value *v, const char *where,
	unsigned allowed, struct route_rule *rule)
{
	const struct ucl_value *only = v->type == UCL_LIST && v->count == 1 ? v->first : v;
	if (only->type == UCL_TEXT && read_single(r, only, allowed, rule)) return;
	bool several = v->type == UCL_LIST && !(allowed & CONFIG_TO_MX);
	if (v->type != UCL_BLOCK && !several && read_hosts(r, v, where, rule)) return;
	if (v->type == UCL_TEXT)
		config_wrong(r, v, where, "\"" STR_FMT "\" will not do; %s", STR_ARG(v->text),
			wanted(allowed));
	else
		config_wrong(r, v, where, "this will not do; %s", wanted(allowed));
}

/* ---- rules ---- */

struct route_rule *config_new_rule(
	struct config_reader *r, const struct ucl_value *block, const char *where)
{
	struct route_rule *rule = config_alloc(r, sizeof *rule);
	if (rule) config_read_keys(r, config_route_keys, block, where, rule);
	return rule;
}

void config_add_rule(struct config_reader *r, struct route_rule *rule, struct place place)
{
	if (route_table_add(&r->config->routes, rule)) return;
	complain(&r->complaints, place,
		"\"" STR_FMT "\" is there already, as a domain, a route or this machine's own name",
		STR_ARG(rule->name));
}

static void read_rule(struct config_reader *r, const struct ucl_value *v)
{
	char where[300];
	snprintf(
		where, sizeof where, "route \"%.*s\".", (int)str_head(v->key, 256).len, v->key.ptr);
	struct str name = v->key;
	bool any = str_eq(name, STR("*"));
	if (v->type != UCL_BLOCK || !route_name_valid(name) ||
		(!any && !config_domain(r, name, &name))) {
		complain(&r->complaints, v->place,
			"route: \"" STR_FMT "\" will not do; it is route \"example.net\" { ... }, "
			"route \".example.net\" { ... } for its subdomains, or route \"*\" { ... }",
			STR_ARG(v->key));
		return;
	}
	struct route_rule *rule = config_new_rule(r, v, where);
	if (!rule) return;
	where[strlen(where) - 1] = 0;
	config_check_login(r, v, where, rule);
	rule->name = config_copy(r, name, true);
	config_add_rule(r, rule, v->place);
}

static bool has_rule(const struct route_table *t, struct str name)
{
	return map_find(&t->names, name) != NULL;
}

void config_read_routes(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	(void)field;
	if (v && v->type != UCL_BLOCK)
		config_wrong(r, v, where,
			"a name and a block are wanted, as in route \"*\" { to = mx }");
	for (const struct ucl_value *one = v && v->type == UCL_BLOCK ? v->first : NULL; one;
		one = one->next)
		read_rule(r, one);
	if (has_rule(&r->config->routes, STR("*"))) return;
	struct route_rule *rule = config_new_rule(r, NULL, "route \"*\".");
	if (!rule) return;
	rule->name = STR("*");
	config_add_rule(r, rule, (struct place){0});
}
