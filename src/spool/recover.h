/* Starting: what the files say (recover.c) becomes what is in memory (restore.c).  */
#ifndef SPOOL_RECOVER_H
#define SPOOL_RECOVER_H

#include "spool/internal.h"
#include "spool/scan.h"

struct evidence { /* of one file */
	uint32_t number;
	struct io_file file;
	uint64_t file_size;
	bool headed;     /* has a header that is valid and its own */
	bool identified; /* generation and salt are known */
	bool blank;      /* never used */
	bool foreign;    /* a copy or worse: not touched */
	bool freed;      /* the header says so */
	bool live;       /* part of the log */
	bool loaded;
	bool scanned;
	uint64_t generation;
	uint64_t salt;
	uint64_t size;
	uint64_t limit; /* from the list of segments: what lies behind is void; 0: not known */
	uint64_t end;
	uint64_t synced; /* scanned: what lies behind may have been on its way */
	uint32_t lost;
	bool torn;
	bool unknown;
	struct summary summary;
	struct segment *segment;
	struct buf chunks; /* scanned: offsets / 8 of the chunk records, ascending */
};

struct recovered {    /* domains of recipients, until they have been visited */
	uint32_t *of; /* by slot of the recipient: number of the domain + 1 */
	uint32_t of_cap;
	struct str *names;
	uint32_t count, cap;
	struct map by_name;
	struct arena nodes;
};

struct restore {
	struct spool *spool;
	struct evidence *all; /* to look up chunks: by number */
	uint32_t count;
	uint64_t stale_in[SEGMENT_NUMBERS /
		64];  /* bits: segments whose messages have newer copies */
	bool damaged; /* some message misses a chunk */
	bool drop;    /* the entry at hand is void: no index must name it */
};

/* Apply one segment's summary, segments in ascending order of generation; e->segment is in the
 * table.  0 or -ENOMEM.  */
int MUST_CHECK restore_segment(struct restore *r, struct evidence *e);
/* After the last; how many messages are damaged.  */
uint32_t restore_end(struct restore *r);
bool recovered_open(struct spool *s);

#endif
