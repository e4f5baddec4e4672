/* What the spool holds in memory: 32 octets a message, 28 a recipient, in blocks of flat arrays
 * with 32-bit links, and a hash from queue id to slot (one octet a message).  Strings and bodies
 * stay in the log.
 *
 * The spool fills in and changes what is on disk; the queue (one layer up) owns `link` of the
 * recipients.  Slot 0 is nobody.  */
#ifndef SPOOL_INDEX_H
#define SPOOL_INDEX_H

#include "base/clock.h"

typedef uint32_t slot;

struct spool_message {
	uint64_t id; /* queue id; id >> 20 is the wall time of acceptance, ms */
	/* The spool's own: where the accept record is, and the latest state record (state.c).  */
	uint64_t segment : 16;   /* number of the segment */
	uint64_t offset : 25;    /* of the record / 8; chunked: place in the table (chunked.c) */
	uint64_t size_class : 7; /* of the record: spool/record.h */
	uint64_t hash_next : 16; /* next entry of the block with the same hash */
	uint64_t state_segment : 16;
	uint64_t state_offset : 25;
	uint64_t flags : 7; /* SPOOL_MESSAGE_* */
	uint64_t open : 16; /* recipients without a final outcome */
	slot recipients; /* first recipient; the others by sibling; in the order of the envelope */
	uint32_t tag;    /* the queue's: key of the sender for fairness */
};

enum {
	SPOOL_MESSAGE_CHUNKED = 1,    /* has body chunks in records of their own */
	SPOOL_MESSAGE_DELAY_TOLD = 2, /* the delay notice is out (kept on disk) */
	SPOOL_MESSAGE_DAMAGED = 4,
};

enum recipient_state {
	RECIPIENT_FREE,   /* the slot is unused */
	RECIPIENT_DUE,    /* waits for `due`, or for its destination */
	RECIPIENT_ACTIVE, /* an attempt, or the making of its DSN, is under way: has an owner */
	RECIPIENT_HELD,   /* by the operator */
	RECIPIENT_DONE,   /* has its final outcome */
};

struct spool_recipient {
	slot message;
	slot sibling; /* next recipient of the message; 0: last */
	uint32_t due; /* wall, seconds */
	struct {      /* the queue's */
		uint32_t lane;
		slot next;
		slot prev;
	} link;
	uint16_t index;    /* in the envelope */
	uint8_t attempts;  /* stays at 255 */
	uint8_t state : 4; /* enum recipient_state */
	uint8_t place : 4; /* the queue's: which of its lists it is in */
};

_Static_assert(sizeof(struct spool_message) == 32, "32 octets a message");
_Static_assert(sizeof(struct spool_recipient) == 28, "28 octets a recipient");

struct spool_index;

/* The entry of a slot in use; valid until the message is done.  */
struct spool_message *spool_message(const struct spool_index *x, slot message);
/* See spool_message.  */
struct spool_recipient *spool_recipient(const struct spool_index *x, slot recipient);
/* 0 when it is not in the queue.  */
slot spool_find(const struct spool_index *x, uint64_t id);
/* One past the highest message / recipient slot in use: to sweep over all.  A free message has id
 * 0.  */
slot spool_message_end(const struct spool_index *x);
slot spool_recipient_end(const struct spool_index *x);
/* Messages and recipients in use, and octets of memory taken.  */
uint32_t spool_message_count(const struct spool_index *x);
uint32_t spool_recipient_count(const struct spool_index *x);
size_t spool_index_memory(const struct spool_index *x);

static inline msec spool_created(uint64_t id) { return (msec)(id >> 20); }
/* The queue id as people see it: 13 characters of digits and consonants; and back (false: not
 * one).  */
enum { SPOOL_ID_LEN = 13 };
struct str spool_id_text(uint64_t id, char to[SPOOL_ID_LEN + 1]);
bool spool_id_parse(struct str text, uint64_t *ret_id);

#endif
