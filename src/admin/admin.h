/* What the operator's side may look at and act on.  */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "policy/domain.h"
#include "policy/usage.h"
#include "queue/queue.h"
#include "route/router.h"

/* All are kept and belong to the caller; a pointer may be changed between events (a new configuration).  NULL where said.  */
struct admin {
	struct io *io;
	struct log *log;     /* may be NULL */
	struct spool *spool; /* may be NULL, with queue: then only `route` works */
	struct queue *queue;
	struct history *history; /* may be NULL: none is kept */
	struct router *router;
	const struct route_table *routes;
	const struct domains *domains;
	struct usage *usage; /* of accounts; may be NULL */
	struct str hostname;
};

#endif
