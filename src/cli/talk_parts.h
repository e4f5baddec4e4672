/* Shared by the files of talk alone: talk.c the conversation, talk_secure.c TLS and logging in, talk_trace.c what is shown.  */
#ifndef CLI_TALK_PARTS_H
#define CLI_TALK_PARTS_H

#include "cli/talk.h"

/* talk.c */
/* The server has said this / the connection is of no use any more: for the core, or who has taken over.  */
void talk_heard(struct talk *t, struct str octets);
void talk_lost(struct talk *t, struct str why);

/* talk_secure.c */
void talk_secure_configure(struct talk *t);
void talk_secure_begin(struct talk *t);
void talk_secure_received(struct talk *t, struct str octets);
bool talk_secure_send(struct talk *t, struct str plain);
void talk_secure_end(struct talk *t);
/* The conversation has failed with why.  True: in the handshake, and it is to be had again in clear.  */
bool talk_secure_failed(struct talk *t, const struct outcome *why);
/* challenge: of a 334; the first has none.  */
void talk_login_step(struct talk *t, struct str challenge);
/* Whether a login was not wanted or is believed to be one; else the conversation fails.  */
bool talk_login_done(struct talk *t);

/* talk_trace.c */
void talk_trace_begin(struct talk *t);
void talk_trace_end(struct talk *t);
/* Whole lines of what one side says; '<' the server, '>' we.  */
void talk_trace(struct talk *t, char mark, struct str octets);
/* The core's output.  */
void talk_trace_output(struct talk *t, struct str octets);
void talk_trace_note(struct talk *t, const char *what);

#endif
