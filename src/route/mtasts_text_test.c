#include "route/mtasts_text.h"

#include "base/test.h"

#include <stdlib.h>

/* ---- the record ---- */

/* The text as one rdata, cut into strings of at most `part` octets.  */
static void take(struct mtasts_record *r, const char *text, size_t part)
{
	struct buf rdata;
	buf_init(&rdata, 8192);
	for (struct str rest = str_from_c(text); rest.len;) {
		struct str piece = str_head(rest, part);
		buf_add_u8(&rdata, (uint8_t)piece.len);
		buf_add(&rdata, piece);
		rest = str_skip(rest, piece.len);
	}
	mtasts_take_record(r, buf_str(&rdata));
	buf_release(&rdata);
}

static const char *id_of(const char *text)
{
	static struct mtasts_record r;
	r = (struct mtasts_record){0};
	take(&r, text, 255);
	if (mtasts_record_found(&r)) return r.id;
	return r.count ? "bad" : "not ours";
}

static void records(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{"v=STSv1; id=20160831085700Z;", "20160831085700Z"},
		{"v=STSv1;id=1", "1"},
		{"v=STSv1 \t; \tid=1 ; ", "1"},
		{"v=STSv1; ext=!#$:<>~; id=1;", "1"},
		{"v=STSv1; id=1; id=2", "1"}, /* the first counts */
		{"v=STSv1; a1_-.=x; id=12345678901234567890123456789012",
			"12345678901234567890123456789012"},
		{"v=STSv1; id=123456789012345678901234567890123", "bad"},
		{"v=STSv1; id=", "bad"},
		{"v=STSv1; id=a-b", "bad"},
		{"v=STSv1; id = 1", "bad"},
		{"v=STSv1; ID=1", "bad"}, /* an extension; the id is missing */
		{"v=STSv1;", "bad"},
		{"v=STSv1; ;id=1", "bad"},
		{"v=STSv1; id=1;;", "bad"},
		{"v=STSv1; id=1; x", "bad"},
		{"v=STSv1; id=1; =x", "bad"},
		{"v=STSv1; id=1; x=", "bad"},
		{"v=STSv1; id=1; x=a=b", "bad"},
		{"v=STSv1; id=1; _x=a", "bad"},
		{"v=STSv1", "not ours"},
		{"v=STSv2; id=1;", "not ours"},
		{"v=stsv1; id=1;", "not ours"},
		{" v=STSv1; id=1;", "not ours"},
		{"v=spf1 -all", "not ours"},
		{"", "not ours"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(id_of(cases[i][0]), cases[i][1]);
}

static void a_record_of_many_strings_is_one_text(void **state)
{
	(void)state;
	for (size_t part = 1; part < 40; part++) {
		struct mtasts_record r = {0};
		take(&r, "v=STSv1; id=20160831085700Z;", part);
		assert_true(mtasts_record_found(&r));
		assert_string_equal(r.id, "20160831085700Z");
	}
	/* A string that promises more than there is.  */
	for (size_t len = 0; len < 16; len++) {
		struct mtasts_record r = {0};
		mtasts_take_record(&r, str_of("\x0fv=STSv1; id=1234", len));
		assert_int_equal(r.count, 0);
	}
}

static void only_one_record_counts(void **state)
{
	(void)state;
	struct mtasts_record r = {0};
	assert_false(mtasts_record_found(&r));
	take(&r, "some other text", 255);
	take(&r, "v=STSv1; id=1", 255);
	assert_true(mtasts_record_found(&r));
	take(&r, "v=STSv1; id=1", 255);
	assert_false(mtasts_record_found(&r));
}

/* ---- the policy ---- */

static const char usual[] = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\n"
			    "mx: *.example.net\r\nmx: backupmx.example.com\r\nmax_age: 604800\r\n";

static void the_usual_policy(void **state)
{
	(void)state;
	struct mtasts_policy p;
	assert_null(mtasts_read_policy(str_from_c(usual), &p));
	assert_int_equal(p.mode, STS_ENFORCE);
	assert_int_equal(p.max_age, 604800);
	assert_int_equal(p.mx_count, 3);
	assert_str(p.mx[0], "mail.example.com");
	assert_str(p.mx[1], "*.example.net");
	assert_str(p.mx[2], "backupmx.example.com");

	struct buf out;
	buf_init(&out, 1000);
	mtasts_write_policy(&out, &p, "\t");
	assert_str(buf_str(&out),
		"\tversion: STSv1\n\tmode: enforce\n\tmx: mail.example.com\n"
		"\tmx: *.example.net\n\tmx: backupmx.example.com\n\tmax_age: 604800\n");
	buf_release(&out);
}

/* Each on memory of its own, so that a read behind the end is seen.  */
static const char *read_copy(const char *text, size_t len, struct mtasts_policy *ret)
{
	char *copy = malloc(len ? len : 1);
	memcpy(copy, text, len);
	const char *wrong = mtasts_read_policy(str_of(copy, len), ret);
	free(copy);
	return wrong;
}

static void a_policy_that_is_cut_short_is_none(void **state)
{
	(void)state;
	struct mtasts_policy p;
	size_t whole = sizeof usual - 1, age = strlen("604800\r\n");
	for (size_t len = 0; len < whole; len++) {
		const char *wrong = read_copy(usual, len, &p);
		/* Of a number one cannot see that digits are missing.  */
		if (len > whole - age)
			assert_null(wrong);
		else
			assert_non_null(wrong);
	}
}

static void policies(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool fine;
	} cases[] = {
		{"version: STSv1\nmode: none\nmax_age: 86400\n", true},
		{"version: STSv1\nmode: testing\nmax_age: 86400\nmx: a.example", true},
		{"mx: a.example\nmax_age: 1\nmode: enforce\nversion: STSv1", true}, /* any order */
		{"version:STSv1\nmode:\tenforce \t\nmx: a.example\nmax_age: 0\n\n\r\n", true},
		{"version: STSv1\nmode: enforce\nx-y.z_1: Gr\xc3\xbc\xc3\x9f"
		 "e aus: dort\nmx: a.example\nmax_age: 1\n",
			true},
		{"version: STSv1\nversion: x\nmode: none\nmode: x\nmax_age: 1\nmax_age: x\n", true},
		{"version: STSv1\nmode: enforce\nmx: xn--bcher-kva.example\nmax_age: 9999999999\n",
			true},
		{"version: STSv2\nmode: none\nmax_age: 86400\n", false},
		{"Version: STSv1\nmode: none\nmax_age: 86400\n", false},
		{"mode: none\nmax_age: 86400\n", false},
		{"version: STSv1\nmax_age: 86400\nmx: a.example\n", false},
		{"version: STSv1\nmode: None\nmax_age: 86400\n", false},
		{"version: STSv1\nmode: none\n", false},
		{"version: STSv1\nmode: none\nmax_age: -1\n", false},
		{"version: STSv1\nmode: none\nmax_age: 12345678901\n", false},
		{"version: STSv1\nmode: none\nmax_age: 86400;\n", false},
		{"version: STSv1\nmode: enforce\nmax_age: 86400\n", false},
		{"version: STSv1\nmode: none\nmax_age: 86400\nmx: *.\n", false},
		{"version: STSv1\nmode: none\nmax_age: 86400\nmx: *.com\n", false},
		{"version: STSv1\nmode: none\nmax_age: 86400\nmx: a.*.example\n", false},
		{"version: STSv1\nmode: none\nmax_age: 86400\nmx: *a.example\n", false},
		{"version: STSv1\nmode: none\nmax_age: 86400\nmx: a.example, b.example\n", false},
		{"version: STSv1\nmode: none\nmax_age: 86400\nmx:\n", false},
		{"version: STSv1\nmode: none\nmax_age: 86400\nwhat is this\n", false},
		{"version: STSv1\nmode: none\nmax_age: 86400\n: x\n", false},
		{"version: STSv1\nmode: none\nmax_age: 86400\nx: a\rb\n", false},
		{"version: STSv1 mode: none max_age: 86400", false},
		{"<html>404: not here</html>", false},
		{"", false},
	};
	struct mtasts_policy p;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (!read_copy(cases[i].text, strlen(cases[i].text), &p) != cases[i].fine)
			fail_msg("%s", cases[i].text);
	assert_non_null(mtasts_read_policy(
		str_of("version: STSv1\nmode: none\nmax_age: 1\nx: \0y\n", 46), &p));
	assert_null(mtasts_read_policy(str_from_c(cases[6].text), &p));
	assert_int_equal(p.max_age, MTASTS_AGE_MAX);
	assert_null(mtasts_read_policy(str_from_c(cases[5].text), &p));
	assert_int_equal(p.mode, STS_NONE);
	assert_int_equal(p.max_age, 1);
}

static void a_policy_names_so_many_hosts(void **state)
{
	(void)state;
	struct mtasts_policy p;
	struct buf text;
	buf_init(&text, 64 << 10);
	buf_add(&text, STR("version: STSv1\nmode: enforce\nmax_age: 1\n"));
	for (int i = 0; i < MTASTS_MX_MAX; i++) buf_printf(&text, "mx: mx%d.example.net\n", i);
	assert_null(mtasts_read_policy(buf_str(&text), &p));
	assert_int_equal(p.mx_count, MTASTS_MX_MAX);
	buf_add(&text, STR("mx: more.example.net\n"));
	assert_non_null(mtasts_read_policy(buf_str(&text), &p));
	buf_release(&text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(records),
		cmocka_unit_test(a_record_of_many_strings_is_one_text),
		cmocka_unit_test(only_one_record_counts),
		cmocka_unit_test(the_usual_policy),
		cmocka_unit_test(a_policy_that_is_cut_short_is_none),
		cmocka_unit_test(policies),
		cmocka_unit_test(a_policy_names_so_many_hosts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
