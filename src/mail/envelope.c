/* On disk, little-endian; a string is its length (le32) and its octets:
 *
 *	u8 version, le32 flags, le64 size, le64 created, le64 hold_until
 *	u8 family, le16 port, 16 octets of address, string path
 *	string reverse_path, envid, helo, account, tls
 *	le32 recipients, then for each: u8 notify, string address, original, orcpt  */
#include "mail/envelope.h"

enum { VERSION = 1, RECIPIENT_LEAST = 1 + 3 * 4 };

bool envelope_encode(struct buf *out, const struct envelope *e)
{
	buf_add_u8(out, VERSION);
	buf_add_le32(out, e->flags);
	buf_add_le64(out, e->size);
	buf_add_le64(out, (uint64_t)e->created);
	buf_add_le64(out, (uint64_t)e->hold_until);
	buf_add_u8(out, (uint8_t)e->client.family);
	buf_add_le16(out, e->client.port);
	buf_add(out, str_of(e->client.octets, sizeof(e->client.octets)));
	buf_add_lestr(out, str_from_c(e->client.path));
	buf_add_lestr(out, e->reverse_path);
	buf_add_lestr(out, e->envid);
	buf_add_lestr(out, e->helo);
	buf_add_lestr(out, e->account);
	buf_add_lestr(out, e->tls);
	buf_add_le32(out, e->recipient_count);
	for (uint32_t i = 0; i < e->recipient_count; i++) {
		const struct recipient *r = &e->recipients[i];
		buf_add_u8(out, r->notify);
		buf_add_lestr(out, r->address);
		buf_add_lestr(out, r->original);
		buf_add_lestr(out, r->orcpt);
	}
	return buf_ok(out);
}

static bool take_msec(struct str *s, msec *ret_ms)
{
	uint64_t ms;
	if (!take_le64(s, &ms)) return false;
	*ret_ms = (msec)ms;
	return true;
}

/* Most strings are empty: those cost nothing.  */
static bool copy(struct arena *arena, struct str s, struct str *ret_copy)
{
	*ret_copy = STR_NONE;
	return s.len == 0 || arena_copy(arena, s, ret_copy);
}

static bool take_copy(struct str *s, struct arena *arena, struct str *ret_copy)
{
	struct str borrowed;
	return take_lestr(s, &borrowed) && copy(arena, borrowed, ret_copy);
}

static bool take_client(struct str *s, struct arena *arena, struct net_address *ret)
{
	struct net_address a = {0};
	uint8_t family;
	struct str path;
	if (!take_u8(s, &family) || family > NET_UNIX || !take_le16(s, &a.port)) return false;
	if (s->len < sizeof(a.octets)) return false;
	memcpy(a.octets, s->ptr, sizeof(a.octets));
	*s = str_skip(*s, sizeof(a.octets));
	if (!take_copy(s, arena, &path)) return false;
	a.family = family;
	a.path = family == NET_UNIX && !path.ptr ? "" : path.ptr;
	*ret = a;
	return true;
}

static bool take_recipients(struct str *s, struct arena *arena, struct envelope *e)
{
	if (!take_le32(s, &e->recipient_count)) return false;
	/* A damaged count asks for no more memory than the octets that are there could fill.  */
	if (e->recipient_count > s->len / RECIPIENT_LEAST) return false;
	if (e->recipient_count == 0) return true;
	e->recipients = arena_alloc(arena, e->recipient_count * sizeof(*e->recipients));
	if (!e->recipients) return false;
	for (uint32_t i = 0; i < e->recipient_count; i++) {
		struct recipient *r = &e->recipients[i];
		if (!take_u8(s, &r->notify) || !take_copy(s, arena, &r->address) ||
			!take_copy(s, arena, &r->original) || !take_copy(s, arena, &r->orcpt))
			return false;
	}
	return true;
}

bool envelope_decode(struct str *from, struct arena *arena, struct envelope *ret)
{
	struct str s = *from;
	struct envelope e = {0};
	uint8_t version;
	if (!take_u8(&s, &version) || version != VERSION) return false;
	if (!take_le32(&s, &e.flags) || !take_le64(&s, &e.size)) return false;
	if (!take_msec(&s, &e.created) || !take_msec(&s, &e.hold_until)) return false;
	if (!take_client(&s, arena, &e.client)) return false;
	if (!take_copy(&s, arena, &e.reverse_path) || !take_copy(&s, arena, &e.envid) ||
		!take_copy(&s, arena, &e.helo) || !take_copy(&s, arena, &e.account) ||
		!take_copy(&s, arena, &e.tls))
		return false;
	if (!take_recipients(&s, arena, &e)) return false;
	*from = s;
	*ret = e;
	return true;
}

bool envelope_copy(const struct envelope *e, struct arena *arena, struct envelope *ret)
{
	struct envelope to = *e;
	struct str path = STR_NONE;
	if (!copy(arena, e->reverse_path, &to.reverse_path) || !copy(arena, e->envid, &to.envid) ||
		!copy(arena, e->helo, &to.helo) || !copy(arena, e->account, &to.account) ||
		!copy(arena, e->tls, &to.tls))
		return false;
	if (e->client.path && !arena_copy(arena, str_from_c(e->client.path), &path)) return false;
	to.client.path = path.ptr;
	to.recipients = NULL;
	if (e->recipient_count) {
		to.recipients = arena_alloc(arena, e->recipient_count * sizeof(*to.recipients));
		if (!to.recipients) return false;
	}
	for (uint32_t i = 0; i < e->recipient_count; i++) {
		const struct recipient *r = &e->recipients[i];
		struct recipient *t = &to.recipients[i];
		t->notify = r->notify;
		if (!copy(arena, r->address, &t->address) ||
			!copy(arena, r->original, &t->original) ||
			!copy(arena, r->orcpt, &t->orcpt))
			return false;
	}
	*ret = to;
	return true;
}
