#include "route/resolver.h"

#include "io/file.h"
#include "route/stub.h"

#include <errno.h>
#include <unbound.h>

enum {
	QUERY_TIMEOUT_MS = 12 * 1000,
	CLASS_IN = 1,
	NAME_OCTETS = 253,
	LABEL_OCTETS = 63,
	RCODE_SERVFAIL = 2,
	RCODE_REFUSED = 5,
};

struct resolver {
	struct io *io;
	struct ub_ctx *unbound;
	struct io_watch watch;
	struct stub *stub; /* when the servers' own validation is believed: then unbound rests */
	struct list asks;
};

/* A question under way.  */
struct ask {
	struct resolver *resolver;
	struct resolver_query *query;
	struct timer timer;
	int id;               /* of unbound's */
	struct stub_ask stub; /* and the name, for either */
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

/* The file of the trust anchor that is to be used; NULL: there is none.  */
static const char *anchor_file(
	struct io *io, const struct resolver_options *o, char configured[4096])
{
	static const char *const root[] = {"/usr/share/dns/root.key", "/var/lib/unbound/root.key"};
	if (o->trust_anchor.len) {
		if (o->trust_anchor.len >= 4096) return NULL;
		memcpy(configured, o->trust_anchor.ptr, o->trust_anchor.len);
		configured[o->trust_anchor.len] = '\0';
		return io_path_exists(io, configured) ? configured : NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(root); i++)
		if (io_path_exists(io, root[i])) return root[i];
	return NULL;
}

static const char *set_validation(
	struct ub_ctx *unbound, struct io *io, const struct resolver_options *o)
{
	char configured[4096];
	const char *file = o->validate == DNS_VALIDATE_SELF ? anchor_file(io, o, configured) : NULL;
	if (o->validate == DNS_VALIDATE_SELF && !file) {
		if (o->trust_anchor.len) return "the file of dns { trust_anchor } is not there";
		if (o->log) {
			log_begin(o->log, LOG_WARN, STR_NONE, "dnssec-off");
			log_str(o->log, "why",
				STR("no root anchor: install dns-root-data, or set dns { trust_anchor }"));
			log_end(o->log);
		}
	}
	if (!set(unbound, "module-config:", file ? "validator iterator" : "iterator"))
		return "libunbound: no modules";
	if (file && ub_ctx_add_ta_file(unbound, file))
		return "the DNSSEC trust anchor cannot be used";
	return NULL;
}

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
	struct ub_ctx *unbound, struct io *io, const struct resolver_options *o)
{
	ub_ctx_debugout(unbound, NULL); /* our own log says what matters */
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		if (!set(unbound, settings[i].name, settings[i].value)) return settings[i].name;
	(void)ub_ctx_hosts(unbound, NULL); /* a machine may do without /etc/hosts */
	const char *why = set_servers(unbound, o);
	if (!why) why = set_validation(unbound, io, o);
	if (!why && ub_ctx_async(unbound, 1)) why = "libunbound: no threads";
	return why ? why : start(unbound);
}

/* ---- life ---- */

static void answers_ready(struct io_watch *watch)
{
	struct resolver *r = CONTAINER_OF(watch, struct resolver, watch);
	(void)ub_process(r->unbound); /* what failed is answered by its time-out */
}

static const char *use_unbound(struct resolver *r, const struct resolver_options *options)
{
	r->unbound = ub_ctx_create();
	if (!r->unbound) return "libunbound: no memory";
	const char *why = configure(r->unbound, r->io, options);
	if (!why && io_watch(r->io, &r->watch, ub_fd(r->unbound)) != 0)
		why = "libunbound's descriptor cannot be watched";
	return why;
}

static const char *use_stub(struct resolver *r, const struct resolver_options *options)
{
	r->stub = stub_new(r->io, options->servers, options->server_count);
	return r->stub ? NULL : "there is no DNS server: set dns { servers }";
}

struct resolver *resolver_new(
	struct io *io, const struct resolver_options *options, const char **ret_why)
{
	struct resolver *r = calloc(1, sizeof(*r));
	*ret_why = "no memory";
	if (!r) return NULL;
	r->io = io;
	r->watch.ready = answers_ready;
	list_init(&r->asks);
	*ret_why = options->validate == DNS_VALIDATE_RESOLVER ? use_stub(r, options)
							      : use_unbound(r, options);
	if (!*ret_why) return r;
	if (r->unbound) ub_ctx_delete(r->unbound);
	free(r);
	return NULL;
}

/* The question is over; its query may be used again.  */
static struct resolver_query *forget(struct ask *ask)
{
	struct resolver_query *q = ask->query;
	io_timer_cancel(ask->resolver->io, &ask->timer);
	list_remove(&q->link);
	q->private = NULL;
	free(ask);
	return q;
}

void resolver_free(struct resolver *r)
{
	if (!r) return;
	if (r->unbound) {
		io_unwatch(&r->watch);
		ub_ctx_delete(r->unbound);
	}
	stub_free(r->stub);
	while (!list_empty(&r->asks))
		(void)forget(CONTAINER_OF(r->asks.next, struct resolver_query, link)->private);
	free(r);
}

