#include "io/test.h"

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

/* ---- timers and time ---- */

struct noted_timer {
	struct timer timer;
	char name;
	msec fired_at;
};

static char order[64];
static size_t order_len;

static void note(char c)
{
	assert_true(order_len + 1 < sizeof order);
	order[order_len++] = c;
	order[order_len] = 0;
}

static void note_timer(struct timer *timer)
{
	struct noted_timer *t = CONTAINER_OF(timer, struct noted_timer, timer);
	t->fired_at = io_now(loop.io);
	note(t->name);
}

static void timers_fire_in_order_and_not_early(void **state)
{
	(void)state;
	struct noted_timer t[5];
	static const int after[5] = {30, 10, 20, 10000, 0};
	msec begin = io_now(loop.io);
	order_len = 0;
	for (int i = 0; i < 5; i++) {
		t[i] = (struct noted_timer){.timer.fire = note_timer, .name = (char)('a' + i)};
		io_timer_set(loop.io, &t[i].timer, begin + after[i]);
	}
	io_timer_cancel(loop.io, &t[2].timer);
	test_run_ms(&loop, 60);
	assert_string_equal(order, "eba");
	assert_true(t[1].fired_at >= begin + 10);
	assert_true(t[0].fired_at >= begin + 30);
	assert_true(t[0].fired_at < begin + 1000);
	assert_true(timer_is_set(&t[3].timer));
	io_timer_cancel(loop.io, &t[3].timer);
}

static void sleep_costs_no_wake_ups(void **state)
{
	(void)state;
	test_run_ms(&loop, 100);
	assert_true(loop.wake_ups <= 3);
}

static void clocks_go_on(void **state)
{
	(void)state;
	int64_t us = io_now_us(loop.io);
	msec now = io_now(loop.io);
	test_run_ms(&loop, 20);
	assert_true(io_now(loop.io) >= now + 20);
	assert_true(io_now_us(loop.io) >= us + 20000);
	assert_true(io_wall(loop.io) > 1700000000000);
}

static void random_fills_all(void **state)
{
	(void)state;
	unsigned char a[1000] = {0}, seen = 0;
	for (int i = 0; i < 20; i++) {
		io_random(loop.io, a, sizeof a);
		seen |= a[sizeof a - 1];
	}
	assert_true(seen != 0);
}

/* ---- hooks ---- */

struct noted_hook {
	struct io_hook hook;
	char name;
	struct io_hook *remove;
};

static void note_hook(struct io_hook *hook)
{
	struct noted_hook *h = CONTAINER_OF(hook, struct noted_hook, hook);
	note(h->name);
	if (h->remove) list_remove(&h->remove->link);
	h->remove = NULL;
}

static void hooks_keep_their_order_when_some_go(void **state)
{
	(void)state;
	struct noted_hook h[5];
	size_t wake_up = 0;
	for (int i = 0; i < 5; i++) {
		h[i] = (struct noted_hook){.hook.run = note_hook, .name = (char)('a' + i)};
		io_before_sleep(loop.io, &h[i].hook);
	}
	h[1].remove = &h[2].hook; /* the next */
	h[3].remove = &h[3].hook; /* itself */
	h[4].remove = &h[0].hook; /* one before */
	order_len = 0;
	test_run_until(&loop, &wake_up, 0);
	assert_string_equal(order, "abde");
	order_len = 0;
	test_run_until(&loop, &wake_up, 0);
	assert_string_equal(order, "be");
	list_remove(&h[1].hook.link);
	list_remove(&h[4].hook.link);
}

/* ---- posts ---- */

enum { POSTERS = 8, POSTS_EACH = 20000 };

struct poster {
	pthread_t thread;
	struct io_post own;
	atomic_size_t said; /* by the thread */
	size_t heard;       /* by the loop */
};

static struct poster posters[POSTERS];
static struct io_post shared;
static size_t shared_runs, finished;

static void heard_own(struct io_post *post)
{
	struct poster *p = CONTAINER_OF(post, struct poster, own);
	p->heard = atomic_load(&p->said);
	if (p->heard == POSTS_EACH) finished++;
}

static void heard_shared(struct io_post *post)
{
	(void)post;
	shared_runs++;
}

static void *post_much(void *argument)
{
	struct poster *p = argument;
	for (int i = 0; i < POSTS_EACH; i++) {
		atomic_fetch_add(&p->said, 1);
		io_post(&p->own);
		io_post(&shared);
	}
	return NULL;
}

