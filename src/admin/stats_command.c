/* queue.stats: numbers of the queue, the spool and the busiest destinations.  */
#include "admin/commands.h"

enum { DESTINATIONS_SHOWN = 100 };

struct busiest {
	json_t *list; /* ordered, most mail first */
	size_t seen;
};

static json_t *queue_numbers(const struct queue_stats *s)
{
	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:o}",
		"accepted", (json_int_t)s->accepted, "delivered", (json_int_t)s->delivered,
		"failed", (json_int_t)s->failed, "expired", (json_int_t)s->expired, "deleted",
		(json_int_t)s->deleted, "deferrals", (json_int_t)s->deferrals, "bounces",
		(json_int_t)s->bounces, "messages", (int)s->messages, "recipients",
		(int)s->recipients, "ready", (int)s->ready, "deferred", (int)s->deferred, "active",
		(int)s->active, "held", (int)s->held, "destinations", (int)s->destinations,
		"oldest", control_time(s->oldest));
}

static json_t *spool_numbers(const struct spool_stats *s)
{
	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}",
		"segments", (json_int_t)s->segments, "segments_free", (json_int_t)s->segments_free,
		"octets_live", (json_int_t)s->octets_live, "octets_log", (json_int_t)s->octets_log,
		"batches", (json_int_t)s->batches, "syncs", (json_int_t)s->syncs, "batch_messages",
		(json_int_t)s->batch_messages, "octets_written", (json_int_t)s->octets_written,
		"sync_us_total", (json_int_t)s->sync_us_total, "sync_us_max",
		(json_int_t)s->sync_us_max, "failed_syncs", (json_int_t)s->failed_syncs,
		"moved_messages", (json_int_t)s->moved_messages, "free_on_disk",
		(json_int_t)s->free_on_disk, "memory", (json_int_t)s->memory, "sick", (int)s->sick);
}

static json_t *destination_numbers(const struct destination_view *v)
{
	return json_pack("{s:o, s:i, s:i, s:i, s:i, s:i, s:i, s:o, s:o, s:b, s:I, s:I, s:I}",
		"destination", control_str(v->key), "ready", (int)v->ready, "deferred",
		(int)v->deferred, "active", (int)v->active, "held", (int)v->held, "connections",
		(int)v->connections, "window", (int)v->window, "next_attempt",
		control_time(v->next_attempt), "reason", control_str(v->reason), "paused",
		(int)v->paused, "delivered", (json_int_t)v->delivered, "failed",
		(json_int_t)v->failed, "deferrals", (json_int_t)v->deferrals);
}

static json_int_t waiting(const json_t *o)
{
	return json_integer_value(json_object_get(o, "ready")) +
		json_integer_value(json_object_get(o, "deferred")) +
		json_integer_value(json_object_get(o, "active")) +
		json_integer_value(json_object_get(o, "held"));
}

static bool visit(void *context, const struct destination_view *v)
{
	struct busiest *b = context;
	json_int_t mail = (json_int_t)v->ready + v->deferred + v->active + v->held;
	size_t count = json_array_size(b->list);
	b->seen++;
	if (count == DESTINATIONS_SHOWN && mail <= waiting(json_array_get(b->list, count - 1)))
		return true;
	size_t at = count;
	while (at > 0 && waiting(json_array_get(b->list, at - 1)) < mail) at--;
	json_array_insert_new(b->list, at, destination_numbers(v));
	if (count == DESTINATIONS_SHOWN) json_array_remove(b->list, count);
	return true;
}

void queue_stats_command(struct control_call *call)
{
	struct admin *admin = call->admin;
	if (!admin->queue) {
		control_fail(call, "there is no queue here");
		return;
	}
	struct queue_stats queue;
	struct spool_stats spool;
	struct busiest b = {.list = json_array()};
	queue_stats(admin->queue, &queue);
	spool_stats(admin->spool, &spool);
	queue_each_destination(admin->queue, visit, &b, io_now(admin->io), io_wall(admin->io));
	control_done(call,
		json_pack("{s:o, s:o, s:o, s:I}", "queue", queue_numbers(&queue), "spool",
			spool_numbers(&spool), "destinations", b.list, "destinations_in_all",
			(json_int_t)b.seen));
}
