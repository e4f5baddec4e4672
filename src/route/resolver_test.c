#include "route/resolver.h"

#include "route/test.h"

static struct knot knot;
static struct test_loop loop;
static char signed_anchor[64], forged_anchor[64], useless_anchor[64];

static const struct test_zone zones[] = {
	{"example.test",
		"@ MX 10 mx1\n@ MX 20 mx2.example.test.\nmx1 A 192.0.2.1\nmx1 A 192.0.2.2\n"
		"mx1 AAAA 2001:db8::1\nnull MX 0 .\nalias CNAME www.other.test.\nhere CNAME mx1\nlost CNAME nowhere\n"
		"text TXT \"one\" \"two\"\n",
		false},
	{"other.test", "www A 192.0.2.80\n", false},
	{"signed.test", "@ MX 10 mx1\nmx1 A 192.0.2.1\n", true},
	{"forged.test", "@ MX 10 mx1\nmx1 A 192.0.2.1\n", true},
};

/* A question with what came of it; the answer's data as text.  */
struct question {
	struct resolver_query query;
	size_t answers;
	enum dns_result result;
	bool secure;
	uint32_t ttl;
	char text[512], canonical[256], why[256];
};

static void keep(char *to, size_t size, struct str s) { snprintf(to, size, STR_FMT, STR_ARG(s)); }

static void answered(struct resolver_query *query, const struct dns_answer *answer)
{
	struct question *q = CONTAINER_OF(query, struct question, query);
	q->answers++;
	q->result = answer->result;
	q->secure = answer->secure;
	q->ttl = answer->ttl;
	keep(q->canonical, sizeof(q->canonical), answer->canonical);
	keep(q->why, sizeof(q->why), answer->why);
	struct buf hex;
	buf_init(&hex, sizeof(q->text) - 1);
	for (uint32_t i = 0; i < answer->count; i++) {
		if (i) buf_add_c(&hex, ' ');
		for (size_t j = 0; j < answer->data[i].len; j++)
			buf_printf(&hex, "%02x", (uint8_t)answer->data[i].ptr[j]);
	}
	keep(q->text, sizeof(q->text), buf_str(&hex));
	buf_release(&hex);
}

static struct resolver *resolver(const char *anchor, enum dns_validate validate)
{
	const char *why;
	struct resolver *r = resolver_new(loop.io,
		&(struct resolver_options){.servers = &knot.address,
			.server_count = 1,
			.trust_anchor = str_from_c(anchor),
			.validate = validate},
		&why);
	if (!r) fail_msg("%s", why);
	return r;
}

static void begin(struct resolver *r, struct question *q, const char *name, enum dns_type type)
{
	*q = (struct question){.query.done = answered};
	assert_int_equal(resolver_ask(r, &q->query, str_from_c(name), type), 0);
	assert_int_equal(q->answers, 0); /* never before resolver_ask returns */
}

static struct question ask(struct resolver *r, const char *name, enum dns_type type)
{
	static struct question q;
	begin(r, &q, name, type);
	test_run_until(&loop, &q.answers, 1);
	return q;
}

/* Answers may come in any order of their records.  */
static void assert_either(const char *got, const char *a, const char *b)
{
	if (strcmp(got, a) != 0) assert_string_equal(got, b);
}

static void test_what_is_found(void **state)
{
	(void)state;
	struct resolver *r = resolver(NULL, DNS_VALIDATE_OFF);
	struct question q = ask(r, "example.test", DNS_MX);
	assert_int_equal(q.result, DNS_FOUND);
	assert_false(q.secure);
	assert_in_range(q.ttl, 1, 60);
	/* 10 mx1.example.test, 20 mx2.example.test */
	assert_either(q.text,
		"000a036d7831076578616d706c65047465737400 0014036d7832076578616d706c65047465737400",
		"0014036d7832076578616d706c65047465737400 000a036d7831076578616d706c65047465737400");
	q = ask(r, "MX1.Example.TEST.", DNS_A);
	assert_int_equal(q.result, DNS_FOUND);
	assert_either(q.text, "c0000201 c0000202", "c0000202 c0000201");
	q = ask(r, "mx1.example.test", DNS_AAAA);
	assert_string_equal(q.text, "20010db8000000000000000000000001");
	q = ask(r, "null.example.test", DNS_MX);
	assert_string_equal(q.text, "000000");
	q = ask(r, "text.example.test", DNS_TXT);
	assert_string_equal(q.text, "036f6e650374776f");
	resolver_free(r);
}

