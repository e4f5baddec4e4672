/* What a kill must not forget.  A life runs in a process of its own, and ends without a word.  */
#include "spool/notes.h"

#include "spool/test.h"

#include <sys/mman.h>
#include <sys/wait.h>

enum { SEGMENT = 256 << 10, HALF = 256 << 10 };

struct lives {
	struct bench b;
	uint64_t *ids; /* shared with the lives; 0 ends them */
};

static void begin(struct lives *l)
{
	bench_init(&l->b, SEGMENT);
	l->b.options.outcome_delay = 3600 * 1000; /* nothing reaches the log by itself */
	l->ids = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(l->ids != MAP_FAILED);
}

static void end(struct lives *l)
{
	munmap(l->ids, 4096);
	bench_end(&l->b);
}

/* Run `life` in a process that is killed at its end, after one more turn of its loop.  */
static void live(struct lives *l, void (*life)(struct lives *l))
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		l->b.io = io_new();
		list_init(&l->b.hook.link);
		io_before_sleep(l->b.io, &l->b.hook);
		bench_open(&l->b);
		life(l);
		bench_run(&l->b, 1);
		spool_check(l->b.spool);
		_exit(7);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static slot find(struct lives *l, uint32_t nth)
{
	return spool_find(spool_index(l->b.spool), l->ids[nth]);
}

static uint8_t state_of(struct lives *l, uint32_t nth, uint32_t index)
{
	slot r = bench_recipient(&l->b, find(l, nth), index);
	return spool_recipient(spool_index(l->b.spool), r)->state;
}

static void finish(struct lives *l, uint32_t nth, uint32_t index)
{
	struct outcome o = bench_outcome(OUTCOME_DELIVERED, "ok");
	spool_outcome(l->b.spool, bench_recipient(&l->b, find(l, nth), index), &o, 0);
}

static void defer(struct lives *l, uint32_t nth, uint32_t index)
{
	struct outcome o = bench_outcome(OUTCOME_DEFERRED, "later");
	spool_outcome(l->b.spool, bench_recipient(&l->b, find(l, nth), index), &o, 99);
}

static void send_to(struct lives *l, uint32_t nth, uint32_t index)
{
	spool_sent(l->b.spool, bench_recipient(&l->b, find(l, nth), index));
}

static void accept_three(struct lives *l)
{
	struct bench_message m;
	for (uint32_t i = 0; i < 3; i++) {
		bench_accept(&l->b, &m, 2, 1000);
		l->ids[i] = m.id;
	}
}

/* ---- ends ---- */

static void some_end(struct lives *l)
{
	accept_three(l);
	finish(l, 0, 0);
	finish(l, 0, 1);
	finish(l, 1, 1);
	defer(l, 2, 0);
}

static void nothing(struct lives *l) { (void)l; }

static void check_some_ended(struct lives *l)
{
	assert_int_equal(find(l, 0), 0);
	assert_int_equal(state_of(l, 1, 0), RECIPIENT_DUE);
	assert_int_equal(state_of(l, 1, 1), RECIPIENT_DONE);
	assert_int_equal(state_of(l, 2, 0), RECIPIENT_DUE);
	spool_check(l->b.spool);
}

static void what_ended_stays_ended(void **state)
{
	(void)state;
	struct lives l = {0};
	begin(&l);
	live(&l, some_end);
	live(&l, check_some_ended); /* and is killed again, before it is in the log */
	live(&l, nothing);
	bench_open(&l.b);
	assert_int_equal(l.b.report.messages, 2);
	check_some_ended(&l);
	bench_close(&l.b); /* now it is */
	char notes[128];
	snprintf(notes, sizeof(notes), "%s/notes", l.b.path);
	assert_int_equal(unlink(notes), 0);
	bench_open(&l.b);
	check_some_ended(&l);
	end(&l);
}

/* ---- what was sent ---- */

static void some_sent(struct lives *l)
{
	accept_three(l);
	for (uint32_t i = 0; i < 6; i++) send_to(l, i / 2, i % 2);
	finish(l, 0, 0);
	defer(l, 0, 1);
	finish(l, 1, 0);
	finish(l, 1, 1);
}

static void count_doubt(void *context, slot recipient)
{
	struct lives *l = context;
	const struct spool_index *x = spool_index(l->b.spool);
	assert_int_equal(spool_message(x, spool_recipient(x, recipient)->message)->id, l->ids[2]);
	l->b.recovered++;
}

