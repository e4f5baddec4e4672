/* A listener: where clients connect, and what its sessions are allowed.  */
#ifndef INBOUND_LISTENER_H
#define INBOUND_LISTENER_H

#include "io/io.h"
#include "policy/access.h"
#include "smtp/server.h"

enum listener_tls {
	LISTENER_TLS_OFF,
	LISTENER_TLS_STARTTLS,
	LISTENER_TLS_REQUIRED,
	LISTENER_TLS_IMPLICIT
};

struct listener_options {
	struct str name; /* "mx" */
	const struct net_address *binds;
	uint32_t bind_count;
	bool submission;
	enum listener_tls tls;
	struct smtp_words words;
	struct str data_end;
	bool normalize;
	struct access_list proxy_from;   /* load balancers: a PROXY header comes first */
	struct access_list xclient_from; /* may speak for others */
};

#endif