static void test_what_is_not(void **state)
{
	(void)state;
	struct resolver *r = resolver(NULL, DNS_VALIDATE_OFF);
	struct question q = ask(r, "nowhere.example.test", DNS_MX);
	assert_int_equal(q.result, DNS_NO_NAME);
	q = ask(r, "mx1.example.test", DNS_MX);
	assert_int_equal(q.result, DNS_NO_DATA);
	/* A lame server: Knot refuses what it has no zone for.  */
	q = ask(r, "lame.invalid.example", DNS_MX);
	assert_int_equal(q.result, DNS_TEMPORARY);
	assert_true(strlen(q.why) > 0);
	resolver_free(r);
}

static void test_cnames(void **state)
{
	(void)state;
	struct resolver *r = resolver(NULL, DNS_VALIDATE_OFF);
	struct question q = ask(r, "alias.example.test", DNS_A); /* into another zone */
	assert_int_equal(q.result, DNS_FOUND);
	assert_string_equal(q.text, "c0000250");
	assert_string_equal(q.canonical, "www.other.test");
	q = ask(r, "here.example.test", DNS_MX);
	assert_int_equal(q.result, DNS_NO_DATA);
	q = ask(r, "lost.example.test", DNS_A);
	assert_int_equal(q.result, DNS_NO_NAME);
	resolver_free(r);
}

static void test_names_that_cannot_be_asked(void **state)
{
	(void)state;
	struct resolver *r = resolver(NULL, DNS_VALIDATE_OFF);
	struct resolver_query q = {.done = answered};
	char name[300];
	memset(name, 'a', sizeof(name));
	assert_int_equal(resolver_ask(r, &q, str_of(name, sizeof(name)), DNS_A), -EINVAL);
	assert_int_equal(resolver_ask(r, &q, STR_NONE, DNS_A), -EINVAL);
	assert_int_equal(resolver_ask(r, &q, str_of("a\0b", 3), DNS_A), -EINVAL);
	assert_int_equal(resolver_ask(r, &q, str_of(name, 64), DNS_A), -EINVAL); /* a label of 64 */
	assert_int_equal(resolver_ask(r, &q, STR("a..b"), DNS_A), -EINVAL);
	assert_int_equal(resolver_ask(r, &q, STR("."), DNS_A), -EINVAL);
	resolver_cancel(&q); /* harmless */
	resolver_free(r);
}

static void test_names_of_this_machine(void **state)
{
	(void)state;
	struct resolver *r = resolver(NULL, DNS_VALIDATE_OFF);
	struct question q = ask(r, "localhost", DNS_A);
	assert_int_equal(q.result, DNS_FOUND);
	assert_true(strncmp(q.text, "7f000001", 8) == 0);
	resolver_free(r);
}

static void test_validation(void **state)
{
	(void)state;
	struct resolver *r = resolver(signed_anchor, DNS_VALIDATE_SELF);
	struct question q = ask(r, "signed.test", DNS_MX);
	assert_int_equal(q.result, DNS_FOUND);
	assert_true(q.secure);
	q = ask(r, "nowhere.signed.test", DNS_A);
	assert_int_equal(q.result, DNS_NO_NAME);
	assert_true(q.secure);
	q = ask(r, "mx1.signed.test", DNS_MX);
	assert_int_equal(q.result, DNS_NO_DATA);
	assert_true(q.secure);
	q = ask(r, "example.test", DNS_MX); /* no anchor, no signatures */
	assert_int_equal(q.result, DNS_FOUND);
	assert_false(q.secure);
	resolver_free(r);

	r = resolver(NULL, DNS_VALIDATE_OFF);
	q = ask(r, "signed.test", DNS_MX);
	assert_int_equal(q.result, DNS_FOUND);
	assert_false(q.secure);
	resolver_free(r);
}

static void test_forged(void **state)
{
	(void)state;
	struct resolver *r = resolver(forged_anchor, DNS_VALIDATE_SELF);
	struct question q = ask(r, "forged.test", DNS_MX);
	assert_int_equal(q.result, DNS_BOGUS);
	assert_false(q.secure);
	assert_true(strlen(q.why) > 0);
	q = ask(r, "example.test", DNS_MX);
	assert_int_equal(q.result, DNS_FOUND);
	resolver_free(r);
}

