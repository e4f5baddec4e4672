/* What accounts may do: `senders`.  */
#include "mail/address.h"
#include "policy/accounts.h"
#include "server/config_schema.h"

static bool is_domain(struct str text)
{
	return text.len > 1 && text.ptr[0] == '@' && domain_valid(str_skip(text, 1), true);
}

static bool is_sender(struct str text)
{
	struct address address;
	return str_eq(text, STR("*")) || is_domain(text) ||
		address_parse(text, true, false, &address);
}

static void read_grant(struct config_reader *r, const struct ucl_value *v, const char *where)
{
	struct sender_grant *grant = config_alloc(r, sizeof *grant);
	struct str *senders = config_alloc(r, config_count(v) * sizeof *senders);
	if (!grant || !senders) return;
	if (!is_domain(v->key) && !account_name_valid(v->key)) {
		config_wrong(r, v, where,
			"\"" STR_FMT
			"\" is no account; alice@example.com, or @example.com for all of them, is wanted",
			STR_ARG(v->key));
		return;
	}
	if (map_find(&r->config->senders.grants, v->key)) {
		config_wrong(r, v, where, "\"" STR_FMT "\" is there already", STR_ARG(v->key));
		return;
	}
	for (const struct ucl_value *t = NULL; (t = config_each_text(r, v, t, where));) {
		if (is_sender(t->text))
			senders[grant->sender_count++] = config_copy(r, t->text, true);
		else
			config_wrong(r, t, where,
				"\"" STR_FMT
				"\" is not an address; sales@example.com, @example.org or \"*\" is wanted",
				STR_ARG(t->text));
	}
	grant->account = config_copy(r, v->key, true);
	grant->senders = senders;
	if (!map_insert(&r->config->senders.grants, &grant->node, grant->account))
		complain(&r->complaints, v->place, "there is no memory for the senders");
}

void config_read_senders(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	(void)field;
	if (v && v->type != UCL_BLOCK)
		config_wrong(r, v, where,
			"a block is wanted, as in senders { \"alice@example.com\" = \"sales@example.com\" }");
	else if (v)
		for (const struct ucl_value *one = v->first; one; one = one->next)
			read_grant(r, one, where);
}
