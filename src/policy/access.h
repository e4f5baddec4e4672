/* Who may connect, and who may relay.  */
#ifndef POLICY_ACCESS_H
#define POLICY_ACCESS_H

#include "base/map.h"
#include "base/net.h"

struct access_list {
	const struct net_range *ranges;
	uint32_t count;
};

/* Whether one of the ranges holds the client.  */
bool access_allows(const struct access_list *list, const struct net_address *client);

/* What clients are told apart by (IPv6: by their /64, which one customer has): text for a map's key, in `to`.  */
enum { ACCESS_KEY = 16 };
struct str access_key(const struct net_address *client, char to[ACCESS_KEY]);

/* Connections open, in all and per client (IPv6: per /64).  */
struct connection_counts {
	struct map clients;
	uint32_t total;
	uint32_t max_total, max_client;
};

enum connection_verdict { CONNECTION_WELCOME, CONNECTION_TOO_MANY, CONNECTION_TOO_MANY_OF_CLIENT };

void connections_init(struct connection_counts *c, uint64_t seed);
void connections_release(struct connection_counts *c);
/* WELCOME counts it; then connections_leave when it ends.  A client without a family is counted in all alone: one
 * that is not known (yet).  */
enum connection_verdict connections_enter(
	struct connection_counts *c, const struct net_address *client);
void connections_leave(struct connection_counts *c, const struct net_address *client);
/* What was counted as one client's is another's.  False: that one has too many; nothing is changed.  */
bool MUST_CHECK connections_move(
	struct connection_counts *c, const struct net_address *from, const struct net_address *to);

#endif
