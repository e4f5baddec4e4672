/* rockdove serve: the server in the foreground.  */
#include "cli/cli.h"
#include "server/server.h"

#include <errno.h>
#include <signal.h>

enum { LISTEN_MAX = 64 };

struct serve {
	struct io *io;
	struct log log;
	struct server *server;
	struct io_signals signals;
	const struct cli *cli;
	struct str binds[LISTEN_MAX];
	uint32_t bind_count;
	uint32_t terminations;
};

static msec log_wall(void *context) { return io_wall(((struct serve *)context)->io); }

static void log_write(void *context, struct str lines)
{
	(void)context;
	io_stderr(lines);
}

/* The configuration of the command line: file, and `listen` by the operands.  NULL: the complaints say why.  */
static struct config *read_config(struct serve *s, struct buf *complaints)
{
	struct buf hostname;
	buf_init(&hostname, 256);
	io_hostname(&hostname);
	struct config *c = config_read(s->io, s->cli->config_file, buf_str(&hostname), complaints);
	buf_release(&hostname);
	bool fine = c &&
		(!s->bind_count || config_listen(c, s->binds, s->bind_count, complaints)) &&
		server_check_tls(s->io, c, complaints);
	if (!fine) {
		config_free(c);
		return NULL;
	}
	return c;
}

static void reload(struct serve *s)
{
	struct buf complaints;
	buf_init(&complaints, 256 * 1024);
	struct config *c = read_config(s, &complaints);
	if (c) {
		server_reload(s->server, c);
	} else {
		for (struct str rest = buf_str(&complaints), line; rest.len;) {
			str_cut(&rest, '\n', &line);
			log_begin(&s->log, LOG_ERROR, STR_NONE, "bad-configuration");
			log_str(&s->log, "what", line);
			log_end(&s->log);
		}
		log_begin(&s->log, LOG_ERROR, STR_NONE, "reload-failed");
		log_str(&s->log, "why",
			STR("the configuration has mistakes; the one before stays in force"));
		log_end(&s->log);
	}
	buf_release(&complaints);
}

static void signal_came(struct io_signals *signals, int number)
{
	struct serve *s = CONTAINER_OF(signals, struct serve, signals);
	if (number == SIGHUP) {
		if (s->terminations > 0) return;
		io_notify(STR("RELOADING=1"));
		reload(s);
		io_notify(STR("READY=1"));
		return;
	}
	if (s->terminations++ == 0) {
		io_notify(STR("STOPPING=1"));
		server_stop(s->server);
	} else {
		io_stop(s->io);
	}
}

static int run(struct serve *s, struct config *config)
{
	log_init(&s->log, config->log.format, config->log.level);
	s->log.wall = log_wall;
	s->log.write = log_write;
	s->log.context = s;
	s->signals.came = signal_came;
	int code = EXIT_SOFTWARE;
	int error = io_signals(s->io, &s->signals);
	if (error) {
		cli_say("serve", "signals: %s", strerror(-error));
		config_free(config);
		return code;
	}
	io_raise_descriptors();
	s->server = server_new(s->io, &s->log, config, &code);
	if (s->server) {
		io_notify(STR("READY=1"));
		io_run(s->io);
		server_free(s->server);
		code = EXIT_DONE;
	}
	log_release(&s->log);
	return code;
}

int cli_serve(const struct cli *cli, int argc, char **argv)
{
	static const struct cli_option table[] = {{.name = "check"}};
	struct cli_options options = {.command = "serve",
		.table = table,
		.count = 1,
		.argc = argc,
		.at = 1,
		.argv = argv};
	struct serve s = {.cli = cli};
	bool check = false;
	struct str value;
	for (int option; (option = cli_next(&options, &value)) != CLI_END;) {
		if (option == CLI_BAD) return EXIT_USAGE;
		if (option == 0) check = true;
		if (option == CLI_ARGUMENT && s.bind_count == LISTEN_MAX) {
			cli_say("serve", "at most %d addresses to listen on", LISTEN_MAX);
			return EXIT_USAGE;
		}
		if (option == CLI_ARGUMENT) s.binds[s.bind_count++] = value;
	}
	s.io = io_new();
	if (!s.io) {
		cli_say("serve", "%s", strerror(errno));
		return EXIT_SOFTWARE;
	}
	struct buf complaints;
	buf_init(&complaints, 256 * 1024);
	struct config *config = read_config(&s, &complaints);
	if (complaints.len) io_stderr(buf_str(&complaints));
	buf_release(&complaints);
	int code = EXIT_CONFIG;
	if (config && check) {
		config_free(config);
		code = EXIT_DONE;
	} else if (config) {
		code = run(&s, config);
	}
	io_free(s.io);
	return code;
}
