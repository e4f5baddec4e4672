#include "spool/slots.h"

enum { HEADS = SLOTS_BLOCK / 2 };

static const uint64_t GOLDEN = 0x9e3779b97f4a7c15;

/* What a slot of a block that was given back reads as: nobody.  */
static const struct spool_message no_message;
static const struct spool_recipient no_recipient;

static uint32_t entry_of(slot s) { return s & (SLOTS_BLOCK - 1); }
static uint32_t head_of(uint64_t id) { return (uint32_t)(id * GOLDEN >> 49); }

_Static_assert(HEADS == 1 << 15, "head_of takes 15 bits");

void slots_init(struct spool_index *x)
{
	*x = (struct spool_index){
		.messages.size = sizeof(struct spool_message),
		.recipients.size = sizeof(struct spool_recipient),
	};
}

static void release_all(struct slots *all)
{
	for (uint32_t i = 0; i < all->count; i++) {
		free(all->blocks[i].entries);
		free(all->blocks[i].heads);
	}
	free(all->blocks);
	all->blocks = NULL;
	all->count = 0;
}

void slots_release(struct spool_index *x)
{
	release_all(&x->messages);
	release_all(&x->recipients);
}

static void *entry(const struct slots *all, slot s)
{
	ASSERT(s >> 16 < all->count);
	struct slots_block *block = &all->blocks[s >> 16];
	return block->entries ? (char *)block->entries + (size_t)entry_of(s) * all->size : NULL;
}

struct spool_message *spool_message(const struct spool_index *x, slot message)
{
	struct spool_message *m = message ? entry(&x->messages, message) : NULL;
	return m ? m : (struct spool_message *)(uintptr_t)&no_message;
}

struct spool_recipient *spool_recipient(const struct spool_index *x, slot recipient)
{
	struct spool_recipient *r = recipient ? entry(&x->recipients, recipient) : NULL;
	return r ? r : (struct spool_recipient *)(uintptr_t)&no_recipient;
}

/* ---- blocks ---- */

static bool fill_block(struct slots *all, uint32_t at, bool hashed)
{
	struct slots_block *block = &all->blocks[at];
	void *entries = calloc(SLOTS_BLOCK, all->size);
	uint16_t *heads = hashed ? calloc(HEADS, sizeof(uint16_t)) : NULL;
	if (!entries || (hashed && !heads)) {
		free(entries);
		free(heads);
		return false;
	}
	*block = (struct slots_block){
		.entries = entries, .heads = heads, .least_id = UINT64_MAX, .fresh = 1};
	return true;
}

static bool add_block(struct slots *all)
{
	if (all->count == 1 << 16) return false;
	struct slots_block *blocks = realloc(all->blocks, (all->count + 1) * sizeof(*blocks));
	if (!blocks) return false;
	all->blocks = blocks;
	blocks[all->count++] = (struct slots_block){0};
	return true;
}

/* Entry 0 of a block is never used: as a link it means none.  */
static bool is_full(const struct slots_block *block) { return block->used == SLOTS_BLOCK - 1; }

static slot take(struct slots *all, bool hashed)
{
	while (all->room < all->count && is_full(&all->blocks[all->room])) all->room++;
	if (all->room == all->count && !add_block(all)) return 0;
	struct slots_block *block = &all->blocks[all->room];
	if (!block->entries && !fill_block(all, all->room, hashed)) return 0;
	uint32_t at = block->free;
	if (at) {
		char *freed = (char *)block->entries + (size_t)at * all->size;
		memcpy(&block->free, freed + 8, sizeof(block->free));
		memset(freed, 0, all->size);
	} else {
		at = block->fresh++;
	}
	block->used++;
	all->used++;
	return all->room << 16 | at;
}

/* The lowest block with room is kept: it is the next to be filled.  */
static void release_empty(struct slots *all, uint32_t at)
{
	struct slots_block *block = &all->blocks[at];
	if (block->used > 0 || at == all->room) return;
	free(block->entries);
	free(block->heads);
	*block = (struct slots_block){0};
}

/* A freed entry is zero but for the link to the next one, which lies where neither a message's id
 * nor a recipient's state is.  */
static void give(struct slots *all, slot s)
{
	struct slots_block *block = &all->blocks[s >> 16];
	ASSERT(block->used > 0);
	char *freed = entry(all, s);
	memset(freed, 0, all->size);
	memcpy(freed + 8, &block->free, sizeof(block->free));
	block->free = entry_of(s);
	block->used--;
	all->used--;
	uint32_t room = all->room;
	if (s >> 16 < room) all->room = s >> 16;
	if (room < all->count) release_empty(all, room);
	release_empty(all, s >> 16);
}

static slot end_of(const struct slots *all)
{
	for (uint32_t i = all->count; i-- > 0;)
		if (all->blocks[i].used > 0) return (slot)(i << 16) + all->blocks[i].fresh;
	return 1;
}

/* ---- messages with their recipients ---- */

slot slots_take(struct spool_index *x, uint32_t recipients)
{
	ASSERT(recipients >= 1 && recipients <= UINT16_MAX);
	slot message = take(&x->messages, true);
	if (!message) return 0;
	struct spool_message *m = spool_message(x, message);
	slot *link = &m->recipients;
	for (uint32_t i = 0; i < recipients; i++) {
		slot recipient = take(&x->recipients, false);
		if (!recipient) {
			slots_free(x, message);
			return 0;
		}
		*link = recipient;
		struct spool_recipient *r = spool_recipient(x, recipient);
		r->message = message;
		r->index = (uint16_t)i;
		link = &r->sibling;
		m->open++;
	}
	return message;
}

