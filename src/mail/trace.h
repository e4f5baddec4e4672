/* Trace fields that we put on top of a message (RFC 5321 4.4).  */
#ifndef MAIL_TRACE_H
#define MAIL_TRACE_H

#include "mail/envelope.h"

/* Append "Received: from HELO ([ADDR]) by HOSTNAME with ESMTPSA id ID for <...>; DATE" folded,
 * with CRLF.  `for` only when there is one recipient and for_recipient.  No name look-up is shown
 * that was not made.  Source: RFC 5321 4.4.1, RFC 3848 (with-protocol types), RFC 6531 3.7.3
 * (UTF8SMTP), RFC 8314 4.3 (tls).  */
bool trace_add_received(
	struct buf *out, const struct envelope *e, struct str hostname, struct str id);
/* Append "Return-Path: <...>" CRLF "Delivered-To: address" CRLF.  */
bool trace_add_final(struct buf *out, struct str reverse_path, struct str address);

#endif
