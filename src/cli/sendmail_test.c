#include "cli/sendmail.h"

#include "base/test.h"

struct found {
	struct buf text;
	int stop_after;
};

static int visit(void *context, struct str address)
{
	struct found *f = context;
	buf_printf(&f->text, "[" STR_FMT "]", STR_ARG(address));
	return --f->stop_after == 0 ? EXIT_DATA : EXIT_DONE;
}

static void check(const char *field, const char *wanted)
{
	struct found f = {.stop_after = -1};
	buf_init(&f.text, 4096);
	size_t len = strlen(field);
	char *exact = malloc(len ? len : 1); /* so that reading past it is seen */
	assert_non_null(exact);
	memcpy(exact, field, len);
	assert_int_equal(sendmail_addresses(str_of(exact, len), visit, &f), EXIT_DONE);
	free(exact);
	if (wanted) assert_str(buf_str(&f.text), wanted);
	buf_release(&f.text);
}

static void addresses(void **state)
{
	(void)state;
	check("", "");
	check(" a@b ", "[a@b]");
	check("a@b, c@d", "[a@b][c@d]");
	check("A B <a@b>, \"C, D\" <c@d>", "[a@b][c@d]");
	check("a@b (one, (two) \\) three), c@d", "[a@b][c@d]");
	check("group: a@b, C <c@d>;, e@f", "[a@b][c@d][e@f]");
	check("undisclosed-recipients:;", "");
	check("\r\n\ta@b,\r\n c@d\r\n", "[a@b][c@d]");
	check("\"x, y\"@b, \"q\\\" r\"@d", "[\"x, y\"@b][\"q\\\" r\"@d]");
	check(",, a@b ,", "[a@b]");
	check("root", "[root]");
	/* What is cut anywhere ends.  */
	static const char all[] = "A \"b\\\" c\" <a@b> (x\\)(y)), g: <c@d";
	for (size_t n = 0; n < sizeof all; n++) {
		char cut[sizeof all] = {0};
		memcpy(cut, all, n);
		check(cut, NULL);
	}
}

static void stops(void **state)
{
	(void)state;
	struct found f = {.stop_after = 2};
	buf_init(&f.text, 4096);
	assert_int_equal(sendmail_addresses(STR("a, b, c"), visit, &f), EXIT_DATA);
	assert_str(buf_str(&f.text), "[a][b]");
	buf_release(&f.text);
}

static struct net_address bind_of(const char *text)
{
	struct net_address a;
	assert_true(net_parse_port(str_from_c(text), 25, &a));
	return a;
}

static void servers(void **state)
{
	(void)state;
	struct net_address binds[] = {bind_of("192.0.2.1:25"), bind_of("0.0.0.0:26"),
		bind_of("[::]:27"), bind_of("127.0.0.2:28")};
	struct listener_options all[4] = {0};
	struct config c = {.listeners = all};
	struct buf out;
	buf_init(&out, 100);
	assert_false(sendmail_server(&c, &out));
	for (int i = 0; i < 4; i++) all[i].binds = &binds[i], all[i].bind_count = 1;
	static const char *const wanted[] = {
		"192.0.2.1:25", "127.0.0.1:26", "[::1]:27", "127.0.0.2:28"};
	for (uint32_t i = 0; i < 4; i++) {
		c.listeners = &all[i];
		c.listener_count = 1;
		buf_clear(&out);
		assert_true(sendmail_server(&c, &out));
		assert_str(buf_str(&out), wanted[i]);
	}
	/* Loopback comes first, and what wants a login or TLS is left out.  */
	c.listeners = all, c.listener_count = 4;
	buf_clear(&out);
	assert_true(sendmail_server(&c, &out));
	assert_str(buf_str(&out), "127.0.0.1:26");
	all[1].submission = true, all[2].tls = LISTENER_TLS_REQUIRED,
	all[3].tls = LISTENER_TLS_IMPLICIT;
	buf_clear(&out);
	assert_true(sendmail_server(&c, &out));
	assert_str(buf_str(&out), "192.0.2.1:25");
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(addresses), cmocka_unit_test(stops), cmocka_unit_test(servers)};
	return cmocka_run_group_tests(all, NULL, NULL);
}
