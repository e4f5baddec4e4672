/* A world of the test's own stands behind mtasts: its clock, its disk, its DNS, its web.  */
#include "route/mtasts.h"

#include "base/test.h"
#include "io/file.h"

#include <errno.h>
#include <stdlib.h>

struct io {
	struct timers timers;
	msec now;
	msec wall;
};

static struct io io;
static struct log nolog;
static struct mtasts *mtasts;
static char disk[64 << 10];
static bool disk_there, disk_fails;
static size_t saves;
static struct io_work *work;

msec io_now(const struct io *i) { return i->now; }
msec io_wall(const struct io *i) { return i->wall; }
void io_timer_set(struct io *i, struct timer *timer, msec at)
{
	assert_true(timer_set(&i->timers, timer, at));
}
void io_timer_cancel(struct io *i, struct timer *timer) { timer_cancel(&i->timers, timer); }
void io_work(struct io_workers *workers, struct io_work *w)
{
	(void)workers;
	assert_null(work);
	work = w;
}

int io_file_load(struct io *i, const char *path, struct buf *out)
{
	(void)i;
	assert_string_equal(path, "/state/mta-sts");
	if (!disk_there) return -ENOENT;
	buf_add(out, str_from_c(disk));
	return 0;
}

int io_file_save(struct io *i, const char *path, struct str content)
{
	(void)i;
	assert_string_equal(path, "/state/mta-sts");
	if (disk_fails) return -EIO;
	assert_true(content.len < sizeof disk);
	if (content.len) memcpy(disk, content.ptr, content.len);
	disk[content.len] = '\0';
	disk_there = true;
	saves++;
	return 0;
}

/* ---- DNS: questions stay open until dns_run ---- */

static struct list questions;
static const char *txt; /* NULL: no such record */
static enum dns_result txt_result;
static bool dns_mute, no_address;
static size_t txt_asked;

struct question {
	struct list link;
	struct resolver_query *query;
	enum dns_type type;
};

int resolver_ask(struct resolver *r, struct resolver_query *q, struct str name, enum dns_type type)
{
	assert_ptr_equal(r, (struct resolver *)1);
	assert_null(q->private);
	struct question *question = calloc(1, sizeof *question);
	question->query = q;
	question->type = type;
	list_push_back(&questions, &question->link);
	q->private = question;
	txt_asked += type == DNS_TXT;
	assert_true(type == DNS_TXT ? str_starts(name, STR("_mta-sts."))
				    : str_starts(name, STR("mta-sts.")));
	return 0;
}

void resolver_cancel(struct resolver_query *q)
{
	struct question *question = q->private;
	if (!question) return;
	list_remove(&question->link);
	free(question);
	q->private = NULL;
}

static void answer_one(struct question *question)
{
	struct resolver_query *q = question->query;
	char rdata[256];
	struct str data[2] = {str_of("\xc0\x00\x02\x01", 4), str_of("\xc0\x00\x02\x02", 4)};
	struct dns_answer answer = {.result = DNS_NO_DATA};
	if (question->type == DNS_A && !no_address)
		answer = (struct dns_answer){.result = DNS_FOUND, .count = 2, .data = data};
	if (question->type == DNS_TXT) answer.result = txt_result;
	if (question->type == DNS_TXT && txt && txt_result == DNS_FOUND) {
		rdata[0] = (char)strlen(txt);
		memcpy(rdata + 1, txt, strlen(txt));
		data[0] = str_of(rdata, strlen(txt) + 1);
		answer.count = 1;
		answer.data = data;
	}
	resolver_cancel(q);
	q->done(q, &answer);
}

static void dns_run(void)
{
	while (!dns_mute && !list_empty(&questions))
		answer_one(CONTAINER_OF(questions.next, struct question, link));
}

/* ---- the web ---- */

static struct io_fetch *request;
static size_t fetches;
static char url[300], addresses[300];

int io_fetch(struct io_fetcher *f, struct io_fetch *fetch)
{
	assert_ptr_equal(f, (struct io_fetcher *)2);
	assert_null(request);
	assert_false(fetch->plain);
	snprintf(url, sizeof url, "%s", fetch->url);
	snprintf(addresses, sizeof addresses, "%s", fetch->resolve);
	request = fetch;
	fetches++;
	return 0;
}

