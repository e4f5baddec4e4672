#include "spool/history.h"

#include "base/test.h"
#include "io/test.h"
#include "spool/index.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

/* A history in a directory of its own, and what a search found as text.  */
struct town {
	struct test_loop loop;
	struct io_workers *workers;
	struct history *history;
	char dir[64];
	struct buf found;
	size_t found_count, done;
	int error;
	struct history_search search;
};

static void remember(struct history_search *search, const struct history_record *r)
{
	struct town *t = CONTAINER_OF(search, struct town, search);
	char id[SPOOL_ID_LEN + 1];
	t->found_count++;
	buf_printf(&t->found, "[%d " STR_FMT, r->event, STR_ARG(spool_id_text(r->id, id)));
	if (r->event == HISTORY_ACCEPTED)
		buf_printf(&t->found, " from " STR_FMT, STR_ARG(r->sender));
	if (r->event == HISTORY_ATTEMPT)
		buf_printf(&t->found, " " STR_FMT ": " STR_FMT, STR_ARG(r->recipient),
			STR_ARG(r->outcome.text));
	buf_add_c(&t->found, ']');
}

static void end(struct history_search *search, int error)
{
	struct town *t = CONTAINER_OF(search, struct town, search);
	t->done++;
	t->error = error;
	assert_null(search->private);
}

static void open_history(struct town *t, msec keep, uint64_t size_max)
{
	int error = -1;
	t->history = history_open(t->loop.io, t->workers, t->dir, keep, size_max, NULL, &error);
	assert_int_equal(error, 0);
	assert_non_null(t->history);
}

/* A write may be under way: its end belongs to the closing.  */
static void close_history(struct town *t)
{
	history_close(t->history);
	t->history = NULL;
	test_run_ms(&t->loop, 20);
}

