/* What the parts of the SMTP server core share: server.c (life, lines, events), server_verbs.c
 * (commands), server_transaction.c (those that carry mail), server_content.c (DATA and BDAT),
 * server_answer.c (verdicts).  Nobody else includes this.  */
#ifndef SMTP_SERVER_PRIVATE_H
#define SMTP_SERVER_PRIVATE_H

#include "smtp/command.h"
#include "smtp/server.h"

/* As SMTP_REPLY, for objects that stay.  */
#define REPLY(c, x, y, z, literal)                                                                 \
	{                                                                                          \
		.code = (c), .enhanced = {(x), (y), (z)}, .text = STR(literal)                     \
	}

struct smtp_server_command {
	struct str line;
	struct str args;                  /* behind the verb */
	const struct smtp_reply *refusal; /* BDAT alone: it is out of order */
};

/* Go to another state; the transition matrix in server.c has to know the way.  */
void smtp_server_enter(struct smtp_server *s, enum smtp_server_state state);

static inline uint16_t smtp_server_bit(enum smtp_event_type type) { return (uint16_t)(1u << type); }

/* An event for the driver; feed stops until it is taken.  */
static inline void smtp_server_raise(struct smtp_server *s, enum smtp_event_type type)
{
	s->pending |= smtp_server_bit(type);
}
/* The same for one with a verdict, and keep the line that it speaks of.  */
void smtp_server_ask(struct smtp_server *s, enum smtp_event_type type, struct str line);

/* Put a reply into the output.  */
void smtp_server_say(struct smtp_server *s, struct smtp_reply reply);
/* The command has been answered with what begins with this: an event, when it was refused.  */
void smtp_server_tell(struct smtp_server *s, struct str said, struct str command);
/* The same for a bad command: it counts, and one too many ends the session.  */
void smtp_server_blame(struct smtp_server *s, struct smtp_reply reply);
/* One error too many: 421 and CLOSE.  */
void smtp_server_judge(struct smtp_server *s);
/* The same for one whose syntax is wrong.  */
void smtp_server_refuse(struct smtp_server *s, struct smtp_refusal refusal);
/* "421 X.Y.Z HOSTNAME Error: ..." or the like, then CLOSE.  */
void smtp_server_give_up(
	struct smtp_server *s, struct enhanced enhanced, const char *error, enum smtp_closing why);
void smtp_server_close(struct smtp_server *s, enum smtp_closing why);

/* The transaction is over: ABANDON when its content was not complete, RESET when there was one.  */
void smtp_server_forget(struct smtp_server *s);
/* The content that came will not be completed.  */
void smtp_server_abandon(struct smtp_server *s);

/* The first words of a session, and those behind XCLIENT.  */
void smtp_server_say_banner(struct smtp_server *s);
/* What a client calls itself is anybody's text: printable ASCII is kept, 255 octets of it.  */
void smtp_server_keep_helo(struct smtp_server *s, struct str name);

/* At the end of each step: close when memory, or the room for replies, ran out in it.  */
void smtp_server_settle(struct smtp_server *s);

/* The present, as of the last octets.  */
msec smtp_server_wall(const struct smtp_server *s);
struct smtp_terms smtp_server_terms(const struct smtp_server *s);

/* A whole command line, without its end.  */
void smtp_server_run(struct smtp_server *s, struct str line);
/* The verbs of a transaction, in order but for BDAT.  */
void smtp_server_mail(struct smtp_server *s, const struct smtp_server_command *c);
void smtp_server_rcpt(struct smtp_server *s, const struct smtp_server_command *c);
void smtp_server_data(struct smtp_server *s, const struct smtp_server_command *c);
void smtp_server_bdat(struct smtp_server *s, const struct smtp_server_command *c);
/* The one refusal that a client sending ahead cannot help.  */
extern const struct smtp_reply smtp_server_no_recipients;
/* A whole line of an AUTH exchange.  */
void smtp_server_auth_line(struct smtp_server *s, struct str line);
/* The event that the line in s->line asks for, once more.  */
void smtp_server_parse_asked(
	struct smtp_server *s, enum smtp_event_type type, struct smtp_event *ret_event);

/* Octets of content: DATA, and one BDAT chunk.  Return octets consumed.  */
size_t smtp_server_take_data(struct smtp_server *s, struct str octets);
size_t smtp_server_take_chunk(struct smtp_server *s, struct str octets);
/* Content is let come: for DATA, or for the chunk that chunk_left and last tell of.  */
void smtp_server_begin_data(struct smtp_server *s);
void smtp_server_begin_chunk(struct smtp_server *s);
/* With that chunk the content would still be within message_max.  */
bool smtp_server_chunk_fits(const struct smtp_server *s);
/* The chunk is not wanted, and with it the transaction: swallow it, then say so.  */
void smtp_server_refuse_chunk(struct smtp_server *s, struct smtp_reply reply);
/* The chunk is out of order: swallow it, then say so and be in state `after`.  */
void smtp_server_skip_chunk(
	struct smtp_server *s, enum smtp_server_state after, struct smtp_reply reply);

/* Append words with %{helo}, %{id} and %{hostname} put in, once.  */
void smtp_server_add_words(
	const struct smtp_server *s, struct buf *out, struct str words, struct str id);

#endif
