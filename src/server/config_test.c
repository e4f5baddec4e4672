#include "server/config_play_test.h"

#include "io/file.h"
#include "server/config_schema.h"

static void assert_bind(const struct net_address *a, const char *wanted)
{
	struct buf text;
	buf_init(&text, 128);
	net_add_port(&text, a);
	assert_str(buf_str(&text), wanted);
	buf_release(&text);
}

static const struct local_domain *domain_of(const struct config *c, const char *name)
{
	return domain_find(&c->domains, str_from_c(name));
}

/* ---- defaults ---- */

static void check_defaults(const struct config *c)
{
	assert_str(c->hostname, "mail.example.com");
	assert_str(c->state, "/var/lib/rockdove");
	assert_str(c->control, "/var/lib/rockdove/control.sock");
	assert_int_equal(c->listener_count, 1);
	const struct listener_options *l = &c->listeners[0];
	assert_str(l->name, "mx");
	assert_int_equal(l->bind_count, 2);
	assert_bind(&l->binds[0], "0.0.0.0:25");
	assert_bind(&l->binds[1], "[::]:25");
	assert_false(l->submission || l->normalize || l->data_end.len || l->words.banner.len ||
		l->words.quit.len);
	assert_int_equal(l->tls, LISTENER_TLS_STARTTLS);
	assert_str(c->tls_certificate, "/var/lib/rockdove/tls/cert.pem");
	assert_str(c->tls_key, "/var/lib/rockdove/tls/key.pem");
	assert_int_equal(c->relay_from.count, 2);
	assert_int_equal(c->relay_from.ranges[0].bits, 8);
	assert_int_equal(c->relay_from.ranges[1].bits, 128);

	static const msec retry[] = {
		MINUTES(1), MINUTES(5), MINUTES(15), MINUTES(30), HOURS(1), HOURS(2), HOURS(4)};
	assert_int_equal(c->queue.retry_count, ARRAY_LEN(retry));
	assert_memory_equal(c->queue.retry, retry, sizeof retry);
	assert_int_equal(c->queue.lifetime, DAYS(5));
	assert_int_equal(c->queue.delay_notice, HOURS(4));
	assert_int_equal(c->queue.return_breaker, 100);
	assert_str(c->queue.hostname, "mail.example.com");

	assert_int_equal(c->limits.message, 52428800);
	assert_int_equal(c->limits.recipients, 1000);
	assert_int_equal(c->limits.connections, 20000);
	assert_int_equal(c->limits.connections_per_client, 100);
	assert_int_equal(c->limits.errors, 20);
	assert_int_equal(c->limits.timeout, MINUTES(5));
	assert_int_equal(c->limits.memory, 1 << 30);
	assert_int_equal(c->limits.disk_free, 100 << 20);
	assert_int_equal(c->dns.server_count, 0);
	assert_int_equal(c->dns.trust_anchor.len, 0);
	assert_int_equal(c->dns.validate, DNS_VALIDATE_SELF);
	assert_int_equal(c->history.keep, DAYS(7));
	assert_int_equal(c->history.size, 1 << 30);
	assert_int_equal(c->user.len, 0);
	assert_true(c->sandbox);
	assert_str(c->http.bind, "127.0.0.1:8025");
	assert_int_equal(c->http.token_file.len, 0);
	assert_int_equal(c->log.format, LOG_TEXT);
	assert_int_equal(c->log.level, LOG_INFO);
}

static void check_default_routes(const struct config *c)
{
	const struct local_domain *d = domain_of(c, "mail.example.COM");
	assert_non_null(d);
	assert_true(d->everyone && !d->accounts);
	assert_str(d->separator, "+");
	assert_int_equal(c->domains.names.len, 1);
	assert_int_equal(c->routes.names.len, 2);

	const struct route_rule *local = route_find(&c->routes, STR("mail.example.com"));
	assert_true(local->local);
	assert_int_equal(local->kind, ROUTE_MAILDIR);
	assert_str(local->maildir, "/var/lib/rockdove/mail/%{domain}/%{user}");

	const struct route_rule *rest = route_find(&c->routes, STR("example.org"));
	assert_str(rest->name, "*");
	assert_int_equal(rest->kind, ROUTE_MX);
	assert_false(rest->local || rest->latency || rest->allow_loopback);
	assert_int_equal(rest->port, 25);
	assert_int_equal(rest->tls, ROUTE_TLS_OPPORTUNISTIC);
	assert_int_equal(rest->connections, 20);
	assert_int_equal(rest->rate.messages, 0);
	assert_int_equal(rest->user.len + rest->password_file.len, 0);
	assert_int_equal(rest->timeout, 0);
}

