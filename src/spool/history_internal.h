/* Shared by history.c (gathers, writes, searches) and history_files.c (which files there are,
 * and for how long).  */
#ifndef SPOOL_HISTORY_INTERNAL_H
#define SPOOL_HISTORY_INTERNAL_H

#include "spool/history_search.h"

/* What a worker does at one time: new file, write, delete.  */
struct history_job {
	struct io_work work;
	struct history_block block; /* what is being written */
	bool create;                /* begin file `number` */
	uint64_t number;
	uint64_t offset;
	msec wall;
	uint64_t *deletions; /* numbers of files */
	uint32_t deletion_count;
	int error;
	int delete_error;
};

struct history {
	struct io *io;
	struct io_workers *workers;
	struct log *log;
	char *directory;
	msec keep;
	uint64_t size_max;

	struct history_file *files; /* ascending numbers */
	uint32_t file_count, file_room;
	struct io_file
		active; /* the last of files, while appending is set; the worker's during a job */
	bool appending;

	struct history_block block; /* gathers */
	struct timer timer;         /* of the gathered */
	struct timer pruning;
	struct history_job job;
	bool busy;     /* with the job */
	bool due;      /* to be written as soon as the job is done */
	bool failing;  /* said once */
	uint64_t lost; /* events, not said yet */

	uint32_t searches;
	bool closed;
};

/* The file that was begun last; NULL: there is none.  */
static inline struct history_file *history_newest(struct history *h)
{
	return h->file_count ? &h->files[h->file_count - 1] : NULL;
}

/* NULL: no memory.  */
struct history_file *history_file_add(struct history *h, const struct history_file *file);
int MUST_CHECK history_file_open(
	struct history *h, uint64_t number, unsigned how, struct io_file *ret);
int MUST_CHECK history_file_header(struct history *h, const struct io_file *f, msec wall);
/* Fill h->files from the directory, and go on with the newest if it can be.  0 or -errno.  */
int MUST_CHECK history_files_find(struct history *h);
/* Whether the file that is appended to has had its share of the size or of the time.  */
bool history_file_full(struct history *h, msec wall);
/* Take the files whose time has come off the list, for the job to delete.  */
void history_choose_deletions(struct history *h, struct history_job *job, msec wall);
/* On a worker.  */
void history_delete_files(struct history *h, struct history_job *job);

#endif
