/* The table of segment files.  A file's number is its name and its place here; a life of it has a
 * generation.
 *
 *        made, or found not listed                 first batch of a life
 *   (no file) ─────────────▶ FREE ─────────────────────▶ OPEN
 *                             ▲                            │ full, or a write failed
 *      its FREED is synced    │      nothing in it needed  ▼
 *                           FREEING ◀──────────────────── SEALED  */
#ifndef SPOOL_SEGMENT_H
#define SPOOL_SEGMENT_H

#include "base/list.h"
#include "io/file.h"
#include "spool/record.h"

enum segment_state { SEGMENT_FREE, SEGMENT_OPEN, SEGMENT_SEALED, SEGMENT_FREEING };

struct segment {
	uint32_t number;
	uint8_t state;
	bool grows;   /* has no file of full size yet */
	bool broken;  /* a write or sync failed: nothing more is written to it, nor is an index */
	bool keep;    /* holds what this version does not know: never recycled */
	bool indexed; /* ends with an index */
	bool stale;   /* messages have been moved away from it, and it is not freed yet */
	bool emptied; /* what was needed of it has been written again behind */
	uint64_t generation;
	uint64_t salt;
	uint64_t size;
	uint64_t end;        /* of what is valid */
	uint64_t synced;     /* what lies before is synced */
	uint64_t rest_until; /* generation before which compacting it again is not worth it */
	struct io_file file;
	uint32_t refs; /* accept records and chunks of live messages, chunks of writers */
	uint32_t pins; /* readers */
	uint64_t live; /* octets of refs and of last state records, by size class */
	/* Numbers of the segments that hold the accept records of the messages that state and done
	 * records here are about: while one of those exists, these records may be needed. 
	 * Bits.  */
	uint64_t *needs;
	uint32_t needs_words;
	struct list link; /* free ones */
};

enum { SEGMENT_NUMBERS = 1 << 16, SEGMENT_NAME_MAX = 16 };

struct segments {
	struct segment **at; /* by number; 0 is none */
	uint32_t top;        /* one past the highest number in use */
	uint32_t count;      /* in use, free ones too */
	struct list free;    /* the oldest first */
	uint32_t free_count;
	uint64_t octets; /* of all that are not free */
	uint64_t live;   /* sum of live */
};

bool MUST_CHECK segments_init(struct segments *all);
void segments_release(struct io *io, struct segments *all);

static inline struct segment *segment_at(const struct segments *all, uint32_t number)
{
	return number < SEGMENT_NUMBERS ? all->at[number] : NULL;
}
/* The lowest number that is not in use; 0: there is none.  */
uint32_t segments_number(const struct segments *all);
/* Enter a segment; FREE and in no list.  NULL: no memory.  It takes the file over.  */
struct segment *segment_add(
	struct segments *all, uint32_t number, uint64_t size, struct io_file file);
/* Take a FREE one out of the table, close its file, free it.  */
void segment_drop(struct io *io, struct segments *all, struct segment *g);
/* To and from the list of free ones.  segment_take_free: NULL when there is none.  */
void segment_give_free(struct segments *all, struct segment *g);
struct segment *segment_take_free(struct segments *all);
/* Enter the state OPEN / SEALED / FREEING from the one before.  */
void segment_enter(struct segments *all, struct segment *g, enum segment_state state);

void segment_hold(struct segments *all, struct segment *g, uint32_t refs, uint64_t octets);
void segment_let_go(struct segments *all, struct segment *g, uint32_t refs, uint64_t octets);

/* Note that records in g are about messages whose accept records are in the segment `number`.  */
void segment_need(struct segment *g, uint32_t number);
/* The segment `number` is no longer part of the log: nobody needs records about it.  */
void segments_forget(struct segments *all, uint32_t number);
bool segment_is_needed(const struct segment *g);

/* "log-000001"; false: not such a name.  */
void segment_name(uint32_t number, char to[SEGMENT_NAME_MAX]);
bool segment_name_parse(const char *name, uint32_t *ret_number);

#endif
