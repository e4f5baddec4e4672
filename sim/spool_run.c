/* The spool alone under power cuts: writers, outcomes, readers, compaction; crashes at any file call, also during
 * recovery; spool_model.c judges.  */
#include "sim/spool_run.h"

#include <errno.h>

enum { TICK_US = 30 * 1000 };

/* ---- a life ---- */

static void tick(struct timer *timer)
{
	struct spool_run *r = CONTAINER_OF(timer, struct spool_run, tick);
	for (int64_t i = sim_between(&r->load, 0, r->finishing ? 40 : 12); i > 0 && !r->io.dead;
		i--)
		spool_load_step(r);
	if (r->io.dead) return;
	spool_check(r->spool);
	model_compare(&r->model, r->spool);
	io_timer_set(&r->io, &r->tick, io_now(&r->io) + sim_skewed(&r->load, 0, TICK_US / 1000));
}

static void life_ends(struct sim_event *event)
{
	struct spool_run *r = CONTAINER_OF(event, struct spool_run, life_ends);
	io_stop(&r->io);
}

static void visit_nothing(void *context, slot recipient, struct str domain)
{
	uint32_t *count = context;
	ASSERT(recipient != 0 && str_eq(domain, STR("next.example")));
	(*count)++;
}

/* Open the spool on the disk as it is.  False: it could not be opened.  */
static bool open_spool(struct spool_run *r)
{
	struct spool_report report;
	const char *why = "?";
	r->recoveries++;
	int error = spool_open(&r->io, &r->spool_options, &r->spool, &report, &why);
	world_note(&r->world, "opened", (uint64_t)-error, report.messages);
	r->said += report.damaged_records +
		report.torn_tails; /* a start that failed has said it, too */
	if (!r->io.dead) r->io.calls_left = 0;
	if (error && !r->io.dead && error != -EIO && error != -ENOSPC)
		sim_violation(
			&r->world, "the spool cannot be opened: %s (%s)", strerror(-error), why);
	if (error) return false;
	if (r->io.dead) {
		spool_close(r->spool);
		return false;
	}
	if (r->killed) model_killed(&r->model);
	model_recovered(&r->model, r->spool, io_now(&r->io));
	model_doubtful(&r->model, r->spool, r->killed);
	r->killed = false;
	if (r->model.lost > 0 && r->said == 0)
		sim_violation(&r->world, "%llu messages are lost, and nothing was said",
			(unsigned long long)r->model.lost);
	r->said = 0;
	uint32_t visited = 0;
	spool_each_recovered(r->spool, visit_nothing, &visited);
	ASSERT(visited <= spool_recipient_count(spool_index(r->spool)));
	spool_check(r->spool);
	model_compare(&r->model, r->spool);
	return true;
}

static void end_life(struct spool_run *r, enum life_end end)
{
	if (r->io.dead) end = END_POWER;
	r->killed = end == END_KILL && disk_is_well(&r->disk);
	if (end == END_POWER || end == END_KILL) machine_cut_power(&r->io);
	spool_load_close_readers(r);
	spool_load_abandon(r);
	spool_load_ask_sync(r); /* an orderly end answers it, when it can */
	uint64_t recorded = r->model.seq;
	spool_close(r->spool);
	if (end == END_ORDERLY && !r->io.dead && disk_is_well(&r->disk))
		model_certain(&r->model, recorded);
	r->spool = NULL;
	io_timer_cancel(&r->io, &r->tick);
	r->syncing = false;
	spool_load_doubt(r);
}

static void new_machine(struct spool_run *r)
{
	if (r->io.world) machine_release(&r->io);
	machine_init(&r->io, &r->world, NULL, "spool", rng_next(&r->world.rng));
	r->io.disk = &r->disk;
	r->io.wall = 1800000000000 +
		sim_between(&r->world.rng, -3600000, 3600000); /* clocks go back, too */
}

