/* rockdove route: how mail to an address would go.  Asks the running server, which knows latencies; without one, looks
 * up by itself.  */
#include "admin/explain.h"
#include "cli/route_probe.h"
#include "cli/show.h"
#include "cli/world.h"

enum { LATENCY_HOSTS = 100 };

/* ---- showing ---- */

static void show_host(const json_t *h)
{
	const json_t *latency = json_object_get(h, "latency_ms");
	bool v6 = strchr(ask_text(h, "address"), ':') != NULL;
	printf("    %5lld  %s  %s%s%s:%lld", (long long)ask_number(h, "preference"),
		ask_text(h, "host"), v6 ? "[" : "", ask_text(h, "address"), v6 ? "]" : "",
		(long long)ask_number(h, "port"));
	if (json_is_number(latency))
		printf("  %.1f ms", json_number_value(latency));
	else
		printf("  latency not known");
	if (json_is_true(json_object_get(h, "secure"))) printf("  DNSSEC");
	const json_t *tls = json_object_get(h, "tls");
	bool barred = json_is_true(json_object_get(tls, "barred"));
	printf("\n           TLS: %s%s\n", ask_text(tls, "policy"),
		barred ? "; must not be used now" : "");
}

static void show_failure(const json_t *t)
{
	const json_t *failure = json_object_get(t, "failure");
	if (!failure) return;
	bool failed = strcmp(ask_text(failure, "outcome"), "failed") == 0;
	printf("    %s: %s %s\n", failed ? "would be returned" : "would be tried again",
		ask_text(failure, "status"), ask_text(failure, "text"));
}

static void show_sts(const json_t *sts)
{
	if (!sts) return;
	size_t index;
	const json_t *mx;
	printf("    MTA-STS %s", ask_text(sts, "mode"));
	if (*ask_text(sts, "id")) {
		char text[64];
		struct buf span = {.ptr = text, .cap = sizeof text, .max = sizeof text};
		clock_add_span(&span, SECONDS(ask_number(sts, "age")));
		buf_add(&span, STR(" of "));
		clock_add_span(&span, SECONDS(ask_number(sts, "max_age")));
		printf(", id %s, age " STR_FMT, ask_text(sts, "id"), STR_ARG(buf_str(&span)));
	}
	json_array_foreach(json_object_get(sts, "mx"), index, mx)
		printf("%s %s", index ? "," : "; mx", json_string_value(mx));
	if (*ask_text(sts, "trouble")) printf("; cannot be fetched: %s", ask_text(sts, "trouble"));
	putchar('\n');
}

static void show_target(const json_t *t)
{
	static const char *const details[] = {"maildir", "socket", "reject", "rate", "user"};
	printf("  %s: rule \"%s\", %s", ask_text(t, "address"), ask_text(t, "rule"),
		ask_text(t, "kind"));
	for (size_t i = 0; i < ARRAY_LEN(details); i++)
		if (*ask_text(t, details[i]))
			printf(", %s %s", details[i], ask_text(t, details[i]));
	const json_t *hosts = json_object_get(t, "hosts"), *host;
	size_t index;
	if (hosts)
		printf(", TLS %s, at most %lld connections", ask_text(t, "tls"),
			(long long)ask_number(t, "connections"));
	putchar('\n');
	bool by_address = json_array_size(hosts) && strcmp(ask_text(t, "kind"), "mx") == 0 &&
		json_is_false(json_object_get(t, "mx"));
	if (by_address) printf("    there is no MX record; the domain's own addresses are taken\n");
	show_sts(json_object_get(t, "sts"));
	json_array_foreach((json_t *)hosts, index, host) show_host(host);
	show_failure(t);
}

static int show_result(const json_t *result, bool json)
{
	bool unknown = json_is_true(json_object_get(result, "unknown"));
	const char *problem = ask_text(result, "problem");
	if (json)
		show_json(result);
	else if (*problem)
		cli_say("route", "%s: %s", ask_text(result, "address"), problem);
	else if (unknown)
		printf("%s: there is no such user here; it would be refused, 550 5.1.1\n",
			ask_text(result, "address"));
	else
		printf("%s%s\n", ask_text(result, "address"),
			json_is_true(json_object_get(result, "local")) ? " is local" : "");
	size_t index;
	const json_t *target;
	if (!json && !*problem && !unknown)
		json_array_foreach(json_object_get(result, "targets"), index, target)
			show_target(target);
	return *problem ? EXIT_DATA : unknown ? EXIT_UNAVAILABLE : EXIT_DONE;
}

