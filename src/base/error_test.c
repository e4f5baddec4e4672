#include "base/error.h"
#include "base/test.h"

#include <signal.h>
#include <sys/wait.h>

static void test_assert_says_where_and_aborts(void **state)
{
	(void)state;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		ASSERT(1 + 1 == 3);
		_exit(0);
	}
	close(ends[1]);
	char text[512] = {0};
	size_t len = 0;
	for (ssize_t n; (n = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0;)
		len += (size_t)n;
	close(ends[0]);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_non_null(strstr(text, "error_test.c:"));
	assert_non_null(strstr(text, "test_assert_says_where_and_aborts"));
	assert_non_null(strstr(text, "1 + 1 == 3"));
}

static void test_assert_that_holds_is_silent(void **state)
{
	(void)state;
	int evaluated = 0;
	ASSERT(++evaluated);
	assert_int_equal(evaluated, 1);
}

static void test_container_of(void **state)
{
	(void)state;
	struct outer {
		int first;
		int second;
	} o;
	assert_ptr_equal(CONTAINER_OF(&o.second, struct outer, second), &o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_assert_says_where_and_aborts),
		cmocka_unit_test(test_assert_that_holds_is_silent),
		cmocka_unit_test(test_container_of),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
