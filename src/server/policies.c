/* What other domains ask of those who bring them mail: MTA-STS, and the web that it needs.  */
#include "server/parts.h"
#include "server/tls_report.h"

static uint64_t seed(struct server *s)
{
	uint64_t value;
	io_random(s->io, &value, sizeof value);
	return value;
}

void server_open_policies(struct server *s)
{
	struct buf path;
	buf_init(&path, 4096);
	buf_printf(&path, STR_FMT "/mta-sts", STR_ARG(server_config(s)->state));
	buf_add_c(&path, '\0');
	s->fetcher = io_fetcher_start(s->io);
	struct mtasts_options options = {.resolver = s->resolver,
		.fetcher = s->fetcher,
		.workers = s->history_workers,
		.path = buf_ok(&path) && s->history_workers ? path.ptr : NULL,
		.port = server_config(s)->mta_sts.port,
		.log = s->log};
	if (s->fetcher) s->mtasts = mtasts_new(s->io, &options, seed(s));
	buf_release(&path);
	s->reports = tls_reports_new(s);
	if (s->mtasts && s->reports) return;
	log_begin(s->log, LOG_ERROR, STR_NONE, "no-mta-sts");
	log_str(s->log, "why", STR("out of memory, or of threads"));
	log_end(s->log);
}

struct mtasts *server_policies(struct server *s)
{
	const struct config *c = server_config(s);
	if (!s->mtasts) return NULL;
	mtasts_configure(s->mtasts, s->resolver, c->mta_sts.port);
	return c->mta_sts.enable ? s->mtasts : NULL;
}

void server_configure_policies(struct server *s) { tls_reports_configure(s->reports); }

void server_stop_policies(struct server *s) { tls_reports_stop(s->reports); }

void server_close_policies(struct server *s)
{
	tls_reports_free(s->reports);
	s->reports = NULL;
	mtasts_free(s->mtasts);
	s->mtasts = NULL;
	io_fetcher_stop(s->fetcher);
	s->fetcher = NULL;
}
