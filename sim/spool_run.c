/* The spool alone under power cuts: writers, outcomes, readers, compaction; crashes at any file call, also during
 * recovery; spool_model.c judges.  */
#include "sim/run.h"

#include "sim/sim_disk.h"
#include "sim/spool_model.h"

#include <errno.h>

enum { WRITERS = 6, READERS = 3, PIECE_MAX = 40 << 10, TICK_US = 30 * 1000 };

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
	double deferral;
	bool finishing;            /* no new mail: end what is there */
	uint64_t refused, aborted, recoveries, crashes;
};

static bool often(struct spool_run *r, double p) { return sim_chance(&r->load, p); }

/* ---- writers ---- */

static void committed(struct spool_op *op, int error)
{
	struct load_writer *w = CONTAINER_OF(op, struct load_writer, op);
	struct spool_run *r = w->run;
	struct model_message *message = w->message;
	if (r->io.dead) return; /* nobody heard it: the end of this life decides */
	if (error) {
		r->refused++;
		model_decided(&r->model, message, MODEL_LATELY, io_now(&r->io));
	} else {
		model_certain(&r->model, 0);
		model_decided(&r->model, message, MODEL_KEPT, io_now(&r->io));
		ASSERT(spool_committed(&w->writer) == spool_find(spool_index(r->spool), message->id));
	}
	world_note(&r->world, "committed", message->number, (uint64_t)-error);
	arena_release(&w->arena);
	w->message = NULL;
}

static void resumed(struct spool_writer *writer) { CONTAINER_OF(writer, struct load_writer, writer)->waits = false; }

static void begin_message(struct spool_run *r, struct load_writer *w)
{
	if (r->next_number >= r->messages_max || r->finishing) return;
	if (spool_begin(r->spool, &w->writer, resumed)) {
		r->refused++;
		return;
	}
	uint64_t size = (uint64_t)sim_skewed(&r->load, 0, (int64_t)r->size_max);
	w->message = model_message(&r->model, ++r->next_number, size);
	w->message->id = spool_writer_id(&w->writer);
	w->message->recipient_count = (uint32_t)sim_skewed(&r->load, 1, 12);
	w->written = 0;
	w->committing = w->waits = false;
	LIST_EACH (&r->model.messages, node) {
		struct model_message *other = CONTAINER_OF(node, struct model_message, link);
		if (other != w->message && other->id == w->message->id && other->fate != MODEL_REFUSED && other->fate != MODEL_LOST)
			sim_violation(&r->world, "an id was given twice: messages %llu and %llu", (unsigned long long)other->number,
				(unsigned long long)w->message->number);
	}
}

static void give_up(struct spool_run *r, struct load_writer *w)
{
	spool_abort(&w->writer);
	r->aborted++;
	model_decided(&r->model, w->message, MODEL_REFUSED, 0);
	w->message = NULL;
}

static void commit(struct load_writer *w)
{
	arena_init(&w->arena, 1 << 20);
	model_envelope(w->message->number, w->message->recipient_count, &w->arena, &w->envelope);
	w->envelope.size = w->message->size;
	w->committing = true;
	spool_commit(&w->writer, &w->envelope, (uint32_t)w->message->number, &w->op);
}

static void go_on_writing(struct spool_run *r, struct load_writer *w)
{
	static char piece[PIECE_MAX];
	if (w->committing || w->waits) return;
	if (often(r, 0.01)) return give_up(r, w);
	uint64_t left = w->message->size - w->written;
	if (left == 0) return commit(w);
	size_t len = (size_t)sim_skewed(&r->load, 1, PIECE_MAX);
	if (len > left) len = (size_t)left;
	model_content(w->message->number, w->written, piece, len);
	switch (spool_write(&w->writer, str_of(piece, len))) {
	case SPOOL_REFUSED: return give_up(r, w);
	case SPOOL_WAIT: w->waits = true; break;
	case SPOOL_TAKEN: break;
	}
	w->written += len;
}

