#include "route/mtasts.h"

#include "route/mtasts_private.h"

enum {
	REFRESHES_AT_ONCE = 20,
	REFRESH_PAUSE_MS = 5 * 1000, /* between two such bunches */
	WAIT_MS = 5 * 1000,          /* so long a mail waits for a policy */
};

static const msec refresh_every = DAYS(1);
static const msec refresh_least =
	HOURS(1); /* what lasts no longer than twice that is left to end */
static const msec unannounced_retry = HOURS(1);
static const msec forgotten_after = DAYS(31); /* without mail: not fetched again */

/* ---- policies ---- */

struct mtasts_known *mtasts_known_new(
	const struct mtasts_policy *policy, const char *id, msec fetched)
{
	size_t octets = 0;
	for (uint32_t i = 0; i < policy->mx_count; i++) octets += policy->mx[i].len;
	struct str *mx;
	struct mtasts_known *k = calloc(1, sizeof *k + policy->mx_count * sizeof *mx + octets);
	if (!k) return NULL;
	mx = (struct str *)(k + 1);
	char *to = (char *)(mx + policy->mx_count);
	for (uint32_t i = 0; i < policy->mx_count; i++) {
		memcpy(to, policy->mx[i].ptr, policy->mx[i].len);
		mx[i] = str_of(to, policy->mx[i].len);
		to += mx[i].len;
	}
	k->users = 1;
	k->policy =
		(struct sts_policy){.mode = policy->mode, .mx = mx, .mx_count = policy->mx_count};
	k->max_age = policy->max_age;
	k->fetched = fetched;
	snprintf(k->id, sizeof k->id, "%s", id);
	return k;
}

void mtasts_known_leave(struct mtasts_known *known)
{
	if (known && --known->users == 0) free(known);
}

/* ---- entries ---- */

static struct mtasts_entry *find(const struct mtasts *m, struct str domain)
{
	struct map_node *node = map_find(&m->entries, domain);
	return node ? CONTAINER_OF(node, struct mtasts_entry, node) : NULL;
}

bool mtasts_entry_counts(const struct mtasts_entry *e)
{
	return e->known && io_wall(e->mtasts->io) < e->known->fetched + SECONDS(e->known->max_age);
}

static bool is_busy(const struct mtasts_entry *e)
{
	return e->fetching || !list_empty(&e->waiting);
}

static void entry_free(struct mtasts_entry *e)
{
	ASSERT(list_empty(&e->waiting));
	resolver_cancel(&e->txt);
	mtasts_fetch_end(e);
	map_remove(&e->mtasts->entries, &e->node);
	list_remove(&e->link);
	mtasts_known_leave(e->known);
	free(e);
}

/* The one that nobody used for longest goes; first those without a policy.  */
static bool make_room(struct mtasts *m)
{
	if (m->entries.len < MTASTS_ENTRIES_MAX) return true;
	for (int with_policy = 0; with_policy < 2; with_policy++) {
		for (struct list *at = m->used.prev; at != &m->used; at = at->prev) {
			struct mtasts_entry *e = CONTAINER_OF(at, struct mtasts_entry, link);
			if (is_busy(e) || (!with_policy && mtasts_entry_counts(e))) continue;
			entry_free(e);
			return true;
		}
	}
	return false;
}

struct mtasts_entry *mtasts_entry_make(struct mtasts *m, struct str domain)
{
	struct mtasts_entry *e = find(m, domain);
	if (e) return e;
	if (domain.len >= sizeof e->domain || !make_room(m)) return NULL;
	e = calloc(1, sizeof *e);
	if (!e) return NULL;
	e->mtasts = m;
	memcpy(e->domain, domain.ptr, domain.len);
	list_init(&e->link);
	list_init(&e->waiting);
	e->used = io_now(m->io);
	if (!map_insert(&m->entries, &e->node, str_of(e->domain, domain.len))) {
		free(e);
		return NULL;
	}
	list_push_front(&m->used, &e->link);
	return e;
}

/* ---- what is to be fetched again, or forgotten ---- */

