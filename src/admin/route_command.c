/* route: how mail to an address would go.  */
#include "admin/commands.h"
#include "admin/explain.h"

struct route_call {
	struct control_call *call;
	struct explain explain;
};

static void explained(struct explain *e, json_t *result)
{
	struct route_call *r = CONTAINER_OF(e, struct route_call, explain);
	control_done(r->call, result);
}

static void route_release(struct control_call *call)
{
	struct route_call *r = call->private;
	explain_clear(&r->explain);
	free(r);
}

void route_command(struct control_call *call)
{
	struct str address = control_text(call, "address");
	struct route_call *r = address.len ? calloc(1, sizeof *r) : NULL;
	if (!r) {
		control_fail(call, "an address is wanted");
		return;
	}
	r->call = call;
	r->explain.done = explained;
	call->private = r;
	call->release = route_release;
	explain_begin(&r->explain, call->admin, address);
}
