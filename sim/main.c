/* rockdove-sim [SEED | --seeds N | --minutes M] [--from SEED] [--world spool|server] [--messages N] [--no-faults]
 * [--no-crashes] [--minimise] [--first] [--jobs N] [-v]
 *
 * Each seed runs in a process of its own, and once more now and then to see that its trace is the same.  */
#include "sim/run.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { CHECK_EVERY = 20, SECONDS_MAX = 240, FAILURES_MAX = 10, JOBS_MAX = 16 };

static const struct world_kind {
	const char *name;
	void (*run)(const struct sim_options *options, struct sim_result *ret);
} kinds[] = {
	{"spool", spool_run},
	{"server", server_run},
};

struct command {
	struct sim_options options;
	uint64_t first, count;
	int64_t until;                 /* clock; 0: none */
	const struct world_kind *kind; /* NULL: all */
	bool single, minimise;
	bool first_failure; /* is the last */
	int jobs;
};

struct totals {
	uint64_t seeds, failures;
	struct sim_result sum;
};

/* A seed under way, and where its process puts what it found.  */
struct job {
	pid_t pid;
	const struct world_kind *kind;
	struct sim_options options;
	struct sim_result *result; /* shared with the process */
};

static int64_t seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* ---- one seed ---- */

static void start(struct job *job)
{
	fflush(stdout);
	fflush(stderr);
	job->pid = fork();
	if (job->pid < 0) {
		perror("fork");
		exit(71);
	}
	if (job->pid > 0) return;
	alarm(SECONDS_MAX); /* a loop that does not end is a finding, too */
	job->kind->run(&job->options, job->result);
	_exit(SIM_FINE);
}

static bool wait_for(struct job *job)
{
	int status = 0;
	while (waitpid(job->pid, &status, 0) < 0 && errno == EINTR) {
	}
	job->pid = 0;
	if (WIFSIGNALED(status)) fprintf(stderr, "ended by %s\n", strsignal(WTERMSIG(status)));
	return WIFEXITED(status) && WEXITSTATUS(status) == SIM_FINE;
}

static bool run_one(struct job *job)
{
	start(job);
	return wait_for(job);
}

static void print_command(const struct job *job)
{
	const struct sim_options *o = &job->options;
	fprintf(stderr, "replay: ./dev sim %llu --world %s", (unsigned long long)o->seed,
		job->kind->name);
	if (o->messages) fprintf(stderr, " --messages %llu", (unsigned long long)o->messages);
	if (!o->faults) fprintf(stderr, " --no-faults");
	if (!o->crashes) fprintf(stderr, " --no-crashes");
	fprintf(stderr, " -v\n");
}

/* Whatever can be left out and still fails is left out.  */
static void minimise(struct job *job)
{
	int quiet = dup(STDERR_FILENO);
	FILE *null = freopen("/dev/null", "w", stderr);
	ASSERT(null && quiet >= 0);
	struct sim_options best = job->options;
	job->options.faults = false;
	if (run_one(job)) job->options.faults = best.faults;
	best = job->options;
	job->options.crashes = false;
	if (run_one(job)) job->options.crashes = best.crashes;
	best = job->options;
	for (uint64_t n = 1; n <= 512; n *= 2) {
		job->options.messages = n;
		if (!run_one(job)) break;
		job->options.messages = best.messages;
	}
	fflush(stderr);
	dup2(quiet, STDERR_FILENO);
	close(quiet);
}

static bool same_trace(struct job *job)
{
	uint64_t trace = job->result->trace;
	if (!run_one(job)) return false;
	if (job->result->trace == trace) return true;
	fprintf(stderr, "the trace of the same seed differs: %016llx, then %016llx\n",
		(unsigned long long)trace, (unsigned long long)job->result->trace);
	return false;
}

/* ---- many ---- */

static void add(struct totals *t, const struct sim_result *r)
{
	t->seeds++;
	t->sum.trace = r->trace;
	t->sum.steps += r->steps;
	t->sum.messages += r->messages;
	t->sum.crashes += r->crashes;
	t->sum.checked += r->checked;
	t->sum.faults += r->faults;
	t->sum.virtual_us += r->virtual_us;
}

static void finish(const struct command *c, struct totals *t, struct job *job)
{
	bool good = wait_for(job);
	if (good && (c->single || job->options.seed % CHECK_EVERY == 0)) good = same_trace(job);
	add(t, job->result);
	if (good) return;
	t->failures++;
	if (c->minimise) minimise(job);
	fprintf(stderr, "FAILED seed %llu\n", (unsigned long long)job->options.seed);
	print_command(job);
}

