#include "smtp/proxy.h"

enum {
	SIGNATURE = 12,
	FIXED = 16, /* signature, version and command, family, length */
	VERSION = 0x20,
	COMMAND_LOCAL = 0,
	COMMAND_PROXY = 1,
	FAMILY_LAST = 3, /* local sockets */
	TRANSPORT_STREAM = 1,
	TRANSPORT_LAST = 2,
};

static const struct str signature = STR("\r\n\r\n\0\r\nQUIT\n");
static const struct str word = STR("PROXY ");

static enum proxy_result wrong(struct proxy_header *ret, const char *why)
{
	ret->why = why;
	return PROXY_WRONG;
}

/* ---- version 1: "PROXY TCP4 192.0.2.1 192.0.2.9 56324 25\r\n" ---- */

static bool read_port(struct str s, uint16_t *ret_port)
{
	uint64_t port;
	if (!str_to_u64(s, UINT16_MAX, &port)) return false;
	*ret_port = (uint16_t)port;
	return true;
}

static bool read_addresses(struct str s, enum net_family family, struct net_address *ret_client)
{
	struct str client, server, port;
	struct net_address unused;
	uint16_t unused_port;
	if (!str_cut(&s, ' ', &client) || !str_cut(&s, ' ', &server) || !str_cut(&s, ' ', &port))
		return false;
	if (str_find(client, '[') < client.len || str_find(server, '[') < server.len) return false;
	return net_parse(client, ret_client) && ret_client->family == family &&
		net_parse(server, &unused) && unused.family == family &&
		read_port(port, &ret_client->port) && read_port(s, &unused_port);
}

static enum proxy_result read_line(struct str octets, struct proxy_header *ret)
{
	octets = str_head(octets, PROXY_LINE_MAX);
	size_t end = str_find(octets, '\n');
	if (end == octets.len)
		return end < PROXY_LINE_MAX ? PROXY_MORE : wrong(ret, "the line is too long");
	if (octets.ptr[end - 1] != '\r') return wrong(ret, "the line does not end in CRLF");
	ret->len = end + 1;
	struct str line = str_head(octets, end - 1), kind;
	line = str_skip(line, line.len < word.len ? line.len : word.len);
	str_cut(&line, ' ', &kind);
	if (str_eq(kind, STR("UNKNOWN"))) return PROXY_DONE;
	bool v4 = str_eq(kind, STR("TCP4"));
	if (!v4 && !str_eq(kind, STR("TCP6")))
		return wrong(ret, "neither TCP4 nor TCP6 nor UNKNOWN");
	struct net_address client;
	if (!read_addresses(line, v4 ? NET_IPV4 : NET_IPV6, &client))
		return wrong(ret, "bad addresses");
	ret->client = client;
	return PROXY_DONE;
}

/* ---- version 2 ---- */

static uint16_t read_be16(const char *at)
{
	return (uint16_t)((uint8_t)at[0] << 8 | (uint8_t)at[1]);
}

/* The client's address, the server's, and their ports behind both.  */
static bool take_client(struct str body, enum net_family family, struct net_address *ret_client)
{
	size_t octets = family == NET_IPV4 ? 4 : 16;
	if (body.len < 2 * octets + 4) return false;
	*ret_client =
		(struct net_address){.family = family, .port = read_be16(body.ptr + 2 * octets)};
	memcpy(ret_client->octets, body.ptr, octets);
	return true;
}

static enum proxy_result read_binary(struct str octets, struct proxy_header *ret)
{
	static const enum net_family families[] = {[1] = NET_IPV4, [2] = NET_IPV6};
	if (octets.len < FIXED) return PROXY_MORE;
	unsigned command = (uint8_t)octets.ptr[12], family = (uint8_t)octets.ptr[13] >> 4,
		 transport = (uint8_t)octets.ptr[13] & 15;
	size_t len = read_be16(octets.ptr + 14);
	if ((command & 0xf0) != VERSION) return wrong(ret, "the version is unknown");
	if ((command & 0x0f) > COMMAND_PROXY) return wrong(ret, "the command is unknown");
	if (family > FAMILY_LAST || transport > TRANSPORT_LAST)
		return wrong(ret, "the address family is unknown");
	if (len > PROXY_MAX - FIXED) return wrong(ret, "it is too long");
	if (octets.len < FIXED + len) return PROXY_MORE;
	ret->len = FIXED + len;
	bool told = (command & 0x0f) != COMMAND_LOCAL && transport == TRANSPORT_STREAM &&
		family < ARRAY_LEN(families) && families[family] != NET_NONE;
	if (!told) return PROXY_DONE;
	struct str body = str_head(str_skip(octets, FIXED), len);
	if (take_client(body, families[family], &ret->client)) return PROXY_DONE;
	return wrong(ret, "the addresses are cut short");
}

enum proxy_result proxy_read(struct str octets, struct proxy_header *ret)
{
	*ret = (struct proxy_header){0};
	size_t n = octets.len < SIGNATURE ? octets.len : SIGNATURE;
	if (str_eq(str_head(octets, n), str_head(signature, n)))
		return n < SIGNATURE ? PROXY_MORE : read_binary(octets, ret);
	n = octets.len < word.len ? octets.len : word.len;
	if (str_eq(str_head(octets, n), str_head(word, n))) return read_line(octets, ret);
	return wrong(ret, "the connection does not begin with a PROXY header");
}
