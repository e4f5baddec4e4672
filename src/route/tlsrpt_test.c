#include "route/tlsrpt.h"

#include "base/test.h"

#include <jansson.h>

static struct tlsrpt_day day;
static struct mtasts_known *known;
static const struct str patterns[] = {{"mx.example.net", 14}, {"*.example.net", 13}};
static struct net_address peer, local;

static int setup(void **state)
{
	(void)state;
	tlsrpt_day_init(&day, 1800000000000 - 1800000000000 % 86400000, 1800000000000 + 1, 7);
	day.end = day.begin + DAYS(1);
	static struct mtasts_known k;
	k = (struct mtasts_known){.policy = {STS_ENFORCE, patterns, 2}, .max_age = 86400};
	known = &k;
	assert_true(net_parse(STR("192.0.2.1"), &peer));
	assert_true(net_parse(STR("2001:db8::5"), &local));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tlsrpt_day_release(&day);
	return 0;
}

static struct tlsrpt_session session(enum tlsrpt_policy policy, enum tlsrpt_result result)
{
	return (struct tlsrpt_session){.domain = STR("example.net"),
		.policy = policy,
		.sts = policy == TLSRPT_STS ? known : NULL,
		.result = result,
		.host = STR("mx.example.net"),
		.peer = &peer,
		.local = &local,
		.words = STR("why\nnot")};
}

static void note(enum tlsrpt_policy policy, enum tlsrpt_result result)
{
	struct tlsrpt_session s = session(policy, result);
	tlsrpt_note(&day, &s);
}

static struct tlsrpt_domain *only_domain(void)
{
	assert_int_equal(day.names.len, 1);
	return CONTAINER_OF(day.domains.next, struct tlsrpt_domain, link);
}

static json_t *report(void)
{
	static const struct tlsrpt_about about = {
		.organization = {"Example", 7}, .contact = {"a@b.example", 11}, .id = {"id@b", 4}};
	struct buf text;
	buf_init(&text, 1 << 20);
	assert_true(tlsrpt_report(&text, &about, &day, only_domain()));
	json_t *o = json_loadb(text.ptr, text.len, 0, NULL);
	assert_non_null(o);
	buf_release(&text);
	return o;
}

/* The text at "a/0/b".  */
static const char *at(const json_t *o, const char *path)
{
	static char text[200];
	struct str rest = str_from_c(path), key;
	while (o && rest.len) {
		char name[64];
		str_cut(&rest, '/', &key);
		snprintf(name, sizeof name, STR_FMT, STR_ARG(key));
		o = ascii_digit(name[0]) ? json_array_get(o, (size_t)(name[0] - '0'))
					 : json_object_get(o, name);
	}
	if (json_is_integer(o))
		snprintf(text, sizeof text, "%lld", (long long)json_integer_value(o));
	else
		snprintf(text, sizeof text, "%s",
			json_is_string(o) ? json_string_value(o) : "nothing");
	return text;
}

