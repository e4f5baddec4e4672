/* Asking the running server over its control socket.  */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include "cli/world.h"

#include <jansson.h>

struct ask {
	const char *command; /* of the command line, for what is said */
	const char *path;    /* of the control socket */
	bool quiet;          /* say nothing when no server is there */
	/* An object of the answer came, borrowed; also the last, unless it is an error.  */
	void (*answer)(struct ask *ask, const json_t *object, bool last);
	void *context;
};

/* Send request (taken over) and hand over the answer.  EXIT_DONE, EXIT_UNAVAILABLE when there is no server or it
 * says it cannot be; said, but for quiet.  */
int ask_server(struct cli_world *w, struct ask *ask, json_t *request);

/* The text under key; "" when there is none.  */
const char *ask_text(const json_t *object, const char *key);
/* A number; 0.  */
json_int_t ask_number(const json_t *object, const char *key);

#endif
