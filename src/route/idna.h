/* Domain names with letters beyond ASCII (IDNA2008).  */
#ifndef ROUTE_IDNA_H
#define ROUTE_IDNA_H

#include "base/str.h"

enum { IDNA_NAME_MAX = 256 };

static inline bool idna_is_ascii(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] > 127) return false;
	return true;
}

/* The name as DNS knows it: A-labels, lower case, no final dot, NUL-terminated.  False: it
 * cannot be a name in DNS (a label of 0 or over 63 octets, over 253 in all, characters that
 * IDNA forbids). Source: RFC 5891 5, RFC 5321 2.3.5.  */
bool idna_to_ascii(struct str domain, char ret_name[IDNA_NAME_MAX]);

#endif
