/* What one simulation is given, and what it gives back.  */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include "sim/judge.h"

struct sim_options {
	uint64_t seed;
	bool verbose;
	/* To make a failure smaller.  */
	uint64_t messages; /* at most so many; 0: as the seed says */
	bool faults, crashes;
};

struct sim_result {
	uint64_t trace, steps, messages, crashes, checked, refused, faults;
	int64_t virtual_us;
};

/* The spool alone, and the whole server in its town.  A broken promise ends the process (judge.h).  */
void spool_run(const struct sim_options *options, struct sim_result *ret);
/* See spool_run.  */
void server_run(const struct sim_options *options, struct sim_result *ret);

#endif
