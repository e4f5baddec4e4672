/* UCL, the language of the configuration file (nginx-like text, a superset of JSON; as libucl reads it): settings, blocks,
 * named blocks, lists, comments, includes.  What is read becomes a tree that knows the file and line of everything in it.
 *
 *	key = value            key: value            key value         ends at a line's end, ';' or ','
 *	block { ... }          block "name" { ... }                    a block opened again goes on; it may be empty
 *	[a, b, c]   "text\n"   'text'   bare text    <<EOT ... EOT
 *	# comment              /+ comment +/ (with stars; they nest)
 *	include "file"         .include "file"       .try_include "file"   relative to the file that says so  */
#ifndef SERVER_UCL_H
#define SERVER_UCL_H

#include "server/complaints.h"

struct io;

enum ucl_type { UCL_TEXT, UCL_LIST, UCL_BLOCK };

struct ucl_value {
	enum ucl_type type;
	struct str key;  /* when it stands in a block */
	struct str text; /* UCL_TEXT, NUL-terminated */
	struct place place;
	struct ucl_value *first; /* of what is in a list or block */
	struct ucl_value *last;
	struct ucl_value *next; /* beside it */
	uint32_t count;
};

enum { UCL_FILE_MAX = 64 << 20, UCL_DEPTH_MAX = 16 };

/* Read text, which came from `file` (for places, and for includes; NUL-terminated).  The tree is in arena and borrows
 * nothing.  A mistake is said to complaints and ends the reading of that file; what came before it is in the tree.
 * A setting that is there twice is a mistake too.  NULL only when there is no memory.  */
struct ucl_value *ucl_parse(struct io *io, struct arena *arena, const char *file, struct str text,
	struct complaints *complaints);
/* The same of a file's content.  */
struct ucl_value *ucl_read(
	struct io *io, struct arena *arena, const char *file, struct complaints *complaints);

/* What stands under key in block (which may be NULL); NULL: nothing.  */
struct ucl_value *ucl_find(const struct ucl_value *block, struct str key);

#endif