void slots_publish(struct spool_index *x, slot message, uint64_t id, enum recipient_state state)
{
	struct spool_message *m = spool_message(x, message);
	ASSERT(id != 0 && m->id == 0);
	struct slots_block *block = &x->messages.blocks[message >> 16];
	uint16_t *head = &block->heads[head_of(id)];
	m->id = id;
	m->hash_next = *head;
	*head = (uint16_t)entry_of(message);
	if (id < block->least_id) block->least_id = id;
	if (id > block->most_id) block->most_id = id;
	x->published++;
	for (slot s = m->recipients; s;) {
		struct spool_recipient *r = spool_recipient(x, s);
		if (r->state == RECIPIENT_FREE) r->state = (unsigned)state & 15;
		x->published_recipients++;
		s = r->sibling;
	}
}

static void unhash(struct spool_index *x, slot message, const struct spool_message *m)
{
	struct slots_block *block = &x->messages.blocks[message >> 16];
	struct spool_message *entries = block->entries;
	uint16_t *head = &block->heads[head_of(m->id)];
	if (*head == entry_of(message)) {
		*head = m->hash_next;
		return;
	}
	uint32_t at = *head;
	while (at && entries[at].hash_next != entry_of(message)) at = entries[at].hash_next;
	ASSERT(at != 0);
	entries[at].hash_next = m->hash_next;
}

void slots_free(struct spool_index *x, slot message)
{
	struct spool_message *m = spool_message(x, message);
	bool published = m->id != 0;
	if (published) unhash(x, message, m);
	for (slot s = m->recipients; s;) {
		slot next = spool_recipient(x, s)->sibling;
		give(&x->recipients, s);
		if (published) x->published_recipients--;
		s = next;
	}
	if (published) x->published--;
	give(&x->messages, message);
}

slot spool_find(const struct spool_index *x, uint64_t id)
{
	if (id == 0) return 0;
	for (uint32_t i = x->messages.count; i-- > 0;) {
		const struct slots_block *block = &x->messages.blocks[i];
		if (block->used == 0 || id < block->least_id || id > block->most_id) continue;
		const struct spool_message *entries = block->entries;
		for (uint32_t at = block->heads[head_of(id)]; at; at = entries[at].hash_next)
			if (entries[at].id == id) return i << 16 | at;
	}
	return 0;
}

slot spool_message_end(const struct spool_index *x) { return end_of(&x->messages); }
slot spool_recipient_end(const struct spool_index *x) { return end_of(&x->recipients); }
uint32_t spool_message_count(const struct spool_index *x) { return x->published; }
uint32_t spool_recipient_count(const struct spool_index *x) { return x->published_recipients; }

/* Of a block, what has been touched: the system gives pages no sooner.  */
static size_t memory_of(const struct slots *all)
{
	size_t octets = all->count * sizeof(struct slots_block);
	for (uint32_t i = 0; i < all->count; i++) {
		const struct slots_block *block = &all->blocks[i];
		if (!block->entries) continue;
		octets += (size_t)block->fresh * all->size;
		if (block->heads) octets += HEADS * sizeof(uint16_t);
	}
	return octets;
}

size_t spool_index_memory(const struct spool_index *x)
{
	return memory_of(&x->messages) + memory_of(&x->recipients);
}

void slots_check(const struct spool_index *x)
{
	uint32_t messages = 0, recipients = 0;
	for (slot s = 1; s < spool_message_end(x); s++) {
		const struct spool_message *m = spool_message(x, s);
		if (m->id == 0) continue;
		ASSERT(spool_find(x, m->id) == s);
		uint32_t open = 0, index = 0;
		for (slot t = m->recipients; t;) {
			const struct spool_recipient *r = spool_recipient(x, t);
			ASSERT(r->message == s && r->index == index++);
			ASSERT(r->state >= RECIPIENT_DUE && r->state <= RECIPIENT_DONE);
			if (r->state != RECIPIENT_DONE) open++;
			t = r->sibling;
		}
		ASSERT(open == m->open && open > 0);
		messages++;
		recipients += index;
	}
	ASSERT(messages == x->published && messages <= x->messages.used);
	ASSERT(recipients == x->published_recipients && recipients <= x->recipients.used);
}

/* ---- ids as text ---- */

/* Ascending, so that texts sort as their numbers do.  */
static const char DIGITS[] = "0123456789BCDFGHJKLMNPQRSTVWXYZ";
enum { BASE = sizeof(DIGITS) - 1 };

struct str spool_id_text(uint64_t id, char to[SPOOL_ID_LEN + 1])
{
	to[SPOOL_ID_LEN] = 0;
	for (size_t i = SPOOL_ID_LEN; i-- > 0; id /= BASE) to[i] = DIGITS[id % BASE];
	return str_of(to, SPOOL_ID_LEN);
}

bool spool_id_parse(struct str text, uint64_t *ret_id)
{
	if (text.len != SPOOL_ID_LEN) return false;
	uint64_t id = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i] >= 'a' && text.ptr[i] <= 'z' ? (char)(text.ptr[i] - 32)
								  : text.ptr[i];
		const char *digit = c ? strchr(DIGITS, c) : NULL;
		if (!digit) return false;
		if (__builtin_mul_overflow(id, (uint64_t)BASE, &id)) return false;
		if (__builtin_add_overflow(id, (uint64_t)(digit - DIGITS), &id)) return false;
	}
	if (id == 0) return false;
	*ret_id = id;
	return true;
}
