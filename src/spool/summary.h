/* The summary of a segment: all that starting needs to know of its records, in the order of the
 * log.  It is gathered while the segment is written, and lies at the end of the file when the
 * segment is sealed (then: its index).  Scanning a segment without an index gives the same.
 *
 * Entries begin with struct disk_entry, are 8-aligned, and have by type:
 *   ACCEPT    struct disk_entry_accept, its `chunks` disk_chunk, `count` disk_entry_recipient
 *   STATE     `count` disk_entry_state
 *   DONE      disk_done
 *   CHUNK     disk_entry_chunk
 *   SEGMENTS  `count` disk_segment, FREED  disk_freed
 * A record of a type or version that is not known here has an entry of its own type and nothing
 * more.  */
#ifndef SPOOL_SUMMARY_H
#define SPOOL_SUMMARY_H

#include "base/arena.h"
#include "base/map.h"
#include "io/file.h"
#include "spool/record.h"

struct disk_entry {
	uint8_t type;
	uint8_t flags;
	uint16_t count;
	uint32_t offset; /* of the record in the segment / 8 */
	uint64_t id;
};

struct disk_entry_accept {
	uint32_t tag;
	uint32_t length; /* of the record with its header */
	uint32_t chunks;
	uint32_t reserved;
};

struct disk_entry_recipient {
	uint32_t domain; /* number in the table of domains */
	uint32_t due;
	uint8_t state;
	uint8_t attempts;
	uint16_t reserved;
};

struct disk_entry_state {
	uint16_t index;
	uint8_t state;
	uint8_t attempts;
	uint32_t due;
};

struct disk_entry_chunk {
	uint32_t length;
	uint32_t part;
};

#define TRAILER_MAGIC "rdindex1"

/* The last octets of a segment.  In an open one `end` is 0 and the index has one entry, the list of
 * segments: both say once more, far away, what the begin of the segment says.  */
struct disk_trailer {
	char magic[8];
	uint32_t version;
	uint32_t number;
	uint64_t generation;
	uint64_t salt;
	uint64_t end;     /* of the records, octets */
	uint64_t last_id; /* the highest queue id given out */
	uint32_t entries; /* octets */
	uint32_t domains; /* octets: for each a length (4) and the text, padded to 8 in all */
	uint32_t domain_count;
	uint32_t index_crc; /* of entries and domains, seeded with the low half of the salt */
	uint32_t reserved;
	uint32_t crc; /* of all before it, seed 0 */
};

_Static_assert(sizeof(struct disk_entry) == 16, "on disk");
_Static_assert(sizeof(struct disk_entry_accept) == 16, "on disk");
_Static_assert(sizeof(struct disk_entry_recipient) == 12, "on disk");
_Static_assert(sizeof(struct disk_entry_state) == 8, "on disk");
_Static_assert(sizeof(struct disk_entry_chunk) == 8, "on disk");
_Static_assert(sizeof(struct disk_trailer) == 72, "on disk");

struct summary {
	struct buf entries;
	struct buf domains;
	uint32_t domain_count;
	uint64_t last_id;
	/* To find a domain again while writing.  */
	struct map names;
	struct arena nodes;
};

/* seed: of the hash of domains, which strangers choose.  */
void summary_init(struct summary *s, uint64_t seed);
void summary_release(struct summary *s);
/* False when memory ran out on the way: it is incomplete then, and must not be written.  */
bool summary_ok(const struct summary *s);

/* Begin an entry; what belongs to it follows at once by summary_put or summary_recipient, then
 * summary_end.  */
void summary_begin(struct summary *s, const struct disk_entry *head);
void summary_put(struct summary *s, const void *octets, size_t len);
/* domain: lower case.  */
void summary_recipient(struct summary *s, struct str domain, struct disk_entry_recipient *r);
void summary_end(struct summary *s);

/* The begin of an ACCEPT entry: then the chunks, the recipients, summary_end.  And a whole CHUNK
 * entry.  */
struct summary_accept {
	uint64_t id;
	uint32_t offset; /* / 8 */
	uint32_t tag;
	uint32_t length;
	uint32_t chunks;
	uint16_t recipients;
	uint8_t flags;
};
void summary_accept(struct summary *s, const struct summary_accept *a);
void summary_chunk(struct summary *s, uint64_t id, const struct disk_chunk *chunk);

/* The list of segments, whole.  */
void summary_list(struct summary *s, uint32_t offset, struct str list);

/* One entry, with what belongs to it; all borrowed from the summary.  */
struct summary_entry {
	struct disk_entry head;
	struct disk_entry_accept accept;
	const struct disk_entry_recipient *recipients;
	const struct disk_entry_state *states;
	const struct disk_chunk *chunks;
	const struct disk_segment *segments;
	struct disk_entry_chunk chunk;
	struct disk_done done;
	struct disk_freed freed;
};
/* Take the next entry from *rest, which began as the entries.  False at the end, or when it makes
 * no sense.  */
bool summary_next(struct str *rest, struct summary_entry *ret);
/* Take out the entry that was read last, which began at `from`; *rest is what follows it.  */
void summary_drop(struct summary *s, const char *from, struct str *rest);
/* The table of domains as an array to be freed by the caller.  False when it makes no sense or
 * memory is out.  */
bool MUST_CHECK summary_domains(const struct summary *s, struct str **ret_domains);

/* Octets that the index takes at the end of a segment, whole blocks.  */
uint64_t summary_room(const struct summary *s);
/* Write the index into the end of the segment (blocking; no sync).  0 or -errno.  */
int MUST_CHECK summary_write(struct io *io, const struct io_file *file,
	const struct disk_header *segment, uint64_t end, const struct summary *s);

/* Write the trailer of an open segment (blocking; no sync), and before it, as an index of one entry, the
 * list of segments that the segment begins with (payload of the record).  */
int MUST_CHECK trailer_mark_open(struct io *io, const struct io_file *file,
	const struct disk_header *segment, struct str list);

enum summary_found {
	SUMMARY_WHOLE,
	SUMMARY_NONE,    /* there is none of this generation: it was not sealed */
	SUMMARY_OPEN,    /* nor was it, and this is known for sure */
	SUMMARY_DAMAGED, /* there was one */
};
/* Read the trailer; generation 0: of any.  */
enum summary_found trailer_read(struct io *io, const struct io_file *file, uint64_t file_size,
	uint64_t generation, struct disk_trailer *ret);
/* Read the index that a valid trailer tells of.  s must be empty.  */
enum summary_found summary_read(struct io *io, const struct io_file *file, uint64_t file_size,
	const struct disk_trailer *trailer, struct summary *s);

#endif
