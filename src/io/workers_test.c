#include "io/test.h"

static struct test_loop loop;
static struct io_workers *workers;
static pthread_t loop_thread;

struct job {
	struct io_work work;
	useconds_t takes_us;
	pthread_t ran_on;
	size_t runs, dones;
	size_t run_order;
	struct job *then;       /* given by done */
	struct job *then_short; /* likewise, as short work */
};

static atomic_size_t run_counter;
static atomic_int at_once, most_at_once;
static size_t done_counter;

static void run_job(struct io_work *work)
{
	struct job *job = CONTAINER_OF(work, struct job, work);
	int now = atomic_fetch_add(&at_once, 1) + 1;
	if (now > atomic_load(&most_at_once)) atomic_store(&most_at_once, now);
	if (job->takes_us) usleep(job->takes_us);
	job->ran_on = pthread_self();
	job->run_order = atomic_fetch_add(&run_counter, 1);
	job->runs++;
	atomic_fetch_sub(&at_once, 1);
}

static void job_done(struct io_work *work)
{
	struct job *job = CONTAINER_OF(work, struct job, work);
	assert_true(pthread_equal(pthread_self(), loop_thread));
	assert_int_equal(job->runs, job->dones + 1);
	job->dones++;
	done_counter++;
	if (job->then) io_work(workers, &job->then->work);
	if (job->then_short) io_work_short(workers, &job->then_short->work);
}

static void init_job(struct job *job, useconds_t takes_us)
{
	*job = (struct job){.work = {.run = run_job, .done = job_done}, .takes_us = takes_us};
}

static bool ran_on_loop(const struct job *job) { return pthread_equal(job->ran_on, loop_thread); }

static int setup(void **state)
{
	(void)state;
	test_loop_init(&loop);
	loop_thread = pthread_self();
	atomic_store(&run_counter, 0);
	atomic_store(&most_at_once, 0);
	done_counter = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	io_free(loop.io);
	return 0;
}

static void start(unsigned threads)
{
	workers = io_workers_start(loop.io, threads, "a rather long name");
	assert_non_null(workers);
}

/* ---- work ---- */

static void one_thread_keeps_the_order(void **state)
{
	(void)state;
	static struct job jobs[500];
	start(1);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		init_job(&jobs[i], 0);
		io_work(workers, &jobs[i].work);
	}
	assert_int_equal(done_counter, 0); /* never from inside a call */
	test_run_until(&loop, &done_counter, ARRAY_LEN(jobs));
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		assert_int_equal(jobs[i].run_order, i);
		assert_int_equal(jobs[i].runs, 1);
		assert_false(ran_on_loop(&jobs[i]));
	}
	io_workers_stop(workers);
}

static void several_threads_run_at_once(void **state)
{
	(void)state;
	struct job jobs[4];
	start(4);
	for (int i = 0; i < 4; i++) {
		init_job(&jobs[i], 200000);
		io_work(workers, &jobs[i].work);
	}
	test_run_until(&loop, &done_counter, 4);
	assert_int_equal(most_at_once, 4);
	io_workers_stop(workers);
}

static void a_slow_work_does_not_stop_the_loop(void **state)
{
	(void)state;
	struct job slow;
	start(1);
	init_job(&slow, 300000);
	io_work(workers, &slow.work);
	test_run_ms(&loop, 20);
	assert_int_equal(done_counter, 0);
	assert_true(loop.wake_ups <= 3);
	test_run_until(&loop, &done_counter, 1);
	io_workers_stop(workers);
}

static void chains_run_to_their_end(void **state)
{
	(void)state;
	static struct job jobs[2000];
	start(2);
	for (size_t i = ARRAY_LEN(jobs); i-- > 0;) {
		init_job(&jobs[i], 0);
		if (i + 1 < ARRAY_LEN(jobs)) jobs[i].then = &jobs[i + 1];
	}
	io_work(workers, &jobs[0].work);
	test_run_until(&loop, &done_counter, ARRAY_LEN(jobs));
	io_workers_stop(workers);
}

/* ---- stopping ---- */

