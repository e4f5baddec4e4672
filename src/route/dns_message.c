#include "route/dns_message.h"

enum {
	CLASS_IN = 1,
	HEADER = 12,
	FLAG_QR = 0x8000,
	FLAG_RD = 0x0100,
	FLAG_AD = 0x0020,
	RCODE = 0x000f,
	RCODE_NXDOMAIN = 3,
	NAME_WIRE_MAX = 255,
	POINTERS_MAX = 64, /* in one name */
	CNAMES_MAX = 16,
};

static void add_be16(struct buf *out, unsigned v)
{
	buf_add_u8(out, (uint8_t)(v >> 8));
	buf_add_u8(out, (uint8_t)v);
}

static void add_name(struct buf *out, struct str name)
{
	for (bool more = name.len > 0; more;) {
		struct str label;
		more = str_cut(&name, '.', &label);
		buf_add_u8(out, (uint8_t)label.len);
		buf_add(out, label);
	}
	buf_add_u8(out, 0);
}

bool dns_question_add(struct buf *out, uint16_t id, struct str name, enum dns_type type)
{
	add_be16(out, id);
	add_be16(out, FLAG_RD | FLAG_AD);
	add_be16(out, 1); /* question */
	add_be16(out, 0);
	add_be16(out, 0);
	add_be16(out, 0);
	add_name(out, name);
	add_be16(out, (unsigned)type);
	add_be16(out, CLASS_IN);
	return buf_ok(out);
}

/* ---- reading ---- */

static bool take_be16(struct str *s, uint16_t *ret)
{
	uint8_t high, low;
	if (s->len < 2 || !take_u8(s, &high) || !take_u8(s, &low)) return false;
	*ret = (uint16_t)(high << 8 | low);
	return true;
}

struct name {
	char wire[NAME_WIRE_MAX];
	size_t len;
};

static struct str name_str(const struct name *n) { return str_of(n->wire, n->len); }

/* Lengths of labels are below the letters: without regard to case the octets can be compared as
 * they are.  */
static bool same_name(const struct name *a, const struct name *b)
{
	return str_ieq(name_str(a), name_str(b));
}

/* Take a name, which may go on elsewhere in the message, from the front of *s.  */
static bool take_name(struct str message, struct str *s, struct name *ret)
{
	struct str at = *s;
	bool jumped = false;
	unsigned pointers = 0;
	uint8_t octet;
	ret->len = 0;
	for (;;) {
		if (!take_u8(&at, &octet)) return false;
		if (octet >= 0xc0) {
			uint8_t low;
			if (!take_u8(&at, &low) || ++pointers > POINTERS_MAX) return false;
			size_t place = (size_t)(octet & 0x3f) << 8 | low;
			if (!jumped) *s = at;
			jumped = true;
			if (place >= message.len) return false;
			at = str_skip(message, place);
			continue;
		}
		if (octet > 63 || at.len < octet || ret->len + octet + 1u > NAME_WIRE_MAX)
			return false;
		ret->wire[ret->len++] = (char)octet;
		if (octet == 0) break;
		memcpy(ret->wire + ret->len, at.ptr, octet);
		ret->len += octet;
		at = str_skip(at, octet);
	}
	if (!jumped) *s = at;
	return true;
}

struct record {
	struct name owner;
	uint16_t type, class;
	uint32_t ttl;
	struct str rdata;
};

static bool take_record(struct str message, struct str *s, struct record *ret)
{
	uint16_t high, low, len;
	if (!take_name(message, s, &ret->owner) || !take_be16(s, &ret->type) ||
		!take_be16(s, &ret->class))
		return false;
	if (!take_be16(s, &high) || !take_be16(s, &low) || !take_be16(s, &len) || s->len < len)
		return false;
	ret->ttl = (uint32_t)high << 16 | low;
	ret->rdata = str_head(*s, len);
	*s = str_skip(*s, len);
	return true;
}

