#include "spool/history_block.h"

#include "base/code.h"

enum {
	MAGIC = 0x31484452, /* "RDH1" */
	CRC_FROM = 12,      /* what the checksum covers begins here */
	LENGTH_OCTETS = 3,  /* of a record's length */
	RECORD_MAX = (1 << 24) - 1,
	TEXT_MAX = 4096, /* longer texts are cut */
	REPEAT_MIN = 4,  /* shorter texts are not worth a reference */
};

/* Bits of a record's mask, and the order of its fields.  */
enum field {
	HAS_SENDER = 1 << 0,
	HAS_CLIENT = 1 << 1,
	HAS_HELO = 1 << 2,
	HAS_ACCOUNT = 1 << 3,
	HAS_TLS = 1 << 4,
	HAS_MESSAGE_ID = 1 << 5,
	HAS_SIZE = 1 << 6,
	HAS_RECIPIENTS = 1 << 7,
	HAS_RECIPIENT = 1 << 8,
	HAS_OUTCOME = 1 << 9,
	HAS_ELAPSED = 1 << 10,
	HAS_DUE = 1 << 11,
	HAS_OTHER_ID = 1 << 12,
};

enum { OUTCOME_REMOTE = 0x10, OUTCOME_DOUBTFUL = 0x20, OUTCOME_CLASS = 0x0f };

/* ---- numbers: seven bits an octet, the lowest first ---- */

static void add_number(struct buf *out, uint64_t v)
{
	char octets[10];
	size_t len = 0;
	for (; v > 127; v >>= 7) octets[len++] = (char)(v | 128);
	octets[len++] = (char)v;
	buf_add(out, str_of(octets, len));
}

static bool take_number(struct str *s, uint64_t *ret_v)
{
	uint64_t v = 0;
	for (size_t i = 0; i < s->len && i < 10; i++) {
		uint8_t c = (uint8_t)s->ptr[i];
		v |= (uint64_t)(c & 127) << (7 * i);
		if (c & 128) continue;
		*s = str_skip(*s, i + 1);
		*ret_v = v;
		return true;
	}
	return false;
}

/* Small differences of either sign become small numbers.  */
static void add_difference(struct buf *out, uint64_t a, uint64_t b)
{
	uint64_t d = a - b;
	add_number(out, d << 1 ^ (0 - (d >> 63)));
}

static bool take_difference(struct str *s, uint64_t from, uint64_t *ret_v)
{
	uint64_t n;
	if (!take_number(s, &n)) return false;
	*ret_v = from + (n >> 1 ^ (0 - (n & 1)));
	return true;
}

static bool take_time(struct str *s, msec from, msec *ret_v)
{
	uint64_t v;
	if (!take_difference(s, (uint64_t)from, &v)) return false;
	*ret_v = (msec)v;
	return true;
}

/* ---- texts: length * 2 and the octets, or where they stand already * 2 + 1 ---- */

/* The text that was put at a place in the records.  False when there is none, or only a
 * reference.  */
static bool text_at(struct str records, uint64_t place, struct str *ret)
{
	uint64_t n;
	if (place >= records.len) return false;
	struct str s = str_skip(records, place);
	if (!take_number(&s, &n) || n & 1 || n >> 1 > s.len) return false;
	*ret = str_head(s, n >> 1);
	return true;
}

static struct str records_of(const struct history_block *b)
{
	return str_skip(buf_str(&b->out), HISTORY_BLOCK_HEADER);
}

static void add_text(struct history_block *b, struct str s)
{
	s = str_head(s, TEXT_MAX);
	uint32_t *recent = s.len >= REPEAT_MIN ? &b->recent[str_hash(s, 0) % HISTORY_RECENT] : NULL;
	struct str before;
	if (recent && *recent && text_at(records_of(b), *recent - 1, &before) &&
		str_eq(before, s)) {
		add_number(&b->out, (uint64_t)(*recent - 1) << 1 | 1);
		return;
	}
	if (recent && buf_ok(&b->out)) *recent = (uint32_t)(b->out.len - HISTORY_BLOCK_HEADER + 1);
	add_number(&b->out, (uint64_t)s.len << 1);
	buf_add(&b->out, s);
}

