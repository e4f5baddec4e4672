/* The control socket: one JSON object a line, {"command": "queue.list", ...}; the answer is one object a line, the last of
 * which has "done": true, and "error": "words" when it could not be.  One command at a time on a connection.
 *
 * What comes is hostile until proven otherwise: a line is at most 64 KiB; who talks nonsense, or neither asks nor reads for
 * a minute, is dropped, and the server runs on.  The socket's mode is 0600: who can open it may do all.  */
#ifndef ADMIN_CONTROL_H
#define ADMIN_CONTROL_H

#include "admin/admin.h"

#include <jansson.h>

struct control;

enum { CONTROL_LINE_MAX = 64 << 10, CONTROL_CONNECTIONS_MAX = 32 };

/* One command that is being answered.  */
struct control_call {
	struct admin *admin;
	const json_t *request; /* an object */
	/* The handler's.  step, when set, comes again and again, between other events and while the client keeps
	 * reading, until the call is ended: work in slices.  release comes once, when the call is over in whatever way;
	 * then nothing of the call may be used any more.  */
	void (*step)(struct control_call *call);
	void (*release)(struct control_call *call);
	void *private;
};

struct control_command {
	const char *name; /* the last of a table has none */
	/* Answers at once, or sets step, or answers later from a callback of its own.  */
	void (*run)(struct control_call *call);
};

/* Listen on path (a local socket, made with mode 0600; kept).  commands: kept.  NULL, and *ret_error a negative errno,
 * when that cannot be.  */
struct control *control_open(struct admin *admin, const struct control_command *commands,
	const char *path, int *ret_error);
/* Drop all clients.  The socket's name is left to the caller.  */
void control_close(struct control *c);

/* Send one object of the answer; takes it over.  NULL (no memory) ends the call with an error.  */
void control_say(struct control_call *call, json_t *object);
/* The last object: `extra` (taken over; NULL: {}) with "done": true.  */
void control_done(struct control_call *call, json_t *extra);
/* The last object, with "error".  */
void control_fail(struct control_call *call, const char *format, ...) PRINTF_LIKE(2, 3);
/* Whether one of those was called.  */
bool control_is_done(const struct control_call *call);

/* ---- for handlers ---- */

/* The text under key of the request; STR_NONE: none.  */
struct str control_text(const struct control_call *call, const char *key);
bool control_flag(const struct control_call *call, const char *key);
/* s as JSON text: octets that are not UTF-8 become U+FFFD.  */
json_t *control_str(struct str s);
/* RFC 3339; null for 0.  */
json_t *control_time(msec wall);

/* The commands there are: queue.list, queue.show, queue.retry, queue.hold, queue.release, queue.delete, queue.stats,
 * user.release, trace, route.  */
extern const struct control_command control_commands[];

#endif
