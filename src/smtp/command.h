/* The grammar of one command line, without its end, as tolerant as people and old clients need:
 * any case, blanks behind a colon and at the end, addresses without brackets.  Octets are looked
 * at here, the session is not.  */
#ifndef SMTP_COMMAND_H
#define SMTP_COMMAND_H

#include "smtp/server.h"

/* Why a command is not taken.  detail, borrowed from the line, is said behind text.  */
struct smtp_refusal {
	uint16_t code;
	struct enhanced enhanced;
	struct str text;
	struct str detail;
};

#define SMTP_REFUSAL(c, x, y, z, literal)                                                          \
	((struct smtp_refusal){.code = (c), .enhanced = {(x), (y), (z)}, .text = STR(literal)})

/* What a session may use: it decides which parameters are known.  */
struct smtp_terms {
	const struct smtp_server_config *config;
	bool secured; /* TLS runs, */
	bool bound;   /* and can bind a login to itself */
	bool xclient; /* XCLIENT may be used */
	bool utf8;    /* RCPT: MAIL had SMTPUTF8 */
};

/* Take the first word off the line; what is left begins with no blank.  */
struct str smtp_command_word(struct str *line);

/* The arguments of MAIL and RCPT (what is behind the verb), RFC 5321 4.1.1.2 and 3, with their
 * parameters.  Fill in what SMTP_EVENT_MAIL and _RCPT say, borrowed from args; false:
 * *ret_refusal says why.  A source route is dropped.  MAIL wants a domain or the null path; RCPT
 * takes a local part alone ("postmaster", and as policy likes it).  */
bool smtp_command_mail(struct str args, const struct smtp_terms *terms,
	struct smtp_event *ret_event, struct smtp_refusal *ret_refusal);
bool smtp_command_rcpt(struct str args, const struct smtp_terms *terms,
	struct smtp_event *ret_event, struct smtp_refusal *ret_refusal);

/* VRFY: an address, in brackets or not, then SMTPUTF8 or nothing (RFC 6531 3.7.4.2).  */
bool smtp_command_vrfy(
	struct str args, struct address *ret_address, struct smtp_refusal *ret_refusal);

/* BDAT: octets, then LAST or nothing (RFC 3030 2).  */
bool smtp_command_bdat(struct str args, uint64_t *ret_size, bool *ret_last);

#endif
