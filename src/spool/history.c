#include "spool/history.h"

#include "spool/history_internal.h"

#include <errno.h>

enum {
	FLUSH_MS = 1000,
	FLUSH_OCTETS = 64 << 10,
	RESULT_MEMORY = 64 << 20,
};
static const msec prune_every = MINUTES(10);

struct history_search_private {
	struct io_work work;
	struct history *history;
	struct history_search *search; /* NULL: nobody waits any more */
	struct history_query query;
};

/* ---- writing: on a worker, or at the end on the loop ---- */

static int write_block(struct history *h, struct history_job *job)
{
	if (job->create) {
		io_file_close(h->io, &h->active);
		int error = history_file_open(h, job->number,
			IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE, &h->active);
		if (!error) error = history_file_header(h, &h->active, job->wall);
		if (error) return error;
	}
	struct iovec iov = {job->block.out.ptr, job->block.out.len};
	return io_file_write(h->io, &h->active, &iov, 1, job->offset);
}

static void job_run(struct io_work *work)
{
	struct history *h = CONTAINER_OF(work, struct history, job.work);
	history_delete_files(h, &h->job);
	h->job.error = history_block_size(&h->job.block) ? write_block(h, &h->job) : 0;
}

/* ---- jobs ---- */

static void say(struct history *h, enum log_level level, const char *event, int error)
{
	if (!h->log) return;
	log_begin(h->log, level, STR_NONE, event);
	if (error) log_str(h->log, "why", str_from_c(strerror(-error)));
	if (h->lost) log_i64(h->log, "events_lost", (int64_t)h->lost);
	log_end(h->log);
	h->lost = 0;
}

/* Where the gathered goes.  False: no memory.  */
static bool place_block(struct history *h, struct history_job *job)
{
	msec wall = io_wall(h->io);
	job->wall = wall;
	job->create = !h->appending || history_file_full(h, wall);
	if (job->create) {
		struct history_file *last = history_newest(h);
		struct history_file new = {.number = last ? last->number + 1 : 1,
			.size = HISTORY_FILE_HEADER,
			.created = wall};
		if (!history_file_add(h, &new)) return false;
		h->appending = true;
	}
	struct history_file *f = history_newest(h);
	job->number = f->number;
	job->offset = f->size;
	f->last = wall;
	return true;
}

/* Hand the gathered over to be written.  */
static void take_block(struct history *h)
{
	struct history_job *job = &h->job;
	if (!place_block(h, job)) {
		h->lost += h->block.count;
		history_block_clear(&h->block);
		return;
	}
	struct history_block gathered = h->block;
	h->block = job->block;
	job->block = gathered;
	history_block_seal(&job->block);
}

static void start_job(struct history *h)
{
	ASSERT(!h->busy);
	h->due = false;
	io_timer_cancel(h->io, &h->timer);
	if (h->block.count) take_block(h);
	history_choose_deletions(h, &h->job, io_wall(h->io));
	h->busy = history_block_size(&h->job.block) || h->job.deletion_count;
}

/* Write what is gathered within a second.  */
static void await_flush(struct history *h)
{
	if (h->block.count && !timer_is_set(&h->timer))
		io_timer_set(h->io, &h->timer, io_now(h->io) + FLUSH_MS);
}

static void flush(struct history *h)
{
	h->due = true;
	if (h->busy) return;
	start_job(h);
	if (h->busy) io_work(h->workers, &h->job.work);
}

static void block_failed(struct history *h, struct history_job *job)
{
	h->lost += job->block.count;
	if (!h->failing) say(h, LOG_ERROR, "history-failed", job->error);
	h->failing = true;
	/* A new file, the next time: who knows what this one has.  One that could not be begun
	 * is begun again.  */
	h->appending = false;
	if (job->create) h->file_count--;
}

static void block_written(struct history *h, struct history_job *job)
{
	history_newest(h)->size = job->offset + job->block.out.len;
	if (h->failing || h->lost) say(h, LOG_INFO, "history-works-again", 0);
	h->failing = false;
}

/* Account for what has been written, or has not.  */
static void end_job(struct history *h)
{
	struct history_job *job = &h->job;
	if (job->error)
		block_failed(h, job);
	else if (job->block.count)
		block_written(h, job);
	if (job->delete_error)
		say(h, LOG_WARN, "history-not-deleted",
			job->delete_error); /* tried again after the next start */
	if (!h->appending) io_file_close(h->io, &h->active);
	history_block_clear(&job->block);
	free(job->deletions);
	job->deletions = NULL;
	job->deletion_count = 0;
	job->error = job->delete_error = 0;
	h->busy = false;
}

static void history_free(struct history *h)
{
	io_file_close(h->io, &h->active);
	history_block_release(&h->block);
	history_block_release(&h->job.block);
	free(h->files);
	free(h->directory);
	free(h);
}

/* Write the rest without a worker.  */
static void finish(struct history *h)
{
	if (h->block.count) {
		start_job(h);
		if (h->busy) {
			job_run(&h->job.work);
			end_job(h);
		}
	}
	if (h->searches == 0) history_free(h);
}

static void job_done(struct io_work *work)
{
	struct history *h = CONTAINER_OF(work, struct history, job.work);
	end_job(h);
	if (h->closed)
		finish(h);
	else if (h->due || h->block.out.len >= FLUSH_OCTETS)
		flush(h);
	else
		await_flush(h);
}

