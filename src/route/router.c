#include "route/router.h"

#include "mail/address.h"
#include "route/idna.h"
#include "route/lookup.h"

/* Once one host is known, the others have so long.  */
static const msec patience = SECONDS(5);

struct router *router_new(struct io *io, const struct router_options *options)
{
	struct router *r = calloc(1, sizeof(*r));
	if (!r) return NULL;
	r->io = io;
	r->options = *options;
	rng_init(&r->rng, options->seed);
	return r;
}

void router_free(struct router *r) { free(r); }

void router_configure(struct router *r, const struct router_options *options)
{
	r->options = *options;
}

/* ---- the end of a lookup ---- */

static void cancel_questions(struct route_lookup_private *p)
{
	resolver_cancel(&p->mx);
	if (p->sts_open) mtasts_lookup_clear(&p->sts);
	p->sts_open = false;
	for (uint32_t i = 0; i < p->host_count; i++) {
		resolver_cancel(&p->hosts[i].questions[0].query);
		resolver_cancel(&p->hosts[i].questions[1].query);
		resolver_cancel(&p->hosts[i].tlsa.query);
	}
	p->pending = 0;
}

/* done may end the lookup, and its memory.  */
static void tell(struct route_lookup_private *p)
{
	p->over = true;
	io_timer_cancel(p->router->io, &p->timer);
	cancel_questions(p);
	p->lookup->done(p->lookup);
}

static void conclude(struct route_lookup_private *p)
{
	p->ready = true;
	if (p->sts_open) return; /* it is a matter of seconds */
	route_choose_targets(p);
	tell(p);
}

static void policy_known(struct mtasts_lookup *sts)
{
	struct route_lookup_private *p = CONTAINER_OF(sts, struct route_lookup_private, sts);
	p->sts_open = false;
	p->lookup->sts = sts;
	if (p->ready) conclude(p);
}

static void timer_fired(struct timer *timer)
{
	struct route_lookup_private *p = CONTAINER_OF(timer, struct route_lookup_private, timer);
	if (p->over)
		tell(p);
	else
		conclude(p);
}

/* For verdicts found while route_lookup has not returned yet.  */
static void tell_soon(struct route_lookup_private *p)
{
	p->over = true;
	io_timer_set(p->router->io, &p->timer, io_now(p->router->io));
}

void route_lookup_clear(struct route_lookup *l)
{
	struct route_lookup_private *p = l->private;
	if (!p) return;
	io_timer_cancel(p->router->io, &p->timer);
	cancel_questions(p);
	mtasts_lookup_clear(&p->sts);
	for (uint32_t i = 0; i < p->host_count; i++) route_end_dane(&p->hosts[i]);
	free(p->hosts);
	free(l->targets);
	free(p);
	l->private = NULL;
	l->targets = NULL;
	l->sts = NULL;
	l->count = l->barred = 0;
	l->failure = (struct outcome){0};
}

/* ---- addresses of hosts ---- */

static void add_address(struct host *h, enum net_family family, struct str rdata)
{
	size_t octets = family == NET_IPV6 ? 16 : 4;
	if (rdata.len != octets) return;
	uint32_t same_family = 0;
	for (uint32_t i = 0; i < h->count; i++) same_family += h->addresses[i].family == family;
	if (same_family == HOST_ADDRESSES_MAX / 2) return;
	struct net_address *a = &h->addresses[h->count++];
	*a = (struct net_address){.family = family, .port = h->port};
	memcpy(a->octets, rdata.ptr, octets);
}

static void note_failure(struct host *h, struct str why)
{
	h->failed = true;
	snprintf(h->why, sizeof(h->why), STR_FMT, STR_ARG(str_head(why, sizeof(h->why) - 1)));
}

