/* A look-up and what DNS says of TLSA records, from a real server: signed, not signed, forged, silent.  */
#include "route/router.h"

#include "route/test.h"

#define DIGEST "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF"

static struct knot knot;
static struct test_loop loop;
static struct resolver *resolver;
static struct latency *latency;
static struct router *router;

static const struct test_zone zones[] = {
	{"signed.test",
		"mx A 192.0.2.1\n_25._tcp.mx TLSA 3 1 1 " DIGEST "\n_25._tcp.mx TLSA 2 0 1 " DIGEST
		"\n"
		"_26._tcp.mx TLSA 1 0 1 " DIGEST "\n"
		"@ MX 10 mx\nmx AAAA 2001:db8::1\n"
		"plain A 192.0.2.2\nnone MX 10 plain\n"
		"bare A 192.0.2.3\n_25._tcp.bare TLSA 3 1 1 " DIGEST "\n"
		/* Records that go in a circle; zones of their own, one forged and one not signed.  */
		"silent MX 10 mx.silent\nmx.silent A 192.0.2.4\n_25._tcp.mx.silent CNAME _1.mx.silent\n_1.mx.silent CNAME _25._tcp.mx.silent\n"
		"forged MX 10 mx.forged\nmx.forged A 192.0.2.5\n_tcp.mx.forged NS ns\n"
		"_tcp.mx.forged DS 12345 13 2 " DIGEST "\n"
		"loose MX 10 mx.loose\nmx.loose A 192.0.2.6\n_tcp.mx.loose NS ns\n"
		/* Several hosts, one of them without an answer.  */
		"mixed MX 10 mx.silent\nmixed MX 20 mx\nmixed MX 30 plain\n"
		/* Other people's hosts, and names for them.  */
		"foreign MX 10 mx.unsigned.test.\n"
		"alias MX 10 name\nname CNAME mx\n_25._tcp.name TLSA 3 1 1 " DIGEST "\n"
		"alias2 MX 10 name2\nname2 CNAME plain\n_25._tcp.name2 TLSA 3 1 1 " DIGEST "\n"
		"alias3 MX 10 name3\nname3 CNAME mx.unsigned.test.\n_25._tcp.name3 TLSA 3 1 1 " DIGEST
		"\n"
		"alias4 MX 10 name4\nname4 CNAME mx.unsigned.test.\n",
		true},
	{"_tcp.mx.forged.signed.test", "_25 TLSA 3 1 1 " DIGEST "\n", false},
	{"_tcp.mx.loose.signed.test", "_25 TLSA 3 1 1 " DIGEST "\n", false},
	{"unsigned.test",
		"@ MX 10 mx.signed.test.\nmx A 192.0.2.9\n_25._tcp.mx TLSA 3 1 1 " DIGEST "\n",
		false},
};

static size_t done_count;

static void lookup_done(struct route_lookup *l)
{
	(void)l;
	done_count++;
}

/* "HOST LEVEL: WORDS (base)" of each target, then the failure.  */
static void tell(const struct route_lookup *l, struct buf *out)
{
	const char *before = "";
	for (uint32_t i = 0; i < l->count + l->barred; i++) {
		const struct route_target *t = &l->targets[i];
		if (i && strcmp(t->host, t[-1].host) == 0) continue; /* another address */
		bool dane = t->security.level == SECURITY_DANE;
		buf_printf(out, "%s%s%s %s", before, i < l->count ? "" : "not ", t->host,
			t->security.words);
		for (uint32_t n = 0; dane && n < t->security.name_count; n++)
			buf_printf(out, " " STR_FMT, STR_ARG(t->security.names[n]));
		before = "; ";
	}
	if (!l->count) buf_printf(out, "%s%s", before, outcome_name(l->failure.class));
}

static void expect_by(const struct route_rule *rule, const char *domain, const char *words)
{
	struct route_lookup l = {.done = lookup_done};
	struct buf told;
	buf_init(&told, 2000);
	size_t wanted = done_count + 1;
	route_lookup(router, &l, rule, str_from_c(domain));
	loop.counter = &done_count, loop.wanted = wanted;
	test_run(&loop, SECONDS(30));
	loop.counter = NULL;
	assert_int_equal(done_count, wanted);
	tell(&l, &told);
	assert_str(buf_str(&told), words);
	buf_release(&told);
	route_lookup_clear(&l);
}

static void expect(const char *domain, const char *words)
{
	static const struct route_rule rule = {
		.name = STR("*"), .kind = ROUTE_MX, .port = 25, .tls = ROUTE_TLS_OPPORTUNISTIC};
	expect_by(&rule, domain, words);
}

#define TWO "dane: 2 TLSA records"
#define ONE "dane: 1 TLSA record"
#define NOT "dane: the TLSA records cannot be had securely"

