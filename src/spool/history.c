#include "spool/history.h"

#include "spool/history_search.h"

#include <errno.h>

enum {
	FLUSH_MS = 1000,
	FLUSH_OCTETS = 64 << 10,
	PARTS = 16,                    /* of `size_max` and `keep`: one file */
	FILE_LEAST = 64 << 10,
	VERSION = 1,
	RESULT_MEMORY = 64 << 20,
};
static const msec prune_every = MINUTES(10);
static const struct str file_magic = {"rockdove history", 16};

/* What a worker does at one time: new file, write, delete.  */
struct job {
	struct io_work work;
	struct history_block block;    /* what is being written */
	bool create;                   /* begin file `number` */
	uint64_t number;
	uint64_t offset;
	msec wall;
	uint64_t *deletions;           /* numbers of files */
	uint32_t deletion_count;
	int error;
	int delete_error;
};

struct history {
	struct io *io;
	struct io_workers *workers;
	struct log *log;
	char *directory;
	msec keep;
	uint64_t size_max;

	struct history_file *files;    /* ascending numbers */
	uint32_t file_count, file_room;
	struct io_file active;         /* the last of files, while appending is set; the worker's during a job */
	bool appending;

	struct history_block block;    /* gathers */
	struct timer timer;            /* of the gathered */
	struct timer pruning;
	struct job job;
	bool busy;                     /* with the job */
	bool due;                      /* to be written as soon as the job is done */
	bool failing;                  /* said once */
	uint64_t lost;                 /* events, not said yet */

	uint32_t searches;
	bool closed;
};

struct history_search_private {
	struct io_work work;
	struct history *history;
	struct history_search *search; /* NULL: nobody waits any more */
	struct history_query query;
};

/* ---- files ---- */

static int open_file(struct history *h, uint64_t number, unsigned how, struct io_file *ret)
{
	struct buf path;
	buf_init(&path, 4096);
	history_path(&path, h->directory, number);
	int error = buf_ok(&path) ? io_file_open(h->io, path.ptr, how, ret) : -ENAMETOOLONG;
	buf_release(&path);
	return error;
}

static struct history_file *newest(struct history *h)
{
	return h->file_count ? &h->files[h->file_count - 1] : NULL;
}

static struct history_file *add_file(struct history *h, const struct history_file *file)
{
	if (h->file_count == h->file_room) {
		uint32_t room = h->file_room ? h->file_room * 2 : PARTS;
		struct history_file *more = realloc(h->files, room * sizeof(*more));
		if (!more) return NULL;
		h->files = more;
		h->file_room = room;
	}
	h->files[h->file_count] = *file;
	return &h->files[h->file_count++];
}

static int write_file_header(struct history *h, const struct io_file *f, msec wall)
{
	struct buf header;
	buf_init(&header, HISTORY_FILE_HEADER);
	buf_add(&header, file_magic);
	buf_add_le32(&header, VERSION);
	buf_add_le32(&header, 0);
	buf_add_le64(&header, (uint64_t)wall);
	ASSERT(buf_ok(&header) && header.len == HISTORY_FILE_HEADER);
	struct iovec iov = {header.ptr, header.len};
	int error = io_file_write(h->io, f, &iov, 1, 0);
	buf_release(&header);
	return error;
}

/* ---- writing: on a worker, or at the end on the loop ---- */

static void delete_files(struct history *h, struct job *job)
{
	struct buf path;
	buf_init(&path, 4096);
	for (uint32_t i = 0; i < job->deletion_count; i++) {
		buf_clear(&path);
		history_path(&path, h->directory, job->deletions[i]);
		int error = buf_ok(&path) ? io_unlink(h->io, path.ptr) : -ENAMETOOLONG;
		if (error && error != -ENOENT) job->delete_error = error;
	}
	buf_release(&path);
}

static int write_block(struct history *h, struct job *job)
{
	if (job->create) {
		io_file_close(h->io, &h->active);
		int error = open_file(h, job->number, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE, &h->active);
		if (!error) error = write_file_header(h, &h->active, job->wall);
		if (error) return error;
	}
	struct iovec iov = {job->block.out.ptr, job->block.out.len};
	return io_file_write(h->io, &h->active, &iov, 1, job->offset);
}

