/* io/file.h over the simulated disk.  Each call takes its time when a worker makes it, may fail, and may be the one in which
 * the power goes: before it has any effect, or after.  */
#include "io/file.h"

#include "sim/sim_disk.h"

#include "base/code.h"

#include <errno.h>
#include <limits.h>

/* ---- every call ---- */

enum phase { BEFORE, AFTER };

/* The power goes in this call?  Half of the time before, half of the time after its effect.  */
static int count_call(struct io *io, enum phase phase)
{
	if (io->dead) return -EIO;
	if (io->calls_left == 0) return 0;
	if (phase == BEFORE && io->calls_left > 1) return io->calls_left--, 0;
	if (io->calls_left != 1) return 0;
	if (phase == BEFORE && sim_chance(&io->world->rng, 0.5)) return 0; /* then AFTER */
	io->calls_left = 0;
	machine_cut_power(io);
	return -EIO;
}

static int begin(struct io *io, const char *what, uint64_t a, uint64_t b, int64_t us, double error)
{
	struct disk *d = io->disk;
	if (io->dead) return -EIO;
	if (sim_chance(&d->rng, d->traits.slow)) us *= 100;
	fiber_sleep(io->world, us / 4 + sim_between(&d->rng, 0, us));
	if (count_call(io, BEFORE) != 0) return -EIO;
	world_note(io->world, what, a, b);
	if (!sim_chance(&d->rng, error)) return 0;
	d->failures++;
	world_note(io->world, "disk-eio", a, b);
	return -EIO;
}

static int end(struct io *io) { return count_call(io, AFTER); }

static struct inode *inode_of(struct io *io, const struct io_file *f)
{
	ASSERT(f->fd >= 0 && f->fd < io->disk->handle_count && io->disk->handles[f->fd].inode);
	return io->disk->handles[f->fd].inode;
}

static int begin_name(struct io *io, const char *what, const char *path)
{
	const struct disk_traits *t = &io->disk->traits;
	return begin(io, what, str_hash(str_from_c(path), 0), 0, t->call_us, t->name_error);
}

/* ---- opening ---- */

static int new_handle(struct disk *d)
{
	for (int i = 0; i < d->handle_count; i++)
		if (!d->handles[i].inode) return i;
	d->handles = reallocarray(d->handles, (size_t)d->handle_count + 16, sizeof *d->handles);
	ASSERT(d->handles);
	memset(d->handles + d->handle_count, 0, 16 * sizeof *d->handles);
	d->handle_count += 16;
	return d->handle_count - 16;
}

static bool parent_exists(const struct disk *d, const char *path)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	ASSERT(slash && path[0] == '/');
	size_t len = slash == path ? 1 : (size_t)(slash - path);
	memcpy(parent, path, len);
	parent[len] = 0;
	const struct disk_name *name = disk_find(d, parent);
	return name && name->now && name->now->directory;
}

static void cut_to(struct io *io, struct inode *inode, uint64_t size)
{
	struct disk_write *w = calloc(1, sizeof *w);
	ASSERT(w);
	*w = (struct disk_write){.size = size, .cuts = true};
	list_push_back(&inode->writes, &w->link);
	image_resize(&inode->now, size);
	inode->mtime = io_wall(io);
}

static int find_or_make(struct io *io, const char *path, unsigned how, struct inode **ret)
{
	struct disk *d = io->disk;
	struct disk_name *name = disk_find(d, path);
	struct inode *inode = name ? name->now : NULL;
	*ret = inode;
	if (inode && (how & IO_OPEN_EXCLUSIVE)) return -EEXIST;
	if (inode && inode->directory) return -EISDIR;
	if (inode) return 0;
	if (!(how & IO_OPEN_CREATE) || !parent_exists(d, path)) return -ENOENT;
	if (disk_used(d) >= d->traits.capacity) return -ENOSPC;
	*ret = inode = disk_inode(d, false);
	inode->mtime = io_wall(io);
	disk_change(d, NULL, disk_name(d, path), inode);
	return 0;
}

int io_file_open(struct io *io, const char *path, unsigned how, struct io_file *ret)
{
	ret->fd = -1;
	struct inode *inode;
	int error = begin_name(io, "open", path);
	if (!error) error = find_or_make(io, path, how, &inode);
	if (error) return error;
	if (how & IO_OPEN_TRUNCATE && inode->now.size > 0) cut_to(io, inode, 0);
	if (end(io) != 0) return -EIO;
	ret->fd = new_handle(io->disk);
	io->disk->handles[ret->fd] =
		(struct disk_handle){.inode = inode, .writes = how & IO_OPEN_WRITE};
	inode->open++;
	return 0;
}

