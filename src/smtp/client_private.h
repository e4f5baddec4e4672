/* What the files of the client core share; nobody else includes this.
 *
 *	client.c          the session: life, states, events, time
 *	client_plan.c     the planned commands and their two cursors
 *	client_command.c  what a command looks like
 *	client_answer.c   what a reply to each command means
 *	client_flight.c   a transaction: envelope, content, end
 *	client_offer.c    what EHLO offered, and whether a transaction fits it  */
#ifndef SMTP_CLIENT_PRIVATE_H
#define SMTP_CLIENT_PRIVATE_H

#include "smtp/client.h"

enum {
	SMTP_WHOLE =
		UINT32_MAX, /* planned.index of DOT, BDAT: the reply speaks of all who were taken */
	SMTP_PART = UINT32_MAX - 1, /* planned.index of BDAT: not the last chunk */
	SMTP_NO_FLIGHT = UINT8_MAX, /* planned.flight of commands that belong to no transaction */
	SMTP_COMMAND_MAX = 4096,    /* octets of the longest command we make, AUTH excepted */
};

struct smtp_step_row {
	const char *awaiting; /* "waiting for ..." */
	msec timeout;
	uint8_t classes; /* first digits of replies that may answer it, as bits */
	void (*answer)(struct smtp_client *c, const struct smtp_planned *p);
};
extern const struct smtp_step_row smtp_steps[SMTP_STEPS];

/* client.c */
void smtp_client_enter(struct smtp_client *c, enum smtp_client_state next);
void smtp_client_event(struct smtp_client *c, enum smtp_client_event_type type, uint8_t flight);
/* The session is over: every recipient without outcome gets o, whose text is borrowed for the
 * call.  */
void smtp_client_fail(struct smtp_client *c, struct outcome o);
/* The same, saying QUIT to a peer that still listens.  */
void smtp_client_fail_politely(struct smtp_client *c, struct outcome o);
/* The same in our own words, deferred.  */
void smtp_client_fail_local(
	struct smtp_client *c, const char *enhanced, const char *words, struct str detail);
void smtp_client_fail_memory(struct smtp_client *c);
/* Room for n octets in the output.  */
bool smtp_client_room(struct smtp_client *c, size_t n);

/* client_plan.c */
static inline struct smtp_planned *smtp_planned_at(const struct smtp_client *c, uint32_t i)
{
	return (struct smtp_planned *)(void *)c->plan.ptr + i;
}
bool MUST_CHECK smtp_plan_reserve(struct smtp_client *c, uint32_t more);
/* Room must be reserved.  */
void smtp_plan_push(struct smtp_client *c, enum smtp_step step, uint8_t flight, uint32_t index);
/* Plan one command outside of a transaction and send it as soon as it may go.  */
void smtp_plan_command(struct smtp_client *c, enum smtp_step step);
/* A command whose octets the caller has put into the output: nothing unsent may stand before
 * it.  */
void smtp_plan_push_sent(
	struct smtp_client *c, enum smtp_step step, uint8_t flight, uint32_t index);
/* Forget what is planned and not sent.  */
void smtp_plan_cut(struct smtp_client *c);
/* Put into the output what may go.  */
void smtp_plan_pump(struct smtp_client *c);

/* client_command.c */
void smtp_command_add(struct smtp_client *c, const struct smtp_planned *p);
/* 0-initialised when the path can stand in a command.  */
struct outcome smtp_command_path_fault(struct str path, bool utf8);

/* client_answer.c */
/* One reply stands in c->reader.  */
void smtp_answer_take(struct smtp_client *c);
/* Append raw text of the peer in the form it has in an outcome.  */
void smtp_answer_add_text(struct buf *out, struct str raw);

/* client_flight.c */
static inline struct recipient *smtp_flight_recipient(const struct smtp_flight *f, uint32_t index)
{
	return &f->transaction->envelope->recipients[f->transaction->recipients[index]];
}
struct smtp_flight *smtp_flight_in(struct smtp_client *c, enum smtp_flight_phase phase);
bool smtp_flight_any(const struct smtp_client *c, enum smtp_flight_phase phase);
/* Nothing can be delivered any more.  */
bool smtp_flight_dead(const struct smtp_flight *f);
void smtp_flight_enter(struct smtp_flight *f, enum smtp_flight_phase next);
/* A copy of o whose text lives in the transaction's arena.  */
struct outcome smtp_flight_keep(struct smtp_flight *f, struct outcome o);
/* Give o, kept, to recipient index, unless it has an outcome; index SMTP_WHOLE: to all without.  */
void smtp_flight_settle(struct smtp_flight *f, uint32_t index, struct outcome o);
/* 354, or the recipients are known: content may come.  */
void smtp_flight_start_content(struct smtp_client *c, struct smtp_flight *f);
/* Something about f has changed: take it as far as it can go.  */
void smtp_flight_advance(struct smtp_client *c, struct smtp_flight *f);
/* The session has failed with o: the rest of f's recipients get it.  */
void smtp_flight_fail(struct smtp_client *c, struct smtp_flight *f, struct outcome o);

/* client_offer.c */
void smtp_offer_read(struct smtp_offer *offer, struct str ehlo_text);

#endif
