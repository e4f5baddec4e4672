/* What is done with the spool: everything its header allows, at random; the model is told of all.  */
#include "sim/spool_run.h"

enum { PIECE_MAX = 40 << 10 };

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
		model_voided(&r->model);
		model_decided(&r->model, message, MODEL_KEPT, io_now(&r->io));
		ASSERT(spool_committed(&w->writer) ==
			spool_find(spool_index(r->spool), message->id));
	}
	world_note(&r->world, "committed", message->number, (uint64_t)-error);
	arena_release(&w->arena);
	w->message = NULL;
}

static void resumed(struct spool_writer *writer)
{
	CONTAINER_OF(writer, struct load_writer, writer)->waits = false;
}

static void begin_message(struct spool_run *r, struct load_writer *w)
{
	if (r->next_number >= r->messages_max || r->finishing) return;
	if (spool_begin(r->spool, &w->writer, resumed)) {
		r->refused++;
		return;
	}
	uint64_t size = (uint64_t)(often(r, 0.2) ? sim_between(&r->load, 0, (int64_t)r->size_max)
						 : sim_skewed(&r->load, 0, (int64_t)r->size_max));
	w->message = model_message(&r->model, ++r->next_number, size);
	w->message->id = spool_writer_id(&w->writer);
	w->message->recipient_count = (uint32_t)sim_skewed(&r->load, 1, 12);
	w->written = 0;
	w->committing = w->waits = false;
	LIST_EACH (&r->model.messages, node) {
		struct model_message *other = CONTAINER_OF(node, struct model_message, link);
		if (other != w->message && other->id == w->message->id &&
			other->fate != MODEL_REFUSED && other->fate != MODEL_LOST &&
			other->fate != MODEL_DOUBT)
			sim_violation(&r->world, "an id was given twice: messages %llu and %llu",
				(unsigned long long)other->number,
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
	size_t len = (size_t)(often(r, 0.5) ? PIECE_MAX : sim_skewed(&r->load, 1, PIECE_MAX));
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
		if (message->fate != MODEL_KEPT || !spool_find(spool_index(r->spool), message->id))
			continue;
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

static void end_or_defer(
	struct spool_run *r, struct model_message *message, uint32_t nth, struct model_state now)
{
	slot at = recipient_slot(r, message, nth);
	struct model_recipient *model = &message->recipients[nth];
	spool_recipient(spool_index(r->spool), at)->state = RECIPIENT_ACTIVE;
	if (!model->sent && often(r, 0.7)) {
		spool_sent(r->spool, at);
		model->sent = true;
		if (now.state == RECIPIENT_DUE && often(r, 0.3)) return; /* no answer yet */
	}
	model->sent = false;
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
		struct outcome o = outcome_local(OUTCOME_DEFERRED, "4.2.0",
			str_of(text, (size_t)sim_skewed(&r->load, 0, sizeof text)));
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
	if (spool_recipient(spool_index(r->spool), at)->state == RECIPIENT_ACTIVE)
		return; /* the operator waits */
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

void spool_load_ask_sync(struct spool_run *r)
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
	reader->open = spool_read_open(r->spool, spool_find(spool_index(r->spool), message->id),
			       &reader->reader) == 0;
}

/* ---- all of it ---- */

void spool_load_step(struct spool_run *r)
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
		spool_load_ask_sync(r);
}

void spool_load_close_readers(struct spool_run *r)
{
	for (int i = 0; i < READERS; i++) {
		if (r->readers[i].open) spool_read_close(&r->readers[i].reader);
		r->readers[i].open = false;
	}
}

bool spool_load_commits_pending(const struct spool_run *r)
{
	for (int i = 0; i < WRITERS; i++)
		if (r->writers[i].message && r->writers[i].committing) return true;
	return false;
}

void spool_load_abandon(struct spool_run *r)
{
	for (int i = 0; i < WRITERS; i++) {
		struct load_writer *w = &r->writers[i];
		if (w->message && !w->committing) give_up(r, w);
	}
}

/* What was on its way when the life ended is in doubt.  */
void spool_load_doubt(struct spool_run *r)
{
	for (int i = 0; i < WRITERS; i++) {
		struct load_writer *w = &r->writers[i];
		if (!w->message) continue;
		model_decided(&r->model, w->message, MODEL_DOUBT, io_now(&r->io));
		arena_release(&w->arena);
		w->message = NULL;
	}
}

void spool_load_init(struct spool_run *r)
{
	for (int i = 0; i < WRITERS; i++) {
		r->writers[i].run = r;
		r->writers[i].op.done = committed;
	}
}
