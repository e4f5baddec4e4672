/* The configuration as a whole: the table of its keys, and what only the whole can tell.  */
#include "server/config.h"

#include "io/confine.h"
#include "io/file.h"
#include "server/config_schema.h"
#include "server/units.h"

enum { ARENA_MAX = 1 << 30, SOCKET_PATH_MAX = 107 };

static const struct config_choice validate_choices[] = {{"self", DNS_VALIDATE_SELF},
	{"resolver", DNS_VALIDATE_RESOLVER}, {"off", DNS_VALIDATE_OFF}, {0}};
static const struct config_choice format_choices[] = {{"text", LOG_TEXT}, {"json", LOG_JSON}, {0}};
static const struct config_choice level_choices[] = {
	{"debug", LOG_DEBUG}, {"info", LOG_INFO}, {"warn", LOG_WARN}, {"error", LOG_ERROR}, {0}};

/* ---- settings with a form of their own ---- */

static void read_hostname(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct str name = v ? v->text : r->hostname;
	struct place place = v ? v->place : (struct place){0};
	*(struct str *)field = config_copy(r, name, true);
	if (v && v->type != UCL_TEXT)
		complain(&r->complaints, place, "%s: a text is wanted", where);
	else if (!domain_valid(name, false))
		complain(&r->complaints, place,
			"%s: \"" STR_FMT
			"\" is not a host name; one such as \"mail.example.com\" is wanted",
			where, STR_ARG(name));
}

/* A relative one is taken from the directory of the configuration file.  */
static void read_state(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct str *state = field;
	*state = STR("");
	if (!v || v->type != UCL_TEXT || !v->text.len) {
		if (v) config_wrong(r, v, where, "the path of a directory is wanted");
		return;
	}
	struct str path = v->text;
	while (path.len > 1 && path.ptr[path.len - 1] == '/') path.len--;
	struct str from = path.ptr[0] == '/' ? STR("") : str_from_c(r->directory);
	char *whole = config_alloc(r, from.len + path.len + 1);
	if (!whole) return;
	if (from.len) memcpy(whole, from.ptr, from.len);
	memcpy(whole + from.len, path.ptr, path.len);
	*state = str_of(whole, from.len + path.len);
}

static void read_control(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct str *control = field;
	if (v->type != UCL_TEXT || !v->text.len) {
		config_wrong(r, v, where, "the path of a local socket is wanted");
		return;
	}
	*control = config_path(r, config_copy(r, v->text, false));
	size_t slash = str_rfind(*control, '/');
	if (slash < control->len)
		config_use(r, config_copy(r, str_head(*control, slash), false), true, v->place);
	if (control->len <= SOCKET_PATH_MAX) return;
	complain(&r->complaints, v->place,
		"%s: \"" STR_FMT "\" is too long for a local socket; at most %d octets", where,
		STR_ARG(*control), SOCKET_PATH_MAX);
}

static void read_user(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct str *user = field;
	*user = STR("");
	struct io_user found;
	if (v->type != UCL_TEXT)
		config_wrong(r, v, where, "the name of a user of this machine is wanted");
	else
		*user = config_copy(r, v->text, false);
	if (user->len && io_user_find(r->io, user->ptr, &found) != 0)
		config_wrong(r, v, where,
			"there is no user \"" STR_FMT
			"\" on this machine; `adduser --system --group " STR_FMT "` makes one",
			STR_ARG(*user), STR_ARG(*user));
}

static void read_retry(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct queue_options *q = CONTAINER_OF(field, struct queue_options, retry);
	q->retry_count = 0;
	for (const struct ucl_value *t = NULL; (t = config_each_text(r, v, t, where));) {
		msec time;
		if (!units_time(t->text, &time))
			config_wrong(r, t, where, "\"" STR_FMT "\" is not a time such as 1m or 2h",
				STR_ARG(t->text));
		else if (time < SECONDS(1) || time > DAYS(30))
			config_wrong(r, t, where, STR_FMT " is out of range; each is 1s to 30d",
				STR_ARG(t->text));
		else if (q->retry_count == ARRAY_LEN(q->retry))
			config_wrong(
				r, t, where, "there are more than %zu times", ARRAY_LEN(q->retry));
		else
			q->retry[q->retry_count++] = time;
	}
	if (!config_count(v))
		config_wrong(
			r, v, where, "a list of times such as [\"1m\", \"5m\", \"1h\"] is wanted");
}

static void read_servers(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct config *c = r->config;
	struct net_address *servers = config_alloc(r, config_count(v) * sizeof *servers);
	if (!servers) return;
	*(const struct net_address **)field = servers;
	for (const struct ucl_value *t = NULL; (t = config_each_text(r, v, t, where));) {
		if (net_parse_port(t->text, 53, &servers[c->dns.server_count]))
			c->dns.server_count++;
		else
			config_wrong(r, t, where,
				"\"" STR_FMT
				"\" is not an address such as 192.0.2.53 or 127.0.0.1:5353",
				STR_ARG(t->text));
	}
}

