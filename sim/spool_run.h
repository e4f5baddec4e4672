/* The spool alone in a world: what spool_run.c (its lives) and spool_load.c (what is done with it) share.  */
#ifndef SIM_SPOOL_RUN_H
#define SIM_SPOOL_RUN_H

#include "sim/run.h"
#include "sim/sim_disk.h"
#include "sim/spool_model.h"

enum { WRITERS = 6, READERS = 3 };

struct spool_run;

struct load_writer {
	struct spool_writer writer;
	struct spool_op op;
	struct spool_run *run;
	struct model_message *message; /* NULL: idle */
	struct arena arena;
	struct envelope envelope;
	uint64_t written;
	bool committing, waits;
};

struct load_sync {
	struct spool_op op;
	struct spool_run *run;
	uint64_t seq;
};

struct load_reader {
	struct spool_reader reader;
	bool open;
};

enum life_end { END_POWER, END_KILL, END_ORDERLY };

struct spool_run {
	struct world world;
	struct io io;
	struct disk disk;
	struct log log;
	struct spool_model model;
	struct rng load;
	struct sim_options options;
	struct spool_options spool_options;
	struct spool *spool;
	struct load_writer writers[WRITERS];
	struct load_reader readers[READERS];
	struct load_sync sync;
	bool syncing;
	struct timer tick;
	struct sim_event life_ends;
	uint64_t next_number, messages_max, size_max;
	double deferral, rot;
	uint64_t said;  /* of losses, since the spool was open last */
	bool killed;    /* at the end of the last life, on a disk that is well */
	bool finishing; /* no new mail: end what is there */
	uint64_t refused, aborted, recoveries, crashes;
};

/* Set up what the load needs, once.  */
void spool_load_init(struct spool_run *r);
/* Do one thing: write, end or defer a recipient, read, ask for a sync.  */
void spool_load_step(struct spool_run *r);
void spool_load_ask_sync(struct spool_run *r);
void spool_load_close_readers(struct spool_run *r);
bool spool_load_commits_pending(const struct spool_run *r);
/* Give up what is not being committed; say of what is that nobody knows.  */
void spool_load_abandon(struct spool_run *r);
void spool_load_doubt(struct spool_run *r);

#endif
