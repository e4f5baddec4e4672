/* Moving what is alive in one segment forward, a slice at a time: read on a worker, placed in the
 * next batch, taken over when that is synced.  An item is a message; it is done with, or comes
 * again in the next slice.  */
#ifndef SPOOL_MOVE_H
#define SPOOL_MOVE_H

#include "spool/internal.h"
#include "spool/view.h"

enum { MOVE_ITEMS = 128, MOVE_CHUNKS = 8, MOVE_OCTETS = 1 << 20 };

enum move_kind {
	MOVE_MESSAGE, /* its accept record, or chunks of it, are in the victim */
	MOVE_STATE,   /* state records of it are */
};

struct move_chunk {
	char pad[RECORD_ALIGN];
	struct disk_record head; /* directly behind pad */
	struct buf data;
	uint32_t nth;
	struct disk_chunk placed;
};

struct move_item {
	enum move_kind kind;
	enum { MOVE_WAITS, MOVE_READ, MOVE_PLACED, MOVE_AGAIN, MOVE_OVER } phase;
	slot message;
	uint64_t id;
	uint32_t recipients;
	/* As it was when the item was read; if it has changed until it is placed, it is read
	 * again.  */
	uint32_t state_number, state_offset;
	uint32_t accept_number, accept_offset;
	uint64_t accept_generation;
	uint8_t size_class;
	int error;
	/* What was read.  */
	bool touched; /* the chain of state records leads through the victim */
	struct buf record;
	struct accept_view view;
	struct str *outcomes; /* by index of the recipient: its latest, or empty */
	struct arena arena;   /* of outcomes */
	struct buf list;      /* chunks: the list, with new places so far */
	struct move_chunk chunks[MOVE_CHUNKS];
	uint32_t chunk_count;
	/* What was placed.  */
	struct buf head;
	size_t length;
	uint32_t offset;
};

struct move {
	struct spool *spool;
	struct segment *victim;
	struct move_item items[MOVE_ITEMS];
	uint32_t count;
	size_t octets;   /* to be read, about */
	uint64_t moved;  /* messages, in this pass */
	bool incomplete; /* something could not be moved in this pass: the victim is not empty */
};

/* Add a message; false: the slice is full, or the message's state is on its way to the disk:
 * later.  */
bool move_add(struct move *v, enum move_kind kind, slot message);
/* Look where things are now; then, on a worker, read what the items need.  */
void move_prepare(struct move *v);
void move_read(struct move *v);
/* Anything to be placed; place what fits; and when the batch is synced: true when the slice is
 * over.  */
bool move_ready(const struct move *v);
void move_place(struct move *v, struct batch *b);
bool move_synced(struct move *v, const struct segment *target);
/* Forget everything.  */
void move_clear(struct move *v);

#endif
