/* A network between machines: streams that are delayed, split anywhere, cut, reset, left half open; hosts that refuse, are
 * silent, or are beyond a partition.  */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "sim/sim_io.h"

/* What befalls streams; chances are per arrival unless said otherwise.  */
struct net_traits {
	int64_t delay_us; /* at most so long under way, mostly less */
	double slow;      /* a hundred times as long */
	double split;     /* only a part of what is under way arrives */
	double reset;     /* the stream is reset instead */
	double cut;       /* nothing arrives any more, on neither way; nobody is told */
	uint32_t window;  /* octets under way or unread before a sender has to wait */
};

enum host_fate { HOST_THERE, HOST_REFUSES, HOST_UNREACHABLE, HOST_SILENT };

struct net_side;
struct net_conn;

struct net {
	struct world *world;
	struct net_traits traits;
	struct rng rng;
	struct list listeners;   /* struct bound */
	struct net_conn **conns; /* by number; NULL: over */
	int conn_count, conn_room;
	struct net_taken { /* what each side has taken, by 2 * connection + side */
		uint64_t octets;
		int64_t at_us; /* the last of it */
	} * taken;
	uint16_t next_port;
	/* What a connection from -> to meets now.  */
	enum host_fate (*fate)(
		void *context, const struct net_address *from, const struct net_address *to);
	void *context;
	uint64_t connects, resets, octets;
};

void net_init(struct net *net, struct world *world, uint64_t seed);
void net_release(struct net *net);
/* The machine is off: its listeners are gone; its peers learn of it when they send, much later, or never.  */
void net_machine_gone(struct net *net, struct io *io);
/* Streams that are under way go on without trouble from now on.  */
void net_heal(struct net *net);
/* What a side of a connection has read, also when it is over.  */
const struct net_taken *net_taken(const struct net *net, int conn, int side);
/* Connections that the machine has made to 10.0.HOST.1 and not closed.  */
uint32_t net_connected(const struct net *net, const struct io *io, uint32_t host);

#endif