static void test_secure_records(void **state)
{
	(void)state;
	expect("signed.test", "mx.signed.test " TWO " mx.signed.test signed.test");
	expect("bare.signed.test", "bare.signed.test " ONE " bare.signed.test");
	expect("none.signed.test", "plain.signed.test opportunistic");
}

static void test_rules_that_do_not_ask(void **state)
{
	(void)state;
	struct route_rule rule = {
		.name = STR("*"), .kind = ROUTE_MX, .port = 25, .tls = ROUTE_TLS_OFF};
	expect_by(&rule, "signed.test", "mx.signed.test off");
	expect_by(&rule, "silent.signed.test", "mx.silent.signed.test off");
	struct route_host host = {STR("mx.signed.test"), 25};
	rule.kind = ROUTE_SMTP, rule.tls = ROUTE_TLS_DANE, rule.hosts = &host, rule.host_count = 1;
	expect_by(&rule, "anything.test", "mx.signed.test " TWO " mx.signed.test");
	host.port = 26;
	expect_by(&rule, "anything.test",
		"mx.signed.test dane: no usable TLSA record among 1, so any TLS");
	host.port = 27;
	expect_by(&rule, "anything.test", "mx.signed.test opportunistic");
	rule.kind = ROUTE_LMTP, host.port = 25;
	expect_by(&rule, "anything.test", "mx.signed.test opportunistic");
}

static void test_no_answer_and_forged_answers_bar_a_host(void **state)
{
	(void)state;
	expect("silent.signed.test", "not mx.silent.signed.test " NOT "; deferred");
	expect("forged.signed.test", "not mx.forged.signed.test " NOT "; deferred");
	expect("mixed.signed.test",
		"mx.signed.test " TWO
		" mx.signed.test mixed.signed.test; plain.signed.test opportunistic; "
		"not mx.silent.signed.test " NOT);
}

static void test_insecure_is_not_dane(void **state)
{
	(void)state;
	expect("loose.signed.test", "mx.loose.signed.test opportunistic");
	expect("foreign.signed.test", "mx.unsigned.test opportunistic");
	expect("unsigned.test",
		"mx.signed.test opportunistic"); /* who says that it is its host?  */
}

static void test_aliases(void **state)
{
	(void)state;
	expect("alias.signed.test",
		"name.signed.test " TWO " mx.signed.test name.signed.test alias.signed.test");
	expect("alias2.signed.test",
		"name2.signed.test " ONE " name2.signed.test alias2.signed.test");
	expect("alias3.signed.test",
		"name3.signed.test " ONE " name3.signed.test alias3.signed.test");
	expect("alias4.signed.test", "name4.signed.test opportunistic");
}

static void test_ended_while_asking(void **state)
{
	(void)state;
	static const struct route_rule rule = {
		.name = STR("*"), .kind = ROUTE_MX, .port = 25, .tls = ROUTE_TLS_DANE};
	for (msec ms = 0; ms < 40; ms += 4) {
		struct route_lookup l = {.done = lookup_done};
		route_lookup(router, &l, &rule, STR("mixed.signed.test"));
		test_run_ms(&loop, ms);
		route_lookup_clear(&l);
		size_t told = done_count; /* in time, or never */
		test_run_ms(&loop, 20);
		assert_int_equal(done_count, told);
	}
}

static int up(void **state)
{
	(void)state;
	test_loop_init(&loop);
	knot_start(&knot, zones, ARRAY_LEN(zones));
	const char *why, *anchor = knot_write_anchor(&knot, "signed.test", "signed.ds");
	resolver = resolver_new(loop.io,
		&(struct resolver_options){.servers = &knot.address,
			.server_count = 1,
			.trust_anchor = str_from_c(anchor),
			.validate = DNS_VALIDATE_SELF},
		&why);
	if (!resolver) fail_msg("%s", why);
	latency = latency_new(100, 1);
	router = router_new(loop.io,
		&(struct router_options){.resolver = resolver,
			.latency = latency,
			.ipv4 = true,
			.ipv6 = true,
			.seed = 1});
	return 0;
}

static int down(void **state)
{
	(void)state;
	router_free(router);
	resolver_free(resolver);
	latency_free(latency);
	io_free(loop.io);
	knot_stop(&knot);
	return 0;
}

int main(void)
{
	if (!knot_there()) {
		print_message("SKIPPED: Knot is not installed\n");
		return 77;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secure_records),
		cmocka_unit_test(test_rules_that_do_not_ask),
		cmocka_unit_test(test_ended_while_asking),
		cmocka_unit_test(test_no_answer_and_forged_answers_bar_a_host),
		cmocka_unit_test(test_insecure_is_not_dane),
		cmocka_unit_test(test_aliases),
	};
	return cmocka_run_group_tests(tests, up, down);
}
