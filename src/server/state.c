/* What the server keeps under its state directory: spool and history, opened.  */
#include "server/parts.h"

#include <errno.h>

static char *state_path(struct server *s, const char *name)
{
	struct buf path;
	buf_init(&path, 4096);
	buf_printf(&path, STR_FMT "/%s", STR_ARG(server_config(s)->state), name);
	buf_add_c(&path, '\0');
	return path.ptr; /* the caller frees it */
}

/* A spool that does not survive a restart of its container, or the power, is a trap for newcomers.  */
void server_warn_about_disk(struct server *s, const char *path)
{
	uint64_t free_octets;
	enum io_fs kind;
	if (io_fs(s->io, path, &free_octets, &kind) != 0 || kind == IO_FS_DISK) return;
	static const char *const words[] = {
		[IO_FS_MEMORY] =
			"this directory lies in memory (tmpfs): all mail in it is lost when the machine stops; set "
			"`state` to a directory on a disk",
		[IO_FS_OVERLAY] =
			"this directory lies in the container's own layer (overlay): all mail in it is lost when the "
			"container is removed; mount a volume and set `state` to it",
		[IO_FS_NETWORK] =
			"this directory lies on a network or user-space file system: whether it keeps what it "
			"has acknowledged is up to that system; prefer a local disk",
	};
	log_begin(s->log, LOG_WARN, STR_NONE, "state-not-on-disk");
	log_str(s->log, "path", str_from_c(path));
	log_str(s->log, "what", str_from_c(words[kind]));
	log_end(s->log);
}

int server_open_spool(struct server *s, const char **ret_why)
{
	char *path = state_path(s, "spool");
	struct spool_options options = {
		.path = path,
		.disk_free = server_config(s)->limits.disk_free,
		.memory_max = server_config(s)->limits.memory,
		.log = s->log,
	};
	struct spool_report report;
	int64_t began = io_now_us(s->io);
	*ret_why = strerror(ENOMEM);
	int error = path ? spool_open(s->io, &options, &s->spool, &report, ret_why) : -ENOMEM;
	free(path);
	if (error) return error;
	log_begin(s->log, report.damaged_records ? LOG_ERROR : LOG_INFO, STR_NONE, "recovered");
	log_i64(s->log, "messages", report.messages);
	log_i64(s->log, "recipients", report.recipients);
	log_i64(s->log, "segments", report.segments);
	log_i64(s->log, "damaged", report.damaged_records);
	if (report.torn_tails) log_i64(s->log, "torn", report.torn_tails);
	log_i64(s->log, "ms", (io_now_us(s->io) - began) / 1000);
	log_end(s->log);
	return 0;
}

/* Without a history there is no trace; mail goes on.  */
void server_open_history(struct server *s)
{
	const struct config *c = server_config(s);
	int error = -ENOMEM;
	char *path = state_path(s, "history");
	s->history_workers = io_workers_start_low(s->io, 1, "history");
	if (path && s->history_workers)
		s->history = history_open(s->io, s->history_workers, path, c->history.keep,
			c->history.size, s->log, &error);
	if (!s->history && c->history.keep) {
		log_begin(s->log, LOG_ERROR, STR_NONE, "no-history");
		log_str(s->log, "path", str_from_c(path ? path : ""));
		log_str(s->log, "why", str_from_c(strerror(-error)));
		log_end(s->log);
	}
	free(path);
}
