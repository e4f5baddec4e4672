/* A machine of the simulator's for targets that need one: a disk without faults, a loop, a network.
 * Nothing of it outlives an input.  */
#ifndef FUZZ_MACHINE_H
#define FUZZ_MACHINE_H

#include "base/log.h"
#include "fuzz/fuzz.h"
#include "io/file.h"
#include "sim/sim_disk.h"
#include "sim/sim_net.h"

struct fuzz_machine {
	struct world world;
	struct disk disk;
	struct net net;
	struct io io;
	struct timer stop;
	struct log log; /* made and forgotten */
};

static inline msec fuzz_machine_wall(void *context)
{
	return io_wall(&((struct fuzz_machine *)context)->io);
}
static inline void fuzz_machine_log(void *context, struct str lines)
{
	(void)context;
	ASSERT(lines.len && lines.ptr[lines.len - 1] == '\n');
}

static inline void fuzz_machine_init(struct fuzz_machine *m, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	world_init(&m->world, seed, false);
	disk_init(&m->disk, &m->world, seed);
	m->disk.traits = (struct disk_traits){.applied = 1, .capacity = 1ull << 32};
	net_init(&m->net, &m->world, seed);
	machine_init(&m->io, &m->world, &m->net, "fuzz", seed);
	m->io.disk = &m->disk;
	m->io.wall = 1800000000000;
	m->log = (struct log){.wall = fuzz_machine_wall, .write = fuzz_machine_log, .context = m};
	log_init(&m->log, LOG_TEXT, LOG_DEBUG);
}

void fibers_release(struct world *w);

static inline void fuzz_machine_release(struct fuzz_machine *m)
{
	log_flush(&m->log);
	log_release(&m->log);
	machine_release(&m->io);
	net_release(&m->net);
	disk_release(&m->disk);
	fibers_release(&m->world);
	world_release(&m->world);
}

static inline void fuzz_machine_stop(struct timer *timer)
{
	io_stop(&CONTAINER_OF(timer, struct fuzz_machine, stop)->io);
}

/* Let the loop serve for so long, of its own clock.  */
static inline void fuzz_machine_run(struct fuzz_machine *m, msec ms)
{
	m->stop.fire = fuzz_machine_stop;
	io_timer_set(&m->io, &m->stop, io_now(&m->io) + ms);
	io_run(&m->io);
	io_timer_cancel(&m->io, &m->stop);
}

/* A file with this content; its directory must exist.  */
static inline void fuzz_machine_file(struct fuzz_machine *m, const char *path, struct str content)
{
	struct io_file file;
	struct iovec iov = {(char *)content.ptr, content.len};
	ASSERT(io_file_open(&m->io, path, IO_OPEN_CREATE | IO_OPEN_WRITE | IO_OPEN_TRUNCATE,
		       &file) == 0);
	if (content.len) ASSERT(io_file_write(&m->io, &file, &iov, 1, 0) == 0);
	ASSERT(io_file_sync(&m->io, &file) == 0);
	io_file_close(&m->io, &file);
}

#endif
