/* What the files of the spool share: the one struct, and which file does what to it.
 *
 *   spool.c     open, close, invariants          writer.c    a message comes in
 *   segment.c   the table of segment files       state.c     what becomes of it
 *   maker.c     makes and removes files          commit.c    composes batches and writes them
 *   health.c    sickness, room, memory           finish.c    what its success or failure means
 *   scan.c      records -> summary               reader.c    reading messages
 *   recover.c   evidence -> what is in the log   reason.c    the chain of state records
 *   restore.c   summary -> index                 compact.c   making room, move.c copying for it
 *   notes.c     what a kill must not forget  */
#ifndef SPOOL_INTERNAL_H
#define SPOOL_INTERNAL_H

#include "spool/segment.h"
#include "spool/slots.h"
#include "spool/spool.h"
#include "spool/summary.h"

enum {
	SPOOL_CHUNK = 64 << 10,     /* most octets of content in one record */
	SPOOL_RECORD_MAX = 4 << 20, /* of an accept record: envelope and lists included */
	SPOOL_STATE_OCTETS = 192,   /* what a state record counts for in a segment's live octets */
	SPOOL_IN_FLIGHT = 4,        /* chunks of one writer on their way: past it SPOOL_WAIT */
	SPOOL_BATCH_IOV = 2048,
	SPOOL_BATCH_PARTS = 1024, /* records that do not lie back to back */
	SPOOL_BATCH_OCTETS = 8 << 20,
	SPOOL_BATCH_SHORT = 64 << 10,
	SPOOL_STATES_MAX = 256 << 10, /* octets of state records that wait for no timer */
	SPOOL_HEALTH_MS = 1000,
};

/* ---- chunked messages ---- */

struct chunk_refs { /* chunks of one message in one segment */
	uint32_t segment;
	uint32_t count;
	uint64_t octets;
};

struct chunked {
	uint32_t offset; /* of the accept record / 8 */
	uint32_t count;  /* of refs */
	uint32_t next_free;
	struct chunk_refs *refs;
};

struct chunked_table {
	struct chunked *all;
	uint32_t count;
	uint32_t free;
};

/* ---- state records that wait for a batch ---- */

struct effect {             /* of one waiting record, in their order */
	uint32_t at;        /* of the record in `records` */
	uint8_t type;       /* RECORD_STATE, _DONE, _FREED */
	uint8_t size_class; /* DONE: of the accept record */
	bool resets;        /* STATE: says everything, older ones are superseded */
	bool counted;       /* STATE: the message was alive when it was placed */
	slot message;       /* STATE */
	uint16_t segment;   /* DONE: of the accept record; FREED: which */
	/* The message's state record before this one: a place; segment 0: none, or offset
	 * STATE_WAITING.  */
	uint16_t prev_segment;
	uint32_t prev_offset;
	uint32_t chunks; /* DONE: place in the table of chunked messages + 1 */
};

struct waiting {
	struct buf records; /* back to back, not yet signed */
	struct buf effects; /* of struct effect */
};

/* ---- a batch ---- */

struct part { /* a record to be signed */
	struct disk_record *head;
	size_t head_octets; /* that lie with it: itself and the begin of the payload */
	int from, count;    /* iov with the rest of the payload */
};

struct batch {
	struct io_work work;
	struct spool *spool;
	enum { BATCH_IDLE, BATCH_WRITES, BATCH_SEALS } does;
	struct segment *segment;
	bool opens; /* the first of its segment */
	bool sync;
	uint64_t at;       /* where in the file */
	uint64_t position; /* where in the file the next record goes */
	struct iovec iov[SPOOL_BATCH_IOV];
	int iov_count;
	struct part parts[SPOOL_BATCH_PARTS];
	int part_count;
	uint32_t records;
	uint32_t messages;
	struct buf lead;     /* header block when it opens; batch record; segments record */
	size_t batch_record; /* its place in lead */
	struct waiting states;
	struct list chunks, writers, syncs, copies;
	int error;
	int64_t us; /* how long it took */
};

struct chunk_item { /* a chunk on its way */
	struct list link;
	struct spool *spool;
	struct spool_writer *writer; /* NULL: aborted */
	char pad[RECORD_ALIGN];
	struct disk_record head; /* directly behind pad */
	struct buf data;
	uint32_t nth; /* in the writer's list */
};

enum { WRITER_EMPTY, WRITER_OPEN, WRITER_COMMITTING };

struct compaction;
struct notes;

struct spool {
	struct io *io;
	struct log *log;
	char *path;
	struct spool_options options;
	uint64_t segment_size;
	uint64_t chunk_size;
	uint64_t spare_segments; /* that may be dead before anything is moved */
	struct io_file lock;
	struct io_workers *commit_workers;
	struct io_workers *workers; /* background: makes files, reads for compaction */
	struct io_hook hook;

	struct segments segments;
	struct segment *open;   /* being written; NULL: the next batch opens one */
	struct summary summary; /* of the open one */
	uint64_t generation;    /* the highest used */
	uint64_t opened_syncs;  /* stats.syncs when the open one was opened */
	bool large_batches;     /* the last one took few of them: maker.c */
	uint64_t last_id;
	uint64_t seed; /* of hashes */

	struct spool_index index;
	struct chunked_table chunked;

	struct list writers; /* open, not committing */
	struct list ready;   /* writers to commit */
	struct list chunks;  /* chunk_items to write */
	struct list syncs;   /* spool_op */
	struct waiting states;
	bool hurry;                 /* the states are to leave now */
	uint64_t recorded, settled; /* states so far; of these, in their order, synced */
	struct notes *notes;
	struct timer states_timer;
	struct batch batch;
	bool too_large; /* what is first does not fit into an empty segment */
	struct timer tell_timer;

