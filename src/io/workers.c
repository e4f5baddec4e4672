#include "io/linux.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	INLINE_MAX_US = 1000,  /* short work that takes longer on average goes to a thread */
	SAMPLE_MAX_US = 16000, /* one stall is forgotten after a few good ones */
	SAMPLE_WEIGHT = 8,
	QUIET_EVENTS = 2, /* a wake-up with more than these has no time for work */
	LOW_NICE = 10,
};

struct io_workers {
	struct io *io;
	unsigned count; /* of threads */
	bool low;
	char name[16];

	pthread_mutex_t lock; /* of these */
	pthread_cond_t given;
	pthread_cond_t finished_one;
	struct list queue;
	struct list finished;
	bool draining; /* io_workers_stop waits for finished_one */
	bool stopping;
	const struct io_work *timed; /* the short work whose time on a thread is wanted */
	int64_t short_us;            /* average time of short work */

	/* The loop's alone.  */
	struct io_post post;
	unsigned outstanding;   /* given to threads and not yet done */
	struct io_work *parked; /* short work that waits for the end of the wake-up */

	pthread_t threads[];
};

/* ---- on the threads ---- */

static void add_sample(struct io_workers *w, int64_t us)
{
	if (us > SAMPLE_MAX_US) us = SAMPLE_MAX_US;
	w->short_us += (us - w->short_us) / SAMPLE_WEIGHT;
}

static void run_one(struct io_workers *w, struct io_work *work)
{
	bool timed = w->timed == work;
	pthread_mutex_unlock(&w->lock);
	int64_t begin = timed ? io_now_us(w->io) : 0;
	work->run(work);
	int64_t us = timed ? io_now_us(w->io) - begin : 0;
	pthread_mutex_lock(&w->lock);
	if (timed) {
		w->timed = NULL;
		add_sample(w, us);
	}
	bool first = list_empty(&w->finished);
	list_push_back(&w->finished, &work->link);
	if (w->draining) {
		pthread_cond_signal(&w->finished_one);
	} else if (first) {
		pthread_mutex_unlock(&w->lock); /* the post may be a system call */
		io_post(&w->post);
		pthread_mutex_lock(&w->lock);
	}
}

static void *serve(void *argument)
{
	struct io_workers *w = argument;
	/* Of this thread alone, on Linux; where it may not be, all are equal.  */
	if (w->low) (void)setpriority(PRIO_PROCESS, (id_t)gettid(), LOW_NICE);
	prctl(PR_SET_NAME, w->name); /* its own: another thread's would need /proc */
	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct list *node = list_pop(&w->queue);
		if (node)
			run_one(w, CONTAINER_OF(node, struct io_work, link));
		else if (w->stopping)
			break;
		else
			pthread_cond_wait(&w->given, &w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* ---- on the loop's thread ---- */

/* Call `done` of all that has finished.  */
static void tell_done(struct io_workers *w)
{
	struct list batch;
	pthread_mutex_lock(&w->lock);
	linux_take_all(&w->finished, &batch);
	pthread_mutex_unlock(&w->lock);
	for (struct list *node; (node = list_pop(&batch));) {
		struct io_work *work = CONTAINER_OF(node, struct io_work, link);
		w->outstanding--;
		work->done(work);
	}
}

static void posted(struct io_post *post) { tell_done(CONTAINER_OF(post, struct io_workers, post)); }

static bool start_threads(struct io_workers *w, unsigned threads)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are the loop's */
	while (w->count < threads && !pthread_create(&w->threads[w->count], NULL, serve, w))
		w->count++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return w->count == threads;
}

static struct io_workers *start(struct io *io, unsigned threads, const char *name, bool low)
{
	ASSERT(threads > 0);
	struct io_workers *w = calloc(1, sizeof *w + threads * sizeof w->threads[0]);
	if (!w) return NULL;
	w->io = io;
	w->low = low;
	snprintf(w->name, sizeof w->name, "%s", name);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->given, NULL);
	pthread_cond_init(&w->finished_one, NULL);
	list_init(&w->queue);
	list_init(&w->finished);
	io_post_init(io, &w->post, posted);
	if (start_threads(w, threads)) return w;
	io_workers_stop(w);
	return NULL;
}

struct io_workers *io_workers_start(struct io *io, unsigned threads, const char *name)
{
	return start(io, threads, name, false);
}

struct io_workers *io_workers_start_low(struct io *io, unsigned threads, const char *name)
{
	return start(io, threads, name, true);
}

static void hand_over(struct io_workers *w, struct io_work *work, bool timed)
{
	w->outstanding++;
	pthread_mutex_lock(&w->lock);
	if (timed && !w->timed) w->timed = work;
	list_push_back(&w->queue, &work->link);
	pthread_mutex_unlock(&w->lock);
	pthread_cond_signal(&w->given);
}

static struct io_work *unpark(struct io_workers *w)
{
	struct io_work *work = w->parked;
	w->parked = NULL;
	w->io->parked = NULL;
	return work;
}

void io_work(struct io_workers *w, struct io_work *work)
{
	if (w->parked) hand_over(w, unpark(w), true); /* it was given first */
	hand_over(w, work, false);
}

static bool is_quick(struct io_workers *w)
{
	pthread_mutex_lock(&w->lock);
	bool quick = w->short_us < INLINE_MAX_US;
	pthread_mutex_unlock(&w->lock);
	return quick;
}

void io_work_short(struct io_workers *w, struct io_work *work)
{
	struct io *io = w->io;
	if (w->parked) hand_over(w, unpark(w), true);
	bool alone = io->running && !io->parked && !w->draining && w->outstanding == 0 &&
		io->ready <= QUIET_EVENTS;
	if (!alone || !is_quick(w)) {
		hand_over(w, work, true);
		return;
	}
	w->parked = work;
	io->parked = w;
}

void linux_parked_hand_over(struct io *io)
{
	struct io_workers *w = io->parked;
	hand_over(w, unpark(w), true);
}

void linux_parked_run(struct io *io)
{
	struct io_workers *w = io->parked;
	struct io_work *work = unpark(w);
	int64_t begin = io_now_us(io);
	work->run(work);
	int64_t us = io_now_us(io) - begin;
	pthread_mutex_lock(&w->lock);
	add_sample(w, us);
	pthread_mutex_unlock(&w->lock);
	work->done(work);
}

/* Until nothing is outstanding; a `done` may still give more.  */
static void drain(struct io_workers *w)
{
	if (w->parked) hand_over(w, unpark(w), false);
	while (w->outstanding > 0) {
		pthread_mutex_lock(&w->lock);
		w->draining = true;
		while (list_empty(&w->finished)) pthread_cond_wait(&w->finished_one, &w->lock);
		pthread_mutex_unlock(&w->lock);
		tell_done(w);
	}
}

void io_workers_stop(struct io_workers *w)
{
	if (!w) return;
	drain(w);
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_mutex_unlock(&w->lock);
	pthread_cond_broadcast(&w->given);
	for (unsigned i = 0; i < w->count; i++) pthread_join(w->threads[i], NULL);
	io_post_cancel(&w->post);
	pthread_cond_destroy(&w->finished_one);
	pthread_cond_destroy(&w->given);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
