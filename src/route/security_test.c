#include "route/security.h"

#include "base/test.h"

static const char digest[64] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde";

enum { S256 = 1, S512 = 2 };
#define RECORD(u, s, m, n)                                                                         \
	{                                                                                          \
		.usage = u, .selector = s, .matching = m, .data = { digest, n }                    \
	}
static const struct tls_tlsa good[] = {RECORD(3, 1, S256, 32)};
static const struct tls_tlsa mixed[] = {RECORD(1, 1, S256, 32), RECORD(2, 0, S512, 64),
	RECORD(3, 1, S256, 32), RECORD(3, 1, 7, 32)};
static const struct tls_tlsa useless[] = {RECORD(0, 0, S256, 32), RECORD(1, 1, S256, 32),
	RECORD(3, 2, S256, 32), RECORD(3, 1, S256, 31), RECORD(3, 1, 0, 20), RECORD(3, 1, 3, 32)};

static const struct str patterns[] = {STR("mx.far.test"), STR("*.mail.far.test")};
#define STS(m) (&(const struct sts_policy){.mode = m, .mx = patterns, .mx_count = 2})
#define TLSA(set) .tlsa_state = TLSA_FOUND, .tlsa = set, .tlsa_count = ARRAY_LEN(set)

static const struct tls_exception exception = {STR("far.test"), STR("2027-01-31"), 1};

struct row {
	struct security_facts facts; /* domain far.test, host mx.far.test unless said */
	const char *words;           /* what is decided, as text */
};

/* "LEVEL by SOURCE [barred] [known] names...: words" */
static void tell(const struct security *s, struct buf *out)
{
	static const char *const sources[] = {"rule", "dane", "sts"};
	buf_printf(out, "%s by %s%s%s%s", security_level_name(s->level), sources[s->source],
		s->barred ? " barred" : "", s->host_known ? " known" : "",
		s->sts_stranger ? " stranger" : "");
	for (uint32_t i = 0; i < s->name_count; i++)
		buf_printf(out, " " STR_FMT, STR_ARG(s->names[i]));
	buf_printf(out, ": %s", s->words);
}

static const struct row rows[] = {
	/* What the rule says.  */
	{{.rule = ROUTE_TLS_OFF}, "clear by rule mx.far.test: off"},
	{{.rule = ROUTE_TLS_OPPORTUNISTIC}, "opportunistic by rule mx.far.test: opportunistic"},
	{{.rule = ROUTE_TLS_DANE}, "opportunistic by rule mx.far.test: opportunistic"},
	{{.rule = ROUTE_TLS_REQUIRED, .mx_secure = true},
		"any TLS by rule known mx.far.test: required"},
	{{.rule = ROUTE_TLS_VERIFY, .configured = true},
		"verified by rule known mx.far.test: verify"},

	/* DANE's records raise any rule but "off".  */
	{{.rule = ROUTE_TLS_OFF, .mx_secure = true, TLSA(good)},
		"clear by rule known mx.far.test: off"},
	{{.rule = ROUTE_TLS_OPPORTUNISTIC, .mx_secure = true, TLSA(good)},
		"dane by dane known mx.far.test far.test: dane: 1 TLSA record"},
	{{.rule = ROUTE_TLS_DANE, .mx_secure = true, TLSA(mixed)},
		"dane by dane known mx.far.test far.test: dane: 2 TLSA records"},
	{{.rule = ROUTE_TLS_REQUIRED, .mx_secure = true, TLSA(good)},
		"dane by dane known mx.far.test far.test: dane: 1 TLSA record"},
	{{.rule = ROUTE_TLS_VERIFY, .configured = true, TLSA(good)},
		"dane by dane known mx.far.test: dane: 1 TLSA record"},
	{{.rule = ROUTE_TLS_DANE, .mx_secure = true, TLSA(good), .tlsa_base = STR("real.test")},
		"dane by dane known real.test mx.far.test far.test: dane: 1 TLSA record"},
	{{.rule = ROUTE_TLS_DANE, .mx_secure = true, TLSA(useless)},
		"any TLS by dane known mx.far.test: dane: no usable TLSA record among 6, so any TLS"},
	{{.rule = ROUTE_TLS_VERIFY, .mx_secure = true, TLSA(useless)},
		"verified by dane known mx.far.test: dane: no usable TLSA record among 6, so any TLS"},

	/* Records that should be there and cannot be had: not this host, not in clear.  */
	{{.rule = ROUTE_TLS_OPPORTUNISTIC, .mx_secure = true, .tlsa_state = TLSA_FAILED},
		"opportunistic by dane barred known mx.far.test: dane: the TLSA records cannot be had securely"},
	{{.rule = ROUTE_TLS_OPPORTUNISTIC,
		 .mx_secure = true,
		 .tlsa_state = TLSA_FAILED,
		 .sts = STS(STS_ENFORCE)},
		"opportunistic by dane barred known mx.far.test: dane: the TLSA records cannot be had securely"},

	/* MTA-STS.  */
	{{.rule = ROUTE_TLS_OPPORTUNISTIC, .sts = STS(STS_NONE)},
		"opportunistic by rule mx.far.test: opportunistic"},
	{{.rule = ROUTE_TLS_OPPORTUNISTIC, .sts = STS(STS_ENFORCE)},
		"verified by sts known mx.far.test: sts enforce"},
	{{.rule = ROUTE_TLS_REQUIRED, .host = STR("MX7.mail.FAR.test"), .sts = STS(STS_ENFORCE)},
		"verified by sts known MX7.mail.FAR.test: sts enforce"},
	{{.rule = ROUTE_TLS_OPPORTUNISTIC, .host = STR("mx.evil.test"), .sts = STS(STS_ENFORCE)},
		"opportunistic by sts barred stranger mx.evil.test: sts enforce: the policy does not name this host"},
	{{.rule = ROUTE_TLS_OPPORTUNISTIC, .sts = STS(STS_TESTING)},
		"opportunistic by rule mx.far.test: opportunistic; sts testing"},
	{{.rule = ROUTE_TLS_REQUIRED, .host = STR("mx.evil.test"), .sts = STS(STS_TESTING)},
		"any TLS by rule stranger mx.evil.test: required; sts testing, which does not name this host"},
	{{.rule = ROUTE_TLS_OFF, .sts = STS(STS_ENFORCE)}, "clear by rule mx.far.test: off"},

	/* DANE goes before MTA-STS, both ways; where DANE proves nothing MTA-STS does.  */
	{{.rule = ROUTE_TLS_OPPORTUNISTIC,
		 .mx_secure = true,
		 TLSA(good),
		 .host = STR("mx.evil.test"),
		 .sts = STS(STS_ENFORCE)},
		"dane by dane known mx.evil.test far.test: dane: 1 TLSA record"},
	{{.rule = ROUTE_TLS_OPPORTUNISTIC,
		 .mx_secure = true,
		 TLSA(useless),
		 .sts = STS(STS_ENFORCE)},
		"verified by sts known mx.far.test: sts enforce"},

	/* The operator's exception, and what has no policies.  */
	{{.rule = ROUTE_TLS_VERIFY,
		 .exception = &exception,
		 .mx_secure = true,
		 TLSA(good),
		 .sts = STS(STS_ENFORCE)},
		"opportunistic by rule known mx.far.test: opportunistic, by an exception until 2027-01-31"},
	{{.rule = ROUTE_TLS_OPPORTUNISTIC, .exception = &exception, .tlsa_state = TLSA_FAILED},
		"opportunistic by rule mx.far.test: opportunistic, by an exception until 2027-01-31"},
	{{.rule = ROUTE_TLS_OFF, .exception = &exception}, "clear by rule mx.far.test: off"},

	/* Who logs in does not do so in clear, unless that was said.  */
	{{.rule = ROUTE_TLS_OPPORTUNISTIC, .configured = true, .login = true},
		"any TLS by rule known mx.far.test: any TLS, for the login"},
	{{.rule = ROUTE_TLS_OPPORTUNISTIC, .local = true, .login = true},
		"any TLS by rule mx.far.test: any TLS, for the login"},
	{{.rule = ROUTE_TLS_VERIFY, .configured = true, .exception = &exception, .login = true},
		"any TLS by rule known mx.far.test: any TLS, for the login"},
	{{.rule = ROUTE_TLS_VERIFY, .configured = true, .login = true},
		"verified by rule known mx.far.test: verify"},
	{{.rule = ROUTE_TLS_OPPORTUNISTIC, .configured = true, .implicit = true},
		"any TLS by rule known mx.far.test: any TLS, from the first octet"},
	{{.rule = ROUTE_TLS_OFF, .configured = true, .login = true},
		"clear by rule known mx.far.test: off"},
	{{.rule = ROUTE_TLS_REQUIRED, .local = true, .configured = true, TLSA(good)},
		"any TLS by rule known mx.far.test: required"},
};

