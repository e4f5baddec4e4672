/* Characters and words of UCL text; used by ucl.c alone.  */
#ifndef SERVER_UCL_LEX_H
#define SERVER_UCL_LEX_H

#include "server/complaints.h"

struct ucl_text {
	struct str text;
	size_t at;
	struct place place; /* of `at` */
	struct arena *arena;
	struct complaints *complaints;
};

static inline int ucl_peek(const struct ucl_text *t)
{
	return t->at < t->text.len ? (unsigned char)t->text.ptr[t->at] : -1;
}
/* Take one character, counting lines.  */
void ucl_advance(struct ucl_text *t);
/* Skip blanks within a line.  */
void ucl_skip_blanks(struct ucl_text *t);
/* Skip blanks, line ends and comments; with separators also ';' and ','.  False: a comment does not end (said).  */
bool MUST_CHECK ucl_skip_space(struct ucl_text *t, bool separators);

/* A key or a block's name: quoted or a word.  False: there is none (said), or no memory.  */
bool MUST_CHECK ucl_take_word(struct ucl_text *t, struct str *ret_word);
/* A value that is text: quoted, a here-document, or bare up to the end of line or ';' ',' ']' '}'.  */
bool MUST_CHECK ucl_take_text(struct ucl_text *t, struct str *ret_text);

#endif
