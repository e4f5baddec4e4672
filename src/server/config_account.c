/* What accounts may do: `senders` and `account`.  */
#include "mail/address.h"
#include "policy/accounts.h"
#include "server/config_schema.h"
#include "server/units.h"

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

static void read_rate(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct usage_rate *rate = field;
	if (v->type != UCL_TEXT || !units_rate(v->text, &rate->count, &rate->per))
		config_wrong(r, v, where,
			"so many per time are wanted, such as \"100/h\" or \"1000/d\"; \"0\" is no limit");
}

static void read_exempt(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct usage_options *options = CONTAINER_OF(field, struct usage_options, exempt);
	struct str *exempt = config_alloc(r, config_count(v) * sizeof *exempt);
	if (!exempt) return;
	options->exempt = exempt;
	for (const struct ucl_value *t = NULL; (t = config_each_text(r, v, t, where));) {
		if (is_domain(t->text) || account_name_valid(t->text))
			exempt[options->exempt_count++] = config_copy(r, t->text, true);
		else
			config_wrong(r, t, where,
				"\"" STR_FMT
				"\" is no account; alice@example.com, or @example.com for all of them, is wanted",
				STR_ARG(t->text));
	}
}

const struct config_key config_account_keys[] = {
	{"rate", CONFIG_OTHER, offsetof(struct usage_options, messages), "\"500/h\"",
		.read = read_rate, .help = "messages"},
	{"recipients", CONFIG_OTHER, offsetof(struct usage_options, recipients), "\"5000/d\"",
		.read = read_rate, .help = "recipients"},
	{"surge", CONFIG_COUNT, offsetof(struct usage_options, surge), "10", 0, 1000000,
		.help = "so many times its usual mail of a day holds an account; 0 is never"},
	{"surge_recipients", CONFIG_COUNT, offsetof(struct usage_options, surge_recipients), "500",
		1, 1000000000, .help = "but not this many recipients"},
	{"surge_failures", CONFIG_COUNT, offsetof(struct usage_options, surge_failures), "100", 1,
		1000000000, .help = "nor this many that fail"},
	{"exempt", CONFIG_OTHER, offsetof(struct usage_options, exempt), "[]", .read = read_exempt,
		.help = "accounts without limits"},
	{0},
};