/* Pass questions on to Knot, and answers back; with `strip` as if nobody had asked for signatures.  */
static void relay(int fd, bool strip)
{
	struct sockaddr_in knot_at = {.sin_family = AF_INET,
		.sin_port = htons(knot.address.port),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	int behind = socket(AF_INET, SOCK_DGRAM, 0);
	if (connect(behind, (struct sockaddr *)&knot_at, sizeof(knot_at))) return;
	for (;;) {
		unsigned char packet[4096];
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, packet, sizeof(packet), 0, (struct sockaddr *)&from, &len);
		if (n < 12) continue;
		if (strip && packet[11] == 1) { /* EDNS is at the end, 11 octets: away with it */
			packet[11] = 0;
			n -= 11;
		}
		if (send(behind, packet, (size_t)n, 0) != n) continue;
		n = recv(behind, packet, sizeof(packet), 0);
		if (n > 0) (void)!sendto(fd, packet, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

static void answer_without_signatures(int fd) { relay(fd, true); }
static void pass_on(int fd) { relay(fd, false); }

static msec no_wall(void *context)
{
	(void)context;
	return 0;
}

static void no_write(void *context, struct str lines) { (void)context, (void)lines; }

/* Where nothing validates, from the anchor downwards, nothing counts as validated, and nothing as forged.  */
static void test_nothing_validates(void **state)
{
	(void)state;
	struct log log;
	log_init(&log, LOG_TEXT, LOG_INFO);
	log.wall = no_wall;
	log.write = no_write;
	const char *why;
	struct resolver *r = resolver_new(loop.io,
		&(struct resolver_options){.servers = &knot.address,
			.server_count = 1,
			.trust_anchor = str_from_c(useless_anchor),
			.validate = DNS_VALIDATE_SELF,
			.log = &log},
		&why);
	if (!r) fail_msg("%s", why);
	static struct question all[20]; /* asked before it is known */
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		begin(r, &all[i], i % 2 ? "forged.test" : "mx1.forged.test",
			i % 2 ? DNS_MX : DNS_A);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		test_run_until(&loop, &all[i].answers, 1);
		assert_int_equal(all[i].result, DNS_FOUND);
		assert_false(all[i].secure);
	}
	struct question q = ask(r, "forged.test", DNS_MX);
	assert_int_equal(q.result, DNS_FOUND);
	assert_false(q.secure);
	assert_int_equal(ask(r, "nowhere.forged.test", DNS_MX).result, DNS_NO_NAME);
	resolver_free(r);
	assert_true(str_contains(buf_str(&log.lines), STR("event=dnssec-off")));
	assert_true(str_contains(buf_str(&log.lines), STR("forged.test")));
	log_release(&log);
}

/* What stands between strips signatures, then no more.  */
static void test_validates_again(void **state)
{
	(void)state;
	struct log log;
	log_init(&log, LOG_TEXT, LOG_INFO);
	log.wall = no_wall;
	log.write = no_write;
	const char *why;
	struct net_address stripper = knot.address;
	int fd = test_udp_socket(&stripper.port);
	pid_t pid = test_child(NULL, NULL, answer_without_signatures, fd);
	struct resolver *r = resolver_new(loop.io,
		&(struct resolver_options){.servers = &stripper,
			.server_count = 1,
			.trust_anchor = str_from_c(signed_anchor),
			.validate = DNS_VALIDATE_SELF,
			.retest = 200,
			.log = &log},
		&why);
	if (!r) fail_msg("%s", why);
	struct question q = ask(r, "signed.test", DNS_MX);
	assert_int_equal(q.result, DNS_FOUND);
	assert_false(q.secure);
	test_reap(pid);
	pid = test_child(NULL, NULL, pass_on, fd);
	for (int i = 0; i < 100 && !str_contains(buf_str(&log.lines), STR("event=dnssec-on")); i++)
		test_run_ms(&loop, 100);
	q = ask(r, "signed.test", DNS_MX);
	assert_int_equal(q.result, DNS_FOUND);
	assert_true(q.secure);
	resolver_free(r);
	test_reap(pid);
	close(fd);
	log_release(&log);
}

static void test_ended_while_it_is_not_known(void **state)
{
	(void)state;
	for (int ms = 0; ms < 30; ms += 3) {
		struct resolver *r = resolver(useless_anchor, DNS_VALIDATE_SELF);
		struct question kept, gone;
		begin(r, &kept, "forged.test", DNS_MX);
		begin(r, &gone, "forged.test", DNS_A);
		test_run_ms(&loop, ms);
		resolver_cancel(&gone.query);
		resolver_free(r);
		test_run_ms(&loop, 1);
	}
}

static void test_anchors_that_cannot_be_used(void **state)
{
	(void)state;
	const char *why = NULL;
	struct resolver_options o = {
		.servers = &knot.address, .server_count = 1, .validate = DNS_VALIDATE_SELF};
	o.trust_anchor = STR("/nonexistent/anchor");
	assert_null(resolver_new(loop.io, &o, &why));
	assert_non_null(strstr(why, "trust_anchor"));
	char path[64];
	snprintf(path, sizeof(path), "%s/garbage", knot.dir);
	FILE *f = knot_file(&knot, "garbage");
	fputs("this is not a key\n", f);
	fclose(f);
	o.trust_anchor = str_from_c(path);
	assert_null(resolver_new(loop.io, &o, &why));
	assert_non_null(strstr(why, "anchor"));
}

static struct resolver *believer(const struct net_address *servers, uint32_t count)
{
	const char *why;
	struct resolver *r = resolver_new(loop.io,
		&(struct resolver_options){.servers = servers,
			.server_count = count,
			.validate = DNS_VALIDATE_RESOLVER},
		&why);
	if (!r) fail_msg("%s", why);
	return r;
}

static void test_believing_the_resolver(void **state)
{
	(void)state;
	struct net_address server = knot.address;
	int listener = test_listen_tcp(&server.port);
	pid_t pid = test_child(NULL, NULL, test_validating_server, listener);
	struct resolver *r = believer(&server, 1);
	struct question mute, gone;
	begin(r, &mute, "mute.example", DNS_A);
	begin(r, &gone, "mute.gone.example", DNS_A);
	resolver_cancel(&gone.query);
	struct question q = ask(r, "anything.example", DNS_A);
	assert_int_equal(q.result, DNS_FOUND);
	assert_string_equal(q.text, "c0000209");
	assert_true(q.secure);
	assert_int_equal(q.ttl, 60);
	resolver_free(r); /* with a question open */
	assert_int_equal(mute.answers, 0);
	assert_int_equal(gone.answers, 0);
	test_reap(pid);
	close(listener);
}

/* What says nothing of validation is not believed; what is found is the same.  */
static void test_a_resolver_that_does_not_validate(void **state)
{
	(void)state;
	struct resolver *r = believer(&knot.address, 1);
	struct question q = ask(r, "signed.test", DNS_MX);
	assert_int_equal(q.result, DNS_FOUND);
	assert_false(q.secure);
	assert_string_equal(q.text, "000a036d7831067369676e6564047465737400");
	q = ask(r, "here.example.test", DNS_AAAA);
	assert_string_equal(q.text, "20010db8000000000000000000000001");
	assert_string_equal(q.canonical, "mx1.example.test");
	q = ask(r, "nowhere.example.test", DNS_MX);
	assert_int_equal(q.result, DNS_NO_NAME);
	q = ask(r, "mx1.example.test", DNS_MX);
	assert_int_equal(q.result, DNS_NO_DATA);
	q = ask(r, "lame.invalid.example", DNS_MX);
	assert_int_equal(q.result, DNS_TEMPORARY);
	resolver_free(r);
}

static void test_cancelling(void **state)
{
	(void)state;
	struct resolver *r = resolver(NULL, DNS_VALIDATE_OFF);
	struct question *gone = malloc(sizeof(*gone)), stays;
	begin(r, gone, "c1.example.test", DNS_A);
	begin(r, &stays, "c2.example.test", DNS_A);
	resolver_cancel(&gone->query);
	resolver_cancel(&gone->query);
	free(gone);
	test_run_until(&loop, &stays.answers, 1);
	test_run_ms(&loop, 50);
	resolver_cancel(&stays.query); /* after the end: harmless */
	/* One that is open when the resolver goes.  */
	begin(r, &stays, "c3.example.test", DNS_A);
	resolver_free(r);
	test_run_ms(&loop, 50);
	assert_int_equal(stays.answers, 0);
	assert_null(stays.query.private);
}

static size_t all_answers, good_answers;
static void count_answer(struct resolver_query *q, const struct dns_answer *answer)
{
	(void)q;
	all_answers++;
	good_answers += answer->result == DNS_NO_NAME;
}

static void ask_many(struct resolver *r)
{
	enum { MANY = 500 };
	static struct resolver_query queries[MANY];
	all_answers = good_answers = 0;
	for (int i = 0; i < MANY; i++) {
		char name[64];
		snprintf(name, sizeof(name), "many-%d.example.test", i);
		queries[i] = (struct resolver_query){.done = count_answer};
		assert_int_equal(resolver_ask(r, &queries[i], str_from_c(name), DNS_MX), 0);
	}
	test_run_until(&loop, &all_answers, MANY);
	assert_int_equal(good_answers, MANY);
	resolver_free(r);
}

static void test_many_at_once(void **state)
{
	(void)state;
	ask_many(resolver(NULL, DNS_VALIDATE_OFF));
	ask_many(believer(&knot.address, 1));
}

/* A server that is never heard: both questions end, at 12 s, and others are not held up.  */
static void test_silence(void **state)
{
	(void)state;
	struct net_address real = knot.address;
	int fd = test_udp_socket(&knot.address.port);
	struct resolver *r = resolver(NULL, DNS_VALIDATE_OFF);
	struct question q, other;
	begin(r, &q, "example.test", DNS_MX);
	begin(r, &other, "localhost", DNS_A);
	msec began = io_now_us(loop.io) / 1000;
	test_run_until(&loop, &other.answers, 1);
	loop.counter = &q.answers, loop.wanted = 1;
	test_run(&loop, SECONDS(16));
	loop.counter = NULL;
	assert_int_equal(q.answers, 1);
	assert_int_equal(q.result, DNS_TEMPORARY);
	assert_true(strlen(q.why) > 0);
	assert_in_range(io_now_us(loop.io) / 1000 - began, 1000, 15000);
	resolver_free(r);
	close(fd);
	knot.address = real;
}

/* The DS records in `from`, with another digest if wanted: then every signature of their zone must fail.  */
static void copy_anchor(FILE *out, const char *from, bool wrong)
{
	char line[512];
	FILE *in = fopen(from, "r");
	assert_non_null(in);
	while (fgets(line, sizeof(line), in)) {
		char *last = line + strcspn(line, "\n") - 1;
		if (wrong) *last = *last == '0' ? '1' : '0';
		fputs(line, out);
	}
	fclose(in);
}

static void write_anchors(void)
{
	char real[64];
	snprintf(signed_anchor, sizeof(signed_anchor), "%s",
		knot_write_anchor(&knot, "signed.test", "signed.ds"));
	snprintf(real, sizeof(real), "%s", knot_write_anchor(&knot, "forged.test", "forged.keys"));
	snprintf(forged_anchor, sizeof(forged_anchor), "%s/forged.ds", knot.dir);
	FILE *out = knot_file(&knot, "forged.ds");
	copy_anchor(out, signed_anchor, false);
	copy_anchor(out, real, true);
	fclose(out);
	snprintf(useless_anchor, sizeof(useless_anchor), "%s/useless.ds", knot.dir);
	out = knot_file(&knot, "useless.ds");
	fputs("; an old one\n\n", out);
	copy_anchor(out, real, true);
	fclose(out);
}

static int up(void **state)
{
	(void)state;
	test_loop_init(&loop);
	knot_start(&knot, zones, ARRAY_LEN(zones));
	write_anchors();
	return 0;
}

static int down(void **state)
{
	(void)state;
	knot_stop(&knot);
	io_free(loop.io);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_found),
		cmocka_unit_test(test_what_is_not),
		cmocka_unit_test(test_cnames),
		cmocka_unit_test(test_names_that_cannot_be_asked),
		cmocka_unit_test(test_names_of_this_machine),
		cmocka_unit_test(test_validation),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_nothing_validates),
		cmocka_unit_test(test_validates_again),
		cmocka_unit_test(test_ended_while_it_is_not_known),
		cmocka_unit_test(test_anchors_that_cannot_be_used),
		cmocka_unit_test(test_believing_the_resolver),
		cmocka_unit_test(test_a_resolver_that_does_not_validate),
		cmocka_unit_test(test_cancelling),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_silence),
	};
	if (!knot_there()) {
		puts("skipped: /usr/sbin/knotd is not installed (apt-get install knot)");
		return 77;
	}
	return cmocka_run_group_tests(tests, up, down);
}
