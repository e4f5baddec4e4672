/* The control socket's place in the server.  */
#include "admin/control.h"
#include "server/parts.h"

#include <errno.h>

static void fill(struct server *s)
{
	const struct config *c = server_config(s);
	*s->admin = (struct admin){
		.io = s->io,
		.log = s->log,
		.spool = s->spool,
		.queue = s->queue,
		.history = s->history,
		.router = s->router,
		.routes = &c->routes,
		.domains = &c->domains,
		.usage = server_usage(s),
		.hostname = c->hostname,
	};
}

static void say_why_not(struct server *s, const char *path, int error)
{
	log_begin(s->log, LOG_ERROR, STR_NONE, "no-control-socket");
	log_str(s->log, "path", str_from_c(path));
	log_str(s->log, "why", str_from_c(strerror(-error)));
	log_str(s->log, "what",
		STR("`rockdove queue` and `trace` will not reach this server; set `control` to a path it may make"));
	log_end(s->log);
}

static void listen_at(struct server *s, struct str path)
{
	s->control_path = strndup(path.ptr, path.len);
	int error = -ENOMEM;
	if (s->control_path)
		s->control = control_open(s->admin, control_commands, s->control_path, &error);
	if (!s->control) say_why_not(s, s->control_path ? s->control_path : "", error);
}

static void close_socket(struct server *s)
{
	if (s->control) {
		control_close(s->control);
		if (io_unlink(s->io, s->control_path) != 0)
			say_why_not(s, s->control_path, -ENOENT);
	}
	free(s->control_path);
	s->control = NULL;
	s->control_path = NULL;
}

void server_open_control(struct server *s)
{
	s->admin = calloc(1, sizeof *s->admin);
	if (!s->admin) return;
	fill(s);
	listen_at(s, server_config(s)->control);
}

void server_configure_control(struct server *s)
{
	if (!s->admin) return;
	fill(s);
	struct str path = server_config(s)->control;
	if (s->control_path && str_eq(path, str_from_c(s->control_path))) return;
	close_socket(s);
	listen_at(s, path);
}

void server_close_control(struct server *s)
{
	close_socket(s);
	free(s->admin);
	s->admin = NULL;
}
