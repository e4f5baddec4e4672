#include "base/net.h"

#include <arpa/inet.h>

enum { TEXT_MAX = INET6_ADDRSTRLEN };

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff}; /* ::ffff:0:0/96 */

bool net_parse(struct str s, struct net_address *ret_address)
{
	if (s.len >= 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']') {
		s = str_of(s.ptr + 1, s.len - 2);
		if (str_istarts(s, STR("IPv6:"))) {
			s = str_skip(s, 5);
			if (str_find(s, ':') == s.len) return false;
		}
	}
	char text[TEXT_MAX] = {0};
	if (s.len == 0 || s.len >= sizeof(text) || str_find(s, '\0') < s.len) return false;
	memcpy(text, s.ptr, s.len);
	struct net_address a = {.family = str_find(s, ':') < s.len ? NET_IPV6 : NET_IPV4};
	if (inet_pton(a.family == NET_IPV6 ? AF_INET6 : AF_INET, text, a.octets) != 1) return false;
	*ret_address = a;
	return true;
}

bool net_parse_port(struct str s, uint16_t port_default, struct net_address *ret_address)
{
	struct net_address a = {.family = NET_IPV4};
	if (net_parse(s, &a)) {
		a.port = port_default;
		*ret_address = a;
		return true;
	}
	size_t colon = str_rfind(s, ':');
	uint64_t port;
	if (colon == s.len || !str_to_u64(str_skip(s, colon + 1), UINT16_MAX, &port)) return false;
	struct str host = str_head(s, colon);
	/* Without brackets nobody can say where an IPv6 address ends and the port begins.  */
	if (host.len && host.ptr[0] != '[' && str_find(host, ':') < host.len) return false;
	if (host.len && !net_parse(host, &a)) return false;
	a.port = (uint16_t)port;
	*ret_address = a;
	return true;
}

bool net_parse_range(struct str s, struct net_range *ret_range)
{
	struct str host;
	bool has_bits = str_cut(&s, '/', &host);
	struct net_range range;
	if (!net_parse(host, &range.base)) return false;
	uint64_t widest = range.base.family == NET_IPV4 ? 32 : 128, bits = widest;
	if (has_bits && !str_to_u64(s, widest, &bits)) return false;
	range.bits = (uint8_t)bits;
	*ret_range = range;
	return true;
}

static bool is_mapped(const struct net_address *a)
{
	return a->family == NET_IPV6 &&
		memcmp(a->octets, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

/* IPv4 in IPv6 becomes plain IPv4.  */
static struct net_address unmapped(const struct net_address *a)
{
	if (!is_mapped(a)) return *a;
	struct net_address plain = {.family = NET_IPV4, .port = a->port};
	memcpy(plain.octets, a->octets + 12, 4);
	return plain;
}

static size_t octets_of(enum net_family family)
{
	return family == NET_IPV4 ? 4 : family == NET_IPV6 ? 16 : 0;
}

bool net_in_range(const struct net_address *a, const struct net_range *range)
{
	struct net_address host = unmapped(a), base = range->base;
	unsigned bits = range->bits;
	if (is_mapped(&base) && bits >= 96) base = unmapped(&base), bits -= 96;
	if (host.family != base.family || octets_of(host.family) == 0) return false;
	if (memcmp(host.octets, base.octets, bits / 8) != 0) return false;
	if (bits % 8 == 0) return true;
	unsigned differ = host.octets[bits / 8] ^ base.octets[bits / 8];
	return differ >> (8 - bits % 8) == 0;
}

bool net_same_host(const struct net_address *a, const struct net_address *b)
{
	struct net_address x = unmapped(a), y = unmapped(b);
	if (x.family != y.family) return false;
	if (x.family == NET_UNIX) return strcmp(x.path, y.path) == 0;
	return x.family != NET_NONE && memcmp(x.octets, y.octets, octets_of(x.family)) == 0;
}

bool net_is_loopback(const struct net_address *a)
{
	static const uint8_t one[16] = {[15] = 1};
	struct net_address host = unmapped(a);
	switch (host.family) {
	case NET_IPV4: return host.octets[0] == 127;
	case NET_IPV6: return memcmp(host.octets, one, sizeof(one)) == 0;
	case NET_UNIX: return true;
	case NET_NONE: break;
	}
	return false;
}

uint64_t net_hash_host(const struct net_address *a, uint64_t seed)
{
	struct net_address host = unmapped(a);
	if (host.family == NET_UNIX) return str_hash(str_from_c(host.path), seed);
	return str_hash(str_of(host.octets, octets_of(host.family)), seed);
}

void net_add(struct buf *out, const struct net_address *a)
{
	if (a->family == NET_UNIX) buf_add(out, str_from_c(a->path));
	if (octets_of(a->family) == 0) return;
	char text[TEXT_MAX];
	const char *made = inet_ntop(
		a->family == NET_IPV6 ? AF_INET6 : AF_INET, a->octets, text, sizeof(text));
	ASSERT(made);
	buf_add(out, str_from_c(made));
}

void net_add_port(struct buf *out, const struct net_address *a)
{
	bool v6 = a->family == NET_IPV6;
	if (v6) buf_add_c(out, '[');
	net_add(out, a);
	if (v6) buf_add_c(out, ']');
	if (v6 || a->family == NET_IPV4) buf_printf(out, ":%u", a->port);
}

void net_add_literal(struct buf *out, const struct net_address *a)
{
	struct net_address host = unmapped(a);
	buf_add(out, host.family == NET_IPV6 ? STR("[IPv6:") : STR("["));
	net_add(out, &host);
	buf_add_c(out, ']');
}
