#include "queue/state.h"

enum { REASON_MAX = 1024 };

static msec wall_of(const struct queue *q, msec monotonic) { return q->wall + monotonic - q->now; }

static void add_outcome(struct buf *out, const struct outcome *o)
{
	if (o->host.len)
		buf_add(out, o->host), buf_add(out, o->remote ? STR(" said: ") : STR(": "));
	if (o->remote && o->code) buf_printf(out, "%u ", o->code);
	if (o->remote && o->enhanced.class)
		buf_printf(out, "%u.%u.%u ", o->enhanced.class, o->enhanced.subject,
			o->enhanced.detail);
	buf_add(out, o->text);
}

/* Why nothing goes to d now; nothing: it may.  */
static void add_wait(
	struct buf *out, const struct queue *q, const struct destination *d, msec *ret_next)
{
	msec rate = rate_when(&d->rate);
	if (!list_empty(&d->doomed)) {
		buf_add(out, STR("is being returned: "));
		add_outcome(out, &d->doom);
	} else if (d->breaker.open) {
		buf_add(out, STR("destination paused, it refuses everything: "));
		add_outcome(out, &d->why);
	} else if (d->until > q->now) {
		buf_add(out, STR("destination unreachable: "));
		add_outcome(out, &d->why);
	} else if (rate > q->now) {
		buf_printf(
			out, "destination is limited to %u messages per ", d->rate.limit.messages);
		clock_add_span(out, d->rate.limit.per);
	} else if (d->probing && d->connections > 0) {
		buf_add(out, STR("destination is being tried with one connection"));
	} else if (d->connections >= d->window.size) {
		buf_printf(out, "all %u connections to the destination are in use", d->window.size);
	}
	msec at = rate > d->until ? rate : d->until;
	*ret_next = at > q->now ? wall_of(q, at) : 0;
}

static void view_due(struct queue *q, slot recipient, struct arena *arena, struct buf *reason,
	struct queue_view *ret)
{
	const struct spool_recipient *r = spool_recipient(q->index, recipient);
	struct outcome o;
	if (r->place == PLACE_READY) {
		add_wait(reason, q, destination_of(q, r), &ret->next_attempt);
		if (ret->next_attempt == 0) ret->next_attempt = q->wall;
		if (reason->len == 0) buf_add(reason, STR("waits for its turn"));
		return;
	}
	ret->next_attempt = queue_wall_of(q, r->due);
	if (r->attempts == 0)
		buf_add(reason, STR("held back until then, as its sender wishes"));
	else if (spool_reason(q->spool, recipient, arena, &o))
		add_outcome(reason, &o);
}

void queue_view(struct queue *q, slot recipient, struct arena *arena, msec now, msec wall,
	struct queue_view *ret)
{
	queue_clock(q, now, wall);
	const struct spool_recipient *r = spool_recipient(q->index, recipient);
	*ret = (struct queue_view){.state = r->state, .attempts = r->attempts};
	if (r->link.lane == 0) return;
	ret->destination = destination_of(q, r)->key;
	struct buf reason;
	buf_init(&reason, REASON_MAX);
	if (r->state == RECIPIENT_DUE) view_due(q, recipient, arena, &reason, ret);
	if (r->state == RECIPIENT_HELD) buf_add(&reason, STR("held by the operator"));
	if (r->place == PLACE_JOB) buf_add(&reason, STR("is being delivered"));
	if (r->place == PLACE_BOUNCE) buf_add(&reason, STR("its sender is being told"));
	if (!arena_copy(arena, buf_str(&reason), &ret->reason)) ret->reason = STR_NONE;
	buf_release(&reason);
}

void queue_each_destination(struct queue *q,
	bool (*visit)(void *context, const struct destination_view *v), void *context, msec now,
	msec wall)
{
	queue_clock(q, now, wall);
	struct buf reason;
	buf_init(&reason, REASON_MAX);
	bool more = true;
	LIST_EACH (&q->destinations, node) {
		if (!more) break;
		const struct destination *d = CONTAINER_OF(node, struct destination, link);
		bool probing = d->probing || d->breaker.open;
		struct destination_view v = {
			.key = d->key,
			.ready = d->counts[PLACE_READY],
			.deferred = d->counts[PLACE_WAIT],
			.active = d->counts[PLACE_JOB] + d->counts[PLACE_BOUNCE],
			.held = d->counts[PLACE_HELD],
			.connections = d->connections,
			.window = probing ? 1 : d->window.size,
			.paused = d->breaker.open,
			.delivered = d->delivered,
			.failed = d->failed,
			.deferrals = d->deferrals,
		};
		msec next = 0;
		buf_clear(&reason);
		add_wait(&reason, q, d, &next);
		v.next_attempt = next;
		bool waits = next || d->breaker.open || !list_empty(&d->doomed);
		v.reason = waits ? buf_str(&reason) : STR_NONE;
		more = visit(context, &v);
	}
	buf_release(&reason);
}
