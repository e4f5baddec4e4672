/* rockdove route --probe: what a host offers, and whether that is what policy wants.  */
#ifndef CLI_ROUTE_PROBE_H
#define CLI_ROUTE_PROBE_H

#include "cli/world.h"

#include <jansson.h>

/* Connect to each host in what `route` has found out, and add "probe" to it:
 * {error} or {ready_ms, starttls, offers: [...], tls?, tls_error?, certificate?: {subject, issuer, names, from, until},
 *  authority?, dane?, verdict}; authority and dane are "" when they vouch for the host, else why not.  */
void route_probe(struct cli_world *w, json_t *result);
void route_probe_show(const json_t *result);

#endif
