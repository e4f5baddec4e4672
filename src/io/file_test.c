#include "io/file.h"

#include "io/test.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

static char root[64];

/* root/name, in one of a few buffers that are used in turn.  */
static const char *at(const char *name)
{
	static char paths[4][160];
	static unsigned turn;
	char *path = paths[turn++ % 4];
	snprintf(path, sizeof paths[0], "%s/%s", root, name);
	return path;
}

static int setup(void **state)
{
	(void)state;
	snprintf(root, sizeof root, "/tmp/rockdove-file-test-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static bool remove_entry(void *context, const char *name)
{
	const char *dir = context;
	char path[512];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	if (unlink(path) == 0 || rmdir(path) == 0) return true;
	if (io_dir_each(NULL, path, remove_entry, path) == 0) rmdir(path);
	return true;
}

static int teardown(void **state)
{
	(void)state;
	if (io_dir_each(NULL, root, remove_entry, root) < 0) return -1;
	return rmdir(root);
}

static struct io_file open_new(const char *name)
{
	struct io_file f;
	assert_int_equal(io_file_open(NULL, at(name), IO_OPEN_WRITE | IO_OPEN_CREATE, &f), 0);
	return f;
}

/* ---- one file ---- */

static void settled_files_say_the_same(void **state)
{
	(void)state;
	struct io_file f = open_new("settled");
	struct iovec iov = {(char[]){"octets"}, 6};
	char got[8];
	assert_int_equal(io_file_write(NULL, &f, &iov, 1, 5000), 0);
	assert_int_equal(io_file_settle(NULL, &f), 0);
	assert_int_equal(io_file_read(NULL, &f, got, sizeof got, 5000), 6);
	assert_memory_equal(got, "octets", 6);
	io_file_close(NULL, &f);
	assert_int_equal(io_file_settle(NULL, &f), -EBADF);
}

static void opening_has_its_errors(void **state)
{
	(void)state;
	struct io_file f;
	struct stat st;
	assert_int_equal(io_file_open(NULL, at("none"), IO_OPEN_READ, &f), -ENOENT);
	assert_int_equal(f.fd, -1);
	io_file_close(NULL, &f);
	unsigned fresh = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE;
	assert_int_equal(io_file_open(NULL, at("new"), fresh, &f), 0);
	assert_int_equal(fstat(f.fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(fcntl(f.fd, F_GETFD) & FD_CLOEXEC);
	io_file_close(NULL, &f);
	assert_int_equal(f.fd, -1);
	assert_int_equal(io_file_open(NULL, at("new"), fresh, &f), -EEXIST);
	assert_int_equal(io_file_open(NULL, root, IO_OPEN_WRITE, &f), -EISDIR);
}

static void written_is_read_where_it_was_put(void **state)
{
	(void)state;
	struct io_file f = open_new("file");
	char got[32];
	char hello[] = "hello ", world[] = "world";
	struct iovec iov[] = {{NULL, 0}, {hello, 6}, {NULL, 0}, {world, 5}, {NULL, 0}};
	assert_int_equal(io_file_write(NULL, &f, iov, 5, 3), 0);
	assert_int_equal(io_file_sync(NULL, &f), 0);
	assert_int_equal(io_file_size(NULL, &f), 14);
	assert_int_equal(io_file_read(NULL, &f, got, sizeof got, 0), 14);
	assert_memory_equal(got, "\0\0\0hello world", 14);
	assert_int_equal(io_file_read(NULL, &f, got, 5, 9), 5);
	assert_memory_equal(got, "world", 5);
	assert_int_equal(io_file_read(NULL, &f, got, sizeof got, 14), 0);
	assert_int_equal(io_file_read(NULL, &f, got, sizeof got, 1000), 0);
	assert_int_equal(io_file_truncate(NULL, &f, 8), 0);
	assert_int_equal(io_file_size(NULL, &f), 8);
	assert_int_equal(io_file_truncate(NULL, &f, 4096), 0);
	assert_int_equal(io_file_size(NULL, &f), 4096);
	assert_int_equal(io_file_write(NULL, &f, NULL, 0, 0), 0);
	io_file_close(NULL, &f);
	assert_int_equal(io_file_open(NULL, at("file"), IO_OPEN_WRITE | IO_OPEN_TRUNCATE, &f), 0);
	assert_int_equal(io_file_size(NULL, &f), 0);
	io_file_close(NULL, &f);
}

static void more_pieces_than_one_call_takes(void **state)
{
	(void)state;
	enum { PIECES = 3001, OCTETS = 3 };
	static struct iovec iov[PIECES];
	static char text[PIECES * OCTETS], got[PIECES * OCTETS + 1];
	struct io_file f = open_new("file");
	for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i % 251);
	for (size_t i = 0; i < PIECES; i++) iov[i] = (struct iovec){text + i * OCTETS, OCTETS};
	assert_int_equal(io_file_write(NULL, &f, iov, PIECES, 0), 0);
	assert_int_equal(io_file_read(NULL, &f, got, sizeof got, 0), sizeof text);
	assert_memory_equal(got, text, sizeof text);
	io_file_close(NULL, &f);
}

/* The first call writes a part, up to the limit; the second gets the error.  */
static void a_short_write_goes_on_until_the_error(void **state)
{
	(void)state;
	static char a[3000], b[3000];
	struct io_file f = open_new("file");
	struct rlimit before, small;
	struct iovec iov[] = {{a, sizeof a}, {b, sizeof b}};
	memset(a, 'a', sizeof a);
	memset(b, 'b', sizeof b);
	void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	small = (struct rlimit){5000, before.rlim_max};
	setrlimit(RLIMIT_FSIZE, &small);
	int error = io_file_write(NULL, &f, iov, 2, 0);
	setrlimit(RLIMIT_FSIZE, &before);
	signal(SIGXFSZ, old);
	assert_int_equal(error, -EFBIG);
	assert_int_equal(io_file_size(NULL, &f), 5000);
	/* What is left of iov is what was not written.  */
	assert_int_equal(iov[1].iov_len, 1000);
	assert_int_equal(io_file_write(NULL, &f, &iov[1], 1, 5000), 0);
	char got[3001];
	assert_int_equal(io_file_read(NULL, &f, got, sizeof got, 3000), 3000);
	assert_memory_equal(got, b, sizeof b);
	io_file_close(NULL, &f);
}

static void bad_descriptors_and_devices_fail(void **state)
{
	(void)state;
	struct io_file f = {.fd = -1}, full;
	char c = 'x';
	struct iovec iov = {&c, 1};
	assert_int_equal(io_file_read(NULL, &f, &c, 1, 0), -EBADF);
	assert_int_equal(io_file_write(NULL, &f, &iov, 1, 0), -EBADF);
	assert_int_equal(io_file_sync(NULL, &f), -EBADF);
	assert_int_equal(io_file_size(NULL, &f), -EBADF);
	assert_int_equal(io_file_truncate(NULL, &f, 0), -EBADF);
	assert_int_equal(io_file_lock(NULL, &f), -EBADF);
	assert_int_equal(io_file_open(NULL, "/dev/full", IO_OPEN_WRITE, &full), 0);
	assert_int_equal(io_file_write(NULL, &full, &iov, 1, 0), -ENOSPC);
	io_file_close(NULL, &full);
	struct io_file reader = open_new("file");
	io_file_close(NULL, &reader);
	assert_int_equal(io_file_open(NULL, at("file"), IO_OPEN_READ, &reader), 0);
	assert_int_equal(io_file_write(NULL, &reader, &iov, 1, 0), -EBADF);
	io_file_close(NULL, &reader);
}

static void a_lock_has_one_holder(void **state)
{
	(void)state;
	struct io_file one = open_new("lock"), two = open_new("lock");
	assert_int_equal(io_file_lock(NULL, &one), 0);
	assert_int_equal(io_file_lock(NULL, &one), 0);
	assert_int_equal(io_file_lock(NULL, &two), -EWOULDBLOCK);
	io_file_close(NULL, &one);
	assert_int_equal(io_file_lock(NULL, &two), 0);
	io_file_close(NULL, &two);
}

/* ---- whole files ---- */

static void saved_is_loaded(void **state)
{
	(void)state;
	struct buf got;
	static char large[100000];
	memset(large, 'l', sizeof large);
	buf_init(&got, sizeof large);
	assert_int_equal(io_file_save(NULL, at("kept"), STR("one")), 0);
	assert_int_equal(io_file_save(NULL, at("kept"), STR("second")), 0);
	assert_int_equal(io_file_load(NULL, at("kept"), &got), 0);
	assert_str(buf_str(&got), "second");
	assert_false(io_path_exists(NULL, at("kept.tmp")));
	buf_clear(&got);
	assert_int_equal(io_file_save(NULL, at("kept"), str_of(large, sizeof large)), 0);
	assert_int_equal(io_file_load(NULL, at("kept"), &got), 0); /* just fits */
	assert_int_equal(got.len, sizeof large);
	buf_clear(&got);
	assert_int_equal(io_file_save(NULL, at("kept"), STR("")), 0);
	assert_int_equal(io_file_load(NULL, at("kept"), &got), 0);
	assert_int_equal(got.len, 0);
	buf_release(&got);

	buf_init(&got, 5);
	assert_int_equal(io_file_save(NULL, at("kept"), STR("123456")), 0);
	assert_int_equal(io_file_load(NULL, at("kept"), &got), -EFBIG);
	assert_int_equal(got.len, 0);
	assert_int_equal(io_file_load(NULL, at("none"), &got), -ENOENT);
	assert_int_equal(io_file_load(NULL, root, &got), -EISDIR);
	buf_release(&got);
}

static void a_failed_save_keeps_the_old(void **state)
{
	(void)state;
	struct buf got;
	struct rlimit before, small;
	static char large[5000];
	assert_int_equal(io_file_save(NULL, at("kept"), STR("old")), 0);
	void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	small = (struct rlimit){1000, before.rlim_max};
	setrlimit(RLIMIT_FSIZE, &small);
	int error = io_file_save(NULL, at("kept"), str_of(large, sizeof large));
	setrlimit(RLIMIT_FSIZE, &before);
	signal(SIGXFSZ, old);
	assert_int_equal(error, -EFBIG);
	assert_false(io_path_exists(NULL, at("kept.tmp")));
	buf_init(&got, 100);
	assert_int_equal(io_file_load(NULL, at("kept"), &got), 0);
	assert_str(buf_str(&got), "old");
	buf_release(&got);
	assert_int_equal(io_file_save(NULL, at("no/dir"), STR("x")), -ENOENT);
	assert_int_equal(io_dir_make(NULL, at("dir")), 0);
	assert_int_equal(io_file_save(NULL, at("dir"), STR("x")), -EISDIR);
	assert_false(io_path_exists(NULL, at("dir.tmp")));
	char longer[5000];
	memset(longer, 'x', sizeof longer);
	longer[sizeof longer - 1] = 0;
	assert_int_equal(io_file_save(NULL, longer, STR("x")), -ENAMETOOLONG);
}

/* ---- names and directories ---- */

static void names_move(void **state)
{
	(void)state;
	struct io_file f = open_new("a");
	io_file_close(NULL, &f);
	assert_int_equal(io_link(NULL, at("a"), at("b")), 0);
	assert_int_equal(io_link(NULL, at("a"), at("b")), -EEXIST);
	assert_int_equal(io_rename(NULL, at("a"), at("c")), 0);
	assert_int_equal(io_rename(NULL, at("a"), at("c")), -ENOENT);
	assert_true(io_path_exists(NULL, at("c")));
	assert_false(io_path_exists(NULL, at("a")));
	assert_int_equal(io_unlink(NULL, at("c")), 0);
	assert_int_equal(io_unlink(NULL, at("c")), -ENOENT);
}

static void directories_are_made_to_the_depth(void **state)
{
	(void)state;
	struct stat st;
	assert_int_equal(io_dir_make(NULL, at("x/y//z/")), 0);
	assert_int_equal(stat(at("x/y/z"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(io_dir_make(NULL, at("x/y/z")), 0);
	assert_int_equal(io_dir_make(NULL, "/"), 0);
	assert_int_equal(io_dir_make(NULL, ""), -ENOENT);
	struct io_file f = open_new("x/file");
	io_file_close(NULL, &f);
	assert_int_equal(io_dir_make(NULL, at("x/file")), -ENOTDIR);
	assert_int_equal(io_dir_make(NULL, at("x/file/below")), -ENOTDIR);
	assert_int_equal(io_dir_make(NULL, "/proc/none"), -ENOENT);
	assert_int_equal(io_dir_sync(NULL, at("x")), 0);
	assert_int_equal(io_dir_sync(NULL, at("none")), -ENOENT);
	assert_int_equal(io_dir_sync(NULL, at("x/file")), -ENOTDIR);
}

static void relative_paths_are_below_the_working_directory(void **state)
{
	(void)state;
	char before[512];
	struct buf got;
	assert_non_null(getcwd(before, sizeof before));
	assert_int_equal(chdir(root), 0);
	assert_int_equal(io_dir_make(NULL, "rel/dir"), 0);
	assert_int_equal(io_file_save(NULL, "plain", STR("x")), 0);
	buf_init(&got, 10);
	assert_int_equal(io_file_load(NULL, at("plain"), &got), 0);
	assert_str(buf_str(&got), "x");
	buf_release(&got);
	assert_true(io_path_exists(NULL, at("rel/dir")));
	assert_int_equal(chdir(before), 0);
}

struct visited {
	size_t count, most;
	bool dot;
};

static bool visit(void *context, const char *name)
{
	struct visited *v = context;
	v->count++;
	if (name[0] == '.') v->dot = true;
	return v->count < v->most;
}

static void each_entry_is_visited_once(void **state)
{
	(void)state;
	struct visited all = {.most = SIZE_MAX}, some = {.most = 2};
	for (int i = 0; i < 5; i++) {
		char name[16];
		snprintf(name, sizeof name, "f%d", i);
		struct io_file f = open_new(name);
		io_file_close(NULL, &f);
	}
	assert_int_equal(io_dir_each(NULL, root, visit, &all), 0);
	assert_int_equal(all.count, 5);
	assert_false(all.dot);
	assert_int_equal(io_dir_each(NULL, root, visit, &some), 0);
	assert_int_equal(some.count, 2);
	assert_int_equal(io_dir_each(NULL, at("none"), visit, &all), -ENOENT);
	assert_int_equal(io_dir_each(NULL, at("f1"), visit, &all), -ENOTDIR);
}

static void stat_tells_time_and_size(void **state)
{
	(void)state;
	msec mtime;
	uint64_t size;
	assert_int_equal(io_file_save(NULL, at("f"), STR("12345")), 0);
	struct timespec times[2] = {{1700000000, 0}, {1700000000, 123456789}};
	assert_int_equal(utimensat(AT_FDCWD, at("f"), times, 0), 0);
	assert_int_equal(io_path_stat(NULL, at("f"), &mtime, &size), 0);
	assert_int_equal(mtime, 1700000000123);
	assert_int_equal(size, 5);
	assert_int_equal(io_path_stat(NULL, at("none"), &mtime, &size), -ENOENT);
}

/* ---- file systems ---- */

static void an_unknown_file_system_is_an_error(void **state)
{
	(void)state;
	uint64_t left;
	enum io_fs kind;
	assert_int_equal(io_fs(NULL, at("none"), &left, &kind), -ENOENT);
	assert_int_equal(io_fs(NULL, root, &left, &kind), 0);
}

/* A small tmpfs at root/small, which nobody else sees; false where we may not.  */
static bool mount_small(void)
{
	if (unshare(CLONE_NEWNS) < 0) return false;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return false;
	assert_int_equal(io_dir_make(NULL, at("small")), 0);
	return mount("tmpfs", at("small"), "tmpfs", 0, "size=64k") == 0;
}

static void a_full_or_read_only_file_system_is_told(void **state)
{
	(void)state;
	static char large[200000];
	uint64_t left;
	enum io_fs kind;
	struct buf got;
	if (!mount_small()) skip();
	assert_int_equal(io_fs(NULL, at("small"), &left, &kind), 0);
	assert_int_equal(kind, IO_FS_MEMORY);
	assert_int_equal(left, 64 << 10);
	assert_int_equal(io_file_save(NULL, at("small/kept"), STR("old")), 0);
	struct str too_much = str_of(large, sizeof large);
	assert_int_equal(io_file_save(NULL, at("small/kept"), too_much), -ENOSPC);
	assert_false(io_path_exists(NULL, at("small/kept.tmp")));
	struct io_file f = open_new("small/other");
	struct iovec iov = {large, sizeof large};
	assert_int_equal(io_file_write(NULL, &f, &iov, 1, 0), -ENOSPC);
	io_file_close(NULL, &f);

	assert_int_equal(mount(NULL, at("small"), NULL, MS_REMOUNT | MS_RDONLY, "size=64k"), 0);
	assert_int_equal(io_file_save(NULL, at("small/kept"), STR("new")), -EROFS);
	assert_int_equal(io_dir_make(NULL, at("small/dir")), -EROFS);
	assert_int_equal(io_unlink(NULL, at("small/kept")), -EROFS);
	assert_int_equal(io_file_open(NULL, at("small/kept"), IO_OPEN_WRITE, &f), -EROFS);
	buf_init(&got, 100);
	assert_int_equal(io_file_load(NULL, at("small/kept"), &got), 0);
	assert_str(buf_str(&got), "old");
	buf_release(&got);
	assert_int_equal(umount(at("small")), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(settled_files_say_the_same),
		TEST(opening_has_its_errors),
		TEST(written_is_read_where_it_was_put),
		TEST(more_pieces_than_one_call_takes),
		TEST(a_short_write_goes_on_until_the_error),
		TEST(bad_descriptors_and_devices_fail),
		TEST(a_lock_has_one_holder),
		TEST(saved_is_loaded),
		TEST(a_failed_save_keeps_the_old),
		TEST(names_move),
		TEST(directories_are_made_to_the_depth),
		TEST(relative_paths_are_below_the_working_directory),
		TEST(each_entry_is_visited_once),
		TEST(stat_tells_time_and_size),
		TEST(an_unknown_file_system_is_an_error),
		TEST(a_full_or_read_only_file_system_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
