#include "cli/cli.h"

#include "base/test.h"

static const struct cli_option table[] = {
	{"from", 'f', true}, {"trace", 0, false}, {"json", 'j', false}};

static int count(char **argv)
{
	int n = 0;
	while (argv[n]) n++;
	return n;
}

/* The options and values of argv as "0:x 1 A:operand".  */
static void check(const char *wanted, char **argv)
{
	struct cli_options o = {.command = "test",
		.table = table,
		.count = 3,
		.argc = count(argv),
		.at = 1,
		.argv = argv};
	struct buf got;
	struct str value;
	buf_init(&got, 4096);
	for (int option; (option = cli_next(&o, &value)) != CLI_END;) {
		if (got.len) buf_add_c(&got, ' ');
		if (option == CLI_BAD) {
			buf_add(&got, STR("bad"));
			break;
		}
		if (option == CLI_ARGUMENT)
			buf_add_c(&got, 'A');
		else
			buf_add_u64(&got, (uint64_t)option);
		if (value.ptr) buf_printf(&got, ":" STR_FMT, STR_ARG(value));
	}
	assert_str(buf_str(&got), wanted);
	buf_release(&got);
}

#define ARGV(...) ((char *[]){(char *)"test", __VA_ARGS__, NULL})
#define A(literal) ((char *)literal)

static void options(void **state)
{
	(void)state;
	check("", (char *[]){A("test"), NULL});
	check("0:x", ARGV(A("--from"), A("x")));
	check("0:x", ARGV(A("--from=x")));
	check("0:", ARGV(A("--from=")));
	check("0:", ARGV(A("--from"), A("")));
	check("0:a=b", ARGV(A("--from=a=b")));
	check("0:-x", ARGV(A("--from"), A("-x")));
	check("0:x", ARGV(A("-f"), A("x")));
	check("0:x", ARGV(A("-fx")));
	check("1 2 A:a A:b", ARGV(A("--trace"), A("-j"), A("a"), A("b")));
	check("A:a 1 A:b", ARGV(A("a"), A("--trace"), A("b")));
	check("A:-", ARGV(A("-")));
	check("A:--trace A:-a@b A:--", ARGV(A("--"), A("--trace"), A("-a@b"), A("--")));
	check("bad", ARGV(A("--from")));
	check("bad", ARGV(A("-f")));
	check("bad", ARGV(A("--trace=1")));
	check("bad", ARGV(A("-j1")));
	check("bad", ARGV(A("--fro"), A("x")));
	check("bad", ARGV(A("-x")));
	check("A:a bad", ARGV(A("a"), A("-x"), A("b")));
}

/* ---- dispatch ---- */

static int run(char **argv) { return cli_main(count(argv), argv); }

static void dispatch(void **state)
{
	(void)state;
	static const char bad_config[] = "/no/such/file";
	assert_int_equal(run((char *[]){A("rockdove"), NULL}), EXIT_USAGE);
	assert_int_equal(run((char *[]){A("rockdove"), A("snd"), NULL}), EXIT_USAGE);
	assert_int_equal(run((char *[]){A("rockdove"), A("--nothing"), NULL}), EXIT_USAGE);
	assert_int_equal(run((char *[]){A("rockdove"), A("serve"), A("-c"), NULL}), EXIT_USAGE);
	/* -c before and after; the wrong file shows that it was taken.  */
	assert_int_equal(run((char *[]){A("rockdove"), A("-c"), A(bad_config), A("serve"),
				 A("--check"), NULL}),
		EXIT_CONFIG);
	assert_int_equal(run((char *[]){A("rockdove"), A("serve"), A("--check"), A("-c"),
				 A(bad_config), NULL}),
		EXIT_CONFIG);
	assert_int_equal(run((char *[]){A("rockdove"), A("serve"), A("--config=/no/such/file"),
				 A("--check"), NULL}),
		EXIT_CONFIG);
	assert_int_equal(run((char *[]){A("/usr/sbin/sendmail"), A("-C"), A(bad_config),
				 A("a@b.example"), NULL}),
		EXIT_CONFIG);
	assert_int_equal(run((char *[]){A("mailq"), A("-C"), A(bad_config), NULL}), EXIT_CONFIG);
	assert_int_equal(run((char *[]){A("newaliases"), NULL}), EXIT_DONE);
	/* As the value of an option, -c and -h are left alone.  */
	assert_int_equal(
		run((char *[]){A("rockdove"), A("send"), A("--subject"), A("-c"), A("--body"),
			A("-h"), A("--config"), A(bad_config), A("a@b.example"), NULL}),
		EXIT_CONFIG);
	/* Behind "--" nothing is an option.  */
	assert_int_equal(run((char *[]){A("rockdove"), A("-c"), A(bad_config), A("send"), A("--"),
				 A("-h"), NULL}),
		EXIT_USAGE);
	assert_int_equal(run((char *[]){A("rockdove"), A("-c"), A(bad_config), A("send"), A("--"),
				 A("-h@b.example"), NULL}),
		EXIT_CONFIG);
	/* What cannot be secure says so.  */
	assert_int_equal(run((char *[]){A("rockdove"), A("send"), A("--tls"), A("perhaps"),
				 A("a@b.example"), NULL}),
		EXIT_USAGE);
	assert_int_equal(run((char *[]){A("rockdove"), A("send"), A("--user"), A("x"),
				 A("a@b.example"), NULL}),
		EXIT_USAGE);
	assert_int_equal(
		run((char *[]){A("rockdove"), A("send"), A("not an address"), NULL}), EXIT_USAGE);
	assert_int_equal(run((char *[]){A("rockdove"), A("queue"), A("lst"), NULL}), EXIT_USAGE);
	assert_int_equal(run((char *[]){A("rockdove"), A("queue"), A("delete"), NULL}), EXIT_USAGE);
}

int main(void)
{
	const struct CMUnitTest all[] = {cmocka_unit_test(options), cmocka_unit_test(dispatch)};
	return cmocka_run_group_tests(all, NULL, NULL);
}
