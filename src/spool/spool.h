/* The spool: an append-only log in recycled segment files, sole owner of what is on disk.
 *
 * Accepting: spool_begin, spool_write..., then spool_commit; `done` comes when the message is
 * synced: that is the 250.  Group commit: whatever is ready while a batch is being synced leaves
 * in the next one.  Outcomes ride in the next batch and ask for none of their own before
 * outcome_delay; a process that is killed before that forgets none (notes.h).  Everything is called on the loop's thread; `done` comes from the loop.  Format:
 * doc/spool.md.  */
#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H

#include "base/log.h"
#include "io/file.h"
#include "mail/envelope.h"
#include "mail/status.h"
#include "spool/index.h"

struct spool;

struct spool_options {
	const char *path;      /* directory; made when absent */
	uint64_t segment_size; /* octets; 0: 64 MiB.  Smaller in tests */
	uint64_t disk_free;    /* octets to leave free on the file system; 0: no reserve */
	uint64_t memory_max;   /* octets of buffers and index; past it spool_begin refuses */
	msec outcome_delay;    /* an outcome is on disk after at most this; 0: 200 ms */
	struct log *log;
	/* Told when room or memory, which had run out, is back; may be NULL.  */
	void (*recovered)(void *context);
	void *context;
};

/* What starting found; every count is also logged when not 0.  */
struct spool_report {
	uint32_t messages, recipients; /* alive */
	uint32_t segments;
	uint32_t damaged_records; /* lost or left out, each logged with segment and offset */
	uint32_t torn_tails;
};

/* Lock, recover, and make ready.  0; -EWOULDBLOCK: another process has it; else -errno, and
 * *ret_why (static text) says what and what to do.  */
int MUST_CHECK spool_open(struct io *io, const struct spool_options *options, struct spool **ret,
	struct spool_report *ret_report, const char **ret_why);
/* Other limits from now on, as in spool_options.  */
void spool_limits(struct spool *s, uint64_t memory_max, uint64_t disk_free);
/* Sync what is pending, seal nothing that needs no sealing, release the lock.  No writer may be
 * open.  */
void spool_close(struct spool *s);

/* The index in memory; lives as long as the spool.  */
struct spool_index *spool_index(struct spool *s);

/* Visit every recipient that recovery found alive, once, after spool_open: for the queue to link.
 * domain: lower case, borrowed for the call ("" for a bare local part).  */
void spool_each_recovered(struct spool *s,
	void (*visit)(void *context, slot recipient, struct str domain), void *context);

/* Visit every recipient to whom a message had been sent when the last life was killed, and nobody knows
 * whether it arrived; after spool_open.  */
void spool_each_doubtful(
	struct spool *s, void (*visit)(void *context, slot recipient), void *context);

/* ---- a message comes in ---- */

struct spool_op {
	/* error 0: it is synced.  Else -errno: nothing of it will be found again (a writer is
	 * empty then).  */
	void (*done)(struct spool_op *op, int error);
	struct list link; /* the spool's */
};

struct spool_writer {
	struct spool *spool;
	/* Room for more content is back after SPOOL_WAIT.  */
	void (*resumed)(struct spool_writer *w);
	/* private */
	struct buf chunk;
	struct buf chunks; /* where the chunks written so far are */
	struct buf head;   /* of the accept record */
	uint64_t id;
	uint64_t size;
	uint32_t in_flight;
	uint32_t unplaced;
	uint32_t offset;
	slot message;
	int error;
	bool waits;
	uint8_t state;
	const struct envelope *envelope;
	uint32_t tag;
	struct spool_op *op;
	struct list link;
};

/* 0; -ENOSPC: no room on disk; -ENOMEM: past memory_max; -EIO: the disk refuses to sync at
 * present.  Gives the message its id.  */
int MUST_CHECK spool_begin(
	struct spool *s, struct spool_writer *w, void (*resumed)(struct spool_writer *));
