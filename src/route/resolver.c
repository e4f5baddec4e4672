/* Questions and answers: through libunbound, or to servers that are believed; and whether DNSSEC works here at all.  */
#include "route/resolver.h"

#include "route/stub.h"
#include "route/resolver_unbound.h"

#include <errno.h>

enum {
	QUERY_TIMEOUT_MS = 12 * 1000,
	TEST_AGAIN_MS = 10 * 1000, /* no verdict: DNS as a whole is away */
	TEST_LATER_MS = 60 * 1000, /* after a bad one; each time longer */
	TEST_LATEST_MS = 900 * 1000,
	NAME_OCTETS = 253,
	LABEL_OCTETS = 63,
	RCODE_SERVFAIL = 2,
	RCODE_REFUSED = 5,
	SERVERS_MAX = 64,
};

/* Whether DNSSEC validates here.  Once it has, a forged answer is a forged answer, for good.  */
enum trust { TRUST_UNKNOWN, TRUST_PROVEN, TRUST_NONE };
enum verdict { VERDICT_NONE, VERDICT_GOOD, VERDICT_BAD, VERDICT_NO_ANSWER };

struct resolver {
	struct io *io;
	struct resolver_options options; /* servers and anchor are those below */
	struct net_address servers[SERVERS_MAX];
	char anchor[UNBOUND_PATH_MAX];
	struct unbound *unbound; /* validates, where there is an anchor */
	struct unbound *plain;   /* asked while trust is none */
	struct unbound *trial;   /* under test again; else NULL */
	struct stub *stub; /* when the servers' own validation is believed: then unbound rests */
	struct list asks;
	/* The self-test: a question that has to validate.  */
	enum trust trust;
	char zone[256]; /* whose SOA it is */
	bool testing;
	enum verdict verdict; /* of the test that has ended, to be dealt with by the timer */
	char why[160];
	struct timer timer;
	msec later;
	struct stub_ask stub_test;
};

/* A question under way.  */
struct ask {
	struct resolver *resolver;
	struct resolver_query *query;
	struct timer timer;
	struct unbound *through;
	int id;      /* of unbound's */
	bool parked; /* its answer did not validate, and whether any does is not known yet */
	struct stub_ask stub; /* and the name, for either */
};

static void answered(void *context, int error, struct ub_result *result);

/* Give it to libunbound; 0 or -errno.  */
static int begin_unbound(struct ask *ask)
{
	struct resolver *r = ask->resolver;
	ask->parked = false;
	ask->through = r->trust == TRUST_NONE ? r->plain : r->unbound;
	return unbound_ask(
		ask->through, ask->stub.name, (int)ask->stub.type, ask, answered, &ask->id);
}

/* ---- the self-test ---- */

static void log_trust(
	const struct resolver *r, const char *event, const char *why, const char *what)
{
	struct log *log = r->options.log;
	if (!log) return;
	log_begin(log, r->trust == TRUST_PROVEN ? LOG_INFO : LOG_WARN, STR_NONE, event);
	if (*why) log_str(log, "why", str_from_c(why));
	if (*what) log_str(log, "what", str_from_c(what));
	log_end(log);
}

static void log_off(const struct resolver *r, const char *why)
{
	log_trust(r, "dnssec-off", why,
		r->options.validate == DNS_VALIDATE_RESOLVER
			? "nothing counts as validated, and there is no DANE: let dns { servers } be ones that validate"
			: "nothing counts as validated, and there is no DANE: let dns { servers } be ones that pass "
			  "DNSSEC on, or ones that you trust, with validate = resolver");
}

static void tested(void *context, int error, struct ub_result *result)
{
	struct resolver *r = context;
	r->testing = false;
	if (error || !result || (!result->bogus && result->rcode != 0))
		r->verdict = VERDICT_NO_ANSWER;
	else
		r->verdict = result->bogus ? VERDICT_BAD : VERDICT_GOOD;
	if (result && result->bogus)
		snprintf(r->why, sizeof r->why, "%s",
			result->why_bogus ? result->why_bogus : "the answer does not validate");
	ub_resolve_free(result);
	io_timer_set(r->io, &r->timer, io_now(r->io)); /* contexts must not end inside a callback */
}

static void begin_test(struct resolver *r)
{
	const char *why;
	int id;
	if (r->trust == TRUST_NONE) r->trial = unbound_open(r->io, &r->options, r->anchor, &why);
	struct unbound *through = r->trust == TRUST_NONE ? r->trial : r->unbound;
	r->testing = through && unbound_ask(through, r->zone, DNS_SOA, r, tested, &id) == 0;
	if (!r->testing) io_timer_set(r->io, &r->timer, io_now(r->io) + TEST_AGAIN_MS);
}

/* Those whose answers came too early to be judged are asked again.  */
static void ask_parked(struct resolver *r)
{
	LIST_EACH (&r->asks, node) {
		struct ask *ask = CONTAINER_OF(node, struct resolver_query, link)->private;
		if (ask->parked)
			ask->parked = begin_unbound(ask) != 0; /* else its time-out tells */
	}
}