void route_host_progress(struct host *h)
{
	struct route_lookup_private *p = h->lookup;
	if (p->pending == 0) {
		conclude(p);
		return;
	}
	bool ready = h->count && !h->tlsa.query.private;
	if (ready && !timer_is_set(&p->timer))
		io_timer_set(p->router->io, &p->timer, io_now(p->router->io) + patience);
}

static void host_answered(struct resolver_query *query, const struct dns_answer *answer)
{
	struct question *question = CONTAINER_OF(query, struct question, query);
	struct host *h = question->host;
	enum net_family family = question == &h->questions[0] ? NET_IPV6 : NET_IPV4;
	h->lookup->pending--;
	if (answer->result == DNS_TEMPORARY || answer->result == DNS_BOGUS)
		note_failure(h, answer->why);
	if (answer->result == DNS_FOUND) {
		for (uint32_t i = 0; i < answer->count; i++)
			add_address(h, family, answer->data[i]);
		h->secure = h->secure && answer->secure;
		if (h->count) route_begin_dane(h, answer);
	}
	route_host_progress(h);
}

static void ask(struct host *h, struct question *question, enum dns_type type)
{
	struct route_lookup_private *p = h->lookup;
	question->host = h;
	question->query.done = host_answered;
	struct str name = str_from_c(h->name);
	if (resolver_ask(p->router->options.resolver, &question->query, name, type) != 0) {
		note_failure(h, STR("the question cannot be asked"));
		return;
	}
	p->pending++;
}

/* Ask for the addresses of all hosts that have none yet; true: there are answers to wait for.  */
static bool ask_all(struct route_lookup_private *p)
{
	for (uint32_t i = 0; i < p->host_count; i++) {
		struct host *h = &p->hosts[i];
		if (h->count || h->ours) continue;
		if (p->router->options.ipv6) ask(h, &h->questions[0], DNS_AAAA);
		if (p->router->options.ipv4) ask(h, &h->questions[1], DNS_A);
	}
	return p->pending > 0;
}

static bool make_hosts(struct route_lookup_private *p, uint32_t count)
{
	p->hosts = calloc(count, sizeof(*p->hosts));
	if (!p->hosts) {
		route_fail(p, OUTCOME_DEFERRED, "4.3.1",
			"Out of memory while looking for the next host");
		return false;
	}
	p->host_count = count;
	for (uint32_t i = 0; i < count; i++) p->hosts[i].lookup = p;
	return true;
}

/* ---- mail exchangers ---- */

struct exchanger {
	uint16_t preference;
	char name[256];
};

struct exchangers {
	uint32_t count;
	struct exchanger list[ROUTE_MX_MAX]; /* ascending preference */
};

/* More than fit: the least preferred go.  */
static void add_exchanger(struct exchangers *x, const struct exchanger *new)
{
	uint32_t at = x->count;
	while (at > 0 && x->list[at - 1].preference > new->preference) at--;
	if (at == ROUTE_MX_MAX) return;
	if (x->count < ROUTE_MX_MAX) x->count++;
	memmove(&x->list[at + 1], &x->list[at], (x->count - at - 1) * sizeof(*new));
	x->list[at] = *new;
}

/* Returns false when the domain says that it takes no mail (RFC 7505 3).  What cannot be a host
 * is left out.  */
static bool read_exchangers(const struct dns_answer *answer, struct exchangers *ret)
{
	ret->count = 0;
	for (uint32_t i = 0; i < answer->count; i++) {
		struct exchanger x;
		if (!dns_read_mx(answer->data[i], &x.preference, x.name)) continue;
		if (x.name[0] != '\0')
			add_exchanger(ret, &x);
		else if (answer->count == 1)
			return false;
	}
	return true;
}

/* What is not preferred to us is not asked for: it is of no use (RFC 5321 5.1).  */
static uint32_t count_before_us(struct route_lookup_private *p, const struct exchangers *x)
{
	uint32_t cut = UINT16_MAX + 1;
	for (uint32_t i = x->count; i-- > 0;)
		if (!p->allow_loopback && route_is_our_name(p->router, x->list[i].name))
			cut = x->list[i].preference;
	uint32_t count = 0;
	while (count < x->count && x->list[count].preference < cut) count++;
	p->looped = count < x->count;
	return count;
}

