#include "route/lookup.h"
#include "route/mx.h"

#include <stdarg.h>

bool route_is_our_name(const struct router *r, const char *name)
{
	return r->options.hostname.len > 0 && str_ieq(str_from_c(name), r->options.hostname);
}

void route_fail(struct route_lookup_private *p, enum outcome_class class, const char *enhanced,
	const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(p->text, sizeof(p->text), format, arguments);
	va_end(arguments);
	p->lookup->failure = outcome_local(class, enhanced, str_from_c(p->text));
}

/* ---- what leads back here ---- */

static bool is_any(const struct net_address *a)
{
	static const uint8_t zero[16];
	return memcmp(a->octets, zero, sizeof(zero)) == 0;
}

/* Whether one of our listeners has this address; for a configured host, this port as well.  */
static bool is_listening(const struct route_lookup_private *p, const struct net_address *a)
{
	const struct router_options *o = &p->router->options;
	for (uint32_t i = 0; i < o->listening_count; i++) {
		const struct net_address *own = &o->listening[i];
		if (p->configured && own->port != a->port) continue;
		if (net_same_host(own, a)) return true;
		if (p->configured && is_any(own) && net_is_loopback(a)) return true;
	}
	return false;
}

/* A configured host may well be on loopback: a filter, another server.  An exchanger from DNS
 * may not.  */
static bool leads_back(const struct route_lookup_private *p, const struct net_address *a)
{
	if (p->allow_loopback) return false;
	return is_listening(p, a) || (!p->configured && (net_is_loopback(a) || is_any(a)));
}

static void drop_address(struct host *h, uint32_t i)
{
	memmove(&h->addresses[i], &h->addresses[i + 1],
		(h->count - i - 1) * sizeof(h->addresses[0]));
	h->count--;
}

static void drop_loops_of(struct route_lookup_private *p, struct host *h)
{
	for (uint32_t i = h->count; i-- > 0;) {
		if (!leads_back(p, &h->addresses[i])) continue;
		if (!p->configured && is_listening(p, &h->addresses[i])) h->ours = true;
		drop_address(h, i);
		p->looped = true;
	}
}

/* RFC 5321 5.1: an exchanger that is ourselves goes, and with it all that are not preferred to
 * it.  */
static void drop_loops(struct route_lookup_private *p)
{
	uint32_t cut = UINT16_MAX + 1;
	for (uint32_t i = 0; i < p->host_count; i++) {
		drop_loops_of(p, &p->hosts[i]);
		if (p->hosts[i].ours && p->hosts[i].preference < cut) cut = p->hosts[i].preference;
	}
	for (uint32_t i = 0; i < p->host_count; i++) {
		if (p->hosts[i].preference < cut) continue;
		p->hosts[i].ours = p->looped = true;
		p->hosts[i].count = 0;
	}
}

/* ---- order ---- */

static uint32_t latency(const struct router *r, const struct net_address *a)
{
	return r->options.latency ? latency_of(r->options.latency, a, io_now(r->io)) : 0;
}

static void order(struct route_lookup_private *p, struct mx_choice *choices, uint32_t count)
{
	if (p->by_latency)
		mx_order_by_latency(choices, count, &p->router->rng);
	else
		mx_order(choices, count, &p->router->rng);
}

/* The addresses of one host into their order.  Returns the least latency known, 0 when none is.  */
static uint32_t order_addresses(struct route_lookup_private *p, struct host *h)
{
	struct mx_choice choices[HOST_ADDRESSES_MAX];
	struct net_address addresses[HOST_ADDRESSES_MAX];
	uint32_t latencies[HOST_ADDRESSES_MAX], least = 0;
	for (uint32_t i = 0; i < h->count; i++) {
		uint32_t us = latency(p->router, &h->addresses[i]);
		choices[i] = (struct mx_choice){.index = i, .latency_us = us};
		if (us && (!least || us < least)) least = us;
	}
	order(p, choices, h->count);
	for (uint32_t i = 0; i < h->count; i++) {
		addresses[i] = h->addresses[choices[i].index];
		latencies[i] = choices[i].latency_us;
	}
	mx_interleave(addresses, latencies, h->count);
	memcpy(h->addresses, addresses, h->count * sizeof(addresses[0]));
	return least;
}

static bool is_target(const struct route_lookup *l, const struct net_address *a)
{
	for (uint32_t i = 0; i < l->count + l->barred; i++)
		if (net_same_host(&l->targets[i].address, a) &&
			l->targets[i].address.port == a->port)
			return true;
	return false;
}