void config_read_ranges(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct access_list *list = field;
	struct net_range *ranges = config_alloc(r, config_count(v) * sizeof *ranges);
	if (!ranges) return;
	list->ranges = ranges;
	for (const struct ucl_value *t = NULL; (t = config_each_text(r, v, t, where));) {
		if (net_parse_range(t->text, &ranges[list->count]))
			list->count++;
		else
			config_wrong(r, t, where,
				"\"" STR_FMT "\" is not a network such as 192.0.2.0/24 or ::1",
				STR_ARG(t->text));
	}
}

static void read_http_bind(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct str *bind = field, host;
	uint16_t port;
	if (v->type != UCL_TEXT || (v->text.len && !units_host_port(v->text, 8025, &host, &port)))
		config_wrong(r, v, where,
			"an address such as \"127.0.0.1:8025\" is wanted, or \"\" for none");
	else
		*bind = config_copy(r, v->text, false);
}

static void read_address(
	struct config_reader *r, const struct ucl_value *v, const char *where, void *field)
{
	struct address a;
	if (v->type != UCL_TEXT || (v->text.len && !address_parse(v->text, false, false, &a)))
		config_wrong(r, v, where,
			"an address such as \"tls-reports@example.com\" is wanted, or \"\" for none");
	else
		*(struct str *)field = config_copy(r, v->text, false);
}

/* ---- the table ---- */

static const struct config_key queue_keys[] = {
	{"retry", CONFIG_OTHER, offsetof(struct queue_options, retry),
		"[1m, 5m, 15m, 30m, 1h, 2h, 4h]", .read = read_retry,
		.help = "waits between attempts; the last repeats"},
	{"lifetime", CONFIG_TIME, offsetof(struct queue_options, lifetime), "5d", SECONDS(1),
		DAYS(365), .help = "after so long in the queue a message is returned"},
	{"delay_notice", CONFIG_TIME, offsetof(struct queue_options, delay_notice), "4h", 0,
		DAYS(365), .help = "after so long its sender is told that it waits; 0 is never"},
	{"return_breaker", CONFIG_COUNT, offsetof(struct queue_options, return_breaker), "100", 0,
		1000000,
		.help = "so many refusals in a row pause a destination instead of returning all; 0 is never"},
	{0},
};

static const struct config_key limits_keys[] = {
	{"message", CONFIG_SIZE, offsetof(struct config, limits.message), "50M", 64 << 10,
		INT64_C(1) << 40, .help = "octets of one message"},
	{"recipients", CONFIG_COUNT, offsetof(struct config, limits.recipients), "1000", 100, 65535,
		.help = "recipients of one message; RFC 5321 wants 100 at least"},
	{"connections", CONFIG_COUNT, offsetof(struct config, limits.connections), "20000", 1,
		1000000, .help = "clients at once"},
	{"connections_per_client", CONFIG_COUNT,
		offsetof(struct config, limits.connections_per_client), "100", 1, 1000000,
		.help = "of one address at once"},
	{"errors", CONFIG_COUNT, offsetof(struct config, limits.errors), "20", 1, 1000000,
		.help = "bad commands in one session before 421"},
	{"timeout", CONFIG_TIME, offsetof(struct config, limits.timeout), "5m", 100, DAYS(1),
		.help = "of silence; RFC 5321 wants 5m"},
	{"hold", CONFIG_TIME, offsetof(struct config, limits.hold), "30d", 0, DAYS(3650),
		.help = "how long a submitted message may wait for a date its sender names; 0 is not at all"},
	{"login_failures", CONFIG_COUNT, offsetof(struct config, limits.login_failures), "20", 0,
		1000000,
		.help = "failed logins of a client within login_pause before it is refused; 0 is never"},
	{"login_pause", CONFIG_TIME, offsetof(struct config, limits.login_pause), "15m", SECONDS(1),
		DAYS(30), .help = "how long it is refused, doubled each time up to 32 times"},
	{"memory", CONFIG_SIZE, offsetof(struct config, limits.memory), "1G", 16 << 20,
		INT64_C(1) << 50, .help = "past it new mail gets 452"},
	{"disk_free", CONFIG_SIZE, offsetof(struct config, limits.disk_free), "100M", 0,
		INT64_C(1) << 60, .help = "octets to leave free on the disk; 0 is no reserve"},
	{0},
};