/* From opening to the end; returns how it ended.  */
static enum life_end live(struct spool_run *r, msec length_ms, enum life_end wanted, int64_t calls)
{
	r->io.calls_left = calls;
	io_timer_set(&r->io, &r->tick, io_now(&r->io) + 1);
	world_plan(&r->world, &r->life_ends, r->world.now_us + length_ms * 1000);
	io_run(&r->io);
	world_forget(&r->world, &r->life_ends);
	if (wanted == END_ORDERLY && !r->io.dead) {
		r->finishing = true; /* let what is under way end */
		for (int i = 0; i < 200 && spool_load_commits_pending(r) && !r->io.dead; i++) {
			world_plan(&r->world, &r->life_ends, r->world.now_us + 50000);
			io_run(&r->io);
			world_forget(&r->world, &r->life_ends);
		}
		r->finishing = false;
	}
	if (r->io.dead) wanted = END_POWER;
	bool unfinished = wanted == END_ORDERLY && spool_load_commits_pending(r);
	end_life(r, wanted);
	if (r->io.dead) r->crashes++;
	return unfinished ? END_KILL : wanted;
}

static void rots(void *context, const char *path, uint64_t offset)
{
	struct spool_run *r = context;
	uint64_t len;
	char *content = disk_content(&r->disk, path, &len);
	model_rotten(&r->model, str_of(content, len), offset);
	free(content);
}

static void rot(struct spool_run *r)
{
	if (!sim_chance(&r->world.rng, r->rot)) return;
	for (int64_t i = sim_between(&r->world.rng, 1, 3); i > 0; i--)
		(void)disk_rot(&r->disk, "/spool/log", rots, r);
}

/* Until the spool is open; on the way the power may go a few times more.  */
static void recover(struct spool_run *r, bool cut)
{
	for (int tries = 0;; tries++) {
		if (cut) disk_power_cut(&r->disk);
		if (cut) rot(r);
		new_machine(r);
		bool crash = tries < 3 && r->options.crashes && sim_chance(&r->world.rng, 0.3);
		if (crash) r->io.calls_left = sim_skewed(&r->world.rng, 1, 60);
		if (open_spool(r)) {
			r->io.calls_left = 0;
			return;
		}
		cut = r->io.dead;
		if (cut) r->killed = false;
		if (tries > 4) disk_heal(&r->disk);
		if (tries > 20)
			sim_violation(&r->world, "the spool does not open on a disk that is well");
	}
}

/* No faults any more: everything ends, and the room comes back.  */
static void drain(struct spool_run *r)
{
	disk_heal(&r->disk);
	r->finishing = true;
	io_timer_set(&r->io, &r->tick, io_now(&r->io) + 1);
	for (int i = 0; i < 400; i++) {
		world_plan(&r->world, &r->life_ends, r->world.now_us + 1000000);
		io_run(&r->io);
		if (spool_message_count(spool_index(r->spool)) == 0 &&
			!spool_load_commits_pending(r))
			break;
	}
	if (spool_message_count(spool_index(r->spool)) > 0)
		sim_violation(&r->world, "messages do not end");
	io_timer_cancel(&r->io, &r->tick);
	world_plan(&r->world, &r->life_ends, r->world.now_us + 5000000);
	io_run(&r->io);
	spool_check(r->spool);
	end_life(r, END_ORDERLY);
	recover(r, false);
	if (spool_message_count(spool_index(r->spool)) > 0)
		sim_violation(&r->world, "ended messages came back");
	end_life(r, END_ORDERLY);
}

/* ---- options from the seed ---- */

static void choose_disk(struct spool_run *r, struct rng *rng)
{
	struct disk_traits *t = &r->disk.traits;
	*t = (struct disk_traits){.capacity = 4ull << 30,
		.call_us = sim_skewed(rng, 1, 2000),
		.sync_us = sim_skewed(rng, 10, 20000)};
	t->applied = rng_unit(rng);
	t->garbled = sim_chance(rng, 0.4) ? rng_unit(rng) * (1 - t->applied) : 0;
	t->torn = sim_chance(rng, 0.7) ? rng_unit(rng) : 0;
	t->names_in_order = sim_chance(rng, 0.5);
	if (sim_chance(rng, 0.3)) t->slow = 0.01;
	if (!r->options.faults || sim_chance(rng, 0.5)) return;
	if (sim_chance(rng, 0.4)) t->read_error = 0.002;
	if (sim_chance(rng, 0.5)) t->write_error = 0.05 * rng_unit(rng);
	if (sim_chance(rng, 0.6)) t->sync_error = 0.1 * rng_unit(rng);
	if (sim_chance(rng, 0.3)) t->name_error = 0.1 * rng_unit(rng);
	t->forgets = sim_chance(rng, 0.6);
	t->evicts = sim_chance(rng, 0.5);
	if (sim_chance(rng, 0.3)) t->capacity = (uint64_t)sim_between(rng, 1, 12) << 20;
}