static void job_run(struct io_work *work)
{
	struct history *h = CONTAINER_OF(work, struct history, job.work);
	delete_files(h, &h->job);
	h->job.error = history_block_size(&h->job.block) ? write_block(h, &h->job) : 0;
}

/* ---- what is kept, and what goes ---- */

static uint64_t file_size_max(const struct history *h)
{
	return h->size_max / PARTS > FILE_LEAST ? h->size_max / PARTS : FILE_LEAST;
}

static bool active_is_full(struct history *h, msec wall)
{
	struct history_file *f = newest(h);
	return f->size >= file_size_max(h) || wall - f->created >= h->keep / PARTS;
}

/* The oldest are deleted until the rest is within its limits; the one that is appended to stays.  */
static void choose_deletions(struct history *h, struct job *job, msec wall)
{
	uint64_t total = history_block_size(&job->block);
	for (uint32_t i = 0; i < h->file_count; i++) total += h->files[i].size;
	uint32_t count = 0;
	while (count < h->file_count) {
		const struct history_file *oldest = &h->files[count];
		bool last = count + 1 == h->file_count;
		if (last && h->appending) break;
		if (h->keep > 0 && total <= h->size_max && wall - oldest->last < h->keep) break;
		total -= oldest->size;
		count++;
	}
	job->deletion_count = 0;
	if (count == 0) return;
	job->deletions = calloc(count, sizeof(*job->deletions));
	if (!job->deletions) return; /* another time */
	for (uint32_t i = 0; i < count; i++) job->deletions[i] = h->files[i].number;
	job->deletion_count = count;
	h->file_count -= count;
	memmove(h->files, h->files + count, h->file_count * sizeof(*h->files));
}

/* ---- jobs ---- */

static void say(struct history *h, const char *event, int error)
{
	if (!h->log) return;
	log_begin(h->log, LOG_ERROR, STR_NONE, event);
	if (error) log_str(h->log, "why", str_from_c(strerror(-error)));
	if (h->lost) log_i64(h->log, "events_lost", (int64_t)h->lost);
	log_end(h->log);
	h->lost = 0;
}

/* Where the gathered goes: *ret_file NULL when there is no memory.  */
static struct history_file *place_block(struct history *h, struct job *job)
{
	msec wall = io_wall(h->io);
	job->wall = wall;
	job->create = !h->appending || active_is_full(h, wall);
	if (job->create) {
		struct history_file *last = newest(h);
		struct history_file new = {.number = last ? last->number + 1 : 1, .size = HISTORY_FILE_HEADER, .created = wall};
		if (!add_file(h, &new)) return NULL;
		h->appending = true;
	}
	struct history_file *f = newest(h);
	job->number = f->number;
	job->offset = f->size;
	f->last = wall;
	return f;
}

/* Hand the gathered over to be written.  */
static void take_block(struct history *h)
{
	struct job *job = &h->job;
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
	choose_deletions(h, &h->job, io_wall(h->io));
	h->busy = history_block_size(&h->job.block) || h->job.deletion_count;
}

/* Write what is gathered within a second.  */
static void await_flush(struct history *h)
{
	if (h->block.count && !timer_is_set(&h->timer)) io_timer_set(h->io, &h->timer, io_now(h->io) + FLUSH_MS);
}

static void flush(struct history *h)
{
	h->due = true;
	if (h->busy) return;
	start_job(h);
	if (h->busy) io_work(h->workers, &h->job.work);
}

static void block_failed(struct history *h, struct job *job)
{
	h->lost += job->block.count;
	if (!h->failing) say(h, "history-failed", job->error);
	h->failing = true;
	/* A new file, the next time: who knows what this one has.  One that could not be begun is begun again.  */
	h->appending = false;
	if (job->create) h->file_count--;
}

static void block_written(struct history *h, struct job *job)
{
	newest(h)->size = job->offset + job->block.out.len;
	if (h->failing || h->lost) say(h, "history-works-again", 0);
	h->failing = false;
}