/* ---- asking ---- */

struct outcome_of_ask {
	json_t *result;
	struct cli_world *world; /* when looking up by ourselves */
	struct explain explain;
};

static void answer(struct ask *ask, const json_t *o, bool last)
{
	struct outcome_of_ask *a = ask->context;
	if (!last) return;
	a->result = json_deep_copy(o);
}

static void explained(struct explain *e, json_t *result)
{
	struct outcome_of_ask *a = CONTAINER_OF(e, struct outcome_of_ask, explain);
	a->result = result;
	io_stop(a->world->io);
}

static int look_up(struct cli_world *w, struct str address, json_t **ret_result)
{
	const struct config *c = w->config;
	const char *why = "out of memory";
	struct resolver_options dns = {.servers = c->dns.servers,
		.server_count = c->dns.server_count,
		.trust_anchor = c->dns.trust_anchor,
		.validate = c->dns.validate};
	struct outcome_of_ask a = {.world = w, .explain.done = explained};
	struct latency *latency = latency_new(LATENCY_HOSTS, 0);
	struct resolver *resolver = latency ? resolver_new(w->io, &dns, &why) : NULL;
	struct router_options options = {.resolver = resolver,
		.latency = latency,
		.hostname = c->hostname,
		.exceptions = &c->tls_exceptions,
		.ipv4 = true,
		.ipv6 = true};
	struct router *router = resolver ? router_new(w->io, &options) : NULL;
	if (router) {
		struct admin admin = {.io = w->io,
			.router = router,
			.routes = &c->routes,
			.domains = &c->domains,
			.hostname = c->hostname};
		explain_begin(&a.explain, &admin, address);
		io_run(w->io);
		explain_clear(&a.explain);
		router_free(router);
	} else {
		cli_say("route", "%s", why);
	}
	if (resolver) resolver_free(resolver);
	if (latency) latency_free(latency);
	*ret_result = a.result;
	return a.result ? EXIT_DONE : EXIT_UNAVAILABLE;
}

static int find_out(struct cli_world *w, struct str address, json_t **ret_result)
{
	struct outcome_of_ask a = {0};
	struct ask ask = {.command = "route",
		.path = w->config->control.ptr,
		.quiet = true,
		.answer = answer,
		.context = &a};
	json_t *request =
		json_pack("{s:s, s:s%}", "command", "route", "address", address.ptr, address.len);
	ask_server(w, &ask, request);
	*ret_result = a.result;
	if (a.result) return EXIT_DONE;
	cli_say("route", "no server is running here: latencies are not known");
	return look_up(w, address, ret_result);
}

/* ---- the command ---- */

static int run(const struct cli *cli, struct str address, bool json, bool probe)
{
	struct cli_world w;
	json_t *result = NULL;
	int code = cli_world_open(&w, cli, "route");
	if (code) return code;
	code = find_out(&w, address, &result);
	if (!code && probe) route_probe(&w, result);
	if (!code) code = show_result(result, json);
	if (!code && probe && !json) route_probe_show(result);
	json_decref(result);
	cli_world_close(&w);
	return code;
}

int cli_route(const struct cli *cli, int argc, char **argv)
{
	static const struct cli_option table[] = {{.name = "json"}, {.name = "probe"}};
	struct cli_options o = {.command = "route",
		.table = table,
		.count = 2,
		.argc = argc,
		.at = 1,
		.argv = argv};
	struct str value, address = STR_NONE;
	bool json = false, probe = false;
	for (int option; (option = cli_next(&o, &value)) != CLI_END;) {
		if (option == CLI_BAD) return EXIT_USAGE;
		if (option == 0)
			json = true;
		else if (option == 1)
			probe = true;
		else if (!address.len)
			address = value;
		else
			return cli_say("route", "one address at a time"), EXIT_USAGE;
	}
	if (address.len) return run(cli, address, json, probe);
	cli_say("route", "an address, or a domain, is wanted");
	return EXIT_USAGE;
}