static const struct config_key dns_keys[] = {
	{"servers", CONFIG_OTHER, offsetof(struct config, dns.servers), "[]", .read = read_servers,
		.help = "name servers; none: /etc/resolv.conf"},
	{"trust_anchor", CONFIG_PATH, offsetof(struct config, dns.trust_anchor), "\"\"",
		.help = "file of the DNSSEC trust anchor; none: the root's"},
	{"validate", CONFIG_CHOICE, offsetof(struct config, dns.validate), "self",
		.choices = validate_choices, .help = "who checks DNSSEC"},
	{0},
};

static const struct config_key mta_sts_keys[] = {
	{"enable", CONFIG_BOOL, offsetof(struct config, mta_sts.enable), "true",
		.help = "whether the policies of other domains are looked at"},
	{"port", CONFIG_PORT, offsetof(struct config, mta_sts.port), "443",
		.help = "of the web servers that have them; another one is for tests"},
	{0},
};

static const struct config_key tls_report_keys[] = {
	{"from", CONFIG_OTHER, offsetof(struct config, tls_report.from), "\"\"",
		.read = read_address,
		.help = "the address that sends reports about TLS; \"\" is no reports"},
	{"contact", CONFIG_OTHER, offsetof(struct config, tls_report.contact), "\"\"",
		.read = read_address, .help = "whom to ask about a report; \"\" is from"},
	{"organization", CONFIG_TEXT, offsetof(struct config, tls_report.organization), "\"\"",
		.help = "whose reports they are; \"\" is the hostname"},
	{"period", CONFIG_TIME, offsetof(struct config, tls_report.period), "24h", SECONDS(1),
		DAYS(1), .help = "of one report; less than 24h is for tests"},
	{0},
};

static const struct config_key history_keys[] = {
	{"keep", CONFIG_TIME, offsetof(struct config, history.keep), "7d", 0, DAYS(3650),
		.help = "how long the lives of messages are kept; 0 is not at all"},
	{"size", CONFIG_SIZE, offsetof(struct config, history.size), "1G", 0, INT64_C(1) << 50,
		.help = "octets they may take"},
	{0},
};

static const struct config_key http_keys[] = {
	{"bind", CONFIG_OTHER, offsetof(struct config, http.bind), "\"127.0.0.1:8025\"",
		.read = read_http_bind, .help = "where the console listens; \"\" is nowhere"},
	{"token_file", CONFIG_PATH, offsetof(struct config, http.token_file), "\"\"",
		.help = "file with the console's token; needed on an address that is not loopback"},
	{0},
};

static const struct config_key log_keys[] = {
	{"format", CONFIG_CHOICE, offsetof(struct config, log.format), "text",
		.choices = format_choices, .help = "of the log on standard error"},
	{"level", CONFIG_CHOICE, offsetof(struct config, log.level), "info",
		.choices = level_choices, .help = "the least that is logged"},
	{0},
};

/* In the order of need: paths want state, listeners and domains want hostname, routes come after domains.  */
const struct config_key config_keys[] = {
	{"hostname", CONFIG_OTHER, offsetof(struct config, hostname), .read = read_hostname,
		.help = "this machine's full name"},
	{"state", CONFIG_OTHER, offsetof(struct config, state), "\"/var/lib/rockdove\"",
		.read = read_state, .help = "directory of the spool, mailboxes, keys and accounts"},
	{"control", CONFIG_OTHER, offsetof(struct config, control), "control.sock",
		.read = read_control, .help = "the control socket"},
	{"user", CONFIG_OTHER, offsetof(struct config, user), "\"\"", .read = read_user,
		.help = "whom a server that root starts becomes; none: rockdove, if there is one"},
	{"sandbox", CONFIG_BOOL, offsetof(struct config, sandbox), "on",
		.help = "give up every file and system call that is not needed"},
	{"listen", CONFIG_OTHER, 0, .read = config_read_listeners, .help = "listen NAME { ... }"},
	{"tls", CONFIG_BLOCK, 0, .keys = config_tls_keys, .help = "certificate and key"},
	{"certificate", CONFIG_OTHER, offsetof(struct config, certificates),
		.read = config_read_certificates, .help = "certificate \"NAME\" { ... }"},
	{"acme", CONFIG_BLOCK, 0, .keys = config_acme_keys,
		.help = "a certificate from an authority"},
	{"relay_from", CONFIG_OTHER, offsetof(struct config, relay_from),
		"[\"127.0.0.0/8\", \"::1\"]", .read = config_read_ranges,
		.help = "clients that may send to anywhere without logging in"},
	{"domain", CONFIG_OTHER, 0, .read = config_read_domains, .help = "domain \"NAME\" { ... }"},
	{"senders", CONFIG_OTHER, 0, .read = config_read_senders,
		.help = "senders { \"ACCOUNT\" = ADDRESS, or a list of them }"},
	{"account", CONFIG_BLOCK, offsetof(struct config, account), .keys = config_account_keys,
		.help = "what each account may send"},
	{"route", CONFIG_OTHER, 0, .read = config_read_routes, .help = "route \"NAME\" { ... }"},
	{"tls_except", CONFIG_OTHER, offsetof(struct config, tls_exceptions),
		.read = config_read_exceptions, .help = "tls_except \"NAME\" { until = \"DAY\" }"},
	{"queue", CONFIG_BLOCK, offsetof(struct config, queue), .keys = queue_keys,
		.help = "retries and returns"},
	{"limits", CONFIG_BLOCK, 0, .keys = limits_keys,
		.help = "what one client, and all, may use"},
	{"dns", CONFIG_BLOCK, 0, .keys = dns_keys, .help = "name servers"},
	{"mta_sts", CONFIG_BLOCK, 0, .keys = mta_sts_keys, .help = "MTA-STS of other domains"},
	{"tls_report", CONFIG_BLOCK, 0, .keys = tls_report_keys, .help = "reports about TLS"},
	{"history", CONFIG_BLOCK, 0, .keys = history_keys, .help = "lives of finished messages"},
	{"http", CONFIG_BLOCK, 0, .keys = http_keys, .help = "the console"},
	{"log", CONFIG_BLOCK, 0, .keys = log_keys, .help = "the log"},
	{0},
};

