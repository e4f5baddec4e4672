#include "sim/run.h"
int main(int argc, char **argv)
{
	struct sim_options o = {.seed = strtoull(argc > 1 ? argv[1] : "1", NULL, 10), .verbose = argc > 2, .faults = true, .crashes = true};
	struct sim_result r;
	spool_run(&o, &r);
	printf("seed %llu trace %016llx steps %llu messages %llu crashes %llu checked %llu refused %llu faults %llu\n", (unsigned long long)o.seed, (unsigned long long)r.trace, (unsigned long long)r.steps,(unsigned long long)r.messages,(unsigned long long)r.crashes,(unsigned long long)r.checked,(unsigned long long)r.refused,(unsigned long long)r.faults);
	return 0;
}
