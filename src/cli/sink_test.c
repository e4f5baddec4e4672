/* send and bench against sink: the commands as they are, each in a process of its own.  */
#include "cli/cli.h"

#include "base/test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

static char directory[] = "/tmp/rockdove-sink-XXXXXX";

struct child {
	pid_t pid;
	int out; /* what it says, both ways */
};

static struct child start(char **argv)
{
	int ends[2], argc = 0;
	while (argv[argc]) argc++;
	assert_int_equal(pipe(ends), 0);
	fflush(stdout);
	struct child c = {.pid = fork(), .out = ends[0]};
	assert_true(c.pid >= 0);
	if (c.pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]), close(ends[1]);
		int code = cli_main(argc, argv);
		fflush(stdout);
		_exit(code);
	}
	close(ends[1]);
	return c;
}

/* What it says until it ends, and its exit code.  */
static int finish(struct child c, char *to, size_t room)
{
	size_t len = 0;
	for (ssize_t n; len < room - 1 && (n = read(c.out, to + len, room - 1 - len)) > 0;)
		len += (size_t)n;
	to[len] = 0;
	close(c.out);
	int status = 0;
	assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Start a sink on a free port with these options; "127.0.0.1:PORT" in server.  */
static struct child start_sink(char server[32], const char *const *options)
{
	char *argv[16] = {(char *)"rockdove", (char *)"sink", (char *)"127.0.0.1:0"};
	for (int i = 0; options && options[i]; i++) argv[3 + i] = (char *)options[i];
	struct child c = start(argv);
	char line[128];
	size_t len = 0;
	while (len < sizeof line - 1 && read(c.out, line + len, 1) == 1 && line[len] != '\n') len++;
	line[len] = 0;
	static const char words[] = "sink listens on ";
	assert_memory_equal(line, words, strlen(words));
	snprintf(server, 32, "%.31s", line + strlen(words));
	return c;
}

static int run(char *to, size_t room, const char *const *arguments)
{
	char *argv[24] = {(char *)"rockdove"};
	for (int i = 0; arguments[i]; i++) argv[1 + i] = (char *)arguments[i];
	return finish(start(argv), to, room);
}

#define RUN(said, ...) run(said, sizeof said, (const char *const[]){__VA_ARGS__, NULL})
#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part)) fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static void read_file(const char *name, char *to, size_t room)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	size_t n = fread(to, 1, room - 1, file);
	to[n] = 0;
	fclose(file);
	assert_int_equal(unlink(path), 0);
}

static void delivered(void **state)
{
	(void)state;
	char server[32], said[8192], text[8192];
	struct child sink = start_sink(server, OPTIONS("--count", "1", "--dump", directory));
	int code = RUN(said, "send", "--server", server, "--from", "x@y.example", "--subject", "s",
		"--body", ".dot\n..\n", "--trace", "a@b.example", "c@d.example");
	assert_int_equal(code, EXIT_DONE);
	assert_has(said, "a@b.example: delivered, ");
	assert_has(said, "c@d.example: delivered, ");
	assert_has(said, " < 220 sink.invalid");
	assert_has(said, " > MAIL FROM:<x@y.example>");
	assert_has(said, " > QUIT");
	assert_int_equal(finish(sink, said, sizeof said), EXIT_DONE);
	assert_has(said, "1 messages, 2 recipients, ");
	read_file("00000001.envelope", text, sizeof text);
	assert_string_equal(
		text, "MAIL FROM:<x@y.example>\nRCPT TO:<a@b.example>\nRCPT TO:<c@d.example>\n");
	read_file("00000001.eml", text, sizeof text);
	assert_memory_equal(text, "Date: ", 6);
	assert_has(text, "\r\nSubject: s\r\n");
	assert_has(text, "\r\n\r\n.dot\r\n..\r\n");
}

static void refusals(void **state)
{
	(void)state;
	static const struct {
		const char *reply;
		int code;
		const char *words;
	} all[] = {
		{"banner=554 no", EXIT_TRY_AGAIN, "deferred"},
		{"mail=550 5.7.1 not you", EXIT_UNAVAILABLE, "failed, 127.0.0.1"},
		{"rcpt=450 4.2.1 later", EXIT_TRY_AGAIN, "said 450 4.2.1 later"},
		{"rcpt=550", EXIT_UNAVAILABLE, "said 550 5.0.0 as the sink was told"},
		{"data=451", EXIT_TRY_AGAIN, "said 451 4.0.0"},
		{"end=552 5.3.4 big", EXIT_UNAVAILABLE, "said 552 5.3.4 big"},
		{"end=421 4.3.2 leaving", EXIT_TRY_AGAIN, "said 421 4.3.2 leaving"},
	};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		char server[32], said[4096];
		struct child sink = start_sink(server, OPTIONS("--reply", all[i].reply));
		int code = RUN(said, "send", "-s", server, "-f", "x@y.example", "a@b.example");
		if (code != all[i].code) fail_msg("%s: %d, %s", all[i].reply, code, said);
		assert_has(said, all[i].words);
		kill(sink.pid, SIGTERM);
		assert_int_equal(finish(sink, said, sizeof said), EXIT_DONE);
	}
}

