#include "io/linux.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

int linux_address_family(const struct net_address *a)
{
	switch (a->family) {
	case NET_IPV4: return AF_INET;
	case NET_IPV6: return AF_INET6;
	case NET_UNIX: return AF_UNIX;
	case NET_NONE: break;
	}
	return AF_UNSPEC;
}

socklen_t linux_address_to_system(const struct net_address *a, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof *ret);
	switch (a->family) {
	case NET_IPV4: {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;
		in->sin_family = AF_INET;
		in->sin_port = htons(a->port);
		memcpy(&in->sin_addr, a->octets, 4);
		return sizeof *in;
	}
	case NET_IPV6: {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(a->port);
		memcpy(&in6->sin6_addr, a->octets, 16);
		return sizeof *in6;
	}
	case NET_UNIX: {
		struct sockaddr_un *un = (struct sockaddr_un *)ret;
		size_t len = a->path ? strlen(a->path) : 0;
		if (len == 0 || len >= sizeof un->sun_path) return 0;
		un->sun_family = AF_UNIX;
		memcpy(un->sun_path, a->path, len);
		return sizeof *un;
	}
	case NET_NONE: break;
	}
	return 0;
}

void linux_address_from_system(const struct sockaddr_storage *from, struct net_address *ret)
{
	*ret = (struct net_address){.family = NET_NONE};
	if (from->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)from;
		ret->family = NET_IPV4;
		ret->port = ntohs(in->sin_port);
		memcpy(ret->octets, &in->sin_addr, 4);
	} else if (from->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
		ret->family = NET_IPV6;
		ret->port = ntohs(in6->sin6_port);
		memcpy(ret->octets, &in6->sin6_addr, 16);
	} else if (from->ss_family == AF_UNIX) {
		ret->family = NET_UNIX;
		ret->path = "";
	}
}
