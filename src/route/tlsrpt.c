#include "route/tlsrpt.h"

#include "route/tlsrpt_private.h"

const char *tlsrpt_result_name(enum tlsrpt_result result)
{
	static const char *const names[TLSRPT_RESULTS] = {
		[TLSRPT_SUCCESS] = "",
		[TLSRPT_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
		[TLSRPT_HOST_MISMATCH] = "certificate-host-mismatch",
		[TLSRPT_EXPIRED] = "certificate-expired",
		[TLSRPT_NOT_TRUSTED] = "certificate-not-trusted",
		[TLSRPT_VALIDATION_FAILURE] = "validation-failure",
		[TLSRPT_TLSA_INVALID] = "tlsa-invalid",
		[TLSRPT_DNSSEC_INVALID] = "dnssec-invalid",
		[TLSRPT_DANE_REQUIRED] = "dane-required",
		[TLSRPT_STS_FETCH_ERROR] = "sts-policy-fetch-error",
		[TLSRPT_STS_INVALID] = "sts-policy-invalid",
		[TLSRPT_STS_WEBPKI] = "sts-webpki-invalid",
	};
	return names[result];
}

/* ---- memory ---- */

void *tlsrpt_alloc(struct tlsrpt_day *d, size_t size)
{
	if (d->octets + size > TLSRPT_OCTETS_MAX) return NULL;
	void *new = calloc(1, size);
	if (new) d->octets += size;
	return new;
}

void tlsrpt_day_init(struct tlsrpt_day *d, msec begin, msec end, uint64_t seed)
{
	*d = (struct tlsrpt_day){.begin = begin, .end = end};
	map_init(&d->names, seed);
	list_init(&d->domains);
}

static void free_counts(struct tlsrpt_day *d, struct tlsrpt_counts *c)
{
	for (struct list *node; (node = list_pop(&c->failures));) {
		free(CONTAINER_OF(node, struct tlsrpt_failure, link));
		d->octets -= sizeof(struct tlsrpt_failure);
	}
	d->octets -= sizeof *c + c->text.len;
	free(c);
}

void tlsrpt_domain_end(struct tlsrpt_day *d, struct tlsrpt_domain *domain)
{
	for (struct list *node; (node = list_pop(&domain->policies));)
		free_counts(d, CONTAINER_OF(node, struct tlsrpt_counts, link));
	map_remove(&d->names, &domain->node);
	list_remove(&domain->link);
	d->octets -= sizeof *domain;
	free(domain);
}

void tlsrpt_day_release(struct tlsrpt_day *d)
{
	while (!list_empty(&d->domains))
		tlsrpt_domain_end(d, CONTAINER_OF(d->domains.next, struct tlsrpt_domain, link));
	map_release(&d->names);
	ASSERT(d->octets == 0);
}

void tlsrpt_day_move(struct tlsrpt_day *to, struct tlsrpt_day *from)
{
	*to = *from;
	list_init(&to->domains);
	for (struct list *node; (node = list_pop(&from->domains));)
		list_push_back(&to->domains, node);
	tlsrpt_day_init(from, 0, 0, 0);
}

/* ---- finding, or making ---- */

struct tlsrpt_domain *tlsrpt_domain_of(struct tlsrpt_day *d, struct str name)
{
	struct map_node *node = map_find(&d->names, name);
	if (node) return CONTAINER_OF(node, struct tlsrpt_domain, node);
	struct tlsrpt_domain *new =
		name.len &&name.len < sizeof new->name ? tlsrpt_alloc(d, sizeof *new) : NULL;
	if (!new) return NULL;
	memcpy(new->name, name.ptr, name.len);
	list_init(&new->policies);
	if (!map_insert(&d->names, &new->node, str_of(new->name, name.len))) {
		d->octets -= sizeof *new;
		free(new);
		return NULL;
	}
	list_push_back(&d->domains, &new->link);
	return new;
}

struct tlsrpt_counts *tlsrpt_counts_of(struct tlsrpt_day *d, struct tlsrpt_domain *domain,
	enum tlsrpt_policy policy, struct str text)
{
	LIST_EACH (&domain->policies, node) {
		struct tlsrpt_counts *c = CONTAINER_OF(node, struct tlsrpt_counts, link);
		if (c->policy == policy && str_eq(c->text, text)) return c;
	}
	if (domain->policy_count == TLSRPT_POLICIES_MAX) return NULL;
	struct tlsrpt_counts *new = tlsrpt_alloc(d, sizeof *new + text.len);
	if (!new) return NULL;
	char *to = (char *)(new + 1);
	if (text.len) memcpy(to, text.ptr, text.len);
	new->policy = policy;
	new->text = str_of(to, text.len);
	list_init(&new->failures);
	list_push_back(&domain->policies, &new->link);
	domain->policy_count++;
	return new;
}

static bool is_same_kind(const struct tlsrpt_failure *a, const struct tlsrpt_failure *b)
{
	return a->result == b->result && strcmp(a->host, b->host) == 0 &&
		a->peer.family == b->peer.family && a->local.family == b->local.family &&
		memcmp(a->peer.octets, b->peer.octets, sizeof a->peer.octets) == 0 &&
		memcmp(a->local.octets, b->local.octets, sizeof a->local.octets) == 0;
}

void tlsrpt_add_failure(
	struct tlsrpt_day *d, struct tlsrpt_counts *c, const struct tlsrpt_failure *failure)
{
	LIST_EACH (&c->failures, node) {
		struct tlsrpt_failure *f = CONTAINER_OF(node, struct tlsrpt_failure, link);
		if (!is_same_kind(f, failure)) continue;
		f->count += failure->count;
		return;
	}
	if (c->failure_count == TLSRPT_FAILURES_MAX) return;
	struct tlsrpt_failure *new = tlsrpt_alloc(d, sizeof *new);
	if (!new) return;
	*new = *failure;
	list_push_back(&c->failures, &new->link);
	c->failure_count++;
}

/* ---- counting ---- */

static void write_policy(struct buf *out, const struct tlsrpt_session *s)
{
	if (s->policy == TLSRPT_STS && s->sts) {
		struct mtasts_policy policy = {.mode = s->sts->policy.mode,
			.max_age = s->sts->max_age,
			.mx_count = s->sts->policy.mx_count};
		for (uint32_t i = 0; i < policy.mx_count; i++) policy.mx[i] = s->sts->policy.mx[i];
		mtasts_write_policy(out, &policy, "");
	}
	for (uint32_t i = 0; s->policy == TLSRPT_TLSA && i < s->tlsa_count; i++) {
		const struct tls_tlsa *r = &s->tlsa[i];
		buf_printf(out, "%u %u %u ", r->usage, r->selector, r->matching);
		hex_add(out, r->data);
		buf_add_c(out, '\n');
	}
}

/* One line of printable ASCII.  */
static void copy_words(char *to, size_t size, struct str words)
{
	words = str_head(words, size - 1);
	for (size_t i = 0; i < words.len; i++)
		to[i] = words.ptr[i] < ' ' || words.ptr[i] == 127 ? '?' : words.ptr[i];
	to[words.len] = '\0';
}

static struct net_address address_alone(const struct net_address *a)
{
	struct net_address alone = {0};
	if (!a || (a->family != NET_IPV4 && a->family != NET_IPV6)) return alone;
	alone.family = a->family;
	memcpy(alone.octets, a->octets, a->family == NET_IPV6 ? 16 : 4);
	return alone;
}

static void count(struct tlsrpt_day *d, struct tlsrpt_counts *c, const struct tlsrpt_session *s)
{
	if (s->result == TLSRPT_SUCCESS) {
		c->succeeded++;
		return;
	}
	c->failed++;
	struct tlsrpt_failure failure = {.result = s->result,
		.count = 1,
		.peer = address_alone(s->peer),
		.local = address_alone(s->local)};
	copy_words(failure.host, sizeof failure.host, s->host);
	copy_words(failure.words, sizeof failure.words, s->words);
	tlsrpt_add_failure(d, c, &failure);
}

void tlsrpt_note(struct tlsrpt_day *d, const struct tlsrpt_session *s)
{
	struct tlsrpt_domain *domain = tlsrpt_domain_of(d, s->domain);
	if (!domain) return;
	struct buf text;
	buf_init(&text, TLSRPT_TEXT_MAX);
	write_policy(&text, s);
	struct tlsrpt_counts *c =
		buf_ok(&text) ? tlsrpt_counts_of(d, domain, s->policy, buf_str(&text)) : NULL;
	if (c) count(d, c, s);
	buf_release(&text);
}

void tlsrpt_note_own(struct tlsrpt_day *d, struct str domain)
{
	struct tlsrpt_domain *there = tlsrpt_domain_of(d, domain);
	if (there) there->own++;
}

bool tlsrpt_worth_telling(const struct tlsrpt_domain *domain)
{
	uint64_t succeeded = 0, failed = 0;
	LIST_EACH (&domain->policies, node) {
		const struct tlsrpt_counts *c = CONTAINER_OF(node, struct tlsrpt_counts, link);
		succeeded += c->succeeded;
		failed += c->failed;
	}
	return failed > 0 || succeeded > domain->own;
}
