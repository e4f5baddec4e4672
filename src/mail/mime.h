/* The two MIME header fields that decide how a body is read (RFC 2045 5, 6).  */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H

#include "base/str.h"

enum { MIME_BOUNDARY_MAX = 128 }; /* RFC 2046 5.1.1 allows 70; some write more */

enum mime_kind {
	MIME_TEXT, /* also what cannot be read (RFC 2045 5.2) */
	MIME_MULTIPART,
	MIME_MESSAGE,        /* message/rfc822 */
	MIME_MESSAGE_GLOBAL, /* message/global and its like (RFC 6532, 6533) */
	MIME_MESSAGE_OTHER,
	MIME_DATA, /* all else */
};

struct mime_type {
	enum mime_kind kind;
	bool is_signed; /* multipart/signed */
	bool digest;    /* multipart/digest: its parts are messages unless they say otherwise */
	char boundary[MIME_BOUNDARY_MAX];
	uint8_t boundary_len; /* 0: none, or too long */
};

enum mime_encoding {
	MIME_7BIT,
	MIME_8BIT,
	MIME_BINARY,
	MIME_ENCODED /* QP, base64, or one we do not know */
};

/* value: of Content-Type, unfolded (line ends taken out).  Comments and quoted strings are
 * understood.  */
void mime_parse_type(struct str value, struct mime_type *ret);
/* value: of Content-Transfer-Encoding.  */
enum mime_encoding mime_parse_encoding(struct str value);

#endif