static void take_exchangers(struct route_lookup_private *p, const struct dns_answer *answer)
{
	struct exchangers x;
	struct route_lookup *l = p->lookup;
	if (!read_exchangers(answer, &x)) {
		route_fail(p, OUTCOME_FAILED, "5.1.10", "Domain %s accepts no mail (null MX)",
			l->ascii);
		tell(p);
		return;
	}
	l->mx_found = true;
	uint32_t count = count_before_us(p, &x);
	if (count && !make_hosts(p, count)) {
		tell(p);
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct host *h = &p->hosts[i];
		memcpy(h->name, x.list[i].name, sizeof(h->name));
		h->preference = x.list[i].preference;
		h->port = p->port;
		h->secure = answer->secure;
	}
	if (!ask_all(p)) conclude(p);
}

/* No MX: the domain is its own exchanger (RFC 5321 5.1).  */
static void take_domain(struct route_lookup_private *p)
{
	if (!make_hosts(p, 1)) {
		tell(p);
		return;
	}
	struct host *h = &p->hosts[0];
	memcpy(h->name, p->lookup->ascii, sizeof(h->name));
	h->port = p->port;
	h->secure = p->lookup->secure;
	h->ours = !p->allow_loopback && route_is_our_name(p->router, h->name);
	if (!ask_all(p)) conclude(p);
}

static void mx_answered(struct resolver_query *query, const struct dns_answer *answer)
{
	struct route_lookup_private *p = CONTAINER_OF(query, struct route_lookup_private, mx);
	struct route_lookup *l = p->lookup;
	l->secure = answer->secure;
	switch (answer->result) {
	case DNS_FOUND: take_exchangers(p, answer); return;
	case DNS_NO_DATA: take_domain(p); return;
	case DNS_NO_NAME:
		route_fail(p, OUTCOME_FAILED, "5.1.2", "Domain not found: there is no domain %s",
			l->ascii);
		break;
	case DNS_TEMPORARY:
	case DNS_BOGUS:
		route_fail(p, OUTCOME_DEFERRED, "4.4.3",
			"Name service error for %s, type MX: " STR_FMT, l->ascii,
			STR_ARG(str_head(answer->why, 160)));
		break;
	}
	tell(p);
}

/* ---- beginnings; each returns whether there is an answer to wait for ---- */

static bool begin_literal(struct route_lookup_private *p, struct str domain)
{
	struct net_address address;
	if (!domain_literal(domain, &address)) {
		route_fail(p, OUTCOME_FAILED, "5.1.2", STR_FMT " is not an address of a host",
			STR_ARG(str_head(domain, 255)));
		return false;
	}
	address.port = p->port;
	if (!make_hosts(p, 1)) return false;
	snprintf(p->hosts[0].name, sizeof(p->hosts[0].name), STR_FMT,
		STR_ARG(str_head(domain, 255)));
	p->hosts[0].addresses[0] = address;
	p->hosts[0].count = 1;
	route_choose_targets(p);
	return false;
}

static void ask_policy(struct route_lookup_private *p)
{
	struct mtasts *mtasts = p->router->options.mtasts;
	if (!mtasts || p->tls == ROUTE_TLS_OFF) return;
	p->sts.done = policy_known;
	p->sts_open = true;
	mtasts_look_up(mtasts, &p->sts, str_from_c(p->lookup->ascii));
}

