/* A connection and its two sides: shared by sim_net.c (what is under way) and sim_stream.c (io.h over it).  A connection has
 * two sides; what one sends lies in the pipe towards the other: first under way, then arrived, then taken.  The descriptor
 * of a stream is 2 * connection + side.  */
#ifndef SIM_NET_PRIVATE_H
#define SIM_NET_PRIVATE_H

#include "sim/sim_net.h"

enum { PIPE_MAX = 4 << 20 };

struct net_side {
	struct machine_task task; /* something is to be told here */
	struct sim_event arrival; /* of what is under way to here */
	struct net_conn *conn;
	struct io *io;            /* the machine; NULL: it is off */
	struct io_stream *stream; /* NULL: not accepted yet, or closed */
	struct net_address address;
	struct buf pipe; /* towards here: first what has arrived */
	size_t arrived;
	bool fin, fin_arrived; /* the other side sends no more */
	int reset;             /* errno, to be told */
	bool closed;           /* nobody will read here */
	bool waiting;          /* in a listener's queue */
	bool room;             /* the other side has taken something: send on */
	int connect_error;     /* of a connect that ended; -1: none yet */
};

struct net_conn {
	struct net *net;
	int number;
	bool silent;             /* nothing arrives any more */
	struct net_side side[2]; /* who connected; who accepts */
	struct net_address to;
	enum host_fate fate;       /* what the first packet meets */
	struct sim_event reaching; /* the host */
};

struct bound {
	struct machine_task task;
	struct list link;
	struct io *io;
	struct io_listener *listener;
	struct net_address address;
	char path[108];
	struct list queue; /* of struct waiting */
};

struct waiting {
	struct list link;
	struct net_conn *conn;
};

static inline struct net_side *net_other(struct net_side *s)
{
	return &s->conn->side[s == &s->conn->side[0]];
}
static inline struct net_side *net_side_of(const struct net *net, int fd)
{
	struct net_conn *conn = net->conns[fd / 2];
	return conn ? &conn->side[fd % 2] : NULL;
}

/* Entered in the table of the network; the world ends when there is no memory.  */
struct net_conn *net_new_conn(struct net *net);
/* Free conn when nobody holds it any more.  */
void net_free_when_over(struct net_conn *conn);
void net_free_bound(struct bound *b);
struct bound *net_find_bound(struct net *net, const struct net_address *address);
int64_t net_delay(struct net *net);
/* Have the loop of s tell what there is.  */
void net_ready(struct net_side *s);
/* Let octets go on their way to `to`, as many as the window takes; returns how many.  */
size_t net_push(struct net_side *to, struct str octets);
void net_push_fin(struct net_side *to);
/* The stream ends at s with an error: what is still under way to it is lost.  */
void net_reset(struct net_side *s, int error);
/* sim_stream.c: tell the owner of a side one thing.  */
void net_tell(struct machine_task *task);

#endif
