/* A disk with its file system, as the worst one that is still within the contract.
 *
 * Of each file there are two images: what reads see, and what is on the medium.  In between lies the list of writes that
 * no sync has covered yet.  Names have the same: what io_dir_sync has not covered may be gone after a power cut.
 * At a power cut each unsynced write is applied, dropped, torn or garbled sector by sector, without regard to the order
 * of different places; a change of size or of a name happens or does not.  */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "sim/sim_io.h"

enum { SECTOR = 512, PAGE = 4096 };

/* What this device does; chances are per call, 0..1.  */
struct disk_traits {
	double applied, garbled; /* of the unsynced sectors at a power cut; the rest are dropped */
	double torn;             /* of the writes are decided sector by sector, the others as one */
	bool names_in_order;     /* a journal: of the names the first n changes have happened */
	int64_t call_us;         /* at most so long for a read, write or change of a name */
	int64_t sync_us;         /* about so long for a sync */
	double slow;             /* of the calls take a hundred times as long */
	double read_error, write_error, sync_error, name_error; /* EIO */
	bool forgets;      /* a failed sync lets go of the data: later ones succeed without it */
	bool evicts;       /* and reads no longer see it */
	uint64_t capacity; /* octets; past it ENOSPC */
};

/* Part of one write, or a change of size, that no sync has covered.  */
struct disk_write {
	struct list link;
	uint64_t offset;
	uint64_t len;
	uint64_t size; /* of the file afterwards */
	bool cuts;     /* a truncation */
	char *data;    /* NULL: zeros */
};

struct image {
	char **pages; /* NULL: zeros */
	uint64_t page_count;
	uint64_t size;
};

struct inode {
	struct list link;
	uint64_t number;
	struct image now, durable;
	struct list writes;
	uint32_t links; /* names in `now` */
	uint32_t open;
	bool directory;
	bool locked;
	msec mtime;
};

struct disk_name {
	struct list link;
	uint64_t hash;
	struct inode *now, *durable; /* NULL: not there */
	char path[];
};

/* A name gets an inode, or (NULL) none; two of them when it is renamed.  */
struct disk_change {
	struct list link;
	struct disk_name *from, *to; /* from may be NULL */
	struct inode *inode;
};

struct disk_handle {
	struct inode *inode;
	bool writes;
	bool locks;
};

struct disk {
	struct world *world;
	struct disk_traits traits;
	struct rng rng; /* of faults */
	struct list inodes, names, changes;
	struct disk_handle *handles;
	int handle_count;
	uint64_t next_number;
	uint64_t syncs, failures, rotten;
};

void disk_init(struct disk *d, struct world *world, uint64_t seed);
void disk_release(struct disk *d);
/* Whether no call on it can fail.  */
bool disk_is_well(const struct disk *d);
/* No fault and no delay any more, and room enough.  */
void disk_heal(struct disk *d);

/* As when a process ends.  */
void disk_close_all(struct disk *d);
/* The power is back: what is on the medium now.  No file may be open.  */
void disk_power_cut(struct disk *d);
/* Change some bits of one sector on the medium, of a file whose path begins with prefix; rots is told before.  False: there
 * is none.  */
bool disk_rot(struct disk *d, const char *prefix,
	void (*rots)(void *context, const char *path, uint64_t offset), void *context);
uint64_t disk_used(const struct disk *d);
/* The content of a file, to be freed; NULL: it is not there.  */
char *disk_content(const struct disk *d, const char *path, uint64_t *ret_len);

/* sim_image.c: contents */
void image_write(
	struct image *m, uint64_t offset, const char *data, uint64_t len); /* data NULL: zeros */
void image_read(const struct image *m, uint64_t offset, char *to, uint64_t len);
void image_resize(struct image *m, uint64_t size);
void image_copy(struct image *to, const struct image *from);
void image_release(struct image *m);
bool is_zeros(const char *data, uint64_t len);

/* Shared by sim_disk.c and sim_file.c.  */
struct disk_name *disk_find(const struct disk *d, const char *path);
struct disk_name *disk_name(struct disk *d, const char *path);
struct inode *disk_inode(struct disk *d, bool directory);
void disk_change(struct disk *d, struct disk_name *from, struct disk_name *to, struct inode *inode);
/* Whether path lies directly in directory.  */
bool disk_is_in(const char *path, const char *directory);
/* What a change does to the medium.  */
void disk_apply_change(struct disk_change *change);
void disk_apply_write(struct inode *inode, const struct disk_write *w);
void disk_drop_write(struct disk_write *w);

#endif
