/* What follows from a batch: its success, or its failure.
 *
 * A failed write or sync says nothing about what is on the medium.  So the segment is given up at
 * the last point that is known to be good (`end`), and nothing is retried there.  The list of
 * segments at the start of the next one carries that end, and is synced before anything else is
 * acknowledged: from then on what lies behind it is void, should it ever reappear.  Accepts in the
 * batch are answered with the error; state records leave again with the next batch.  */
#include "spool/internal.h"

#include "spool/compact.h"

static void take_list(struct list *from, struct list *to)
{
	list_init(to);
	for (struct list *node; (node = list_pop(from));) list_push_back(to, node);
}

static void count(struct spool *s, const struct batch *b)
{
	s->stats.batches++;
	s->stats.batch_messages += b->messages;
	s->stats.octets_written += b->position - b->at;
	if (!b->sync) return;
	s->stats.syncs++;
	s->stats.sync_us_total += (uint64_t)b->us;
	if ((uint64_t)b->us > s->stats.sync_us_max) s->stats.sync_us_max = (uint64_t)b->us;
}

static void finish_chunks(struct batch *b, int error)
{
	struct list chunks;
	take_list(&b->chunks, &chunks);
	for (struct list *node; (node = list_pop(&chunks));)
		writer_chunk_done(CONTAINER_OF(node, struct chunk_item, link), error);
}

static void finish_writers(struct batch *b, int error)
{
	/* Callees may commit again: those come into another list.  */
	struct list writers;
	take_list(&b->writers, &writers);
	for (struct list *node; (node = list_pop(&writers));)
		writer_finish(CONTAINER_OF(node, struct spool_writer, link), error);
}

static void finish_syncs(struct batch *b)
{
	struct list syncs;
	take_list(&b->syncs, &syncs);
	for (struct list *node; (node = list_pop(&syncs));) {
		struct spool_op *op = CONTAINER_OF(node, struct spool_op, link);
		op->done(op, 0);
	}
}

static void succeeded(struct spool *s, struct batch *b)
{
	b->segment->end = b->position;
	if (b->sync) b->segment->synced = b->position;
	count(s, b);
	state_synced(s, b);
	compact_synced(s);
	if (s->sick) health_well(s);
	finish_chunks(b, 0);
	finish_writers(b, 0);
	finish_syncs(b);
	compact_look(s);
}

/* A segment whose first batch failed is no part of the log: its file goes, and must not come back
 * by a power cut with what was refused.  */
static void discard(struct spool *s, struct segment *g)
{
	char path[SPOOL_PATH_MAX];
	segment_enter(&s->segments, g, SEGMENT_FREE);
	segments_forget(&s->segments, g->number);
	if (io_unlink(s->io, segment_path(s, g->number, path)) == 0)
		(void)!io_dir_sync(s->io, s->path);
	segment_drop(s->io, &s->segments, g);
}

static void failed(struct spool *s, struct batch *b)
{
	struct segment *g = b->segment;
	s->stats.failed_syncs++;
	spool_told(s, "spool-write-failed", g->number, b->at, strerrordesc_np(-b->error));
	g->broken = true;
	g->end = g->synced;
	s->open = NULL;
	summary_release(&s->summary);
	health_failed(s, b->error);
	state_failed(s, b);
	compact_failed(s);
	for (struct list *node; (node = b->syncs.prev) != &b->syncs;) {
		list_remove(node);
		list_push_front(&s->syncs, node);
	}
	writer_fail_in(s, g, s->sick);
	finish_chunks(b, s->sick);
	finish_writers(b, s->sick);
	if (b->opens)
		discard(s, g);
	else
		segment_enter(&s->segments, g, SEGMENT_SEALED);
	health_fail_ready(s);
}

void finish_batch(struct io_work *work)
{
	struct batch *b = CONTAINER_OF(work, struct batch, work);
	b->does = BATCH_IDLE;
	if (b->error)
		failed(b->spool, b);
	else
		succeeded(b->spool, b);
}

void finish_seal(struct io_work *work)
{
	struct batch *b = CONTAINER_OF(work, struct batch, work);
	struct spool *s = b->spool;
	struct segment *g = b->segment;
	b->does = BATCH_IDLE;
	g->indexed = b->error == 0;
	g->grows = false;
	segment_enter(&s->segments, g, SEGMENT_SEALED);
	s->open = NULL;
	summary_release(&s->summary);
	if (b->error) {
		g->broken = true;
		spool_told(s, "spool-seal-failed", g->number, g->end, strerrordesc_np(-b->error));
		health_failed(s, b->error);
		writer_fail_in(s, g, s->sick);
	}
	compact_look(s);
}