static void stopping_finishes_everything(void **state)
{
	(void)state;
	for (int round = 0; round < 50; round++) {
		struct job jobs[10], more[3];
		start(1 + (unsigned)round % 3);
		done_counter = 0;
		for (int i = 0; i < 10; i++) {
			init_job(&jobs[i], round % 5 == 0 ? 500 : 0);
			io_work(workers, &jobs[i].work);
		}
		for (int i = 0; i < 3; i++) init_job(&more[i], 0);
		jobs[9].then = &more[0]; /* given while stopping */
		more[0].then_short = &more[1];
		more[1].then = &more[2];
		if (round % 2) test_run_ms(&loop, 0);
		io_workers_stop(workers);
		assert_int_equal(done_counter, 13);
	}
	test_run_ms(&loop, 2);
	assert_int_equal(done_counter, 13);
	io_workers_stop(NULL);
}

static void stop_and_leave(struct timer *timer)
{
	(void)timer;
	io_workers_stop(workers);
	io_stop(loop.io);
}

static void workers_may_be_stopped_by_a_callback(void **state)
{
	(void)state;
	struct job first, second;
	struct timer timer = {.fire = stop_and_leave};
	start(1);
	init_job(&first, 0);
	init_job(&second, 0);
	first.then_short = &second;
	io_work(workers, &first.work);
	io_timer_set(loop.io, &timer, 0);
	test_run(&loop, SECONDS(5));
	assert_int_equal(done_counter, 2);
}

static void idle_workers_stop(void **state)
{
	(void)state;
	start(8);
	io_workers_stop(workers);
	start(1);
	test_run_ms(&loop, 5);
	io_workers_stop(workers);
}

/* ---- short work ---- */

/* Gives jobs from a timer, that is from within a wake-up.  */
struct giver {
	struct timer timer;
	struct job *jobs;
	size_t count;
	bool (*is_long)(size_t i);
};

static void give(struct timer *timer)
{
	struct giver *g = CONTAINER_OF(timer, struct giver, timer);
	for (size_t i = 0; i < g->count; i++) {
		if (g->is_long && g->is_long(i))
			io_work(workers, &g->jobs[i].work);
		else
			io_work_short(workers, &g->jobs[i].work);
	}
}

static void give_and_run(struct job *jobs, size_t count, bool (*is_long)(size_t i))
{
	struct giver g = {.timer.fire = give, .jobs = jobs, .count = count, .is_long = is_long};
	size_t before = done_counter;
	io_timer_set(loop.io, &g.timer, 0);
	test_run_until(&loop, &done_counter, before + count);
}

static void alone_short_work_runs_on_the_loop(void **state)
{
	(void)state;
	struct job first, second;
	start(1);
	init_job(&first, 0);
	init_job(&second, 0);
	first.then_short = &second; /* nothing else to do then, either */
	struct giver g = {.timer.fire = give, .jobs = &first, .count = 1};
	io_timer_set(loop.io, &g.timer, 0);
	test_run_until(&loop, &done_counter, 2);
	assert_true(ran_on_loop(&first));
	assert_true(ran_on_loop(&second));
	io_workers_stop(workers);
}

static void before_the_loop_runs_short_work_goes_to_a_thread(void **state)
{
	(void)state;
	struct job job;
	start(1);
	init_job(&job, 0);
	io_work_short(workers, &job.work);
	test_run_until(&loop, &done_counter, 1);
	assert_false(ran_on_loop(&job));
	io_workers_stop(workers);
}

static bool all_but_first(size_t i) { return i > 0; }
static bool first_only(size_t i) { return i == 0; }

static void short_work_in_company_goes_to_a_thread_in_order(void **state)
{
	(void)state;
	static bool (*const companies[])(size_t) = {NULL, all_but_first, first_only};
	start(1);
	for (size_t c = 0; c < ARRAY_LEN(companies); c++) {
		struct job jobs[3];
		for (int i = 0; i < 3; i++) init_job(&jobs[i], 0);
		run_counter = 0;
		give_and_run(jobs, 3, companies[c]);
		for (size_t i = 0; i < 3; i++) {
			assert_false(ran_on_loop(&jobs[i]));
			assert_int_equal(jobs[i].run_order, i);
		}
	}
	io_workers_stop(workers);
}

