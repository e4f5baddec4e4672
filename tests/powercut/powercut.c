/* powercut MOUNTPOINT [OCTETS]: a file system in memory whose power can be cut, for tests.
 *
 * Orders come by standard input, a line each, and each is answered with a line:
 *	cut LOSS SEED N      the power goes before the Nth change or sync from now: every call fails until `on`.
 *	                     LOSS: none, drop, tear, reorder.  Answered when it has gone ("off")
 *	on                   the power is back: the medium is what is seen
 *	fail write|sync|none write: writes, syncs and changes of names end in EIO.  sync: the next sync ends in EIO,
 *	                     and those after it lie
 *	readonly on|off      changes end in EROFS
 *	size OCTETS          what fits on the disk
 *	stat                 octets written, syncs, writes and names lost at cuts  */
#define FUSE_USE_VERSION 31

#include "tests/powercut/disk.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static struct {
	struct disk disk;
	bool off, readonly, fail_writes, fail_next_sync;
	uint64_t countdown; /* operations until the cut; 0: none is planned */
	enum loss loss;
	uint64_t seed;
} world;

static void answer(const char *text)
{
	if (write(STDOUT_FILENO, text, strlen(text)) < 0) _exit(1);
}

/* ---- what goes wrong ---- */

static void power_off(void)
{
	world.off = true;
	answer("off\n");
}

/* Before anything that changes the disk: 0, or the errno it ends with.  */
static int before_change(void)
{
	if (!world.off && world.countdown && --world.countdown == 0) power_off();
	if (world.off || world.fail_writes) return EIO;
	return world.readonly ? EROFS : 0;
}

/* The node, or NULL after the errno has been replied.  */
static struct node *node_or_error(fuse_req_t request, fuse_ino_t number)
{
	struct node *n = world.off ? NULL : disk_node(&world.disk, number);
	if (!n) fuse_reply_err(request, world.off ? EIO : ESTALE);
	return n;
}

static struct node *to_change(fuse_req_t request, fuse_ino_t number)
{
	int error = before_change();
	if (error) {
		fuse_reply_err(request, error);
		return NULL;
	}
	return node_or_error(request, number);
}

/* ---- attributes ---- */

static struct stat stat_of(const struct node *n)
{
	return (struct stat){
		.st_ino = n->number,
		.st_mode = n->mode,
		.st_nlink = S_ISDIR(n->mode) ? 2 : 1,
		.st_uid = n->uid,
		.st_gid = n->gid,
		.st_size = (off_t)n->seen.size,
		.st_blocks = (blkcnt_t)(n->seen.size / 512),
		.st_blksize = PAGE,
		.st_mtim = {n->changed_ms / 1000, n->changed_ms % 1000 * 1000000},
	};
}

static struct fuse_entry_param entry_of(const struct node *n)
{
	return (struct fuse_entry_param){.ino = n->number, .attr = stat_of(n)};
}

static void reply_node(fuse_req_t request, const struct node *n)
{
	struct fuse_entry_param e = entry_of(n);
	fuse_reply_entry(request, &e);
}

static void do_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct node *directory = node_or_error(request, parent);
	if (!directory) return;
	struct entry *e = disk_find(directory, name);
	if (e)
		reply_node(request, e->node);
	else
		fuse_reply_err(request, ENOENT);
}

static void do_getattr(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *file)
{
	(void)file;
	struct node *n = node_or_error(request, number);
	if (!n) return;
	struct stat st = stat_of(n);
	fuse_reply_attr(request, &st, 0);
}

static void do_setattr(fuse_req_t request, fuse_ino_t number, struct stat *attributes, int what,
	struct fuse_file_info *file)
{
	(void)file;
	struct node *n = to_change(request, number);
	if (!n) return;
	int error = what & FUSE_SET_ATTR_SIZE
		? disk_resize(&world.disk, n, (uint64_t)attributes->st_size)
		: 0;
	if (what & FUSE_SET_ATTR_MODE) n->mode = attributes->st_mode;
	if (what & FUSE_SET_ATTR_UID) n->uid = attributes->st_uid;
	if (what & FUSE_SET_ATTR_GID) n->gid = attributes->st_gid;
	struct stat st = stat_of(n);
	if (error)
		fuse_reply_err(request, -error);
	else
		fuse_reply_attr(request, &st, 0);
}

static void do_statfs(fuse_req_t request, fuse_ino_t number)
{
	(void)number;
	fsblkcnt_t all = world.disk.capacity / PAGE, used = world.disk.used / PAGE;
	fsblkcnt_t left = used < all ? all - used : 0;
	struct statvfs st = {.f_bsize = PAGE,
		.f_frsize = PAGE,
		.f_blocks = all,
		.f_bfree = left,
		.f_bavail = left,
		.f_files = 1 << 20,
		.f_ffree = 1 << 20,
		.f_namemax = NAME_OCTETS};
	fuse_reply_statfs(request, &st);
}

/* ---- names ---- */

