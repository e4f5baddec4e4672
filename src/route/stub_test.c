#include "route/stub.h"

#include "route/test.h"

static struct test_loop loop;

struct question {
	struct stub_ask ask;
	size_t answers;
	enum dns_result result;
	bool secure;
};

static void answered(struct stub_ask *ask, const struct dns_answer *answer)
{
	struct question *q = CONTAINER_OF(ask, struct question, ask);
	q->answers++;
	q->result = answer->result;
	q->secure = answer->secure;
}

static void begin(struct stub *s, struct question *q, const char *name)
{
	*q = (struct question){.ask = {.answered = answered, .type = DNS_A}};
	snprintf(q->ask.name, sizeof(q->ask.name), "%s", name);
	assert_true(stub_begin(s, &q->ask));
	assert_int_equal(q->answers, 0);
}

/* An address of this machine, where nobody listens.  */
static struct net_address nobody(void)
{
	struct net_address a = {.family = NET_IPV4, .octets = {127, 0, 0, 1}};
	close(test_listen_tcp(&a.port));
	return a;
}

static struct net_address validating(int *ret_listener, pid_t *ret_pid)
{
	struct net_address a = {.family = NET_IPV4, .octets = {127, 0, 0, 1}};
	*ret_listener = test_listen_tcp(&a.port);
	*ret_pid = test_child(NULL, NULL, test_validating_server, *ret_listener);
	return a;
}

static void wait_for(struct question *q, msec at_most)
{
	loop.counter = &q->answers, loop.wanted = 1;
	test_run(&loop, at_most);
	loop.counter = NULL;
	assert_int_equal(q->answers, 1);
	assert_int_equal(q->result, DNS_FOUND);
	assert_true(q->secure);
}

/* The server hangs up after each third answer, whatever is still open.  */
static void test_more_than_one_connection(void **state)
{
	(void)state;
	enum { MANY = 10 };
	static struct question questions[MANY], mute, gone, after;
	int listener;
	pid_t pid;
	struct net_address server = validating(&listener, &pid);
	struct stub *s = stub_new(loop.io, &server, 1);
	begin(s, &mute, "mute.example");
	begin(s, &gone, "gone.example");
	stub_cancel(&gone.ask);
	for (int i = 0; i < MANY; i++) begin(s, &questions[i], "Name.example");
	for (int i = 0; i < MANY; i++)
		if (!questions[i].answers) wait_for(&questions[i], SECONDS(8));
	begin(s, &after, "after.example");
	wait_for(&after, SECONDS(5));
	for (int i = 0; i < MANY; i++) assert_int_equal(questions[i].answers, 1);
	assert_int_equal(mute.answers, 0);
	assert_int_equal(gone.answers, 0);
	stub_free(s); /* with one open */
	test_reap(pid);
	close(listener);
}

/* One that refuses connections, one that takes them and never answers, one that works.  */
static void test_the_next_server_is_asked(void **state)
{
	(void)state;
	int listener, silent;
	pid_t pid;
	struct net_address servers[3] = {nobody(), nobody(), validating(&listener, &pid)};
	silent = test_listen_tcp(&servers[1].port);
	struct stub *s = stub_new(loop.io, servers, 3);
	struct question q;
	begin(s, &q, "first.example");
	wait_for(&q, SECONDS(8));
	begin(s, &q, "second.example"); /* it stays with the one that works */
	wait_for(&q, SECONDS(1));
	stub_free(s);
	test_reap(pid);
	close(silent);
	close(listener);
}

static void test_a_server_that_comes_later(void **state)
{
	(void)state;
	struct net_address server = nobody();
	struct stub *s = stub_new(loop.io, &server, 1);
	struct question q;
	begin(s, &q, "patient.example");
	test_run_ms(&loop, 100);
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons(server.port),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 5), 0);
	pid_t pid = test_child(NULL, NULL, test_validating_server, fd);
	wait_for(&q, SECONDS(5));
	stub_free(s);
	test_reap(pid);
	close(fd);
}

static void test_too_many(void **state)
{
	(void)state;
	enum { MOST = 1 << 15 };
	struct net_address server = nobody();
	struct stub *s = stub_new(loop.io, &server, 1);
	struct stub_ask *asks = calloc(MOST + 1, sizeof(*asks));
	uint8_t *used = calloc(1, 1 << 16);
	for (int i = 0; i <= MOST; i++) {
		asks[i] = (struct stub_ask){.answered = answered, .type = DNS_A, .name = "x"};
		assert_int_equal(stub_begin(s, &asks[i]), i < MOST);
		if (i < MOST) assert_int_equal(used[asks[i].id]++, 0);
	}
	stub_cancel(&asks[7]);
	assert_true(stub_begin(s, &asks[MOST]));
	stub_free(s);
	free(asks);
	free(used);
}

static int up(void **state)
{
	(void)state;
	test_loop_init(&loop);
	return 0;
}

static int down(void **state)
{
	(void)state;
	io_free(loop.io);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_more_than_one_connection),
		cmocka_unit_test(test_the_next_server_is_asked),
		cmocka_unit_test(test_a_server_that_comes_later),
		cmocka_unit_test(test_too_many),
	};
	return cmocka_run_group_tests(tests, up, down);
}
