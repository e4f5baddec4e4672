/* SMTP replies: composing ours, reading the peer's (RFC 5321 4.2, RFC 2034).  */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include "mail/status.h"

/* Ours.  text without code and enhanced status; '\n' separates lines.  Borrowed.  */
struct smtp_reply {
	uint16_t code;
	struct enhanced enhanced; /* class 0: none is sent */
	struct str text;
	bool close; /* send it and hang up */
};

#define SMTP_REPLY(c, x, y, z, literal)                                                            \
	((struct smtp_reply){.code = (c), .enhanced = {(x), (y), (z)}, .text = STR(literal)})

/* Append in wire form, "250-...CRLF250 ...CRLF"; lines are cut at 510 octets, control octets
 * replaced; a '\n' at the end of the text begins no line.  */
bool smtp_reply_add(struct buf *out, const struct smtp_reply *reply);

/* The peer's, gathered from octets that come cut anywhere.  */
enum { SMTP_REPLY_LINES_MAX = 128, SMTP_REPLY_LINE_MAX = 2048, SMTP_REPLY_TEXT_MAX = 8192 };

struct smtp_reply_reader {
	struct buf text; /* the lines' texts without codes and enhanced status, separated by '\n' */
	struct buf line; /* the unfinished line */
	uint16_t code;
	uint16_t lines;
	struct enhanced enhanced; /* of the last line that had one */
	uint32_t octets;          /* of this reply so far */
	bool done;                /* the next octet begins another reply */
};

enum smtp_read { SMTP_READ_MORE, SMTP_READ_DONE, SMTP_READ_BAD };

void smtp_reply_reader_init(struct smtp_reply_reader *r);
void smtp_reply_reader_release(struct smtp_reply_reader *r);
/* Take octets up to the end of one reply; *ret_used says how many.  DONE: code, enhanced and text
 * hold it until the next feed.  BAD: not SMTP, codes that differ between the lines, or endless;
 * the connection is of no use and nothing more may be fed.  Texts over the maximum are cut
 * silently; a bare LF ends a line.  */
enum smtp_read smtp_reply_feed(struct smtp_reply_reader *r, struct str octets, size_t *ret_used);

#endif
