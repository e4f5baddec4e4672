#include "io/linux.h"

#include <errno.h>
#include <malloc.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <sys/random.h>

static int64_t clock_us(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static msec monotonic(void) { return clock_us(CLOCK_MONOTONIC) / 1000; }

static bool open_descriptors(struct io *io)
{
	io->epoll = epoll_create1(EPOLL_CLOEXEC);
	io->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	io->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (io->epoll < 0 || io->wake < 0 || io->reserve < 0) return false;
	return linux_poll_add(io, io->wake, io, LINUX_WAKE, EPOLLIN | EPOLLET) == 0;
}

struct io *io_new(void)
{
	/* Kept where it is, so that blocks of the index go back to the system when they are freed; glibc would raise it.  */
	mallopt(M_MMAP_THRESHOLD, LINUX_MMAP_THRESHOLD);
	struct io *io = calloc(1, sizeof *io);
	if (!io) return NULL;
	io->epoll = io->wake = io->reserve = io->warden = -1;
	timers_init(&io->timers);
	list_init(&io->hooks);
	list_init(&io->fallen);
	list_init(&io->starving);
	list_init(&io->posts);
	pthread_mutex_init(&io->lock, NULL);
	io->now = monotonic();
	io->receive = malloc(LINUX_RECEIVE);
	if (!io->receive || !open_descriptors(io)) {
		int error = io->receive ? errno : ENOMEM;
		io_free(io);
		errno = error;
		return NULL;
	}
	return io;
}

void io_free(struct io *io)
{
	if (!io) return;
	ASSERT(!io->running);
	if (io->epoll >= 0) close(io->epoll);
	if (io->wake >= 0) close(io->wake);
	if (io->warden >= 0) close(io->warden);
	if (io->reserve >= 0) close(io->reserve);
	timers_release(&io->timers);
	pthread_mutex_destroy(&io->lock);
	free(io->receive);
	free(io);
}

/* ---- the set of descriptors ---- */

static int control(struct io *io, int operation, int fd, uint64_t tag, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u64 = tag};
	return epoll_ctl(io->epoll, operation, fd, &event) < 0 ? -errno : 0;
}

int linux_poll_add(struct io *io, int fd, const void *object, enum linux_kind kind, uint32_t events)
{
	return control(io, EPOLL_CTL_ADD, fd, (uintptr_t)object | kind, events);
}

int linux_poll_change(
	struct io *io, int fd, const void *object, enum linux_kind kind, uint32_t events)
{
	return control(io, EPOLL_CTL_MOD, fd, (uintptr_t)object | kind, events);
}

static void drop_events(struct io *io, const void *object)
{
	for (int i = io->at + 1; i < io->ready; i++) {
		uint64_t tag = io->events[i].data.u64;
		tag &= ~(uint64_t)LINUX_KIND_MASK;
		if (tag == (uintptr_t)object) io->events[i].data.u64 = 0;
	}
}

void linux_poll_remove(struct io *io, int fd, const void *object)
{
	/* A library may have closed its descriptor already: then it is out of the set.  */
	(void)control(io, EPOLL_CTL_DEL, fd, 0, 0);
	drop_events(io, object);
}

void linux_forget(struct io *io, const void *object)
{
	if (io->current == object) io->current = NULL;
	drop_events(io, object);
}

/* ---- running ---- */

static void tell(struct io *io, uint64_t tag, uint32_t events)
{
	void *object = (void *)(uintptr_t)(tag & ~(uint64_t)LINUX_KIND_MASK);
	if (!object) return;
	io->current = object;
	switch ((enum linux_kind)(tag & LINUX_KIND_MASK)) {
	case LINUX_STREAM: linux_stream_event(object, events); break;
	case LINUX_LISTENER: linux_listener_event(object); break;
	case LINUX_WATCH: ((struct io_watch *)object)->ready(object); break;
	case LINUX_WAKE: break; /* the posts are looked at anyway */
	}
	io->current = NULL;
}

static void tell_all(struct io *io)
{
	for (io->at = 0; io->at < io->ready; io->at++) {
		struct epoll_event *event = &io->events[io->at];
		tell(io, event->data.u64, event->events);
	}
}

/* The walk keeps its place by a node of its own, so that a hook may remove any other.  */
static void run_hooks(struct io *io)
{
	struct list place;
	list_push_front(&io->hooks, &place);
	for (struct list *next; (next = place.next) != &io->hooks;) {
		list_remove(&place);
		list_push_front(next, &place);
		struct io_hook *hook = CONTAINER_OF(next, struct io_hook, link);
		hook->run(hook);
	}
	list_remove(&place);
}

/* How long epoll may sleep, ms; -1 is for ever.  */
static int sleep_ms(struct io *io)
{
	if (!list_empty(&io->fallen)) return 0;
	msec next = timers_next(&io->timers);
	if (next == MSEC_NEVER) return -1;
	msec left = next - monotonic(); /* not io->now: the callbacks took their time */
	if (left < 0) return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

static int wait_events(struct io *io, int timeout_ms)
{
	if (timeout_ms != 0) {
		/* First say so, then look: a post before the look is seen, a later one wakes.  */
		atomic_store(&io->asleep, true);
		if (linux_posts_waiting(io)) timeout_ms = 0;
	}
	int ready = epoll_wait(io->epoll, io->events, LINUX_EVENTS, timeout_ms);
	ASSERT(ready >= 0 || errno == EINTR);
	atomic_store_explicit(&io->asleep, false, memory_order_relaxed);
	return ready < 0 ? 0 : ready;
}

/* The events of the next wake-up; none when a parked work was run instead of sleeping.  */
static int next_events(struct io *io)
{
	if (!io->parked) return wait_events(io, sleep_ms(io));
	int ready = wait_events(io, 0);
	if (ready > 0) {
		linux_parked_hand_over(io);
		return ready;
	}
	linux_parked_run(io);
	return 0;
}

void io_run(struct io *io)
{
	ASSERT(!io->running);
	io->running = true;
	io->stopping = false;
	io->ready = 0;
	for (;;) {
		io->now = monotonic();
		tell_all(io);
		linux_posts_run(io);
		linux_streams_fallen(io);
		timers_fire(&io->timers, io->now);
		run_hooks(io);
		if (io->stopping) break;
		io->ready = next_events(io);
	}
	io->running = false;
	io->ready = 0;
	if (io->parked) linux_parked_hand_over(io);
}

void io_stop(struct io *io) { io->stopping = true; }

void io_before_sleep(struct io *io, struct io_hook *hook)
{
	list_push_back(&io->hooks, &hook->link);
}

/* ---- time and entropy ---- */

msec io_now(const struct io *io) { return io->now; }

msec io_wall(const struct io *io)
{
	(void)io;
	return clock_us(CLOCK_REALTIME) / 1000;
}

int64_t io_now_us(const struct io *io)
{
	(void)io;
	return clock_us(CLOCK_MONOTONIC);
}

void io_random(struct io *io, void *octets, size_t len)
{
	(void)io;
	for (char *to = octets; len > 0;) {
		ssize_t got = getrandom(to, len, 0);
		ASSERT(got >= 0 || errno == EINTR);
		if (got > 0) to += got, len -= (size_t)got;
	}
}

void io_timer_set(struct io *io, struct timer *timer, msec at)
{
	if (timer_set(&io->timers, timer, at)) return;
	io_stderr(STR("rockdove: no memory for a timer\n"));
	abort();
}

void io_timer_cancel(struct io *io, struct timer *timer) { timer_cancel(&io->timers, timer); }
