/* Service extensions: what EHLO offers, and the parameters they add to MAIL and RCPT.
 *
 *	with parameters   SIZE 1870, 8BITMIME 6152, BINARYMIME 3030, SMTPUTF8 6531, DSN 3461,
 *	                  AUTH 4954, FUTURERELEASE 4865, REQUIRETLS 8689
 *	without           PIPELINING 2920, ENHANCEDSTATUSCODES 2034, CHUNKING 3030,
 *	                  STARTTLS 3207, LIMITS 9422, XCLIENT of Postfix  */
#ifndef SMTP_EXTENSION_H
#define SMTP_EXTENSION_H

#include "smtp/command.h"

enum { SMTP_ENVID_MAX = 100, SMTP_ORCPT_MAX = 500 }; /* RFC 3461 5.4 */

/* Append a line for each keyword that is offered now, every one led by '\n'.
 *   wall  the present: FUTURERELEASE names the latest date  */
void smtp_extension_offer(struct buf *out, const struct smtp_terms *terms, msec wall);

/* The mechanisms of AUTH that may be used now, separated by blanks; empty: none.  */
struct str smtp_extension_mechanisms(const struct smtp_terms *terms);
/* Whether the list has the word, in any case.  */
bool smtp_extension_listed(struct str list, struct str word);

/* Read parameters, separated by blanks, into the event.  False: *ret_refusal says why, 555 for
 * one that is not offered, 501 for a bad value or one given twice.  */
bool smtp_extension_mail(struct str params, const struct smtp_terms *terms,
	struct smtp_event *event, struct smtp_refusal *ret_refusal);
bool smtp_extension_rcpt(struct str params, const struct smtp_terms *terms,
	struct smtp_event *event, struct smtp_refusal *ret_refusal);

#endif