static void defaults(void **state)
{
	(void)state;
	struct fixture f;
	read_path(&f, STR_NONE);
	assert_non_null(f.c);
	assert_int_equal(f.c->file.len, 0);
	check_defaults(f.c);
	check_default_routes(f.c);
	end(&f);

	good(&f, "# nothing\n");
	check_defaults(f.c);
	check_default_routes(f.c);
	assert_str(f.c->file, path);
	end(&f);
}

static void sample(void **state)
{
	(void)state;
	struct fixture f;
	read_path(&f, STR(SOURCE_ROOT "/conf/rockdove.conf"));
	assert_str(buf_str(&f.said), "");
	assert_non_null(f.c);
	check_defaults(f.c);
	check_default_routes(f.c);
	end(&f);
}

static void has_keys(const struct ucl_value *block, const struct config_key *keys)
{
	for (const struct config_key *k = keys; k->key; k++) {
		const struct ucl_value *v = ucl_find(block, str_from_c(k->key));
		bool no_default = keys == config_keys &&
			(!strcmp(k->key, "hostname") || !strcmp(k->key, "domain") ||
				!strcmp(k->key, "tls_except") || !strcmp(k->key, "certificate"));
		if (!v && !no_default) fail_msg("the sample lacks \"%s\"", k->key);
		if (v && k->type == CONFIG_BLOCK) has_keys(v, k->keys);
		assert_non_null(k->help);
	}
}

/* Every key stands in the sample, and what is commented out in it is right, too.  */
static void sample_has_all(void **state)
{
	(void)state;
	struct fixture f;
	struct buf text, whole;
	struct io *io = io_new();
	buf_init(&text, 1 << 20), buf_init(&whole, 1 << 20);
	assert_int_equal(io_file_load(io, SOURCE_ROOT "/conf/rockdove.conf", &text), 0);

	struct arena arena;
	struct complaints complaints;
	arena_init(&arena, 1 << 20);
	complaints_init(&complaints, &arena);
	const struct ucl_value *root = ucl_parse(io, &arena, "sample", buf_str(&text), &complaints);
	has_keys(root, config_keys);
	has_keys(ucl_find(ucl_find(root, STR("listen")), STR("mx")), config_listen_keys);
	has_keys(ucl_find(ucl_find(root, STR("route")), STR("*")), config_route_keys);
	arena_release(&arena);

	for (struct str rest = buf_str(&text), line; rest.len;) {
		str_cut(&rest, '\n', &line);
		bool example = line.len > 1 && line.ptr[0] == '#' && line.ptr[1] != ' ';
		buf_add(&whole, example ? str_skip(line, 1) : line);
		buf_add_c(&whole, '\n');
	}
	buf_add_c(&whole, 0);
	const struct config *c = good(&f, whole.ptr);
	assert_int_equal(c->listener_count, 3);
	assert_bind(&c->listeners[2].binds[0], "0.0.0.0:465");
	assert_true(c->listeners[1].submission);
	const struct local_domain *d = domain_of(c, "example.com");
	assert_non_null(d);
	assert_int_equal(d->users.len, 2);
	assert_int_equal(d->aliases.len, 2);
	assert_int_equal(c->tls_exceptions.count, 1);
	assert_str(c->tls_exceptions.list[0].day, "2027-01-31");
	assert_non_null(map_find(&c->senders.grants, STR("alice@example.com")));
	end(&f);
	buf_release(&text), buf_release(&whole);
	io_free(io);
}

/* ---- what is read ---- */

