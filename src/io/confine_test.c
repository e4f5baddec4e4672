/* Each confinement is final, so each is tried in a process of its own, whose exit status is the line that failed.  */
#include "io/confine.h"
#include "io/file.h"
#include "io/test.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char inside[64], outside[64];

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition,                \
				strerror(errno));                                                  \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static void in_a_child(void (*run)(void))
{
	fflush(NULL);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		run();
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void put(const char *directory, const char *name)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	assert_int_equal(io_file_save(NULL, path, STR("content")), 0);
}

static int setup(void **state)
{
	(void)state;
	snprintf(inside, sizeof inside, "/tmp/rockdove-in-XXXXXX");
	snprintf(outside, sizeof outside, "/tmp/rockdove-out-XXXXXX");
	assert_non_null(mkdtemp(inside));
	assert_non_null(mkdtemp(outside));
	put(inside, "a");
	put(outside, "b");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	static const char *const names[] = {"a", "b", "c", "d"};
	for (size_t i = 0; i < 2 * ARRAY_LEN(names); i++) {
		char path[128];
		snprintf(path, sizeof path, "%s/%s", i % 2 ? inside : outside, names[i / 2]);
		unlink(path);
		rmdir(path);
	}
	return rmdir(inside) || rmdir(outside);
}

static const char *at(const char *directory, const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof paths[0], "%s/%s", directory, name);
	return path;
}

/* ---- paths ---- */

static int opens(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0) return errno;
	close(fd);
	return 0;
}

static void keep_inside(void)
{
	int held = open(at(outside, "b"), O_RDWR | O_CLOEXEC);
	struct io_grant grants[] = {{inside, true}, {"/tmp/rockdove-nothing", true}};
	CHECK(io_confine_paths(NULL, grants, 2) > 0);

	CHECK(opens(at(inside, "a"), O_RDWR) == 0);
	CHECK(opens(at(inside, "c"), O_RDWR | O_CREAT) == 0);
	CHECK(mkdir(at(inside, "d"), 0700) == 0);
	CHECK(rename(at(inside, "c"), at(inside, "d/c")) == 0);
	CHECK(unlink(at(inside, "d/c")) == 0);
	CHECK(opens("/etc/hosts", O_RDONLY) == 0 || errno == ENOENT);
	CHECK(opens("/dev/urandom", O_RDONLY) == 0);

	CHECK(opens(at(outside, "b"), O_RDONLY) == EACCES);
	CHECK(opens(at(outside, "b"), O_WRONLY) == EACCES);
	CHECK(opens(at(outside, "c"), O_WRONLY | O_CREAT) == EACCES);
	CHECK(unlink(at(outside, "b")) < 0 && errno == EACCES);
	CHECK(rename(at(inside, "a"), at(outside, "a")) < 0);
	CHECK(opens("/", O_RDONLY | O_DIRECTORY) == EACCES);
	CHECK(opens("/etc/hosts", O_WRONLY) == EACCES);
	CHECK(symlink("/etc/passwd", at(inside, "e")) < 0 && errno == EACCES);
	char *const none[] = {NULL};
	CHECK(execve("/bin/true", none, none) < 0 && errno == EACCES);

	char octet;
	CHECK(pread(held, &octet, 1, 0) == 1); /* what was open stays open */
}

static bool has_landlock(void) { return syscall(444, NULL, 0, 1) > 0; }

static void paths_are_confined(void **state)
{
	(void)state;
	if (!has_landlock()) skip();
	in_a_child(keep_inside);
}

static void read_only(void)
{
	struct io_grant grants[] = {{inside, false}, {at(outside, "b"), true}};
	CHECK(io_confine_paths(NULL, grants, 2) > 0);
	CHECK(opens(at(inside, "a"), O_RDONLY) == 0);
	CHECK(opens(at(inside, "a"), O_WRONLY) == EACCES);
	CHECK(opens(at(inside, "c"), O_WRONLY | O_CREAT) == EACCES);
	CHECK(opens(at(outside, "b"), O_WRONLY | O_TRUNC) == 0); /* a file alone */
	CHECK(opens(at(outside, "c"), O_WRONLY | O_CREAT) == EACCES);
}

static void reading_is_not_writing(void **state)
{
	(void)state;
	if (!has_landlock()) skip();
	in_a_child(read_only);
}

static void paths_of_the_system(void **state)
{
	(void)state;
	assert_true(io_is_of_system("/etc"));
	assert_true(io_is_of_system("/etc/ssl/certs"));
	assert_false(io_is_of_system("/etcetera"));
	assert_false(io_is_of_system("/root"));
}

/* ---- calls ---- */

static void *thread(void *value)
{
	prctl(PR_SET_NAME, "confined");
	return value;
}