void io_file_close(struct io *io, struct io_file *f)
{
	if (f->fd >= 0) {
		struct inode *inode = inode_of(io, f);
		inode->open--;
		if (io->disk->handles[f->fd].locks) inode->locked = false;
		io->disk->handles[f->fd] = (struct disk_handle){0};
	}
	f->fd = -1;
}

int io_file_lock(struct io *io, const struct io_file *f)
{
	struct inode *inode = inode_of(io, f);
	if (io->dead) return -EIO;
	if (inode->locked) return -EWOULDBLOCK;
	inode->locked = true;
	io->disk->handles[f->fd].locks = true;
	return 0;
}

/* ---- content ---- */

int64_t io_file_read(struct io *io, const struct io_file *f, void *to, size_t len, uint64_t offset)
{
	const struct disk_traits *t = &io->disk->traits;
	const struct inode *inode = inode_of(io, f);
	int error = begin(io, "read", inode->number, offset, t->call_us, t->read_error);
	if (error || end(io) != 0) return -EIO;
	if (offset >= inode->now.size) return 0;
	uint64_t left = inode->now.size - offset;
	if (len > left) len = left;
	image_read(&inode->now, offset, to, len);
	return (int64_t)len;
}

static void write_part(struct inode *inode, const char *data, uint64_t len, uint64_t offset)
{
	if (len == 0) return;
	struct disk_write *w = calloc(1, sizeof *w);
	ASSERT(w);
	*w = (struct disk_write){.offset = offset, .len = len};
	if (!is_zeros(data, len)) {
		w->data = malloc(len);
		ASSERT(w->data);
		memcpy(w->data, data, len);
	}
	image_write(&inode->now, offset, w->data, len);
	w->size = inode->now.size;
	list_push_back(&inode->writes, &w->link);
}

/* How much of it the disk has room for.  */
static uint64_t room_for(
	const struct disk *d, const struct inode *inode, uint64_t offset, uint64_t len)
{
	if (offset + len <= inode->now.size) return len;
	uint64_t used = disk_used(d);
	uint64_t room =
		inode->now.size + (d->traits.capacity > used ? d->traits.capacity - used : 0);
	if (offset + len <= room) return len;
	return room > offset ? room - offset : 0;
}

static uint64_t sum(const struct iovec *iov, int count)
{
	uint64_t len = 0;
	for (int i = 0; i < count; i++) len += iov[i].iov_len;
	return len;
}

int io_file_write(
	struct io *io, const struct io_file *f, struct iovec *iov, int count, uint64_t offset)
{
	struct disk *d = io->disk;
	struct inode *inode = inode_of(io, f);
	ASSERT(d->handles[f->fd].writes);
	uint64_t len = sum(iov, count);
	int error =
		begin(io, "write", inode->number, offset, d->traits.call_us, d->traits.write_error);
	if (io->dead) return -EIO;
	uint64_t take = room_for(d, inode, offset, len);
	if (!error && take < len) error = -ENOSPC;
	if (error) take = rng_below(&d->rng, take + 1);
	uint32_t crc = 0;
	for (int i = 0; i < count && take > 0; i++) {
		uint64_t n = iov[i].iov_len < take ? iov[i].iov_len : take;
		write_part(inode, iov[i].iov_base, n, offset);
		if (n < SECTOR * 16) crc = crc32c(crc, str_of(iov[i].iov_base, n));
		offset += n;
		take -= n;
	}
	inode->mtime = io_wall(io);
	world_note(io->world, "written", len, crc);
	return end(io) != 0 ? -EIO : error;
}

/* Some of what was to be synced is on the medium, the rest is forgotten or stays to be synced.  */
static void fail_sync(struct disk *d, struct inode *inode)
{
	LIST_EACH_SAFE (&inode->writes, node) {
		struct disk_write *w = CONTAINER_OF(node, struct disk_write, link);
		if (w->cuts || sim_chance(&d->rng, 0.5)) {
			disk_apply_write(inode, w);
			if (!w->cuts && w->size > inode->durable.size)
				image_resize(&inode->durable, w->size);
		} else if (!d->traits.forgets) {
			continue;
		} else if (w->size > inode->durable.size) {
			image_resize(&inode->durable, w->size);
		}
		disk_drop_write(w);
	}
	if (d->traits.forgets && d->traits.evicts) image_copy(&inode->now, &inode->durable);
}