static void scalars(void **state)
{
	(void)state;
	struct fixture f;
	const struct config *c = good(&f,
		"control = /run/x.sock\nhostname = MX.example.net\nstate = /srv/mail/\n"
		"tls { certificate = /etc/cert.pem, key = k.pem }\n"
		"relay_from = 10.0.0.0/8\n"
		"queue { retry = 5s, lifetime = 1h30m, delay_notice = 0, return_breaker = 0 }\n"
		"limits { message = 1G, recipients = 100, timeout = 350ms, disk_free = 0 }\n"
		"dns { servers = [\"127.0.0.1:5353\", \"::1\"], trust_anchor = anchor.key, validate = resolver }\n"
		"http { bind = \"\" }\nlog { format = JSON, level = debug }\nhistory { keep = 0, size = 4k }\n");
	assert_str(c->hostname, "mx.example.net");
	assert_str(c->state, "/srv/mail");
	assert_str(c->control, "/run/x.sock");
	assert_str(c->tls_certificate, "/etc/cert.pem");
	assert_str(c->tls_key, "/srv/mail/k.pem");
	assert_int_equal(c->relay_from.count, 1);
	assert_int_equal(c->queue.retry_count, 1);
	assert_int_equal(c->queue.retry[0], 5000);
	assert_int_equal(c->queue.lifetime, 5400000);
	assert_int_equal(c->queue.delay_notice + c->queue.return_breaker, 0);
	assert_int_equal(c->limits.message, 1 << 30);
	assert_int_equal(c->limits.timeout, 350);
	assert_int_equal(c->dns.server_count, 2);
	assert_bind(&c->dns.servers[0], "127.0.0.1:5353");
	assert_bind(&c->dns.servers[1], "[::1]:53");
	assert_str(c->dns.trust_anchor, "/srv/mail/anchor.key");
	assert_int_equal(c->dns.validate, DNS_VALIDATE_RESOLVER);
	assert_int_equal(c->http.bind.len, 0);
	assert_int_equal(c->log.format, LOG_JSON);
	assert_int_equal(c->history.size, 4096);
	end(&f);

	/* A relative state lies beside the file.  */
	char wanted[96];
	c = good(&f, "state = here\n");
	snprintf(wanted, sizeof wanted, "%s/here", directory);
	assert_str(c->state, wanted);
	end(&f);
}

static void listeners(void **state)
{
	(void)state;
	struct fixture f;
	const struct config *c = good(&f,
		"listen class { bind = [\"127.0.0.1:2525\", \"[::1]:2525\"], data_end = \"end of email\"\n"
		"  bare_newline = normalize, tls = off, replies { helo = \"Hello %{helo}\", quit = Ciao } }\n"
		"listen s { role = submission, tls = required, bind = *:2526 }\n"
		"listen t { role = submission, tls = implicit, bind = 192.0.2.1 }\n"
		"listen u { role = submission, bind = [\"192.0.2.1\", \"[2001:db8::1]\"] }\n");
	assert_int_equal(c->listener_count, 4);
	const struct listener_options *l = c->listeners;
	assert_str(l[0].name, "class");
	assert_str(l[0].data_end, "end of email");
	assert_str(l[0].words.helo, "Hello %{helo}");
	assert_str(l[0].words.quit, "Ciao");
	assert_true(l[0].normalize);
	assert_int_equal(l[0].tls, LISTENER_TLS_OFF);
	assert_int_equal(l[1].bind_count, 2);
	assert_bind(&l[1].binds[0], "0.0.0.0:2526");
	assert_bind(&l[1].binds[1], "[::]:2526");
	assert_int_equal(l[1].tls, LISTENER_TLS_REQUIRED);
	assert_bind(&l[2].binds[0], "192.0.2.1:465");
	assert_bind(&l[3].binds[0], "192.0.2.1:587");
	assert_bind(&l[3].binds[1], "[2001:db8::1]:587");
	end(&f);
}

static void listen_arguments(void **state)
{
	(void)state;
	struct fixture f;
	struct config *c = good(&f, "listen x { bind = 192.0.2.1, data_end = \"\" }\n");
	const struct str fine[] = {
		STR("127.0.0.1:2525"), STR("::1"), STR("*:26"), STR("localhost:27")};
	assert_true(config_listen(c, fine, ARRAY_LEN(fine), &f.said));
	assert_int_equal(c->listener_count, 1);
	assert_str(c->listeners[0].name, "mx");
	assert_true(c->listeners[0].bind_count >= 5);
	assert_bind(&c->listeners[0].binds[0], "127.0.0.1:2525");
	assert_bind(&c->listeners[0].binds[1], "[::1]:25");
	assert_bind(&c->listeners[0].binds[3], "[::]:26");
	assert_int_equal(c->listeners[0].binds[4].port, 27);

	const struct str wrong[] = {STR("2525"), STR("no.such.host.invalid"), STR("a:b")};
	assert_false(config_listen(c, wrong, ARRAY_LEN(wrong), &f.said));
	assert_str(buf_str(&f.said),
		"\"2525\": a number alone is no address; a port is written 127.0.0.1:2525 or *:2525\n"
		"\"no.such.host.invalid\": no address is known for this name\n"
		"\"a:b\": an address such as 127.0.0.1:2525, [::1]:25 or a host's name is wanted\n");
	assert_bind(&c->listeners[0].binds[0], "127.0.0.1:2525");
	end(&f);
}

