/* The PROXY header, by which a load balancer tells for whom it connects: version 1 (a line) and 2 (binary).  */
#ifndef SMTP_PROXY_H
#define SMTP_PROXY_H

#include "base/net.h"

enum {
	PROXY_LINE_MAX = 107, /* version 1, with its CRLF */
	PROXY_MAX =
		16 + 4 * 1024, /* of version 2: the addresses, and notes on TLS that nobody reads */
};

struct proxy_header {
	size_t len; /* octets of the header; what follows is the client's */
	struct net_address
		client;  /* NET_NONE: the connection is the proxy's own, or it cannot say */
	const char *why; /* PROXY_WRONG: words for people */
};

enum proxy_result { PROXY_MORE, PROXY_DONE, PROXY_WRONG };

/* Read the header that the connection begins with.
 *   octets  all that have come so far
 * Returns  PROXY_MORE until it is whole, at most PROXY_MAX octets; what is wrong is told as soon as it is seen
 * Source   The PROXY protocol, versions 1 and 2 (haproxy, doc/proxy-protocol.txt), 2.1, 2.2  */
enum proxy_result proxy_read(struct str octets, struct proxy_header *ret);

#endif