static void check_doubt(struct lives *l)
{
	l->b.recovered = 0;
	spool_each_doubtful(l->b.spool, count_doubt, l);
	assert_int_equal(l->b.recovered, 2);
}

static void what_was_not_answered_is_told(void **state)
{
	(void)state;
	struct lives l = {0};
	begin(&l);
	live(&l, some_sent);
	live(&l, check_doubt);
	bench_open(&l.b);
	check_doubt(&l);
	defer(&l, 2, 0);
	finish(&l, 2, 1);
	bench_close(&l.b);
	bench_open(&l.b);
	l.b.recovered = 0;
	spool_each_doubtful(l.b.spool, count_doubt, &l);
	assert_int_equal(l.b.recovered, 0);
	end(&l);
}

/* ---- halves ---- */

static void very_many(struct lives *l)
{
	accept_three(l);
	send_to(l, 2, 0);
	send_to(l, 2, 1);
	for (uint32_t i = 0; i < 5 * HALF / 16 / 2; i++) {
		send_to(l, 0, 0);
		defer(l, 0, 0);
		if (i % 1000 == 0) bench_sync(&l->b);
	}
	finish(l, 0, 0);
	finish(l, 0, 1);
}

static void halves_take_turns(void **state)
{
	(void)state;
	struct lives l = {0};
	begin(&l);
	live(&l, very_many);
	struct stat st;
	char notes[128];
	snprintf(notes, sizeof(notes), "%s/notes", l.b.path);
	assert_int_equal(stat(notes, &st), 0);
	assert_true(st.st_size <= 2 * HALF);
	bench_open(&l.b);
	assert_int_equal(find(&l, 0), 0);
	check_doubt(&l); /* what was open has come along */
	end(&l);
}

/* A disk that takes nothing: when both halves are needed, no more is noted, and nothing breaks.  */
static void no_room(struct lives *l)
{
	accept_three(l);
	for (uint32_t i = 0; i < 5 * HALF / 16 / 2; i++) {
		send_to(l, 0, 0);
		defer(l, 0, 0);
	}
	finish(l, 2, 0);
}

static void what_is_needed_is_not_overwritten(void **state)
{
	(void)state;
	struct lives l = {0};
	begin(&l);
	live(&l, no_room);
	bench_open(&l.b);
	assert_int_equal(l.b.report.messages, 3);
	spool_check(l.b.spool);
	end(&l);
}

/* ---- damage ---- */

enum { SPOILT = 100 }; /* in ids: which octet is */

static void check_spoilt(struct lives *l)
{
	/* Two are the begin; what is behind a spoilt one is not read.  */
	uint64_t note = l->ids[SPOILT] / 16 - 1;
	assert_int_equal(find(l, 0) == 0, note > 2);
	assert_int_equal(state_of(l, 1, 0), RECIPIENT_DUE);
	assert_int_equal(state_of(l, 1, 1), RECIPIENT_DUE);
	if (note <= 2) assert_int_equal(state_of(l, 0, 1), RECIPIENT_DUE);
	if (note <= 1) assert_int_equal(state_of(l, 0, 0), RECIPIENT_DUE);
}

static void spoilt_notes_say_nothing(void **state)
{
	(void)state;
	struct lives l = {0};
	begin(&l);
	live(&l, some_end);
	char notes[128], octets[4096];
	snprintf(notes, sizeof(notes), "%s/notes", l.b.path);
	int fd = open(notes, O_RDWR);
	ssize_t len = read(fd, octets, sizeof(octets));
	assert_int_equal(len, 5 * 16); /* the begin, and three who ended */
	for (ssize_t at = 16; at < len; at += 5) {
		octets[at] = (char)(octets[at] ^ 0x20);
		assert_int_equal(pwrite(fd, octets, (size_t)len, 0), len);
		octets[at] = (char)(octets[at] ^ 0x20);
		l.ids[SPOILT] = (uint64_t)at;
		live(&l, check_spoilt);
	}
	close(fd);
	end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_ended_stays_ended),
		cmocka_unit_test(what_was_not_answered_is_told),
		cmocka_unit_test(halves_take_turns),
		cmocka_unit_test(what_is_needed_is_not_overwritten),
		cmocka_unit_test(spoilt_notes_say_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
