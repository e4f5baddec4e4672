/* A question to a name server, and what it answers, as octets.  Pure.  Source: RFC 1035 4.  */
#ifndef ROUTE_DNS_MESSAGE_H
#define ROUTE_DNS_MESSAGE_H

#include "base/arena.h"
#include "route/resolver.h"

/* Append a message that asks, by recursion (RD), for records of name, and whether they are
 * validated (AD, RFC 6840 5.7).
 *   name  labels of 1 to 63 octets, 253 in all, no final dot; empty: the root
 * Returns  buf_ok.  */
bool dns_question_add(struct buf *out, uint16_t id, struct str name, enum dns_type type);

/* Read an answer to that very question.  CNAMEs in it are followed; names in MX and CNAME records
 * are written out.
 *   arena  takes *ret's data
 * Returns  false: it is damaged, or answers something else.  */
bool dns_answer_read(struct str message, struct str name, enum dns_type type, struct arena *arena,
	struct dns_answer *ret);

#endif