static void choose_spool(struct spool_run *r, struct rng *rng)
{
	static const uint32_t sizes[] = {64 << 10, 128 << 10, 256 << 10, 1 << 20, 4 << 20};
	r->spool_options = (struct spool_options){.path = "/spool",
		.log = &r->log,
		.segment_size = sizes[rng_below(rng, ARRAY_LEN(sizes))],
		.outcome_delay = sim_skewed(rng, 1, 1000)};
	if (sim_chance(rng, 0.1))
		r->spool_options.memory_max = (uint64_t)sim_between(rng, 200, 4000) << 10;
	r->size_max = sim_chance(rng, 0.5) ? 4000 : sim_chance(rng, 0.7) ? 100000 : 700000;
	/* The list of all segments must fit into one.  */
	if (r->size_max > r->spool_options.segment_size)
		r->size_max = r->spool_options.segment_size;
	r->rot = r->options.faults && sim_chance(rng, 0.15) ? 0.5 : 0;
	r->deferral = rng_unit(rng) * 0.9;
	r->messages_max = (uint64_t)sim_skewed(rng, 5, 600);
	if (r->options.messages && r->messages_max > r->options.messages)
		r->messages_max = r->options.messages;
}

static void begin_run(struct spool_run *r, const struct sim_options *options)
{
	struct rng rng;
	rng_init(&rng, options->seed ^ 0x5b001);
	r->options = *options;
	world_init(&r->world, options->seed, options->verbose);
	rng_init(&r->load, rng_next(&rng));
	disk_init(&r->disk, &r->world, rng_next(&rng));
	choose_disk(r, &rng);
	choose_spool(r, &rng);
	model_init(&r->model, &r->world);
	r->tick.fire = tick;
	r->life_ends.fire = life_ends;
	spool_load_init(r);
	new_machine(r);
	sim_log_init(&r->log, &r->io);
}

static void finish_run(struct spool_run *r, struct sim_result *ret)
{
	*ret = (struct sim_result){.trace = r->world.trace,
		.steps = r->world.steps,
		.messages = r->model.acknowledged,
		.crashes = r->crashes,
		.checked = r->model.checked,
		.refused = r->refused,
		.faults = r->disk.failures,
		.virtual_us = r->world.now_us};
	machine_release(&r->io);
	log_release(&r->log);
	model_release(&r->model);
	disk_release(&r->disk);
	fibers_release(&r->world);
	world_release(&r->world);
}

void spool_run(const struct sim_options *options, struct sim_result *ret)
{
	static struct spool_run run;
	struct spool_run *r = &run;
	*r = (struct spool_run){0};
	begin_run(r, options);
	recover(r, false);
	int64_t lives = sim_between(&r->world.rng, 1, options->crashes ? 12 : 2);
	for (int64_t i = 0; i < lives; i++) {
		uint64_t dice = rng_below(&r->world.rng, 10);
		enum life_end wanted = !options->crashes || dice == 0 ? END_ORDERLY
			: dice < 3                                    ? END_KILL
								      : END_POWER;
		bool at_call = options->crashes && sim_chance(&r->world.rng, 0.6);
		int64_t calls = at_call ? sim_skewed(&r->world.rng, 1, 3000) : 0;
		enum life_end ended = live(r, sim_skewed(&r->world.rng, 1, 20000), wanted, calls);
		world_note(&r->world, "life-ended", ended, (uint64_t)i);
		recover(r,
			ended == END_POWER ||
				(ended == END_ORDERLY && sim_chance(&r->world.rng, 0.5)));
	}
	drain(r);
	finish_run(r, ret);
}