void io_fetch_clear(struct io_fetch *fetch)
{
	if (request == fetch) request = NULL;
	buf_release(&fetch->answer);
	buf_release(&fetch->answer_headers);
}

struct str io_fetch_header(const struct io_fetch *fetch, struct str name)
{
	assert_str(name, "Content-Type");
	return buf_str(&fetch->answer_headers);
}

static void web_answers(enum io_fetch_error error, int status, const char *type, const char *body)
{
	assert_non_null(request);
	struct io_fetch *f = request;
	request = NULL;
	f->error = error;
	f->status = status;
	if (error) snprintf(f->why, sizeof f->why, "no answer today");
	buf_init(&f->answer, 64 << 10);
	buf_init(&f->answer_headers, 1000);
	buf_add(&f->answer, str_from_c(body));
	buf_add(&f->answer_headers, str_from_c(type));
	f->done(f);
}

#define POLICY(mode, mx, age) "version: STSv1\nmode: " mode "\nmx: " mx "\nmax_age: " age "\n"

static const char enforce[] = POLICY("enforce", "mx.example.net", "604800");

static void web_serves(const char *policy)
{
	web_answers(IO_FETCH_ANSWERED, 200, "text/plain; charset=utf-8", policy);
}

/* ---- time ---- */

static void work_run(void)
{
	struct io_work *w = work;
	work = NULL;
	if (!w) return;
	w->run(w);
	w->done(w);
}

/* Let time pass, with DNS at work; the web waits for the test.  */
static void pass(msec ms)
{
	msec end = io.now + ms;
	dns_run();
	for (msec next; (next = timers_next(&io.timers)) <= end;) {
		io.wall += next - io.now;
		io.now = next;
		timers_fire(&io.timers, io.now);
		dns_run();
		work_run();
	}
	io.wall += end - io.now;
	io.now = end;
}

static void begin(void)
{
	struct mtasts_options options = {.resolver = (struct resolver *)1,
		.fetcher = (struct io_fetcher *)2,
		.workers = NULL,
		.path = "/state/mta-sts",
		.port = 443,
		.log = &nolog};
	mtasts = mtasts_new(&io, &options, 7);
	assert_non_null(mtasts);
}

static void restart(void)
{
	mtasts_free(mtasts);
	begin();
}

static msec no_wall(void *context)
{
	(void)context;
	return 0;
}

static void no_write(void *context, struct str lines) { (void)context, (void)lines; }

static int setup(void **state)
{
	(void)state;
	io = (struct io){.now = 1000, .wall = 1800000000000};
	timers_init(&io.timers);
	log_init(&nolog, LOG_TEXT, LOG_ERROR);
	nolog.wall = no_wall;
	nolog.write = no_write;
	list_init(&questions);
	request = NULL;
	work = NULL;
	fetches = saves = txt_asked = 0;
	disk_there = disk_fails = dns_mute = no_address = false;
	txt = "v=STSv1; id=1;";
	txt_result = DNS_FOUND;
	begin();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mtasts_free(mtasts);
	assert_true(list_empty(&questions));
	assert_int_equal(timers_next(&io.timers), MSEC_NEVER);
	timers_release(&io.timers);
	log_release(&nolog);
	return 0;
}

/* ---- look-ups ---- */

static size_t dones;
static void looked_up(struct mtasts_lookup *l)
{
	(void)l;
	dones++;
}

static struct mtasts_lookup lookup = {.done = looked_up};

static void look_up(const char *domain)
{
	dones = 0;
	mtasts_look_up(mtasts, &lookup, str_from_c(domain));
	assert_int_equal(dones, 0);
	dns_run();
}

/* "enforce 1 mx.example.net", "none known", and a trouble behind.  */
static const char *found(void)
{
	static char text[300];
	const struct mtasts_known *k = lookup.known;
	assert_int_equal(dones, 1);
	if (!k)
		snprintf(text, sizeof text, "nothing");
	else
		snprintf(text, sizeof text, "%s %s " STR_FMT, mtasts_mode_name(k->policy.mode),
			k->id, STR_ARG(k->policy.mx[0]));
	static const char *const troubles[] = {"", ", fetch error", ", invalid", ", webpki"};
	size_t len = strlen(text);
	snprintf(text + len, sizeof text - len, "%s", troubles[lookup.trouble]);
	mtasts_lookup_clear(&lookup);
	return text;
}