static bool take_text(struct str *s, const struct history_view *v, struct str *ret)
{
	uint64_t n;
	if (!take_number(s, &n)) return false;
	if (n & 1) return text_at(v->records, n >> 1, ret);
	if (n >> 1 > s->len) return false;
	*ret = str_head(*s, n >> 1);
	*s = str_skip(*s, n >> 1);
	return true;
}

/* ---- writing ---- */

void history_block_init(struct history_block *b)
{
	*b = (struct history_block){0};
	buf_init(&b->out, HISTORY_BLOCK_MAX);
}

void history_block_release(struct history_block *b)
{
	buf_release(&b->out);
	b->count = 0;
}

void history_block_clear(struct history_block *b)
{
	buf_clear(&b->out);
	memset(b->recent, 0, sizeof(b->recent));
	b->count = 0;
}

static uint32_t mask_of(const struct history_record *r)
{
	return (r->sender.len ? HAS_SENDER : 0u) | (r->client.len ? HAS_CLIENT : 0u) |
		(r->helo.len ? HAS_HELO : 0u) | (r->account.len ? HAS_ACCOUNT : 0u) |
		(r->tls.len ? HAS_TLS : 0u) | (r->message_id.len ? HAS_MESSAGE_ID : 0u) |
		(r->size ? HAS_SIZE : 0u) | (r->recipient_count ? HAS_RECIPIENTS : 0u) |
		(r->recipient.len ? HAS_RECIPIENT : 0u) |
		(r->outcome.class != OUTCOME_NONE ? HAS_OUTCOME : 0u) |
		(r->elapsed ? HAS_ELAPSED : 0u) | (r->due ? HAS_DUE : 0u) |
		(r->other_id ? HAS_OTHER_ID : 0u);
}

static void add_outcome(struct history_block *b, const struct outcome *o)
{
	buf_add_u8(&b->out,
		(uint8_t)((unsigned)o->class | (o->remote ? OUTCOME_REMOTE : 0u) |
			(o->doubtful ? OUTCOME_DOUBTFUL : 0u)));
	add_number(&b->out, o->code);
	buf_add_u8(&b->out, o->enhanced.class);
	add_number(&b->out, o->enhanced.subject);
	add_number(&b->out, o->enhanced.detail);
	add_text(b, str_head(o->text, OUTCOME_TEXT_MAX));
	add_text(b, o->host);
	add_text(b, o->tls);
}

static void add_fields(struct history_block *b, const struct history_record *r)
{
	uint32_t mask = mask_of(r);
	buf_add_u8(&b->out, (uint8_t)r->event);
	add_difference(&b->out, r->id, b->first_id);
	add_difference(&b->out, (uint64_t)r->wall, (uint64_t)b->first_wall);
	add_number(&b->out, mask);
	if (mask & HAS_SENDER) add_text(b, r->sender);
	if (mask & HAS_CLIENT) add_text(b, r->client);
	if (mask & HAS_HELO) add_text(b, r->helo);
	if (mask & HAS_ACCOUNT) add_text(b, r->account);
	if (mask & HAS_TLS) add_text(b, r->tls);
	if (mask & HAS_MESSAGE_ID) add_text(b, r->message_id);
	if (mask & HAS_SIZE) add_number(&b->out, r->size);
	if (mask & HAS_RECIPIENTS) add_number(&b->out, r->recipient_count);
	for (uint32_t i = 0; i < r->recipient_count; i++) add_text(b, r->recipients[i]);
	if (mask & HAS_RECIPIENT) add_text(b, r->recipient);
	if (mask & HAS_OUTCOME) add_outcome(b, &r->outcome);
	if (mask & HAS_ELAPSED) add_difference(&b->out, (uint64_t)r->elapsed, 0);
	if (mask & HAS_DUE) add_difference(&b->out, (uint64_t)r->due, (uint64_t)r->wall);
	if (mask & HAS_OTHER_ID) add_difference(&b->out, r->other_id, r->id);
}

/* A record that did not fit leaves no trace; what refers to it is forgotten.  */
static bool undo(struct history_block *b, size_t len)
{
	b->out.len = len;
	b->out.failed = false;
	memset(b->recent, 0, sizeof(b->recent));
	return false;
}

