/* The envelope: what SMTP knows about a message besides its content.  */
#ifndef MAIL_ENVELOPE_H
#define MAIL_ENVELOPE_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/net.h"

enum {
	ENVELOPE_8BIT = 1,       /* BODY=8BITMIME, or 8-bit octets were seen in the content */
	ENVELOPE_BINARY = 2,     /* BODY=BINARYMIME */
	ENVELOPE_UTF8 = 4,       /* SMTPUTF8 */
	ENVELOPE_REQUIRETLS = 8, /* RFC 8689 */
	ENVELOPE_RET_FULL = 16,  /* DSN: RET=FULL */
	ENVELOPE_RET_HDRS = 32,  /* DSN: RET=HDRS; neither: the sender did not say */
	ENVELOPE_DSN = 64,       /* we made this message as a delivery status notification */
	ENVELOPE_AUTHENTICATED = 128,
	ENVELOPE_TLS = 256,   /* came over TLS */
	ENVELOPE_ESMTP = 512, /* EHLO, not HELO */
};

enum {
	NOTIFY_NEVER = 1,
	NOTIFY_SUCCESS = 2,
	NOTIFY_FAILURE = 4,
	NOTIFY_DELAY = 8, /* none set: NOTIFY was absent */
};

struct recipient {
	struct str address;  /* forward-path without brackets */
	struct str original; /* what RCPT said, when an alias led to address; else empty */
	struct str orcpt;    /* ORCPT as given, "rfc822;..." in xtext; else empty */
	uint8_t notify;      /* NOTIFY_* */
};

struct envelope {
	struct str reverse_path; /* without brackets; empty is the null reverse-path */
	struct str envid;        /* ENVID as given, xtext; else empty */
	struct str helo;         /* what the client called itself */
	struct str account;      /* who logged in; else empty */
	struct str tls;          /* "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty in clear */
	struct net_address client;
	uint32_t flags;  /* ENVELOPE_* */
	uint64_t size;   /* octets of content, our trace fields not counted */
	msec created;    /* wall */
	msec hold_until; /* wall; FUTURERELEASE; 0: at once */
	struct recipient *recipients;
	uint32_t recipient_count;
};

/* Append e in the layout that doc/spool.md describes.  */
bool envelope_encode(struct buf *out, const struct envelope *e);
/* Read it back; everything is copied into arena.  False on damage or no memory.  */
bool envelope_decode(struct str *from, struct arena *arena, struct envelope *ret);
/* A copy of e in arena.  */
bool envelope_copy(const struct envelope *e, struct arena *arena, struct envelope *ret);

#endif
