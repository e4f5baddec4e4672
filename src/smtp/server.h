/* The SMTP server's side of one connection, pure: octets in, events out, answers in, octets out.
 *
 * The driver loops:
 *
 *	while (octets.len) {
 *		octets = str_skip(octets, smtp_server_feed(s, now, octets));
 *		while (smtp_server_next(s, &event)) { ... smtp_server_answer(s, reply); }
 *		send smtp_server_output(s), then smtp_server_sent(s, n)
 *	}
 *
 * An event that wants a verdict (see the enum) keeps feed from consuming until
 * smtp_server_answer; the answer may come at once or much later.  Replies leave in the order of
 * the commands.  Syntax, order and limits of the protocol are decided here and never seen
 * outside; what needs the world (who may, is there room, is it on disk) is an event.
 *
 * Memory: the struct, plus a line buffer while a line is incomplete, plus the output while
 * unsent, plus the client's name.  */
#ifndef SMTP_SERVER_H
#define SMTP_SERVER_H

#include "base/clock.h"
#include "mail/address.h"
#include "mail/envelope.h"
#include "smtp/body.h"
#include "smtp/reply.h"

/* Words in place of the standard text of a reply; empty: standard.  %{helo} %{id} %{hostname} are
 * put in.  */
struct smtp_words {
	struct str banner, helo, mail, rcpt, data, queued, quit;
};

/* Shared by all sessions of a listener; kept by the caller as long as a session lives.  */
struct smtp_server_config {
	struct str hostname;
	struct smtp_words words;
	struct str data_end; /* one more line that ends DATA; empty: none */
	bool normalize;      /* bare_newline = normalize */
	bool offer_starttls;
	bool tls_required; /* MAIL before TLS: 530 5.7.0 */
	bool submission;   /* AUTH is needed before MAIL (530 5.7.0); FUTURERELEASE is offered */
	struct str auth_plain; /* mechanisms offered in clear ("" usually) and */
	struct str auth_tls;   /* under TLS, "PLAIN LOGIN SCRAM-SHA-256"; empty: not offered, */
	struct str auth_bound; /* and under TLS that can bind a login to itself */
	uint64_t message_max;  /* octets; SIZE */
	uint32_t recipients_max;
	uint32_t errors_max; /* bad commands before 421 */
	msec timeout;        /* of silence */
	msec hold_max;       /* FUTURERELEASE: the longest hold, 0: not offered, */
	msec wall_ahead;     /* and wall time less monotonic time, kept right by the caller */
};

/* What the driver learns, and is asked.  After a DATA that was let come exactly one of END and
 * ABANDON follows.  */
enum smtp_event_type {
	/* No verdict.  helo, esmtp.  */
	SMTP_EVENT_HELO,
	/* Verdict.  path, size (declared, 0: not), and the parameters of the envelope.  */
	SMTP_EVENT_MAIL,
	/* Verdict.  path, notify, orcpt.  */
	SMTP_EVENT_RCPT,
	/* Verdict: 354, or any 2xx or 3xx, lets the content come.  Also at the first BDAT.  */
	SMTP_EVENT_DATA,
	/* No verdict.  chunk: content, decoded, borrowed until the next feed.  */
	SMTP_EVENT_CHUNK,
	/* Verdict: the message is complete; answer 250 with the id as text.  size, flags.  */
	SMTP_EVENT_END,
	/* No verdict: the content that came will not be completed (a fault, too large, RSET, HELO,
	 * closing); forget it.  */
	SMTP_EVENT_ABANDON,
	/* No verdict: forget the transaction (RSET, HELO, a refused content, END was answered).  */
	SMTP_EVENT_RESET,
	/* Verdict: 220, then the driver starts TLS and calls smtp_server_secured.  What came in
	 * clear behind the command is to be fed: it ends the session.  */
	SMTP_EVENT_STARTTLS,
	/* Verdict: mechanism and, with has_initial, response; or, without mechanism, a further
	 * response.  Answer 334 with a challenge (base64) as text, 235, or 5xx.  */
	SMTP_EVENT_AUTH,
	/* Verdict: attributes.  At 220 all that was said is forgotten, and the session begins anew.  */
	SMTP_EVENT_XCLIENT,
	/* No verdict: MAIL, RCPT, DATA, BDAT or AUTH was refused here and not for its syntax.  refusal: the reply
	 * that was said, command: the line (of AUTH only the verb).  */
	SMTP_EVENT_REFUSED,
	/* No verdict: send the output, then close.  closing: why.  */
	SMTP_EVENT_CLOSE,
};

