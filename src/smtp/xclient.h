/* XCLIENT: a client that is trusted tells for whom it speaks (Postfix, XCLIENT_README).  */
#ifndef SMTP_XCLIENT_H
#define SMTP_XCLIENT_H

#include "base/net.h"

enum {
	SMTP_XCLIENT_NAME = 1,
	SMTP_XCLIENT_ADDR = 2,
	SMTP_XCLIENT_PORT = 4,
	SMTP_XCLIENT_PROTO = 8,
	SMTP_XCLIENT_HELO = 16,
	SMTP_XCLIENT_LOGIN = 32,
	SMTP_XCLIENT_DESTADDR = 64,
	SMTP_XCLIENT_DESTPORT = 128,
};

/* The attributes as EHLO names them.  */
#define SMTP_XCLIENT_ATTRIBUTES "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"

enum { SMTP_XCLIENT_VALUE_MAX = 255 };

/* What was told; it points into itself, so it is not to be copied.  What was "[UNAVAILABLE]" or "[TEMPUNAVAIL]" is
 * given, and empty.  */
struct smtp_xclient {
	unsigned given; /* SMTP_XCLIENT_*; what nobody here uses is checked alone */
	struct net_address address;
	bool esmtp;
	struct str helo, login;
	char octets[2][SMTP_XCLIENT_VALUE_MAX];
};

/* Read "NAME=VALUE" separated by blanks, values in xtext (RFC 1891 5).  False: bad syntax, an attribute that is not
 * known, a bad value, or none at all.  */
bool smtp_xclient_parse(struct str args, struct smtp_xclient *ret);

#endif
