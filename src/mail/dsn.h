/* Delivery status notifications: multipart/report (RFC 3462) with a message/delivery-status part
 * (RFC 3464) and the header or the whole of the message (RFC 3461 RET).  */
#ifndef MAIL_DSN_H
#define MAIL_DSN_H

#include "mail/envelope.h"
#include "mail/status.h"

enum dsn_action { DSN_FAILED, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED, DSN_EXPANDED };

struct dsn_recipient {
	const struct recipient *recipient;
	enum dsn_action action;
	struct outcome outcome;
	msec last_attempt; /* wall; 0: none */
	msec retry_until;  /* wall; DELAYED only (Will-Retry-Until) */
};

struct dsn {
	const struct envelope *envelope;
	struct str hostname; /* Reporting-MTA */
	struct str id;       /* queue id of the message it speaks of */
	struct str own_id;   /* unique: for Message-ID and the boundary */
	msec now;            /* wall */
	const struct dsn_recipient *recipients;
	uint32_t recipient_count;
};

/* Append everything before the returned message: header section (From MAILER-DAEMON@hostname,
 * To reverse-path, Subject, Auto-Submitted: auto-replied, ...), the human part in plain words
 * (what happened, to whom, why, what to do), the delivery-status part, and the head of the last
 * part: message/rfc822 when full, else text/rfc822-headers (global variants per RFC 6533 when
 * the envelope is ENVELOPE_UTF8). CRLF line ends.  */
bool dsn_add_head(struct buf *out, const struct dsn *dsn, bool full);
/* Append what closes the report.  */
bool dsn_add_tail(struct buf *out, const struct dsn *dsn);

/* Whether a DSN of this action is due to the recipient (RFC 3461 4.1: NOTIFY; absent means
 * FAILURE and DELAY); false always for the null reverse-path.  */
bool dsn_due(const struct envelope *e, const struct recipient *r, enum dsn_action action);

#endif