static bool is_in_use(const struct mtasts_entry *e)
{
	return io_now(e->mtasts->io) - e->used < forgotten_after;
}

/* When something is to be done about the entry, on the monotonic clock.  */
static msec due_at(const struct mtasts_entry *e)
{
	if (!e->known) return e->retry_at;
	msec age = SECONDS(e->known->max_age), after = age;
	if (is_in_use(e) && mtasts_entry_counts(e) && age / 2 >= refresh_least)
		after = age / 2 < refresh_every ? age / 2 : refresh_every;
	msec at = io_now(e->mtasts->io) + e->known->fetched + after - io_wall(e->mtasts->io);
	return at > e->retry_at ? at : e->retry_at;
}

static void plan_refresh(struct mtasts *m, msec at)
{
	if (!timer_is_set(&m->refresh) || m->refresh.node.key > at)
		io_timer_set(m->io, &m->refresh, at);
}

static void read_record(const struct dns_answer *answer, struct mtasts_record *ret)
{
	*ret = (struct mtasts_record){0};
	if (answer->result != DNS_FOUND) return;
	for (uint32_t i = 0; i < answer->count; i++) mtasts_take_record(ret, answer->data[i]);
}

static int ask_record(struct mtasts *m, struct resolver_query *query, const char *domain)
{
	char name[300];
	int len = snprintf(name, sizeof name, "_mta-sts.%s", domain);
	return resolver_ask(m->options.resolver, query, str_of(name, (size_t)len), DNS_TXT);
}

static void refresh_answered(struct resolver_query *query, const struct dns_answer *answer)
{
	struct mtasts_entry *e = CONTAINER_OF(query, struct mtasts_entry, txt);
	struct mtasts_record record;
	read_record(answer, &record);
	if (mtasts_record_found(&record)) {
		mtasts_fetch(e, record.id);
		return;
	}
	/* What is remembered counts to its end.  */
	e->retry_at = io_now(e->mtasts->io) + unannounced_retry;
	plan_refresh(e->mtasts, due_at(e));
}

/* True: a question was asked.  */
static bool refresh(struct mtasts_entry *e)
{
	if (!mtasts_entry_counts(e)) {
		if (e->known) mtasts_changed(e->mtasts);
		entry_free(e);
		return false;
	}
	e->txt.done = refresh_answered;
	if (ask_record(e->mtasts, &e->txt, e->domain) == 0) return true;
	e->retry_at = io_now(e->mtasts->io) + unannounced_retry;
	plan_refresh(e->mtasts, due_at(e));
	return false;
}

static void refresh_fired(struct timer *timer)
{
	struct mtasts *m = CONTAINER_OF(timer, struct mtasts, refresh);
	msec now = io_now(m->io), next = MSEC_NEVER;
	uint32_t begun = 0;
	LIST_EACH_SAFE (&m->used, node) {
		struct mtasts_entry *e = CONTAINER_OF(node, struct mtasts_entry, link);
		if (is_busy(e) || e->txt.private) continue; /* its end plans anew */
		msec at = due_at(e);
		if (at <= now && begun < REFRESHES_AT_ONCE) {
			begun += refresh(e);
			continue;
		}
		if (at <= now) at = now + REFRESH_PAUSE_MS;
		if (at < next) next = at;
	}
	if (next != MSEC_NEVER) plan_refresh(m, next);
}

/* ---- look-ups ---- */

static void take(struct mtasts_lookup *l, struct mtasts_entry *e)
{
	e->used = io_now(e->mtasts->io);
	list_remove(&e->link);
	list_push_front(&e->mtasts->used, &e->link);
	if (mtasts_entry_counts(e)) {
		e->known->users++;
		l->known = e->known;
	}
	l->trouble = e->trouble;
	snprintf(l->why, sizeof l->why, "%s", e->why);
}

/* With what is known now.  */
static void tell(struct mtasts_lookup *l)
{
	struct mtasts *m = l->mtasts;
	struct mtasts_entry *e = find(m, str_from_c(l->domain));
	io_timer_cancel(m->io, &l->timer);
	resolver_cancel(&l->query);
	list_remove(&l->link);
	l->entry = NULL;
	if (e) take(l, e);
	l->done(l);
}

