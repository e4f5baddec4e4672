/* Encoded words (RFC 2047): octets over 127 in header fields, for who cannot read them raw.  */
#ifndef MAIL_ENCODED_WORD_H
#define MAIL_ENCODED_WORD_H

#include "base/buf.h"

/* Append the value of a field (raw, what stands behind the colon) with its words that are not ASCII as encoded words: UTF-8, or
 * "unknown-8bit" (RFC 1428 3) when it is not that.  False: no memory.  */
bool encoded_text_add(struct buf *out, struct str value);
/* The same for a list of addresses: names, quoted strings and comments.  False also when an address itself is not ASCII,
 * or there is no reading it.  */
bool encoded_addresses_add(struct buf *out, struct str value);

#endif
