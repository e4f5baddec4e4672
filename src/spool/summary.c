#include "spool/summary.h"

#include "base/code.h"

#include <errno.h>

enum { SUMMARY_MAX = RECORD_SEGMENT_MAX, NODES_MAX = 64 << 20 };

struct name {
	struct map_node node;
	uint32_t number;
	char text[];
};

void summary_init(struct summary *s, uint64_t seed)
{
	*s = (struct summary){0};
	buf_init(&s->entries, SUMMARY_MAX);
	buf_init(&s->domains, SUMMARY_MAX);
	map_init(&s->names, seed);
	arena_init(&s->nodes, NODES_MAX);
}

void summary_release(struct summary *s)
{
	buf_release(&s->entries);
	buf_release(&s->domains);
	map_release(&s->names);
	arena_release(&s->nodes);
	s->domain_count = 0;
}

bool summary_ok(const struct summary *s) { return buf_ok(&s->entries) && buf_ok(&s->domains); }

/* ---- writing ---- */

void summary_put(struct summary *s, const void *octets, size_t len)
{
	buf_add(&s->entries, str_of(octets, len));
}

void summary_begin(struct summary *s, const struct disk_entry *head)
{
	ASSERT(s->entries.len % RECORD_ALIGN == 0 || !summary_ok(s));
	summary_put(s, head, sizeof(*head));
	if (head->id > s->last_id) s->last_id = head->id;
}

void summary_end(struct summary *s)
{
	static const char zeros[RECORD_ALIGN];
	summary_put(s, zeros, record_round(s->entries.len) - s->entries.len);
}

void summary_accept(struct summary *s, const struct summary_accept *a)
{
	struct disk_entry entry = {.type = RECORD_ACCEPT,
		.flags = a->flags,
		.count = a->recipients,
		.offset = a->offset,
		.id = a->id};
	struct disk_entry_accept more = {.tag = a->tag, .length = a->length, .chunks = a->chunks};
	summary_begin(s, &entry);
	summary_put(s, &more, sizeof(more));
}

void summary_chunk(struct summary *s, uint64_t id, const struct disk_chunk *chunk)
{
	struct disk_entry entry = {.type = RECORD_CHUNK, .offset = chunk->place.offset, .id = id};
	struct disk_entry_chunk more = {chunk->length, chunk->part};
	summary_begin(s, &entry);
	summary_put(s, &more, sizeof(more));
	summary_end(s);
}

void summary_list(struct summary *s, uint32_t offset, struct str list)
{
	struct disk_entry entry = {.type = RECORD_SEGMENTS,
		.count = (uint16_t)(list.len / sizeof(struct disk_segment)),
		.offset = offset};
	summary_begin(s, &entry);
	summary_put(s, list.ptr, entry.count * sizeof(struct disk_segment));
	summary_end(s);
}

static uint32_t add_name(struct summary *s, struct str domain)
{
	struct name *name = arena_alloc(&s->nodes, sizeof(*name) + domain.len);
	if (name) {
		if (domain.len) memcpy(name->text, domain.ptr, domain.len);
		name->number = s->domain_count;
		/* A name that is not found again is only written once more.  */
		(void)!map_insert(&s->names, &name->node, str_of(name->text, domain.len));
	}
	buf_add_lestr(&s->domains, domain);
	return s->domain_count++;
}

void summary_recipient(struct summary *s, struct str domain, struct disk_entry_recipient *r)
{
	struct map_node *node = map_find(&s->names, domain);
	r->domain = node ? CONTAINER_OF(node, struct name, node)->number : add_name(s, domain);
	summary_put(s, r, sizeof(*r));
}

/* ---- reading ---- */

static const void *take_array(struct str *rest, size_t count, size_t size, bool *ok)
{
	size_t len = count * size;
	const void *at = rest->ptr;
	if (rest->len < len) return *ok = false, NULL;
	*rest = str_skip(*rest, len);
	return at;
}

static bool take_accept(struct str *rest, struct summary_entry *e)
{
	bool ok = take_octets(rest, &e->accept, sizeof(e->accept));
	if (!ok) return false;
	e->chunks = take_array(rest, e->accept.chunks, sizeof(*e->chunks), &ok);
	if (!ok) return false;
	e->recipients = take_array(rest, e->head.count, sizeof(*e->recipients), &ok);
	return ok && e->head.count > 0;
}

static bool take_body(struct str *rest, struct summary_entry *e)
{
	bool ok = true;
	switch (e->head.type) {
	case RECORD_ACCEPT: return take_accept(rest, e);
	case RECORD_STATE:
		e->states = take_array(rest, e->head.count, sizeof(*e->states), &ok);
		return ok;
	case RECORD_SEGMENTS:
		e->segments = take_array(rest, e->head.count, sizeof(*e->segments), &ok);
		return ok;
	case RECORD_CHUNK: return take_octets(rest, &e->chunk, sizeof(e->chunk));
	case RECORD_DONE: return take_octets(rest, &e->done, sizeof(e->done));
	case RECORD_FREED: return take_octets(rest, &e->freed, sizeof(e->freed));
	default: return true;
	}
}

bool summary_next(struct str *rest, struct summary_entry *ret)
{
	const char *begin = rest->ptr;
	memset(ret, 0, sizeof(*ret));
	if (!take_octets(rest, &ret->head, sizeof(ret->head)) || !take_body(rest, ret))
		return false;
	size_t taken = (size_t)(rest->ptr - begin);
	size_t pad = record_round(taken) - taken;
	if (pad > rest->len) return false;
	*rest = str_skip(*rest, pad);
	return true;
}

