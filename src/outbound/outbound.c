/* Who has mail gets a connection: the pump, and what is kept of each destination.  */
#include "outbound/token.h"

#include <stdlib.h>

enum { MAILBOX_THREADS = 8 };

msec outbound_now(const struct outbound *out) { return io_now(out->parts.io); }
msec outbound_wall(const struct outbound *out) { return io_wall(out->parts.io); }

void outbound_finish_all(struct outbound *out, struct queue_job *job, const struct outcome *outcome)
{
	struct outcome few[8],
		*all = job->count <= ARRAY_LEN(few) ? few : calloc(job->count, sizeof *all);
	ASSERT(all);
	for (uint32_t i = 0; i < job->count; i++) all[i] = *outcome;
	queue_finish(out->queue, job, all, outbound_now(out), outbound_wall(out));
	if (all != few) free(all);
}

/* ---- sites ---- */

static struct site *site_of(struct outbound *out, struct destination *d)
{
	void **place = destination_driver(d);
	if (*place) return *place;
	struct site *site = calloc(1, sizeof *site);
	if (!site) return NULL;
	site->outbound = out;
	site->destination = d;
	list_init(&site->ready_link);
	list_init(&site->idle);
	list_push_back(&out->sites, &site->link);
	*place = site;
	return site;
}

static void site_free(struct site *site)
{
	list_remove(&site->link);
	list_remove(&site->ready_link);
	free(site);
}

void outbound_ready(void *context, struct destination *d)
{
	struct outbound *out = context;
	struct site *site = site_of(out, d);
	if (site && list_empty(&site->ready_link)) list_push_back(&out->ready, &site->ready_link);
}

void outbound_gone(void *context, struct destination *d)
{
	(void)context;
	struct site *site = *destination_driver(d);
	if (!site) return;
	ASSERT(list_empty(&site->idle));
	site_free(site);
	*destination_driver(d) = NULL;
}

/* ---- the pump ---- */

static bool take_inline(struct site *site, const struct route_rule *rule)
{
	struct outbound *out = site->outbound;
	if (!queue_wants(site->destination, outbound_now(out))) return false;
	struct queue_job *job =
		queue_take(out->queue, site->destination, UINT32_MAX, outbound_now(out));
	if (!job) return false;
	struct outcome outcome;
	switch (rule->kind) {
	case ROUTE_MAILDIR:
		queue_opened(out->queue, site->destination);
		maildir_deliver(out, job);
		return true;
	case ROUTE_DISCARD:
		outcome = outcome_local(OUTCOME_DELIVERED, "2.0.0", STR("discarded by rule"));
		break;
	default: outcome = outcome_local(OUTCOME_FAILED, "5.7.1", rule->reject); break;
	}
	out->stats.attempts++;
	outbound_finish_all(out, job, &outcome);
	return true;
}

/* One connection, or one piece of work.  False: it wants none now.  After true the site may be gone.  */
static bool serve_site(struct site *site)
{
	const struct route_rule *rule = destination_rule(site->destination);
	bool smtp = rule->kind == ROUTE_MX || rule->kind == ROUTE_SMTP || rule->kind == ROUTE_LMTP;
	if (!smtp) return take_inline(site, rule);
	if (!list_empty(&site->idle))
		return client_session_wake(client_session_of_idle(site->idle.next));
	return queue_wants(site->destination, outbound_now(site->outbound)) &&
		client_session_begin(site);
}

/* Each site in turn, one connection at a time, until none wants more.  */
bool outbound_run(struct outbound *out)
{
	unsigned budget = 1000; /* the loop is not to be kept from its sessions */
	for (struct list *node; !out->stopping && budget-- && (node = list_pop(&out->ready));) {
		list_push_back(&out->ready, node);
		if (!serve_site(CONTAINER_OF(node, struct site, ready_link))) list_remove(node);
	}
	return !out->stopping && !list_empty(&out->ready);
}

/* ---- begin and end ---- */

struct outbound *outbound_new(const struct outbound_parts *parts)
{
	struct outbound *out = calloc(1, sizeof *out);
	if (!out) return NULL;
	out->parts = *parts;
	list_init(&out->ready);
	list_init(&out->sites);
	list_init(&out->deliveries);
	list_init(&out->sessions);
	list_init(&out->tokens);
	struct buf why;
	buf_init(&why, 1000);
	out->tls = tls_client_context(STR_NONE, &why);
	buf_release(&why);
	out->workers = out->tls ? io_workers_start(parts->io, MAILBOX_THREADS, "mailbox") : NULL;
	if (!out->workers) {
		tls_context_release(out->tls);
		free(out);
		return NULL;
	}
	return out;
}

void outbound_configure(struct outbound *out, struct queue *queue, struct router *router,
	const struct domains *domains, struct str hostname)
{
	out->queue = queue;
	out->router = router;
	out->domains = domains;
	out->parts.hostname = hostname;
}

void outbound_check_stopped(struct outbound *out)
{
	if (!out->stopping || !out->stopped) return;
	if (!list_empty(&out->sessions) || !list_empty(&out->deliveries)) return;
	void (*stopped)(void *) = out->stopped;
	out->stopped = NULL;
	stopped(out->context);
}

void outbound_stop(struct outbound *out, void (*stopped)(void *context), void *context)
{
	out->stopping = true;
	out->stopped = stopped;
	out->context = context;
	LIST_EACH_SAFE (&out->sessions, node) client_session_stop(client_session_of(node), false);
	outbound_check_stopped(out);
}

void outbound_free(struct outbound *out)
{
	if (!out) return;
	out->stopping = true;
	out->stopped = NULL;
	while (!list_empty(&out->sessions))
		client_session_stop(client_session_of(out->sessions.next), true);
	io_workers_stop(out->workers); /* mailboxes under way are finished */
	tokens_free(out);
	ASSERT(list_empty(&out->deliveries));
	while (!list_empty(&out->sites)) {
		struct site *site = CONTAINER_OF(out->sites.next, struct site, link);
		*destination_driver(site->destination) = NULL;
		site_free(site);
	}
	tls_context_release(out->tls);
	free(out);
}

void outbound_stats(const struct outbound *out, struct outbound_stats *ret) { *ret = out->stats; }