enum smtp_closing {
	SMTP_CLOSE_QUIT,
	SMTP_CLOSE_ERRORS,
	SMTP_CLOSE_TIMEOUT,
	SMTP_CLOSE_ANSWER,
	SMTP_CLOSE_PROTOCOL
};

struct smtp_event {
	enum smtp_event_type type;
	struct address path;   /* MAIL, RCPT; MAIL: path.text empty is the null reverse-path */
	uint64_t size;         /* MAIL; END: octets of content */
	uint32_t flags;        /* MAIL: ENVELOPE_8BIT BINARY UTF8 REQUIRETLS RET_FULL RET_HDRS;
	                      * END: the same, and ENVELOPE_8BIT when octets over 127 came */
	struct str envid;      /* MAIL */
	struct str auth_param; /* MAIL AUTH=, xtext, empty: absent */
	msec hold_for;         /* MAIL: FUTURERELEASE, ms from now; 0 none */
	msec hold_until;       /* MAIL: the same as a wall time; 0 none */
	uint8_t notify;        /* RCPT */
	struct str orcpt;      /* RCPT */
	struct str chunk;      /* CHUNK */
	struct str helo;       /* HELO */
	bool esmtp;            /* HELO */
	struct str mechanism;  /* AUTH: upper case; empty: a further response */
	struct str response; /* AUTH: base64 as received, "=" given as empty; "*" never gets here */
	bool has_initial;    /* AUTH */
	struct str attributes;     /* XCLIENT: what smtp_xclient_parse takes */
	struct smtp_reply refusal; /* REFUSED */
	struct str command;        /* REFUSED */
	enum smtp_closing closing; /* CLOSE */
}; /* strings are borrowed until the event is answered, or until the next feed */

enum smtp_server_state {
	SMTP_SERVER_GREETING, /* before the banner */
	SMTP_SERVER_FRESH,    /* no HELO yet */
	SMTP_SERVER_READY,    /* HELO was said */
	SMTP_SERVER_MAIL,     /* MAIL was taken */
	SMTP_SERVER_RCPT,     /* at least one RCPT was taken */
	SMTP_SERVER_DATA,     /* content of DATA comes */
	SMTP_SERVER_BDAT,     /* between BDAT chunks */
	SMTP_SERVER_CHUNK,    /* content of one BDAT chunk comes */
	SMTP_SERVER_AUTH,     /* an AUTH exchange */
	SMTP_SERVER_CLOSED,
	SMTP_SERVER_STATES
};

struct smtp_server {
	const struct smtp_server_config *config;
	enum smtp_server_state state;
	uint32_t errors;     /* bad commands so far */
	uint32_t recipients; /* taken, in this transaction */

	/* The rest is private to server.c and its parts, but for the accessors below.  */
	uint32_t flags;      /* ENVELOPE_* of this transaction, as MAIL said */
	uint16_t pending;    /* events that next will give, a bit each */
	uint16_t awaited;    /* the event whose verdict is awaited, its bit; 0: none */
	uint8_t closing;     /* enum smtp_closing */
	uint8_t after_chunk; /* state behind a chunk that is refused */
	bool esmtp : 1;
	bool secured : 1;
	bool xclient : 1; /* the client may speak for others */
	bool bound : 1;   /* TLS has a channel binding */
	bool authenticated : 1;
	bool tls_begins : 1; /* 220 was said to STARTTLS: what comes in clear is not the client's */
	bool skip_line : 1;  /* the line is too long: its rest is dropped */
	bool content : 1;    /* content has begun, and neither END nor ABANDON was said */
	bool too_large : 1;
	bool dead : 1;       /* a chunk was refused: nothing but RSET helps */
	bool skip_chunk : 1; /* the chunk that comes is swallowed, then `late` is said */
	bool last : 1;       /* the chunk that comes is the last one */
	bool shutting : 1;   /* say what is in `late` and close, when the verdict is in */
	bool no_memory : 1;  /* something could not be kept or said: the session ends */
	bool answered : 1;   /* a verdict was given since octets came */
	msec heard;          /* when octets came last */
	struct buf out;
	struct buf line; /* a line not yet whole, or the one that the awaited event borrows from */
	struct buf helo;
	struct buf late;    /* a reply that has to wait: for a chunk's end, or for the verdict */
	struct str chunk;   /* what SMTP_EVENT_CHUNK gives */
	struct buf refusal; /* what SMTP_EVENT_REFUSED gives: the reply's line, LF, the command */
	struct body_decoder body;
	uint64_t chunk_size, chunk_left;
};

