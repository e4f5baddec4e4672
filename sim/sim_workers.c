/* Work on other threads, as coroutines: a worker's code runs until it calls a file, which takes (virtual) time, in which
 * others run, the loop among them.  So a power cut falls between any two file calls of a work, and two workers of one
 * server take turns call by call.  */
#include "sim/sim_io.h"

#include <ucontext.h>

enum {
	STACK = 256 << 10,
	BEGIN_US = 200, /* at most so long until a thread takes up its work */
};

struct io_workers {
	struct list link; /* of the machine */
	struct io *io;
	unsigned threads;
	unsigned busy;
	struct list queue; /* io_work */
	struct list finished;
	struct list fibers; /* at work */
	struct io_work *parked;
	bool draining; /* time does not pass any more */
};

struct fiber {
	struct list link;
	struct fiber *next_spare;
	struct sim_event resume;
	struct io_workers *workers;
	struct io_work *work;
	struct world *world;
	bool ended;
	ucontext_t context;
	ucontext_t caller;
	char *stack;
};

/* ---- coroutines ---- */

static void fiber_main(unsigned low, unsigned high)
{
	struct fiber *f = (struct fiber *)((uintptr_t)low | (uintptr_t)high << 32);
	for (;;) {
		f->work->run(f->work);
		f->ended = true;
		swapcontext(&f->context, &f->caller);
	}
}

static void fiber_prepare(struct fiber *f)
{
	getcontext(&f->context);
	f->context.uc_stack.ss_sp = f->stack;
	f->context.uc_stack.ss_size = STACK;
	uintptr_t self = (uintptr_t)f;
	makecontext(
		&f->context, (void (*)(void))fiber_main, 2, (unsigned)self, (unsigned)(self >> 32));
}

static struct fiber *fiber_make(struct world *w)
{
	struct fiber *f = w->spare;
	if (f) {
		w->spare = f->next_spare;
		return f;
	}
	f = calloc(1, sizeof *f);
	ASSERT(f);
	f->stack = malloc(STACK);
	ASSERT(f->stack);
	f->world = w;
	fiber_prepare(f);
	return f;
}

void fibers_release(struct world *w)
{
	for (struct fiber *f; (f = w->spare);) {
		w->spare = f->next_spare;
		free(f->stack);
		free(f);
	}
}

/* Run f until it sleeps or ends.  */
static void fiber_enter(struct fiber *f)
{
	struct world *w = f->world;
	ASSERT(!w->running);
	w->running = f;
	swapcontext(&f->caller, &f->context);
	w->running = NULL;
}

void fiber_sleep(struct world *w, int64_t us)
{
	struct fiber *f = w->running;
	if (!f || f->workers->draining || f->workers->io->dead) return;
	world_plan(w, &f->resume, w->now_us + us);
	swapcontext(&f->context, &f->caller);
}

/* ---- workers ---- */

static void begin_next(struct io_workers *w);

static void go_on(struct fiber *f)
{
	struct io_workers *w = f->workers;
	fiber_enter(f);
	if (!f->ended) return;
	list_remove(&f->link);
	list_push_back(&w->finished, &f->work->link);
	f->next_spare = f->world->spare;
	f->world->spare = f;
	w->busy--;
	begin_next(w);
	machine_wake(w->io);
}

static void resume(struct sim_event *event) { go_on(CONTAINER_OF(event, struct fiber, resume)); }

static void begin_next(struct io_workers *w)
{
	struct world *world = w->io->world;
	while (w->busy < w->threads && !list_empty(&w->queue)) {
		struct fiber *f = fiber_make(world);
		f->workers = w;
		f->work = CONTAINER_OF(list_pop(&w->queue), struct io_work, link);
		f->ended = false;
		f->resume = (struct sim_event){.fire = resume};
		list_push_back(&w->fibers, &f->link);
		w->busy++;
		world_plan(
			world, &f->resume, world->now_us + sim_between(&world->rng, 0, BEGIN_US));
	}
}

struct io_workers *io_workers_start(struct io *io, unsigned threads, const char *name)
{
	(void)name;
	ASSERT(threads > 0);
	struct io_workers *w = calloc(1, sizeof *w);
	if (!w) return NULL;
	w->io = io;
	w->threads = threads;
	list_init(&w->queue);
	list_init(&w->finished);
	list_init(&w->fibers);
	list_push_back(&io->workers, &w->link);
	return w;
}

/* Threads of this world are all alike.  */
struct io_workers *io_workers_start_low(struct io *io, unsigned threads, const char *name)
{
	return io_workers_start(io, threads, name);
}

static void hand_over(struct io_workers *w, struct io_work *work)
{
	list_push_back(&w->queue, &work->link);
	begin_next(w);
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
	if (w->parked) hand_over(w, unpark(w)); /* it was given first */
	hand_over(w, work);
}

static bool idle(const struct io_workers *w)
{
	return list_empty(&w->queue) && list_empty(&w->fibers) && list_empty(&w->finished);
}

void io_work_short(struct io_workers *w, struct io_work *work)
{
	struct io *io = w->io;
	if (w->parked) hand_over(w, unpark(w));
	if (!io->running || io->parked || w->draining || !idle(w) ||
		sim_chance(&io->world->rng, 0.2)) {
		hand_over(w, work);
		return;
	}
	w->parked = work;
	io->parked = w;
}

void workers_hand_over_parked(struct io *io)
{
	struct io_workers *w = io->parked;
	hand_over(w, unpark(w));
}

void workers_run_parked(struct io *io)
{
	struct io_workers *w = io->parked;
	struct io_work *work = unpark(w);
	work->run(work);
	if (!io->dead)
		work->done(work);
	else
		list_push_back(&w->finished, &work->link); /* told when the workers are stopped */
}

static void tell(struct io_workers *w)
{
	struct list batch;
	list_init(&batch);
	for (struct list *node; (node = list_pop(&w->finished));) list_push_back(&batch, node);
	for (struct list *node; (node = list_pop(&batch));) {
		struct io_work *work = CONTAINER_OF(node, struct io_work, link);
		if (w->io->dead && !w->draining)
			list_push_back(&w->finished, node);
		else
			work->done(work);
	}
}

void workers_tell(struct io *io)
{
	LIST_EACH_SAFE (&io->workers, node) tell(CONTAINER_OF(node, struct io_workers, link));
}

void workers_abandon(struct io *io)
{
	for (struct list *node; (node = list_pop(&io->workers));) {
		struct io_workers *w = CONTAINER_OF(node, struct io_workers, link);
		LIST_EACH (&w->fibers, at) {
			struct fiber *f = CONTAINER_OF(at, struct fiber, link);
			world_forget(f->world, &f->resume);
		}
	}
}

/* Until nothing is outstanding; a `done` may still give more.  */
static void drain(struct io_workers *w)
{
	w->draining = true;
	if (w->parked) hand_over(w, unpark(w));
	for (;;) {
		tell(w);
		begin_next(w);
		struct list *node = w->fibers.next;
		if (node == &w->fibers && list_empty(&w->finished)) return;
		if (node == &w->fibers) continue;
		struct fiber *f = CONTAINER_OF(node, struct fiber, link);
		world_forget(f->world, &f->resume);
		go_on(f);
	}
}

void io_workers_stop(struct io_workers *w)
{
	if (!w) return;
	drain(w);
	list_remove(&w->link);
	free(w);
}