static void a_report_has_what_the_standard_wants(void **state)
{
	(void)state;
	note(TLSRPT_STS, TLSRPT_SUCCESS);
	note(TLSRPT_STS, TLSRPT_SUCCESS);
	note(TLSRPT_STS, TLSRPT_EXPIRED);
	note(TLSRPT_STS, TLSRPT_EXPIRED);
	note(TLSRPT_STS, TLSRPT_HOST_MISMATCH);
	note(TLSRPT_NO_POLICY, TLSRPT_SUCCESS);
	struct tlsrpt_session fetch = {.domain = STR("EXAMPLE.net"),
		.policy = TLSRPT_STS,
		.result = TLSRPT_STS_FETCH_ERROR,
		.words = STR("404")};
	tlsrpt_note(&day, &fetch);
	json_t *o = report();
	assert_string_equal(at(o, "organization-name"), "Example");
	assert_string_equal(at(o, "contact-info"), "a@b.example");
	assert_string_equal(at(o, "report-id"), "id@b");
	assert_string_equal(at(o, "date-range/start-datetime"), "2027-01-15T00:00:00Z");
	assert_string_equal(at(o, "date-range/end-datetime"), "2027-01-15T23:59:59Z");
	assert_string_equal(at(o, "policies/0/policy/policy-type"), "sts");
	assert_string_equal(at(o, "policies/0/policy/policy-domain"), "example.net");
	assert_string_equal(at(o, "policies/0/policy/policy-string/0"), "version: STSv1");
	assert_string_equal(at(o, "policies/0/policy/policy-string/3"), "mx: *.example.net");
	assert_string_equal(at(o, "policies/0/policy/mx-host/1"), "*.example.net");
	assert_string_equal(at(o, "policies/0/summary/total-successful-session-count"), "2");
	assert_string_equal(at(o, "policies/0/summary/total-failure-session-count"), "3");
	assert_string_equal(
		at(o, "policies/0/failure-details/0/result-type"), "certificate-expired");
	assert_string_equal(at(o, "policies/0/failure-details/0/failed-session-count"), "2");
	assert_string_equal(
		at(o, "policies/0/failure-details/0/receiving-mx-hostname"), "mx.example.net");
	assert_string_equal(at(o, "policies/0/failure-details/0/receiving-ip"), "192.0.2.1");
	assert_string_equal(at(o, "policies/0/failure-details/0/sending-mta-ip"), "2001:db8::5");
	assert_string_equal(at(o, "policies/0/failure-details/0/failure-reason-code"), "why?not");
	assert_string_equal(
		at(o, "policies/0/failure-details/1/result-type"), "certificate-host-mismatch");
	assert_string_equal(at(o, "policies/1/policy/policy-type"), "no-policy-found");
	assert_string_equal(at(o, "policies/1/policy/policy-string"), "nothing");
	assert_string_equal(at(o, "policies/1/failure-details"), "nothing");
	assert_string_equal(
		at(o, "policies/2/failure-details/0/result-type"), "sts-policy-fetch-error");
	assert_string_equal(at(o, "policies/2/failure-details/0/receiving-ip"), "nothing");
	json_decref(o);
}

static void records_of_dane_are_the_policy(void **state)
{
	(void)state;
	struct tls_tlsa tlsa[] = {{3, 1, 1, {"\x01\xab", 2}}, {2, 0, 1, {"\xff", 1}}};
	struct tlsrpt_session s = session(TLSRPT_TLSA, TLSRPT_NOT_TRUSTED);
	s.tlsa = tlsa, s.tlsa_count = 2;
	tlsrpt_note(&day, &s);
	json_t *o = report();
	assert_string_equal(at(o, "policies/0/policy/policy-type"), "tlsa");
	assert_string_equal(at(o, "policies/0/policy/policy-string/0"), "3 1 1 01ab");
	assert_string_equal(at(o, "policies/0/policy/policy-string/1"), "2 0 1 ff");
	json_decref(o);
}

static void every_result_has_its_name(void **state)
{
	(void)state;
	for (int r = TLSRPT_SUCCESS + 1; r < TLSRPT_RESULTS; r++)
		assert_true(strlen(tlsrpt_result_name((enum tlsrpt_result)r)) > 5);
}

static void our_own_reports_are_not_worth_one(void **state)
{
	(void)state;
	tlsrpt_note_own(&day, STR("example.net"));
	assert_false(tlsrpt_worth_telling(only_domain()));
	note(TLSRPT_NO_POLICY, TLSRPT_SUCCESS);
	assert_false(tlsrpt_worth_telling(only_domain()));
	note(TLSRPT_NO_POLICY, TLSRPT_SUCCESS);
	assert_true(tlsrpt_worth_telling(only_domain()));
	tlsrpt_note_own(&day, STR("example.net"));
	assert_false(tlsrpt_worth_telling(only_domain()));
	note(TLSRPT_NO_POLICY, TLSRPT_EXPIRED);
	assert_true(tlsrpt_worth_telling(only_domain()));
}

