#include "server/server.h"

#include "inbound/inbound.h"
#include "outbound/outbound.h"
#include "route/router.h"
#include "server/acme.h"
#include "server/parts.h"
#include "server/tls_report.h"

#include <errno.h>
#include <sysexits.h>

enum {
	STOP_MS = 20 * 1000, /* how long an orderly stop waits for peers */
	LATENCY_HOSTS = 100 * 1000,
	LISTENING_MAX = 256,
};

const struct config *server_config(const struct server *s) { return s->office->config; }

/* ---- saying what cannot be ---- */

static struct server *refuse(
	struct server *s, int code, int *ret_exit, const char *what, const char *why)
{
	log_begin(s->log, LOG_ERROR, STR_NONE, "cannot-start");
	log_str(s->log, "what", str_from_c(what));
	log_str(s->log, "why", str_from_c(why));
	log_end(s->log);
	log_flush(s->log);
	*ret_exit = code;
	server_free(s);
	return NULL;
}

/* ---- offices: configurations that somebody still follows ---- */

static void config_leave(void *owner)
{
	struct config_office *office = owner;
	if (--office->users > 0) return;
	config_free(office->config);
	free(office);
}

static struct config_office *config_enter(struct config *config)
{
	struct config_office *office = calloc(1, sizeof *office);
	if (!office) return NULL;
	*office = (struct config_office){.config = config, .users = 1};
	return office;
}

static struct inbound_rules rules_of(struct config_office *office)
{
	const struct config *c = office->config;
	return (struct inbound_rules){
		.hostname = c->hostname,
		.listeners = c->listeners,
		.listener_count = c->listener_count,
		.domains = &c->domains,
		.senders = &c->senders,
		.relay_from = &c->relay_from,
		.message_max = c->limits.message,
		.recipients_max = c->limits.recipients,
		.errors_max = c->limits.errors,
		.connections = c->limits.connections,
		.connections_per_client = c->limits.connections_per_client,
		.timeout = c->limits.timeout,
		.hold = c->limits.hold,
		.guard = {c->limits.login_failures, c->limits.login_pause},
		.release = config_leave,
		.owner = office,
	};
}

/* ---- running ---- */

/* What time asks of the queue, after each batch of events; it comes before the spool's hook, which writes what
 * this has recorded, and asks when to come again when all is done.  */
static void run_queue(struct server *s)
{
	msec next = queue_run(s->queue, io_now(s->io), io_wall(s->io));
	next = outbound_run(s->outbound) ? io_now(s->io) : queue_next(s->queue);
	if (next == MSEC_NEVER)
		io_timer_cancel(s->io, &s->queue_timer);
	else if (!timer_is_set(&s->queue_timer) || s->queue_timer.node.key != next)
		io_timer_set(s->io, &s->queue_timer, next);
}

static void queue_hook(struct io_hook *hook)
{
	struct server *s = CONTAINER_OF(hook, struct server, queue_hook);
	if (s->queue && !s->stopped) run_queue(s);
}

static void log_hook(struct io_hook *hook)
{
	struct server *s = CONTAINER_OF(hook, struct server, log_hook);
	log_flush(s->log);
}

/* It has woken the loop; the hook does the work.  */
static void queue_timer(struct timer *timer) { (void)timer; }

/* ---- begin ---- */

static uint64_t seed(struct server *s)
{
	uint64_t value;
	io_random(s->io, &value, sizeof value);
	return value;
}

static bool open_routing(struct server *s, const char **ret_why)
{
	*ret_why = strerror(ENOMEM);
	s->latency = latency_new(LATENCY_HOSTS, seed(s));
	return s->latency && server_open_dns(s, ret_why);
}

static bool is_any(const struct net_address *a)
{
	static const uint8_t zeros[16];
	return memcmp(a->octets, zeros, sizeof zeros) == 0;
}

/* Where we can be reached: a listener on every address stands for those of all interfaces.  */
static void know_ourselves(struct server *s)
{
	struct net_address interfaces[LISTENING_MAX];
	uint32_t count = io_interfaces(interfaces, LISTENING_MAX);
	uint32_t bound = inbound_listening(s->inbound, s->listening, LISTENING_MAX);
	s->bound_count = s->listening_count = bound;
	for (uint32_t i = 0; i < bound; i++) {
		if (!is_any(&s->listening[i])) continue;
		for (uint32_t j = 0; j < count && s->listening_count < LISTENING_MAX; j++) {
			if (interfaces[j].family != s->listening[i].family) continue;
			struct net_address *new = &s->listening[s->listening_count++];
			*new = interfaces[j];
			new->port = s->listening[i].port;
		}
	}
}

/* The router knows our own addresses, so it comes after the listeners.  */
static bool open_router(struct server *s)
{
	know_ourselves(s);
	struct router_options options = {
		.resolver = s->resolver,
		.latency = s->latency,
		.mtasts = server_policies(s),
		.hostname = server_config(s)->hostname,
		.listening = s->listening,
		.listening_count = s->listening_count,
		.exceptions = &server_config(s)->tls_exceptions,
		.ipv4 = true,
		.ipv6 = true,
		.seed = seed(s),
	};
	if (s->router) {
		router_configure(s->router, &options);
		return true;
	}
	s->router = router_new(s->io, &options);
	return s->router != NULL;
}

