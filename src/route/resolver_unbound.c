#include "route/resolver_unbound.h"

#include "io/file.h"

#include <errno.h>

enum { CLASS_IN = 1 };

struct unbound {
	struct ub_ctx *context;
	struct io_watch watch;
};

/* ---- settings ---- */

struct setting {
	const char *name, *value;
};

/* What libunbound would do otherwise does not suit a mail server.  */
static const struct setting settings[] = {
	{"do-not-query-localhost:", "no"},
	{"num-queries-per-thread:", "1024"}, /* not 16: a queue asks for many domains at once */
	{"outgoing-range:", "512"},
	{"msg-cache-size:", "8m"},
	{"rrset-cache-size:", "16m"},
	{"infra-host-ttl:", "60"}, /* a server that was down is believed again soon */
	{"infra-keep-probing:", "yes"},
	{"trust-anchor-signaling:", "no"},
	/* Names for private use are for the configured servers to know.  */
	{"local-zone:", "test. transparent"},
	{"local-zone:", "home.arpa. transparent"},
};

static bool set(struct ub_ctx *unbound, const char *name, const char *value)
{
	return ub_ctx_set_option(unbound, name, value) == 0;
}

static const char *set_servers(struct ub_ctx *unbound, const struct resolver_options *o)
{
	if (o->server_count == 0) {
		/* Without any, libunbound asks from the root downwards.  */
		(void)ub_ctx_resolvconf(unbound, NULL);
		return NULL;
	}
	struct buf text;
	buf_init(&text, 256);
	const char *why = NULL;
	for (uint32_t i = 0; i < o->server_count && !why; i++) {
		buf_clear(&text);
		net_add(&text, &o->servers[i]);
		buf_printf(&text, "@%u", o->servers[i].port ? o->servers[i].port : 53);
		buf_add_c(&text, '\0');
		if (!buf_ok(&text) || ub_ctx_set_fwd(unbound, text.ptr))
			why = "a DNS server's address is not usable";
	}
	buf_release(&text);
	return why;
}

/* ---- the trust anchor ---- */

void unbound_anchor(struct io *io, const struct resolver_options *o, char ret[UNBOUND_PATH_MAX])
{
	static const char *const root[] = {"/usr/share/dns/root.key", "/var/lib/unbound/root.key"};
	ret[0] = '\0';
	if (o->trust_anchor.len) {
		if (o->trust_anchor.len >= UNBOUND_PATH_MAX) return;
		memcpy(ret, o->trust_anchor.ptr, o->trust_anchor.len);
		ret[o->trust_anchor.len] = '\0';
		if (!io_path_exists(io, ret)) ret[0] = '\0';
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(root) && !ret[0]; i++)
		if (io_path_exists(io, root[i])) snprintf(ret, UNBOUND_PATH_MAX, "%s", root[i]);
}

/* The first word of a line that is neither empty nor a comment.  */
static struct str first_word(struct str line)
{
	struct str comment = line;
	str_cut(&comment, ';', &line);
	line = str_trim(line);
	size_t end = 0;
	while (end < line.len && line.ptr[end] != ' ' && line.ptr[end] != '\t') end++;
	return str_head(line, end);
}

bool unbound_anchor_zone(struct io *io, const char *file, char ret_zone[256])
{
	struct buf text;
	struct str line, zone = STR_NONE;
	buf_init(&text, 1 << 20);
	bool read = io_file_load(io, file, &text) == 0;
	for (struct str rest = buf_str(&text); read && rest.len && !zone.len;) {
		str_cut(&rest, '\n', &line);
		zone = first_word(line);
	}
	bool fine = zone.len > 0 && zone.len < 256 && zone.ptr[0] != '$';
	if (fine) snprintf(ret_zone, 256, STR_FMT, STR_ARG(zone));
	buf_release(&text);
	return fine;
}

/* ---- life ---- */

static void ignore(void *context, int error, struct ub_result *result)
{
	(void)context;
	(void)error;
	ub_resolve_free(result);
}

/* libunbound looks at its settings at the first question: ask one that it answers by itself.  */
static const char *start(struct ub_ctx *unbound)
{
	int error = ub_resolve_async(unbound, "localhost", DNS_A, CLASS_IN, NULL, ignore, NULL);
	if (error == UB_INITFAIL) return "the DNSSEC trust anchor cannot be read";
	return error ? ub_strerror(error) : NULL;
}

static const char *configure(
	struct ub_ctx *unbound, const struct resolver_options *o, const char *anchor)
{
	ub_ctx_debugout(unbound, NULL); /* our own log says what matters */
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		if (!set(unbound, settings[i].name, settings[i].value)) return settings[i].name;
	(void)ub_ctx_hosts(unbound, NULL); /* a machine may do without /etc/hosts */
	const char *why = set_servers(unbound, o);
	if (why) return why;
	if (!set(unbound, "module-config:", anchor[0] ? "validator iterator" : "iterator"))
		return "libunbound: no modules";
	if (anchor[0] && ub_ctx_add_ta_file(unbound, anchor))
		return "the DNSSEC trust anchor cannot be used";
	if (ub_ctx_async(unbound, 1)) return "libunbound: no threads";
	return start(unbound);
}

static void answers_ready(struct io_watch *watch)
{
	struct unbound *u = CONTAINER_OF(watch, struct unbound, watch);
	(void)ub_process(u->context); /* what failed is answered by its time-out */
}

struct unbound *unbound_open(
	struct io *io, const struct resolver_options *o, const char *anchor, const char **ret_why)
{
	*ret_why = "libunbound: no memory";
	struct unbound *u = calloc(1, sizeof *u);
	if (!u) return NULL;
	u->watch.ready = answers_ready;
	u->context = ub_ctx_create();
	if (u->context) *ret_why = configure(u->context, o, anchor);
	if (!*ret_why && io_watch(io, &u->watch, ub_fd(u->context)) != 0)
		*ret_why = "libunbound's descriptor cannot be watched";
	if (!*ret_why) return u;
	if (u->context) ub_ctx_delete(u->context);
	free(u);
	return NULL;
}

void unbound_close(struct unbound *u)
{
	if (!u) return;
	io_unwatch(&u->watch);
	ub_ctx_delete(u->context);
	free(u);
}

/* ---- questions ---- */

int unbound_ask(struct unbound *u, const char *name, int type, void *context,
	ub_callback_type answered, int *ret_id)
{
	int error = ub_resolve_async(u->context, name, type, CLASS_IN, context, answered, ret_id);
	return !error ? 0 : error == UB_NOMEM ? -ENOMEM : -EIO;
}

void unbound_cancel(struct unbound *u, int id) { (void)ub_cancel(u->context, id); }
