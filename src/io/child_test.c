#include "io/child.h"

#include "io/test.h"

#include <signal.h>

static struct test_loop loop;
static size_t ended;

static int setup(void **state)
{
	(void)state;
	test_loop_init(&loop);
	ended = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	io_free(loop.io);
	return 0;
}

static void done(struct io_child *child)
{
	assert_int_equal(child->pid, 0);
	ended++;
}

static void start(struct io_child *c, const char *script, msec timeout)
{
	const char *const argv[] = {"/bin/sh", "-c", script, "name", "an argument", NULL};
	c->done = done;
	assert_int_equal(io_child_start(loop.io, c, argv, timeout), 0);
}

static void run(struct io_child *c, const char *script, msec timeout)
{
	size_t before = ended;
	start(c, script, timeout);
	test_run_until(&loop, &ended, before + 1);
}

static size_t open_descriptors(void)
{
	size_t count = 0;
	for (int fd = 0; fd < 200; fd++) count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void what_it_writes_is_told(void **state)
{
	(void)state;
	struct io_child c = {0};
	size_t before = open_descriptors();
	run(&c, "echo \"$1\"; echo oh >&2; exit 3", 60000);
	assert_int_equal(c.error, 0);
	assert_int_equal(c.status, 3);
	assert_str(buf_str(&c.output.octets), "an argument\n");
	assert_str(buf_str(&c.errors.octets), "oh\n");
	io_child_clear(&c);
	run(&c, "kill -TERM $$", 60000);
	assert_int_equal(c.status, 128 + SIGTERM);
	io_child_clear(&c);
	/* The same struct again, without a clear.  */
	run(&c, "printf one", 60000);
	run(&c, "printf two", 60000);
	assert_str(buf_str(&c.output.octets), "two");
	io_child_clear(&c);
	io_child_clear(&c);
	assert_int_equal(open_descriptors(), before);
}

static void nothing_of_ours_is_inherited(void **state)
{
	(void)state;
	struct io_child c = {0};
	int fd = dup(0); /* not closed on exec */
	char script[200];
	snprintf(script, sizeof script,
		"cat; test -e /proc/self/fd/%d && echo leaked; kill -USR1 $$; echo survived", fd);
	sigset_t set, before;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &before);
	run(&c, script, 60000);
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_str(buf_str(&c.output.octets), "");
	assert_int_equal(c.status, 128 + SIGUSR1);
	io_child_clear(&c);
	close(fd);
}

static void one_that_hangs_is_killed_with_what_it_started(void **state)
{
	(void)state;
	struct io_child c = {0};
	run(&c, "sleep 1000 & echo $!; sleep 1000", 300);
	assert_int_equal(c.error, ETIMEDOUT);
	uint64_t pid;
	assert_true(str_to_u64(str_trim(buf_str(&c.output.octets)), INT32_MAX, &pid));
	for (int i = 0; i < 500 && kill((pid_t)pid, 0) == 0; i++) {
		/* Whoever reaps orphans may take its time; a zombie will do.  */
		char path[64], line[256] = "";
		snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
		FILE *stat = fopen(path, "r");
		bool zombie = stat && fgets(line, sizeof line, stat) && strstr(line, ") Z ");
		if (stat) fclose(stat);
		if (zombie || !stat) break;
		usleep(10000);
		assert_int_not_equal(i, 499);
	}
	io_child_clear(&c);
}

static void what_it_leaves_behind_does_not_hold_us_up(void **state)
{
	(void)state;
	struct io_child c = {0};
	run(&c, "sleep 1000 & echo token", 60000); /* the sleeper has our pipe */
	assert_int_equal(c.error, 0);
	assert_int_equal(c.status, 0);
	assert_str(buf_str(&c.output.octets), "token\n");
	io_child_clear(&c);
}

static void output_is_bounded(void **state)
{
	(void)state;
	struct io_child c = {0};
	run(&c, "head -c 16384 /dev/zero", 60000);
	assert_int_equal(c.error, 0);
	assert_int_equal(c.output.octets.len, IO_CHILD_OUTPUT);
	io_child_clear(&c);
	run(&c, "head -c 16385 /dev/zero", 60000);
	assert_int_equal(c.error, EMSGSIZE);
	io_child_clear(&c);
	run(&c, "yes", 60000);
	assert_int_equal(c.error, EMSGSIZE);
	io_child_clear(&c);
	run(&c, "head -c 1000000 /dev/zero >&2; echo fine", 60000); /* complaints are only cut */
	assert_int_equal(c.error, 0);
	assert_int_equal(c.errors.octets.len, IO_CHILD_ERRORS);
	assert_str(buf_str(&c.output.octets), "fine\n");
	io_child_clear(&c);
}

static void it_can_be_given_up(void **state)
{
	(void)state;
	struct io_child c = {0};
	size_t before = open_descriptors();
	start(&c, "sleep 1000", 60000);
	pid_t pid = c.pid;
	io_child_clear(&c);
	assert_int_equal(kill(pid, 0), -1);
	test_run_ms(&loop, 50);
	assert_int_equal(ended, 0);
	assert_int_equal(open_descriptors(), before);
}

static void what_cannot_be_started(void **state)
{
	(void)state;
	struct io_child c = {.done = done};
	size_t before = open_descriptors();
	const char *const absent[] = {"/nonexistent/program", NULL},
			  *const directory[] = {"/", NULL};
	assert_int_equal(io_child_start(loop.io, &c, absent, 1000), -ENOENT);
	assert_int_equal(io_child_start(loop.io, &c, directory, 1000), -EACCES);
	io_child_clear(&c);
	assert_int_equal(open_descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_it_writes_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_of_ours_is_inherited, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_that_hangs_is_killed_with_what_it_started, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_it_leaves_behind_does_not_hold_us_up, setup, teardown),
		cmocka_unit_test_setup_teardown(output_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(it_can_be_given_up, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_started, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
