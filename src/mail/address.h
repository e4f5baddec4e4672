/* Mail addresses: local-part@domain as in RFC 5321 4.1.2 and, with SMTPUTF8, RFC 6531 3.3.  */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include "base/net.h"

struct address {
	struct str text;   /* the whole, as it was written, without source route and brackets */
	struct str local;  /* as written: quotes of a quoted string included */
	struct str domain; /* without '@'; a literal with its brackets; empty: none was given */
	bool quoted;       /* the local part is a quoted string */
	bool literal;      /* the domain is an address literal */
	bool utf8;         /* an octet over 127 occurs */
};

enum { ADDRESS_LOCAL_MAX = 64, ADDRESS_DOMAIN_MAX = 255, ADDRESS_PATH_MAX = 254 };

/* Parse a whole mailbox; a domain is needed unless `bare` allows "postmaster" and plain local
 * users. utf8: octets over 127 that are valid UTF-8 are letters.  Borrows from s.
 * ADDRESS_LOCAL_MAX is not looked at: the reverse-paths of many a list are longer, and theirs to
 * choose.  Source: RFC 5321 4.1.2, 4.5.3.1.  */
bool address_parse(struct str s, bool utf8, bool bare, struct address *ret);

/* Whether the whole of s is a domain name of letters, digits, hyphens and dots (a final dot is
 * not) within its length limits, labels of 1..63; underscores are tolerated; utf8 as above.  */
bool domain_valid(struct str s, bool utf8);
/* "[192.0.2.1]" or "[IPv6:...]": the address.  False for anything else.  */
bool domain_literal(struct str s, struct net_address *ret_address);

/* The local part without quotes and backslashes, as a mailbox is looked up by.  */
bool address_local_plain(const struct address *a, struct buf *out);

#endif
