/* A disk whose power can be cut: files and directories twice, as programs see them and as the medium has them.  What lies
 * between the two are the writes and changes of names that nobody has synced.
 *
 * The medium is as hard as POSIX allows.  A sync of a file keeps its octets and its size, but not its name; a sync of a
 * directory keeps its names; a rename is an entry made in one directory and one removed in another.  */
#ifndef POWERCUT_DISK_H
#define POWERCUT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PAGE = 4096, SECTOR = 512, NAME_OCTETS = 255 };

/* Octets of a file: pages of zeros take no memory.  */
struct image {
	char **pages;
	size_t count; /* of pages there is room for */
	uint64_t size;
};

/* A write (data NULL: of zeros) or, when it is a cut, a new size, which is `offset`.  */
struct write {
	struct write *next;
	uint64_t offset;
	size_t len;
	char *data;
	bool cut;
};

struct entry {
	struct entry *next;
	struct node *node;
	char name[NAME_OCTETS + 1];
};

/* An entry made, or removed (node NULL).  */
struct change {
	struct change *next;
	struct node *node;
	char name[NAME_OCTETS + 1];
};

struct node {
	uint64_t number; /* 0: not reachable since the last cut */
	mode_t mode;
	uid_t uid;
	gid_t gid;
	int64_t changed_ms;
	struct image seen, kept;            /* of a file */
	struct entry *names, *kept_names;   /* of a directory */
	struct write *writes, **last_write; /* not synced, oldest first */
	struct change *changes, **last_change;
};

enum loss {
	LOSS_NONE,    /* everything arrives: the process dies, the machine does not */
	LOSS_DROP,    /* nothing that was not synced */
	LOSS_TEAR,    /* in order, up to some point; the write there in pieces of a sector */
	LOSS_REORDER, /* any of it: later writes without earlier ones, whole or in pieces */
};

struct disk {
	struct node **nodes; /* by number */
	size_t count, room;
	struct node *root; /* number 1 */
	uint64_t used, capacity;
	uint64_t random;
	/* Since the last cut.  */
	uint64_t written, synced, lost_writes, kept_writes, lost_names;
};

void disk_init(struct disk *d, uint64_t capacity);
struct node *disk_node(struct disk *d, uint64_t number); /* NULL: stale */
struct entry *disk_find(struct node *directory, const char *name);

/* Octets read.  */
size_t disk_read(const struct node *n, uint64_t offset, char *to, size_t len);
/* 0 or -ENOSPC.  */
int disk_write(struct disk *d, struct node *n, uint64_t offset, const char *data, size_t len);
int disk_resize(struct disk *d, struct node *n, uint64_t size);
/* A new node under name, which must be free.  */
struct node *disk_make(struct disk *d, struct node *directory, const char *name, mode_t mode);
/* name leads to node; NULL: to nothing.  */
void disk_name(struct node *directory, const char *name, struct node *node);

/* All that was done to n, its names included, is on the medium.  */
void disk_sync(struct disk *d, struct node *n);
/* What was not synced looks written and is not, and no later sync will tell.  */
void disk_forget(struct disk *d, struct node *n);

/* The power goes and comes back: what is seen is what the medium has, under new numbers.  */
void disk_cut(struct disk *d, enum loss loss, uint64_t seed);

#endif