int io_file_sync(struct io *io, const struct io_file *f)
{
	struct disk *d = io->disk;
	struct inode *inode = inode_of(io, f);
	int error = begin(io, "sync", inode->number, 0, d->traits.sync_us, d->traits.sync_error);
	if (io->dead) return -EIO;
	if (error) {
		fail_sync(d, inode);
		return error;
	}
	while (!list_empty(&inode->writes)) {
		struct disk_write *w = CONTAINER_OF(inode->writes.next, struct disk_write, link);
		disk_apply_write(inode, w);
		disk_drop_write(w);
	}
	d->syncs++;
	return end(io);
}

int io_file_settle(struct io *io, const struct io_file *f)
{
	struct inode *inode = inode_of(io, f);
	int error = io_file_sync(io, f);
	if (!error) image_copy(&inode->now, &inode->durable);
	return error;
}

int64_t io_file_size(struct io *io, const struct io_file *f)
{
	return io->dead ? -EIO : (int64_t)inode_of(io, f)->now.size;
}

int io_file_truncate(struct io *io, const struct io_file *f, uint64_t size)
{
	struct disk *d = io->disk;
	struct inode *inode = inode_of(io, f);
	int error = begin(
		io, "truncate", inode->number, size, d->traits.call_us, d->traits.write_error);
	if (error) return error;
	cut_to(io, inode, size);
	return end(io);
}

/* ---- whole files ---- */

int io_file_load(struct io *io, const char *path, struct buf *out)
{
	struct io_file f;
	int error = io_file_open(io, path, IO_OPEN_READ, &f);
	if (error) return error;
	int64_t size = io_file_size(io, &f);
	if (size > (int64_t)(out->max - out->len)) error = -EFBIG;
	char *to = !error && size > 0 ? buf_reserve(out, (size_t)size) : NULL;
	int64_t got = to ? io_file_read(io, &f, to, (size_t)size, 0) : size < 0 ? size : 0;
	if (got > 0) out->len += (size_t)got;
	io_file_close(io, &f);
	return error ? error : got < 0 ? (int)got : 0;
}

static int sync_parent(struct io *io, const char *path)
{
	char parent[PATH_MAX];
	size_t len = (size_t)(strrchr(path, '/') - path);
	memcpy(parent, path, len ? len : 1);
	parent[len ? len : 1] = 0;
	return io_dir_sync(io, parent);
}

static int write_synced(struct io *io, const char *path, struct str content)
{
	struct io_file f;
	int error = io_file_open(io, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNCATE, &f);
	if (error) return error;
	struct iovec iov = {(void *)(uintptr_t)content.ptr, content.len};
	error = io_file_write(io, &f, &iov, 1, 0);
	if (!error) error = io_file_sync(io, &f);
	io_file_close(io, &f);
	return error;
}

int io_file_save(struct io *io, const char *path, struct str content)
{
	char tmp[PATH_MAX];
	snprintf(tmp, sizeof tmp, "%s.tmp", path);
	int error = write_synced(io, tmp, content);
	if (!error) error = io_rename(io, tmp, path);
	if (!error) return sync_parent(io, path);
	int removed = io_unlink(io, tmp);
	(void)removed;
	return error;
}

/* ---- names ---- */

int io_rename(struct io *io, const char *from, const char *to)
{
	struct disk *d = io->disk;
	int error = begin_name(io, "rename", to);
	if (error) return error;
	struct disk_name *name = disk_find(d, from);
	if (!name || !name->now || !parent_exists(d, to)) return -ENOENT;
	if (name->now->directory) return -EISDIR; /* nobody does that here */
	disk_change(d, name, disk_name(d, to), name->now);
	return end(io);
}

int io_link(struct io *io, const char *from, const char *to)
{
	struct disk *d = io->disk;
	int error = begin_name(io, "link", to);
	if (error) return error;
	const struct disk_name *name = disk_find(d, from);
	const struct disk_name *target = disk_find(d, to);
	if (!name || !name->now || !parent_exists(d, to)) return -ENOENT;
	if (target && target->now) return -EEXIST;
	disk_change(d, NULL, disk_name(d, to), name->now);
	return end(io);
}

