/* What the files of mail/dsn share; nobody else includes this.
 *
 *	dsn.c        the frame: header section, the part for programs, the order of parts
 *	dsn_human.c  the part for people, and text that others wrote made safe and fit for lines
 *	dsn_words.c  what a status means, in plain words  */
#ifndef MAIL_DSN_PRIVATE_H
#define MAIL_DSN_PRIVATE_H

#include "mail/dsn.h"

struct dsn_report {
	const struct dsn *dsn;
	bool utf8;                         /* RFC 6533 forms */
	bool full;                         /* the whole message is returned */
	uint32_t counts[DSN_EXPANDED + 1]; /* recipients by action */
};

/* A boundary line and the empty place before it.  */
void dsn_add_part(struct buf *out, const struct dsn *dsn);
/* Content-Transfer-Encoding, when it is not 7bit.  */
void dsn_add_encoding(struct buf *out, struct str encoding);

/* s without what could end a line or leave it: control octets, and octets over 127 unless utf8
 * and valid.  */
void dsn_add_clean(struct buf *out, struct str s, bool utf8);
/* Add text in lines as short as its spaces allow, the first beginning at column.  A break takes
 * a space's place; line_end is CRLF and what the next line begins with.  */
void dsn_wrap(struct buf *out, struct str text, size_t column, struct str line_end);
void dsn_add_human_part(struct buf *out, const struct dsn_report *r);

/* Plain words for a recipient whose message failed with o: what it means and what to do, whole
 * sentences.  */
struct str dsn_words_failed(const struct outcome *o);
/* The same for a delay: only what is wrong, since there is nothing to do.  */
struct str dsn_words_delayed(const struct outcome *o);

#endif
