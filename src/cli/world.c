#include "cli/world.h"

#include "server/units.h"

#include <errno.h>

enum { COMPLAINTS_MAX = 256 << 10 };

int cli_world_open(struct cli_world *w, const struct cli *cli, const char *command)
{
	*w = (struct cli_world){.io = io_new()};
	if (!w->io) {
		cli_say(command, "%s", strerror(errno));
		return EXIT_SOFTWARE;
	}
	struct buf complaints;
	buf_init(&complaints, COMPLAINTS_MAX);
	buf_init(&w->hostname, 256);
	io_hostname(&w->hostname);
	w->config = config_read(w->io, cli->config_file, buf_str(&w->hostname), &complaints);
	if (!w->config) io_stderr(buf_str(&complaints));
	buf_release(&complaints);
	if (w->config) return EXIT_DONE;
	cli_world_close(w);
	return EXIT_CONFIG;
}

void cli_world_close(struct cli_world *w)
{
	config_free(w->config);
	buf_release(&w->hostname);
	if (w->io) io_free(w->io);
	*w = (struct cli_world){0};
}

int cli_resolve(const char *command, struct str host_port, uint16_t port_default,
	struct net_address *to, int max)
{
	struct str host;
	uint16_t port;
	char name[256];
	if (!units_host_port(host_port, port_default, &host, &port) || host.len >= sizeof name) {
		cli_say(command, "\"" STR_FMT "\" is not HOST or HOST:PORT", STR_ARG(host_port));
		return 0;
	}
	memcpy(name, host.ptr, host.len);
	name[host.len] = 0;
	if (net_parse(host, to)) return to->port = port, 1;
	int count = io_resolve(name, port, to, max);
	if (count > 0) return count;
	cli_say(command, "no address is known for %s", name);
	return 0;
}
