/* Logging in at a next hop: the keys of a `route` for it.  */
#include "server/config_schema.h"

#include "crypto/sasl_client.h"

const struct config_key config_token_keys[] = {
	{"url", CONFIG_TEXT, offsetof(struct route_token, url), "\"\"",
		.help = "the provider's token endpoint"},
	{"client_id", CONFIG_TEXT, offsetof(struct route_token, client_id), "\"\"",
		.help = "whom the provider knows us as"},
	{"client_secret_file", CONFIG_PATH, offsetof(struct route_token, client_secret_file),
		"\"\"", .help = "file with the secret that goes with it"},
	{"scope", CONFIG_TEXT, offsetof(struct route_token, scope), "\"\"",
		.help = "what the token is to allow"},
	{0},
};

void config_read_token_command(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	const char *const **to = field;
	uint32_t count = config_count(v), used = 0;
	if (!v || count == 0) return;
	const char **argv = config_alloc(r, (count + 1) * sizeof *argv);
	if (!argv) return;
	for (const struct ucl_value *t = NULL; (t = config_each_text(r, v, t, where));)
		argv[used++] = config_copy(r, t->text, false).ptr;
	if (v->type != UCL_LIST || used == 0 || !argv[0] || argv[0][0] != '/')
		config_wrong(r, v, where,
			"a program by its whole path, and its arguments, are wanted, as in [\"/usr/bin/token\", \"--for\", \"me\"]; there is no shell");
	else
		*to = argv;
}

void config_read_auth(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct str *to = field;
	const char *name;
	if (v->type == UCL_TEXT && v->text.len == 0) return;
	for (uint32_t i = 0; v->type == UCL_TEXT && (name = sasl_client_known(i)); i++) {
		if (!str_ieq(v->text, str_from_c(name))) continue;
		*to = str_from_c(name);
		return;
	}
	config_wrong(r, v, where,
		"scram-sha-256-plus, scram-sha-256, scram-sha-1-plus, scram-sha-1, plain, login, oauthbearer or xoauth2 is wanted");
}

void config_check_login(struct config_reader *r, const struct ucl_value *v, const char *where,
	const struct route_rule *rule)
{
	const struct route_token *t = &rule->token;
	bool endpoint = t->url.len || t->client_id.len || t->client_secret_file.len || t->scope.len;
	bool token = endpoint || rule->token_command;
	int ways = (rule->password_file.len > 0) + (rule->token_command != NULL) + endpoint;
	if (rule->user.len && ways == 0)
		config_wrong(r, v, where, "user needs password_file, token_command or token");
	if (!rule->user.len && ways > 0)
		config_wrong(r, v, where, "%s needs user",
			rule->password_file.len       ? "password_file"
				: rule->token_command ? "token_command"
						      : "token");
	if (ways > 1)
		config_wrong(r, v, where,
			"one of password_file, token_command and token is wanted, not several");
	if (endpoint && !(t->url.len && t->client_id.len && t->client_secret_file.len))
		config_wrong(r, v, where, "token needs url, client_id and client_secret_file");
	if (t->url.len && !str_istarts(t->url, STR("https://")))
		config_wrong(r, v, where, "token.url has to begin with https://");
	if (rule->auth.len && ways == 0) config_wrong(r, v, where, "auth needs user");
	if (rule->auth.len && ways == 1 && sasl_client_takes_token(rule->auth) != token)
		config_wrong(r, v, where, "auth = " STR_FMT " needs %s", STR_ARG(rule->auth),
			token ? "password_file, not a token"
			      : "token_command or token, not password_file");
	if (rule->user.len && rule->kind == ROUTE_MX && str_eq(v->key, STR("*")))
		config_wrong(r, v, where,
			"user needs hosts to log in at, as in to = smtp:HOST:PORT; not every exchanger is to be told a password");
	if (rule->implicit_tls && rule->tls == ROUTE_TLS_OFF)
		config_wrong(r, v, where, "tls = off does not go with smtps:, which is TLS");
}