static const struct route_rule *rule_of(const struct config *c, const char *domain)
{
	return route_find(&c->routes, str_from_c(domain));
}

static void routes(void **state)
{
	(void)state;
	struct fixture f;
	const struct config *c = good(&f,
		"route \"*\" { to = smtp:relay.example:587, mx = latency, port = 26, tls = dane, connections = 3, rate = 100/m\n"
		"  user = me, password_file = secret, allow_loopback = yes, timeout = 10s }\n"
		"route .Example.NET { to = [smtp:A.example, \"smtp:[2001:db8::1]:2525\", smtp:192.0.2.1:25] }\n"
		"route example.net { to = lmtp:/run/lmtp }\n"
		"route d.example { to = \"discard:\" }\n"
		"route r.example { to = reject: gone away }\n"
		"route l.example { to = lmtp:127.0.0.1:2400 }\n"
		"route m.example { to = [mx] }\n");
	const struct route_rule *r = rule_of(c, "x.example");
	assert_int_equal(r->kind, ROUTE_SMTP);
	assert_int_equal(r->host_count, 1);
	assert_str(r->hosts[0].host, "relay.example");
	assert_int_equal(r->hosts[0].port, 587);
	assert_true(r->latency && r->allow_loopback);
	assert_int_equal(r->port, 26);
	assert_int_equal(r->tls, ROUTE_TLS_DANE);
	assert_int_equal(r->connections, 3);
	assert_int_equal(r->rate.messages, 100);
	assert_int_equal(r->rate.per, 60000);
	assert_str(r->user, "me");
	assert_str(r->password_file, "/var/lib/rockdove/secret");
	assert_int_equal(r->timeout, 10000);

	r = rule_of(c, "a.example.net");
	assert_int_equal(r->host_count, 3);
	assert_str(r->hosts[0].host, "a.example");
	assert_int_equal(r->hosts[0].port, 25);
	assert_str(r->hosts[1].host, "2001:db8::1");
	assert_int_equal(r->hosts[1].port, 2525);
	assert_int_equal(rule_of(c, "Example.net")->kind, ROUTE_LMTP);
	assert_str(rule_of(c, "example.net")->socket, "/run/lmtp");
	assert_int_equal(rule_of(c, "d.example")->kind, ROUTE_DISCARD);
	assert_int_equal(rule_of(c, "r.example")->kind, ROUTE_REJECT);
	assert_str(rule_of(c, "r.example")->reject, "gone away");
	assert_int_equal(rule_of(c, "l.example")->kind, ROUTE_LMTP);
	assert_int_equal(rule_of(c, "l.example")->hosts[0].port, 2400);
	assert_int_equal(rule_of(c, "m.example")->kind, ROUTE_MX);
	end(&f);
}

static void domains(void **state)
{
	(void)state;
	struct fixture f;
	const struct config *c = good(&f,
		"state = /s\n"
		"domain Example.com { users = [Alice, bob@example.com], separator = -\n"
		"  aliases { postmaster = alice, \"Sales\" = [alice, carol@example.org], \"*\" = bob } }\n"
		"domain \"a.example\" { deliver = \"lmtp:/run/lmtp\", users = \"*\", separator = \"\" }\n"
		"domain b.example { deliver = smtp:127.0.0.1:2525 }\n"
		"domain c.example { deliver = maildir:/m/%{user} }\n"
		"domain d.example { deliver = discard: }\n");
	const struct local_domain *d = domain_of(c, "EXAMPLE.com");
	assert_str(d->name, "example.com");
	assert_false(d->everyone || d->accounts);
	assert_non_null(map_find(&d->users, STR("ALICE")));
	assert_non_null(map_find(&d->users, STR("bob")));
	assert_str(d->separator, "-");
	const struct map_node *n = map_find(&d->aliases, STR("sales"));
	assert_non_null(n);
	const struct alias *alias = CONTAINER_OF(n, struct alias, node);
	assert_int_equal(alias->target_count, 2);
	assert_str(alias->targets[0], "alice@example.com");
	assert_str(alias->targets[1], "carol@example.org");
	assert_non_null(map_find(&d->aliases, STR("*")));

	assert_true(domain_of(c, "a.example")->everyone);
	assert_int_equal(domain_of(c, "a.example")->separator.len, 0);
	assert_str(rule_of(c, "a.example")->socket, "/run/lmtp");
	assert_true(domain_of(c, "b.example")->accounts);
	assert_int_equal(rule_of(c, "b.example")->kind, ROUTE_SMTP);
	assert_true(rule_of(c, "b.example")->local);
	assert_str(rule_of(c, "c.example")->maildir, "/m/%{user}");
	assert_str(rule_of(c, "example.com")->maildir, "/s/mail/%{domain}/%{user}");
	assert_int_equal(rule_of(c, "d.example")->kind, ROUTE_DISCARD);
	/* With a block, the machine's name is no local domain by itself.  */
	assert_null(domain_of(c, "mail.example.com"));
	assert_null(c->domains.account);
	end(&f);
}

