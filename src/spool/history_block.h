/* The octets of the history: records gathered in blocks.  Pure.  Format: doc/history.md.  */
#ifndef SPOOL_HISTORY_BLOCK_H
#define SPOOL_HISTORY_BLOCK_H

#include "spool/history.h"

enum {
	HISTORY_BLOCK_HEADER = 48,
	HISTORY_BLOCK_MAX = 8 << 20, /* header and records */
	HISTORY_BLOCK_ALIGN = 8,
	HISTORY_RECENT = 1024,
};

/* ---- writing ---- */

struct history_block {
	struct buf out; /* room for the header, then the records */
	uint32_t count;
	uint64_t first_id, id_min, id_max;
	msec first_wall;
	uint32_t recent[HISTORY_RECENT]; /* by hash: where a text was put, + 1 */
};

void history_block_init(struct history_block *b);
void history_block_release(struct history_block *b);
void history_block_clear(struct history_block *b);
/* False: no memory, or the block would pass its maximum; it is as before then.  */
bool history_block_add(struct history_block *b, const struct history_record *record);
/* Pad, and write the header: out is ready to be written.  The block must be cleared before the
 * next record.  */
void history_block_seal(struct history_block *b);
static inline size_t history_block_size(const struct history_block *b)
{
	return b->count ? b->out.len : 0;
}

/* ---- reading ---- */

struct history_view {
	struct str records;
	size_t at;
	uint32_t count;
	uint64_t first_id, id_min, id_max;
	msec first_wall;
};

enum history_found {
	HISTORY_WHOLE,
	HISTORY_SHORT, /* octets end before the block does: *ret_len says how many there must be */
	HISTORY_DAMAGED, /* no block begins here */
};

/* Look at the header in front of octets.  *ret_len: length of the block.  The records are not
 * looked at yet.  */
enum history_found history_view_begin(struct str octets, struct history_view *ret, size_t *ret_len);
/* Whether the records are those that were written.  */
bool history_view_check(struct str block);

/* Memory for the texts of one record that are many; reused from record to record.  */
struct history_texts {
	struct str *list;
	uint32_t room;
};

/* The next record, borrowed from the view and from texts.  False at the end, or when the rest
 * cannot be read.  */
bool history_view_next(
	struct history_view *v, struct history_texts *texts, struct history_record *ret);

#endif
