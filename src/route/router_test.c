#include "route/router.h"

#include "route/test.h"

static struct knot knot;
static struct test_loop loop;
static struct resolver *resolver;
static struct latency *latency;

static const struct test_zone zones[] = {
	{"example.test",
		"@ MX 10 mx1\n@ MX 20 mx2\n@ MX 5 mx0\n"
		"mx0 A 192.0.2.10\nmx1 A 192.0.2.1\nmx1 AAAA 2001:db8::1\nmx2 A 192.0.2.2\n"
		"equal MX 10 mx0\nequal MX 10 mx1\nequal MX 10 mx2\n"
		"bare A 192.0.2.20\nbare AAAA 2001:db8::20\n"
		"null MX 0 .\n"
		"nothing TXT x\n"
		"empty MX 10 nothing\nempty MX 20 nowhere\n"
		"half MX 10 nowhere\nhalf MX 20 mx2\n"
		"lame MX 10 mx.lame.example.\n"
		"halflame MX 10 mx.lame.example.\nhalflame MX 20 mx2\n"
		"alias CNAME @\nalias2 CNAME bare\naliased MX 10 mxalias\nmxalias CNAME mx1\n"
		"self MX 10 mail.example.test.\nmail A 198.51.100.1\n"
		"backup MX 10 mx0\nbackup MX 20 MAIL\nbackup MX 20 mx1\nbackup MX 30 mx2\n"
		"byaddress MX 10 mx0\nbyaddress MX 20 otherself\nbyaddress MX 30 mx2\notherself A 198.51.100.1\n"
		"loop MX 10 looped\nlooped A 127.0.0.5\nlooped AAAA ::1\n"
		"halfloop MX 10 looped\nhalfloop MX 20 mx1\n"
		"bareloop A 127.0.0.1\nzero A 0.0.0.0\n"
		"xn--bcher-kva MX 10 mx1\n"
		"same MX 10 mx0\nsame MX 20 mx0b\nmx0b A 192.0.2.10\n"
		"four MX 10 mx2\nsix MX 10 only6\nonly6 AAAA 2001:db8::66\n"
		"relay MX 10 mx0\nrelay A 192.0.2.50\n",
		false},
	{"many.test", "", false},
	{"signed.test",
		"@ MX 10 mx1\n@ MX 20 mx.example.test.\nmx1 A 192.0.2.1\nbare A 192.0.2.2\n", true},
};

/* ---- one lookup, and what came of it as text ---- */

static struct route_rule mx_rule = {.name = STR("*"), .kind = ROUTE_MX, .port = 25};

static size_t done_count;
static void lookup_done(struct route_lookup *l)
{
	(void)l;
	done_count++;
}

static struct router *make_router(bool ipv4, bool ipv6)
{
	static struct net_address own[2];
	assert_true(net_parse_port(STR("198.51.100.1:25"), 25, &own[0]));
	assert_true(net_parse_port(STR("0.0.0.0:2525"), 25, &own[1]));
	return router_new(loop.io,
		&(struct router_options){.resolver = resolver,
			.latency = latency,
			.hostname = STR("mail.Example.test"),
			.listening = own,
			.listening_count = 2,
			.ipv4 = ipv4,
			.ipv6 = ipv6,
			.seed = 1});
}

static struct router *both, *four;

static struct route_lookup look_up_by(
	struct router *r, const struct route_rule *rule, const char *domain)
{
	static struct route_lookup l;
	l = (struct route_lookup){.done = lookup_done};
	size_t before = done_count;
	route_lookup(r, &l, rule, str_from_c(domain));
	assert_int_equal(done_count, before);
	test_run_until(&loop, &done_count, before + 1);
	assert_true((l.count > 0) != (l.failure.class != OUTCOME_NONE));
	return l;
}

