/* Parts of `rockdove bench`.  */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "cli/talk.h"
#include "cli/world.h"

struct bench_options {
	struct str server, from, helo;
	const struct str *to; /* recipients are taken from these in turn */
	uint32_t to_count;
	uint64_t messages, connections, size, recipients,
		per_connection; /* per_connection 0: as many as it takes */
	uint64_t rate;          /* messages per second in all; 0: as fast as answers come */
	bool json;
};

/* Run it; the exit code.  */
int bench_run(struct cli_world *w, const struct bench_options *options);

/* Latencies of a run.  */
struct samples {
	uint32_t *us;
	size_t count, cap;
};
void samples_add(struct samples *s, int64_t us);
void samples_sort(struct samples *s);
/* The value that p of 100 do not pass; sorted.  0 without any.  */
uint32_t samples_percentile(const struct samples *s, double p);

#endif
