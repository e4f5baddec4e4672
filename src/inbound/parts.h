/* Shared by the files of inbound/ alone.  */
#ifndef INBOUND_PARTS_H
#define INBOUND_PARTS_H

#include "base/pool.h"
#include "inbound/inbound.h"
#include "mail/header.h"

/* One configuration in office, or that has sessions left.  */
struct office {
	struct inbound_rules rules;
	struct smtp_server_config *smtp; /* one for each listener of the rules */
	uint32_t users;                  /* sessions, and the inbound while it is the newest */
};

struct inbound {
	struct inbound_parts parts;
	struct office *office;
	struct list sockets;   /* struct socket */
	struct list sessions;
	struct connection_counts counts;
	struct pool session_pool;
	struct pool transaction_pool;
	struct inbound_stats stats;
	msec starved_told;           /* when it was logged that no descriptor or memory is left */
	uint32_t peak;               /* of sessions, since memory was last given back */
	struct list orphans;         /* struct transaction: committing, and its session has gone */
	bool stopping;
	void (*stopped)(void *context);
	void *context;
};

/* One bound address.  */
struct socket {
	struct io_listener listener;
	struct inbound *inbound;
	struct net_address address; /* as configured */
	struct net_address bound;   /* with the port that was chosen */
	uint32_t listener_index;    /* in the office's rules */
	struct list link;
};

/* A message that is coming in.  It outlives its session when that ends during the commit.  */
struct transaction {
	struct inbound *inbound;
	struct session *session;     /* NULL: gone during the commit */
	struct arena arena;
	struct envelope envelope;
	uint32_t recipient_room;
	uint32_t named;              /* RCPT commands accepted: aliases not counted */
	struct spool_writer writer;
	struct spool_op committed;
	struct header_watch header;
	bool begun;                  /* the writer is open */
	bool has_id;                 /* it was opened: the message has its queue id */
	bool committing;             /* arena and writer are the spool's until `committed` */
	bool refused;                /* the spool took no more */
	struct list link;            /* in inbound->orphans, or in none */
};

struct session {
	struct io_stream stream;
	struct smtp_server smtp;
	struct inbound *inbound;
	struct office *office;
	const struct listener_options *listener;
	struct transaction *transaction; /* NULL between messages */
	struct net_address peer;
	struct buf input;                /* came while an event waited */
	struct timer timer;              /* fires at the core's deadline or before: then it looks again */
	struct list link;
	msec began;
	uint32_t messages;
	bool paused;                     /* the spool asked to wait */
	bool fin;                        /* the peer has sent all it has */
	bool closing;                    /* the last reply is out; waiting for the peer to go */
	bool busy;                       /* inside session_work */
};

void office_leave(struct office *office);
/* Tell `stopped` when a stop is under way and nothing is left.  */
void inbound_check_stopped(struct inbound *in);

/* session.c: a client came through socket.  */
void session_begin(struct inbound *in, struct socket *socket, const struct io_accepted *accepted);
/* Send 421 when no verdict is awaited; close when all is said.  */
void session_shut(struct session *s);
/* Close now and forget.  */
void session_end(struct session *s);
/* Go on after a verdict: feed what was kept, send what is to be sent.  */
void session_work(struct session *s);

/* accept.c: the verdicts.  */
void session_event(struct session *s, const struct smtp_event *event);
void transaction_end(struct session *s);
void transaction_free(struct transaction *t);

#endif
