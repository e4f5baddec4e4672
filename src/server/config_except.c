/* `tls_except` blocks: domains that less TLS will do for, until a day.  */
#include "server/config_schema.h"

static void read_until(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct tls_exception *e = CONTAINER_OF(field, struct tls_exception, end);
	if (v && v->type == UCL_TEXT && tls_exception_day(v->text, &e->end))
		e->day = config_copy(r, v->text, false);
	else if (v)
		config_wrong(r, v, where, "a day such as \"2027-01-31\" is wanted");
}

const struct config_key config_except_keys[] = {
	{"until", CONFIG_OTHER, offsetof(struct tls_exception, end), .read = read_until,
		.help = "the last day of the exception"},
	{0},
};

static bool read_name(struct config_reader *r, struct str name, struct str *ret)
{
	return route_name_valid(name) && !str_eq(name, STR("*")) && config_domain(r, name, ret);
}

static void read_one(struct config_reader *r, const struct ucl_value *v, struct tls_exception *list)
{
	char where[300];
	struct tls_exceptions *all = &r->config->tls_exceptions;
	struct tls_exception *e = &list[all->count];
	snprintf(where, sizeof where, "tls_except \"%.*s\".", (int)str_head(v->key, 256).len,
		v->key.ptr);
	if (v->type != UCL_BLOCK || !read_name(r, v->key, &e->domain)) {
		complain(&r->complaints, v->place,
			"tls_except: \"" STR_FMT
			"\" will not do; it is tls_except \"example.net\" { until = \"2027-01-31\" }, or "
			"\".example.net\" for its subdomains",
			STR_ARG(v->key));
		return;
	}
	config_read_keys(r, config_except_keys, v, where, e);
	where[strlen(where) - 1] = 0;
	if (!ucl_find(v, STR("until")))
		config_wrong(r, v, where, "it needs a last day, such as until = \"2027-01-31\"");
	for (uint32_t i = 0; i < all->count; i++)
		if (str_eq(list[i].domain, e->domain))
			config_wrong(r, v, where, "this domain has an exception already");
	all->count++;
}

void config_read_exceptions(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct tls_exceptions *all = field;
	uint32_t count = 0;
	if (!v) return;
	if (v->type != UCL_BLOCK) {
		config_wrong(r, v, where,
			"a name and a block are wanted, as in tls_except \"example.net\" { until = \"2027-01-31\" }");
		return;
	}
	for (const struct ucl_value *one = v->first; one; one = one->next) count++;
	struct tls_exception *list = config_alloc(r, count * sizeof *list);
	if (!list) return;
	all->list = list;
	for (const struct ucl_value *one = v->first; one; one = one->next) read_one(r, one, list);
}