/* "10 mx1.example.test 192.0.2.1:25, ..." or "failed 5.1.2 words".  */
static const char *describe(const struct route_lookup *l)
{
	static char text[8192];
	struct buf out;
	buf_init(&out, sizeof(text) - 1);
	if (l->count == 0) {
		buf_printf(&out, "%s ", outcome_name(l->failure.class));
		enhanced_add(&out, l->failure.enhanced);
		buf_printf(&out, " " STR_FMT, STR_ARG(l->failure.text));
	}
	for (uint32_t i = 0; i < l->count; i++) {
		if (i) buf_add(&out, STR(", "));
		buf_printf(&out, "%u %s ", l->targets[i].preference, l->targets[i].host);
		net_add_port(&out, &l->targets[i].address);
	}
	assert_true(buf_ok(&out));
	memcpy(text, out.ptr, out.len);
	text[out.len] = '\0';
	buf_release(&out);
	return text;
}

static const char *route_by(struct router *r, const struct route_rule *rule, const char *domain)
{
	struct route_lookup l = look_up_by(r, rule, domain);
	const char *text = describe(&l);
	route_lookup_clear(&l);
	return text;
}

#define assert_route(domain, wanted) assert_string_equal(route_by(both, &mx_rule, domain), wanted)

static void test_preference(void **state)
{
	(void)state;
	assert_route("example.test",
		"5 mx0.example.test 192.0.2.10:25, "
		"10 mx1.example.test [2001:db8::1]:25, 10 mx1.example.test 192.0.2.1:25, "
		"20 mx2.example.test 192.0.2.2:25");
	struct route_lookup l = look_up_by(both, &mx_rule, "Example.TEST.");
	assert_true(l.mx_found);
	assert_false(l.secure);
	assert_string_equal(l.ascii, "example.test");
	assert_int_equal(l.count, 4);
	route_lookup_clear(&l);
	route_lookup_clear(&l); /* harmless */
	struct route_rule port = mx_rule;
	port.port = 2525;
	assert_string_equal(
		route_by(both, &port, "four.example.test"), "10 mx2.example.test 192.0.2.2:2525");
}

static void test_without_mx(void **state)
{
	(void)state;
	assert_route("bare.example.test",
		"0 bare.example.test [2001:db8::20]:25, 0 bare.example.test 192.0.2.20:25");
	struct route_lookup l = look_up_by(both, &mx_rule, "bare.example.test");
	assert_false(l.mx_found);
	route_lookup_clear(&l);
}

static void test_no_way(void **state)
{
	(void)state;
	assert_route("nowhere.example.test",
		"failed 5.1.2 Domain not found: there is no domain nowhere.example.test");
	assert_route("null.example.test",
		"failed 5.1.10 Domain null.example.test accepts no mail (null MX)");
	assert_route("nothing.example.test",
		"failed 5.1.2 Domain nothing.example.test has neither a mail exchanger nor an address");
	assert_route("empty.example.test",
		"failed 5.4.4 No mail exchanger of empty.example.test has an address");
	assert_route("a b", "failed 5.1.2 \"a b\" is not a domain name");
	assert_route("", "failed 5.1.2 \"\" is not a domain name");
	assert_route("[192.0.2]", "failed 5.1.2 [192.0.2] is not an address of a host");
}

static void test_trouble_with_dns_is_deferred(void **state)
{
	(void)state;
	struct route_lookup l = look_up_by(both, &mx_rule, "lame.invalid.example");
	assert_int_equal(l.failure.class, OUTCOME_DEFERRED);
	assert_int_equal(l.failure.code, 451);
	assert_true(str_starts(
		l.failure.text, STR("Name service error for lame.invalid.example, type MX: ")));
	route_lookup_clear(&l);
	l = look_up_by(
		both, &mx_rule, "lame.example.test"); /* the exchanger's name does not resolve */
	assert_int_equal(l.failure.class, OUTCOME_DEFERRED);
	assert_int_equal(l.failure.enhanced.subject, 4);
	assert_int_equal(l.failure.enhanced.detail, 3);
	assert_true(str_starts(l.failure.text, STR("Name service error for mx.lame.example: ")));
	route_lookup_clear(&l);
}

