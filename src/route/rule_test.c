#include "route/rule.h"

#include "base/test.h"

static const char *found(const struct route_table *t, const char *domain)
{
	const struct route_rule *rule = route_find(t, str_from_c(domain));
	return rule ? rule->name.ptr : "none";
}

static void test_longest_name_wins(void **state)
{
	(void)state;
	struct route_table t;
	struct route_rule all = {.name = STR("*")}, exact = {.name = STR("mail.example.net")};
	struct route_rule below = {.name = STR(".example.net")},
			  deeper = {.name = STR(".eu.example.net")};
	struct route_rule top = {.name = STR(".net")}, again = {.name = STR("MAIL.example.net")};
	route_table_init(&t, 1);
	assert_string_equal(found(&t, "example.net"), "none");
	assert_true(route_table_add(&t, &all));
	assert_true(route_table_add(&t, &exact));
	assert_true(route_table_add(&t, &below));
	assert_true(route_table_add(&t, &deeper));
	assert_true(route_table_add(&t, &top));
	assert_false(route_table_add(&t, &again));
	assert_string_equal(found(&t, "mail.example.net"), "mail.example.net");
	assert_string_equal(found(&t, "MAIL.Example.Net"), "mail.example.net");
	assert_string_equal(found(&t, "mail.example.net."), "mail.example.net");
	assert_string_equal(found(&t, "x.mail.example.net"), ".example.net");
	assert_string_equal(found(&t, "www.example.net"), ".example.net");
	assert_string_equal(found(&t, "a.b.eu.example.net"), ".eu.example.net");
	assert_string_equal(found(&t, "eu.example.net"), ".example.net");
	assert_string_equal(
		found(&t, "example.net"), ".net"); /* ".example.net" is its subdomains alone */
	assert_string_equal(found(&t, "notexample.net"), ".net");
	assert_string_equal(found(&t, "net"), "*");
	assert_string_equal(found(&t, "example.org"), "*");
	assert_string_equal(found(&t, ""), "*");
	assert_string_equal(found(&t, "*"), "*");
	assert_string_equal(found(&t, ".example.net"), "*"); /* no domain at all */
	route_table_release(&t);
}

static void test_literals_match_only_the_star(void **state)
{
	(void)state;
	struct route_table t;
	struct route_rule all = {.name = STR("*")}, odd = {.name = STR(".1]")};
	route_table_init(&t, 1);
	assert_true(route_table_add(&t, &all));
	assert_true(route_table_add(&t, &odd));
	assert_string_equal(found(&t, "[192.0.2.1]"), "*");
	assert_string_equal(found(&t, "[IPv6:2001:db8::1]"), "*");
	route_table_release(&t);
}

static void test_international_names(void **state)
{
	(void)state;
	struct route_table t;
	struct route_rule all = {.name = STR("*")}, ascii = {.name = STR("xn--bcher-kva.example")};
	struct route_rule letters = {.name = STR(".straße.example")};
	route_table_init(&t, 1);
	assert_true(route_table_add(&t, &all));
	assert_true(route_table_add(&t, &ascii));
	assert_true(route_table_add(&t, &letters));
	assert_string_equal(found(&t, "bücher.example"), "xn--bcher-kva.example");
	assert_string_equal(found(&t, "Bücher.example"), "xn--bcher-kva.example");
	assert_string_equal(found(&t, "x.straße.example"), ".straße.example");
	assert_string_equal(found(&t, "\xff.example"), "*");
	route_table_release(&t);
}

static void test_names_that_can_stand_in_a_table(void **state)
{
	(void)state;
	assert_true(route_name_valid(STR("*")));
	assert_true(route_name_valid(STR("example.net")));
	assert_true(route_name_valid(STR(".example.net")));
	assert_true(route_name_valid(STR("bücher.example")));
	assert_true(route_name_valid(STR("localhost")));
	assert_false(route_name_valid(STR("")));
	assert_false(route_name_valid(STR(".")));
	assert_false(route_name_valid(STR("..net")));
	assert_false(route_name_valid(STR("*.example.net")));
	assert_false(route_name_valid(STR("alice@example.net")));
	assert_false(route_name_valid(STR("[192.0.2.1]")));
}

static void assert_key(const struct route_rule *rule, const char *domain, const char *wanted)
{
	struct buf out;
	buf_init(&out, 1024);
	route_destination_key(&out, rule, str_from_c(domain));
	assert_str(buf_str(&out), wanted);
	buf_release(&out);
}

static void test_keys(void **state)
{
	(void)state;
	const struct route_host two[] = {{STR("Relay-A.example"), 25}, {STR("2001:db8::1"), 2525}};
	struct route_rule mx = {.kind = ROUTE_MX, .tls = ROUTE_TLS_VERIFY};
	assert_key(&mx, "Example.NET", "example.net");
	assert_key(&mx, "example.net.", "example.net");
	assert_key(&mx, "bücher.example", "xn--bcher-kva.example");
	assert_key(&mx, "[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]");
	struct route_rule smtp = {
		.kind = ROUTE_SMTP, .hosts = two, .host_count = 2, .tls = ROUTE_TLS_OPPORTUNISTIC};
	assert_key(&smtp, "example.net", "smtp:relay-a.example:25,[2001:db8::1]:2525");
	smtp.user = STR("bob");
	smtp.tls = ROUTE_TLS_VERIFY;
	assert_key(&smtp, "example.net",
		"smtp:relay-a.example:25,[2001:db8::1]:2525;user=bob;tls=verify");
	smtp.implicit_tls = true;
	assert_key(&smtp, "example.net",
		"smtps:relay-a.example:25,[2001:db8::1]:2525;user=bob;tls=verify");
	struct route_rule lmtp = {
		.kind = ROUTE_LMTP, .hosts = two, .host_count = 1, .tls = ROUTE_TLS_OPPORTUNISTIC};
	assert_key(&lmtp, "example.net", "lmtp:relay-a.example:25");
	lmtp.socket = STR("/run/Dovecot/lmtp");
	assert_key(&lmtp, "example.net", "lmtp:/run/Dovecot/lmtp");
	struct route_rule local = {.kind = ROUTE_MAILDIR, .local = true};
	assert_key(&local, "Example.com", "local:example.com");
	struct route_rule discard = {.kind = ROUTE_DISCARD};
	assert_key(&discard, "example.com", "discard:");
	struct route_rule reject = {.kind = ROUTE_REJECT, .reject = STR("We have moved")};
	assert_key(&reject, "example.com", "reject:We have moved");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_longest_name_wins),
		cmocka_unit_test(test_literals_match_only_the_star),
		cmocka_unit_test(test_international_names),
		cmocka_unit_test(test_names_that_can_stand_in_a_table),
		cmocka_unit_test(test_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
