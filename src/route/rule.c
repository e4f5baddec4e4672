#include "route/rule.h"

#include "mail/address.h"
#include "route/idna.h"

static const struct str everything = {"*", 1};

void route_table_init(struct route_table *t, uint64_t seed) { map_init(&t->names, seed); }

void route_table_release(struct route_table *t) { map_release(&t->names); }

bool route_table_add(struct route_table *t, struct route_rule *rule)
{
	if (map_find(&t->names, rule->name)) return false;
	return map_insert(&t->names, &rule->node, rule->name);
}

static const struct route_rule *named(const struct route_table *t, struct str name)
{
	struct map_node *node = map_find(&t->names, name);
	return node ? CONTAINER_OF(node, struct route_rule, node) : NULL;
}

/* The domain itself, then what begins at each of its dots; the first found is the longest.  */
static const struct route_rule *longest(const struct route_table *t, struct str domain)
{
	const struct route_rule *rule = named(t, domain);
	for (size_t i = 0; !rule && i < domain.len; i++)
		if (i > 0 && domain.ptr[i] == '.') rule = named(t, str_skip(domain, i));
	return rule;
}

const struct route_rule *route_find(const struct route_table *t, struct str domain)
{
	const struct route_rule *rule = NULL;
	char ascii[IDNA_NAME_MAX];
	if (domain.len && domain.ptr[domain.len - 1] == '.') domain.len--;
	/* Neither a literal nor what is no domain can be named in the table.  */
	if (domain.len && !strchr("[.*", domain.ptr[0])) {
		rule = longest(t, domain);
		/* The operator may have written the name in either form.  */
		if (!rule && !idna_is_ascii(domain) && idna_to_ascii(domain, ascii))
			rule = longest(t, str_from_c(ascii));
	}
	return rule ? rule : named(t, everything);
}

bool route_name_valid(struct str name)
{
	if (str_eq(name, everything)) return true;
	if (name.len && name.ptr[0] == '.') name = str_skip(name, 1);
	return domain_valid(name, true);
}

/* ---- what tells destinations apart ---- */

static void add_lower(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++) buf_add_c(out, ascii_lower(s.ptr[i]));
}

static void add_domain(struct buf *out, struct str domain)
{
	char ascii[IDNA_NAME_MAX];
	bool named = idna_to_ascii(domain, ascii);
	add_lower(out, named ? str_from_c(ascii) : domain);
}

static void add_hosts(struct buf *out, const struct route_rule *rule)
{
	for (uint32_t i = 0; i < rule->host_count; i++) {
		const struct route_host *h = &rule->hosts[i];
		bool colon = str_find(h->host, ':') < h->host.len;
		if (i) buf_add_c(out, ',');
		if (colon) buf_add_c(out, '[');
		add_lower(out, h->host);
		if (colon) buf_add_c(out, ']');
		buf_printf(out, ":%u", h->port);
	}
}

/* Connections are shared, so what they must have agreed upon is part of the name.  */
static void add_terms(struct buf *out, const struct route_rule *rule)
{
	static const char *const tls[] = {
		[ROUTE_TLS_OFF] = "off",
		[ROUTE_TLS_OPPORTUNISTIC] = NULL, /* the rule, not the exception */
		[ROUTE_TLS_REQUIRED] = "required",
		[ROUTE_TLS_VERIFY] = "verify",
		[ROUTE_TLS_DANE] = "dane",
	};
	if (rule->user.len) buf_printf(out, ";user=" STR_FMT, STR_ARG(rule->user));
	if (tls[rule->tls]) buf_printf(out, ";tls=%s", tls[rule->tls]);
}

void route_destination_key(struct buf *out, const struct route_rule *rule, struct str domain)
{
	switch (rule->kind) {
	case ROUTE_MX: add_domain(out, domain); return;
	case ROUTE_SMTP:
		buf_add(out, rule->implicit_tls ? STR("smtps:") : STR("smtp:"));
		add_hosts(out, rule);
		add_terms(out, rule);
		return;
	case ROUTE_LMTP:
		buf_add(out, STR("lmtp:"));
		if (rule->socket.len)
			buf_add(out, rule->socket);
		else
			add_hosts(out, rule);
		add_terms(out, rule);
		return;
	case ROUTE_MAILDIR:
		buf_add(out, STR("local:"));
		add_domain(out, domain);
		return;
	case ROUTE_DISCARD: buf_add(out, STR("discard:")); return;
	case ROUTE_REJECT:
		buf_add(out, STR("reject:"));
		buf_add(out, rule->reject);
		return;
	}
	UNREACHABLE();
}