static int up(void **state)
{
	struct town *t = calloc(1, sizeof(*t));
	test_loop_init(&t->loop);
	snprintf(t->dir, sizeof(t->dir), "/tmp/history-test-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	t->workers = io_workers_start(t->loop.io, 2, "test");
	assert_non_null(t->workers);
	buf_init(&t->found, 1 << 20);
	*state = t;
	return 0;
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *ftw)
{
	(void)s, (void)type, (void)ftw;
	return remove(path);
}

static int down(void **state)
{
	struct town *t = *state;
	history_close(t->history);
	io_workers_stop(t->workers);
	io_free(t->loop.io);
	nftw(t->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	buf_release(&t->found);
	free(t);
	return 0;
}

static uint64_t id_of(uint64_t n) { return (1700000000000ull + n) << 20; }

static const char *id_text(uint64_t n)
{
	static char text[SPOOL_ID_LEN + 1];
	spool_id_text(id_of(n), text);
	return text;
}

/* The life of message n: accepted, attempted, done.  */
static void live(struct town *t, uint64_t n, const char *sender, const char *recipient)
{
	char message_id[64];
	snprintf(
		message_id, sizeof(message_id), "<%llu.xyz@client.example>", (unsigned long long)n);
	struct str to = str_from_c(recipient);
	struct history_record r = {.event = HISTORY_ACCEPTED,
		.id = id_of(n),
		.wall = 1700000000000 + (msec)n,
		.sender = str_from_c(sender),
		.client = STR("192.0.2.1"),
		.helo = STR("client.example.com"),
		.message_id = str_from_c(message_id),
		.size = 4096,
		.recipients = &to,
		.recipient_count = 1};
	history_add(t->history, &r);
	r = (struct history_record){.event = HISTORY_ATTEMPT,
		.id = id_of(n),
		.wall = 1700000000100 + (msec)n,
		.recipient = to,
		.elapsed = 12,
		.outcome = {.class = OUTCOME_DELIVERED,
			.code = 250,
			.enhanced = {2, 0, 0},
			.text = STR("2.0.0 Ok: queued as 4F2Xyz1abcz"),
			.host = STR("mx1.example.net[192.0.2.25]:25"),
			.tls = STR("TLSv1.3 TLS_AES_256_GCM_SHA384"),
			.remote = true}};
	history_add(t->history, &r);
	r = (struct history_record){
		.event = HISTORY_DONE, .id = id_of(n), .wall = 1700000000100 + (msec)n};
	history_add(t->history, &r);
}

static const char *search_max(struct town *t, const char *what, uint32_t max)
{
	static char text[1 << 16];
	buf_clear(&t->found);
	t->found_count = t->done = 0;
	t->search = (struct history_search){.found = remember, .done = end, .max = max};
	history_search(t->history, &t->search, str_from_c(what));
	assert_int_equal(t->done, 0);
	test_run_until(&t->loop, &t->done, 1);
	assert_int_equal(t->error, 0);
	snprintf(text, sizeof(text), STR_FMT, STR_ARG(buf_str(&t->found)));
	return text;
}

#define search(t, what) search_max(t, what, 100)

static void wait_until_written(struct town *t) { test_run_ms(&t->loop, 1200); }

static uint32_t count_files(struct town *t, uint64_t *ret_octets)
{
	uint32_t count = 0;
	DIR *dir = opendir(t->dir);
	*ret_octets = 0;
	for (struct dirent *e; (e = readdir(dir));) {
		char path[512];
		struct stat st;
		snprintf(path, sizeof(path), "%s/%s", t->dir, e->d_name);
		if (strncmp(e->d_name, "history.", 8) != 0 || stat(path, &st) != 0) continue;
		count++;
		*ret_octets += (uint64_t)st.st_size;
	}
	closedir(dir);
	return count;
}

/* Message 2 from bob as all searches show it.  */
static const char *life_of_2(void)
{
	static char text[512];
	snprintf(text, sizeof(text),
		"[1 %s from bob@example.com][2 %s dave@sub.example.net: 2.0.0 Ok: queued as 4F2Xyz1abcz][9 %s]",
		id_text(2), id_text(2), id_text(2));
	return text;
}

static void assert_searches(struct town *t)
{
	char bracketed[64];
	assert_string_equal(search(t, id_text(2)), life_of_2());
	assert_string_equal(search(t, "<2.xyz@client.example>"), life_of_2());
	assert_string_equal(search(t, "2.XYZ@client.example"), life_of_2());
	assert_string_equal(search(t, "bob@EXAMPLE.com"), life_of_2());
	assert_string_equal(search(t, "Dave@sub.example.net"), life_of_2());
	assert_string_equal(search(t, "@sub.example.net"), life_of_2());
	snprintf(bracketed, sizeof(bracketed), "<%s>", "bob@example.com");
	assert_string_equal(search(t, bracketed), life_of_2());
	assert_string_equal(search(t, "ob@example.com"), "");
	assert_string_equal(search(t, "bob@example.co"), "");
	assert_string_equal(search(t, "@net"), "");
	assert_string_equal(search(t, "bob"), "");
	assert_string_equal(search(t, ""), "");
	assert_string_equal(search(t, "<>"), "");
	assert_string_equal(search(t, id_text(77)), "");
	/* Newest first.  */
	search(t, "@example.net");
	assert_int_equal(t->found_count, 6);
	char third[64];
	snprintf(third, sizeof(third), "[1 %s from alice@example.com]", id_text(3));
	assert_true(str_starts(buf_str(&t->found), str_from_c(third)));
	search_max(t, "@example.net", 1);
	assert_int_equal(t->found_count, 3);
	assert_true(str_starts(buf_str(&t->found), str_from_c(third)));
	assert_string_equal(search_max(t, "@example.net", 0), "");
}

static void tell_three(struct town *t)
{
	live(t, 1, "alice@example.com", "carol@example.net");
	live(t, 2, "bob@example.com", "dave@sub.example.net");
	live(t, 3, "alice@example.com", "carol@example.net");
}

static void test_in_memory(void **state)
{
	struct town *t = *state;
	uint64_t octets;
	open_history(t, DAYS(7), 1 << 30);
	test_run_ms(&t->loop, 50);
	tell_three(t);
	search(t, "bob@example.com");
	assert_int_equal(count_files(t, &octets), 0); /* it was the memory that was searched */
	assert_searches(t);
}

static void test_on_disk(void **state)
{
	struct town *t = *state;
	uint64_t octets;
	open_history(t, DAYS(7), 1 << 30);
	tell_three(t);
	wait_until_written(t);
	assert_int_equal(count_files(t, &octets), 1);
	assert_in_range(octets, 100, 300 * 3);
	assert_searches(t);
	/* And again after another start, which goes on in the same file.  */
	close_history(t);
	open_history(t, DAYS(7), 1 << 30);
	assert_searches(t);
	live(t, 4, "erin@example.com", "frank@example.org");
	close_history(t); /* writes at once */
	open_history(t, DAYS(7), 1 << 30);
	assert_int_equal(count_files(t, &octets), 1);
	assert_searches(t);
	search(t, "erin@example.com");
	assert_int_equal(t->found_count, 3);
}

/* Events of one message that lie in a file, in a block that is being written, and in memory.  */
static void test_everywhere_at_once(void **state)
{
	struct town *t = *state;
	open_history(t, DAYS(7), 1 << 30);
	struct str to = STR("carol@example.net");
	history_add(t->history,
		&(struct history_record){.event = HISTORY_ACCEPTED,
			.id = id_of(1),
			.sender = STR("alice@example.com"),
			.recipients = &to,
			.recipient_count = 1});
	wait_until_written(t);
	history_add(t->history,
		&(struct history_record){.event = HISTORY_ATTEMPT,
			.id = id_of(1),
			.recipient = to,
			.outcome = {.class = OUTCOME_DEFERRED, .text = STR("first")}});
	for (uint64_t n = 1000; n < 2000; n++)
		live(t, n, "x@y.example", "z@y.example"); /* starts a write */
	history_add(t->history,
		&(struct history_record){.event = HISTORY_ATTEMPT,
			.id = id_of(1),
			.recipient = to,
			.outcome = {.class = OUTCOME_DELIVERED, .text = STR("second")}});
	const char *got = search(t, "alice@example.com");
	char wanted[512];
	snprintf(wanted, sizeof(wanted),
		"[1 %s from alice@example.com][2 %s carol@example.net: first][2 %s carol@example.net: second]",
		id_text(1), id_text(1), id_text(1));
	assert_string_equal(got, wanted);
	search_max(t, "@y.example", 10000);
	assert_int_equal(t->found_count, 3000);
}

static void overwrite(struct town *t, const char *name, long offset, const void *octets, size_t len)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", t->dir, name);
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, octets, len, offset), len);
	close(fd);
}