static struct node *make(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct node *directory = to_change(request, parent);
	if (!directory) return NULL;
	int error = strlen(name) > NAME_OCTETS ? ENAMETOOLONG
		: disk_find(directory, name)   ? EEXIST
					       : 0;
	if (error) {
		fuse_reply_err(request, error);
		return NULL;
	}
	struct node *n = disk_make(&world.disk, directory, name, mode);
	n->uid = fuse_req_ctx(request)->uid;
	n->gid = fuse_req_ctx(request)->gid;
	return n;
}

static void do_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct node *n = make(request, parent, name, S_IFDIR | (mode & 07777));
	if (n) reply_node(request, n);
}

static void do_mknod(
	fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
	(void)device;
	struct node *n = make(request, parent, name, mode);
	if (n) reply_node(request, n);
}

static void do_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *file)
{
	struct node *n = make(request, parent, name, S_IFREG | (mode & 07777));
	if (!n) return;
	struct fuse_entry_param e = entry_of(n);
	file->direct_io = 1;
	fuse_reply_create(request, &e, file);
}

static void forget_room(const struct node *n)
{
	if (S_ISREG(n->mode)) world.disk.used -= n->seen.size;
}

static void do_unlink(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct node *directory = to_change(request, parent);
	if (!directory) return;
	struct entry *e = disk_find(directory, name);
	if (e) {
		forget_room(e->node);
		disk_name(directory, name, NULL);
	}
	fuse_reply_err(request, e ? 0 : ENOENT);
}

static void do_rmdir(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct node *directory = to_change(request, parent);
	if (!directory) return;
	struct entry *e = disk_find(directory, name);
	int error = !e                    ? ENOENT
		: !S_ISDIR(e->node->mode) ? ENOTDIR
		: e->node->names          ? ENOTEMPTY
					  : 0;
	if (!error) disk_name(directory, name, NULL);
	fuse_reply_err(request, error);
}

static void do_rename(fuse_req_t request, fuse_ino_t parent, const char *name,
	fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
	struct node *from = to_change(request, parent);
	if (!from) return;
	struct node *to = node_or_error(request, new_parent);
	if (!to) return;
	struct entry *e = disk_find(from, name), *there = disk_find(to, new_name);
	int error = !e ? ENOENT : flags ? EINVAL : 0;
	if (!error && !(there && there->node == e->node)) {
		if (there) forget_room(there->node);
		struct node *n = e->node;
		disk_name(to, new_name, n);
		disk_name(from, name, NULL);
	}
	fuse_reply_err(request, error);
}

/* ---- files ---- */

static void do_open(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *file)
{
	struct node *n = node_or_error(request, number);
	if (!n) return;
	bool writing = (file->flags & O_ACCMODE) != O_RDONLY;
	int error = writing && world.readonly ? EROFS : 0;
	if (!error && file->flags & O_TRUNC) error = before_change();
	if (!error && file->flags & O_TRUNC) error = -disk_resize(&world.disk, n, 0);
	file->direct_io = 1;
	if (error)
		fuse_reply_err(request, error);
	else
		fuse_reply_open(request, file);
}

static void do_read(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset,
	struct fuse_file_info *file)
{
	(void)file;
	struct node *n = node_or_error(request, number);
	if (!n) return;
	char *octets = malloc(size);
	if (octets)
		fuse_reply_buf(request, octets, disk_read(n, (uint64_t)offset, octets, size));
	else
		fuse_reply_err(request, ENOMEM);
	free(octets);
}

static void do_write(fuse_req_t request, fuse_ino_t number, const char *octets, size_t size,
	off_t offset, struct fuse_file_info *file)
{
	(void)file;
	struct node *n = to_change(request, number);
	if (!n) return;
	int error = disk_write(&world.disk, n, (uint64_t)offset, octets, size);
	if (error)
		fuse_reply_err(request, -error);
	else
		fuse_reply_write(request, size);
}

static void do_fsync(
	fuse_req_t request, fuse_ino_t number, int data_only, struct fuse_file_info *file)
{
	(void)data_only, (void)file;
	struct node *n = to_change(request, number);
	if (!n) return;
	if (world.fail_next_sync && n->writes) {
		world.fail_next_sync = false;
		disk_forget(&world.disk, n);
		fuse_reply_err(request, EIO);
		answer("sync failed\n");
		return;
	}
	disk_sync(&world.disk, n);
	fuse_reply_err(request, 0);
}

/* ---- directories ---- */

static void do_opendir(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *file)
{
	if (node_or_error(request, number)) fuse_reply_open(request, file);
}

static void do_readdir(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset,
	struct fuse_file_info *file)
{
	(void)file;
	struct node *n = node_or_error(request, number);
	if (!n) return;
	char *octets = malloc(size);
	size_t len = 0;
	off_t at = 0;
	for (struct entry *e = octets ? n->names : NULL; e; e = e->next) {
		struct stat st = stat_of(e->node);
		if (at++ < offset) continue;
		size_t need =
			fuse_add_direntry(request, octets + len, size - len, e->name, &st, at);
		if (need > size - len) break;
		len += need;
	}
	fuse_reply_buf(request, octets, len);
	free(octets);
}

