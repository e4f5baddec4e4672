#include "sim/sim_disk.h"

#include <errno.h>

enum {
	WAKE_UP_US = 40, /* at most so long from an event to the wake-up that tells it */
	TASKS_PER_WAKE_UP = 64,
	QUIET_TASKS = 2, /* as on Linux: a wake-up with more has no time for work */
};

/* ---- a machine ---- */

static void take_turn(struct sim_event *event);

void machine_init(
	struct io *io, struct world *world, struct net *net, const char *name, uint64_t seed)
{
	*io = (struct io){.world = world, .net = net, .name = name, .turn.fire = take_turn};
	rng_init(&io->entropy, seed);
	timers_init(&io->timers);
	list_init(&io->hooks);
	list_init(&io->posts);
	list_init(&io->ready);
	list_init(&io->workers);
	io->now = world->now_us / 1000;
}

void machine_release(struct io *io)
{
	ASSERT(!io->running && list_empty(&io->workers));
	world_forget(io->world, &io->turn);
	timers_release(&io->timers);
}

static void plan_turn(struct io *io, int64_t at_us)
{
	if (!io->running) return;
	if (heap_has(&io->turn.node) && io->turn.node.key <= at_us) return;
	world_plan(io->world, &io->turn, at_us);
}

void machine_wake(struct io *io)
{
	if (!io->running || io->dead) return;
	plan_turn(io, io->world->now_us + sim_between(&io->world->rng, 0, WAKE_UP_US));
}

void machine_ready(struct io *io, struct machine_task *task)
{
	if (!list_empty(&task->link)) return;
	list_push_back(&io->ready, &task->link);
	machine_wake(io);
}

void machine_cut_power(struct io *io)
{
	if (io->dead) return;
	world_tell(io->world, "power-cut", str_from_c(io->name));
	io->dead = io->stopping = true;
}

void machine_abandon(struct io *io)
{
	ASSERT(io->dead && !io->running);
	workers_abandon(io);
	io->parked = NULL;
	list_init(&io->ready);
	list_init(&io->posts);
	list_init(&io->hooks);
	if (io->disk) disk_close_all(io->disk);
}

void machine_serve(struct io *io)
{
	io->running = true;
	machine_wake(io);
}

/* ---- a wake-up ---- */

static int run_tasks(struct io *io)
{
	struct list batch;
	list_init(&batch);
	int count = 0;
	while (!list_empty(&io->ready) && count < TASKS_PER_WAKE_UP) {
		list_push_back(&batch, list_pop(&io->ready));
		count++;
	}
	for (struct list *node; !io->dead && (node = list_pop(&batch));) {
		struct machine_task *task = CONTAINER_OF(node, struct machine_task, link);
		task->run(task);
	}
	while (!list_empty(&batch)) list_pop(&batch);
	return count;
}

static void run_posts(struct io *io)
{
	for (struct list *node; !io->dead && (node = list_pop(&io->posts));) {
		struct io_post *post = CONTAINER_OF(node, struct io_post, link);
		post->posted = false;
		post->run(post);
	}
}

/* The walk keeps its place by a node of its own, so that a hook may remove any other.  */
static void run_hooks(struct io *io)
{
	struct list place;
	list_push_front(&io->hooks, &place);
	for (struct list *next; !io->dead && (next = place.next) != &io->hooks;) {
		list_remove(&place);
		list_push_front(next, &place);
		struct io_hook *hook = CONTAINER_OF(next, struct io_hook, link);
		hook->run(hook);
	}
	list_remove(&place);
}

static void plan_next(struct io *io)
{
	if (io->stopping) return;
	if (!list_empty(&io->ready) || !list_empty(&io->posts)) machine_wake(io);
	msec next = timers_next(&io->timers);
	if (next != MSEC_NEVER) plan_turn(io, next * 1000);
}

static void take_turn(struct sim_event *event)
{
	struct io *io = CONTAINER_OF(event, struct io, turn);
	io->now = io->world->now_us / 1000;
	int tasks = run_tasks(io);
	if (!io->dead) workers_tell(io);
	run_posts(io);
	if (!io->dead) timers_fire(&io->timers, io->now);
	run_hooks(io);
	if (io->parked && !io->dead) {
		if (io->stopping || tasks > QUIET_TASKS || sim_chance(&io->world->rng, 0.3)) {
			workers_hand_over_parked(io);
		} else {
			workers_run_parked(io);
			machine_wake(io); /* the hooks run once more, as on Linux */
		}
	}
	plan_next(io);
}

void io_run(struct io *io)
{
	ASSERT(!io->running);
	io->running = true;
	io->stopping = io->dead;
	machine_wake(io);
	while (!io->stopping && world_step(io->world)) {
	}
	io->running = false;
	world_forget(io->world, &io->turn);
	if (io->parked) workers_hand_over_parked(io);
}

void io_stop(struct io *io) { io->stopping = true; }

void io_before_sleep(struct io *io, struct io_hook *hook)
{
	list_push_back(&io->hooks, &hook->link);
}

/* ---- time and entropy ---- */

msec io_now(const struct io *io) { return io->now; }

msec io_wall(const struct io *io) { return io->world->now_us / 1000 + io->wall; }

int64_t io_now_us(const struct io *io) { return io->world->now_us; }

void io_random(struct io *io, void *octets, size_t len)
{
	for (char *to = octets; len > 0;) {
		uint64_t bits = rng_next(&io->entropy);
		size_t n = len < sizeof bits ? len : sizeof bits;
		memcpy(to, &bits, n);
		to += n, len -= n;
	}
}

void io_timer_set(struct io *io, struct timer *timer, msec at)
{
	bool set = timer_set(&io->timers, timer, at);
	ASSERT(set);
	plan_turn(io, timer->node.key * 1000);
}

void io_timer_cancel(struct io *io, struct timer *timer) { timer_cancel(&io->timers, timer); }

/* ---- posts ---- */

void io_post_init(struct io *io, struct io_post *post, void (*run)(struct io_post *post))
{
	*post = (struct io_post){.run = run, .io = io};
	list_init(&post->link);
}

void io_post(struct io_post *post)
{
	if (post->posted) return;
	post->posted = true;
	list_push_back(&post->io->posts, &post->link);
	machine_wake(post->io);
}

void io_post_cancel(struct io_post *post)
{
	post->posted = false;
	list_remove(&post->link);
}

/* ---- the process: there is none ---- */

int io_watch(struct io *io, struct io_watch *watch, int fd)
{
	(void)fd;
	watch->io = io;
	watch->fd = -1;
	return -ENOSYS;
}

void io_unwatch(struct io_watch *watch) { watch->fd = -1; }

int io_signals(struct io *io, struct io_signals *signals)
{
	(void)io;
	signals->watch.fd = -1;
	return 0;
}

void io_notify(struct str state) { (void)state; }

void io_stderr(struct str octets) { fwrite(octets.ptr, 1, octets.len, stderr); }

void io_trim_memory(void) {}

uint32_t io_interfaces(struct net_address *ret, uint32_t max)
{
	(void)ret, (void)max;
	return 0; /* the servers here listen on addresses of their own */
}

size_t io_raise_descriptors(void) { return 1 << 16; }

void io_hostname(struct buf *out) { buf_add(out, STR("sim.example")); }

/* Numbers alone: the configuration of a simulation names no hosts to listen on.  */
int io_resolve(const char *host, uint16_t port, struct net_address *ret, int max)
{
	struct net_address numeric;
	if (max < 1 || !net_parse(str_from_c(host), &numeric)) return -ENOENT;
	numeric.port = port;
	ret[0] = numeric;
	return 1;
}
