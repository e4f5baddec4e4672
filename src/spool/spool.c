/* The spool as a whole: opening, closing, and what must hold at every moment.
 *
 *  1  A message is in the index if and only if its accept record is synced and no done record of it
 *     exists, waits or is on its way.
 *  2  Its slots say what a start at this moment would find, once all that waits is synced; ACTIVE
 *     is DUE there.
 *  3  A segment's refs are the accept records and chunks of messages in it which are in the index
 *     or whose done record is not synced yet, and chunks of open writers.  A FREE one has none.
 *  4  A segment is freed only with no refs, no pins, and when every state and done record in it is
 *     about messages whose accept records exist no more, or has been written again behind.
 *  5  A freed segment is used again only when its freed record is synced.  So there is always, for
 *     each accept record of an ended message that a start could read, a done record that it reads
 *     later.
 *  6  One segment is open.  What lies behind the end of a broken one is void from the first batch
 *     of the next on, and nothing is acknowledged before that batch is synced.
 *  7  Queue ids grow, over restarts and clocks that go back.  */
#include "spool/internal.h"

#include "spool/compact.h"
#include "spool/notes.h"

#include <errno.h>

enum {
	SEGMENT_SIZE = 64 << 20,
	SEGMENT_LEAST = 16 * RECORD_BLOCK,
	OUTCOME_DELAY_MS = 200,
	SPARE_SEGMENTS = 4,
};

const char *segment_path(const struct spool *s, uint32_t number, char to[SPOOL_PATH_MAX])
{
	char name[SEGMENT_NAME_MAX];
	segment_name(number, name);
	snprintf(to, SPOOL_PATH_MAX, "%s/%s", s->path, name);
	return to;
}

void spool_told(
	struct spool *s, const char *event, uint32_t segment, uint64_t offset, const char *what)
{
	log_begin(s->log, LOG_ERROR, STR_NONE, event);
	if (segment) {
		log_i64(s->log, "segment", segment);
		log_i64(s->log, "offset", (int64_t)offset);
	}
	log_str(s->log, "what", str_from_c(what));
	log_end(s->log);
}

/* ---- opening ---- */

static struct spool *make(struct io *io, const struct spool_options *options)
{
	struct spool *s = calloc(1, sizeof(*s));
	if (!s) return NULL;
	s->io = io;
	s->log = options->log;
	s->options = *options;
	s->path = strdup(options->path);
	s->segment_size =
		record_blocks(options->segment_size ? options->segment_size : SEGMENT_SIZE);
	if (s->segment_size < SEGMENT_LEAST) s->segment_size = SEGMENT_LEAST;
	if (s->segment_size > RECORD_SEGMENT_MAX) s->segment_size = RECORD_SEGMENT_MAX;
	s->spare_segments = SPARE_SEGMENTS;
	s->chunk_size = s->segment_size / 8 < SPOOL_CHUNK ? s->segment_size / 8 : SPOOL_CHUNK;
	if (s->options.outcome_delay == 0) s->options.outcome_delay = OUTCOME_DELAY_MS;
	s->lock.fd = -1;
	s->fs_asked = -1;
	s->health_ms = SPOOL_HEALTH_MS;
	s->batch.spool = s;
	io_random(io, &s->seed, sizeof(s->seed));
	struct list *lists[] = {&s->writers, &s->ready, &s->chunks, &s->syncs, &s->batch.chunks,
		&s->batch.writers, &s->batch.syncs, &s->hook.link};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) list_init(lists[i]);
	waiting_init(&s->states);
	waiting_init(&s->batch.states);
	buf_init(&s->batch.lead, RECORD_SEGMENT_MAX);
	slots_init(&s->index);
	s->states_timer.fire = state_timer_fired;
	s->health_timer.fire = health_timer_fired;
	s->tell_timer.fire = commit_tell_fired;
	return s;
}