static bool goes_on(const struct command *c, const struct totals *t, uint64_t given)
{
	if (t->failures >= (c->first_failure ? 1 : FAILURES_MAX)) return false;
	return c->until ? seconds() < c->until : given < c->count;
}

static bool next_job(
	const struct command *c, const struct totals *t, uint64_t *given, struct job *job)
{
	if (!goes_on(c, t, *given)) return false;
	size_t all = c->kind ? 1 : ARRAY_LEN(kinds);
	job->kind = c->kind ? c->kind : &kinds[*given % all];
	job->options = c->options;
	job->options.seed = c->first + *given / all;
	++*given;
	start(job);
	return true;
}

static void run_all(const struct command *c, struct totals *t)
{
	struct job jobs[JOBS_MAX];
	struct sim_result *results = mmap(NULL, sizeof(struct sim_result) * JOBS_MAX,
		PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT(results != MAP_FAILED);
	uint64_t given = 0;
	int running = 0;
	for (int i = 0; i < c->jobs; i++) {
		jobs[i] = (struct job){.result = &results[i]};
		if (next_job(c, t, &given, &jobs[i])) running++;
	}
	for (int i = 0; running > 0; i = (i + 1) % c->jobs) {
		if (!jobs[i].pid) continue;
		finish(c, t, &jobs[i]);
		if (!next_job(c, t, &given, &jobs[i])) running--;
	}
}

static void print_totals(const struct command *c, const struct totals *t, int64_t took)
{
	const struct sim_result *s = &t->sum;
	if (c->single) printf("trace %016llx  ", (unsigned long long)s->trace);
	printf("%llu seeds, %llu failed; %llu messages, %llu crashes, %llu faults, %llu reads compared; %.1f h of virtual time, "
	       "%llu events; %lld s, %.0f seeds a minute\n",
		(unsigned long long)t->seeds, (unsigned long long)t->failures,
		(unsigned long long)s->messages, (unsigned long long)s->crashes,
		(unsigned long long)s->faults, (unsigned long long)s->checked,
		(double)s->virtual_us / 3.6e9, (unsigned long long)s->steps, (long long)took,
		took ? (double)t->seeds * 60 / (double)took : 0);
}

/* ---- the command line ---- */

static _Noreturn void usage(void)
{
	fputs("usage: rockdove-sim [SEED | --seeds N | --minutes M] [--from SEED] [--world NAME] [--messages N]\n"
	      "       [--no-faults] [--no-crashes] [--minimise] [--first] [--jobs N] [-v]\n",
		stderr);
	exit(64);
}

static uint64_t number(const char *text)
{
	uint64_t value;
	if (!text || !str_to_u64(str_from_c(text), UINT64_MAX, &value)) usage();
	return value;
}

static const struct world_kind *kind_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (name && !strcmp(kinds[i].name, name)) return &kinds[i];
	usage();
}

static void read_arguments(int argc, char **argv, struct command *c)
{
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;
		if (!strcmp(a, "-v"))
			c->options.verbose = true;
		else if (!strcmp(a, "--no-faults"))
			c->options.faults = false;
		else if (!strcmp(a, "--no-crashes"))
			c->options.crashes = false;
		else if (!strcmp(a, "--minimise"))
			c->minimise = true;
		else if (!strcmp(a, "--first"))
			c->first_failure = true;
		else if (!strcmp(a, "--seeds"))
			c->count = number(next), i++;
		else if (!strcmp(a, "--minutes"))
			c->until = seconds() + (int64_t)number(next) * 60, i++;
		else if (!strcmp(a, "--from"))
			c->first = number(next), i++;
		else if (!strcmp(a, "--world"))
			c->kind = kind_of(next), i++;
		else if (!strcmp(a, "--messages"))
			c->options.messages = number(next), i++;
		else if (!strcmp(a, "--jobs"))
			c->jobs = (int)number(next), i++;
		else
			c->first = number(a), c->count = c->kind ? 1 : ARRAY_LEN(kinds),
			c->single = true;
	}
	if (c->jobs < 1 || c->jobs > JOBS_MAX) usage();
}

int main(int argc, char **argv)
{
	struct command c = {
		.options = {.faults = true, .crashes = true}, .first = 1, .count = 100, .jobs = 1};
	struct totals totals = {0};
	read_arguments(argc, argv, &c);
	/* No server here verifies anybody; reading the system's authorities at each start would take most of the time.  */
	if (setenv("SSL_CERT_FILE", "/nonexistent", 1) || setenv("SSL_CERT_DIR", "/nonexistent", 1))
		return 71;
	if (c.single) c.count = c.kind ? 1 : ARRAY_LEN(kinds);
	int64_t began = seconds();
	run_all(&c, &totals);
	print_totals(&c, &totals, seconds() - began);
	return totals.failures ? 1 : 0;
}