static void link_recovered(void *context, slot recipient, struct str domain)
{
	struct server *s = context;
	queue_recovered(s->queue, recipient, domain);
}

static void tell_doubtful(void *context, slot recipient)
{
	struct server *s = context;
	queue_doubtful(s->queue, recipient, io_now(s->io), io_wall(s->io));
}

/* At the end the queue outlives the outbound side for a moment.  */
static void destination_ready(void *context, struct destination *d)
{
	struct server *s = context;
	if (s->outbound) outbound_ready(s->outbound, d);
}

static void destination_gone(void *context, struct destination *d)
{
	struct server *s = context;
	if (s->outbound) outbound_gone(s->outbound, d);
}

static bool open_queue(struct server *s)
{
	struct outbound_parts parts = {.io = s->io,
		.spool = s->spool,
		.latency = s->latency,
		.log = s->log,
		.note_tls = s->reports ? tls_reports_note : NULL,
		.note_context = s->reports};
	s->outbound = outbound_new(&parts);
	if (!s->outbound) return false;
	struct queue_drivers drivers = {.ready = destination_ready,
		.gone = destination_gone,
		.failed = server_usage_failed,
		.context = s};
	const struct config *c = server_config(s);
	s->queue =
		queue_new(s->spool, s->history, &c->queue, &c->routes, &drivers, seed(s), s->log);
	if (!s->queue) return false;
	spool_each_recovered(s->spool, link_recovered, s);
	spool_each_doubtful(s->spool, tell_doubtful, s);
	return true;
}

/* Have clients served by this configuration, which stays in force until the next one is.  */
static bool follow(struct server *s, struct config_office *office, struct buf *why)
{
	struct inbound_rules rules = rules_of(office);
	rules.accounts = server_accounts;
	rules.accounts_context = s;
	rules.usage = server_usage(s);
	rules.usage_changed = server_usage_changed;
	office->config->domains.account = server_has_account;
	office->config->domains.context = s;
	bool fine = server_tls(s, office->config, &rules.tls, why) &&
		inbound_configure(s->inbound, &rules, why);
	if (fine) server_watch_tls(s, office->config, rules.tls);
	tls_context_release(rules.tls);
	if (fine) office->users++;
	if (fine) server_usage(s)->options = office->config->account;
	return fine;
}

static bool open_inbound(struct server *s, struct buf *why)
{
	struct inbound_parts parts = {.io = s->io,
		.spool = s->spool,
		.queue = s->queue,
		.history = s->history,
		.log = s->log};
	s->inbound = inbound_new(&parts, seed(s));
	if (!s->inbound) return false;
	return follow(s, s->office, why);
}

static void log_ready(struct server *s)
{
	for (uint32_t i = 0; i < s->bound_count; i++) {
		char text[100];
		struct buf b = {.ptr = text, .cap = sizeof text, .max = sizeof text};
		net_add_port(&b, &s->listening[i]);
		log_begin(s->log, LOG_INFO, STR_NONE, "listening");
		log_str(s->log, "address", buf_str(&b));
		log_end(s->log);
	}
	log_begin(s->log, LOG_INFO, STR_NONE, "ready");
	log_str(s->log, "hostname", server_config(s)->hostname);
	log_str(s->log, "version", STR(ROCKDOVE_VERSION));
	log_end(s->log);
	log_flush(s->log);
}

static struct server *server_bare(struct io *io, struct log *log, struct config *config)
{
	struct server *s = calloc(1, sizeof *s);
	ASSERT(s);
	s->io = io;
	s->log = log;
	s->office = config_enter(config);
	ASSERT(s->office);
	s->queue_hook.run = queue_hook;
	s->log_hook.run = log_hook;
	s->queue_timer.fire = queue_timer;
	list_init(&s->log_hook.link);
	list_init(&s->retired);
	io_before_sleep(io, &s->queue_hook);
	return s;
}

