/* The spool's side of the index: taking and freeing slots.
 *
 * Slots come in blocks of 64 Ki entries that never move; a block whose last entry is freed goes
 * back to the system.  Each block of messages has a hash of its own from id to entry, chained by
 * 16-bit links, so it never has to grow; a look-up asks each block whose range of ids has the
 * wanted one.  */
#ifndef SPOOL_SLOTS_H
#define SPOOL_SLOTS_H

#include "spool/index.h"

enum { SLOTS_BLOCK = 1 << 16 };

struct slots_block {
	void *entries;     /* NULL: given back */
	uint16_t *heads;   /* messages only */
	uint64_t least_id; /* messages only: of all that were in since it was empty */
	uint64_t most_id;
	uint32_t used;
	uint32_t fresh; /* entries from here on were never used */
	uint32_t free;  /* first freed entry; 0: none */
};

struct slots {
	struct slots_block *blocks;
	uint32_t count; /* of blocks */
	uint32_t room;  /* no block before this one has room */
	uint32_t used;
	uint32_t size; /* octets of an entry */
};

struct spool_index {
	struct slots messages;
	struct slots recipients;
	uint32_t published;
	uint32_t published_recipients;
};

void slots_init(struct spool_index *x);
void slots_release(struct spool_index *x);

/* Take a message and `recipients` recipients (1..65535), in order, all zero but for message, index
 * and sibling; nobody sees them before slots_publish.  0: no memory.  */
slot slots_take(struct spool_index *x, uint32_t recipients);
/* Give the message its id and put it into the hash; recipients become `state`, those that are DONE
 * stay.  */
void slots_publish(struct spool_index *x, slot message, uint64_t id, enum recipient_state state);
/* Free a message with its recipients, published or not.  */
void slots_free(struct spool_index *x, slot message);
/* Assert that what the arrays and hashes say fits together.  */
void slots_check(const struct spool_index *x);

#endif
