/* The accounts, read again whenever their file has changed: `rockdove user` need not tell.  */
#include "io/file.h"
#include "server/parts.h"

#include <errno.h>

enum { FILE_MAX = 256 << 20 };

static void complain(struct server *s, const char *path, struct str why)
{
	log_begin(s->log, LOG_ERROR, STR_NONE, "accounts-not-read");
	log_str(s->log, "path", str_from_c(path));
	log_str(s->log, "why", why);
	log_end(s->log);
}

/* The set before stays when the file makes no sense.  */
static void read_again(struct server *s, const char *path)
{
	struct buf text, why;
	buf_init(&text, FILE_MAX);
	buf_init(&why, 1000);
	uint64_t seed;
	io_random(s->io, &seed, sizeof seed);
	int error = io_file_load(s->io, path, &text);
	struct accounts *fresh = NULL;
	if (error == 0 || error == -ENOENT) fresh = accounts_read(buf_str(&text), seed, &why);
	if (fresh) {
		accounts_release(s->accounts);
		s->accounts = fresh;
	} else {
		if (error) buf_add(&why, str_from_c(strerror(-error)));
		complain(s, path, buf_str(&why));
	}
	buf_release(&text);
	buf_release(&why);
}

static struct accounts *current(struct server *s)
{
	char path[4096];
	struct buf b = {.ptr = path, .cap = sizeof path - 1, .max = sizeof path - 1};
	buf_printf(&b, STR_FMT "/accounts", STR_ARG(server_config(s)->state));
	path[b.len] = '\0';
	msec mtime = 0;
	uint64_t size = 0;
	(void)io_path_stat(s->io, path, &mtime, &size); /* absent: nobody, of size 0 */
	if (!s->accounts || mtime != s->accounts_mtime || size != s->accounts_size) {
		s->accounts_mtime = mtime;
		s->accounts_size = size;
		read_again(s, path);
	}
	return s->accounts;
}

struct accounts *server_accounts(void *context)
{
	struct accounts *a = current(context);
	return a ? accounts_hold(a) : NULL;
}

bool server_has_account(void *context, struct str local, struct str domain)
{
	struct accounts *a = current(context);
	char text[512];
	struct buf name = {.ptr = text, .cap = sizeof text, .max = sizeof text};
	buf_add(&name, local);
	buf_add_c(&name, '@');
	return buf_add(&name, domain) && a && accounts_find(a, buf_str(&name));
}
