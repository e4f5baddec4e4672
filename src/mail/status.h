/* The outcome of an attempt to deliver to one recipient, as a value.  */
#ifndef MAIL_STATUS_H
#define MAIL_STATUS_H

#include "base/arena.h"
#include "base/buf.h"

enum outcome_class {
	OUTCOME_NONE,      /* nothing is known yet */
	OUTCOME_DELIVERED, /* the next hop, or the mailbox, has taken the responsibility */
	OUTCOME_DEFERRED,  /* try again; everything that is ours to blame */
	OUTCOME_FAILED,    /* for good: the next hop said so, or it cannot be */
	OUTCOME_EXPIRED,   /* for good: too long in the queue */
	OUTCOME_DELETED,   /* for good: the operator said so; no DSN */
};

/* Enhanced status X.Y.Z (RFC 3463).  */
struct enhanced {
	uint8_t class; /* 2, 4, 5; 0: none */
	uint16_t subject;
	uint16_t detail;
};

struct outcome {
	enum outcome_class class;
	uint16_t code; /* SMTP reply code; 0: there was no reply */
	struct enhanced enhanced;
	struct str text; /* reply text, lines joined by a space, or our own words */
	struct str host; /* "mx1.example.net[192.0.2.1]:25", or "maildir", or empty */
	struct str tls;  /* "TLSv1.3 TLS_AES_256_GCM_SHA384", empty in clear */
	bool remote;     /* text is the peer's words (Diagnostic-Code: smtp) */
	bool doubtful;   /* the final dot went out and no answer came: may arrive twice */
	bool dsn_passed; /* the next hop took over the sender's wish for a notification (not on disk) */
};

enum { OUTCOME_TEXT_MAX = 512 };

bool enhanced_parse(struct str s, struct enhanced *ret, size_t *ret_len); /* at the start of s */
void enhanced_add(struct buf *out, struct enhanced e);
const char *outcome_name(enum outcome_class c); /* "delivered" ... */
static inline bool outcome_final(enum outcome_class c)
{
	return c != OUTCOME_NONE && c != OUTCOME_DEFERRED;
}
/* Our own words: code is derived from the class of the enhanced status (4 → 451, 5 → 550).  text
 * borrowed.  */
struct outcome outcome_local(enum outcome_class c, const char *enhanced, struct str text);
/* Layout on disk (doc/spool.md).  */
bool outcome_encode(struct buf *out, const struct outcome *o);
bool outcome_decode(struct str *from, struct outcome *ret); /* borrows */
bool outcome_copy(const struct outcome *o, struct arena *arena, struct outcome *ret);

#endif