static const struct fuse_lowlevel_ops operations = {
	.lookup = do_lookup,
	.getattr = do_getattr,
	.setattr = do_setattr,
	.statfs = do_statfs,
	.mkdir = do_mkdir,
	.mknod = do_mknod,
	.create = do_create,
	.unlink = do_unlink,
	.rmdir = do_rmdir,
	.rename = do_rename,
	.open = do_open,
	.read = do_read,
	.write = do_write,
	.fsync = do_fsync,
	.opendir = do_opendir,
	.readdir = do_readdir,
	.fsyncdir = do_fsync,
};

/* ---- orders ---- */

static bool parse_loss(const char *word, enum loss *ret)
{
	static const char *const words[] = {[LOSS_NONE] = "none",
		[LOSS_DROP] = "drop",
		[LOSS_TEAR] = "tear",
		[LOSS_REORDER] = "reorder"};
	for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
		if (!strcmp(word, words[i])) return *ret = (enum loss)i, true;
	return false;
}

static bool order_cut(const char *line)
{
	char word[16];
	unsigned long long seed, after;
	if (sscanf(line, "cut %15s %llu %llu", word, &seed, &after) != 3 ||
		!parse_loss(word, &world.loss))
		return false;
	world.seed = seed;
	world.countdown = after;
	if (after == 0) power_off();
	return true;
}

static void order_stat(void)
{
	char line[200];
	const struct disk *d = &world.disk;
	snprintf(line, sizeof line,
		"written=%llu syncs=%llu lost_writes=%llu kept_writes=%llu lost_names=%llu\n",
		(unsigned long long)d->written, (unsigned long long)d->synced,
		(unsigned long long)d->lost_writes, (unsigned long long)d->kept_writes,
		(unsigned long long)d->lost_names);
	answer(line);
}

static void obey(const char *line)
{
	unsigned long long octets;
	if (order_cut(line)) return;
	if (!strcmp(line, "stat")) {
		order_stat();
		return;
	}
	if (!strcmp(line, "on")) {
		disk_cut(&world.disk, world.loss, world.seed);
		world.off = world.readonly = world.fail_writes = world.fail_next_sync = false;
		world.countdown = 0;
	} else if (!strcmp(line, "fail write")) {
		world.fail_writes = true;
	} else if (!strcmp(line, "fail sync")) {
		world.fail_next_sync = true;
	} else if (!strcmp(line, "fail none")) {
		world.fail_writes = world.fail_next_sync = false;
	} else if (!strcmp(line, "readonly on") || !strcmp(line, "readonly off")) {
		world.readonly = line[10] == 'n';
	} else if (sscanf(line, "size %llu", &octets) == 1) {
		world.disk.capacity = octets;
	} else {
		answer("what?\n");
		return;
	}
	answer("ok\n");
}

/* False: who gave the orders has gone.  */
static bool take_orders(void)
{
	static char text[512];
	static size_t len;
	ssize_t n = read(STDIN_FILENO, text + len, sizeof text - 1 - len);
	if (n <= 0) return false;
	len += (size_t)n;
	text[len] = '\0';
	for (char *end; (end = strchr(text, '\n'));) {
		*end = '\0';
		obey(text);
		len -= (size_t)(end + 1 - text);
		memmove(text, end + 1, len + 1);
	}
	return true;
}

static void serve(struct fuse_session *session)
{
	struct fuse_buf request = {0};
	struct pollfd from[2] = {{fuse_session_fd(session), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
	while (!fuse_session_exited(session)) {
		if (poll(from, 2, -1) < 0 && errno != EINTR) return;
		if (from[1].revents && !take_orders()) return;
		if (!from[0].revents) continue;
		int got = fuse_session_receive_buf(session, &request);
		if (got == -EINTR || got == -EAGAIN) continue;
		if (got <= 0) return;
		fuse_session_process_buf(session, &request);
	}
	free(request.mem);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: powercut MOUNTPOINT [OCTETS]\n");
		return 64;
	}
	char *words[] = {
		argv[0], (char[]){"-ofsname=powercut,allow_other,default_permissions"}, NULL};
	if (geteuid() != 0) words[1] = (char[]){"-ofsname=powercut"};
	struct fuse_args arguments = FUSE_ARGS_INIT(2, words);
	disk_init(&world.disk, argc > 2 ? strtoull(argv[2], NULL, 10) : 8ull << 30);
	world.disk.root->uid = getuid();
	world.disk.root->gid = getgid();
	struct fuse_session *session =
		fuse_session_new(&arguments, &operations, sizeof operations, NULL);
	if (!session || fuse_session_mount(session, argv[1]) != 0) return 1;
	answer("on\n");
	serve(session);
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	return 0;
}