int io_unlink(struct io *io, const char *path)
{
	int error = begin_name(io, "unlink", path);
	if (error) return error;
	struct disk_name *name = disk_find(io->disk, path);
	if (!name || !name->now) return -ENOENT;
	disk_change(io->disk, NULL, name, NULL);
	return end(io);
}

static int make_one(struct io *io, const char *path)
{
	struct disk *d = io->disk;
	int error = begin_name(io, "mkdir", path);
	if (error) return error;
	const struct disk_name *there = disk_find(d, path);
	if (there && there->now) return there->now->directory ? 0 : -ENOTDIR;
	disk_change(d, NULL, disk_name(d, path), disk_inode(d, true));
	return end(io) != 0 ? -EIO : sync_parent(io, path);
}

int io_dir_make(struct io *io, const char *path)
{
	char part[PATH_MAX];
	size_t len = strlen(path);
	const struct disk_name *there = disk_find(io->disk, path);
	if (there && there->now) return there->now->directory ? 0 : -ENOTDIR;
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != 0) continue;
		memcpy(part, path, i);
		part[i] = 0;
		int error = make_one(io, part);
		if (error) return error;
	}
	return 0;
}

int io_dir_sync(struct io *io, const char *path)
{
	struct disk *d = io->disk;
	const struct disk_traits *t = &d->traits;
	int error =
		begin(io, "dir-sync", str_hash(str_from_c(path), 0), 0, t->sync_us, t->sync_error);
	if (error) return error;
	const struct disk_name *name = disk_find(d, path);
	if (!name || !name->now) return -ENOENT;
	LIST_EACH_SAFE (&d->changes, node) {
		struct disk_change *change = CONTAINER_OF(node, struct disk_change, link);
		if (!disk_is_in(change->to->path, path) &&
			!(change->from && disk_is_in(change->from->path, path)))
			continue;
		disk_apply_change(change);
		list_remove(node);
		free(change);
	}
	d->syncs++;
	return end(io);
}

/* In no order: from a place of chance on, round to it.  visit may change the directory.  */
int io_dir_each(struct io *io, const char *path, bool (*visit)(void *context, const char *name),
	void *context)
{
	struct disk *d = io->disk;
	int error = begin_name(io, "list", path);
	if (error) return error;
	const struct disk_name *directory = disk_find(d, path);
	if (!directory || !directory->now) return -ENOENT;
	if (!directory->now->directory) return -ENOTDIR;
	size_t count = 0, room = 0;
	char **found = NULL;
	LIST_EACH (&d->names, node) {
		const struct disk_name *name = CONTAINER_OF(node, struct disk_name, link);
		if (!name->now || !disk_is_in(name->path, path)) continue;
		if (count == room) {
			found = reallocarray(found, room = room * 2 + 8, sizeof *found);
			ASSERT(found);
		}
		found[count] = strdup(strrchr(name->path, '/') + 1);
		ASSERT(found[count]);
		count++;
	}
	size_t first = count ? rng_below(&d->rng, count) : 0;
	bool goes_on = true;
	for (size_t i = 0; i < count; i++) {
		char *name = found[(first + i) % count];
		if (goes_on) goes_on = visit(context, name);
		free(name);
	}
	free(found);
	return end(io);
}

bool io_path_exists(struct io *io, const char *path)
{
	const struct disk_name *name = disk_find(io->disk, path);
	return name && name->now;
}

int io_path_stat(struct io *io, const char *path, msec *ret_mtime, uint64_t *ret_size)
{
	const struct disk_name *name = disk_find(io->disk, path);
	if (io->dead) return -EIO;
	if (!name || !name->now) return -ENOENT;
	*ret_mtime = name->now->mtime;
	*ret_size = name->now->now.size;
	return 0;
}

int io_path_mode(struct io *io, const char *path, uint32_t *ret_mode)
{
	*ret_mode = 0600;
	return io_path_exists(io, path) ? 0 : -ENOENT;
}

int io_fs(struct io *io, const char *path, uint64_t *ret_free, enum io_fs *ret_kind)
{
	const struct disk *d = io->disk;
	(void)path;
	if (io->dead) return -EIO;
	uint64_t used = disk_used(d);
	*ret_free = d->traits.capacity > used ? d->traits.capacity - used : 0;
	*ret_kind = IO_FS_DISK;
	return 0;
}