static void test_what_is_left_is_used(void **state)
{
	(void)state;
	assert_route("half.example.test", "20 mx2.example.test 192.0.2.2:25");
	assert_route("halflame.example.test", "20 mx2.example.test 192.0.2.2:25");
	assert_route("same.example.test",
		"10 mx0.example.test 192.0.2.10:25"); /* one address, tried once */
}

static void test_cnames(void **state)
{
	(void)state;
	assert_route("alias2.example.test",
		"0 alias2.example.test [2001:db8::20]:25, 0 alias2.example.test 192.0.2.20:25");
	assert_route("aliased.example.test",
		"10 mxalias.example.test [2001:db8::1]:25, 10 mxalias.example.test 192.0.2.1:25");
	struct route_lookup l = look_up_by(both, &mx_rule, "alias.example.test");
	assert_true(l.mx_found);
	assert_int_equal(l.count, 4);
	route_lookup_clear(&l);
}

static void test_literals(void **state)
{
	(void)state;
	assert_route("[192.0.2.7]", "0 [192.0.2.7] 192.0.2.7:25");
	assert_route("[IPv6:2001:db8::7]", "0 [IPv6:2001:db8::7] [2001:db8::7]:25");
	assert_route("[127.0.0.1]", "failed 5.4.6 Mail for [127.0.0.1] loops back to this server");
	assert_route(
		"[198.51.100.1]", "failed 5.4.6 Mail for [198.51.100.1] loops back to this server");
}

static void test_international(void **state)
{
	(void)state;
	struct route_lookup l = look_up_by(both, &mx_rule, "Bücher.example.test");
	assert_string_equal(l.ascii, "xn--bcher-kva.example.test");
	assert_int_equal(l.count, 2);
	route_lookup_clear(&l);
}

static void test_families(void **state)
{
	(void)state;
	assert_string_equal(
		route_by(four, &mx_rule, "bare.example.test"), "0 bare.example.test 192.0.2.20:25");
	assert_string_equal(route_by(four, &mx_rule, "six.example.test"),
		"failed 5.4.4 No mail exchanger of six.example.test has an address");
	assert_route("six.example.test", "10 only6.example.test [2001:db8::66]:25");
}

static void test_loops(void **state)
{
	(void)state;
	assert_route("self.example.test",
		"failed 5.4.6 Mail for self.example.test loops back to this server");
	assert_route("loop.example.test",
		"failed 5.4.6 Mail for loop.example.test loops back to this server");
	assert_route("bareloop.example.test",
		"failed 5.4.6 Mail for bareloop.example.test loops back to this server");
	assert_route("zero.example.test",
		"failed 5.4.6 Mail for zero.example.test loops back to this server");
	assert_route("mail.example.test",
		"failed 5.4.6 Mail for mail.example.test loops back to this server");
	/* Of several, those preferred to us stay: by name, and by address.  */
	assert_route("backup.example.test", "10 mx0.example.test 192.0.2.10:25");
	assert_route("byaddress.example.test", "10 mx0.example.test 192.0.2.10:25");
	/* One that lies on loopback is not ours: the others stay.  */
	assert_route("halfloop.example.test",
		"20 mx1.example.test [2001:db8::1]:25, 20 mx1.example.test 192.0.2.1:25");
}

static void test_loops_that_are_wanted(void **state)
{
	(void)state;
	struct route_rule rule = mx_rule;
	rule.allow_loopback = true;
	assert_string_equal(route_by(both, &rule, "bareloop.example.test"),
		"0 bareloop.example.test 127.0.0.1:25");
	assert_string_equal(
		route_by(both, &rule, "self.example.test"), "10 mail.example.test 198.51.100.1:25");
	assert_string_equal(route_by(both, &rule, "[127.0.0.1]"), "0 [127.0.0.1] 127.0.0.1:25");
}

