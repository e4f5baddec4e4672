/* Content-transfer-encodings written as a stream: quoted-printable and base64 (RFC 2045 6.7, 6.8).
 *
 * Lines of the result are at most 76 octets.  A line break of text is given by encoder_line_end,
 * so that CR and LF in encoder_add are octets like others.  With out NULL nothing is written,
 * only counted.  */
#ifndef MAIL_ENCODE_H
#define MAIL_ENCODE_H

#include "base/buf.h"

enum encoding { ENCODING_QP, ENCODING_BASE64 };
enum { ENCODER_GROUP = 57 }; /* octets that make a line of base64 */

struct encoder {
	enum encoding encoding;
	uint64_t size;  /* octets written or counted so far */
	uint8_t column; /* QP: of the current line; base64: octets gathered */
	char held;      /* QP: a space or tab that ends the line so far, or NUL */
	bool started;   /* base64: a line was written */
	char group[ENCODER_GROUP];
};

void encoder_init(struct encoder *e, enum encoding encoding);
/* Content, cut anywhere.  */
void encoder_add(struct encoder *e, struct str octets, struct buf *out);
/* CRLF in the content.  */
void encoder_line_end(struct encoder *e, struct buf *out);
/* Write what is held back.  The last line gets no CRLF.  */
void encoder_end(struct encoder *e, struct buf *out);

#endif
