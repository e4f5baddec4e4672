/* user.release: an account that was held may send again, and its mail goes on.  */
#include "admin/commands.h"

void user_release_command(struct control_call *call)
{
	struct usage *usage = call->admin->usage;
	struct str name = control_text(call, "name");
	if (!usage || !usage_free(usage, name, io_wall(call->admin->io)))
		control_fail(call, STR_FMT " is not held", STR_ARG(str_head(name, 254)));
	else
		control_done(call, NULL);
}
