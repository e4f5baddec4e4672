/* What a spool must remember: the promises of spool.h, kept by somebody who looks only at what was said to him.
 *
 * A message is acknowledged, refused, or (the power went) in doubt.  What was recorded of a recipient is a row of states, each
 * of which is on disk for certain, or perhaps; after a crash the recipient has one of those that are not
 * certainly superseded.  */
#ifndef SIM_SPOOL_MODEL_H
#define SIM_SPOOL_MODEL_H

#include "sim/judge.h"
#include "spool/spool.h"

/* LOST: was in doubt, and nothing of it was found.  LATELY: refused, and nothing has been acknowledged since: until then a failed disk may show it again.  */
enum model_fate {
	MODEL_WRITING,
	MODEL_DOUBT,
	MODEL_KEPT,
	MODEL_LATELY,
	MODEL_REFUSED,
	MODEL_LOST,
	MODEL_GONE
};

struct model_state { /* of a recipient, from one moment on */
	uint64_t seq;
	msec at;
	uint32_t due;
	uint16_t attempts;
	uint8_t state; /* DUE, HELD, DONE */
};

struct model_recipient {
	struct model_state *states; /* the first: the latest that is certain */
	uint32_t count, room;
	bool seen; /* by recovery */
	bool sent; /* and not answered */
};

struct model_message {
	struct list link;
	uint64_t number; /* gives envelope and content */
	uint64_t id;
	uint64_t size;
	uint32_t recipient_count;
	enum model_fate fate;
	bool excused; /* the medium was damaged where it lay */
	struct model_recipient *recipients;
};

struct spool_model {
	struct world *world;
	struct list messages;
	uint64_t seq;     /* of what was recorded last */
	uint64_t certain; /* what was recorded up to here is on disk */
	uint64_t acknowledged, checked;
	uint64_t lost; /* by damage, in the last recovery */
	msec bound;    /* what is older is certain; 0: the disk is not that good */
};

void model_init(struct spool_model *m, struct world *world);
void model_release(struct spool_model *m);
/* A new one, being written; and that of an id, the one that may be alive first (NULL: none).  */
struct model_message *model_message(struct spool_model *m, uint64_t number, uint64_t size);
/* See model_message.  */
struct model_message *model_find(struct spool_model *m, uint64_t id);
/* It is in the index now, or was refused, or nobody knows.  */
void model_decided(
	struct spool_model *m, struct model_message *message, enum model_fate fate, msec now);
void model_record(struct spool_model *m, struct model_message *message, uint32_t recipient,
	struct model_state s);
static inline struct model_state *model_now(struct model_recipient *r)
{
	return &r->states[r->count - 1];
}
/* Everything recorded with a number up to seq is on disk.  */
void model_certain(struct spool_model *m, uint64_t seq);
/* The process was killed, on a disk that is well: what had ended has ended.  */
void model_killed(struct spool_model *m);
/* Compare with what the spool says was sent and not answered; after a kill it has forgotten none, else what it says
 * counts.  */
void model_doubtful(struct spool_model *m, struct spool *s, bool killed);
/* A message was acknowledged: from now on what was refused before is void.  */
void model_voided(struct spool_model *m);

/* A sector of a segment has rotted: what had a record there may be lost, garbled or come back.  content: of the file before.  */
void model_rotten(struct spool_model *m, struct str content, uint64_t offset);

/* Compare with what recovery found, and take over what it found where there was doubt.  */
void model_recovered(struct spool_model *m, struct spool *s, msec now);
/* Compare the index with what is so while the spool is open.  */
void model_compare(struct spool_model *m, struct spool *s);
/* Read a message and compare it.  */
void model_read(struct spool_model *m, struct spool *s, struct model_message *message);

/* Of message `number`.  */
void model_envelope(
	uint64_t number, uint32_t recipients, struct arena *arena, struct envelope *ret);
void model_content(uint64_t number, uint64_t offset, char *to, size_t len);

#endif