static void test_table(void **state)
{
	(void)state;
	struct buf told;
	buf_init(&told, 1000);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct security_facts facts = rows[i].facts;
		struct security s;
		facts.domain = STR("far.test");
		if (!facts.host.len) facts.host = STR("mx.far.test");
		if (!facts.tlsa_base.len) facts.tlsa_base = facts.host;
		security_decide(&facts, &s);
		buf_clear(&told);
		tell(&s, &told);
		if (!str_eq(buf_str(&told), str_from_c(rows[i].words)))
			fail_msg("row %zu: " STR_FMT "\nis not  %s", i, STR_ARG(buf_str(&told)),
				rows[i].words);
	}
	buf_release(&told);
}

static void test_records_go_with_dane_alone(void **state)
{
	(void)state;
	struct security_facts facts = {.rule = ROUTE_TLS_DANE,
		.host = STR("a.test"),
		.tlsa_base = STR("a.test"),
		TLSA(mixed)};
	struct security s;
	security_decide(&facts, &s);
	assert_ptr_equal(s.tlsa, mixed);
	assert_int_equal(s.tlsa_count, 4);
	facts.tlsa = useless;
	security_decide(&facts, &s);
	assert_int_equal(s.tlsa_count, 0);
}

static void test_patterns(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *host;
		bool fits;
	} cases[] = {
		{"mx.far.test", "MX.far.test", true},
		{"mx.far.test", "xmx.far.test", false},
		{"*.far.test", "mx.far.test", true},
		{"*.far.test", "a.mx.far.test", false}, /* one label alone */
		{"*.far.test", "far.test", false},
		{"*.far.test", ".far.test", false},
		{"*.far.test", "mx.notfar.test", false},
		{"*", "mx.far.test", false},
		{"mx*.far.test", "mx1.far.test", false},
		{"", "", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str pattern = str_from_c(cases[i].pattern);
		struct sts_policy policy = {.mode = STS_ENFORCE, .mx = &pattern, .mx_count = 1};
		if (sts_policy_names(&policy, str_from_c(cases[i].host)) != cases[i].fits)
			fail_msg("%s for %s", cases[i].pattern, cases[i].host);
	}
	assert_false(sts_policy_names(&(struct sts_policy){.mode = STS_ENFORCE}, STR("a.test")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_records_go_with_dane_alone),
		cmocka_unit_test(test_patterns),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