static void test_configured_hosts(void **state)
{
	(void)state;
	struct route_host hosts[3] = {{STR("relay.example.test"), 2500}, {STR("2001:db8::9"), 26},
		{STR("127.0.0.1"), 2526}};
	struct route_rule rule = {
		.name = STR("x"), .kind = ROUTE_SMTP, .hosts = hosts, .host_count = 3};
	/* The address of the name itself, not its MX; in the order given; loopback is the
	 * operator's wish.  */
	assert_string_equal(route_by(both, &rule, "whatever"),
		"0 relay.example.test 192.0.2.50:2500, 0 2001:db8::9 [2001:db8::9]:26, 0 127.0.0.1 127.0.0.1:2526");
	rule.hosts = &hosts[1], rule.host_count = 1;
	assert_string_equal(route_by(both, &rule, "whatever"), "0 2001:db8::9 [2001:db8::9]:26");
	rule.kind = ROUTE_LMTP;
	assert_string_equal(route_by(both, &rule, "whatever"), "0 2001:db8::9 [2001:db8::9]:26");
	/* Our own listener is a loop all the same.  */
	hosts[1] = (struct route_host){STR("127.0.0.1"), 2525};
	assert_string_equal(route_by(both, &rule, "a.test"),
		"failed 5.4.6 Mail for a.test loops back to this server");
	hosts[1] = (struct route_host){STR("198.51.100.1"), 25};
	assert_string_equal(route_by(both, &rule, "a.test"),
		"failed 5.4.6 Mail for a.test loops back to this server");
	hosts[1].port = 26;
	assert_string_equal(route_by(both, &rule, "a.test"), "0 198.51.100.1 198.51.100.1:26");
	/* A mistake of ours does not return other people's mail.  */
	hosts[1].host = STR("nowhere.example.test");
	assert_string_equal(route_by(both, &rule, "a.test"),
		"deferred 4.4.4 The configured host nowhere.example.test has no address");
	hosts[1].host = STR("localhost"); /* as /etc/hosts has it */
	assert_string_equal(route_by(four, &rule, "a.test"), "0 localhost 127.0.0.1:26");
}

static void test_local_socket(void **state)
{
	(void)state;
	struct route_rule rule = {.name = STR("x"), .kind = ROUTE_LMTP, .socket = STR("/run/lmtp")};
	assert_string_equal(route_by(both, &rule, "whatever"), "0 /run/lmtp /run/lmtp");
	struct route_lookup l = look_up_by(both, &rule, "whatever");
	assert_int_equal(l.targets[0].address.family, NET_UNIX);
	assert_string_equal(l.targets[0].address.path, "/run/lmtp");
	route_lookup_clear(&l);
	char path[200];
	memset(path, 'x', sizeof(path));
	rule.socket = str_of(path, sizeof(path));
	assert_string_equal(route_by(both, &rule, "x"),
		"deferred 4.3.5 The path of the LMTP socket cannot be used");
}

static void note(const char *address, uint32_t us)
{
	struct net_address a;
	assert_true(net_parse(str_from_c(address), &a));
	for (int i = 0; i < 50; i++) latency_note(latency, &a, us, io_now(loop.io));
}

static uint32_t first_of(const char *host, const struct route_rule *rule, int rounds)
{
	uint32_t first = 0;
	for (int i = 0; i < rounds; i++) {
		struct route_lookup l = look_up_by(four, rule, "equal.example.test");
		assert_int_equal(l.count, 3);
		first += strcmp(l.targets[0].host, host) == 0;
		route_lookup_clear(&l);
	}
	return first;
}

