/* Composition: one struct owns everything a server is.  No mutable global anywhere, so that a process, or a simulator, can
 * hold several.  */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "server/config.h"

struct server;

/* Whether the certificates of c, those that are there, can be used; a line FILE:LINE: for each mistake is appended.  */
bool server_check_tls(struct io *io, const struct config *c, struct buf *complaints);

/* Recover the spool, open the listeners, be ready.  config is the server's from now on, also on failure.
 * io and log are kept.  NULL: *ret_exit is the exit code (sysexits), and why is in the log.  */
struct server *server_new(struct io *io, struct log *log, struct config *config, int *ret_exit);

/* Follow another configuration (the server's from now on).  False: it cannot be (logged), or the server stops, and the one
 * before stays.  */
bool server_reload(struct server *s, struct config *config);

/* Finish what is being acknowledged or delivered, then io_stop; at the latest after a bounded time.  */
void server_stop(struct server *s);
/* Everything recorded is synced; all memory goes.  */
void server_free(struct server *s);

/* The configuration in force; borrowed until the next reload.  */
const struct config *server_config(const struct server *s);

#endif