static void short_work_waits_behind_one_that_runs(void **state)
{
	(void)state;
	struct job slow, quick;
	start(1);
	init_job(&slow, 30000);
	init_job(&quick, 0);
	io_work(workers, &slow.work);
	test_run_ms(&loop, 2);
	give_and_run(&quick, 1, NULL);
	test_run_until(&loop, &done_counter, 2);
	assert_false(ran_on_loop(&quick));
	assert_int_equal(slow.run_order, 0);
	io_workers_stop(workers);
}

static void when_it_is_slow_short_work_leaves_the_loop_and_comes_back(void **state)
{
	(void)state;
	struct job job;
	start(1);
	init_job(&job, 30000);
	give_and_run(&job, 1, NULL);
	assert_true(ran_on_loop(&job));
	init_job(&job, 30000);
	give_and_run(&job, 1, NULL);
	assert_false(ran_on_loop(&job));
	int rounds = 0;
	do {
		init_job(&job, 0);
		give_and_run(&job, 1, NULL);
	} while (!ran_on_loop(&job) && ++rounds < 100);
	assert_true(rounds >= 2 && rounds < 30);
	io_workers_stop(workers);
}

/* ---- short work and waiting input ---- */

struct busy_watch {
	struct io_watch watch;
	struct job *job;
	bool stay; /* leave the input: something is ready again at once */
	size_t readies;
};

static void busy_ready(struct io_watch *watch)
{
	struct busy_watch *b = CONTAINER_OF(watch, struct busy_watch, watch);
	char c;
	if (!b->stay || b->readies > 0) assert_int_equal(read(watch->fd, &c, 1), 1);
	if (b->readies++ == 0 && b->job) io_work_short(workers, &b->job->work);
}

static void waiting_input_comes_before_short_work(void **state)
{
	(void)state;
	for (int stay = 0; stay < 2; stay++) {
		int ends[2];
		struct job job;
		start(1);
		init_job(&job, 0);
		done_counter = 0;
		assert_int_equal(pipe(ends), 0);
		struct busy_watch b = {.watch.ready = busy_ready, .job = &job, .stay = stay};
		assert_int_equal(io_watch(loop.io, &b.watch, ends[0]), 0);
		assert_int_equal(write(ends[1], "x", 1), 1);
		test_run_until(&loop, &done_counter, 1);
		assert_int_equal(ran_on_loop(&job), !stay);
		io_unwatch(&b.watch);
		close(ends[0]), close(ends[1]);
		io_workers_stop(workers);
	}
}

static void a_busy_wake_up_has_no_time_for_short_work(void **state)
{
	(void)state;
	int ends[3][2];
	struct job job;
	struct busy_watch b[3];
	start(1);
	init_job(&job, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pipe(ends[i]), 0);
		b[i] = (struct busy_watch){.watch.ready = busy_ready, .job = i == 1 ? &job : NULL};
		assert_int_equal(io_watch(loop.io, &b[i].watch, ends[i][0]), 0);
		assert_int_equal(write(ends[i][1], "x", 1), 1);
	}
	test_run_until(&loop, &done_counter, 1);
	assert_false(ran_on_loop(&job));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(b[i].readies, 1);
		io_unwatch(&b[i].watch);
		close(ends[i][0]), close(ends[i][1]);
	}
	io_workers_stop(workers);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(one_thread_keeps_the_order),
		TEST(several_threads_run_at_once),
		TEST(a_slow_work_does_not_stop_the_loop),
		TEST(chains_run_to_their_end),
		TEST(stopping_finishes_everything),
		TEST(workers_may_be_stopped_by_a_callback),
		TEST(idle_workers_stop),
		TEST(alone_short_work_runs_on_the_loop),
		TEST(before_the_loop_runs_short_work_goes_to_a_thread),
		TEST(short_work_in_company_goes_to_a_thread_in_order),
		TEST(short_work_waits_behind_one_that_runs),
		TEST(when_it_is_slow_short_work_leaves_the_loop_and_comes_back),
		TEST(waiting_input_comes_before_short_work),
		TEST(a_busy_wake_up_has_no_time_for_short_work),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