static const char *ask(const char *domain)
{
	look_up(domain);
	return found();
}

static void know(void)
{
	look_up("example.net");
	web_serves(enforce);
	assert_string_equal(found(), "enforce 1 mx.example.net");
}

/* ---- tests ---- */

static void first_mail_waits_for_the_policy(void **state)
{
	(void)state;
	look_up("example.net");
	assert_int_equal(dones, 0);
	assert_string_equal(url, "https://mta-sts.example.net/.well-known/mta-sts.txt");
	assert_string_equal(addresses, "mta-sts.example.net:443:192.0.2.1,192.0.2.2");
	web_serves(enforce);
	assert_string_equal(found(), "enforce 1 mx.example.net");
	assert_string_equal(ask("example.net"), "enforce 1 mx.example.net");
	assert_string_equal(ask("EXAMPLE.net"), "enforce 1 mx.example.net");
	assert_int_equal(fetches, 1);
}

static void no_record_no_policy(void **state)
{
	(void)state;
	txt_result = DNS_NO_NAME;
	assert_string_equal(ask("example.net"), "nothing");
	txt_result = DNS_TEMPORARY;
	assert_string_equal(ask("example.net"), "nothing");
	txt_result = DNS_FOUND;
	txt = "v=STSv1; nothing";
	assert_string_equal(ask("example.net"), "nothing");
	assert_int_equal(fetches, 0);
}

static void a_slow_web_server_holds_mail_up_for_seconds(void **state)
{
	(void)state;
	look_up("example.net");
	pass(4000);
	assert_int_equal(dones, 0);
	pass(2000);
	assert_string_equal(found(), "nothing");
	assert_non_null(request); /* goes on */
	look_up("example.net");
	web_serves(enforce);
	assert_string_equal(found(), "enforce 1 mx.example.net");
	assert_int_equal(fetches, 1);
}

static void mute_dns_holds_mail_up_for_seconds(void **state)
{
	(void)state;
	know();
	dns_mute = true;
	look_up("other.example");
	pass(6000);
	assert_string_equal(found(), "nothing");
	look_up("example.net");
	pass(6000);
	assert_string_equal(found(), "enforce 1 mx.example.net"); /* remembered */
}

static void what_is_remembered_outlives_its_record(void **state)
{
	(void)state;
	know();
	txt_result = DNS_NO_NAME;
	assert_string_equal(ask("example.net"), "enforce 1 mx.example.net");
	pass(DAYS(6));
	assert_string_equal(ask("example.net"), "enforce 1 mx.example.net");
	pass(DAYS(1));
	assert_string_equal(ask("example.net"), "nothing");
	assert_int_equal(fetches, 1);
}

static void another_id_is_another_policy(void **state)
{
	(void)state;
	know();
	txt = "v=STSv1; id=2;";
	look_up("example.net");
	web_serves(POLICY("testing", "*.example.net", "86400"));
	assert_string_equal(found(), "testing 2 *.example.net");
}

static void failures_keep_what_is_remembered(void **state)
{
	(void)state;
	know();
	txt = "v=STSv1; id=2;";
	look_up("example.net");
	web_answers(IO_FETCH_CERTIFICATE, 0, "", "");
	assert_string_equal(found(), "enforce 1 mx.example.net, webpki");
	assert_string_equal(ask("example.net"), "enforce 1 mx.example.net, webpki");
	assert_int_equal(fetches, 2); /* not again for five minutes */
	pass(MINUTES(5));
	look_up("example.net");
	web_serves(POLICY("testing", "*.example.net", "86400"));
	assert_string_equal(found(), "testing 2 *.example.net");
}