/* ---- answers ---- */

static struct str without_dot(const char *name)
{
	struct str s = str_from_c(name);
	return s.len && s.ptr[s.len - 1] == '.' ? str_head(s, s.len - 1) : s;
}

static struct str rcode_words(int rcode)
{
	if (rcode == RCODE_SERVFAIL) return STR("SERVFAIL");
	return rcode == RCODE_REFUSED ? STR("REFUSED") : STR("the DNS server reports an error");
}

static struct dns_answer read_result(const struct ub_result *result)
{
	struct dns_answer a = {
		.result = DNS_NO_DATA,
		.secure = result->secure,
		.ttl = result->ttl > 0 ? (uint32_t)result->ttl : 0,
		.canonical = without_dot(result->canonname),
	};
	if (result->bogus) {
		a.result = DNS_BOGUS;
		a.why = result->why_bogus ? str_from_c(result->why_bogus)
					  : STR("DNSSEC validation failed");
	} else if (result->havedata) {
		a.result = DNS_FOUND;
	} else if (result->nxdomain) {
		a.result = DNS_NO_NAME;
	} else if (result->rcode != 0) {
		a.result = DNS_TEMPORARY;
		a.why = rcode_words(result->rcode);
	}
	return a;
}

static void answer_failed(struct resolver_query *q, struct str why)
{
	q->done(q, &(struct dns_answer){.result = DNS_TEMPORARY, .why = why});
}

static void answer_found(
	struct resolver_query *q, struct dns_answer *a, const struct ub_result *result)
{
	while (result->data[a->count]) a->count++;
	struct str *data = calloc(a->count + 1, sizeof(*data));
	if (!data) {
		answer_failed(q, STR("no memory"));
		return;
	}
	for (uint32_t i = 0; i < a->count; i++)
		data[i] = str_of(result->data[i], (size_t)result->len[i]);
	a->data = data;
	q->done(q, a);
	free(data);
}

static void answered(void *context, int error, struct ub_result *result)
{
	struct resolver_query *q = forget(context);
	if (error || !result) {
		answer_failed(q, str_from_c(ub_strerror(error)));
	} else {
		struct dns_answer a = read_result(result);
		if (a.result == DNS_FOUND)
			answer_found(q, &a, result);
		else
			q->done(q, &a);
	}
	ub_resolve_free(result);
}

static void stub_answered(struct stub_ask *stub, const struct dns_answer *answer)
{
	struct resolver_query *q = forget(CONTAINER_OF(stub, struct ask, stub));
	q->done(q, answer);
}

static void withdraw(struct ask *ask)
{
	if (ask->resolver->stub)
		stub_cancel(&ask->stub);
	else
		(void)ub_cancel(ask->resolver->unbound, ask->id);
}

static void timed_out(struct timer *timer)
{
	struct ask *ask = CONTAINER_OF(timer, struct ask, timer);
	withdraw(ask);
	answer_failed(forget(ask), STR("no DNS server answered in time"));
}

/* ---- questions ---- */

/* libunbound would find a wrong one later, on its own thread.  */
static bool name_askable(struct str name)
{
	if (name.len > NAME_OCTETS || str_find(name, '\0') < name.len) return false;
	for (bool more = true; more;) {
		struct str label;
		more = str_cut(&name, '.', &label);
		if (label.len == 0 || label.len > LABEL_OCTETS) return false;
	}
	return true;
}

static int begin_stub(struct ask *ask)
{
	return stub_begin(ask->resolver->stub, &ask->stub) ? 0 : -EAGAIN;
}

static int begin_unbound(struct ask *ask, enum dns_type type)
{
	int error = ub_resolve_async(ask->resolver->unbound, ask->stub.name, (int)type, CLASS_IN,
		ask, answered, &ask->id);
	return !error ? 0 : error == UB_NOMEM ? -ENOMEM : -EIO;
}

int resolver_ask(struct resolver *r, struct resolver_query *q, struct str name, enum dns_type type)
{
	if (name.len && name.ptr[name.len - 1] == '.') name.len--;
	if (!name_askable(name)) return -EINVAL;
	struct ask *ask = calloc(1, sizeof(*ask));
	if (!ask) return -ENOMEM;
	*ask = (struct ask){.resolver = r,
		.query = q,
		.timer.fire = timed_out,
		.stub = {.answered = stub_answered, .type = type}};
	memcpy(ask->stub.name, name.ptr, name.len);
	int error = r->stub ? begin_stub(ask) : begin_unbound(ask, type);
	if (error) {
		free(ask);
		return error;
	}
	q->resolver = r;
	q->private = ask;
	list_push_back(&r->asks, &q->link);
	io_timer_set(r->io, &ask->timer, io_now(r->io) + QUERY_TIMEOUT_MS);
	return 0;
}

void resolver_cancel(struct resolver_query *q)
{
	struct ask *ask = q->private;
	if (!ask) return;
	withdraw(ask);
	(void)forget(ask);
}
