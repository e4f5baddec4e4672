/* Addresses of hosts as values: IPv4, IPv6, and a path for a local socket; networks in CIDR form.  */
#ifndef BASE_NET_H
#define BASE_NET_H

#include "base/buf.h"

enum net_family { NET_NONE, NET_IPV4, NET_IPV6, NET_UNIX };

struct net_address {
	enum net_family family;
	uint16_t port;      /* host order */
	uint8_t octets[16]; /* IPv4 uses the first four */
	const char *path;   /* NET_UNIX: kept by the caller, NUL-terminated */
};

struct net_range {
	struct net_address base;
	uint8_t bits;
};

/* An address without port: "192.0.2.1", "2001:db8::1", and those in brackets, "[IPv6:...]" too.  */
bool net_parse(struct str s, struct net_address *ret_address);
/* "ADDR:PORT", "[ADDR6]:PORT", ":PORT" (any IPv4), "ADDR" with port_default.  Numeric only.  */
bool net_parse_port(struct str s, uint16_t port_default, struct net_address *ret_address);
/* "10.0.0.0/8", "::1".  */
bool net_parse_range(struct str s, struct net_range *ret_range);

/* IPv4 in IPv6 (::ffff:a.b.c.d) counts as IPv4 in all of these.  */
bool net_in_range(const struct net_address *a, const struct net_range *range);
bool net_same_host(const struct net_address *a, const struct net_address *b);
/* 127.0.0.0/8, ::1, and every path; not 0.0.0.0 and ::.  */
bool net_is_loopback(const struct net_address *a);
uint64_t net_hash_host(const struct net_address *a, uint64_t seed);

/* Append the address: "192.0.2.1", "2001:db8::1" / with port: "192.0.2.1:25", "[2001:db8::1]:25";
 * a path as it is.  */
void net_add(struct buf *out, const struct net_address *a);
void net_add_port(struct buf *out, const struct net_address *a);
/* Append as in an address literal (RFC 5321 4.1.3): "[192.0.2.1]", "[IPv6:2001:db8::1]".  */
void net_add_literal(struct buf *out, const struct net_address *a);

#endif