static void test_latency(void **state)
{
	(void)state;
	struct route_rule quickest = mx_rule;
	quickest.latency = true;
	/* Nothing known: each gets its turn.  */
	assert_in_range(first_of("mx1.example.test", &mx_rule, 300), 60, 140);
	note("192.0.2.10", 50000);
	note("192.0.2.1", 1000);
	/* mx2 is not known: under `mx = latency` it is tried until it is.  */
	assert_int_equal(first_of("mx2.example.test", &quickest, 20), 20);
	note("192.0.2.2", 9000);
	assert_int_equal(first_of("mx1.example.test", &quickest, 20), 20);
	assert_string_equal(route_by(four, &quickest, "example.test"),
		"10 mx1.example.test 192.0.2.1:25, 20 mx2.example.test 192.0.2.2:25, 5 mx0.example.test 192.0.2.10:25");
	struct route_lookup l = look_up_by(four, &quickest, "example.test");
	assert_int_equal(l.targets[0].latency_us, 1000);
	route_lookup_clear(&l);
	/* Equals at random, the quicker the likelier: 1 : 1/9 : 1/50.  */
	assert_in_range(first_of("mx1.example.test", &mx_rule, 300), 240, 290);
	assert_string_equal(route_by(four, &mx_rule, "example.test"),
		"5 mx0.example.test 192.0.2.10:25, 10 mx1.example.test 192.0.2.1:25, 20 mx2.example.test 192.0.2.2:25");
	/* Configured hosts too.  */
	struct route_host hosts[2] = {{STR("192.0.2.10"), 25}, {STR("192.0.2.1"), 25}};
	struct route_rule rule = {
		.name = STR("x"), .kind = ROUTE_SMTP, .hosts = hosts, .host_count = 2};
	assert_string_equal(
		route_by(four, &rule, "x"), "0 192.0.2.10 192.0.2.10:25, 0 192.0.2.1 192.0.2.1:25");
	rule.latency = true;
	assert_string_equal(
		route_by(four, &rule, "x"), "0 192.0.2.1 192.0.2.1:25, 0 192.0.2.10 192.0.2.10:25");
}

static void test_many_exchangers(void **state)
{
	(void)state;
	struct route_lookup l = look_up_by(four, &mx_rule, "many.test");
	assert_int_equal(l.count, ROUTE_TARGETS_MAX);
	for (uint32_t i = 0; i < l.count; i++)
		assert_int_equal(l.targets[i].preference, i); /* of 100 */
	route_lookup_clear(&l);
}

static void test_security(void **state)
{
	(void)state;
	struct route_lookup l = look_up_by(both, &mx_rule, "signed.test");
	assert_true(l.secure);
	assert_string_equal(l.targets[0].host, "mx1.signed.test");
	assert_true(l.targets[0].secure);
	route_lookup_clear(&l);
	l = look_up_by(both, &mx_rule, "bare.signed.test");
	assert_true(l.secure);
	assert_true(l.targets[0].secure);
	route_lookup_clear(&l);
	l = look_up_by(both, &mx_rule, "four.example.test");
	assert_false(l.secure);
	assert_false(l.targets[0].secure);
	route_lookup_clear(&l);
}

static void free_it(struct route_lookup *l)
{
	done_count++;
	route_lookup_clear(l);
	free(l);
}

static void test_ending_early(void **state)
{
	(void)state;
	static const char *const domains[] = {
		"example.test", "nowhere.example.test", "[192.0.2.1]", "bare.example.test"};
	size_t before = done_count;
	for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
		struct route_lookup *l = calloc(1, sizeof(*l));
		l->done = lookup_done;
		route_lookup(both, l, &mx_rule, str_from_c(domains[i]));
		route_lookup_clear(l);
		free(l);
	}
	test_run_ms(&loop, 100);
	assert_int_equal(done_count, before);
	/* And inside of done.  */
	for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
		struct route_lookup *l = calloc(1, sizeof(*l));
		l->done = free_it;
		route_lookup(both, l, &mx_rule, str_from_c(domains[i]));
	}
	test_run_until(&loop, &done_count, before + ARRAY_LEN(domains));
}

/* A name server that knows two exchangers, of which one's addresses never come.  */
static void answer_some(int fd)
{
	static const char exchangers[] = "\xc0\x0c\0\17\0\1\0\0\0\x3c\0\11\0\12\4slow\xc0\x0c"
					 "\xc0\x0c\0\17\0\1\0\0\0\x3c\0\12\0\24\5quick\xc0\x0c";
	static const char address[] = "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\x09";
	for (;;) {
		unsigned char packet[1500];
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, packet, 512, 0, (struct sockaddr *)&from, &len);
		if (n < 17 || memcmp(packet + 13, "slow", 4) == 0) continue;
		size_t end = 12;
		while (packet[end]) end += packet[end] + 1u;
		bool mx = packet[end + 2] == DNS_MX,
		     a = packet[end + 2] == DNS_A && memcmp(packet + 13, "quick", 5) == 0;
		end += 5;
		memcpy(packet + 2, "\x81\x80\0\1\0\0\0\0\0\0", 10);
		packet[7] = mx ? 2 : a;
		const char *more = mx ? exchangers : address;
		size_t octets = mx ? sizeof(exchangers) - 1 : a ? sizeof(address) - 1 : 0;
		memcpy(packet + end, more, octets);
		sendto(fd, packet, end + octets, 0, (struct sockaddr *)&from, len);
	}
}

