/* Parts of `rockdove send`.  */
#ifndef CLI_SEND_H
#define CLI_SEND_H

#include "cli/compose.h"
#include "cli/talk.h"
#include "cli/world.h"
#include "route/router.h"

enum send_until { UNTIL_END, UNTIL_EHLO, UNTIL_MAIL, UNTIL_RCPT, UNTIL_DATA };

enum { SEND_LIST_MAX = 10000, SEND_CONNECTIONS_MAX = 10000 };

struct send_options {
	struct str server; /* empty: the recipients' exchangers */
	struct str from;   /* as written; the reverse-path is the address in it */
	struct str *recipients;
	uint32_t recipient_count;
	struct str *headers, *files;
	uint32_t header_count, file_count;
	struct str subject, body, body_file, message;
	bool has_body;
	struct str helo;
	uint64_t repeat, connections;
	enum send_until until;
	enum talk_tls tls;
	bool tls_verify;
	struct str user, password_file, auth;
	bool trace;
};

struct send_group;

/* One run of it.  */
struct send {
	const char *command; /* for what is said */
	bool quiet;          /* nothing on standard output; refusals on standard error */
	struct cli_world *world;
	const struct send_options *options;
	struct smtp_client_config config;
	struct talk_security security; /* its context and its secret are the run's */
	struct composed message;
	struct envelope envelope;
	struct latency *latency;
	struct resolver *resolver;
	struct router *router;
	struct send_group *groups; /* recipients that go to the same hosts */
	uint32_t group_count;
	uint32_t running;                     /* look-ups and connections */
	uint64_t sequence;                    /* of Message-IDs */
	char token[17];                       /* of this run, for them */
	uint64_t delivered, deferred, failed; /* recipients */
	int64_t began_us;
};

/* Send as options say; the exit code.  */
int send_run(struct send *s);
/* Fill in s->envelope from the options and the message; its recipients are to be freed.  */
int send_envelope(struct send *s);
/* Append who sends, when nobody says so: this user at this machine.  */
void send_default_sender(struct buf *to, struct str hostname);
/* What one recipient got: counted, and said.  host: who said so, or "".  */
void send_report(struct send *s, struct str recipient, const struct outcome *o, const char *host);

/* --until: take over a conversation that is ready, go so far step by step, and end it; `over` comes.  */
struct send_steps {
	struct talk *talk;
	struct send *send;
	const uint32_t *recipients;
	uint32_t recipient_count;
	uint32_t at; /* replies so far */
	struct smtp_reply_reader reader;
	bool reading;
};
void send_steps_begin(struct send_steps *s);
void send_steps_raw(struct send_steps *s, struct str octets);
void send_steps_clear(struct send_steps *s);

#endif