/* ---- recipients ---- */

static struct model_message *some_open_message(struct spool_run *r)
{
	uint64_t count = 0;
	struct model_message *chosen = NULL;
	LIST_EACH (&r->model.messages, node) {
		struct model_message *message = CONTAINER_OF(node, struct model_message, link);
		if (message->fate != MODEL_KEPT || !spool_find(spool_index(r->spool), message->id)) continue;
		if (rng_below(&r->load, ++count) == 0) chosen = message;
	}
	return chosen;
}

static slot recipient_slot(struct spool_run *r, const struct model_message *message, uint32_t nth)
{
	const struct spool_index *x = spool_index(r->spool);
	slot at = spool_message(x, spool_find(x, message->id))->recipients;
	while (nth-- > 0) at = spool_recipient(x, at)->sibling;
	return at;
}

static void end_or_defer(struct spool_run *r, struct model_message *message, uint32_t nth, struct model_state now)
{
	slot at = recipient_slot(r, message, nth);
	spool_recipient(spool_index(r->spool), at)->state = RECIPIENT_ACTIVE;
	if (now.attempts < UINT8_MAX) now.attempts++;
	bool ends = r->finishing || !often(r, r->deferral);
	if (ends) {
		now.state = RECIPIENT_DONE;
		struct outcome o = outcome_local(OUTCOME_DELIVERED, "2.0.0", STR("ok"));
		(void)spool_outcome(r->spool, at, &o, 0);
	} else {
		now.state = RECIPIENT_DUE;
		now.due += (uint32_t)sim_skewed(&r->load, 0, 100000);
		char text[300];
		memset(text, 'x', sizeof text);
		struct outcome o = outcome_local(OUTCOME_DEFERRED, "4.2.0", str_of(text, (size_t)sim_skewed(&r->load, 0, sizeof text)));
		(void)spool_outcome(r->spool, at, &o, now.due);
	}
	model_record(&r->model, message, nth, now);
}

static void act_on_recipient(struct spool_run *r)
{
	struct model_message *message = some_open_message(r);
	if (!message) return;
	uint32_t nth = (uint32_t)rng_below(&r->load, message->recipient_count);
	struct model_state now = *model_now(&message->recipients[nth]);
	now.at = io_now(&r->io);
	if (now.state == RECIPIENT_DONE) return;
	uint64_t dice = r->finishing ? 0 : rng_below(&r->load, 10);
	if (dice < 7) return end_or_defer(r, message, nth, now);
	slot at = recipient_slot(r, message, nth);
	if (spool_recipient(spool_index(r->spool), at)->state == RECIPIENT_ACTIVE) return; /* the operator waits */
	if (dice == 7) {
		spool_hold(r->spool, at, now.state == RECIPIENT_DUE);
		now.state = now.state == RECIPIENT_DUE ? RECIPIENT_HELD : RECIPIENT_DUE;
	} else if (dice == 8) {
		now.due += 60;
		spool_set_due(r->spool, at, now.due);
	} else {
		return spool_delay_told(r->spool, spool_find(spool_index(r->spool), message->id));
	}
	model_record(&r->model, message, nth, now);
}

static void synced(struct spool_op *op, int error)
{
	struct load_sync *sync = CONTAINER_OF(op, struct load_sync, op);
	sync->run->syncing = false;
	if (!error && !sync->run->io.dead) model_certain(&sync->run->model, sync->seq);
}

static void ask_sync(struct spool_run *r)
{
	if (r->syncing) return;
	r->syncing = true;
	r->sync = (struct load_sync){.op.done = synced, .run = r, .seq = r->model.seq};
	spool_sync(r->spool, &r->sync.op);
}

/* ---- readers ---- */

