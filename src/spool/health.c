/* Whether new mail can be taken.  Sick: a write or sync failed; until a trial batch, once a
 * second, goes through, everything that comes is refused, and nothing that was accepted is
 * touched.  Room and memory: what is left decides at the begin of each message.  Each trouble is
 * told once, and its end.  */
#include "spool/internal.h"

#include "spool/compact.h"

#include <errno.h>

static void watch(struct spool *s)
{
	if (!timer_is_set(&s->health_timer))
		io_timer_set(s->io, &s->health_timer, io_now(s->io) + s->health_ms);
}

void health_failed(struct spool *s, int error)
{
	bool room = error == -ENOSPC || error == -EDQUOT || error == -EFBIG;
	if (!s->sick) spool_told(s, "spool-sick", 0, 0, strerrordesc_np(-error));
	s->sick = room ? -ENOSPC : -EIO;
	s->probe = false;
	s->refused = true;
	s->fs_asked = -1;
	watch(s);
}

void health_well(struct spool *s)
{
	s->sick = 0;
	log_begin(s->log, LOG_WARN, STR_NONE, "spool-well");
	log_end(s->log);
	watch(s);
}

void health_fail_ready(struct spool *s)
{
	struct list failing;
	list_init(&failing);
	for (struct list *node; (node = list_pop(&s->ready));) list_push_back(&failing, node);
	for (struct list *node; (node = list_pop(&failing));)
		writer_finish(CONTAINER_OF(node, struct spool_writer, link), s->sick);
}

size_t health_memory(const struct spool *s)
{
	return s->buffers + spool_index_memory(&s->index) + s->states.records.cap +
		s->states.effects.cap + s->batch.states.records.cap + s->batch.states.effects.cap +
		s->summary.entries.cap + s->summary.domains.cap;
}

static void ask_file_system(struct spool *s)
{
	msec now = io_now(s->io);
	if (s->fs_asked >= 0 && now - s->fs_asked < SPOOL_HEALTH_MS) return;
	enum io_fs kind;
	if (io_fs(s->io, s->path, &s->fs_free, &kind)) s->fs_free = 0;
	s->fs_asked = now;
}

bool health_disk_room(struct spool *s, uint64_t octets)
{
	ask_file_system(s);
	return s->fs_free >= octets && s->fs_free - octets >= s->options.disk_free;
}

/* The last half of the last segment is for what becomes of the mail that is here, and for making
 * room.  */
static bool has_room(struct spool *s)
{
	if (s->segments.free_count > 0) return health_disk_room(s, 0);
	if (s->open && !s->open->grows && s->open->end < s->segment_size / 2)
		return health_disk_room(s, 0);
	return health_disk_room(s, s->segment_size);
}

int health_refusal(struct spool *s)
{
	int error = s->sick;
	if (!error && s->options.memory_max && health_memory(s) >= s->options.memory_max)
		error = -ENOMEM;
	if (!error && !has_room(s)) error = -ENOSPC;
	if (!error) return 0;
	if (!s->refused && error == -ENOSPC)
		spool_told(s, "spool-full", 0, 0, "no room for new mail");
	if (!s->refused && error == -ENOMEM)
		spool_told(s, "spool-memory", 0, 0, "no memory for new mail");
	s->short_told |= !s->refused && !s->sick;
	s->refused = true;
	watch(s);
	return error;
}

/* No more than is free again: a hysteresis would only make people wait.  */
static bool can_take_again(struct spool *s)
{
	if (s->sick) return false;
	if (s->options.memory_max && health_memory(s) >= s->options.memory_max) return false;
	return has_room(s);
}

void health_timer_fired(struct timer *timer)
{
	struct spool *s = CONTAINER_OF(timer, struct spool, health_timer);
	if (s->sick) s->probe = true;
	maker_look(s);
	if (!s->refused) return;
	watch(s);
	compact_look(s);
	if (!can_take_again(s)) return;
	s->refused = false;
	if (s->short_told) {
		log_begin(s->log, LOG_WARN, STR_NONE, "spool-room");
		log_end(s->log);
	}
	s->short_told = false;
	if (s->options.recovered) s->options.recovered(s->options.context);
}
