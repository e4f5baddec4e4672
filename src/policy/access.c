#include "policy/access.h"

bool access_allows(const struct access_list *list, const struct net_address *client)
{
	for (uint32_t i = 0; i < list->count; i++)
		if (net_in_range(client, &list->ranges[i])) return true;
	return false;
}

struct client {
	struct map_node node;
	uint32_t open;
	char key[ACCESS_KEY];
};

/* In hexadecimal, because a map takes keys that differ in the case of letters for one.  All
 * that come by a local socket are one client.  */
struct str access_key(const struct net_address *a, char to[ACCESS_KEY])
{
	static const struct net_range all_ipv4 = {.base = {.family = NET_IPV4}};
	const uint8_t *octets = a->octets;
	size_t count = a->family == NET_IPV6 ? 8 : a->family == NET_IPV4 ? 4 : 0;
	/* IPv4 in IPv6: all of it would be one /64.  */
	if (a->family == NET_IPV6 && net_in_range(a, &all_ipv4)) octets += 12, count = 4;
	for (size_t i = 0; i < count; i++) {
		to[2 * i] = "0123456789abcdef"[octets[i] >> 4];
		to[2 * i + 1] = "0123456789abcdef"[octets[i] & 15];
	}
	return str_of(to, 2 * count);
}

static struct client *client_find(
	const struct connection_counts *c, const struct net_address *client)
{
	char key[ACCESS_KEY];
	struct map_node *node = map_find(&c->clients, access_key(client, key));
	return node ? CONTAINER_OF(node, struct client, node) : NULL;
}

static struct client *client_new(struct connection_counts *c, const struct net_address *client)
{
	struct client *new = calloc(1, sizeof(*new));
	if (!new) return NULL;
	if (map_insert(&c->clients, &new->node, access_key(client, new->key))) return new;
	free(new);
	return NULL;
}

void connections_init(struct connection_counts *c, uint64_t seed)
{
	*c = (struct connection_counts){0};
	map_init(&c->clients, seed);
}

void connections_release(struct connection_counts *c)
{
	for (struct map_node *node; (node = map_next(&c->clients, NULL));) {
		map_remove(&c->clients, node);
		free(CONTAINER_OF(node, struct client, node));
	}
	map_release(&c->clients);
}

static enum connection_verdict count(struct connection_counts *c, const struct net_address *client)
{
	if (client->family == NET_NONE) return CONNECTION_WELCOME;
	struct client *known = client_find(c, client);
	if ((known ? known->open : 0) >= c->max_client) return CONNECTION_TOO_MANY_OF_CLIENT;
	if (!known) known = client_new(c, client);
	if (!known) return CONNECTION_TOO_MANY;
	known->open++;
	return CONNECTION_WELCOME;
}

static void uncount(struct connection_counts *c, const struct net_address *client)
{
	if (client->family == NET_NONE) return;
	struct client *known = client_find(c, client);
	ASSERT(known && known->open > 0);
	if (--known->open > 0) return;
	map_remove(&c->clients, &known->node);
	free(known);
}

enum connection_verdict connections_enter(
	struct connection_counts *c, const struct net_address *client)
{
	if (c->total >= c->max_total) return CONNECTION_TOO_MANY;
	enum connection_verdict verdict = count(c, client);
	if (verdict == CONNECTION_WELCOME) c->total++;
	return verdict;
}

void connections_leave(struct connection_counts *c, const struct net_address *client)
{
	ASSERT(c->total > 0);
	uncount(c, client);
	c->total--;
}

bool connections_move(
	struct connection_counts *c, const struct net_address *from, const struct net_address *to)
{
	if (count(c, to) != CONNECTION_WELCOME) return false;
	uncount(c, from);
	return true;
}