bool history_block_add(struct history_block *b, const struct history_record *r)
{
	if (b->count == 0) {
		buf_clear(&b->out);
		if (!buf_reserve(&b->out, HISTORY_BLOCK_HEADER)) return undo(b, 0);
		b->out.len = HISTORY_BLOCK_HEADER;
		b->first_id = b->id_min = b->id_max = r->id;
		b->first_wall = r->wall;
	}
	size_t begin = b->out.len;
	if (!buf_reserve(&b->out, LENGTH_OCTETS)) return undo(b, begin);
	b->out.len += LENGTH_OCTETS;
	add_fields(b, r);
	size_t len = b->out.len - begin - LENGTH_OCTETS;
	if (!buf_ok(&b->out) || len > RECORD_MAX) return undo(b, begin);
	for (int i = 0; i < LENGTH_OCTETS; i++) b->out.ptr[begin + i] = (char)(len >> (8 * i));
	if (r->id < b->id_min) b->id_min = r->id;
	if (r->id > b->id_max) b->id_max = r->id;
	b->count++;
	return true;
}

/* Seeded with the length, so that it covers all of the header but the magic.  */
static uint32_t checksum(struct str block)
{
	uint32_t length = 0;
	struct str s = str_skip(block, 4);
	bool whole = take_le32(&s, &length);
	ASSERT(whole);
	return crc32c(length, str_skip(block, CRC_FROM));
}

void history_block_seal(struct history_block *b)
{
	ASSERT(b->count > 0);
	size_t records = b->out.len - HISTORY_BLOCK_HEADER;
	size_t pad = (HISTORY_BLOCK_ALIGN - records % HISTORY_BLOCK_ALIGN) % HISTORY_BLOCK_ALIGN;
	/* A buffer's memory grows by doubling: there is room for a few octets, or the block is
	 * at its maximum, which is aligned.  */
	char *at = buf_reserve(&b->out, pad);
	ASSERT(pad == 0 || at);
	if (pad) memset(at, 0, pad);
	b->out.len += pad;

	struct buf header;
	buf_init(&header, HISTORY_BLOCK_HEADER);
	buf_add_le32(&header, MAGIC);
	buf_add_le32(&header, (uint32_t)records);
	buf_add_le32(&header, 0);
	buf_add_le32(&header, b->count);
	buf_add_le64(&header, (uint64_t)b->first_wall);
	buf_add_le64(&header, b->first_id);
	buf_add_le64(&header, b->id_min);
	buf_add_le64(&header, b->id_max);
	ASSERT(buf_ok(&header) && header.len == HISTORY_BLOCK_HEADER);
	memcpy(b->out.ptr, header.ptr, header.len);
	buf_release(&header);
	uint32_t crc = checksum(buf_str(&b->out));
	for (int i = 0; i < 4; i++) b->out.ptr[8 + i] = (char)(crc >> (8 * i));
}

/* ---- reading ---- */

enum history_found history_view_begin(struct str octets, struct history_view *ret, size_t *ret_len)
{
	uint32_t magic = 0, records = 0, crc;
	uint64_t wall;
	struct str s = octets;
	*ret_len = HISTORY_BLOCK_HEADER;
	if (!take_le32(&s, &magic)) return HISTORY_SHORT;
	if (magic != MAGIC) return HISTORY_DAMAGED;
	if (octets.len < HISTORY_BLOCK_HEADER) return HISTORY_SHORT;
	struct history_view v = {0};
	bool whole = take_le32(&s, &records) && take_le32(&s, &crc) && take_le32(&s, &v.count) &&
		take_le64(&s, &wall) && take_le64(&s, &v.first_id) && take_le64(&s, &v.id_min) &&
		take_le64(&s, &v.id_max);
	ASSERT(whole);
	if (records > HISTORY_BLOCK_MAX - HISTORY_BLOCK_HEADER) return HISTORY_DAMAGED;
	*ret_len = HISTORY_BLOCK_HEADER +
		(records + HISTORY_BLOCK_ALIGN - 1u) / HISTORY_BLOCK_ALIGN * HISTORY_BLOCK_ALIGN;
	if (octets.len < *ret_len) return HISTORY_SHORT;
	v.first_wall = (msec)wall;
	v.records = str_head(s, records);
	*ret = v;
	return HISTORY_WHOLE;
}

bool history_view_check(struct str block)
{
	uint32_t crc;
	struct str s = str_skip(block, 8);
	return take_le32(&s, &crc) && crc == checksum(block);
}