static bool begin_mx(struct route_lookup_private *p, struct str domain)
{
	struct route_lookup *l = p->lookup;
	if (domain.len && domain.ptr[0] == '[') return begin_literal(p, domain);
	if (!idna_to_ascii(domain, l->ascii)) {
		l->ascii[0] = '\0';
		route_fail(p, OUTCOME_FAILED, "5.1.2", "\"" STR_FMT "\" is not a domain name",
			STR_ARG(str_head(domain, 255)));
		return false;
	}
	p->mx.done = mx_answered;
	if (resolver_ask(p->router->options.resolver, &p->mx, str_from_c(l->ascii), DNS_MX) == 0) {
		ask_policy(p);
		return true;
	}
	route_fail(p, OUTCOME_DEFERRED, "4.4.3",
		"Name service error for %s: the question cannot be asked", l->ascii);
	return false;
}

static bool begin_hosts(struct route_lookup_private *p, const struct route_rule *rule)
{
	ASSERT(rule->host_count > 0);
	if (!make_hosts(p, rule->host_count)) return false;
	for (uint32_t i = 0; i < rule->host_count; i++) {
		const struct route_host *from = &rule->hosts[i];
		struct host *h = &p->hosts[i];
		h->preference = (uint16_t)i;
		h->port = from->port;
		if (net_parse(from->host, &h->addresses[0])) {
			h->addresses[0].port = from->port;
			h->count = 1;
			snprintf(h->name, sizeof(h->name), STR_FMT, STR_ARG(from->host));
			continue;
		}
		h->secure = true; /* the operator wrote the name */
		if (!idna_to_ascii(from->host, h->name)) note_failure(h, STR("not a host name"));
	}
	if (ask_all(p)) return true;
	route_choose_targets(p);
	return false;
}

static bool begin_socket(struct route_lookup_private *p, const struct route_rule *rule)
{
	struct route_lookup *l = p->lookup;
	l->targets = calloc(1, sizeof(*l->targets));
	if (!l->targets || rule->socket.len >= sizeof(p->socket)) {
		route_fail(
			p, OUTCOME_DEFERRED, "4.3.5", "The path of the LMTP socket cannot be used");
		return false;
	}
	memcpy(p->socket, rule->socket.ptr, rule->socket.len);
	l->targets[0].address = (struct net_address){.family = NET_UNIX, .path = p->socket};
	snprintf(l->targets[0].host, sizeof(l->targets[0].host), "%s", p->socket);
	l->targets[0].security = (struct security){.level = SECURITY_CLEAR, .host_known = true};
	l->count = 1;
	return false;
}

static bool begin(struct route_lookup_private *p, const struct route_rule *rule, struct str domain)
{
	switch (rule->kind) {
	case ROUTE_MX: return begin_mx(p, domain);
	case ROUTE_SMTP: return begin_hosts(p, rule);
	case ROUTE_LMTP: return rule->socket.len ? begin_socket(p, rule) : begin_hosts(p, rule);
	case ROUTE_MAILDIR:
	case ROUTE_DISCARD:
	case ROUTE_REJECT: break;
	}
	UNREACHABLE(); /* no host to look for */
}

void route_lookup(
	struct router *r, struct route_lookup *l, const struct route_rule *rule, struct str domain)
{
	struct route_lookup_private *p = calloc(1, sizeof(*p));
	ASSERT(p); /* as with timers: nobody could be told */
	*l = (struct route_lookup){.done = l->done, .private = p};
	snprintf(l->ascii, sizeof(l->ascii), STR_FMT,
		STR_ARG(str_head(domain, sizeof(l->ascii) - 1)));
	p->router = r;
	p->lookup = l;
	p->timer.fire = timer_fired;
	p->configured = rule->kind != ROUTE_MX;
	p->by_latency = rule->latency;
	p->allow_loopback = rule->allow_loopback;
	p->lmtp = rule->kind == ROUTE_LMTP;
	p->login = rule->user.len > 0;
	p->implicit = rule->implicit_tls;
	p->tls = rule->tls;
	p->port = rule->port;
	if (!begin(p, rule, domain)) tell_soon(p);
}