/* ---- what is refused ---- */

static void unknown_keys(void **state)
{
	(void)state;
	bad("hostnme = a.example\n", "@:1: unknown key \"hostnme\"; did you mean \"hostname\"?\n");
	bad("limits {\n recipents = 100\n}\n",
		"@:2: unknown key \"limits.recipents\"; did you mean \"recipients\"?\n");
	bad("log { colour = 1 }\n", "@:1: unknown key \"log.colour\"; known here: format, level\n");
	bad("listen a { bnd = x }\n",
		"@:1: unknown key \"listen a.bnd\"; did you mean \"bind\"?\n");
	bad("listen a { replies { heelo = x } }\n",
		"@:1: unknown key \"listen a.replies.heelo\"; did you mean \"helo\"?\n");
	bad("\ndomain a.example { user = x }\n",
		"@:2: unknown key \"domain \"a.example\".user\"; did you mean \"users\"?\n");
	bad("route a.example {\nrates = x }\n",
		"@:2: unknown key \"route \"a.example\".rates\"; did you mean \"rate\"?\n");
}

static void wrong_types(void **state)
{
	(void)state;
	bad("queue { lifetime = soon }\n",
		"@:1: queue.lifetime: \"soon\" will not do; a time such as 30s, 5m, 2h or 5d is "
		"wanted (after so long in the queue a message is returned)\n");
	bad("limits { message = big }\n",
		"@:1: limits.message: \"big\" will not do; a size such as 4096, 10k, 50M or 1G is "
		"wanted (octets of one message)\n");
	bad("limits { errors = 1.5 }\n",
		"@:1: limits.errors: \"1.5\" will not do; a whole number is wanted (bad commands in "
		"one session before 421)\n");
	bad("limits { errors = [1] }\n",
		"@:1: limits.errors: a list will not do; a whole number is wanted (bad commands in "
		"one session before 421)\n");
	bad("queue = 5\n",
		"@:1: queue: \"5\" will not do; a block { ... } is wanted (retries and returns)\n");
	bad("log { level = loud }\n",
		"@:1: log.level: \"loud\" will not do; it is one of debug, info, warn or error (the "
		"least that is logged)\n");
	bad("log { level = [info] }\n",
		"@:1: log.level: \"a list or block\" will not do; it is one of debug, info, warn or "
		"error (the least that is logged)\n");
	bad("route \"*\" { allow_loopback = maybe }\n",
		"@:1: route \"*\".allow_loopback: \"maybe\" will not do; true or false "
		"is wanted (whether an exchanger may be on this machine)\n");
	bad("tls { key = { a = 1 } }\n",
		"@:1: tls.key: a block will not do; the path of a file is wanted (its private key, PEM)\n");
	bad("relay_from = [{a = 1}]\n",
		"@:1: relay_from: a text, or a list of texts, is wanted here\n");
}

static void ranges(void **state)
{
	(void)state;
	bad("limits { recipients = 50 }\n",
		"@:1: limits.recipients: 50 is out of range; it must be at least 100 and at most "
		"65535 (recipients of one message; RFC 5321 wants 100 at least)\n");
	bad("limits { message = 1k }\n",
		"@:1: limits.message: 1k is out of range; it must be at least 64k and at most 1T "
		"(octets of one message)\n");
	bad("route \"*\" { port = 65536 }\n",
		"@:1: route \"*\".port: 65536 is out of range; it must be at least 1 and at most 65535 (of the exchangers)\n");
	bad("queue { retry = [1m, 10ms, x, 31d] }\n",
		"@:1: queue.retry: 10ms is out of range; each is 1s to 30d\n"
		"@:1: queue.retry: \"x\" is not a time such as 1m or 2h\n"
		"@:1: queue.retry: 31d is out of range; each is 1s to 30d\n");
	bad("queue { retry = [] }\n",
		"@:1: queue.retry: a list of times such as [\"1m\", \"5m\", \"1h\"] is wanted\n");
	bad("queue { retry = [1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s] }\n",
		"@:1: queue.retry: there are more than 16 times\n");
}