/* Blocks of one message each; whatever octet is wrong or missing, all others are found.  */
static void test_damage(void **state)
{
	struct town *t = *state;
	enum { MESSAGES = 5 };
	open_history(t, DAYS(7), 1 << 30);
	uint64_t ends[MESSAGES + 1] = {32};
	for (uint64_t n = 0; n < MESSAGES; n++) {
		live(t, n, "alice@example.com", "bob@example.net");
		close_history(t);
		open_history(t, DAYS(7), 1 << 30);
		assert_int_equal(count_files(t, &ends[n + 1]), 1);
	}
	for (int n = 0; n < MESSAGES; n++) {
		for (uint64_t at = ends[n]; at < ends[n + 1]; at += 13) {
			char old[1], path[128];
			snprintf(path, sizeof(path), "%s/history.00000001", t->dir);
			int fd = open(path, O_RDONLY);
			assert_int_equal(pread(fd, old, 1, (off_t)at), 1);
			close(fd);
			overwrite(t, "history.00000001", (long)at, (char[]){(char)~old[0]}, 1);
			search(t, "alice@example.com");
			assert_in_range(t->found_count, 3 * MESSAGES - 3, 3 * MESSAGES);
			overwrite(t, "history.00000001", (long)at, old, 1);
		}
	}
	/* A header that claims megabytes.  */
	overwrite(t, "history.00000001", (long)ends[1] + 6, "\x70", 1);
	search(t, "alice@example.com");
	assert_int_equal(t->found_count, 3 * MESSAGES - 3);
}

