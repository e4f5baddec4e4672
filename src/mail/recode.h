/* A message made fit for a next hop without 8BITMIME or BINARYMIME: parts that are not 7-bit are
 * re-coded, text as quoted-printable, the rest as base64; everything else passes octet for octet
 * (RFC 6152, RFC 3030 3, RFC 2045 6).
 *
 * A push filter that never holds the message; it is run twice over the same content, cut anywhere:
 *
 *	recode_init(&r);
 *	while (octets) recode_feed(&r, octets, NULL);   first pass: what must be done
 *	recode_end(&r, NULL);
 *	if (r.fault) return recode_outcome(&r);
 *	if (!r.needed) send the content as it is, it is 7-bit
 *	recode_rewind(&r);                              r.size is the size of what comes now
 *	while (octets) recode_feed(&r, octets, &out);   second pass: writes
 *	recode_end(&r, &out);
 *
 * A part is re-coded when it has an octet over 127, a NUL, a bare CR or LF, or a line over 998
 * octets.  It cannot be done
 *   - in a header section, a preamble or an epilogue
 *   - within multipart/signed, or when the message has a DKIM-Signature or an
 *     ARC-Message-Signature: it would break it
 *   - in a part that is labelled quoted-printable or base64, and in message/... parts but
 *     message/rfc822 (whose parts are re-coded in their turn) and message/global... (base64,
 *     RFC 6532 3.7)
 *   - past RECODE_LEVELS nested multiparts, or past RECODE_ENTITIES parts.  */
#ifndef MAIL_RECODE_H
#define MAIL_RECODE_H

#include "mail/encode.h"
#include "mail/mime.h"
#include "mail/status.h"

enum recode_fault {
	RECODE_FINE,
	RECODE_HEADER,  /* octets over 127, or worse, in a header section */
	RECODE_OUTSIDE, /* the same in a multipart, outside of its parts */
	RECODE_SIGNED,  /* a signature would break */
	RECODE_FIXED,   /* the type, or the encoding, of a part does not allow it */
	RECODE_DEEP,    /* nested too deep, or too many parts */
};

enum { RECODE_LEVELS = 16, RECODE_ENTITIES = 4096, RECODE_LINE = 1024, RECODE_FIELD = 1024 };

struct recode {
	enum recode_fault fault; /* the first one stays */
	uint32_t needed;         /* parts that are re-coded */
	uint64_t size;           /* octets of the result; right after the first pass's recode_end */
	/* The rest is private.  */
	uint64_t written;
	bool writing; /* second pass */
	enum { RECODE_IN_HEADER, RECODE_IN_LEAF, RECODE_IN_MULTIPART } where;
	char line[RECODE_LINE]; /* the unfinished line, or what is left of a long one */
	uint16_t line_len;
	uint64_t line_before; /* octets of this line that are already dealt with */
	struct recode_level {
		char boundary[MIME_BOUNDARY_MAX];
		uint8_t boundary_len;
		bool is_signed, digest;
	} levels[RECODE_LEVELS];
	uint8_t depth;
	bool dkim;
	/* The entity (message or part) under way.  */
	uint32_t entity; /* its number + 1 */
	bool is_message, in_digest, has_mime_version, has_type, has_encoding, needs, crlf_held;
	enum mime_encoding encoding;
	struct mime_type type;
	uint8_t action;                       /* second pass: what was decided on it in the first */
	uint64_t label_size;                  /* its Content-Transfer-Encoding fields */
	uint64_t raw_size;                    /* as it came, from the label on */
	uint64_t labels_before, labels_after; /* of containers, in all */
	uint8_t field;                        /* which field is under way */
	char value[RECODE_FIELD];
	uint16_t value_len;
	struct encoder encoder;
	uint64_t added;                       /* octets of header fields that re-coding adds */
	uint8_t actions[RECODE_ENTITIES / 4]; /* two bits an entity */
};

void recode_init(struct recode *r);
/* Content with CRLF line ends.  False: r->fault is set, or out is full or has failed.  */
bool recode_feed(struct recode *r, struct str octets, struct buf *out);
bool recode_end(struct recode *r, struct buf *out);
/* Begin the second pass; the first must have ended without a fault.  */
void recode_rewind(struct recode *r);
/* 5.6.3 and why; r->fault must be set.  */
struct outcome recode_outcome(const struct recode *r);

#endif
