#include "sim/sim_dns.h"

#include <errno.h>

enum { TIMEOUT_MS = 12000, RDATA_MAX = 80 };

struct resolver {
	struct io *io;
	struct dns *dns;
	struct list questions;
};

struct question {
	struct timer timer;
	struct resolver_query *query;
	enum dns_type type;
	enum { ASK, FAIL, TIME_OUT, FORGED } fate;
	char name[256];
};

/* ---- the names ---- */

void dns_init(struct dns *dns, struct world *world, uint64_t seed)
{
	*dns = (struct dns){.world = world, .delay_us = 30000};
	rng_init(&dns->rng, seed);
	list_init(&dns->domains);
	list_init(&dns->hosts);
}

void dns_release(struct dns *dns)
{
	for (struct list *node; (node = list_pop(&dns->domains));)
		free(CONTAINER_OF(node, struct dns_domain, link));
	for (struct list *node; (node = list_pop(&dns->hosts));)
		free(CONTAINER_OF(node, struct dns_host, link));
}

void dns_heal(struct dns *dns) { dns->servfail = dns->timeout = dns->bogus = dns->partial = 0; }

struct dns_domain *dns_add_domain(struct dns *dns, const char *name)
{
	struct dns_domain *domain = calloc(1, sizeof *domain);
	ASSERT(domain);
	snprintf(domain->name, sizeof domain->name, "%s", name);
	list_push_back(&dns->domains, &domain->link);
	return domain;
}

struct dns_domain *dns_find_domain(const struct dns *dns, struct str name)
{
	LIST_EACH (&dns->domains, node) {
		struct dns_domain *domain = CONTAINER_OF(node, struct dns_domain, link);
		if (str_ieq(str_from_c(domain->name), name)) return domain;
	}
	return NULL;
}

void dns_add_mx(struct dns_domain *domain, uint16_t preference, const char *host)
{
	ASSERT(domain->mx_count < DNS_HOSTS_MAX);
	domain->mx[domain->mx_count].preference = preference;
	snprintf(domain->mx[domain->mx_count++].host, sizeof domain->mx[0].host, "%s", host);
}

void dns_add_host(struct dns *dns, const char *name, const struct net_address *address)
{
	struct dns_host *host = calloc(1, sizeof *host);
	ASSERT(host);
	snprintf(host->name, sizeof host->name, "%s", name);
	host->address = *address;
	list_push_back(&dns->hosts, &host->link);
}

/* ---- answers ---- */

struct answer {
	struct dns_answer answer;
	struct str data[16];
	char octets[16][RDATA_MAX];
};

static void add_rdata(struct answer *a, const void *octets, size_t len)
{
	uint32_t nth = a->answer.count;
	if (nth == ARRAY_LEN(a->data) || len > RDATA_MAX) return;
	memcpy(a->octets[nth], octets, len);
	a->data[nth] = str_of(a->octets[nth], len);
	a->answer.count++;
	a->answer.result = DNS_FOUND;
}

/* The name in wire form.  */
static size_t put_name(char *to, const char *name)
{
	size_t at = 0;
	for (struct str rest = str_from_c(name), label; rest.len > 0;) {
		(void)str_cut(&rest, '.', &label);
		to[at++] = (char)label.len;
		memcpy(to + at, label.ptr, label.len);
		at += label.len;
	}
	to[at++] = 0;
	return at;
}

static void add_mx(struct answer *a, uint16_t preference, const char *host)
{
	char octets[RDATA_MAX] = {(char)(preference >> 8), (char)preference};
	add_rdata(a, octets, 2 + put_name(octets + 2, host));
}

static bool is_host(const struct dns *dns, struct str name)
{
	LIST_EACH (&dns->hosts, node)
		if (str_ieq(str_from_c(CONTAINER_OF(node, struct dns_host, link)->name), name))
			return true;
	return false;
}

static void answer_address(
	const struct dns *dns, struct str name, enum dns_type type, struct answer *a)
{
	LIST_EACH (&dns->hosts, node) {
		const struct dns_host *host = CONTAINER_OF(node, struct dns_host, link);
		enum net_family family = type == DNS_A ? NET_IPV4 : NET_IPV6;
		if (host->address.family == family && str_ieq(str_from_c(host->name), name))
			add_rdata(a, host->address.octets, family == NET_IPV4 ? 4 : 16);
	}
}