static void what_is_counted_is_bounded(void **state)
{
	(void)state;
	struct tlsrpt_session s = session(TLSRPT_NO_POLICY, TLSRPT_EXPIRED);
	char name[64];
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "mx%d.example.net", i);
		s.host = str_from_c(name);
		tlsrpt_note(&day, &s);
		known->max_age = (uint32_t)i;
		note(TLSRPT_STS, TLSRPT_SUCCESS);
	}
	json_t *o = report();
	assert_string_equal(at(o, "policies/0/summary/total-failure-session-count"), "200");
	assert_int_equal(
		json_array_size(json_object_get(
			json_array_get(json_object_get(o, "policies"), 0), "failure-details")),
		64);
	assert_int_equal(json_array_size(json_object_get(o, "policies")), 16);
	json_decref(o);
	for (int i = 0; i < 300000; i++) {
		snprintf(name, sizeof name, "d%d.example", i);
		s.domain = str_from_c(name);
		tlsrpt_note(&day, &s);
	}
	assert_true(day.octets <= 32 << 20);
	assert_true(day.names.len > 10000 && day.names.len < 200000);
	s.domain = STR_NONE;
	tlsrpt_note(&day, &s);
}

/* ---- as text ---- */

static void write_day(struct buf *out)
{
	buf_init(out, 1 << 20);
	tlsrpt_write(out, &day);
	assert_true(buf_ok(out));
}

static void days_survive_as_text(void **state)
{
	(void)state;
	struct tls_tlsa tlsa = {3, 1, 1, {"\x01\xab", 2}};
	note(TLSRPT_STS, TLSRPT_SUCCESS);
	note(TLSRPT_STS, TLSRPT_EXPIRED);
	note(TLSRPT_STS, TLSRPT_EXPIRED);
	note(TLSRPT_NO_POLICY, TLSRPT_SUCCESS);
	struct tlsrpt_session s = session(TLSRPT_TLSA, TLSRPT_DNSSEC_INVALID);
	s.tlsa = &tlsa, s.tlsa_count = 1, s.peer = s.local = NULL, s.host = STR_NONE,
	s.words = STR_NONE;
	tlsrpt_note(&day, &s);
	s.domain = STR("other.example");
	tlsrpt_note(&day, &s);
	tlsrpt_note_own(&day, STR("third.example"));
	day.send_at = day.end + 5;
	CONTAINER_OF(day.domains.next, struct tlsrpt_domain, link)->sent = 5;
	struct buf text, again;
	write_day(&text);
	struct tlsrpt_day days[2];
	uint32_t count;
	assert_true(tlsrpt_read(buf_str(&text), 3, days, 2, &count));
	assert_int_equal(count, 1);
	tlsrpt_day_release(&day);
	tlsrpt_day_move(&day, &days[0]);
	tlsrpt_day_release(&days[0]);
	write_day(&again);
	assert_true(str_eq(buf_str(&again), buf_str(&text)));
	buf_release(&again);

	/* Cut anywhere it is no trouble.  */
	for (size_t len = 0; len < text.len; len++) {
		struct tlsrpt_day some[2];
		char *copy = malloc(len ? len : 1);
		memcpy(copy, text.ptr, len);
		(void)tlsrpt_read(str_of(copy, len), 3, some, 2, &count);
		for (uint32_t i = 0; i < count; i++) tlsrpt_day_release(&some[i]);
		free(copy);
	}
	buf_release(&text);
}

