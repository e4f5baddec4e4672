/* What the town knows of each letter, and the promises that are judged by it.  The ledger sees what clients were told and
 * what next hops, mailboxes and senders got; it sees nothing of the server.  */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include "sim/judge.h"
#include "sim/sim_net.h"

enum { LETTER_RECIPIENTS = 6, LETTER_DELIVERIES = 24 };

enum letter_fate {
	LETTER_UNSENT,   /* its end was never sent: nobody may get it */
	LETTER_SENT,     /* and no reply came: anything may be */
	LETTER_ACCEPTED, /* 250 */
	LETTER_REFUSED,
};

enum letter_kind {
	LETTER_PLAIN,
	LETTER_8BIT,      /* BODY=8BITMIME and such octets */
	LETTER_SMUGGLING, /* an end that is none; what follows it are commands */
};

/* The reply by which somebody took a letter: the server has read it when it has taken that many octets.  */
struct receipt {
	int conn, side;
	uint64_t end; /* of the reply in the stream; 0: there was none */
};

struct delivery {
	uint8_t recipient;
	int64_t at_us;
	struct receipt receipt;
};

struct letter {
	uint64_t number;
	enum letter_kind kind;
	enum letter_fate fate;
	bool null_sender, never; /* NOTIFY=NEVER */
	uint32_t size;           /* about */
	uint32_t recipient_count;
	char recipients[LETTER_RECIPIENTS][64];
	bool local[LETTER_RECIPIENTS];
	bool taken[LETTER_RECIPIENTS]; /* RCPT was answered 250 */
	int64_t begun_us;              /* it grows old from here */
	int64_t accepted_us;
	int64_t sent_us;
	/* Reasons to return it, as the world gave them.  */
	bool may_fail[LETTER_RECIPIENTS];
	bool report_refused; /* the sender's host did not want the report */
	uint32_t failed[LETTER_RECIPIENTS], delayed[LETTER_RECIPIENTS],
		delivered[LETTER_RECIPIENTS];
	int64_t failed_us[LETTER_RECIPIENTS];
	struct receipt failed_receipt[LETTER_RECIPIENTS], delayed_receipt[LETTER_RECIPIENTS];
	struct delivery deliveries[LETTER_DELIVERIES];
	uint32_t delivery_count;
};

struct ledger {
	struct world *world;
	const struct net *net;
	struct letter *letters; /* number 1 first */
	uint64_t count, room;
	struct ledger_crash {
		int64_t at_us;
		bool kill; /* of the process alone: it has forgotten nothing that it had learnt */
		bool disk_faults;
	} crashes[1024];
	uint32_t crash_count, started; /* the server ran after so many of them */
	bool disk_faults;              /* what the server recorded may stay in doubt for long */
	int64_t lifetime_us;
	uint64_t compared, duplicates, reports;
};

void ledger_init(struct ledger *l, struct world *world, const struct net *net);
void ledger_release(struct ledger *l);
struct letter *ledger_letter(struct ledger *l); /* a new one */
void ledger_crashed(struct ledger *l, bool kill);
/* The server runs: what a killed process left in memory is on the disk.  */
void ledger_started(struct ledger *l);

/* The letter (r1.0@...) or the sender (s1@...) an address belongs to; NULL: neither.  */
struct letter *ledger_find(
	struct ledger *l, struct str address, char kind, uint32_t *ret_recipient);

/* A next hop or mailbox has it.  recipient: its place in the letter.  */
void ledger_delivered(
	struct ledger *l, struct letter *letter, uint32_t recipient, const struct receipt *receipt);
/* It lies in a mailbox when all is over.  */
void ledger_in_mailbox(struct ledger *l, struct letter *letter, uint32_t recipient);
/* The content somebody got; tells what is wrong.  unix: line ends.  */
void ledger_compare(struct ledger *l, const struct letter *letter, struct str content, bool is_unix,
	bool recoded);
/* A report about a message of ours came to its sender.  */
void ledger_reported(
	struct ledger *l, struct letter *letter, struct str report, const struct receipt *receipt);
/* Everything is over: every letter must have come to its end.  */
void ledger_settle(struct ledger *l);

/* letter.c: the octets of a letter.  */
void letter_content(const struct letter *letter, struct buf *out);
void letter_sender(const struct letter *letter, struct buf *out);
/* Choose everything about a letter.  */
void letter_invent(struct letter *letter, struct rng *rng, char (*domains)[32],
	uint32_t domain_count, double odd);

#endif
