/* A password from a file, or from whoever sits at the terminal.  */
#ifndef CLI_PASSWORD_H
#define CLI_PASSWORD_H

#include "cli/cli.h"
#include "io/io.h"

enum { CLI_PASSWORD_MAX = 1000, CLI_TOKEN_MAX = 12000 };

/* file: its first line; empty: asked for, or read from standard input.  EXIT_DONE, or the exit code: said.  */
int cli_password(struct io *io, const char *command, struct str file, struct buf *password);
/* Give it back, with nothing left behind.  */
void cli_password_clear(struct buf *password);

#endif
