#include "spool/record.h"

#include "base/code.h"

static void make(struct disk_header *h)
{
	memcpy(h->magic, SEGMENT_MAGIC, sizeof(h->magic));
	h->version = RECORD_VERSION;
	h->crc = crc32c(0, str_of(h, offsetof(struct disk_header, crc)));
}

void header_make(
	struct disk_header *h, uint32_t number, uint64_t generation, uint64_t salt, uint64_t size)
{
	*h = (struct disk_header){
		.number = number, .generation = generation, .salt = salt, .size = size};
	make(h);
}

void header_make_freed(
	struct disk_header *h, uint32_t number, uint64_t generation, uint64_t salt, uint64_t size)
{
	*h = (struct disk_header){
		.number = number, .generation = generation, .salt = salt, .size = size, .freed = 1};
	make(h);
}

static bool header_whole(const struct disk_header *h)
{
	return memcmp(h->magic, SEGMENT_MAGIC, sizeof(h->magic)) == 0 &&
		h->crc == crc32c(0, str_of(h, offsetof(struct disk_header, crc)));
}

bool header_newer(const struct disk_header *h)
{
	return header_whole(h) && h->version != RECORD_VERSION;
}

bool header_valid(const struct disk_header *h)
{
	return header_whole(h) && h->version == RECORD_VERSION && h->number != 0 &&
		h->generation != 0 && h->size >= 2 * RECORD_BLOCK &&
		h->size <= RECORD_SEGMENT_MAX && h->size % RECORD_BLOCK == 0;
}

struct disk_record record_make(enum record_type type, uint64_t id, size_t length)
{
	ASSERT(length <= RECORD_SEGMENT_MAX);
	return (struct disk_record){.length = (uint32_t)length,
		.type = (uint8_t)type,
		.version = RECORD_VERSION,
		.id = id};
}

static struct str signed_head(const struct disk_record *r)
{
	enum { FROM = offsetof(struct disk_record, mark) };
	return str_of((const char *)r + FROM, sizeof(*r) - FROM);
}

void record_seal(struct disk_record *r, uint64_t salt, const struct iovec *payload, int count)
{
	r->mark = (uint32_t)(salt >> 32);
	uint32_t crc = crc32c((uint32_t)salt, signed_head(r));
	for (int i = 0; i < count; i++)
		crc = crc32c(crc, str_of(payload[i].iov_base, payload[i].iov_len));
	r->crc = crc;
}

bool record_marked(struct str octets, uint64_t salt)
{
	uint32_t mark;
	if (octets.len < sizeof(struct disk_record)) return false;
	memcpy(&mark, octets.ptr + offsetof(struct disk_record, mark), sizeof(mark));
	/* The salt stands in lists of segments and in trailers too: there it is not followed by a
	 * version.  */
	return mark == (uint32_t)(salt >> 32) &&
		octets.ptr[offsetof(struct disk_record, version)] != 0;
}

bool record_read(struct str octets, uint64_t salt, struct disk_record *ret, struct str *ret_payload,
	size_t *ret_size)
{
	if (!record_marked(octets, salt)) return false;
	memcpy(ret, octets.ptr, sizeof(*ret));
	if (ret->length > octets.len - sizeof(*ret)) return false;
	*ret_payload = str_of(octets.ptr + sizeof(*ret), ret->length);
	if (ret->crc != crc32c(crc32c((uint32_t)salt, signed_head(ret)), *ret_payload))
		return false;
	size_t size = record_round(sizeof(*ret) + ret->length);
	*ret_size = size < octets.len ? size : octets.len;
	return true;
}

bool take_octets(struct str *s, void *to, size_t len)
{
	if (s->len < len) return false;
	memcpy(to, s->ptr, len);
	*s = str_skip(*s, len);
	return true;
}

/* Three bits behind the leading one, sixteen powers: (8 + low) << high, in units of 16 octets.  */
uint8_t size_class(uint64_t octets)
{
	uint64_t units = (octets + 15) / 16;
	if (units < 8) units = 8;
	unsigned shift = 60 - (unsigned)__builtin_clzll(units);
	uint64_t rounded = (units + (1ull << shift) - 1) >> shift;
	if (rounded == 16) rounded = 8, shift++;
	return shift > 15 ? 127 : (uint8_t)(shift << 3 | (rounded - 8));
}

uint64_t size_of_class(uint8_t class) { return ((8ull + (class & 7)) << (class >> 3)) * 16; }
