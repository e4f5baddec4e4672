/* Programs of a process that may start none: each test is a child that confines itself.  */
#include "io/warden.h"

#include "io/child.h"
#include "io/confine.h"
#include "io/test.h"

#include <signal.h>
#include <sys/wait.h>

static const char *const token[] = {
	"/bin/sh", "-c", "echo \"$1\"; echo oh >&2; exit 3", "sh", "a b", NULL};
static const char *const sleeper[] = {"/bin/sh", "-c", "echo $$; sleep 1000", NULL};
static const char *const killed[] = {"/bin/sh", "-c", "kill -TERM $$", NULL};
static const char *const absent[] = {"/nonexistent/program", NULL};
static const char *const other[] = {"/bin/sh", "-c", "echo evil", NULL};
static const char *const *const commands[] = {token, sleeper, killed, absent};

static struct test_loop loop;
static size_t ended;

static void done(struct io_child *child)
{
	(void)child;
	ended++;
}

static void confine(void)
{
	assert_int_equal(io_warden_start(loop.io, commands, ARRAY_LEN(commands)), 0);
	assert_true(io_confine_calls(loop.io) > 0);
}

static int start(struct io_child *c, const char *const *argv, msec timeout)
{
	*c = (struct io_child){.done = done};
	return io_child_start(loop.io, c, argv, timeout);
}

static void run_known(void)
{
	struct io_child c;
	confine();
	assert_int_equal(start(&c, token, 60000), 0);
	test_run_until(&loop, &ended, 1);
	assert_int_equal(c.error, 0);
	assert_int_equal(c.status, 3);
	assert_str(buf_str(&c.output.octets), "a b\n");
	assert_str(buf_str(&c.errors.octets), "oh\n");
	io_child_clear(&c);
	assert_int_equal(start(&c, killed, 60000), 0);
	test_run_until(&loop, &ended, 2);
	assert_int_equal(c.status, 128 + SIGTERM);
	io_child_clear(&c);
}

static void run_others(void)
{
	struct io_child c;
	confine();
	assert_int_equal(start(&c, other, 60000), -EACCES);
	io_child_clear(&c);
	assert_int_equal(start(&c, absent, 60000), -ENOENT);
	io_child_clear(&c);
	static const char *const shorter[] = {"/bin/sh", "-c", NULL};
	assert_int_equal(start(&c, shorter, 60000), -EACCES);
	io_child_clear(&c);
	assert_int_equal(start(&c, token, 60000), 0); /* it is still there */
	io_child_clear(&c);
}

static void run_late(void)
{
	struct io_child c, given_up;
	confine();
	assert_int_equal(start(&given_up, sleeper, 60000), 0);
	assert_int_equal(start(&c, sleeper, 200), 0);
	test_run_until(&loop, &ended, 1);
	assert_int_equal(c.error, ETIMEDOUT);
	assert_int_equal(c.status, 128 + SIGKILL);
	io_child_clear(&c);
	io_child_clear(&given_up);
	test_run_ms(&loop, 50);
	assert_int_equal(ended, 1);
}

/* Many at once, and more than the warden looks after.  */
static void run_many(void)
{
	static struct io_child all[80];
	size_t begun = 0;
	confine();
	for (size_t i = 0; i < ARRAY_LEN(all); i++) begun += start(&all[i], sleeper, 300) == 0;
	assert_int_equal(begun, 64);
	test_run_until(&loop, &ended, begun);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) io_child_clear(&all[i]);
}

static void in_a_child(void (*run)(void))
{
	fflush(NULL);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		test_loop_init(&loop);
		run();
		io_free(loop.io);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void known_commands_run(void **state)
{
	(void)state;
	in_a_child(run_known);
}

static void no_others_do(void **state)
{
	(void)state;
	in_a_child(run_others);
}

static void time_is_limited(void **state)
{
	(void)state;
	in_a_child(run_late);
}

static void so_is_their_number(void **state)
{
	(void)state;
	in_a_child(run_many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_commands_run),
		cmocka_unit_test(no_others_do),
		cmocka_unit_test(time_is_limited),
		cmocka_unit_test(so_is_their_number),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