static void wrong_values(void **state)
{
	(void)state;
	bad("hostname = \"not a name\"\n",
		"@:1: hostname: \"not a name\" is not a host name; one such as "
		"\"mail.example.com\" is wanted\n");
	bad("state = \"\"\n", "@:1: state: the path of a directory is wanted\n");
	bad("relay_from = [10.0.0.0/33, x]\n",
		"@:1: relay_from: \"10.0.0.0/33\" is not a network such as 192.0.2.0/24 or ::1\n"
		"@:1: relay_from: \"x\" is not a network such as 192.0.2.0/24 or ::1\n");
	bad("dns { servers = ns.example }\n",
		"@:1: dns.servers: \"ns.example\" is not an address such as 192.0.2.53 or 127.0.0.1:5353\n");
	bad("http { bind = \"0.0.0.0:80\" }\n",
		"@:1: http.bind: an address that is not loopback needs http.token_file\n");
	bad("http { bind = \"a:b\" }\n",
		"@:1: http.bind: an address such as \"127.0.0.1:8025\" is wanted, or \"\" for none\n");
	bad("control = /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaa\n",
		"@:1: control: \"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaa\" is too long for a local socket; at most 107 octets\n");
}

static void wrong_listeners(void **state)
{
	(void)state;
	bad("listen a {\n bind = [127.0.0.1, 192.0.2.1]\n data_end = end\n}\n",
		"@:3: listen a: data_end is refused on a listener that is not bound to loopback alone (127.0.0.1, ::1): a mail "
		"could be cut in two; replies { data = ... } only changes words\n");
	bad("listen a { data_end = end, bind = \"*:25\" }\n",
		"@:1: listen a: data_end is refused on a listener that is not bound to loopback alone (127.0.0.1, ::1): a mail "
		"could be cut in two; replies { data = ... } only changes words\n");
	bad("listen a { replies { helo = \"hi %{name}\" } }\n",
		"@:1: listen a.replies.helo: a text is wanted, in which only %{helo}, %{id} and %{hostname} are put in\n");
	bad("listen a { bind = [] }\n", "@:1: listen a.bind: at least one address is wanted\n");
	bad("listen a { bind = no.such.host.invalid }\n",
		"@:1: listen a.bind: \"no.such.host.invalid\": no address is known for this name\n");
	bad("listen a { bind = 192.0.2.1:1 }\nlisten b { bind = [192.0.2.1:2, 192.0.2.1:1] }\n",
		"@:2: listen b: 192.0.2.1:1 is taken by listen a already\n");
	bad("listen { bind = x }\n",
		"@:1: listen: a name and a block are wanted, as in listen mx { bind = \"*:25\" }\n");
	bad("listen = 25\n",
		"@:1: listen: a name and a block are wanted, as in listen mx { bind = \"*:25\" }\n");
	bad("listen a { role = relay }\n",
		"@:1: listen a.role: \"relay\" will not do; it is one of mx or submission (whom it serves)\n");
}

static void wrong_routes(void **state)
{
	(void)state;
	static const char wanted[] =
		"mx, smtp:HOST:PORT, smtps:HOST:PORT, a list of those, lmtp:HOST:PORT, lmtp:/SOCKET, discard: or "
		"reject:REASON is wanted\n";
	char text[512];
	snprintf(text, sizeof text, "@:1: route \"*\".to: \"smtp:\" will not do; %s", wanted);
	bad("route * { to = \"smtp:\" }\n", text);
	snprintf(text, sizeof text, "@:1: route \"*\".to: \"maildir:x\" will not do; %s", wanted);
	bad("route * { to = maildir:x }\n", text);
	snprintf(text, sizeof text, "@:1: route \"*\".to: \"smtp:a:0\" will not do; %s", wanted);
	bad("route * { to = smtp:a:0 }\n", text);
	snprintf(text, sizeof text, "@:1: route \"*\".to: this will not do; %s", wanted);
	bad("route * { to = [smtp:a, lmtp:b] }\n", text);
	bad("route * { to = [] }\n", text);
	bad("route * { to = { a = 1 } }\n", text);
	bad("route * { rate = 100 }\n",
		"@:1: route \"*\".rate: messages per time are wanted, such as \"100/m\" or "
		"\"5/10s\"; \"0\" is no limit\n");
	bad("route a_b..c { }\n",
		"@:1: route: \"a_b..c\" will not do; it is route \"example.net\" { ... }, route "
		"\".example.net\" { ... } for its subdomains, or route \"*\" { ... }\n");
	bad("domain a.example { }\nroute A.example { }\n",
		"@:2: \"a.example\" is there already, as a domain, a route or this machine's own name\n");
}

