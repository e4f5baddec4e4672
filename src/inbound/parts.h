/* Shared by the files of inbound/ alone.  */
#ifndef INBOUND_PARTS_H
#define INBOUND_PARTS_H

#include "base/pool.h"
#include "inbound/inbound.h"
#include "mail/draft.h"
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
	struct list sockets; /* struct socket */
	struct list sessions;
	struct connection_counts counts;
	struct guard guard; /* who guesses passwords */
	struct pool session_pool;
	struct pool transaction_pool;
	struct io_workers
		*handshakes; /* NULL until a configuration has TLS; logins run there too, and */
	struct sasl_context *sasl;
	struct inbound_stats stats;
	msec starved_told;   /* when it was logged that no descriptor or memory is left */
	uint32_t peak;       /* of sessions, since memory was last given back */
	struct list orphans; /* struct transaction: committing, and its session has gone */
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
	struct session *session; /* NULL: gone during the commit */
	struct arena arena;
	struct envelope envelope;
	uint32_t recipient_room;
	uint32_t named; /* RCPT commands accepted: aliases not counted */
	struct spool_writer writer;
	struct spool_op committed;
	struct header_watch header;
	struct draft *draft; /* the header is still gathered; NULL: content passes as it is */
	struct smtp_reply
		objection; /* to the header, said at the end of the content; code 0: none */
	bool begun;        /* the writer is open */
	bool has_id;       /* it was opened: the message has its queue id */
	bool committing;   /* arena and writer are the spool's until `committed` */
	bool refused;      /* the spool took no more */
	struct list link;  /* in inbound->orphans, or in none */
};

/* TLS of a session.  It outlives its session when that ends while the engine is on the thread.  */
struct secure {
	struct io_work work;
	struct tls *tls;
	struct buf input;        /* from the peer, not yet taken by the engine */
	struct session *session; /* NULL: gone */
	msec until;              /* the handshake's end at the latest */
	bool shaking;            /* the handshake is not done */
	bool working;            /* engine and input are the thread's */
};

struct session {
	struct io_stream stream;
	struct smtp_server smtp;
	struct inbound *inbound;
	struct office *office;
	const struct listener_options *listener;
	struct transaction *transaction; /* NULL between messages */
	struct secure *secure;           /* NULL in clear */
	struct login *login;             /* NULL but during AUTH */
	struct str account;              /* who has logged in; the session's */
	struct net_address peer;         /* the client, as far as is known */
	struct net_address origin;       /* who it was before XCLIENT */
	struct net_address counted;      /* whose connection this is counted as */
	struct buf input;   /* came while an event waited, or a part of a PROXY header */
	struct timer timer; /* fires at the core's deadline or before: then it looks again */
	struct list link;
	msec began;
	uint32_t messages;
	bool paused;   /* the spool asked to wait */
	bool fin;      /* the peer has sent all it has */
	bool closing;  /* the last reply is out; waiting for the peer to go */
	bool busy;     /* inside session_work */
	bool starting; /* 220 is said to STARTTLS */
	bool proxied;  /* a PROXY header is awaited */
	bool told;     /* XCLIENT has named another client */
};

void office_leave(struct office *office);
/* Tell `stopped` when a stop is under way and nothing is left.  */
void inbound_check_stopped(struct inbound *in);

/* A client is one too many; it has been told, or will be.  */
void inbound_refused(struct inbound *in, const struct net_address *client);

/* session.c: a client came through socket, and is counted as said.  */
void session_begin(struct inbound *in, struct socket *socket, const struct io_accepted *accepted,
	const struct net_address *counted);
/* Who the client is is known: say the banner, or have it begin TLS; octets of it may have come already.  */
void session_start(struct session *s, struct str octets);
/* Count it as this client's from now on.  False: that one has too many.  */
bool session_count(struct session *s, const struct net_address *client);
/* It is one too many of its client: 421 in place of the banner, or nothing where TLS would come first.  */
void session_refuse(struct session *s);
/* Send 421 when no verdict is awaited; close when all is said.  */
void session_shut(struct session *s);
/* Close now and forget.  */
void session_end(struct session *s);
/* Go on after a verdict: feed what was kept, send what is to be sent.  */
void session_work(struct session *s);

/* Feed octets until all are taken or an event waits.  Returns how many were taken.  */
size_t session_feed(struct session *s, struct str octets);
/* The handshake is done: SMTP begins, anew.  */
void session_secured(struct session *s);
/* Everything is said: FIN, then wait a little for the peer's.  */
void session_linger(struct session *s);

/* proxied.c: the PROXY header before the session.  */
void proxied_begin(struct session *s);
void proxied_feed(struct session *s, struct str octets);
void proxied_timeout(struct session *s);
void proxied_ended(struct session *s);

/* secure.c: TLS under the session.  */
/* Have what these rules need.  False: the system refuses.  */
bool secure_ready(struct inbound *in, const struct inbound_rules *rules);
/* The handshake is awaited from now on.  False: no memory.  */
bool secure_begin(struct session *s);
void secure_end(struct session *s);
/* Octets came (or none: go on with those kept).  False: they cannot be kept.  */
bool secure_feed(struct session *s, struct str octets);
/* After the engine has failed, or time has passed: say so, and end.  */
void secure_failed(struct session *s);
void secure_timeout(struct session *s);
/* Something came that SMTP has not seen.  */
bool secure_waiting(const struct session *s);
/* False: the connection is lost.  */
bool secure_send(struct session *s, struct str plain);
void secure_close(struct session *s);

/* What binds a login to this session, in octets; empty: nothing does.  */
enum { BINDING_MAX = TLS_UNIQUE_MAX };
struct sasl_binding secure_binding(const struct session *s, uint8_t octets[BINDING_MAX]);

/* login.c */
/* The client has guessed too often: say login_refusal.  */
bool login_refused(const struct session *s);
extern const struct smtp_reply login_refusal;
void login_event(struct session *s, const struct smtp_event *event);
void login_end(struct session *s);

/* submit.c: what is done for submission alone.  */
/* Whether who has logged in may send as address.  */
bool submit_may_send_as(const struct session *s, struct str address);
/* Whether the account may send one more message to so many recipients; code 0: it may.  take: and it does.  */
struct smtp_reply submit_limit(const struct session *s, uint32_t recipients, bool take);
/* A recipient that it named does not exist.  */
void submit_failed(const struct session *s);
/* A message of a held account is committed: it is held as well.  */
void submit_committed(const struct transaction *t);
/* Content is about to come.  False: no memory.  */
bool MUST_CHECK submit_begin(struct session *s);
/* Content has come (last: no more will) while t->draft is there.  */
void submit_feed(struct session *s, struct str octets, bool last);
void submit_end(struct transaction *t);

/* xclient.c */
void xclient_event(struct session *s, const struct smtp_event *event);
/* What XCLIENT said is forgotten.  */
void xclient_forget(struct session *s);

/* tell.c */
/* The client of the line that is being written.  */
void session_log_client(struct log *log, const struct session *s);
/* One line for each refusal, with the queue id once the message has one.  */
void tell_refusal(struct session *s, struct str address, struct smtp_reply reply);
/* The same of a command that the core has refused.  */
void tell_command(struct session *s, const struct smtp_event *event);
/* At the end of a session: how many bad commands there were.  */
void tell_errors(const struct session *s);
void tell_accepted(const struct transaction *t, uint64_t id);

/* accept.c: the verdicts.  */
/* Content goes on to the spool.  */
void session_store(struct session *s, struct str octets);
void session_event(struct session *s, const struct smtp_event *event);
void transaction_end(struct session *s);
void transaction_free(struct transaction *t);

#endif