/* So many octets of replies may be unsent.  No client that means well asks for more at once: past
 * it the session ends with 421.  */
enum { SMTP_SERVER_OUT_MAX = 256 * 1024 };

void smtp_server_init(struct smtp_server *s, const struct smtp_server_config *config);
void smtp_server_release(struct smtp_server *s);

/* Put the banner into the output, starting the clock; or, with `instead` (421, 554), that and
 * CLOSE.  */
void smtp_server_greet(struct smtp_server *s, msec now, const struct smtp_reply *instead);

/* Take bytes received from the peer.
 *   now    monotonic time, ms; never less than in an earlier call
 *   bytes  borrowed for this call; any split of the stream gives the same events
 * Returns  octets consumed, 0..bytes.len; fewer while an event waits for its answer or to be
 *          taken, and before the greeting
 * Errors   none: a violation by the peer becomes a reply (500, 501, 503, 554)
 * Source   RFC 5321 4.1.1, 4.5.3.1; RFC 2920 3.1; RFC 3030 2  */
size_t smtp_server_feed(struct smtp_server *s, msec now, struct str bytes);

/* The next event, if there is one.  Each is given once.  */
bool smtp_server_next(struct smtp_server *s, struct smtp_event *ret_event);

/* The verdict on the event that waits, which next has given; borrowed for this call.  A positive
 * code with empty text gets the standard words and enhanced status, or the listener's words: MAIL
 * 250 2.1.0 Ok, RCPT 250 2.1.5 Ok, DATA 354, STARTTLS 220, AUTH 235; to END the text is the queue
 * id: "250 2.0.0 Ok: queued as ID".  A 5xx or 4xx is sent as it is.  */
void smtp_server_answer(struct smtp_server *s, struct smtp_reply reply);
/* What is wrong with the content that has come, as the client is told at its end; code 0: nothing.  At ABANDON: why, or that
 * the client itself has given it up.  */
struct smtp_reply smtp_server_fault(const struct smtp_server *s);
/* Whether an event waits for its verdict.  */
bool smtp_server_waits(const struct smtp_server *s);

/* What is to be sent, borrowed until the next call on s.  */
struct str smtp_server_output(const struct smtp_server *s);
/* Its first n octets are sent.  */
void smtp_server_sent(struct smtp_server *s, size_t n);

/* When silence has lasted too long; MSEC_NEVER while an event waits.  */
msec smtp_server_deadline(const struct smtp_server *s);
/* The deadline has passed: 421 and SMTP_EVENT_CLOSE.  */
void smtp_server_expire(struct smtp_server *s, msec now);
/* The server leaves or is out of something: reply 421 and CLOSE, as soon as no verdict is
 * awaited.  */
void smtp_server_shut(struct smtp_server *s, struct smtp_reply reply);

/* The TLS handshake has ended well: all that was said before is forgotten.  */
void smtp_server_secured(struct smtp_server *s);
/* And it can bind a login to itself: auth_bound is offered.  */
void smtp_server_bound(struct smtp_server *s);
/* The client may use XCLIENT; before the greeting.  */
void smtp_server_offer_xclient(struct smtp_server *s);
/* AUTH has succeeded (before its 235 is answered): MAIL is open on a submission listener.  */
void smtp_server_authenticated(struct smtp_server *s);

static inline struct str smtp_server_helo(const struct smtp_server *s) { return buf_str(&s->helo); }
/* The last greeting was EHLO.  */
bool smtp_server_esmtp(const struct smtp_server *s);

#endif