static bool take_texts(
	struct str *s, const struct history_view *v, struct history_texts *texts, uint32_t count)
{
	if (count > s->len) return false; /* each takes an octet at least */
	if (count > texts->room) {
		struct str *more = realloc(texts->list, count * sizeof(*more));
		if (!more) return false;
		texts->list = more;
		texts->room = count;
	}
	for (uint32_t i = 0; i < count; i++)
		if (!take_text(s, v, &texts->list[i])) return false;
	return true;
}

static bool take_recipients(struct str *s, const struct history_view *v,
	struct history_texts *texts, struct history_record *r)
{
	uint64_t count;
	if (!take_number(s, &count) || count > s->len || !take_texts(s, v, texts, (uint32_t)count))
		return false;
	r->recipients = texts->list;
	r->recipient_count = (uint32_t)count;
	return true;
}

static bool take_short(struct str *s, uint16_t *ret)
{
	uint64_t n;
	if (!take_number(s, &n) || n > UINT16_MAX) return false;
	*ret = (uint16_t)n;
	return true;
}

static bool take_outcome(struct str *s, const struct history_view *v, struct outcome *o)
{
	uint8_t bits;
	if (!take_u8(s, &bits) || (bits & OUTCOME_CLASS) > OUTCOME_DELETED) return false;
	o->class = bits & OUTCOME_CLASS;
	o->remote = bits & OUTCOME_REMOTE;
	o->doubtful = bits & OUTCOME_DOUBTFUL;
	return take_short(s, &o->code) && take_u8(s, &o->enhanced.class) &&
		take_short(s, &o->enhanced.subject) && take_short(s, &o->enhanced.detail) &&
		take_text(s, v, &o->text) && take_text(s, v, &o->host) && take_text(s, v, &o->tls);
}

static bool take_envelope(
	struct str *s, const struct history_view *v, uint64_t mask, struct history_record *r)
{
	return (!(mask & HAS_SENDER) || take_text(s, v, &r->sender)) &&
		(!(mask & HAS_CLIENT) || take_text(s, v, &r->client)) &&
		(!(mask & HAS_HELO) || take_text(s, v, &r->helo)) &&
		(!(mask & HAS_ACCOUNT) || take_text(s, v, &r->account)) &&
		(!(mask & HAS_TLS) || take_text(s, v, &r->tls)) &&
		(!(mask & HAS_MESSAGE_ID) || take_text(s, v, &r->message_id)) &&
		(!(mask & HAS_SIZE) || take_number(s, &r->size));
}

static bool take_record(struct str s, const struct history_view *v, struct history_texts *texts,
	struct history_record *ret)
{
	struct history_record r = {0};
	uint8_t event;
	uint64_t mask;
	if (!take_u8(&s, &event) || event < HISTORY_ACCEPTED || event >= HISTORY_EVENTS)
		return false;
	r.event = event;
	if (!take_difference(&s, v->first_id, &r.id) || !take_time(&s, v->first_wall, &r.wall))
		return false;
	if (!take_number(&s, &mask) || !take_envelope(&s, v, mask, &r)) return false;
	if (mask & HAS_RECIPIENTS && !take_recipients(&s, v, texts, &r)) return false;
	if (mask & HAS_RECIPIENT && !take_text(&s, v, &r.recipient)) return false;
	if (mask & HAS_OUTCOME && !take_outcome(&s, v, &r.outcome)) return false;
	if (mask & HAS_ELAPSED && !take_time(&s, 0, &r.elapsed)) return false;
	if (mask & HAS_DUE && !take_time(&s, r.wall, &r.due)) return false;
	if (mask & HAS_OTHER_ID && !take_difference(&s, r.id, &r.other_id)) return false;
	*ret = r;
	return true;
}

bool history_view_next(
	struct history_view *v, struct history_texts *texts, struct history_record *ret)
{
	struct str rest = str_skip(v->records, v->at);
	if (rest.len < LENGTH_OCTETS) return false;
	const uint8_t *octets = (const uint8_t *)rest.ptr;
	size_t len = octets[0] | (size_t)octets[1] << 8 | (size_t)octets[2] << 16;
	rest = str_skip(rest, LENGTH_OCTETS);
	if (len > rest.len) return false;
	v->at += LENGTH_OCTETS + len;
	return take_record(str_head(rest, len), v, texts, ret);
}
