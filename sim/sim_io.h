/* The simulator's side of io.h: a machine is a `struct io`.  The server runs on one, its peers on another.  No file of
 * src/ includes this.  */
#ifndef SIM_IO_H
#define SIM_IO_H

#include "io/io.h"
#include "sim/world.h"

struct disk;
struct net;
struct dns;

struct io {
	struct world *world;
	struct net *net;
	struct disk *disk; /* NULL: it has none */
	struct dns *dns;   /* whom its resolver asks */
	const char *name;
	struct net_address address; /* where its connections come from */
	msec wall;                  /* wall clock - world's clock */
	struct rng entropy;

	bool running; /* its loop serves */
	bool stopping;
	bool dead;             /* the power is cut: files fail, nothing is sent or told any more */
	int64_t calls_left;    /* file calls until the power is cut; 0: never */
	uint32_t segment_size; /* of the spool on it; 0: as the server wants */
	msec now;
	struct sim_event turn; /* the next wake-up */
	struct timers timers;
	struct list hooks;
	struct list posts;
	struct list ready; /* struct machine_task: what the next wake-up has to tell */
	struct list workers;
	struct io_workers *parked;
};

/* Something for a loop to do in its next wake-up; once each.  */
struct machine_task {
	struct list link;
	void (*run)(struct machine_task *task);
};

void machine_init(
	struct io *io, struct world *world, struct net *net, const char *name, uint64_t seed);
/* Memory goes; nothing of it may be in use.  */
void machine_release(struct io *io);
/* Have the loop wake up within a little while.  */
void machine_wake(struct io *io);
void machine_ready(struct io *io, struct machine_task *task);
/* From now on nothing that it does has an effect; io_run returns.  */
void machine_cut_power(struct io *io);
/* Its power is cut: whatever still runs on it is gone, with its memory.  */
void machine_abandon(struct io *io);
/* Let its loop serve without io_run: for machines of peers, in events of the world alone.  */
void machine_serve(struct io *io);

/* sim_workers.c */
/* Tell `done` of what has finished; from the loop.  */
void workers_tell(struct io *io);
/* The parked work: on the loop, or given to its workers.  */
void workers_run_parked(struct io *io);
void workers_hand_over_parked(struct io *io);
void workers_abandon(struct io *io);
/* When a worker's code runs: let time pass, as a file call does.  */
void fiber_sleep(struct world *w, int64_t us);
void fibers_release(struct world *w);

#endif