static int lock(struct spool *s)
{
	char path[SPOOL_PATH_MAX];
	snprintf(path, sizeof(path), "%s/lock", s->path);
	int error = io_file_open(s->io, path, IO_OPEN_WRITE | IO_OPEN_CREATE, &s->lock);
	return error ? error : io_file_lock(s->io, &s->lock);
}

/* The first segment of a new spool is worth waiting for: mail that comes at once is not the slower
 * for it.  */
static int start(struct spool *s, struct spool_report *report, const char **ret_why)
{
	int error = recover(s, report, ret_why);
	if (!error) error = notes_open(s);
	if (error) return error;
	report->messages = spool_message_count(&s->index);
	report->recipients = spool_recipient_count(&s->index);
	if (s->segments.count == 0) (void)!maker_make_now(s);
	*ret_why = "no memory, or no more threads";
	if (!maker_open(s) || !compact_open(s)) return -ENOMEM;
	s->commit_workers = io_workers_start(s->io, 1, "spool-commit");
	s->workers = io_workers_start(s->io, 1, "spool-work");
	if (!s->commit_workers || !s->workers) return -EAGAIN;
	s->hook.run = commit_hook;
	io_before_sleep(s->io, &s->hook);
	maker_look(s);
	compact_look(s);
	return 0;
}

static void release(struct spool *s)
{
	list_remove(&s->hook.link);
	io_workers_stop(s->commit_workers);
	io_workers_stop(s->workers);
	io_timer_cancel(s->io, &s->states_timer);
	io_timer_cancel(s->io, &s->health_timer);
	io_timer_cancel(s->io, &s->tell_timer);
	compact_close(s);
	notes_close(s);
	maker_close(s);
	recovered_release(s);
	summary_release(&s->summary);
	waiting_release(&s->states);
	waiting_release(&s->batch.states);
	buf_release(&s->batch.lead);
	for (uint32_t i = 0; i < s->chunked.count; i++) free(s->chunked.all[i].refs);
	free(s->chunked.all);
	slots_release(&s->index);
	segments_release(s->io, &s->segments);
	io_file_close(s->io, &s->lock);
	free(s->path);
	free(s);
}

static int open_in(struct spool *s, struct spool_report *report, const char **ret_why)
{
	*ret_why = "no memory";
	if (!s->path || !segments_init(&s->segments)) return -ENOMEM;
	*ret_why = "the directory of the spool cannot be made or used: look at its path and owner";
	int error = io_dir_make(s->io, s->path);
	if (!error) error = lock(s);
	if (error == -EWOULDBLOCK) *ret_why = "another server is running on this spool";
	return error ? error : start(s, report, ret_why);
}

int spool_open(struct io *io, const struct spool_options *options, struct spool **ret,
	struct spool_report *ret_report, const char **ret_why)
{
	*ret_report = (struct spool_report){0};
	*ret_why = "no memory";
	struct spool *s = make(io, options);
	if (!s) return -ENOMEM;
	int error = open_in(s, ret_report, ret_why);
	if (error) {
		release(s);
		return error;
	}
	*ret_why = NULL;
	*ret = s;
	return 0;
}

/* What waits is synced with the last batch; a disk that refuses keeps what it has.  */
void spool_limits(struct spool *s, uint64_t memory_max, uint64_t disk_free)
{
	s->options.memory_max = memory_max;
	s->options.disk_free = disk_free;
}

void spool_close(struct spool *s)
{
	if (!s) return;
	ASSERT(list_empty(&s->writers));
	s->closing = true;
	notes_flush(s);
	commit_now(s);
	if (waiting_count(&s->states) > 0)
		spool_told(s, "spool-outcomes-lost", 0, 0,
			"the disk refuses: what has ended last will be tried again");
	for (struct list *node; (node = list_pop(&s->syncs));) {
		struct spool_op *op = CONTAINER_OF(node, struct spool_op, link);
		op->done(op, -EIO);
	}
	release(s);
}

struct spool_index *spool_index(struct spool *s) { return &s->index; }

/* ---- health ---- */