static void waited_enough(struct timer *timer)
{
	tell(CONTAINER_OF(timer, struct mtasts_lookup, timer));
}

void mtasts_entry_settled(struct mtasts_entry *e)
{
	/* The last who is told may be the last who keeps it.  */
	struct mtasts *m = e->mtasts;
	plan_refresh(m, due_at(e));
	struct list batch;
	list_init(&batch);
	for (struct list *node; (node = list_pop(&e->waiting));) list_push_back(&batch, node);
	for (struct list *node; (node = list_pop(&batch));)
		tell(CONTAINER_OF(node, struct mtasts_lookup, link));
}

static bool has_failed_lately(const struct mtasts_entry *e, const char *id)
{
	return e->trouble && strcmp(e->failed_id, id) == 0 && io_now(e->mtasts->io) < e->retry_at;
}

static void record_answered(struct resolver_query *query, const struct dns_answer *answer)
{
	struct mtasts_lookup *l = CONTAINER_OF(query, struct mtasts_lookup, query);
	struct mtasts_record record;
	read_record(answer, &record);
	struct mtasts_entry *e = mtasts_record_found(&record)
		? mtasts_entry_make(l->mtasts, str_from_c(l->domain))
		: NULL;
	bool known = e && mtasts_entry_counts(e) && strcmp(e->known->id, record.id) == 0;
	if (!e || known || has_failed_lately(e, record.id)) {
		tell(l);
		return;
	}
	l->entry = e;
	list_push_back(&e->waiting, &l->link);
	mtasts_fetch(e, record.id);
}

void mtasts_look_up(struct mtasts *m, struct mtasts_lookup *l, struct str domain)
{
	*l = (struct mtasts_lookup){.done = l->done,
		.mtasts = m,
		.query.done = record_answered,
		.timer.fire = waited_enough};
	list_init(&l->link);
	domain = str_head(domain, sizeof l->domain - 1);
	memcpy(l->domain, domain.ptr, domain.len);
	bool asked = ask_record(m, &l->query, l->domain) == 0;
	io_timer_set(m->io, &l->timer, io_now(m->io) + (asked ? WAIT_MS : 0));
}

void mtasts_lookup_clear(struct mtasts_lookup *l)
{
	if (!l->mtasts) return;
	io_timer_cancel(l->mtasts->io, &l->timer);
	resolver_cancel(&l->query);
	list_remove(&l->link);
	mtasts_known_leave((struct mtasts_known *)l->known);
	*l = (struct mtasts_lookup){.done = l->done};
}

/* ---- begin and end ---- */

struct mtasts *mtasts_new(struct io *io, const struct mtasts_options *options, uint64_t seed)
{
	struct mtasts *m = calloc(1, sizeof *m);
	if (!m) return NULL;
	m->io = io;
	m->options = *options;
	m->refresh.fire = refresh_fired;
	map_init(&m->entries, seed);
	list_init(&m->used);
	buf_init(&m->text, MTASTS_FILE_MAX);
	m->path = options->path ? strdup(options->path) : NULL;
	if (options->path && !m->path) {
		free(m);
		return NULL;
	}
	m->options.path = m->path;
	mtasts_load(m);
	LIST_EACH (&m->used, node)
		plan_refresh(m, due_at(CONTAINER_OF(node, struct mtasts_entry, link)));
	return m;
}

void mtasts_configure(struct mtasts *m, struct resolver *resolver, uint16_t port)
{
	m->options.resolver = resolver;
	m->options.port = port;
}

void mtasts_free(struct mtasts *m)
{
	if (!m) return;
	mtasts_save_now(m);
	io_timer_cancel(m->io, &m->refresh);
	LIST_EACH_SAFE (&m->used, node) entry_free(CONTAINER_OF(node, struct mtasts_entry, link));
	map_release(&m->entries);
	buf_release(&m->text);
	free(m->path);
	free(m);
}