/* ---- the whole ---- */

/* The console shows and moves mail: on any address but loopback it wants a token.  */
static void check_http(struct config_reader *r, const struct ucl_value *root)
{
	const struct config *c = r->config;
	struct net_address address;
	if (!c->http.bind.len || c->http.token_file.len) return;
	if (str_istarts(c->http.bind, STR("localhost"))) return;
	if (net_parse_port(c->http.bind, 8025, &address) && net_is_loopback(&address)) return;
	const struct ucl_value *http = ucl_find(root, STR("http")),
			       *bind = ucl_find(http, STR("bind"));
	if (bind)
		config_wrong(r, bind, "http.bind",
			"an address that is not loopback needs http.token_file");
}

/* The directory of file, with its last slash.  */
static const char *directory_of(struct config_reader *r, struct str file)
{
	size_t slash = str_rfind(file, '/');
	struct str directory = slash < file.len ? str_head(file, slash + 1) : STR("");
	return config_copy(r, directory, false).ptr;
}

/* The files that the settings stand in, which SIGHUP reads again.  */
static void use_files(struct config_reader *r, const struct ucl_value *v)
{
	const struct config_use *last = r->config->uses;
	if (v->place.file && (!last || last->place.file != v->place.file || last->place.line))
		config_use(r, str_from_c(v->place.file), false, (struct place){v->place.file, 0});
	for (v = v->first; v; v = v->next) use_files(r, v);
}

static struct config *config_new(struct io *io)
{
	struct config *c = calloc(1, sizeof *c);
	if (!c) return NULL;
	uint64_t seed;
	io_random(io, &seed, sizeof seed);
	arena_init(&c->arena, ARENA_MAX);
	map_init(&c->domains.names, seed);
	map_init(&c->senders.grants, seed);
	route_table_init(&c->routes, seed);
	return c;
}

struct config *config_read(
	struct io *io, struct str file, struct str hostname, struct buf *complaints)
{
	struct config *c = config_new(io);
	if (!c) {
		buf_add(complaints, STR("there is no memory for the configuration\n"));
		return NULL;
	}
	struct config_reader r = {.io = io, .config = c, .hostname = hostname};
	complaints_init(&r.complaints, &c->arena);
	c->file = config_copy(&r, file, false);
	r.directory = directory_of(&r, file);

	const struct ucl_value *root = NULL;
	if (file.len) root = ucl_read(io, &c->arena, c->file.ptr, &r.complaints);
	config_read_keys(&r, config_keys, root, "", c);
	const struct ucl_value *tls = ucl_find(root, STR("tls"));
	if (tls) c->tls_file = tls->place.file, c->tls_line = tls->place.line;
	c->queue.hostname = c->hostname;
	c->queue.domains = &c->domains;
	check_http(&r, root);
	config_check_acme(&r, root);
	if (root) use_files(&r, root);
	config_use(&r, c->state, true, (struct place){0});

	if (!r.complaints.count) return c;
	complaints_print(&r.complaints, complaints);
	config_free(c);
	return NULL;
}

static void release_domains(struct domains *d)
{
	for (struct map_node *n = map_next(&d->names, NULL); n; n = map_next(&d->names, n)) {
		struct local_domain *domain = CONTAINER_OF(n, struct local_domain, node);
		map_release(&domain->users);
		map_release(&domain->aliases);
	}
	map_release(&d->names);
}

void config_free(struct config *c)
{
	if (!c) return;
	release_domains(&c->domains);
	map_release(&c->senders.grants);
	route_table_release(&c->routes);
	arena_release(&c->arena);
	free(c);
}
