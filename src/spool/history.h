/* The lives of messages: an append-only file of events beside the log, for `trace` and the console.  It costs no
 * sync: a crash may cut its tail, never the mail.  Kept for `keep` and `size`.  Format: doc/history.md.  */
#ifndef SPOOL_HISTORY_H
#define SPOOL_HISTORY_H

#include "base/log.h"
#include "io/file.h"
#include "mail/envelope.h"
#include "mail/status.h"

struct history;

enum history_event {
	HISTORY_ACCEPTED = 1, /* envelope, message_id */
	HISTORY_ATTEMPT,      /* outcome of one recipient, elapsed */
	HISTORY_HELD,
	HISTORY_RELEASED,
	HISTORY_RETRIED,
	HISTORY_DELETED, /* by the operator */
	HISTORY_BOUNCED, /* a DSN was queued: other_id */
	HISTORY_DELAY_TOLD,
	HISTORY_DONE,     /* no recipient is open any more */
	HISTORY_ALIAS,    /* recipient, as it was given, stood for recipients */
	HISTORY_REPORTED, /* as BOUNCED, where nothing failed: a delay, or what was asked for */
	HISTORY_EVENTS
};

struct history_record {
	enum history_event event;
	uint64_t id; /* queue id */
	msec wall;
	/* ACCEPTED; recipients also of ALIAS */
	struct str sender, client, helo, account, tls, message_id;
	uint64_t size;
	const struct str *recipients;
	uint32_t recipient_count;
	/* ATTEMPT, HELD.., ALIAS */
	struct str recipient;
	struct outcome outcome;
	msec elapsed; /* of the attempt */
	msec due;     /* wall: next attempt after a deferral */
	uint64_t other_id;
};

/* keep: 0 is not at all.  NULL when the directory cannot be used (ret_error -errno).  workers: where files are written and
 * searched.  */
struct history *history_open(struct io *io, struct io_workers *workers, const char *directory,
	msec keep, uint64_t size_max, struct log *log, int *ret_error);
/* Write what is gathered, at once.  Searches under way end without a word.  Memory may stay until the workers have ended.  */
void history_close(struct history *h);
/* Others from now on; keep 0 deletes everything.  */
void history_limits(struct history *h, msec keep, uint64_t size_max);
/* Append; borrowed for the call.  Gathered in memory, written in the background within a second or 64 KiB.  */
void history_add(struct history *h, const struct history_record *record);

/* Search on a worker.  what: a queue id, a Message-ID (with or without brackets), or a sender's or recipient's address,
 * or "@domain"; octets compare without case.  All events of at most `max` messages, newest message first, are handed to
 * `found` on the loop (borrowed), then `done`.  */
struct history_search {
	void (*found)(struct history_search *search, const struct history_record *record);
	void (*done)(struct history_search *search, int error);
	uint32_t max;
	struct history_search_private *private;
};
void history_search(struct history *h, struct history_search *search, struct str what);
/* Neither found nor done come any more; *search may go.  Harmless on one that is done, or was never begun (zeroed).  */
void history_search_cancel(struct history_search *search);

#endif
