/* Making a message from options: header, text, attachments as MIME.  */
#ifndef CLI_COMPOSE_H
#define CLI_COMPOSE_H

#include "base/clock.h"
#include "cli/cli.h"

struct compose {
	struct str from; /* as in the From field */
	const struct str *to;
	uint32_t to_count;
	struct str subject;
	struct str body;           /* UTF-8, any line ends */
	const struct str *headers; /* "N: V" */
	uint32_t header_count;
	const struct str *files; /* to attach; NUL-terminated paths */
	uint32_t file_count;
};

struct composed {
	struct buf content; /* CRLF line ends; without Date and Message-ID unless has_ */
	bool has_date, has_message_id;
	bool eight_bit;
};

enum { COMPOSED_MAX = 1 << 30 };

/* EXIT_DONE, or the exit code; said for `command`.  */
int compose_message(const struct compose *c, const char *command, struct composed *ret);
/* A whole message as it is: a bare LF becomes CRLF.  */
int compose_whole(struct str text, const char *command, struct composed *ret);
/* Append the copy that is sent: with Date and Message-ID, where it lacks them, on top.  */
bool compose_add_copy(
	const struct composed *c, struct buf *out, msec wall, struct str id, struct str hostname);

/* All of a file ("-": standard input).  False: said.  */
bool compose_read_file(struct str path, const char *command, struct buf *ret);
/* "Alice <a@b>" or "a@b": a@b.  */
struct str compose_address(struct str s);

#endif
