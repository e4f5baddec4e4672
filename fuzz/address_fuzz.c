/* Addresses, domains, addresses of hosts and networks: what is read can be printed and read again.  */
#include "fuzz/fuzz.h"

#include "mail/address.h"

static bool has_high(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] & 0x80) return true;
	return false;
}

static void check_address(struct str in, bool utf8, bool bare)
{
	struct address a, again;
	if (!address_parse(in, utf8, bare, &a)) return;
	ASSERT(str_eq(a.text, in) && in.len <= ADDRESS_PATH_MAX);
	ASSERT(fuzz_within(a.local, in) && fuzz_within(a.domain, in) && a.local.len > 0);
	ASSERT(a.domain.len ? a.local.len + 1 + a.domain.len == in.len : a.local.len == in.len);
	ASSERT(bare || a.domain.len);
	ASSERT(a.utf8 == has_high(in) && (utf8 || !a.utf8));
	ASSERT(a.quoted == (a.local.ptr[0] == '"'));
	ASSERT(str_find(in, '\r') == in.len && str_find(in, '\n') == in.len);
	/* Whoever takes less takes no other.  */
	ASSERT(address_parse(in, true, true, &again) && str_eq(again.local, a.local));
	struct net_address host;
	ASSERT(a.literal == domain_literal(a.domain, &host));
	if (a.domain.len && !a.literal) ASSERT(domain_valid(a.domain, true));
	struct buf plain;
	buf_init(&plain, ADDRESS_PATH_MAX);
	ASSERT(address_local_plain(&a, &plain) && plain.len <= a.local.len);
	buf_release(&plain);
}

/* Printed and read back it is the same host.  */
static void check_host(const struct net_address *a)
{
	struct buf out;
	struct net_address again;
	buf_init(&out, 100);
	net_add(&out, a);
	ASSERT(net_parse(buf_str(&out), &again) && net_same_host(a, &again));
	ASSERT(a->family == again.family);
	buf_clear(&out);
	net_add_port(&out, a);
	ASSERT(net_parse_port(buf_str(&out), 1, &again) && net_same_host(a, &again));
	ASSERT(again.port == a->port);
	buf_clear(&out);
	net_add_literal(&out, a);
	ASSERT(domain_literal(buf_str(&out), &again) && net_same_host(a, &again));
	ASSERT(net_hash_host(a, 7) == net_hash_host(&again, 7));
	struct net_range one = {.base = *a, .bits = a->family == NET_IPV4 ? 32 : 128};
	ASSERT(buf_ok(&out) && net_in_range(a, &one));
	buf_release(&out);
}

void fuzz_one(struct str in)
{
	struct net_address host;
	struct net_range range;
	for (int i = 0; i < 4; i++) check_address(in, i & 1, i & 2);
	if (domain_valid(in, false)) ASSERT(domain_valid(in, true) && !has_high(in));
	if (domain_literal(in, &host)) check_host(&host);
	if (net_parse(in, &host)) check_host(&host);
	if (net_parse_port(in, 25, &host)) check_host(&host);
	/* IPv4 written as IPv6 counts as IPv4, so a wider network of IPv6 does not hold it.  */
	bool wide = net_parse_range(in, &range) && range.base.family == NET_IPV6 && range.bits < 96;
	if (net_parse_range(in, &range)) ASSERT(wide || net_in_range(&range.base, &range));
}
