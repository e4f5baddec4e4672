/* What the tests of the configuration share: a text becomes a file, and that a configuration or complaints.  */
#ifndef SERVER_CONFIG_PLAY_TEST_H
#define SERVER_CONFIG_PLAY_TEST_H

#include "base/test.h"
#include "server/config.h"

static char directory[] = "/tmp/rockdove-config-XXXXXX";
static char path[64];

static inline int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory)) return -1;
	snprintf(path, sizeof path, "%s/conf", directory);
	return 0;
}

static inline int remove_directory(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

struct fixture {
	struct io *io;
	struct config *c;
	struct buf said;
};

static inline void read_path(struct fixture *f, struct str file)
{
	f->io = io_new();
	assert_non_null(f->io);
	buf_init(&f->said, 1 << 16);
	f->c = config_read(f->io, file, STR("Mail.Example.com"), &f->said);
}

static inline void read_text(struct fixture *f, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	read_path(f, str_from_c(path));
}

static inline void end(struct fixture *f)
{
	config_free(f->c);
	buf_release(&f->said);
	io_free(f->io);
}

static inline struct config *good(struct fixture *f, const char *text)
{
	read_text(f, text);
	assert_str(buf_str(&f->said), "");
	assert_non_null(f->c);
	return f->c;
}

/* The complaints about text, with the file's name as @.  */
static inline void bad(const char *text, const char *wanted)
{
	struct fixture f;
	struct buf shown;
	read_text(&f, text);
	assert_null(f.c);
	buf_init(&shown, 1 << 16);
	struct str rest = buf_str(&f.said), line;
	while (rest.len) {
		str_cut(&rest, '\n', &line);
		bool here = str_starts(line, str_from_c(path));
		buf_add(&shown, here ? STR("@") : STR(""));
		buf_add(&shown, here ? str_skip(line, strlen(path)) : line);
		buf_add_c(&shown, '\n');
	}
	assert_str(buf_str(&shown), wanted);
	buf_release(&shown);
	end(&f);
}

#endif
