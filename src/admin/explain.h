/* How mail to an address would go: its rule, hosts in order, addresses, latencies.  Looks up, and sends nothing.  */
#ifndef ADMIN_EXPLAIN_H
#define ADMIN_EXPLAIN_H

#include "admin/admin.h"

#include <jansson.h>

struct explain {
	/* result: an object, the callee's from now on; the explain is over.  Never from inside explain_begin.  */
	void (*done)(struct explain *e, json_t *result);
	/* private */
	struct admin *admin;
	struct arena arena;
	const struct str *addresses;
	uint32_t count, at;
	json_t *result, *targets;
	json_t *target; /* whose hosts are being looked up */
	struct route_lookup lookup;
	bool looking;
	struct timer timer;
};

/* Begin.  text: an address, or a domain alone.  Needs admin's io, router, routes and domains.
 *
 * Result: {address, local, unknown?, targets: [{address, rule, kind, destination, tls, connections, ...
 *          maildir|socket|reject?, mx?, secure?, hosts: [{host, address, port, preference, latency_ms, secure,
 *          tls: {level, policy, barred, excepted, names, tlsa: [{usage, selector, matching, data, usable}]}}],
 *          sts?: {mode, id?, age, max_age, mx, trouble?},
 *          failure?: {outcome, status, text}}]}, or {address, problem}.  */
void explain_begin(struct explain *e, struct admin *admin, struct str text);
/* End it, done or not; its memory goes.  */
void explain_clear(struct explain *e);

#endif