static void answer_question(
	const struct dns *dns, struct str name, enum dns_type type, struct answer *a)
{
	const struct dns_domain *domain = dns_find_domain(dns, name);
	a->answer = (struct dns_answer){
		.result = DNS_NO_DATA, .ttl = 300, .data = a->data, .why = STR("simulated")};
	if (domain ? domain->gone : !is_host(dns, name)) {
		a->answer.result = DNS_NO_NAME;
		return;
	}
	if (type == DNS_A || type == DNS_AAAA) answer_address(dns, name, type, a);
	if (type != DNS_MX || !domain) return;
	if (domain->null_mx) add_mx(a, 0, "");
	for (uint32_t i = 0; i < domain->mx_count; i++)
		add_mx(a, domain->mx[i].preference, domain->mx[i].host);
}

static void answer_now(struct timer *timer)
{
	struct question *q = CONTAINER_OF(timer, struct question, timer);
	struct resolver_query *query = q->query;
	struct resolver *r = query->resolver;
	struct answer a;
	answer_question(r->dns, str_from_c(q->name), q->type, &a);
	if (q->fate == FAIL)
		a.answer = (struct dns_answer){.result = DNS_TEMPORARY, .why = STR("SERVFAIL")};
	if (q->fate == TIME_OUT)
		a.answer = (struct dns_answer){
			.result = DNS_TEMPORARY, .why = STR("no DNS server answered in time")};
	if (q->fate == FORGED)
		a.answer = (struct dns_answer){
			.result = DNS_BOGUS, .why = STR("signature crypto failed")};
	world_note(r->dns->world, "dns", a.answer.result, a.answer.count);
	list_remove(&query->link);
	query->private = NULL;
	free(q);
	query->done(query, &a.answer);
}

/* ---- as route/resolver.h says ---- */

struct resolver *resolver_new(
	struct io *io, const struct resolver_options *options, const char **ret_why)
{
	(void)options;
	struct resolver *r = calloc(1, sizeof *r);
	*ret_why = "no memory";
	if (!r) return NULL;
	*ret_why = NULL;
	r->io = io;
	r->dns = io->dns;
	list_init(&r->questions);
	return r;
}

void resolver_free(struct resolver *r)
{
	if (!r) return;
	while (!list_empty(&r->questions))
		resolver_cancel(CONTAINER_OF(r->questions.next, struct resolver_query, link));
	free(r);
}

int resolver_ask(
	struct resolver *r, struct resolver_query *query, struct str name, enum dns_type type)
{
	struct dns *dns = r->dns;
	struct question *q = calloc(1, sizeof *q);
	if (!q) return -ENOMEM;
	if (name.len == 0 || name.len >= sizeof q->name) {
		free(q);
		return -EINVAL;
	}
	memcpy(q->name, name.ptr, name.len);
	if (q->name[name.len - 1] == '.') q->name[name.len - 1] = 0;
	q->query = query;
	q->type = type;
	q->timer.fire = answer_now;
	bool address = type == DNS_A || type == DNS_AAAA;
	if (sim_chance(&dns->rng, dns->servfail + (address ? dns->partial : 0)))
		q->fate = FAIL;
	else if (sim_chance(&dns->rng, dns->timeout))
		q->fate = TIME_OUT;
	else if (sim_chance(&dns->rng, dns->bogus))
		q->fate = FORGED;
	dns->questions++;
	if (q->fate != ASK) dns->failures++;
	query->resolver = r;
	query->private = q;
	list_push_back(&r->questions, &query->link);
	msec wait =
		q->fate == TIME_OUT ? TIMEOUT_MS : sim_skewed(&dns->rng, 0, dns->delay_us / 1000);
	io_timer_set(r->io, &q->timer, io_now(r->io) + wait + 1);
	return 0;
}

void resolver_cancel(struct resolver_query *query)
{
	struct question *q = query->private;
	if (!q) return;
	io_timer_cancel(query->resolver->io, &q->timer);
	list_remove(&query->link);
	query->private = NULL;
	free(q);
}