/* What is known is used when the rest lets us wait.  */
static void test_one_silent_exchanger(void **state)
{
	(void)state;
	struct net_address server = {.family = NET_IPV4, .octets = {127, 0, 0, 1}};
	int fd = test_udp_socket(&server.port);
	pid_t pid = test_child(NULL, NULL, answer_some, fd);
	struct resolver *real = resolver;
	const char *why;
	resolver = resolver_new(loop.io,
		&(struct resolver_options){
			.servers = &server, .server_count = 1, .validate = DNS_VALIDATE_OFF},
		&why);
	assert_non_null(resolver);
	struct router *r = make_router(true, true);
	struct route_lookup l = {.done = lookup_done};
	size_t before = done_count;
	msec began = io_now_us(loop.io) / 1000;
	route_lookup(r, &l, &mx_rule, STR("half.example"));
	loop.counter = &done_count, loop.wanted = before + 1;
	test_run(&loop, SECONDS(9));
	loop.counter = NULL;
	assert_string_equal(describe(&l), "20 quick.half.example 192.0.2.9:25");
	assert_in_range(io_now_us(loop.io) / 1000 - began, 4900, 7000);
	route_lookup_clear(&l);
	router_free(r);
	resolver_free(resolver);
	resolver = real;
	test_reap(pid);
	close(fd);
}

/* ---- */

static int up(void **state)
{
	(void)state;
	static char many[16384], anchor[64];
	static struct test_zone all[ARRAY_LEN(zones)];
	memcpy(all, zones, sizeof(zones));
	size_t len = 0;
	for (int i = 99; i >= 0; i--)
		len += (size_t)snprintf(many + len, sizeof(many) - len,
			"@ MX %d m%d\nm%d A 192.0.2.%d\n", i, i, i, i + 1);
	all[1].records = many;
	test_loop_init(&loop);
	knot_start(&knot, all, ARRAY_LEN(all));
	snprintf(
		anchor, sizeof(anchor), "%s", knot_write_anchor(&knot, "signed.test", "signed.ds"));
	const char *why;
	resolver = resolver_new(loop.io,
		&(struct resolver_options){.servers = &knot.address,
			.server_count = 1,
			.trust_anchor = str_from_c(anchor),
			.validate = DNS_VALIDATE_SELF},
		&why);
	if (!resolver) fail_msg("%s", why);
	latency = latency_new(100, 1);
	both = make_router(true, true);
	four = make_router(true, false);
	return 0;
}

static int down(void **state)
{
	(void)state;
	router_free(both);
	router_free(four);
	resolver_free(resolver);
	latency_free(latency);
	knot_stop(&knot);
	io_free(loop.io);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_preference),
		cmocka_unit_test(test_without_mx),
		cmocka_unit_test(test_no_way),
		cmocka_unit_test(test_trouble_with_dns_is_deferred),
		cmocka_unit_test(test_what_is_left_is_used),
		cmocka_unit_test(test_cnames),
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_international),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_loops_that_are_wanted),
		cmocka_unit_test(test_configured_hosts),
		cmocka_unit_test(test_local_socket),
		cmocka_unit_test(test_latency),
		cmocka_unit_test(test_many_exchangers),
		cmocka_unit_test(test_security),
		cmocka_unit_test(test_ending_early),
		cmocka_unit_test(test_one_silent_exchanger),
	};
	if (!knot_there()) {
		puts("skipped: /usr/sbin/knotd is not installed (apt-get install knot)");
		return 77;
	}
	return cmocka_run_group_tests(tests, up, down);
}
