#include "spool/history_internal.h"

#include <errno.h>

enum {
	PARTS = 16, /* of `size_max` and `keep`: one file */
	FILE_LEAST = 64 << 10,
	VERSION = 1,
};
static const struct str file_magic = {"rockdove history", 16};

int history_file_open(struct history *h, uint64_t number, unsigned how, struct io_file *ret)
{
	struct buf path;
	buf_init(&path, 4096);
	history_path(&path, h->directory, number);
	int error = buf_ok(&path) ? io_file_open(h->io, path.ptr, how, ret) : -ENAMETOOLONG;
	buf_release(&path);
	return error;
}

struct history_file *history_file_add(struct history *h, const struct history_file *file)
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

int history_file_header(struct history *h, const struct io_file *f, msec wall)
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

void history_delete_files(struct history *h, struct history_job *job)
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

/* ---- what is kept, and what goes ---- */

static uint64_t file_size_max(const struct history *h)
{
	return h->size_max / PARTS > FILE_LEAST ? h->size_max / PARTS : FILE_LEAST;
}

bool history_file_full(struct history *h, msec wall)
{
	struct history_file *f = history_newest(h);
	return f->size >= file_size_max(h) || wall - f->created >= h->keep / PARTS;
}

/* The oldest are deleted until the rest is within its limits; the one that is appended to
 * stays.  */
void history_choose_deletions(struct history *h, struct history_job *job, msec wall)
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
	return history_file_add(h, &file) != NULL;
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
	if (!take_le32(&s, &version) || !take_le32(&s, &reserved) || !take_le64(&s, &created))
		return false;
	*ret_created = (msec)created;
	return version == VERSION;
}

static void look_at_file(struct history *h, struct history_file *file)
{
	struct buf path;
	buf_init(&path, 4096);
	history_path(&path, h->directory, file->number);
	if (!buf_ok(&path) || io_path_stat(h->io, path.ptr, &file->last, &file->size) != 0)
		file->size = 0;
	buf_release(&path);
	file->created = file->last;
	/* Blocks begin at multiples of eight; what a crash left behind the last whole one is
	 * stepped over.  */
	file->size =
		(file->size + HISTORY_BLOCK_ALIGN - 1) / HISTORY_BLOCK_ALIGN * HISTORY_BLOCK_ALIGN;
}

/* Go on with the newest file, if it can be.  */
static void resume(struct history *h)
{
	struct history_file *last = history_newest(h);
	if (!last || history_file_open(h, last->number, IO_OPEN_WRITE, &h->active) != 0) return;
	h->appending = read_file_header(h, &h->active, &last->created);
	if (!h->appending) io_file_close(h->io, &h->active);
}

int history_files_find(struct history *h)
{
	int error = io_dir_make(h->io, h->directory);
	if (!error) error = io_dir_each(h->io, h->directory, visit_name, h);
	if (error) return error;
	if (h->file_count) qsort(h->files, h->file_count, sizeof(*h->files), by_number);
	for (uint32_t i = 0; i < h->file_count; i++) look_at_file(h, &h->files[i]);
	if (h->keep > 0) resume(h);
	return 0;
}
