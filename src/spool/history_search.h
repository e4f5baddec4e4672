/* Looking for messages in files and blocks of the history: runs on a worker.  */
#ifndef SPOOL_HISTORY_SEARCH_H
#define SPOOL_HISTORY_SEARCH_H

#include "spool/history_block.h"
#include "spool/index.h"

enum { HISTORY_FILE_HEADER = 32 };

struct history_file {
	uint64_t number;
	uint64_t size; /* octets that are written */
	msec created;  /* wall */
	msec last;     /* wall: of the last write */
};

/* Append "DIRECTORY/history.NUMBER" and a NUL.  */
void history_path(struct buf *out, const char *directory, uint64_t number);

struct history_hit {
	uint64_t id;
	uint32_t order; /* in which it was written */
	struct history_record record;
};

struct history_query {
	struct io *io;
	const char *directory;
	struct buf what;            /* without brackets */
	uint32_t max;               /* messages */
	struct history_file *files; /* oldest first, each to be read up to its size */
	uint32_t file_count;
	struct buf tail; /* blocks that are in no file yet */

	/* What is found: newest message first, the events of each in their order.  */
	struct arena arena;
	struct history_hit *hits;
	uint32_t hit_count, hit_room;
	int error; /* -errno of the first failure; the rest was searched all the same */
};

void history_query_run(struct history_query *q);
/* The memory goes: what, files, tail, arena, hits.  */
void history_query_release(struct history_query *q);

#endif
