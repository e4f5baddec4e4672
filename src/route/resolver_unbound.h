/* A context of libunbound's with the settings that suit a mail server: its cache, its thread, and whether it validates.  Inner to
 * resolver.c.  */
#ifndef ROUTE_RESOLVER_UNBOUND_H
#define ROUTE_RESOLVER_UNBOUND_H

#include "route/resolver.h"

#include <unbound.h>

struct unbound;

/* The file of the trust anchor that is to be used, NUL-terminated in ret; empty: there is none.  */
enum { UNBOUND_PATH_MAX = 4096 };
void unbound_anchor(struct io *io, const struct resolver_options *o, char ret[UNBOUND_PATH_MAX]);
/* The zone that the first record in an anchor's file is of ("." for the root); false: none can be read.  */
bool unbound_anchor_zone(struct io *io, const char *file, char ret_zone[256]);

/* anchor: a file, and answers are validated by it; empty: they are not.  NULL: *ret_why.  */
struct unbound *unbound_open(
	struct io *io, const struct resolver_options *o, const char *anchor, const char **ret_why);
/* No callback comes any more.  Not from inside one.  */
void unbound_close(struct unbound *u);

/* Ask; 0 or -errno.  */
int unbound_ask(struct unbound *u, const char *name, int type, void *context,
	ub_callback_type answered, int *ret_id);
void unbound_cancel(struct unbound *u, int id);

#endif