void summary_drop(struct summary *s, const char *from, struct str *rest)
{
	size_t at = (size_t)(from - s->entries.ptr);
	memmove(s->entries.ptr + at, rest->ptr, rest->len);
	s->entries.len = at + rest->len;
	*rest = str_skip(buf_str(&s->entries), at);
}

bool summary_domains(const struct summary *s, struct str **ret_domains)
{
	struct str *list = calloc(s->domain_count ? s->domain_count : 1, sizeof(*list));
	if (!list) return false;
	struct str rest = buf_str(&s->domains);
	for (uint32_t i = 0; i < s->domain_count; i++) {
		if (take_lestr(&rest, &list[i])) continue;
		free(list);
		return false;
	}
	*ret_domains = list;
	return true;
}

/* ---- the index at the end of a segment ---- */

static uint64_t index_octets(const struct summary *s)
{
	return s->entries.len + record_round(s->domains.len) + sizeof(struct disk_trailer);
}

uint64_t summary_room(const struct summary *s) { return record_blocks(index_octets(s)); }

static void trailer_make(struct disk_trailer *t, const struct disk_header *segment)
{
	*t = (struct disk_trailer){.version = RECORD_VERSION,
		.number = segment->number,
		.generation = segment->generation,
		.salt = segment->salt};
	memcpy(t->magic, TRAILER_MAGIC, sizeof(t->magic));
}

static void trailer_seal(struct disk_trailer *t)
{
	t->crc = crc32c(0, str_of(t, offsetof(struct disk_trailer, crc)));
}

int summary_write(struct io *io, const struct io_file *file, const struct disk_header *segment,
	uint64_t end, const struct summary *s)
{
	static const char zeros[RECORD_BLOCK];
	if (!summary_ok(s)) return -ENOMEM;
	size_t pad = record_round(s->domains.len) - s->domains.len;
	struct disk_trailer t;
	trailer_make(&t, segment);
	t.end = end;
	t.last_id = s->last_id;
	t.entries = (uint32_t)s->entries.len;
	t.domains = (uint32_t)(s->domains.len + pad);
	t.domain_count = s->domain_count;
	uint32_t crc = crc32c((uint32_t)segment->salt, buf_str(&s->entries));
	crc = crc32c(crc, buf_str(&s->domains));
	t.index_crc = crc32c(crc, str_of(zeros, pad));
	trailer_seal(&t);
	uint64_t len = index_octets(s), at = segment->size - record_blocks(len);
	ASSERT(at >= end);
	struct iovec iov[] = {
		{(void *)(uintptr_t)zeros, record_blocks(len) - len},
		{s->entries.ptr, s->entries.len},
		{s->domains.ptr, s->domains.len},
		{(void *)(uintptr_t)zeros, pad},
		{&t, sizeof(t)},
	};
	return io_file_write(io, file, iov, ARRAY_LEN(iov), at);
}

int trailer_mark_open(struct io *io, const struct io_file *file, const struct disk_header *segment,
	struct str list)
{
	struct summary s;
	summary_init(&s, 0);
	summary_list(&s, 0, list);
	int error = summary_write(io, file, segment, 0, &s);
	summary_release(&s);
	return error;
}

enum summary_found trailer_read(struct io *io, const struct io_file *file, uint64_t file_size,
	uint64_t generation, struct disk_trailer *ret)
{
	if (file_size < 2 * RECORD_BLOCK) return SUMMARY_NONE;
	int64_t n = io_file_read(io, file, ret, sizeof(*ret), file_size - sizeof(*ret));
	if (n != sizeof(*ret)) return SUMMARY_DAMAGED;
	bool valid = memcmp(ret->magic, TRAILER_MAGIC, sizeof(ret->magic)) == 0 &&
		ret->crc == crc32c(0, str_of(ret, offsetof(struct disk_trailer, crc))) &&
		ret->version == RECORD_VERSION;
	if (valid && generation != 0 && ret->generation != generation) return SUMMARY_NONE;
	if (valid) return ret->end == 0 ? SUMMARY_OPEN : SUMMARY_WHOLE;
	/* Of this life, but spoilt?  An older one's remains say nothing.  */
	return generation != 0 && ret->generation == generation ? SUMMARY_DAMAGED : SUMMARY_NONE;
}

static bool read_into(
	struct io *io, const struct io_file *file, struct buf *to, size_t len, uint64_t at)
{
	if (len == 0) return true;
	char *room = buf_reserve(to, len);
	if (!room || io_file_read(io, file, room, len, at) != (int64_t)len) return false;
	to->len += len;
	return true;
}

/* As many as the trailer tells of are there.  */
static bool has_domains(struct str domains, uint32_t count)
{
	struct str one;
	while (count > 0 && take_lestr(&domains, &one)) count--;
	return count == 0;
}

enum summary_found summary_read(struct io *io, const struct io_file *file, uint64_t file_size,
	const struct disk_trailer *trailer, struct summary *s)
{
	uint64_t len = (uint64_t)trailer->entries + trailer->domains;
	if (len + sizeof(*trailer) > file_size || trailer->entries % RECORD_ALIGN)
		return SUMMARY_DAMAGED;
	uint64_t at = file_size - sizeof(*trailer) - len;
	if (!read_into(io, file, &s->entries, trailer->entries, at) ||
		!read_into(io, file, &s->domains, trailer->domains, at + trailer->entries))
		return SUMMARY_DAMAGED;
	uint32_t crc = crc32c((uint32_t)trailer->salt, buf_str(&s->entries));
	if (crc32c(crc, buf_str(&s->domains)) != trailer->index_crc) return SUMMARY_DAMAGED;
	if (!has_domains(buf_str(&s->domains), trailer->domain_count)) return SUMMARY_DAMAGED;
	s->domain_count = trailer->domain_count;
	s->last_id = trailer->last_id;
	return SUMMARY_WHOLE;
}
