#include "cli/password.h"

#include "io/file.h"

#include <errno.h>
#include <termios.h>
#include <unistd.h>

static int read_file(struct io *io, const char *command, struct str file, struct buf *password)
{
	char path[4096];
	snprintf(path, sizeof path, STR_FMT, STR_ARG(file));
	int error = io_file_load(io, path, password);
	if (error) {
		cli_say(command, "%s: %s", path, strerror(-error));
		return EXIT_IO;
	}
	while (password->len && strchr("\r\n", password->ptr[password->len - 1])) password->len--;
	return EXIT_DONE;
}

static int ask(struct buf *password)
{
	struct termios before, quiet;
	bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
	if (terminal) {
		quiet = before;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
		fputs("Password: ", stderr);
	}
	char c;
	while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n') buf_add_c(password, c);
	if (terminal) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
		fputc('\n', stderr);
	}
	return EXIT_DONE;
}

int cli_password(struct io *io, const char *command, struct str file, struct buf *password)
{
	return file.len ? read_file(io, command, file, password) : ask(password);
}

void cli_password_clear(struct buf *password)
{
	if (password->ptr) explicit_bzero(password->ptr, password->cap);
	buf_release(password);
}