static void no_post_is_lost(void **state)
{
	(void)state;
	finished = shared_runs = 0;
	io_post_init(loop.io, &shared, heard_shared);
	for (int i = 0; i < POSTERS; i++) {
		io_post_init(loop.io, &posters[i].own, heard_own);
		struct poster *p = &posters[i];
		assert_int_equal(pthread_create(&p->thread, NULL, post_much, p), 0);
	}
	test_run_until(&loop, &finished, POSTERS);
	for (int i = 0; i < POSTERS; i++) pthread_join(posters[i].thread, NULL);
	test_run_ms(&loop, 5);
	assert_true(shared_runs >= 1 && shared_runs <= POSTERS * POSTS_EACH);
	for (int i = 0; i < POSTERS; i++) assert_int_equal(posters[i].heard, POSTS_EACH);
}

static void *post_later(void *argument)
{
	usleep(20000);
	io_post(argument);
	return NULL;
}

static void a_post_wakes_a_sleeping_loop(void **state)
{
	(void)state;
	pthread_t thread;
	shared_runs = 0;
	io_post_init(loop.io, &shared, heard_shared);
	for (size_t i = 1; i <= 3; i++) {
		assert_int_equal(pthread_create(&thread, NULL, post_later, &shared), 0);
		test_run_until(&loop, &shared_runs, i);
		pthread_join(thread, NULL);
		assert_true(loop.wake_ups <= 4);
	}
}

static void post_again(struct io_post *post)
{
	if (++shared_runs < 1000) io_post(post);
}

static void a_post_may_post_itself_without_starving_others(void **state)
{
	(void)state;
	shared_runs = 0;
	io_post_init(loop.io, &shared, post_again);
	io_post(&shared);
	test_run_until(&loop, &shared_runs, 1000);
	assert_true(loop.wake_ups >= 1000);
}

static void a_cancelled_post_does_not_come(void **state)
{
	(void)state;
	shared_runs = 0;
	io_post_init(loop.io, &shared, heard_shared);
	io_post(&shared);
	io_post_cancel(&shared);
	test_run_ms(&loop, 5);
	assert_int_equal(shared_runs, 0);
	io_post(&shared);
	test_run_until(&loop, &shared_runs, 1);
}

/* ---- watches ---- */

struct pipe_watch {
	struct io_watch watch;
	size_t readies;
	struct io_watch *other; /* to be unwatched */
};

static void pipe_ready(struct io_watch *watch)
{
	struct pipe_watch *p = CONTAINER_OF(watch, struct pipe_watch, watch);
	char c;
	p->readies++;
	assert_int_equal(read(watch->fd, &c, 1), 1);
	if (p->other) io_unwatch(p->other);
}

static void watches_tell_and_stop_telling(void **state)
{
	(void)state;
	int a[2], b[2];
	assert_int_equal(pipe(a) | pipe(b), 0);
	struct pipe_watch wa = {.watch.ready = pipe_ready}, wb = {.watch.ready = pipe_ready};
	assert_int_equal(io_watch(loop.io, &wa.watch, a[0]), 0);
	assert_int_equal(io_watch(loop.io, &wb.watch, b[0]), 0);
	assert_int_equal(write(a[1], "x", 1), 1);
	test_run_until(&loop, &wa.readies, 1);
	assert_int_equal(wb.readies, 0);

	/* Both are ready in one wake-up: whichever is first takes the other's turn away.  */
	wa.other = &wb.watch, wb.other = &wa.watch;
	assert_int_equal(write(a[1], "x", 1) + write(b[1], "x", 1), 2);
	test_run_ms(&loop, 10);
	assert_int_equal(wa.readies + wb.readies, 2);
	io_unwatch(&wa.watch);
	io_unwatch(&wb.watch);
	io_unwatch(&wb.watch);
	close(a[0]), close(a[1]), close(b[0]), close(b[1]);
	assert_int_equal(io_watch(loop.io, &wa.watch, a[0]), -EBADF);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(timers_fire_in_order_and_not_early),
		TEST(sleep_costs_no_wake_ups),
		TEST(clocks_go_on),
		TEST(random_fills_all),
		TEST(hooks_keep_their_order_when_some_go),
		TEST(no_post_is_lost),
		TEST(a_post_wakes_a_sleeping_loop),
		TEST(a_post_may_post_itself_without_starving_others),
		TEST(a_cancelled_post_does_not_come),
		TEST(watches_tell_and_stop_telling),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
