#include "admin/commands.h"

const struct control_command control_commands[] = {
	{"queue.list", queue_list_command},
	{"queue.show", queue_show_command},
	{"queue.retry", queue_retry_command},
	{"queue.hold", queue_hold_command},
	{"queue.release", queue_release_command},
	{"queue.delete", queue_delete_command},
	{"queue.stats", queue_stats_command},
	{"user.release", user_release_command},
	{"trace", trace_command},
	{"route", route_command},
	{0},
};
