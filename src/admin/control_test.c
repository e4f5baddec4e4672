/* The control socket alone: framing, limits, slices, malformed input; over a real local socket.  */
#include "admin/control.h"

#include "base/test.h"
#include "io/file.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

struct fixture {
	char directory[64], path[100];
	struct admin admin;
	struct control *control;
};

/* ---- commands of the test's own ---- */

static int released;

static void count_release(struct control_call *call)
{
	(void)call;
	released++;
}

static void echo(struct control_call *call)
{
	call->release = count_release;
	control_done(call, json_pack("{s:o}", "text", control_str(control_text(call, "text"))));
}

static void count_step(struct control_call *call)
{
	json_int_t *left = call->private;
	if (--*left < 0)
		control_done(call, NULL);
	else
		control_say(call, json_pack("{s:I}", "left", *left));
}

static void count_down_release(struct control_call *call)
{
	released++;
	free(call->private);
}

static void count_down(struct control_call *call)
{
	json_int_t *left = malloc(sizeof *left);
	assert_non_null(left);
	*left = json_integer_value(json_object_get(call->request, "from"));
	call->private = left;
	call->step = count_step;
	call->release = count_down_release;
}

static char big[100 * 1024];

static void flood_step(struct control_call *call)
{
	control_say(call, json_pack("{s:s#}", "big", big, (int)sizeof big));
}

static void flood(struct control_call *call)
{
	call->step = flood_step;
	call->release = count_release;
}

static void never(struct control_call *call) { call->release = count_release; }

static void fail_command(struct control_call *call)
{
	control_fail(call, "it is %s", "broken\xff");
}

static const struct control_command commands[] = {{"echo", echo}, {"count", count_down},
	{"flood", flood}, {"never", never}, {"fail", fail_command}, {0}};

/* ---- the client's side ---- */

