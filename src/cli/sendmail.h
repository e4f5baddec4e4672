/* Parts of `sendmail`.  */
#ifndef CLI_SENDMAIL_H
#define CLI_SENDMAIL_H

#include "cli/send.h"

/* Hand each address of an address field (To, Cc, Bcc; RFC 5322 3.4: names, comments, groups) to visit, until one call
 * does not return EXIT_DONE; that is returned.  */
int sendmail_addresses(
	struct str field, int (*visit)(void *context, struct str address), void *context);

/* Append "HOST:PORT" of the first listener that is reached over loopback and takes mail without more ado.  False:
 * there is none.  */
bool sendmail_server(const struct config *config, struct buf *out);

/* -bs: SMTP between standard input and output and the server.  The exit code.  */
int sendmail_pipe(struct cli_world *w, struct str server);

#endif