/* rdata as it would be without compression, in arena.  */
static bool unfold(struct str message, const struct record *r, struct arena *arena, struct str *ret)
{
	size_t fixed = r->type == DNS_MX ? 2 : 0;
	if (r->type != DNS_MX && r->type != DNS_CNAME) return arena_copy(arena, r->rdata, ret);
	struct name name;
	if (r->rdata.len < fixed) return false;
	struct str s = str_skip(r->rdata, fixed);
	if (!take_name(message, &s, &name) || s.len > 0) return false;
	char wire[2 + NAME_WIRE_MAX];
	memcpy(wire, r->rdata.ptr, fixed);
	memcpy(wire + fixed, name.wire, name.len);
	return arena_copy(arena, str_of(wire, fixed + name.len), ret);
}

/* The records of an answer, to be gone through several times.  */
struct answers {
	struct str message;
	struct str records;
	uint16_t count;
};

static bool next_cname(const struct answers *a, struct name *name)
{
	struct str s = a->records;
	struct record r;
	for (uint16_t i = 0; i < a->count && take_record(a->message, &s, &r); i++) {
		if (r.type != DNS_CNAME || r.class != CLASS_IN || !same_name(&r.owner, name))
			continue;
		struct str target = r.rdata;
		return take_name(a->message, &target, name);
	}
	return false;
}

static bool collect(const struct answers *a, const struct name *name, enum dns_type type,
	struct arena *arena, struct dns_answer *ret)
{
	struct str s = a->records;
	struct record r;
	struct str *data = arena_alloc(arena, (a->count + 1u) * sizeof(*data));
	if (!data) return false;
	ret->data = data;
	for (uint16_t i = 0; i < a->count; i++) {
		if (!take_record(a->message, &s, &r)) return false;
		if (r.type != type || r.class != CLASS_IN || !same_name(&r.owner, name)) continue;
		if (!unfold(a->message, &r, arena, &data[ret->count])) return false;
		if (ret->count == 0 || r.ttl < ret->ttl) ret->ttl = r.ttl;
		ret->count++;
	}
	return true;
}

/* The header, and the question that must be the one that was asked; *s is behind them then.  */
static bool take_head(struct str message, struct str *s, struct str name, enum dns_type type,
	struct name *ret_name, uint16_t *ret_flags, uint16_t *ret_answers)
{
	uint16_t id, questions, others, asked_type, asked_class;
	struct buf wire;
	if (!take_be16(s, &id) || !take_be16(s, ret_flags) || !take_be16(s, &questions) ||
		!take_be16(s, ret_answers) || !take_be16(s, &others) || !take_be16(s, &others))
		return false;
	if (!(*ret_flags & FLAG_QR) || questions != 1 || !take_name(message, s, ret_name))
		return false;
	if (!take_be16(s, &asked_type) || !take_be16(s, &asked_class)) return false;
	buf_init(&wire, NAME_WIRE_MAX + 1);
	add_name(&wire, name);
	bool same = str_ieq(buf_str(&wire), name_str(ret_name)) && asked_type == type &&
		asked_class == CLASS_IN;
	buf_release(&wire);
	return same;
}

bool dns_answer_read(struct str message, struct str name, enum dns_type type, struct arena *arena,
	struct dns_answer *ret)
{
	struct answers a = {.message = message};
	struct str s = message;
	struct name owner;
	uint16_t flags;
	if (!take_head(message, &s, name, type, &owner, &flags, &a.count)) return false;
	a.records = s;
	*ret = (struct dns_answer){.secure = flags & FLAG_AD};
	if ((flags & RCODE) != 0 && (flags & RCODE) != RCODE_NXDOMAIN) {
		ret->result = DNS_TEMPORARY;
		ret->why = STR("the DNS server reports an error");
		return true;
	}
	char text[256] = "";
	for (int i = 0; i < CNAMES_MAX && type != DNS_CNAME && next_cname(&a, &owner); i++) {
		if (!dns_read_name(name_str(&owner), text)) text[0] = '\0';
	}
	if (!arena_copy(arena, str_from_c(text), &ret->canonical) ||
		!collect(&a, &owner, type, arena, ret))
		return false;
	ret->result = ret->count                    ? DNS_FOUND
		: (flags & RCODE) == RCODE_NXDOMAIN ? DNS_NO_NAME
						    : DNS_NO_DATA;
	return true;
}
