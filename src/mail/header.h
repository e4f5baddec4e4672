/* The header section of a message, read while it streams by.  */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include "base/buf.h"

/* Watches content octets up to the empty line; keeps what the server wants to know.  Bounded
 * memory.  */
struct header_watch {
	uint32_t received;    /* Received fields so far (RFC 5321 6.3: 100 is a loop) */
	bool done;            /* the empty line, or the end, was seen */
	bool eight_bit;       /* an octet over 127 occurred in the header section */
	char message_id[256]; /* value of Message-ID with its brackets, cut at 255 */
	uint16_t message_id_len;
	/* private */
	char name[24];
	uint8_t name_len;
	uint8_t state;
	bool id_open; /* in a Message-ID whose value has not come yet */
};

void header_watch_init(struct header_watch *w);
/* Octets of content, CRLF line ends, cut anywhere.  Cheap once done.  */
void header_watch_feed(struct header_watch *w, struct str octets);
static inline struct str header_message_id(const struct header_watch *w)
{
	return (struct str){w->message_id, w->message_id_len};
}

/* Walk a header section held whole: the next field from the front of *section; name without
 * colon, value raw (still folded, without the final line end).  False at the empty line or the
 * end; *section is then what follows the empty line.  A line that is no field ends the section
 * too, and stays at the front of *section.  Takes CRLF and LF line ends.  */
bool header_next(struct str *section, struct str *ret_name, struct str *ret_value);

#endif