static void begin(struct fixture *f)
{
	int error;
	released = 0;
	memset(big, 'x', sizeof big);
	snprintf(f->directory, sizeof f->directory, "/tmp/rockdove-control-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->path, sizeof f->path, "%s/sock", f->directory);
	f->admin = (struct admin){.io = io_new()};
	f->control = control_open(&f->admin, commands, f->path, &error);
	assert_non_null(f->control);
}

static void end(struct fixture *f)
{
	control_close(f->control);
	assert_int_equal(io_unlink(f->admin.io, f->path), 0);
	io_free(f->admin.io);
	assert_int_equal(rmdir(f->directory), 0);
}

static int client(const struct fixture *f)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	memcpy(address.sun_path, f->path, strlen(f->path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void stop(struct timer *timer);
struct stopper {
	struct io *io;
	struct timer timer;
};
static void stop(struct timer *timer) { io_stop(CONTAINER_OF(timer, struct stopper, timer)->io); }

/* Let the loop run for ms.  */
static void run(struct fixture *f, msec ms)
{
	struct stopper stopper = {f->admin.io, {.fire = stop}};
	io_timer_set(f->admin.io, &stopper.timer, io_now(f->admin.io) + ms);
	io_run(f->admin.io);
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What has come so far.  -1: the server has closed.  */
static ssize_t hear(int fd, char *to, size_t size)
{
	size_t len = 0;
	for (;;) {
		ssize_t n = recv(fd, to + len, size - 1 - len, 0);
		if (n == 0) return -1;
		if (n < 0) break;
		len += (size_t)n;
		if (len == size - 1) break;
	}
	to[len] = 0;
	return (ssize_t)len;
}

static void check(const char *request, const char *wanted)
{
	struct fixture f;
	char got[4096];
	begin(&f);
	int fd = client(&f);
	say(fd, request);
	run(&f, 40);
	ssize_t n = hear(fd, got, sizeof got);
	if (!wanted)
		assert_int_equal(n, -1);
	else
		assert_string_equal(got, wanted);
	close(fd);
	end(&f);
}

static void answers(void **state)
{
	(void)state;
	check("{\"command\":\"echo\",\"text\":\"a\"}\n", "{\"text\":\"a\",\"done\":true}\n");
	assert_int_equal(released, 1);
	check("{\"command\":\"echo\",\"text\":\"a\"}\n{\"command\":\"echo\",\"text\":\"b\"}\n",
		"{\"text\":\"a\",\"done\":true}\n{\"text\":\"b\",\"done\":true}\n");
	assert_int_equal(released, 2);
	check("{\"command\":\"count\",\"from\":3}\n",
		"{\"left\":2}\n{\"left\":1}\n{\"left\":0}\n{\"done\":true}\n");
	check("{\"command\":\"fail\"}\n",
		"{\"error\":\"it is broken\xef\xbf\xbd\",\"done\":true}\n");
	check("{\"command\":\"none\"}\n",
		"{\"error\":\"there is no command \\\"none\\\"\",\"done\":true}\n");
	check("{\"command\":7}\n", "{\"error\":\"there is no command \\\"\\\"\",\"done\":true}\n");
	check("{\"command\":\"echo\"", "");
}

static void nonsense(void **state)
{
	(void)state;
	check("\n", NULL);
	check("hello\n", NULL);
	check("[]\n", NULL);
	check("{}x\n", NULL);
	check("{\"command\":\"echo\",\"command\":\"echo\"}\n", NULL);
	check("\xff\xfe{}\n", NULL);
	check("{\"command\":\"echo\",\"text\":\"\xff\"}\n", NULL);
}

/* Whatever split the request comes in, the answer is the same.  */
static void every_split(void **state)
{
	(void)state;
	static const char request[] = "{\"command\":\"echo\",\"text\":\"a\"}\n";
	struct fixture f;
	char got[256];
	begin(&f);
	for (size_t cut = 1; cut < sizeof request - 1; cut++) {
		int fd = client(&f);
		assert_int_equal(send(fd, request, cut, 0), cut);
		run(&f, 3);
		assert_int_equal(hear(fd, got, sizeof got), 0);
		say(fd, request + cut);
		run(&f, 5);
		assert_true(hear(fd, got, sizeof got) > 0);
		assert_string_equal(got, "{\"text\":\"a\",\"done\":true}\n");
		close(fd);
	}
	end(&f);
}

static void long_lines(void **state)
{
	(void)state;
	struct fixture f;
	char got[256];
	begin(&f);
	/* A line of just under 64 KiB is fine, one over it is not.  */
	for (int over = 0; over < 2; over++) {
		size_t size = CONTROL_LINE_MAX + (over ? 1 : -1);
		char *line = malloc(size + 1);
		assert_non_null(line);
		memset(line, ' ', size);
		memcpy(line, "{\"command\":\"echo\"", 17);
		line[size - 2] = '}', line[size - 1] = '\n';
		int fd = client(&f);
		size_t sent = 0;
		for (int i = 0; i < 50 && sent < size; i++) {
			ssize_t n = send(fd, line + sent, size - sent, MSG_NOSIGNAL);
			if (n > 0) sent += (size_t)n;
			run(&f, 2);
		}
		run(&f, 10);
		ssize_t n = hear(fd, got, sizeof got);
		if (over)
			assert_int_equal(n, -1);
		else
			assert_string_equal(got, "{\"text\":\"\",\"done\":true}\n");
		close(fd);
		free(line);
	}
	end(&f);
}

static long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long size = 0, resident = 0;
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%ld %ld", &size, &resident), 2);
	fclose(file);
	return resident * 4;
}

/* A client that does not read stops its own answer, costs little, and nobody else anything.  */
static void slow_reader(void **state)
{
	(void)state;
	struct fixture f;
	char got[256];
	begin(&f);
	int slow = client(&f), other = client(&f);
	say(slow, "{\"command\":\"flood\"}\n");
	run(&f, 50);
	long before = resident_kib();
	run(&f, 200);
	assert_true(resident_kib() - before < 4096);
	say(other, "{\"command\":\"echo\",\"text\":\"a\"}\n");
	run(&f, 20);
	assert_true(hear(other, got, sizeof got) > 0);
	assert_string_equal(got, "{\"text\":\"a\",\"done\":true}\n");
	assert_int_equal(released, 1);
	/* It goes on as it reads, and is over when it leaves.  */
	static char sink[4 << 20];
	for (int i = 0; i < 20; i++) {
		ssize_t n = 0;
		for (int wait = 0; wait < 100 && !n; wait++) {
			n = hear(slow, sink, sizeof sink);
			run(&f, 5);
		}
		assert_true(n > 0);
	}
	close(slow);
	run(&f, 30);
	assert_int_equal(released, 2);
	close(other);
	end(&f);
}

static void leaving(void **state)
{
	(void)state;
	struct fixture f;
	begin(&f);
	int fd = client(&f), other = client(&f);
	say(fd, "{\"command\":\"never\"}\n");
	run(&f, 10);
	assert_int_equal(released, 0);
	shutdown(fd, SHUT_WR);
	run(&f, 10);
	/* Its answer may still come: a half-closed client is no gone one.  */
	assert_int_equal(released, 0);
	say(other, "{\"command\":\"count\",\"from\":1000000}\n");
	run(&f, 10);
	end(&f); /* with both under way */
	assert_int_equal(released, 2);
	close(fd), close(other);
}

/* `echo ... | socat`: the client has sent its FIN before the answer.  */
static void half_closed(void **state)
{
	(void)state;
	struct fixture f;
	char got[256];
	begin(&f);
	int fd = client(&f);
	say(fd, "{\"command\":\"count\",\"from\":2}\n");
	shutdown(fd, SHUT_WR);
	run(&f, 30);
	const char *want = "{\"left\":1}\n{\"left\":0}\n{\"done\":true}\n";
	ssize_t n = recv(fd, got, sizeof got - 1, 0);
	assert_int_equal(n, strlen(want));
	assert_memory_equal(got, want, strlen(want));
	assert_int_equal(recv(fd, got, sizeof got, 0), 0);
	close(fd);
	end(&f);
}

static void too_many(void **state)
{
	(void)state;
	struct fixture f;
	char got[256];
	int fds[CONTROL_CONNECTIONS_MAX + 1];
	begin(&f);
	for (int i = 0; i <= CONTROL_CONNECTIONS_MAX; i++) fds[i] = client(&f);
	run(&f, 20);
	ssize_t n = recv(fds[CONTROL_CONNECTIONS_MAX], got, sizeof got - 1, 0);
	assert_true(n > 0);
	got[n] = 0;
	assert_string_equal(got, "{\"done\":true,\"error\":\"too many control connections\"}\n");
	for (int i = 0; i <= CONTROL_CONNECTIONS_MAX; i++) close(fds[i]);
	run(&f, 20);
	int fd = client(&f);
	say(fd, "{\"command\":\"fail\"}\n");
	run(&f, 20);
	assert_true(hear(fd, got, sizeof got) > 0);
	close(fd);
	end(&f);
}

static void private_socket(void **state)
{
	(void)state;
	struct fixture f;
	struct stat st;
	begin(&f);
	assert_int_equal(stat(f.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	int error = 0;
	assert_null(control_open(&f.admin, commands, f.path, &error));
	assert_true(error < 0);
	assert_null(control_open(&f.admin, commands, "/no/such/directory/sock", &error));
	assert_true(error < 0);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(every_split),
		cmocka_unit_test(long_lines),
		cmocka_unit_test(slow_reader),
		cmocka_unit_test(leaving),
		cmocka_unit_test(half_closed),
		cmocka_unit_test(too_many),
		cmocka_unit_test(private_socket),
	};
	return cmocka_run_group_tests(all, NULL, NULL);
}