	/* health */
	int sick;        /* -errno of the failure; 0: well */
	bool probe;      /* try a batch although sick */
	bool refused;    /* recovered() is owed */
	bool short_told; /* that room or memory is short; its end is owed */
	struct timer health_timer;
	msec health_ms; /* between looks and trials */
	uint64_t fs_free;
	msec fs_asked;  /* -1: never */
	size_t buffers; /* octets of content held in memory */

	struct maker *maker;
	struct compaction *compaction;
	struct recovered *recovered_domains; /* until spool_each_recovered */
	struct spool_stats stats;
	bool closing;
};

/* ---- segment accounting by message (restore.c, finish.c, state.c) ---- */

static inline struct segment *spool_segment(const struct spool *s, uint32_t number)
{
	return segment_at(&s->segments, number);
}

/* chunked.c: the tables of messages with chunks.  */
bool chunked_add(struct spool *s, const struct disk_chunk *chunks, uint32_t count, uint32_t offset,
	uint32_t *ret_place);
void chunked_remove(struct spool *s, uint32_t place);
uint32_t message_offset(const struct spool *s, const struct spool_message *m);
/* Hold what a message keeps alive, but for its state; or let go all of it.  */
void message_hold(struct spool *s, const struct spool_message *m);
void message_release(
	struct spool *s, uint32_t segment, uint8_t class, uint32_t state_segment, uint32_t chunks);
void chunks_hold(struct spool *s, const struct disk_chunk *chunks, uint32_t count);
void chunks_release(struct spool *s, const struct disk_chunk *chunks, uint32_t count);

/* state.c */
void waiting_init(struct waiting *w);
void waiting_release(struct waiting *w);
static inline size_t waiting_count(const struct waiting *w)
{
	return w->effects.len / sizeof(struct effect);
}
static inline struct effect *waiting_effect(const struct waiting *w, size_t i)
{
	return &((struct effect *)(void *)w->effects.ptr)[i];
}
static inline struct disk_record *waiting_record(const struct waiting *w, size_t i)
{
	return (struct disk_record *)(void *)(w->records.ptr + waiting_effect(w, i)->at);
}
/* Have a DONE record written again, or a FREED one.  */
void state_done(struct spool *s, uint64_t id, const struct disk_place *accept);
void state_freed(struct spool *s, const struct segment *freed);
/* A message's whole state in one record that supersedes all before it; outcomes: encoded, one
 * each, may be empty.  */
void state_whole(struct spool *s, slot message, const struct str *outcomes);
uint8_t state_on_disk(const struct spool_recipient *r);
void state_timer_fired(struct timer *timer);
/* The last state record of a message is still in memory: as state_segment 0, state_offset this.  */
enum { STATE_WAITING = 1 };

/* Place what waits in a batch, as much as fits; and take it back after its failure, or do what
 * follows from its success.  */
void state_add(struct spool *s, struct batch *b);
void state_failed(struct spool *s, struct batch *b);
void state_synced(struct spool *s, struct batch *b);
void state_count(struct spool *s, uint32_t number, bool in);

/* commit.c */
void commit_hook(struct io_hook *hook);
void commit_tell_fired(struct timer *timer);
void commit_now(struct spool *s); /* blocking: until nothing waits or the disk refuses */
bool commit_fits(const struct spool *s, uint64_t octets, uint64_t summary_octets);
void commit_add(struct batch *b, struct disk_record *head, size_t head_octets,
	const struct iovec *rest, int count);
/* Where the next record will be, / 8.  */
uint32_t commit_here(const struct batch *b);
/* Octets as they are: records that lie back to back, at the next multiple of 8.  */
void commit_add_raw(struct batch *b, const void *octets, size_t len);

/* finish.c */
void finish_batch(struct io_work *work);
void finish_seal(struct io_work *work);

/* health.c */
void health_timer_fired(struct timer *timer);
void health_failed(struct spool *s, int error);
void health_well(struct spool *s);
void health_fail_ready(struct spool *s);
/* 0, or why new mail is refused.  */
int health_refusal(struct spool *s);
bool health_disk_room(struct spool *s, uint64_t octets);
size_t health_memory(const struct spool *s);

/* maker.c */
bool maker_open(struct spool *s);
void maker_close(struct spool *s);
void maker_look(struct spool *s);               /* keep the pool of free segments */
int MUST_CHECK maker_make_now(struct spool *s); /* blocking */

/* spool.c */
enum { SPOOL_PATH_MAX = 4096 };
const char *segment_path(const struct spool *s, uint32_t number, char to[SPOOL_PATH_MAX]);

/* writer.c */
void writer_fail_in(struct spool *s, const struct segment *segment, int error);
void writer_finish(struct spool_writer *w, int error);
void writer_chunk_done(struct chunk_item *item, int error);
/* The domain of an address in lower case, in to.  */
enum { ADDRESS_ROOM = 256 };
struct str domain_of(struct str address, char to[ADDRESS_ROOM]);

/* recover.c, restore.c */
int MUST_CHECK recover(struct spool *s, struct spool_report *report, const char **ret_why);
void recovered_release(struct spool *s);

/* reader.c: read one record, of which `room` octets are at most read, into the end of `to`.  0,
 * -EBADMSG, -errno.  */
int MUST_CHECK segment_read(struct spool *s, const struct segment *g, uint32_t offset, size_t room,
	struct buf *to, enum record_type type, uint64_t id, struct disk_record *ret,
	struct str *ret_payload);

void spool_told(
	struct spool *s, const char *event, uint32_t segment, uint64_t offset, const char *what);

#endif