static void timer_fired(struct timer *timer) { flush(CONTAINER_OF(timer, struct history, timer)); }

static void prune(struct timer *timer)
{
	struct history *h = CONTAINER_OF(timer, struct history, pruning);
	io_timer_set(h->io, &h->pruning, io_now(h->io) + prune_every);
	if (h->appending && !h->busy && history_file_full(h, io_wall(h->io))) {
		h->appending = false; /* it may grow too old without a new one taking its place */
		io_file_close(h->io, &h->active);
	}
	flush(h);
}

/* ---- life ---- */

struct history *history_open(struct io *io, struct io_workers *workers, const char *directory,
	msec keep, uint64_t size_max, struct log *log, int *ret_error)
{
	struct history *h = calloc(1, sizeof(*h));
	*ret_error = -ENOMEM;
	if (!h) return NULL;
	*h = (struct history){.io = io,
		.workers = workers,
		.log = log,
		.keep = keep,
		.size_max = size_max,
		.directory = strdup(directory),
		.active.fd = -1,
		.timer.fire = timer_fired,
		.pruning.fire = prune,
		.job.work = {.run = job_run, .done = job_done}};
	history_block_init(&h->block);
	history_block_init(&h->job.block);
	if (h->directory) *ret_error = history_files_find(h);
	if (*ret_error) {
		history_free(h);
		return NULL;
	}
	io_timer_set(io, &h->pruning, io_now(io));
	return h;
}

void history_close(struct history *h)
{
	if (!h) return;
	io_timer_cancel(h->io, &h->timer);
	io_timer_cancel(h->io, &h->pruning);
	h->closed = true;
	if (!h->busy) finish(h);
}

void history_limits(struct history *h, msec keep, uint64_t size_max)
{
	h->keep = keep;
	h->size_max = size_max;
	if (keep == 0) {
		history_block_clear(&h->block);
		h->appending = false;
		if (!h->busy) io_file_close(h->io, &h->active);
	}
	io_timer_set(h->io, &h->pruning, io_now(h->io));
}

void history_add(struct history *h, const struct history_record *record)
{
	if (h->keep == 0) return;
	if (!history_block_add(&h->block, record)) h->lost++;
	if (h->busy) return;
	if (h->block.out.len >= FLUSH_OCTETS)
		flush(h);
	else
		await_flush(h);
}

/* ---- searching ---- */

static void search_run(struct io_work *work)
{
	history_query_run(&CONTAINER_OF(work, struct history_search_private, work)->query);
}

static void search_done(struct io_work *work)
{
	struct history_search_private *p = CONTAINER_OF(work, struct history_search_private, work);
	struct history *h = p->history;
	struct history_search *search = p->search;
	for (uint32_t i = 0; p->search && !h->closed && i < p->query.hit_count; i++)
		search->found(search, &p->query.hits[i].record);
	int error = p->query.error;
	bool wanted = p->search && !h->closed;
	history_query_release(&p->query);
	free(p);
	h->searches--;
	if (wanted) search->private = NULL;
	if (h->closed && !h->busy && h->searches == 0) history_free(h);
	if (wanted) search->done(search, error);
}

/* What is gathered, or being written, as blocks of its own.  */
static bool copy_memory(struct history *h, struct buf *out)
{
	if (history_block_size(&h->job.block)) buf_add(out, buf_str(&h->job.block.out));
	if (h->block.count) {
		struct history_block copy = h->block;
		buf_init(&copy.out, HISTORY_BLOCK_MAX);
		if (!buf_add(&copy.out, buf_str(&h->block.out))) return false;
		history_block_seal(&copy);
		buf_add(out, buf_str(&copy.out));
		buf_release(&copy.out);
	}
	return buf_ok(out);
}

static void set_up_query(struct history *h, struct history_query *q, struct str what, uint32_t max)
{
	*q = (struct history_query){.io = h->io, .directory = h->directory, .max = max};
	if (what.len >= 2 && what.ptr[0] == '<' && what.ptr[what.len - 1] == '>')
		what = str_of(what.ptr + 1, what.len - 2);
	arena_init(&q->arena, RESULT_MEMORY);
	buf_init(&q->what, what.len);
	buf_init(&q->tail, 2 * HISTORY_BLOCK_MAX);
	q->files = calloc(h->file_count + 1, sizeof(*q->files));
	if (!q->files || !buf_add(&q->what, what) || !copy_memory(h, &q->tail)) {
		q->error = -ENOMEM;
		q->max = 0;
		return;
	}
	q->file_count = h->file_count;
	if (h->file_count) memcpy(q->files, h->files, h->file_count * sizeof(*q->files));
}

void history_search(struct history *h, struct history_search *search, struct str what)
{
	struct history_search_private *p = calloc(1, sizeof(*p));
	ASSERT(p); /* nobody could be told */
	p->history = h;
	p->search = search;
	p->work.run = search_run;
	p->work.done = search_done;
	search->private = p;
	set_up_query(h, &p->query, what, search->max);
	h->searches++;
	io_work(h->workers, &p->work);
}

void history_search_cancel(struct history_search *search)
{
	if (search->private) search->private->search = NULL;
	search->private = NULL;
}
