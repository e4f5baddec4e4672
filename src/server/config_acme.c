/* `acme`: a certificate from an authority.  */
#include "mail/address.h"
#include "server/config_schema.h"

enum { NAMES_MAX = 100 };

static const struct config_choice challenge_choices[] = {
	{"http-01", ACME_HTTP}, {"tls-alpn-01", ACME_TLS_ALPN}, {0}};

static void read_directory(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	if (v->type != UCL_TEXT || !str_starts(v->text, STR("https://")))
		config_wrong(r, v, where, "the https:// address of an ACME directory is wanted");
	else
		*(struct str *)field = config_copy(r, v->text, false);
}

static void read_email(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct address a;
	if (v->type == UCL_TEXT && (!v->text.len || address_parse(v->text, false, false, &a)))
		*(struct str *)field = config_copy(r, v->text, false);
	else
		config_wrong(r, v, where, "a mail address is wanted, or \"\" for none");
}

static void read_names(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct config *c = r->config;
	struct str *names = config_alloc(r, (config_count(v) + 1) * sizeof *names);
	if (!names) return;
	*(const struct str **)field = names;
	for (const struct ucl_value *t = NULL; (t = config_each_text(r, v, t, where));) {
		if (!domain_valid(t->text, false))
			config_wrong(r, t, where,
				"\"" STR_FMT "\" is not a host name such as \"mail.example.com\"",
				STR_ARG(t->text));
		else if (c->acme.name_count == NAMES_MAX)
			config_wrong(r, t, where, "there are more than %d names", NAMES_MAX);
		else
			names[c->acme.name_count++] = config_copy(r, t->text, true);
	}
	if (c->acme.name_count == 0) names[c->acme.name_count++] = c->hostname;
}

static void read_bind(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	(void)field;
	uint16_t port = r->config->acme.method == ACME_TLS_ALPN ? 443 : 80;
	(void)config_read_binds(
		r, v, where, port, &r->config->acme.binds, &r->config->acme.bind_count);
}

/* challenge comes before bind, whose default port follows from it.  */
const struct config_key config_acme_keys[] = {
	{"agree", CONFIG_BOOL, offsetof(struct config, acme.agree), "false",
		.help = "you agree to the authority's terms; without it nothing is asked for"},
	{"directory", CONFIG_OTHER, offsetof(struct config, acme.directory),
		"\"https://acme-v02.api.letsencrypt.org/directory\"", .read = read_directory,
		.help = "the authority"},
	{"email", CONFIG_OTHER, offsetof(struct config, acme.email), "\"\"", .read = read_email,
		.help = "where the authority may reach you"},
	{"names", CONFIG_OTHER, offsetof(struct config, acme.names), "[]", .read = read_names,
		.help = "names in the certificate; none: the hostname"},
	{"challenge", CONFIG_CHOICE, offsetof(struct config, acme.method), "http-01",
		.choices = challenge_choices, .help = "how the names are proved"},
	{"bind", CONFIG_OTHER, offsetof(struct config, acme.binds), "[\"0.0.0.0\", \"[::]\"]",
		.read = read_bind,
		.help = "where the proof is shown; port 80, or 443 for tls-alpn-01"},
	{"ca_file", CONFIG_PATH, offsetof(struct config, acme.ca_file), "\"\"",
		.help = "authorities to trust when speaking to the directory; none: the system's"},
	{0},
};

/* The files of `tls` are somebody's: what is obtained here stands beside them.  */
void config_check_acme(struct config_reader *r, const struct ucl_value *root)
{
	struct config *c = r->config;
	if (!c->acme.agree) return;
	const struct ucl_value *tls = ucl_find(root, STR("tls"));
	const struct ucl_value *given = ucl_find(tls, STR("certificate"));
	if (!given) given = ucl_find(tls, STR("key"));
	if (given)
		config_wrong(r, given, "tls",
			"with acme { agree = true } the certificate comes from the authority; remove one of the two");
	c->tls_certificate = config_path(r, STR("acme/cert.pem"));
	c->tls_key = config_path(r, STR("acme/key.pem"));
}
