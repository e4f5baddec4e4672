/* Keeps a few free segments ready, each written once with zeros so that a later sync of records
 * touches nothing but data; gives back files that are too many.  Works in the background; who
 * finds no free segment does not wait for it: the file grows.  While batches are large none is made,
 * for then growing costs a sync little, and the disk has every octet to write once instead of twice.  */
#include "spool/internal.h"

#include <errno.h>

enum { READY = 2, KEPT = 4, STEP = 1 << 20, ALIGNED = 4096 };

struct maker {
	struct io_work work;
	struct spool *spool;
	bool busy;
	uint32_t number;
	uint64_t size;
	struct io_file file;
	int error;
	msec not_before;
};

static int write_zeros(struct io *io, const struct io_file *file, uint64_t size)
{
	char *zeros = aligned_alloc(ALIGNED, STEP);
	if (!zeros) return -ENOMEM;
	memset(zeros, 0, STEP);
	int error = 0;
	for (uint64_t at = 0; at < size && !error; at += STEP) {
		struct iovec iov = {zeros, size - at < STEP ? (size_t)(size - at) : STEP};
		error = io_file_write(io, file, &iov, 1, at);
	}
	free(zeros);
	return error ? error : io_file_sync(io, file);
}

/* Past the page cache where the file system can: copying zeros into it costs a fifth of what accepting mail does.  */
static int make_zeros(struct io *io, const char *path, uint64_t size)
{
	unsigned how = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE;
	struct io_file file;
	int error = size % ALIGNED ? -EINVAL : io_file_open(io, path, how | IO_OPEN_DIRECT, &file);
	if (!error) {
		error = write_zeros(io, &file, size);
		io_file_close(io, &file);
	}
	if (error != -EINVAL) return error;
	error = io_file_open(io, path, how, &file);
	if (error) return error;
	error = write_zeros(io, &file, size);
	io_file_close(io, &file);
	return error;
}

static int make_file(struct spool *s, uint32_t number, uint64_t size, struct io_file *file)
{
	char path[SPOOL_PATH_MAX];
	segment_path(s, number, path);
	int error = make_zeros(s->io, path, size);
	if (!error) error = io_dir_sync(s->io, s->path);
	if (!error) error = io_file_open(s->io, path, IO_OPEN_WRITE, file);
	if (error) (void)!io_unlink(s->io, path);
	return error;
}

static void run_make(struct io_work *work)
{
	struct maker *k = CONTAINER_OF(work, struct maker, work);
	k->error = make_file(k->spool, k->number, k->size, &k->file);
}

static void run_unlink(struct io_work *work)
{
	struct maker *k = CONTAINER_OF(work, struct maker, work);
	char path[SPOOL_PATH_MAX];
	k->error = io_unlink(k->spool->io, segment_path(k->spool, k->number, path));
}

static void unlink_done(struct io_work *work)
{
	struct maker *k = CONTAINER_OF(work, struct maker, work);
	struct spool *s = k->spool;
	k->busy = false;
	segment_drop(s->io, &s->segments, spool_segment(s, k->number));
	maker_look(s);
}

/* The number was taken when the work was given out, so that nobody else grows a file of that
 * name.  */
static void make_done(struct io_work *work)
{
	struct maker *k = CONTAINER_OF(work, struct maker, work);
	struct spool *s = k->spool;
	struct segment *g = spool_segment(s, k->number);
	k->busy = false;
	s->fs_asked = -1;
	if (k->error) {
		k->not_before = io_now(s->io) + SPOOL_HEALTH_MS;
		segment_drop(s->io, &s->segments, g);
		return;
	}
	g->file = k->file;
	segment_give_free(&s->segments, g);
	maker_look(s);
}

static void give_work(
	struct maker *k, void (*run)(struct io_work *), void (*done)(struct io_work *))
{
	k->busy = true;
	k->work = (struct io_work){.run = run, .done = done};
	io_work(k->spool->workers, &k->work);
}

static bool too_many(const struct spool *s)
{
	return s->segments.free_count > KEPT + (s->segments.count - s->segments.free_count) / 4;
}

static struct segment *first_to_remove(struct spool *s)
{
	LIST_EACH (&s->segments.free, node) {
		struct segment *g = CONTAINER_OF(node, struct segment, link);
		if (g->size != s->segment_size) return g;
	}
	struct list *node = s->segments.free.next;
	return too_many(s) ? CONTAINER_OF(node, struct segment, link) : NULL;
}

void maker_look(struct spool *s)
{
	struct maker *k = s->maker;
	if (k->busy || s->closing || s->sick) return;
	struct segment *g = first_to_remove(s);
	if (g) {
		list_remove(&g->link);
		s->segments.free_count--;
		k->number = g->number;
		return give_work(k, run_unlink, unlink_done);
	}
	if (s->large_batches || s->segments.free_count >= READY) return;
	if (io_now(s->io) < k->not_before) return;
	if (!health_disk_room(s, 2 * s->segment_size)) return;
	k->number = segments_number(&s->segments);
	k->size = s->segment_size;
	if (!k->number || !segment_add(&s->segments, k->number, k->size, (struct io_file){-1}))
		return;
	give_work(k, run_make, make_done);
}

int maker_make_now(struct spool *s)
{
	uint32_t number = segments_number(&s->segments);
	struct io_file file;
	if (!number || !health_disk_room(s, 2 * s->segment_size)) return -ENOSPC;
	int error = make_file(s, number, s->segment_size, &file);
	if (error) return error;
	struct segment *g = segment_add(&s->segments, number, s->segment_size, file);
	if (!g) {
		io_file_close(s->io, &file);
		return -ENOMEM;
	}
	segment_give_free(&s->segments, g);
	return 0;
}

bool maker_open(struct spool *s)
{
	s->maker = calloc(1, sizeof(*s->maker));
	if (!s->maker) return false;
	s->maker->spool = s;
	return true;
}

void maker_close(struct spool *s)
{
	ASSERT(!s->maker || !s->maker->busy);
	free(s->maker);
	s->maker = NULL;
}