static void put_file(struct town *t, const char *name, struct str content)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", t->dir, name);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content.ptr, content.len), content.len);
	close(fd);
}

/* What else is in the directory is let alone; what should be there and is not, or cannot be read, costs itself.  */
static void test_strange_files(void **state)
{
	struct town *t = *state;
	char path[128];
	open_history(t, DAYS(7), 1 << 30);
	live(t, 1, "alice@example.com", "bob@example.net");
	close_history(t);
	put_file(t, "notes", STR("history of the house"));
	put_file(t, "history.old", STR("no number"));
	put_file(t, "history.00000005", STR("rdhist"));
	open_history(t, DAYS(7), 1 << 30);
	search(t, "alice@example.com");
	assert_int_equal(t->found_count, 3);
	close_history(t);
	/* The last one was none to go on with: another is begun.  */
	put_file(t, "history.00000006",
		STR("of a version that is to come, and so of no use, with more text than a head"));
	open_history(t, DAYS(7), 1 << 30);
	live(t, 2, "alice@example.com", "bob@example.net");
	close_history(t);
	snprintf(path, sizeof(path), "%s/history.00000007", t->dir);
	assert_int_equal(access(path, F_OK), 0);
	open_history(t, DAYS(7), 1 << 30);
	search(t, "alice@example.com");
	assert_int_equal(t->found_count, 6);
	assert_int_equal(unlink(path), 0); /* its time has come meanwhile */
	search(t, "alice@example.com");
	assert_int_equal(t->found_count, 3);
	close_history(t);
	/* One that cannot be read: what is found elsewhere is told, and so is that.  */
	snprintf(path, sizeof(path), "%s/history.00000004", t->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	open_history(t, DAYS(7), 1 << 30);
	t->found_count = t->done = 0;
	t->search = (struct history_search){.found = remember, .done = end, .max = 100};
	history_search(t->history, &t->search, STR("alice@example.com"));
	test_run_until(&t->loop, &t->done, 1);
	assert_int_equal(t->error, -EISDIR);
	assert_int_equal(t->found_count, 3);
}

static void test_a_cut_tail(void **state)
{
	struct town *t = *state;
	char path[128];
	uint64_t first, both;
	snprintf(path, sizeof(path), "%s/history.00000001", t->dir);
	open_history(t, DAYS(7), 1 << 30);
	live(t, 1, "alice@example.com", "bob@example.net");
	close_history(t);
	assert_int_equal(count_files(t, &first), 1);
	open_history(t, DAYS(7), 1 << 30);
	live(t, 2, "alice@example.com", "bob@example.net");
	close_history(t);
	assert_int_equal(count_files(t, &both), 1);
	for (uint64_t size = both - 1; size > first; size -= 7) {
		/* Only zeros that pad the block may be missing without loss.  */
		size_t least = 6, most = both - size < 8 ? 9 : 6;
		assert_int_equal(truncate(path, (off_t)size), 0);
		open_history(t, DAYS(7), 1 << 30);
		live(t, 3, "alice@example.com", "bob@example.net"); /* goes behind what is cut */
		search(t, "alice@example.com");
		assert_in_range(t->found_count, least, most);
		close_history(t);
		open_history(t, DAYS(7), 1 << 30);
		search(t, "alice@example.com");
		assert_in_range(t->found_count, least, most);
		close_history(t);
	}
	/* A file that is none: it is left alone, and another one begun.  */
	assert_int_equal(truncate(path, 20), 0);
	open_history(t, DAYS(7), 1 << 30);
	live(t, 4, "alice@example.com", "bob@example.net");
	close_history(t);
	open_history(t, DAYS(7), 1 << 30);
	assert_int_equal(count_files(t, &both), 2);
	search(t, "alice@example.com");
	assert_int_equal(t->found_count, 3);
}

static void test_size_limit(void **state)
{
	struct town *t = *state;
	enum { SIZE = 2 << 20, MESSAGES = 40000 };
	uint64_t octets = 0, most = 0;
	open_history(t, DAYS(7), SIZE);
	for (uint64_t n = 0; n < MESSAGES; n++) {
		live(t, n, "alice@example.com", "bob@example.net");
		if (n % 1000) continue;
		test_run_ms(&t->loop, 5);
		count_files(t, &octets);
		if (octets > most) most = octets;
	}
	wait_until_written(t);
	uint32_t files = count_files(t, &octets);
	assert_in_range(files, 8, 40);
	assert_in_range(octets, SIZE / 2, SIZE);
	assert_true(most < 2 * SIZE);
	search_max(t, "alice@example.com", 3);
	char newest[64];
	snprintf(newest, sizeof(newest), "[1 %s from alice@example.com]", id_text(MESSAGES - 1));
	assert_true(str_starts(buf_str(&t->found), str_from_c(newest)));
	assert_int_equal(t->found_count, 9);
	assert_string_equal(search(t, id_text(0)), ""); /* its file has gone */
}

static void test_keep(void **state)
{
	struct town *t = *state;
	uint64_t octets;
	open_history(t, SECONDS(2), 1 << 30);
	live(t, 1, "alice@example.com", "bob@example.net");
	wait_until_written(t);
	search(t, "alice@example.com");
	assert_int_equal(t->found_count, 3);
	test_run_ms(&t->loop, 1500);
	live(t, 2, "alice@example.com", "bob@example.net");
	wait_until_written(t);
	assert_int_equal(count_files(t, &octets), 1);
	search(t, "alice@example.com");
	assert_int_equal(t->found_count, 3);
	/* Old files of an earlier run.  */
	close_history(t);
	test_run_ms(&t->loop, 2100);
	open_history(t, SECONDS(2), 1 << 30);
	test_run_ms(&t->loop, 100);
	assert_int_equal(count_files(t, &octets), 0);
}

static void test_not_at_all(void **state)
{
	struct town *t = *state;
	uint64_t octets;
	open_history(t, DAYS(1), 1 << 30);
	live(t, 1, "alice@example.com", "bob@example.net");
	wait_until_written(t);
	live(t, 2, "alice@example.com", "bob@example.net");
	history_limits(t->history, 0, 1 << 30);
	live(t, 3, "alice@example.com", "bob@example.net");
	assert_string_equal(search(t, id_text(3)), "");
	wait_until_written(t);
	assert_int_equal(count_files(t, &octets), 0);
	assert_string_equal(search(t, "alice@example.com"), "");
	history_limits(t->history, DAYS(1), 1 << 30);
	live(t, 4, "alice@example.com", "bob@example.net");
	wait_until_written(t);
	search(t, "alice@example.com");
	assert_int_equal(t->found_count, 3);
	close_history(t);
	open_history(t, 0, 1 << 30);
	test_run_ms(&t->loop, 100);
	assert_int_equal(count_files(t, &octets), 0);
}

/* The directory goes away, and comes back.  */
static void test_a_disk_that_fails(void **state)
{
	struct town *t = *state;
	char away[80];
	uint64_t octets;
	snprintf(away, sizeof(away), "%s-away", t->dir);
	open_history(t, DAYS(7), 1 << 30);
	assert_int_equal(rename(t->dir, away), 0);
	live(t, 1, "alice@example.com", "bob@example.net");
	wait_until_written(t);
	live(t, 2, "alice@example.com", "bob@example.net");
	search(t, "alice@example.com"); /* what is still in memory */
	assert_int_equal(t->found_count, 3);
	assert_int_equal(rename(away, t->dir), 0);
	wait_until_written(t);
	assert_int_equal(count_files(t, &octets), 1);
	assert_string_equal(search(t, id_text(1)), "");
	search(t, "alice@example.com");
	assert_int_equal(t->found_count, 3);
}

static void test_a_directory_that_cannot_be(void **state)
{
	struct town *t = *state;
	int error = 0;
	char path[80];
	snprintf(path, sizeof(path), "%s/file", t->dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_null(history_open(t->loop.io, t->workers, path, DAYS(1), 1 << 20, NULL, &error));
	assert_int_equal(error, -ENOTDIR);
}

static void test_ending_early(void **state)
{
	struct town *t = *state;
	open_history(t, DAYS(7), 1 << 30);
	for (uint64_t n = 0; n < 1000; n++)
		live(t, n, "alice@example.com", "bob@example.net"); /* a write is under way */
	struct history_search *search = calloc(1, sizeof(*search));
	*search = (struct history_search){.found = remember, .done = end, .max = 10};
	history_search_cancel(search);
	history_search(t->history, search, STR("alice@example.com"));
	history_search_cancel(search);
	free(search);
	/* One that the history's own end ends.  */
	t->search = (struct history_search){.found = remember, .done = end, .max = 10};
	history_search(t->history, &t->search, STR("alice@example.com"));
	history_close(t->history);
	t->history = NULL;
	t->done = 0;
	test_run_ms(&t->loop, 300);
	assert_int_equal(t->done, 0);
	open_history(t, DAYS(7), 1 << 30);
	search_max(t, "alice@example.com", 2000);
	assert_int_equal(t->found_count, 3000); /* all was written all the same */
}

static int64_t search_ms(struct town *t, const char *what)
{
	int64_t begin = io_now_us(t->loop.io);
	search(t, what);
	return (io_now_us(t->loop.io) - begin) / 1000;
}

/* A million messages: octets for each, and the time to find one.  HISTORY_MESSAGES in the
 * environment asks for others.  */
static void test_a_million(void **state)
{
	struct town *t = *state;
	const char *wish = getenv("HISTORY_MESSAGES");
	uint64_t messages = wish ? strtoull(wish, NULL, 10) : 20000, octets;
	open_history(t, DAYS(7), 1 << 30);
	int64_t begin = io_now_us(t->loop.io);
	for (uint64_t n = 0; n < messages; n++) {
		char sender[64], recipient[64];
		snprintf(sender, sizeof(sender), "sender-%llu@example.com",
			(unsigned long long)n * 7919 % 100003);
		snprintf(recipient, sizeof(recipient), "recipient-%llu@example.net",
			(unsigned long long)n);
		live(t, n, sender, recipient);
		if (n % 1000 == 0) test_run_ms(&t->loop, 1);
	}
	int64_t us = io_now_us(t->loop.io) - begin;
	wait_until_written(t);
	count_files(t, &octets);
	print_message("%llu messages: %llu octets and %lld ns each\n", (unsigned long long)messages,
		(unsigned long long)(octets / messages),
		(long long)(us * 1000 / (int64_t)messages));
	assert_true(octets / messages < 300);
	char what[64];
	snprintf(
		what, sizeof(what), "recipient-%llu@example.net", (unsigned long long)messages / 2);
	print_message("found by recipient in %lld ms", (long long)search_ms(t, what));
	assert_int_equal(t->found_count, 3);
	print_message(
		", by Message-ID in %lld ms", (long long)search_ms(t, "<77.xyz@client.example>"));
	assert_int_equal(t->found_count, 3);
	print_message(", by id in %lld ms", (long long)search_ms(t, id_text(messages / 3)));
	assert_int_equal(t->found_count, 3);
	print_message(", by domain in %lld ms\n", (long long)search_ms(t, "@example.net"));
	assert_int_equal(t->found_count, 300);
}

int main(void)
{
#define TOWN_TEST(f) cmocka_unit_test_setup_teardown(f, up, down)
	const struct CMUnitTest tests[] = {
		TOWN_TEST(test_in_memory),
		TOWN_TEST(test_on_disk),
		TOWN_TEST(test_everywhere_at_once),
		TOWN_TEST(test_damage),
		TOWN_TEST(test_strange_files),
		TOWN_TEST(test_a_cut_tail),
		TOWN_TEST(test_size_limit),
		TOWN_TEST(test_keep),
		TOWN_TEST(test_not_at_all),
		TOWN_TEST(test_a_disk_that_fails),
		TOWN_TEST(test_a_directory_that_cannot_be),
		TOWN_TEST(test_ending_early),
		TOWN_TEST(test_a_million),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
