/* The layout of a segment file: the header block, batches, records.  All numbers are
 * little-endian, all structures are what lies on the disk.  doc/spool.md tells it in prose.
 *
 * A segment has a random salt for each life (generation).  Every record carries one half of it as
 * a mark and has its checksum seeded with the other, so that neither an old record in a recycled
 * segment nor the body of a message that looks like a record can ever pass.  */
#ifndef SPOOL_RECORD_H
#define SPOOL_RECORD_H

#include "base/str.h"

#include <sys/uio.h>

enum {
	RECORD_BLOCK = 4096, /* the header takes one; batches begin and end on such */
	RECORD_ALIGN = 8,
	RECORD_VERSION = 1,
	RECORD_SEGMENT_MAX = 256 << 20, /* octets: what 25 bits of offset / 8 reach */
};

#define SEGMENT_MAGIC "rdspool1"

struct disk_header {
	char magic[8];
	uint32_t version;
	uint32_t number;     /* of the file: a copy under another name is found out */
	uint64_t generation; /* of this life; never used twice in a spool */
	uint64_t salt;
	uint64_t size;  /* of the file when whole */
	uint32_t freed; /* 1: this life has ended, the segment is no part of the log */
	uint32_t crc;   /* of all before it, seed 0 */
};

enum record_type {
	RECORD_BATCH = 1, /* at the start of each batch; id: the highest queue id given out */
	RECORD_SEGMENTS,  /* first in each segment: which segments are part of the log; id 0 */
	RECORD_CHUNK,     /* a part of a body; `part` counts them */
	RECORD_ACCEPT,    /* a message: the commit point */
	RECORD_STATE,     /* what has become of recipients so far */
	RECORD_DONE,      /* the message has ended */
	RECORD_FREED,     /* a segment is no longer part of the log; id 0 */
	RECORD_TYPES,
};

struct disk_record {
	uint32_t crc;    /* of all that follows, seeded with the low half of the salt */
	uint32_t mark;   /* the high half of the salt */
	uint32_t length; /* of the payload; the next record begins at the next multiple of 8 */
	uint8_t type;
	uint8_t version;
	uint16_t part;
	uint64_t id;
};

struct disk_batch {
	uint32_t octets;  /* of the whole batch, a multiple of RECORD_BLOCK */
	uint32_t records; /* this one not counted */
	uint64_t synced;  /* what lies before this place in the file was synced already */
};

struct disk_segment { /* payload of SEGMENTS: an array of these */
	uint32_t number;
	uint32_t reserved;
	uint64_t generation;
	uint64_t salt;
	uint64_t end; /* what lies behind was never synced and is void; 0: not known */
};

struct disk_place { /* of a record */
	uint32_t number;
	uint32_t offset; /* / 8 */
	uint64_t generation;
};

struct disk_accept { /* then: states, envelope, chunks (struct disk_chunk), body */
	uint32_t tag;
	uint16_t flags; /* SPOOL_MESSAGE_DELAY_TOLD */
	uint16_t recipients;
	uint32_t states;   /* octets of states: empty when the message is new */
	uint32_t envelope; /* octets */
	uint32_t chunks;   /* count */
	uint32_t body;     /* octets: what follows the chunks */
	uint64_t size;     /* octets of content in all */
};

struct disk_chunk {
	struct disk_place place;
	uint32_t length;
	uint32_t part;
};

struct disk_state {      /* then `count` of disk_recipient, each with its outcome */
	uint32_t number; /* of the message's state record before this; 0: it supersedes all */
	uint32_t offset; /* / 8 */
	uint16_t flags;  /* SPOOL_MESSAGE_DELAY_TOLD */
	uint16_t count;
	uint32_t reserved;
};

struct disk_recipient { /* in states and state records */
	uint16_t index;
	uint8_t state;
	uint8_t attempts;
	uint32_t due;
	uint32_t outcome; /* octets that follow: outcome_encode; 0: no new one */
};

struct disk_done {
	struct disk_place accept; /* generation tells how long this record is needed */
};

struct disk_freed {
	uint32_t number;
	uint32_t reserved;
	uint64_t generation;
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "structures are written as they are");
_Static_assert(sizeof(struct disk_header) == 48, "on disk");
_Static_assert(sizeof(struct disk_record) == 24, "on disk");
_Static_assert(sizeof(struct disk_batch) == 16, "on disk");
_Static_assert(sizeof(struct disk_segment) == 32, "on disk");
_Static_assert(sizeof(struct disk_place) == 16, "on disk");
_Static_assert(sizeof(struct disk_accept) == 32, "on disk");
_Static_assert(sizeof(struct disk_chunk) == 24, "on disk");
_Static_assert(sizeof(struct disk_state) == 16, "on disk");
_Static_assert(sizeof(struct disk_recipient) == 12, "on disk");
_Static_assert(sizeof(struct disk_done) == 16, "on disk");
_Static_assert(sizeof(struct disk_freed) == 16, "on disk");

static inline uint64_t record_round(uint64_t n)
{
	return (n + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
}
static inline uint64_t record_blocks(uint64_t n)
{
	return (n + RECORD_BLOCK - 1) & ~(uint64_t)(RECORD_BLOCK - 1);
}

/* Fill in the header of a life of a segment.  */
void header_make(
	struct disk_header *h, uint32_t number, uint64_t generation, uint64_t salt, uint64_t size);
/* The same, of a life that has ended.  */
void header_make_freed(
	struct disk_header *h, uint32_t number, uint64_t generation, uint64_t salt, uint64_t size);
/* Whole, of this version, and with a size that can be.  */
bool header_valid(const struct disk_header *h);
/* Whole, but of a version that is not known here.  */
bool header_newer(const struct disk_header *h);

/* Begin a record; crc and mark come with record_seal.  */
struct disk_record record_make(enum record_type type, uint64_t id, size_t length);
/* Sign a record whose payload lies in `count` pieces.  */
void record_seal(struct disk_record *r, uint64_t salt, const struct iovec *payload, int count);

/* The record at the start of octets, of which some may lie behind it.  False when it is not whole
 * and signed with salt.  *ret_size: to where the next may begin.  octets need no alignment.  */
bool record_read(struct str octets, uint64_t salt, struct disk_record *ret, struct str *ret_payload,
	size_t *ret_size);
/* Whether octets begin with what could be a record of this salt: quick.  */
bool record_marked(struct str octets, uint64_t salt);

/* Take a structure of the disk from the front of *s; false when it is too short.  */
bool take_octets(struct str *s, void *to, size_t len);

/* Sizes in 7 bits, never less and at most an eighth more than the true size; 127 is too large to
 * say.  */
uint8_t size_class(uint64_t octets);
uint64_t size_of_class(uint8_t class);

#endif
