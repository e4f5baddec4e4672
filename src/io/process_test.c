#include "io/test.h"

#include <signal.h>
#include <sys/un.h>

static struct test_loop loop;

static int setup(void **state)
{
	(void)state;
	test_loop_init(&loop);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	io_free(loop.io);
	return 0;
}

static size_t signals_came;
static int last_signal;

static void signal_came(struct io_signals *signals, int number)
{
	(void)signals;
	signals_came++;
	last_signal = number;
}

static void signals_are_events(void **state)
{
	(void)state;
	struct io_signals signals = {.came = signal_came};
	assert_int_equal(io_signals(loop.io, &signals), 0);
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		kill(getpid(), numbers[i]);
		test_run_until(&loop, &signals_came, i + 1);
		assert_int_equal(last_signal, numbers[i]);
	}
	kill(getpid(), SIGPIPE);
	int fd = signals.watch.fd;
	io_unwatch(&signals.watch);
	close(fd);
}

static void notify_says_state(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	io_notify(STR("READY=1"));
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int len = snprintf(sa.sun_path, sizeof sa.sun_path, "@rockdove-test-%d", (int)getpid());
	setenv("NOTIFY_SOCKET", sa.sun_path, 1);
	sa.sun_path[0] = 0;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, size), 0);
	io_notify(STR("READY=1"));
	char got[16];
	assert_int_equal(recv(fd, got, sizeof got, 0), 7);
	assert_memory_equal(got, "READY=1", 7);
	close(fd);
	io_notify(STR("READY=1"));
	unsetenv("NOTIFY_SOCKET");
}

static void stderr_takes_all_even_when_it_is_slow(void **state)
{
	(void)state;
	int ends[2], saved = dup(STDERR_FILENO);
	static char text[200000];
	memset(text, 'e', sizeof text);
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	pid_t child = fork();
	if (child == 0) {
		io_stderr(str_of(text, sizeof text));
		_exit(0);
	}
	dup2(saved, STDERR_FILENO);
	close(saved);
	size_t total = 0;
	for (struct pollfd p = {.fd = ends[0], .events = POLLIN}; poll(&p, 1, 5000) > 0;) {
		ssize_t n = read(ends[0], text, sizeof text);
		if (n <= 0) break;
		total += (size_t)n;
	}
	close(ends[0]);
	assert_int_equal(total, sizeof text);
}

static void names_are_resolved(void **state)
{
	(void)state;
	struct net_address found[8];
	struct buf text;
	buf_init(&text, 512);
	assert_int_equal(io_resolve("192.0.2.7", 25, found, 8), 1);
	net_add_port(&text, &found[0]);
	assert_str(buf_str(&text), "192.0.2.7:25");
	int n = io_resolve("localhost", 2525, found, 8);
	assert_true(n >= 1);
	for (int i = 0; i < n; i++) {
		assert_true(net_is_loopback(&found[i]));
		assert_int_equal(found[i].port, 2525);
	}
	assert_true(io_resolve("no-such-host.invalid", 25, found, 8) < 0);
	buf_clear(&text);
	io_hostname(&text);
	assert_true(text.len > 0);
	buf_release(&text);
}

static void descriptors_are_raised(void **state)
{
	(void)state;
	struct rlimit before, after;
	getrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(io_raise_descriptors(), before.rlim_max);
	getrlimit(RLIMIT_NOFILE, &after);
	assert_int_equal(after.rlim_cur, before.rlim_max);
	setrlimit(RLIMIT_NOFILE, &before);
}

static void interfaces_include_loopback(void **state)
{
	(void)state;
	struct net_address found[64];
	uint32_t count = io_interfaces(found, 64);
	uint32_t loopbacks = 0;
	for (uint32_t i = 0; i < count; i++) loopbacks += net_is_loopback(&found[i]);
	assert_true(loopbacks > 0);
	assert_int_equal(1, io_interfaces(found, 1));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(interfaces_include_loopback),
		cmocka_unit_test_setup_teardown(signals_are_events, setup, teardown),
		cmocka_unit_test(notify_says_state),
		cmocka_unit_test(stderr_takes_all_even_when_it_is_slow),
		cmocka_unit_test(names_are_resolved),
		cmocka_unit_test(descriptors_are_raised),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
