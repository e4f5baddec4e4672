/* The handlers behind control_commands.  */
#ifndef ADMIN_COMMANDS_H
#define ADMIN_COMMANDS_H

#include "admin/control.h"

void queue_list_command(struct control_call *call);
void queue_show_command(struct control_call *call);
void queue_retry_command(struct control_call *call);
void queue_hold_command(struct control_call *call);
void queue_release_command(struct control_call *call);
void queue_delete_command(struct control_call *call);
void queue_stats_command(struct control_call *call);
void trace_command(struct control_call *call);
void user_release_command(struct control_call *call);
void route_command(struct control_call *call);

#endif