/* Account for what has been written, or has not.  */
static void end_job(struct history *h)
{
	struct job *job = &h->job;
	if (job->error)
		block_failed(h, job);
	else if (job->block.count)
		block_written(h, job);
	if (job->delete_error) say(h, "history-not-deleted", job->delete_error); /* tried again after the next start */
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

static void timer_fired(struct timer *timer)
{
	flush(CONTAINER_OF(timer, struct history, timer));
}

static void prune(struct timer *timer)
{
	struct history *h = CONTAINER_OF(timer, struct history, pruning);
	io_timer_set(h->io, &h->pruning, io_now(h->io) + prune_every);
	if (h->appending && !h->busy && active_is_full(h, io_wall(h->io))) {
		h->appending = false; /* it may grow too old without a new one taking its place */
		io_file_close(h->io, &h->active);
	}
	flush(h);
}

/* ---- life ---- */

static bool read_name(const char *name, uint64_t *ret_number)
{
	struct str s = str_from_c(name), prefix = STR("history.");
	return str_starts(s, prefix) && str_to_u64(str_skip(s, prefix.len), UINT64_MAX, ret_number);
}

static bool visit_name(void *context, const char *name)
{
	struct history *h = context;
	struct history_file file = {0};
	if (!read_name(name, &file.number)) return true;
	return add_file(h, &file) != NULL;
}

static int by_number(const void *a, const void *b)
{
	const struct history_file *x = a, *y = b;
	return x->number < y->number ? -1 : x->number > y->number;
}

/* The file's own words on when it was begun; false: it is none of ours, or of another version.  */
static bool read_file_header(struct history *h, const struct io_file *f, msec *ret_created)
{
	char octets[HISTORY_FILE_HEADER];
	uint32_t version, reserved;
	uint64_t created;
	if (io_file_read(h->io, f, octets, sizeof(octets), 0) != sizeof(octets)) return false;
	struct str s = str_of(octets, sizeof(octets));
	if (!str_starts(s, file_magic)) return false;
	s = str_skip(s, file_magic.len);
	if (!take_le32(&s, &version) || !take_le32(&s, &reserved) || !take_le64(&s, &created)) return false;
	*ret_created = (msec)created;
	return version == VERSION;
}

static void look_at_file(struct history *h, struct history_file *file)
{
	struct buf path;
	buf_init(&path, 4096);
	history_path(&path, h->directory, file->number);
	if (!buf_ok(&path) || io_path_stat(h->io, path.ptr, &file->last, &file->size) != 0) file->size = 0;
	buf_release(&path);
	file->created = file->last;
	/* Blocks begin at multiples of eight; what a crash left behind the last whole one is stepped over.  */
	file->size = (file->size + HISTORY_BLOCK_ALIGN - 1) / HISTORY_BLOCK_ALIGN * HISTORY_BLOCK_ALIGN;
}

/* Go on with the newest file, if it can be.  */
static void resume(struct history *h)
{
	struct history_file *last = newest(h);
	if (!last || open_file(h, last->number, IO_OPEN_WRITE, &h->active) != 0) return;
	h->appending = read_file_header(h, &h->active, &last->created);
	if (!h->appending) io_file_close(h->io, &h->active);
}

static int find_files(struct history *h)
{
	int error = io_dir_make(h->io, h->directory);
	if (!error) error = io_dir_each(h->io, h->directory, visit_name, h);
	if (error) return error;
	if (h->file_count) qsort(h->files, h->file_count, sizeof(*h->files), by_number);
	for (uint32_t i = 0; i < h->file_count; i++) look_at_file(h, &h->files[i]);
	if (h->keep > 0) resume(h);
	return 0;
}

struct history *history_open(struct io *io, struct io_workers *workers, const char *directory, msec keep,
	uint64_t size_max, struct log *log, int *ret_error)
{
	struct history *h = calloc(1, sizeof(*h));
	*ret_error = -ENOMEM;
	if (!h) return NULL;
	*h = (struct history){.io = io, .workers = workers, .log = log, .keep = keep, .size_max = size_max,
		.directory = strdup(directory), .active.fd = -1, .timer.fire = timer_fired, .pruning.fire = prune,
		.job.work = {.run = job_run, .done = job_done}};
	history_block_init(&h->block);
	history_block_init(&h->job.block);
	if (h->directory) *ret_error = find_files(h);
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
	if (what.len >= 2 && what.ptr[0] == '<' && what.ptr[what.len - 1] == '>') what = str_of(what.ptr + 1, what.len - 2);
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