void spool_stats(const struct spool *s, struct spool_stats *ret)
{
	*ret = s->stats;
	ret->segments = s->segments.count;
	ret->segments_free = s->segments.free_count;
	ret->octets_live = s->segments.live;
	ret->octets_log = s->segments.octets;
	ret->free_on_disk = s->fs_free;
	ret->memory = health_memory(s);
	ret->sick = s->sick || s->refused;
}

struct tally {
	uint32_t refs[SEGMENT_NUMBERS];
	uint64_t live[SEGMENT_NUMBERS];
};

static void tally_message(const struct spool *s, struct tally *t, uint32_t segment, uint8_t class,
	uint32_t state_segment, uint32_t chunks)
{
	t->refs[segment]++;
	t->live[segment] += size_of_class(class);
	if (state_segment) t->live[state_segment] += SPOOL_STATE_OCTETS;
	if (!chunks) return;
	const struct chunked *one = &s->chunked.all[chunks - 1];
	for (uint32_t i = 0; i < one->count; i++) {
		t->refs[one->refs[i].segment] += one->refs[i].count;
		t->live[one->refs[i].segment] += one->refs[i].octets;
	}
}

/* A state record in a batch counts when that is synced; until then its predecessor does.  */
static void tally_waiting(
	const struct spool *s, struct tally *t, const struct waiting *w, bool placed)
{
	for (size_t i = 0; i < waiting_count(w); i++) {
		const struct effect *e = waiting_effect(w, i);
		if (e->type == RECORD_DONE && e->segment)
			tally_message(s, t, e->segment, e->size_class, e->prev_segment, e->chunks);
		if (e->type != RECORD_STATE) continue;
		if (e->prev_segment) t->live[e->prev_segment] += SPOOL_STATE_OCTETS;
		if (placed && e->counted) t->live[s->batch.segment->number] -= SPOOL_STATE_OCTETS;
	}
}

static void tally_writers(struct tally *t, const struct list *writers)
{
	LIST_EACH (writers, node) {
		const struct spool_writer *w = CONTAINER_OF(node, struct spool_writer, link);
		const struct disk_chunk *chunks =
			(const struct disk_chunk *)(const void *)w->chunks.ptr;
		for (size_t i = 0; i < w->chunks.len / sizeof(*chunks); i++) {
			if (!chunks[i].place.number) continue;
			t->refs[chunks[i].place.number]++;
			t->live[chunks[i].place.number] += chunks[i].length;
		}
	}
}

void spool_check(const struct spool *s)
{
	slots_check(&s->index);
	struct tally *t = calloc(1, sizeof(*t));
	ASSERT(t);
	for (slot i = 1; i < spool_message_end(&s->index); i++) {
		const struct spool_message *m = spool_message(&s->index, i);
		if (m->id == 0) continue;
		ASSERT(m->id <= s->last_id);
		uint32_t chunks = m->flags & SPOOL_MESSAGE_CHUNKED ? (uint32_t)m->offset + 1 : 0;
		tally_message(s, t, m->segment, m->size_class, m->state_segment, chunks);
	}
	tally_waiting(s, t, &s->states, false);
	tally_waiting(s, t, &s->batch.states, true);
	tally_writers(t, &s->writers);
	tally_writers(t, &s->ready);
	tally_writers(t, &s->batch.writers);
	uint64_t live = 0;
	for (uint32_t i = 1; i < s->segments.top; i++) {
		const struct segment *g = s->segments.at[i];
		if (!g) continue;
		ASSERT(g->refs == (g->state == SEGMENT_FREE ? 0 : t->refs[i]));
		ASSERT(g->live == (g->state == SEGMENT_FREE ? 0 : t->live[i]));
		ASSERT(g->state != SEGMENT_OPEN || g == s->open);
		ASSERT(g->generation <= s->generation);
		live += g->live;
	}
	ASSERT(live == s->segments.live);
	free(t);
	notes_check(s);
	compact_check(s);
}