static void every_failure_has_its_kind(void **state)
{
	(void)state;
	static const struct {
		enum io_fetch_error error;
		int status;
		const char *type, *body, *wanted;
	} cases[] = {
		{IO_FETCH_NO_ANSWER, 0, "", "", "nothing, fetch error"},
		{IO_FETCH_TIMEOUT, 0, "", "", "nothing, fetch error"},
		{IO_FETCH_TOO_LARGE, 0, "", "", "nothing, fetch error"},
		{IO_FETCH_CERTIFICATE, 0, "", "", "nothing, webpki"},
		{IO_FETCH_ANSWERED, 404, "text/plain", enforce, "nothing, fetch error"},
		{IO_FETCH_ANSWERED, 301, "text/plain", enforce, "nothing, fetch error"},
		{IO_FETCH_ANSWERED, 200, "text/html", enforce, "nothing, invalid"},
		{IO_FETCH_ANSWERED, 200, "", enforce, "nothing, invalid"},
		{IO_FETCH_ANSWERED, 200, "TEXT/Plain;x", "version: STSv1", "nothing, invalid"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		look_up("example.net");
		web_answers(cases[i].error, cases[i].status, cases[i].type, cases[i].body);
		assert_string_equal(found(), cases[i].wanted);
		assert_string_equal(ask("example.net"), cases[i].wanted);
		pass(MINUTES(6));
	}
	no_address = true;
	assert_string_equal(ask("example.net"), "nothing, fetch error");
	assert_int_equal(fetches, sizeof cases / sizeof *cases);
}

static void what_is_used_is_fetched_again_each_day(void **state)
{
	(void)state;
	know();
	pass(HOURS(23));
	assert_null(request);
	pass(HOURS(2));
	assert_non_null(request);
	web_serves(POLICY("enforce", "new.example.net", "604800"));
	assert_string_equal(ask("example.net"), "enforce 1 new.example.net");
	pass(HOURS(25));
	web_answers(IO_FETCH_NO_ANSWER, 0, "", "");
	pass(MINUTES(6));
	web_serves(enforce);
	/* Nobody has written for a month.  */
	for (int day = 0; day < 40; day++) {
		pass(DAYS(1));
		if (request) web_serves(enforce);
	}
	size_t before = fetches;
	pass(DAYS(8));
	assert_int_equal(fetches, before);
	assert_true(before > 30);
	look_up("example.net");
	assert_non_null(request);
	web_serves(enforce);
	assert_string_equal(found(), "enforce 1 mx.example.net");
}

static void what_lasts_minutes_is_not_fetched_by_itself(void **state)
{
	(void)state;
	look_up("example.net");
	web_serves(POLICY("enforce", "mx.example.net", "60"));
	assert_string_equal(found(), "enforce 1 mx.example.net");
	pass(SECONDS(59));
	assert_string_equal(ask("example.net"), "enforce 1 mx.example.net");
	pass(SECONDS(2));
	assert_int_equal(fetches, 1);
	look_up("example.net");
	web_serves(POLICY("enforce", "mx.example.net", "0"));
	assert_string_equal(found(), "nothing");
}

static void a_restart_forgets_nothing(void **state)
{
	(void)state;
	know();
	look_up("other.example");
	web_serves("version: STSv1\nmode: testing\nmx: a.other.example\nmx: *.other.example\n"
		   "max_age: 86400\n");
	assert_string_equal(found(), "testing 1 a.other.example");
	pass(SECONDS(3));
	assert_int_equal(saves, 1); /* both at once */
	restart();
	assert_int_equal(saves, 1);
	assert_string_equal(ask("example.net"), "enforce 1 mx.example.net");
	look_up("other.example");
	assert_int_equal(lookup.known->policy.mx_count, 2);
	assert_int_equal(lookup.known->max_age, 86400);
	assert_string_equal(found(), "testing 1 a.other.example");
	assert_int_equal(fetches, 2);
	pass(HOURS(13)); /* refreshes are planned after a restart, too */
	assert_non_null(request);
	web_answers(IO_FETCH_NO_ANSWER, 0, "", "");
	/* What is not on disk yet goes there at the end.  */
	txt = "v=STSv1; id=3;";
	look_up("third.example");
	web_serves(enforce);
	assert_string_equal(found(), "enforce 3 mx.example.net");
	restart();
	txt_result = DNS_TEMPORARY;
	assert_string_equal(ask("third.example"), "enforce 3 mx.example.net");
	/* And age goes on.  */
	mtasts_free(mtasts);
	io.wall += DAYS(7);
	begin();
	assert_string_equal(ask("third.example"), "nothing");
}

static void a_damaged_file_costs_what_is_damaged(void **state)
{
	(void)state;
	txt_result = DNS_TEMPORARY;
	static const char good[] = "a.example 1 2027-01-15T07:00:00.000Z\n" POLICY(
		"enforce", "mx.example.net", "604800") "\n";
	static const char *const bad[] = {
		"b.example 1 yesterday\n" POLICY("enforce", "mx.example.net", "604800") "\n",
		"b.example 1-1 2027-01-15T07:00:00.000Z\n" POLICY("enforce", "m.example", "9") "\n",
		"b.example\n\n", "b.example 1 2027-01-15T07:00:00.000Z\n\n", "\n\n", "x",
		"b.example 1 2027-01-15T07:00:00.000Z\n" POLICY("enforce", "*", "604800") "\n"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(disk, sizeof disk, "%s%s%s", bad[i], i == 5 ? "\n\n" : "", good);
		disk_there = true;
		restart();
		assert_string_equal(ask("a.example"), "enforce 1 mx.example.net");
		assert_string_equal(ask("b.example"), "nothing");
	}
	/* Cut anywhere it is no trouble.  */
	for (size_t len = 0; len < sizeof good; len++) {
		mtasts_free(mtasts);
		snprintf(disk, len + 1, "%s", good);
		begin();
	}
	/* A policy from the future does not last.  */
	snprintf(disk, sizeof disk, "a.example 1 2099-01-15T07:00:00.000Z\n%s",
		POLICY("enforce", "mx.example.net", "604800"));
	restart();
	assert_string_equal(ask("a.example"), "enforce 1 mx.example.net");
	pass(DAYS(7));
	assert_string_equal(ask("a.example"), "nothing");
}

static void a_disk_that_fails_costs_no_mail(void **state)
{
	(void)state;
	disk_fails = true;
	know();
	pass(SECONDS(10));
	assert_string_equal(ask("example.net"), "enforce 1 mx.example.net");
}

static void many_wait_for_one_fetch(void **state)
{
	(void)state;
	struct mtasts_lookup many[20];
	dones = 0;
	for (size_t i = 0; i < 20; i++) {
		many[i] = (struct mtasts_lookup){.done = looked_up};
		mtasts_look_up(mtasts, &many[i], STR("example.net"));
	}
	dns_run();
	mtasts_lookup_clear(&many[3]);
	web_serves(enforce);
	assert_int_equal(dones, 19);
	assert_int_equal(fetches, 1);
	txt = "v=STSv1; id=2;"; /* who holds a policy keeps it */
	look_up("example.net");
	web_serves(POLICY("enforce", "new.example.net", "604800"));
	assert_string_equal(found(), "enforce 2 new.example.net");
	for (size_t i = 0; i < 20; i++) {
		if (i != 3) assert_str(many[i].known->policy.mx[0], "mx.example.net");
		mtasts_lookup_clear(&many[i]);
	}
}

static void only_so_many_are_remembered(void **state)
{
	(void)state;
	char domain[40];
	for (int i = 0; i < 10005; i++) {
		snprintf(domain, sizeof domain, "d%d.example", i);
		look_up(domain);
		if (i % 2)
			web_serves(enforce);
		else
			web_answers(IO_FETCH_NO_ANSWER, 0, "", "");
		mtasts_lookup_clear(&lookup);
	}
	txt_result = DNS_TEMPORARY;
	assert_string_equal(ask("d1.example"), "enforce 1 mx.example.net");
	assert_string_equal(ask("d10003.example"), "enforce 1 mx.example.net");
	assert_string_equal(ask("d0.example"), "nothing"); /* nor its failure */
	disk_fails = true;                                 /* this disk is too small */
	pass(SECONDS(3));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(first_mail_waits_for_the_policy),
		TEST(no_record_no_policy),
		TEST(a_slow_web_server_holds_mail_up_for_seconds),
		TEST(mute_dns_holds_mail_up_for_seconds),
		TEST(what_is_remembered_outlives_its_record),
		TEST(another_id_is_another_policy),
		TEST(failures_keep_what_is_remembered),
		TEST(every_failure_has_its_kind),
		TEST(what_is_used_is_fetched_again_each_day),
		TEST(what_lasts_minutes_is_not_fetched_by_itself),
		TEST(a_restart_forgets_nothing),
		TEST(a_damaged_file_costs_what_is_damaged),
		TEST(a_disk_that_fails_costs_no_mail),
		TEST(many_wait_for_one_fetch),
		TEST(only_so_many_are_remembered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