static void stages(void **state)
{
	(void)state;
	static const struct {
		const char *until, *has, *lacks;
	} all[] = {
		{"ehlo", "> EHLO", "> MAIL"},
		{"mail", "> MAIL", "> RCPT"},
		{"rcpt", "> RCPT", "> DATA"},
		{"data", "< 354", "> QUIT"},
	};
	char server[32], said[8192];
	struct child sink = start_sink(server, NULL);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		int code = RUN(said, "send", "-s", server, "--until", all[i].until, "--trace", "-f",
			"x@y.example", "a@b.example");
		assert_int_equal(code, EXIT_DONE);
		assert_has(said, all[i].has);
		assert_null(strstr(said, all[i].lacks));
	}
	kill(sink.pid, SIGTERM);
	assert_int_equal(finish(sink, said, sizeof said), EXIT_DONE);
	assert_has(said, "0 messages, ");
}

static void many(void **state)
{
	(void)state;
	char server[32], said[8192];
	struct child sink = start_sink(server, NULL);
	assert_int_equal(RUN(said, "send", "-s", server, "--repeat", "200", "--connections", "7",
				 "-f", "x@y.example", "--body", "b", "a@b.example", "c@d.example"),
		EXIT_DONE);
	assert_has(said, "400 delivered, 0 deferred, 0 failed");
	assert_int_equal(RUN(said, "bench", server, "--messages", "300", "--connections", "5",
				 "--per-connection", "7", "--recipients", "3", "--size", "300",
				 "--to", "a@b.example"),
		EXIT_DONE);
	assert_has(said, "300 messages of 300 octets");
	assert_has(said, "; 0 refused\n");
	assert_has(said, "latency ");
	assert_int_equal(
		RUN(said, "bench", server, "--messages", "20", "--rate", "100/s", "--json"),
		EXIT_DONE);
	assert_has(said, "\"messages\": 20");
	kill(sink.pid, SIGTERM);
	assert_int_equal(finish(sink, said, sizeof said), EXIT_DONE);
	assert_has(said, "520 messages, 1320 recipients");
}

static void delays(void **state)
{
	(void)state;
	char server[32], said[8192];
	struct child sink = start_sink(server,
		OPTIONS("--delay", "banner=30ms", "--delay", "rcpt=20ms", "--delay", "end=20ms",
			"--count", "1"));
	struct timespec before, after;
	clock_gettime(CLOCK_MONOTONIC, &before);
	assert_int_equal(
		RUN(said, "send", "-s", server, "-f", "x@y.example", "a@b.example", "c@d.example"),
		EXIT_DONE);
	clock_gettime(CLOCK_MONOTONIC, &after);
	long ms =
		(after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	assert_true(ms >= 90);
	assert_int_equal(finish(sink, said, sizeof said), EXIT_DONE);
}

static void failing(void **state)
{
	(void)state;
	char server[32], said[16384];
	struct child sink = start_sink(server, OPTIONS("--fail", "100%"));
	assert_int_equal(RUN(said, "bench", server, "--messages", "10", "--connections", "2"),
		EXIT_UNAVAILABLE);
	assert_has(said, "; 10 refused");
	kill(sink.pid, SIGINT);
	assert_int_equal(finish(sink, said, sizeof said), EXIT_DONE);
	assert_has(said, "; 10 refused");
}

static void nobody_there(void **state)
{
	(void)state;
	char said[4096];
	assert_int_equal(RUN(said, "send", "-s", "127.0.0.1:1", "-f", "x@y.example", "a@b.example"),
		EXIT_TRY_AGAIN);
	assert_has(said, "a@b.example: deferred: connect to 127.0.0.1:1: Connection refused");
	assert_int_equal(RUN(said, "bench", "127.0.0.1:1"), EXIT_UNAVAILABLE);
	assert_int_equal(
		RUN(said, "send", "-s", "no.such.host.invalid", "a@b.example"), EXIT_UNAVAILABLE);
	assert_has(said, "no address is known for no.such.host.invalid");
	assert_int_equal(RUN(said, "sink", "--reply", "helo=500"), EXIT_USAGE);
	assert_int_equal(RUN(said, "sink", "--fail", "101%"), EXIT_USAGE);
	assert_int_equal(RUN(said, "sink", "--delay", "mail=x"), EXIT_USAGE);
}

static int make_directory(void **state)
{
	(void)state;
	unsetenv("ROCKDOVE_CONF");
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(delivered),
		cmocka_unit_test(refusals),
		cmocka_unit_test(stages),
		cmocka_unit_test(many),
		cmocka_unit_test(delays),
		cmocka_unit_test(failing),
		cmocka_unit_test(nobody_there),
	};
	return cmocka_run_group_tests(all, make_directory, remove_directory);
}