static void wrong_domains(void **state)
{
	(void)state;
	static const char wanted[] =
		"maildir:PATH, lmtp:/SOCKET, lmtp:HOST:PORT, smtp:HOST:PORT, smtps:HOST:PORT or discard: is wanted\n";
	char text[512];
	snprintf(text, sizeof text, "@:1: domain \"a.example\".deliver: \"mx\" will not do; %s",
		wanted);
	bad("domain a.example { deliver = mx }\n", text);
	snprintf(text, sizeof text,
		"@:1: domain \"a.example\".deliver: \"reject:x\" will not do; %s", wanted);
	bad("domain a.example { deliver = reject:x }\n", text);
	snprintf(text, sizeof text, "@:1: domain \"a.example\".deliver: this will not do; %s",
		wanted);
	bad("domain a.example { deliver = [smtp:a, smtp:b] }\n", text);
	bad("domain a.example { deliver = \"maildir:%{home}\" }\n",
		"@:1: domain \"a.example\".deliver: \"maildir:%{home}\": only %{user} and %{domain} are known here\n");
	bad("domain \"a b\" { }\n",
		"@:1: domain: \"a b\" will not do; it is domain \"example.com\" { ... }\n");
	bad("domain = x\n",
		"@:1: domain: a name and a block are wanted, as in domain \"example.com\" { ... }\n");
	bad("domain a.example { separator = xy }\n",
		"@:1: domain \"a.example\".separator: one character such as \"+\" or \"-\" is wanted, or \"\" for none\n");
	bad("domain a.example {\n users = [alice,\n \"b c\"] }\n",
		"@:3: domain \"a.example\".users: \"b c\" is not the local part of an address; alice, or \"*\", is wanted\n");
	bad("domain a.example { aliases { \"b c\" = alice } }\n",
		"@:1: domain \"a.example\".aliases: \"b c\" is not the local part of an address\n");
	bad("domain a.example { aliases { x = [\"b c\"] } }\n",
		"@:1: domain \"a.example\".aliases: \"b c\" is not an address; alice or alice@example.com is wanted\n");
	bad("domain a.example { aliases { x = [] } }\n",
		"@:1: domain \"a.example\".aliases: \"x\" leads to nobody\n");
	bad("domain a.example { aliases = x }\n",
		"@:1: domain \"a.example\".aliases: a block is wanted, as in aliases { postmaster = alice }\n");
}

static void senders(void **state)
{
	(void)state;
	struct fixture f;
	const struct config *c = good(&f,
		"senders { \"Alice@example.com\" = [Sales@example.com, \"@example.org\"], \"@example.com\" = \"*\" }\n");
	struct map_node *n = map_find(&c->senders.grants, STR("alice@example.com"));
	assert_non_null(n);
	const struct sender_grant *g = CONTAINER_OF(n, struct sender_grant, node);
	assert_int_equal(g->sender_count, 2);
	assert_str(g->senders[0], "sales@example.com");
	assert_str(g->senders[1], "@example.org");
	assert_non_null(map_find(&c->senders.grants, STR("@example.com")));
	end(&f);
	bad("senders { alice = bob@example.com }\n",
		"@:1: senders: \"alice\" is no account; alice@example.com, or @example.com for all of them, is wanted\n");
	bad("senders {\n \"a@b.example\" = bob }\n",
		"@:2: senders: \"bob\" is not an address; sales@example.com, @example.org or \"*\" is wanted\n");
	bad("senders {\n \"a@b.example\" = \"*\"\n \"A@b.example\" = \"*\" }\n",
		"@:3: senders: \"A@b.example\" is there already\n");
	bad("senders = x\n",
		"@:1: senders: a block is wanted, as in senders { \"alice@example.com\" = \"sales@example.com\" }\n");
}