/* An address that several names have is tried once.  */
static void add_targets(struct route_lookup_private *p, const struct host *h)
{
	struct route_lookup *l = p->lookup;
	uint32_t *count = h->security.barred ? &l->barred : &l->count;
	for (uint32_t i = 0; i < h->count && l->count + l->barred < ROUTE_TARGETS_MAX; i++) {
		if (is_target(l, &h->addresses[i])) continue;
		struct route_target *t = &l->targets[l->count + l->barred];
		++*count;
		t->security = h->security;
		memcpy(t->host, h->name, sizeof(t->host));
		t->address = h->addresses[i];
		t->preference = l->mx_found ? h->preference : 0;
		t->secure = h->secure;
		t->latency_us = latency(p->router, &h->addresses[i]);
	}
}

/* Hosts that a rule names have their TLS there.  */
const struct tls_exception *route_exception(const struct route_lookup_private *p)
{
	const struct tls_exceptions *all = p->router->options.exceptions;
	if (!all || p->configured) return NULL;
	return tls_exception_find(all, str_from_c(p->lookup->ascii), io_wall(p->router->io));
}

static void decide_security(struct route_lookup_private *p, struct host *h)
{
	struct route_lookup *l = p->lookup;
	struct security_facts facts = {
		.rule = p->tls,
		.local = p->lmtp,
		.configured = p->configured,
		.login = p->login,
		.implicit = p->implicit,
		.exception = route_exception(p),
		.mx_secure = l->secure,
		.domain = str_from_c(l->ascii),
		.host = str_from_c(h->name),
		.tlsa_state = route_dane_state(h),
		.tlsa_base = str_from_c(h->tlsa_base),
		.tlsa = h->records,
		.tlsa_count = h->record_count,
		.sts = l->sts && l->sts->known ? &l->sts->known->policy : NULL,
	};
	security_decide(&facts, &h->security);
}

static void make_targets(struct route_lookup_private *p, uint32_t addresses)
{
	struct route_lookup *l = p->lookup;
	struct mx_choice *choices = calloc(p->host_count, sizeof(*choices));
	l->targets = calloc(
		addresses < ROUTE_TARGETS_MAX ? addresses : ROUTE_TARGETS_MAX, sizeof(*l->targets));
	if (!choices || !l->targets) {
		free(choices);
		route_fail(p, OUTCOME_DEFERRED, "4.3.1",
			"Out of memory while looking for the next host");
		return;
	}
	uint32_t count = 0;
	for (uint32_t i = 0; i < p->host_count; i++) {
		struct host *h = &p->hosts[i];
		if (h->count == 0) continue;
		decide_security(p, h);
		choices[count++] = (struct mx_choice){i, h->preference, order_addresses(p, h)};
	}
	order(p, choices, count);
	for (int barred = 0; barred < 2; barred++)
		for (uint32_t i = 0; i < count; i++) {
			const struct host *h = &p->hosts[choices[i].index];
			if (h->security.barred == barred) add_targets(p, h);
		}
	free(choices);
	if (p->lookup->count == 0)
		route_fail(p, OUTCOME_DEFERRED, "4.7.5", "%s must not be used now: %s",
			p->lookup->targets[0].host, p->lookup->targets[0].security.words);
}

/* ---- verdicts ---- */

static const struct host *failed_host(const struct route_lookup_private *p)
{
	for (uint32_t i = 0; i < p->host_count; i++)
		if (p->hosts[i].failed && !p->hosts[i].ours) return &p->hosts[i];
	return NULL;
}

static void fail_without_address(struct route_lookup_private *p)
{
	const char *domain = p->lookup->ascii;
	const struct host *failed = failed_host(p);
	if (failed)
		route_fail(p, OUTCOME_DEFERRED, "4.4.3", "Name service error for %s: %s",
			failed->name, failed->why);
	else if (p->looped)
		route_fail(p, OUTCOME_FAILED, "5.4.6", "Mail for %s loops back to this server",
			domain);
	else if (p->configured) /* ours to blame: the name stands in our configuration */
		route_fail(p, OUTCOME_DEFERRED, "4.4.4", "The configured host %s has no address",
			p->hosts[0].name);
	else if (p->lookup->mx_found)
		route_fail(p, OUTCOME_FAILED, "5.4.4", "No mail exchanger of %s has an address",
			domain);
	else
		route_fail(p, OUTCOME_FAILED, "5.1.2",
			"Domain %s has neither a mail exchanger nor an address", domain);
}

void route_choose_targets(struct route_lookup_private *p)
{
	drop_loops(p);
	uint32_t addresses = 0;
	for (uint32_t i = 0; i < p->host_count; i++) addresses += p->hosts[i].count;
	if (addresses)
		make_targets(p, addresses);
	else
		fail_without_address(p);
}