static void nonsense_is_no_day(void **state)
{
	(void)state;
	static const char *const bad[] = {"x", "day", "day 1 1 0", "day 1 2", "day 1 x 2",
		"domain a 1 1 1", "policy 0 1 1", "day 1 2 0\npolicy 0 1 1",
		"day 1 2 0\ndomain a 1", "day 1 2 0\ndomain a 0 0 0\npolicy 9 1 1",
		"day 1 2 0\ndomain a 0 0 0\ntext x",
		"day 1 2 0\ndomain a 0 0 0\nfailure 1 1 - - - ",
		"day 1 2 0\ndomain a 0 0 0\npolicy 0 1 1\nfailure 99 1 - - - ",
		"day 1 2 0\ndomain a 0 0 0\npolicy 0 1 1\nfailure 1 1 nowhere - - ",
		"day 1 2 0\nday 2 3 0\nday 3 4 0\n"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct tlsrpt_day days[2];
		uint32_t count;
		if (tlsrpt_read(str_from_c(bad[i]), 3, days, 2, &count)) fail_msg("%s", bad[i]);
		for (uint32_t d = 0; d < count; d++) tlsrpt_day_release(&days[d]);
	}
}

/* ---- the record ---- */

static const char *uris_of(const char *text)
{
	static char uris[2000];
	char rdata[256];
	struct tlsrpt_record r = {0};
	rdata[0] = (char)strlen(text);
	memcpy(rdata + 1, text, strlen(text));
	tlsrpt_take_record(&r, str_of(rdata, strlen(text) + 1));
	if (!r.count) return "not ours";
	if (!r.valid) return "bad";
	struct buf b = {.ptr = uris, .cap = sizeof uris, .max = sizeof uris};
	for (uint32_t i = 0; i < r.uri_count; i++) buf_printf(&b, "%s ", r.uris[i]);
	buf_add_c(&b, '\0');
	return uris;
}

static void records(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{"v=TLSRPTv1; rua=mailto:reports@example.com", "mailto:reports@example.com "},
		{"v=TLSRPTv1;rua=https://r.example.com/v1/tlsrpt;",
			"https://r.example.com/v1/tlsrpt "},
		{"v=TLSRPTv1 ; x=y; rua=mailto:a@b.example , https://c.example/ ; z=1",
			"mailto:a@b.example https://c.example/ "},
		{"v=TLSRPTv1; rua=http://plain.example/,ftp://x.example/,mailto:a@b.example",
			"mailto:a@b.example "},
		{"v=TLSRPTv1; rua=mailto:1@x.example,mailto:2@x.example,mailto:3@x.example,mailto:4@x.example,mailto:5@x.example",
			"mailto:1@x.example mailto:2@x.example mailto:3@x.example mailto:4@x.example "},
		{"v=TLSRPTv1; rua=nothing", "bad"},
		{"v=TLSRPTv1; rua=mailto:a@b.example; rua=mailto:c@b.example", "bad"},
		{"v=TLSRPTv1; rua=mailto:a b@c.example", "bad"},
		{"v=TLSRPTv1", "bad"},
		{"v=TLSRPTv2; rua=mailto:a@b.example", "not ours"},
		{"v=spf1", "not ours"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(uris_of(cases[i][0]), cases[i][1]);
}

static void addresses(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{"mailto:reports@example.com", "reports@example.com"},
		{"MAILTO:re%2Bports@example.com?subject=x", "re+ports@example.com"},
		{"mailto:a%2", NULL},
		{"mailto:a%zz@b.example", NULL},
		{"mailto:", NULL},
		{"mailto:nobody", NULL},
		{"mailto:a%0d%0aB@c.example", NULL},
		{"mailto:a@b.example%3e%0d%0a", NULL},
		{"https://a@b.example", NULL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf b;
		buf_init(&b, 300);
		bool fine = tlsrpt_mailto(str_from_c(cases[i][0]), &b);
		if (fine != (cases[i][1] != NULL)) fail_msg("%s", cases[i][0]);
		if (fine) assert_str(buf_str(&b), cases[i][1]);
		buf_release(&b);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_report_has_what_the_standard_wants),
		TEST(records_of_dane_are_the_policy),
		TEST(every_result_has_its_name),
		TEST(our_own_reports_are_not_worth_one),
		TEST(what_is_counted_is_bounded),
		TEST(days_survive_as_text),
		TEST(nonsense_is_no_day),
		TEST(records),
		TEST(addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