static void refuse_calls(void)
{
	CHECK(io_confine_calls(NULL) > 100);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == -1); /* may not be asked either */

	pid_t child = fork();
	if (child == 0) _exit(2);
	CHECK(child < 0 && errno == ENOSYS);
	char *const none[] = {NULL};
	CHECK(execve("/bin/true", none, none) < 0 && errno == ENOSYS);
	CHECK(kill(getppid(), 0) < 0 && errno == ENOSYS);
	CHECK(socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == ENOSYS);
	CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 && errno == ENOSYS);
	CHECK(chown("/tmp", 0, 0) < 0 && errno == ENOSYS);
	CHECK(setuid(0) < 0 && errno == ENOSYS);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0) == MAP_FAILED);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED);
	CHECK(mprotect(page, 4096, PROT_READ | PROT_EXEC) < 0 && errno == ENOSYS);
	CHECK(mprotect(page, 4096, PROT_READ) == 0);
}

static void keep_what_is_needed(void)
{
	CHECK(io_confine_calls(NULL) > 0);
	pthread_t id;
	void *got = NULL;
	CHECK(pthread_create(&id, NULL, thread, inside) == 0);
	CHECK(pthread_join(id, &got) == 0 && got == inside);
	CHECK(io_file_save(NULL, at(inside, "a"), STR("again")) == 0);
	CHECK(io_dir_make(NULL, at(inside, "d")) == 0);
	struct net_address found[4];
	CHECK(io_resolve("localhost", 25, found, 4) > 0);
	CHECK(io_interfaces(found, 4) > 0);
	struct test_loop loop;
	test_loop_init(&loop);
	test_run_ms(&loop, 10);
	io_free(loop.io);
	void *much = malloc(64 << 20);
	CHECK(much);
	memset(much, 1, 64 << 20);
	free(much);
	raise(0);
}

static void calls_are_confined(void **state)
{
	(void)state;
	in_a_child(refuse_calls);
}

static void needed_calls_work(void **state)
{
	(void)state;
	in_a_child(keep_what_is_needed);
}

/* ---- users ---- */

static struct io_user nobody;

static void become_nobody(void)
{
	CHECK(io_become(NULL, &nobody) == 0);
	CHECK(getuid() == nobody.uid && geteuid() == nobody.uid && getegid() == nobody.gid);
	CHECK(setuid(0) < 0 && errno == EPERM);
	CHECK(!io_may(NULL, outside, false));
	CHECK(opens(at(outside, "b"), O_RDONLY) == EACCES);
	struct io *io = io_new();
	struct io_listener l = {0};
	struct net_address low = test_loopback, bound;
	low.octets[1] = 77, low.octets[3] = 9, low.port = 77;
	CHECK(io_listen(io, &l, &low, &bound) == 0);
	io_listener_close(&l);
	io_free(io);
	CHECK(chown(inside, 0, 0) < 0 && errno == EPERM);
}

static void root_is_given_up(void **state)
{
	(void)state;
	if (!io_is_root(NULL)) skip();
	assert_int_equal(io_user_find(NULL, "nobody", &nobody), 0);
	in_a_child(become_nobody);
}

static void users_are_found(void **state)
{
	(void)state;
	struct io_user user;
	assert_int_equal(io_user_find(NULL, "root", &user), 0);
	assert_int_equal(user.uid, 0);
	assert_int_equal(io_user_find(NULL, "rockdove-no-such-user", &user), -ENOENT);
}

static void owner_is(const char *path, uint32_t wanted)
{
	struct stat st;
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_uid, wanted);
}

static void directories_are_handed_over(void **state)
{
	(void)state;
	if (!io_is_root(NULL)) skip();
	uint32_t owner;
	assert_int_equal(io_user_find(NULL, "nobody", &nobody), 0);
	assert_int_equal(mkdir(at(inside, "d"), 0700), 0);
	assert_int_equal(symlink(at(outside, "b"), at(inside, "c")), 0);
	assert_int_equal(chown(at(inside, "a"), 12345, 12345), 0);
	assert_int_equal(io_hand_over(NULL, inside, &nobody), 0);
	owner_is(inside, nobody.uid);
	owner_is(at(inside, "d"), nobody.uid);
	owner_is(at(inside, "c"), nobody.uid);
	owner_is(at(inside, "a"), 12345); /* somebody else's */
	owner_is(at(outside, "b"), 0);    /* behind the link */
	assert_int_equal(io_owner(NULL, inside, &owner), 0);
	assert_int_equal(owner, nobody.uid);
	put(inside, "d/x"); /* root, later: for who owns the directory */
	owner_is(at(inside, "d/x"), nobody.uid);
	unlink(at(inside, "d/x"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(paths_are_confined, setup, teardown),
		cmocka_unit_test_setup_teardown(reading_is_not_writing, setup, teardown),
		cmocka_unit_test(paths_of_the_system),
		cmocka_unit_test_setup_teardown(calls_are_confined, setup, teardown),
		cmocka_unit_test_setup_teardown(needed_calls_work, setup, teardown),
		cmocka_unit_test_setup_teardown(root_is_given_up, setup, teardown),
		cmocka_unit_test(users_are_found),
		cmocka_unit_test_setup_teardown(directories_are_handed_over, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