struct server *server_new(struct io *io, struct log *log, struct config *config, int *ret_exit)
{
	struct server *s = server_bare(io, log, config);
	const char *state = config->state.ptr;
	const char *why = NULL;
	const char *what = NULL;
	if (!server_confine(s, ret_exit, &what, &why))
		return refuse(s, *ret_exit, ret_exit, what, why);
	server_warn_about_disk(s, state);
	int error = server_open_spool(s, &why);
	if (error == -EWOULDBLOCK)
		return refuse(s, EX_TEMPFAIL, ret_exit, state,
			"another server uses this state; stop it first");
	if (error) return refuse(s, EX_IOERR, ret_exit, "spool", why ? why : strerror(-error));
	server_open_history(s);
	if (!open_routing(s, &why)) return refuse(s, EX_UNAVAILABLE, ret_exit, "dns", why);
	server_open_policies(s);
	if (!open_queue(s)) return refuse(s, EX_OSERR, ret_exit, "queue", "out of memory");
	if (!server_open_usage(s, seed(s)))
		return refuse(s, EX_OSERR, ret_exit, "usage", "out of memory");
	struct buf bind_why;
	buf_init(&bind_why, 1024);
	bool bound = open_inbound(s, &bind_why);
	buf_add_c(&bind_why, '\0');
	if (!bound) {
		refuse(s, EX_UNAVAILABLE, ret_exit, "listen", bind_why.ptr);
		buf_release(&bind_why);
		return NULL;
	}
	buf_release(&bind_why);
	if (!open_router(s)) return refuse(s, EX_OSERR, ret_exit, "router", "out of memory");
	outbound_configure(s->outbound, s->queue, s->router, &config->domains, config->hostname);
	if (!server_open_acme(s, &bind_why)) {
		buf_add_c(&bind_why, '\0');
		refuse(s, EX_UNAVAILABLE, ret_exit, "acme", bind_why.ptr);
		buf_release(&bind_why);
		return NULL;
	}
	buf_release(&bind_why);
	server_open_control(s);
	server_log_exceptions(s);
	io_before_sleep(
		io, &s->log_hook); /* last: what the others said leaves in the same wake-up */
	log_ready(s);
	return s;
}

/* ---- reload ---- */

bool server_reload(struct server *s, struct config *config)
{
	if (s->stopping) { /* its listeners are closed for good */
		config_free(config);
		return false;
	}
	struct config_office *office = config_enter(config);
	struct buf why;
	buf_init(&why, 1024);
	if (!office || !server_reaches(s, config, &why) || !follow(s, office, &why)) {
		log_begin(s->log, LOG_ERROR, STR_NONE, "reload-failed");
		log_str(s->log, "why", buf_str(&why));
		log_end(s->log);
		buf_release(&why);
		free(office);
		config_free(config);
		return false;
	}
	buf_release(&why);
	struct config_office *before = s->office;
	s->office = office;
	s->log->level = config->log.level;
	s->log->format = config->log.format;
	queue_configure(s->queue, &config->queue, &config->routes, io_now(s->io), io_wall(s->io));
	server_configure_dns(s, before->config);
	open_router(s);
	outbound_configure(s->outbound, s->queue, s->router, &config->domains, config->hostname);
	spool_limits(s->spool, config->limits.memory, config->limits.disk_free);
	if (s->history) history_limits(s->history, config->history.keep, config->history.size);
	server_configure_control(s);
	server_configure_acme(s);
	server_configure_policies(s);
	config_leave(before);
	server_log_exceptions(s);
	log_begin(s->log, LOG_INFO, STR_NONE, "reloaded");
	log_end(s->log);
	return true;
}

/* ---- end ---- */

static void check_stopped(struct server *s)
{
	if (!s->inbound_stopped || !s->outbound_stopped || s->stopped) return;
	s->stopped = true;
	io_stop(s->io);
}

static void inbound_stopped(void *context)
{
	struct server *s = context;
	s->inbound_stopped = true;
	check_stopped(s);
}

static void outbound_stopped(void *context)
{
	struct server *s = context;
	s->outbound_stopped = true;
	check_stopped(s);
}

static void stop_timer(struct timer *timer)
{
	struct server *s = CONTAINER_OF(timer, struct server, stop_timer);
	log_begin(s->log, LOG_WARN, STR_NONE, "stop-forced");
	log_str(s->log, "why", STR("peers are too slow; their mail stays in the queue"));
	log_end(s->log);
	s->stopped = true;
	io_stop(s->io);
}

void server_stop(struct server *s)
{
	if (s->stopping) return;
	s->stopping = true;
	log_begin(s->log, LOG_INFO, STR_NONE, "stopping");
	log_end(s->log);
	s->stop_timer.fire = stop_timer;
	io_timer_set(s->io, &s->stop_timer, io_now(s->io) + STOP_MS);
	inbound_stop(s->inbound, inbound_stopped, s);
	outbound_stop(s->outbound, outbound_stopped, s);
}

void server_free(struct server *s)
{
	s->stopped = true;
	io_timer_cancel(s->io, &s->stop_timer);
	io_timer_cancel(s->io, &s->queue_timer);
	server_unwatch_tls(s);
	server_close_control(s);
	server_stop_policies(s);
	acme_free(s->acme);
	s->acme = NULL;
	if (s->inbound) inbound_drop(s->inbound);
	outbound_free(s->outbound);
	s->outbound = NULL;
	if (s->router) router_free(s->router);
	if (s->spool)
		spool_close(
			s->spool); /* commits under way end here: inbound and queue are still there */
	if (s->queue) queue_free(s->queue);
	inbound_free(s->inbound);
	if (s->history) history_close(s->history);
	if (s->history_workers) io_workers_stop(s->history_workers);
	server_close_policies(s); /* what the workers write for it is written */
	server_close_dns(s);
	if (s->latency) latency_free(s->latency);
	server_close_usage(s);
	accounts_release(s->accounts);
	config_leave(s->office);
	server_sandbox_free(s);
	list_remove(&s->queue_hook.link);
	list_remove(&s->log_hook.link);
	log_flush(s->log);
	free(s);
}