static void use_reader(struct spool_run *r, struct load_reader *reader)
{
	if (reader->open) {
		struct str octets;
		int error = spool_read(&reader->reader, &octets);
		if (!error && octets.len > 0 && !often(r, 0.1)) return;
		spool_read_close(&reader->reader);
		reader->open = false;
		return;
	}
	struct model_message *message = some_open_message(r);
	if (!message) return;
	if (often(r, 0.5)) return model_read(&r->model, r->spool, message);
	reader->open = spool_read_open(r->spool, spool_find(spool_index(r->spool), message->id), &reader->reader) == 0;
}

/* ---- a life ---- */

static void do_something(struct spool_run *r)
{
	struct load_writer *w = &r->writers[rng_below(&r->load, WRITERS)];
	uint64_t dice = rng_below(&r->load, 20);
	if (dice < 9)
		w->message ? go_on_writing(r, w) : begin_message(r, w);
	else if (dice < 17)
		act_on_recipient(r);
	else if (dice < 19)
		use_reader(r, &r->readers[rng_below(&r->load, READERS)]);
	else
		ask_sync(r);
}

static void tick(struct timer *timer)
{
	struct spool_run *r = CONTAINER_OF(timer, struct spool_run, tick);
	for (int64_t i = sim_between(&r->load, 0, r->finishing ? 40 : 12); i > 0 && !r->io.dead; i--) do_something(r);
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

static void close_readers(struct spool_run *r)
{
	for (int i = 0; i < READERS; i++) {
		if (r->readers[i].open) spool_read_close(&r->readers[i].reader);
		r->readers[i].open = false;
	}
}

static bool commits_pending(const struct spool_run *r)
{
	for (int i = 0; i < WRITERS; i++)
		if (r->writers[i].message && r->writers[i].committing) return true;
	return false;
}

static void abandon_writers(struct spool_run *r)
{
	for (int i = 0; i < WRITERS; i++) {
		struct load_writer *w = &r->writers[i];
		if (w->message && !w->committing) give_up(r, w);
	}
}

/* What was on its way when the life ended is in doubt.  */
static void doubt_writers(struct spool_run *r)
{
	for (int i = 0; i < WRITERS; i++) {
		struct load_writer *w = &r->writers[i];
		if (!w->message) continue;
		model_decided(&r->model, w->message, MODEL_DOUBT, io_now(&r->io));
		arena_release(&w->arena);
		w->message = NULL;
	}
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
	if (!r->io.dead) r->io.calls_left = 0;
	if (error && !r->io.dead && error != -EIO && error != -ENOSPC)
		sim_violation(&r->world, "the spool cannot be opened: %s (%s)", strerror(-error), why);
	if (error) return false;
	if (r->io.dead) {
		spool_close(r->spool);
		return false;
	}
	model_recovered(&r->model, r->spool, io_now(&r->io));
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
	if (end == END_POWER || end == END_KILL) machine_cut_power(&r->io);
	close_readers(r);
	abandon_writers(r);
	ask_sync(r); /* an orderly end answers it, when it can */
	spool_close(r->spool);
	r->spool = NULL;
	io_timer_cancel(&r->io, &r->tick);
	r->syncing = false;
	doubt_writers(r);
}

static void new_machine(struct spool_run *r)
{
	if (r->io.world) machine_release(&r->io);
	machine_init(&r->io, &r->world, NULL, "spool", rng_next(&r->world.rng));
	r->io.disk = &r->disk;
	r->io.wall = 1800000000000 + sim_between(&r->world.rng, -3600000, 3600000); /* clocks go back, too */
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
		for (int i = 0; i < 200 && commits_pending(r) && !r->io.dead; i++) {
			world_plan(&r->world, &r->life_ends, r->world.now_us + 50000);
			io_run(&r->io);
			world_forget(&r->world, &r->life_ends);
		}
		r->finishing = false;
	}
	if (r->io.dead) wanted = END_POWER;
	bool unfinished = wanted == END_ORDERLY && commits_pending(r);
	end_life(r, wanted);
	if (r->io.dead) r->crashes++;
	return unfinished ? END_KILL : wanted;
}