static void alias_loops(void **state)
{
	(void)state;
	struct fixture f;
	read_text(&f,
		"domain a.example {\n users = alice\n aliases {\n  x = y\n  y = x\n  z = alice\n  w = nobody\n }\n}\n");
	assert_null(f.c);
	char wanted[64];
	struct str said = buf_str(&f.said);
	for (int line = 4; line <= 7; line++) {
		snprintf(wanted, sizeof wanted, "conf:%d: alias %c@a.example: ", line,
			"xyzw"[line - 4]);
		bool named = str_contains(said, str_from_c(wanted));
		if (named != (line != 6)) fail_msg("line %d: " STR_FMT, line, STR_ARG(said));
	}
	end(&f);
}

/* Everything at once, in the order of the lines, with what the text's grammar says.  */
static void all_at_once(void **state)
{
	(void)state;
	bad("log { level = loud }\nlimits { recipients = 1 }\nhostnam = a\nqueue { lifetime = [1] }\nx = \n",
		"@:1: log.level: \"loud\" will not do; it is one of debug, info, warn or error (the least that is logged)\n"
		"@:2: limits.recipients: 1 is out of range; it must be at least 100 and at most 65535 (recipients of one "
		"message; RFC 5321 wants 100 at least)\n"
		"@:3: unknown key \"hostnam\"; did you mean \"hostname\"?\n"
		"@:4: queue.lifetime: a list will not do; a time such as 30s, 5m, 2h or 5d is wanted (after so long in the "
		"queue a message is returned)\n"
		"@:6: a value is missing here; the empty text is \"\"\n");
	char wanted[128];
	snprintf(wanted, sizeof wanted, "@:2: \"errors\" is set twice; it was in %s:1 already\n",
		path);
	bad("limits { errors = 1\n errors = 2 }\n", wanted);
}

static const struct config_use *use_of(const struct config *c, const char *wanted)
{
	for (const struct config_use *u = c->uses; u; u = u->next)
		if (str_eq(u->path, str_from_c(wanted))) return u;
	fail_msg("%s is not among the paths that the server uses", wanted);
	return NULL;
}

static void paths_that_are_used(void **state)
{
	(void)state;
	struct fixture f;
	const struct config *c = good(&f,
		"state = /s\ntls { certificate = /c/cert.pem }\ncontrol = /run/x/sock\n"
		"domain a.example { deliver = \"maildir:/m/y/box%{user}/x\" }\n"
		"domain b.example {\n deliver = \"maildir:/fixed/box\" }\n");
	assert_true(use_of(c, "/s")->write);
	assert_false(use_of(c, path)->write);
	assert_false(use_of(c, "/c/cert.pem")->write);
	assert_int_equal(use_of(c, "/c/cert.pem")->place.line, 2);
	assert_true(use_of(c, "/run/x")->write);
	assert_true(use_of(c, "/m/y")->write);
	assert_true(use_of(c, "/fixed/box")->write);
	assert_int_equal(use_of(c, "/fixed/box")->place.line, 6);
	assert_str(str_from_c(use_of(c, "/fixed/box")->place.file), path);
	end(&f);
	assert_true(good(&f, "user = root\nsandbox = off\n"));
	assert_str(f.c->user, "root");
	assert_false(f.c->sandbox);
	end(&f);
	bad("user = rockdove-nobody\n",
		"@:1: user: there is no user \"rockdove-nobody\" on this machine; "
		"`adduser --system --group rockdove-nobody` makes one\n");
	bad("user = [root]\n", "@:1: user: the name of a user of this machine is wanted\n");
}

static void missing_file(void **state)
{
	(void)state;
	struct fixture f;
	read_path(&f, STR("/no/such/file"));
	assert_null(f.c);
	assert_str(buf_str(&f.said), "/no/such/file: cannot be read: No such file or directory\n");
	end(&f);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(paths_that_are_used),
		cmocka_unit_test(defaults),
		cmocka_unit_test(sample),
		cmocka_unit_test(sample_has_all),
		cmocka_unit_test(scalars),
		cmocka_unit_test(listeners),
		cmocka_unit_test(listen_arguments),
		cmocka_unit_test(routes),
		cmocka_unit_test(domains),
		cmocka_unit_test(unknown_keys),
		cmocka_unit_test(wrong_types),
		cmocka_unit_test(ranges),
		cmocka_unit_test(wrong_values),
		cmocka_unit_test(wrong_listeners),
		cmocka_unit_test(wrong_routes),
		cmocka_unit_test(wrong_domains),
		cmocka_unit_test(senders),
		cmocka_unit_test(alias_loops),
		cmocka_unit_test(all_at_once),
		cmocka_unit_test(missing_file),
	};
	return cmocka_run_group_tests(all, make_directory, remove_directory);
}
