/* The addresses in a field such as From, Sender or To (RFC 5322 3.4, obsolete forms 4.4 too).  */
#ifndef MAIL_MAILBOXES_H
#define MAIL_MAILBOXES_H

#include "base/buf.h"

/* Visit each address of value (raw, folded or not): what stands in angle brackets, or alone.  An address that stands in front of
 * the brackets as if it were a name is visited as well: some programs show that one.
 * Returns  false: it cannot be read as a list of addresses, or visit returned false  */
bool mailboxes_each(
	struct str value, bool (*visit)(void *context, struct str address), void *context);

/* Octets of the quoted string, comment or the like that opens at the front of s, through its `close`; 0: it has no end.  */
size_t mailboxes_enclosed(struct str s, char close);

#endif