/* Until the spool is open; on the way the power may go a few times more.  */
static void recover(struct spool_run *r, bool cut)
{
	for (int tries = 0;; tries++) {
		if (cut) disk_power_cut(&r->disk);
		new_machine(r);
		bool crash = tries < 3 && r->options.crashes && sim_chance(&r->world.rng, 0.3);
		if (crash) r->io.calls_left = sim_skewed(&r->world.rng, 1, 60);
		if (open_spool(r)) {
			r->io.calls_left = 0;
			return;
		}
		cut = r->io.dead;
		if (tries > 4) disk_heal(&r->disk);
		if (tries > 20) sim_violation(&r->world, "the spool does not open on a disk that is well");
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
		if (spool_message_count(spool_index(r->spool)) == 0 && !commits_pending(r)) break;
	}
	if (spool_message_count(spool_index(r->spool)) > 0) sim_violation(&r->world, "messages do not end");
	io_timer_cancel(&r->io, &r->tick);
	world_plan(&r->world, &r->life_ends, r->world.now_us + 5000000);
	io_run(&r->io);
	spool_check(r->spool);
	end_life(r, END_ORDERLY);
	recover(r, false);
	if (spool_message_count(spool_index(r->spool)) > 0) sim_violation(&r->world, "ended messages came back");
	end_life(r, END_ORDERLY);
}

/* ---- options from the seed ---- */

static void choose_disk(struct spool_run *r, struct rng *rng)
{
	struct disk_traits *t = &r->disk.traits;
	*t = (struct disk_traits){.capacity = 4ull << 30, .call_us = sim_skewed(rng, 1, 2000), .sync_us = sim_skewed(rng, 10, 20000)};
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
	r->spool_options = (struct spool_options){.path = "/spool", .log = &r->log,
		.segment_size = sizes[rng_below(rng, ARRAY_LEN(sizes))], .outcome_delay = sim_skewed(rng, 1, 1000)};
	if (sim_chance(rng, 0.1)) r->spool_options.memory_max = (uint64_t)sim_between(rng, 200, 4000) << 10;
	r->size_max = sim_chance(rng, 0.5) ? 4000 : sim_chance(rng, 0.7) ? 100000 : 700000;
	r->deferral = rng_unit(rng) * 0.9;
	r->messages_max = (uint64_t)sim_skewed(rng, 5, 600);
	if (r->options.messages && r->messages_max > r->options.messages) r->messages_max = r->options.messages;
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
	for (int i = 0; i < WRITERS; i++) {
		r->writers[i].run = r;
		r->writers[i].op.done = committed;
	}
	new_machine(r);
	sim_log_init(&r->log, &r->io);
}

static void finish_run(struct spool_run *r, struct sim_result *ret)
{
	*ret = (struct sim_result){.trace = r->world.trace, .steps = r->world.steps, .messages = r->model.acknowledged,
		.crashes = r->crashes, .checked = r->model.checked, .refused = r->refused,
		.faults = r->disk.failures, .virtual_us = r->world.now_us};
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
		enum life_end wanted = !options->crashes || dice == 0 ? END_ORDERLY : dice < 3 ? END_KILL : END_POWER;
		bool at_call = options->crashes && sim_chance(&r->world.rng, 0.6);
		int64_t calls = at_call ? sim_skewed(&r->world.rng, 1, 3000) : 0;
		enum life_end ended = live(r, sim_skewed(&r->world.rng, 1, 20000), wanted, calls);
		world_note(&r->world, "life-ended", ended, (uint64_t)i);
		recover(r, ended == END_POWER || (ended == END_ORDERLY && sim_chance(&r->world.rng, 0.5)));
	}
	drain(r);
	finish_run(r, ret);
}