/* While nothing validates, nobody is asked through the validating context: it can go.  */
static void trust_again(struct resolver *r)
{
	if (r->trial) {
		unbound_close(r->unbound);
		r->unbound = r->trial;
		r->trial = NULL;
	}
	bool news = r->trust == TRUST_NONE;
	r->trust = TRUST_PROVEN;
	if (news) log_trust(r, "dnssec-on", "", "");
	ask_parked(r);
}

static void trust_no_more(struct resolver *r)
{
	const char *why;
	if (!r->plain) r->plain = unbound_open(r->io, &r->options, "", &why);
	if (!r->plain || r->trust == TRUST_NONE) return;
	r->trust = TRUST_NONE;
	log_off(r, r->why);
	ask_parked(r);
}

static void timer_fired(struct timer *timer)
{
	struct resolver *r = CONTAINER_OF(timer, struct resolver, timer);
	enum verdict verdict = r->verdict;
	r->verdict = VERDICT_NONE;
	if (verdict == VERDICT_NONE) {
		begin_test(r);
	} else if (verdict == VERDICT_GOOD) {
		trust_again(r);
	} else {
		unbound_close(r->trial);
		r->trial = NULL;
		if (verdict == VERDICT_BAD) trust_no_more(r);
		msec wait = r->trust == TRUST_NONE ? r->later : TEST_AGAIN_MS;
		if (r->trust == TRUST_NONE && r->later < TEST_LATEST_MS) r->later *= 2;
		io_timer_set(r->io, &r->timer, io_now(r->io) + wait);
	}
}

/* Servers that validate say so of the root.  */
static void stub_tested(struct stub_ask *ask, const struct dns_answer *answer)
{
	struct resolver *r = CONTAINER_OF(ask, struct resolver, stub_test);
	r->testing = false;
	if (answer->result == DNS_FOUND && !answer->secure)
		log_off(r, "the DNS servers do not say that they validate (AD)");
}

static void end_stub_test(struct timer *timer)
{
	struct resolver *r = CONTAINER_OF(timer, struct resolver, timer);
	if (r->testing) stub_cancel(&r->stub_test);
	r->testing = false;
}

/* ---- life ---- */

static const char *use_unbound(struct resolver *r)
{
	const struct resolver_options *o = &r->options;
	const char *why;
	bool self = o->validate == DNS_VALIDATE_SELF;
	if (self) unbound_anchor(r->io, o, r->anchor);
	if (self && !r->anchor[0]) {
		if (o->trust_anchor.len) return "the file of dns { trust_anchor } is not there";
		log_off(r, "no root anchor: install dns-root-data, or set dns { trust_anchor }");
	}
	r->unbound = unbound_open(r->io, o, r->anchor, &why);
	if (!r->unbound) return why;
	r->timer.fire = timer_fired;
	r->trust = TRUST_PROVEN;
	if (!r->anchor[0] || !unbound_anchor_zone(r->io, r->anchor, r->zone)) return NULL;
	r->trust = TRUST_UNKNOWN;
	begin_test(r);
	return NULL;
}

static const char *use_stub(struct resolver *r)
{
	r->stub = stub_new(r->io, r->servers, r->options.server_count);
	if (!r->stub) return "there is no DNS server: set dns { servers }";
	r->stub_test = (struct stub_ask){.answered = stub_tested, .type = DNS_SOA};
	r->timer.fire = end_stub_test;
	r->testing = stub_begin(r->stub, &r->stub_test);
	io_timer_set(r->io, &r->timer, io_now(r->io) + QUERY_TIMEOUT_MS);
	return NULL;
}

/* The settings may go before the resolver does.  */
static void copy_options(struct resolver *r, const struct resolver_options *options)
{
	r->options = *options;
	if (r->options.server_count > SERVERS_MAX) r->options.server_count = SERVERS_MAX;
	for (uint32_t i = 0; i < r->options.server_count; i++) r->servers[i] = options->servers[i];
	r->options.servers = r->servers;
}

struct resolver *resolver_new(
	struct io *io, const struct resolver_options *options, const char **ret_why)
{
	struct resolver *r = calloc(1, sizeof(*r));
	*ret_why = "no memory";
	if (!r) return NULL;
	r->io = io;
	r->later = options->retest ? options->retest : TEST_LATER_MS;
	list_init(&r->asks);
	copy_options(r, options);
	*ret_why = options->validate == DNS_VALIDATE_RESOLVER ? use_stub(r) : use_unbound(r);
	r->options.trust_anchor = STR_NONE; /* r->anchor has it */
	if (!*ret_why) return r;
	resolver_free(r);
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
	io_timer_cancel(r->io, &r->timer);
	unbound_close(r->trial);
	unbound_close(r->plain);
	unbound_close(r->unbound);
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

/* A bad answer where nothing validates, or where that is not known yet.  True: the question goes on.  */
static bool doubted(struct ask *ask)
{
	struct resolver *r = ask->resolver;
	if (r->trust == TRUST_PROVEN || ask->through == r->plain) return false;
	if (r->trust == TRUST_NONE) return begin_unbound(ask) == 0;
	ask->parked = true;
	return true;
}

static void answered(void *context, int error, struct ub_result *result)
{
	if (!error && result && result->bogus && doubted(context)) {
		ub_resolve_free(result);
		return;
	}
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
	else if (!ask->parked)
		unbound_cancel(ask->through, ask->id);
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
	int error = r->stub ? begin_stub(ask) : begin_unbound(ask);
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
