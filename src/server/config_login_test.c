#include "server/config_play_test.h"

static void wrong_logins(void **state)
{
	(void)state;
	bad("route a.example { user = a }\n",
		"@:1: route \"a.example\": user needs password_file, token_command or token\n");
	bad("route a.example { password_file = a }\n",
		"@:1: route \"a.example\": password_file needs user\n");
	bad("route a.example { token_command = [/a] }\n",
		"@:1: route \"a.example\": token_command needs user\n");
	bad("route a.example { auth = plain }\n", "@:1: route \"a.example\": auth needs user\n");
	bad("route a.example { user = a, password_file = b, token_command = [/a] }\n",
		"@:1: route \"a.example\": one of password_file, token_command and token is wanted, not several\n");
	static const char *const commands[] = {"a", "/a", "[a]", "[\"\"]"};
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		char text[300];
		snprintf(text, sizeof text,
			"route a.example { password_file = p, user = a, token_command = %s }\n",
			commands[i]);
		bad(text,
			"@:1: route \"a.example\".token_command: a program by its whole path, and its arguments, are "
			"wanted, as in [\"/usr/bin/token\", \"--for\", \"me\"]; there is no shell\n");
	}
	bad("route a.example { user = a, password_file = b, auth = cram-md5 }\n",
		"@:1: route \"a.example\".auth: scram-sha-256-plus, scram-sha-256, scram-sha-1-plus, scram-sha-1, "
		"plain, login, oauthbearer or xoauth2 is wanted\n");
	bad("route a.example { user = a, password_file = b, auth = xoauth2 }\n",
		"@:1: route \"a.example\": auth = XOAUTH2 needs token_command or token, not password_file\n");
	bad("route a.example { user = a, token_command = [/a], auth = plain }\n",
		"@:1: route \"a.example\": auth = PLAIN needs password_file, not a token\n");
	bad("route a.example { user = a, token { url = \"https://a.example/\" } }\n",
		"@:1: route \"a.example\": token needs url, client_id and client_secret_file\n");
	bad("route a.example { user = a, token { url = \"http://a.example/\", client_id = c, client_secret_file = f } }\n",
		"@:1: route \"a.example\": token.url has to begin with https://\n");
	bad("route * { user = a, password_file = b }\n",
		"@:1: route \"*\": user needs hosts to log in at, as in to = smtp:HOST:PORT; not every "
		"exchanger is to be told a password\n");
	bad("route a.example { to = smtps:b.example, tls = off }\n",
		"@:1: route \"a.example\": tls = off does not go with smtps:, which is TLS\n");
	bad("route a.example { user = a, token { uri = b } }\n",
		"@:1: unknown key \"route \"a.example\".token.uri\"; did you mean \"url\"?\n"
		"@:1: route \"a.example\": user needs password_file, token_command or token\n");
}

static const struct route_rule *rule_of(const struct config *c, const char *domain)
{
	return route_find(&c->routes, str_from_c(domain));
}

static void logins(void **state)
{
	(void)state;
	struct fixture f;
	const struct config *c = good(&f,
		"route a.example { user = me, token_command = [/usr/bin/token, --for, \"a b\"], auth = XOAuth2 }\n"
		"route b.example { user = me, token { url = \"https://login.example/token\", client_id = us\n"
		"  client_secret_file = secret, scope = \"mail.send offline\" } }\n"
		"route c.example { to = [smtps:d.example, \"smtps:d.example:1465\"] }\n");
	const struct route_rule *r = rule_of(c, "a.example");
	assert_string_equal(r->token_command[0], "/usr/bin/token");
	assert_string_equal(r->token_command[2], "a b");
	assert_null(r->token_command[3]);
	assert_str(r->auth, "XOAUTH2");
	r = rule_of(c, "b.example");
	assert_null(r->token_command);
	assert_int_equal(r->auth.len, 0);
	assert_str(r->token.url, "https://login.example/token");
	assert_str(r->token.client_id, "us");
	assert_str(r->token.client_secret_file, "/var/lib/rockdove/secret");
	assert_str(r->token.scope, "mail.send offline");
	r = rule_of(c, "c.example");
	assert_true(r->implicit_tls);
	assert_int_equal(r->kind, ROUTE_SMTP);
	assert_int_equal(r->hosts[0].port, 465);
	assert_int_equal(r->hosts[1].port, 1465);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(wrong_logins),
		cmocka_unit_test(logins),
	};
	return cmocka_run_group_tests(all, make_directory, remove_directory);
}
