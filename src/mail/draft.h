/* What a person's mail program hands in for submission becomes a message (RFC 6409 8): its header section is gathered while it
 * streams by, looked at as a whole and written again; the body is not touched.
 *
 *	missing From, Date, Message-ID, MIME-Version    are added at the end
 *	Bcc, Resent-Bcc                                 are taken out
 *	octets over 127 without SMTPUTF8                become encoded words, or are refused where these cannot be
 *	a blank in front of a colon, a mailbox's "From " line, a missing empty line    are put right
 *	From and Sender                                 name nobody but whom the account may speak for  */
#ifndef MAIL_DRAFT_H
#define MAIL_DRAFT_H

#include "base/clock.h"
#include "mail/status.h"

enum { DRAFT_HEADER_MAX = 256 * 1024 };

struct draft_terms {
	struct str account;  /* who hands it in: for From */
	struct str hostname; /* and id: for Message-ID */
	struct str id;
	msec wall;
	bool utf8; /* SMTPUTF8 was asked for */
	/* Whether the account may send in the name of address.  */
	bool (*may_send_as)(void *context, struct str address);
	void *context;
};

struct draft_refusal {
	uint16_t code;
	struct enhanced enhanced;
	char text[400];
};

struct draft {
	struct buf head; /* the section so far */
	size_t looked;   /* so much of it has no end */
	bool whole;      /* it has come to its end, or is too long */
};

void draft_init(struct draft *d);
void draft_release(struct draft *d);
/* Octets of content; true: no more are wanted, draft_finish is next.  What is behind the section is kept too.  */
bool draft_feed(struct draft *d, struct str octets);
/* Append the message as far as it was fed, as it is to go on.  False: *ret_refusal.  */
bool MUST_CHECK draft_finish(struct draft *d, const struct draft_terms *terms, struct buf *out,
	struct draft_refusal *ret_refusal);

#endif