static inline uint64_t spool_writer_id(const struct spool_writer *w) { return w->id; }

enum spool_take { SPOOL_TAKEN, SPOOL_WAIT, SPOOL_REFUSED };
/* Take content.  TAKEN: go on.  WAIT: taken too, but stop reading until `resumed`.  REFUSED: no
 * room, nothing taken; the writer can only be aborted.  */
enum spool_take spool_write(struct spool_writer *w, struct str octets);
/* All content is in: commit it with its envelope (borrowed until done).  `tag`: see spool_message.
 * op->done tells; at success *w is empty and the message is in the index, all recipients
 * RECIPIENT_ACTIVE (the caller's). spool_committed gives the slot inside of `done`.  */
void spool_commit(
	struct spool_writer *w, const struct envelope *e, uint32_t tag, struct spool_op *op);
slot spool_committed(const struct spool_writer *w);
/* Forget it; any time before spool_commit.  Harmless on an empty writer.  */
void spool_abort(struct spool_writer *w);

/* ---- what becomes of it ---- */

/* Record what an attempt gave, and the next time.  Final outcomes end the recipient (state DONE);
 * the last one ends the message: its slots are free when this returns (-> true).  DEFERRED: state
 * DUE, due as given (wall, s), attempts + 1. The reason of a deferral stays on disk:
 * spool_reason.  */
bool spool_outcome(struct spool *s, slot recipient, const struct outcome *o, uint32_t due);
/* The end of the message is on its way to a next hop, for this recipient; spool_outcome follows.  */
void spool_sent(struct spool *s, slot recipient);
/* RECIPIENT_DUE <-> RECIPIENT_HELD by the operator, on disk; and a new due time.  */
void spool_hold(struct spool *s, slot recipient, bool hold);
void spool_set_due(struct spool *s, slot recipient, uint32_t due);
/* Set SPOOL_MESSAGE_DELAY_TOLD, on disk.  */
void spool_delay_told(struct spool *s, slot message);
/* Call done when everything recorded so far is synced.  */
void spool_sync(struct spool *s, struct spool_op *op);

/* ---- reading ---- */

struct spool_reader {
	struct spool *spool;
	struct envelope envelope; /* in arena */
	struct arena arena;
	uint64_t size; /* octets of content */
	uint64_t position;
	/* private */
	struct buf record;
	struct str inline_body;
	struct str chunks;
	uint32_t chunk;
	uint32_t chunk_offset;
	uint32_t pinned;
	uint64_t id;
};

/* Open a message: its envelope is read and checked.  0; -EBADMSG: damaged (told once, and flagged
 * in the index); else -errno.  The message's segments stay until spool_read_close, also when it
 * ends meanwhile.  */
int MUST_CHECK spool_read_open(struct spool *s, slot message, struct spool_reader *r);
/* The next octets of content, borrowed until the next call, at most 64 KiB; length 0 is the
 * end.  */
int MUST_CHECK spool_read(struct spool_reader *r, struct str *ret_octets);
/* Back to the first octet of content.  */
void spool_read_rewind(struct spool_reader *r);
void spool_read_close(struct spool_reader *r);

/* The latest outcome of a recipient that was deferred (in arena).  False: there is none.  */
bool spool_reason(struct spool *s, slot recipient, struct arena *arena, struct outcome *ret);

/* ---- health ---- */

struct spool_stats {
	uint64_t segments, segments_free, octets_live, octets_log;
	uint64_t batches, syncs, batch_messages, octets_written, sync_us_total, sync_us_max;
	uint64_t failed_syncs, moved_messages;
	uint64_t free_on_disk;
	size_t memory;
	bool sick; /* syncs fail, or no room: new mail gets 452 */
};
void spool_stats(const struct spool *s, struct spool_stats *ret);
/* Assert all invariants (numbered in spool.c); for tests and the simulator.  */
void spool_check(const struct spool *s);

#endif
