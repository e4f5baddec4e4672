/* DANE's part of a look-up: for hosts whose names are secure, the TLSA records of _PORT._tcp.HOST.
 * Source: RFC 7672 2.1, 2.2.  */
#include "route/lookup.h"

#include <errno.h>

enum { RECORDS_MAX = 32 };

static void answered(struct resolver_query *query, const struct dns_answer *answer);

static bool ask(struct host *h, const char *name, enum dns_type type)
{
	struct route_lookup_private *p = h->lookup;
	h->tlsa.host = h;
	h->tlsa.query.done = answered;
	h->tlsa_state = TLSA_FAILED; /* until there is an answer */
	if (resolver_ask(p->router->options.resolver, &h->tlsa.query, str_from_c(name), type) != 0)
		return false;
	p->pending++;
	return true;
}

static void ask_records(struct host *h)
{
	char name[300];
	snprintf(name, sizeof name, "_%u._tcp.%s", h->port, h->tlsa_base);
	/* A name too long to be asked has no records.  */
	if (!ask(h, name, DNS_TLSA) && strlen(name) > 253) h->tlsa_state = TLSA_NONE;
}

/* ---- answers ---- */

/* Records and their data in one piece of memory.  */
static bool keep_records(struct host *h, const struct dns_answer *answer)
{
	size_t octets = 0;
	uint32_t count = answer->count < RECORDS_MAX ? answer->count : RECORDS_MAX;
	for (uint32_t i = 0; i < count; i++) octets += answer->data[i].len;
	struct tls_tlsa *records = malloc(count * sizeof *records + octets);
	if (!records) return false;
	char *to = (char *)(records + count);
	h->records = records;
	for (uint32_t i = 0; i < count; i++) {
		struct str s = answer->data[i];
		struct tls_tlsa *r = &records[h->record_count];
		if (!take_u8(&s, &r->usage) || !take_u8(&s, &r->selector) ||
			!take_u8(&s, &r->matching))
			continue;
		memcpy(to, s.ptr, s.len);
		r->data = str_of(to, s.len);
		to += s.len;
		h->record_count++;
	}
	return true;
}

/* RFC 7672 2.2.3: what the name is an alias of comes first, then the name itself.  */
static void next_name(struct host *h)
{
	h->tlsa_state = TLSA_NONE;
	if (strcmp(h->tlsa_base, h->name) == 0) return;
	memcpy(h->tlsa_base, h->name, sizeof h->tlsa_base);
	ask_records(h);
}

static void take_alias(struct host *h, const struct dns_answer *answer)
{
	h->alias_secure = answer->result == DNS_FOUND && answer->secure;
	h->tlsa_state = TLSA_NONE;
	if (!h->alias_secure) return;
	memcpy(h->tlsa_base, h->name, sizeof h->tlsa_base);
	ask_records(h);
}

static void take_records(struct host *h, const struct dns_answer *answer)
{
	if (answer->result != DNS_FOUND || !answer->secure)
		next_name(h);
	else if (keep_records(h, answer))
		h->tlsa_state = TLSA_FOUND;
}

static void answered(struct resolver_query *query, const struct dns_answer *answer)
{
	struct question *question = CONTAINER_OF(query, struct question, query);
	struct host *h = question->host;
	h->lookup->pending--;
	if (answer->result == DNS_TEMPORARY || answer->result == DNS_BOGUS)
		h->alias_secure =
			true; /* it may well be: nobody shall make it insecure by silence */
	else if (h->tlsa_base[0])
		take_records(h, answer);
	else
		take_alias(h, answer);
	route_host_progress(h);
}

/* ---- begin and end ---- */

void route_begin_dane(struct host *h, const struct dns_answer *answer)
{
	const struct route_lookup_private *p = h->lookup;
	if (h->dane_begun || p->lmtp || p->tls == ROUTE_TLS_OFF) return;
	h->dane_begun = true;
	if ((!p->configured && !p->lookup->secure) || route_exception(p)) return;
	struct str base = answer->canonical.len ? answer->canonical : str_from_c(h->name);
	if (base.len >= sizeof h->tlsa_base) return;
	if (answer->secure) {
		memcpy(h->tlsa_base, base.ptr, base.len);
		ask_records(h);
	} else if (answer->canonical.len) {
		/* Another's zone is not signed; whether the alias is, tells the alias alone.  */
		(void)ask(h, h->name, DNS_CNAME);
	}
}

void route_end_dane(struct host *h)
{
	free(h->records);
	h->records = NULL;
	h->record_count = 0;
}

enum tlsa_state route_dane_state(const struct host *h)
{
	return h->secure || h->alias_secure ? h->tlsa_state : TLSA_NONE;
}
