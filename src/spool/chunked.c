/* Which segments a message keeps alive.  One without chunks: that of its accept record.  One with
 * chunks has a place in a table of its own, as few messages are so large.  */
#include "spool/internal.h"

static bool is_there(const struct spool *s, const struct disk_place *place)
{
	const struct segment *g = spool_segment(s, place->number);
	return g && g->state != SEGMENT_FREE && g->generation == place->generation;
}

/* The same segment once, with how many.  An older copy that a start reads may name segments that
 * are gone, and whose numbers mean others now: they hold nothing of it.  False: no memory.  */
static bool gather(
	const struct spool *s, const struct disk_chunk *chunks, uint32_t count, struct chunked *to)
{
	for (uint32_t i = 0; i < count; i++) {
		if (!is_there(s, &chunks[i].place)) continue;
		struct chunk_refs *last = to->count ? &to->refs[to->count - 1] : NULL;
		if (!last || last->segment != chunks[i].place.number) {
			struct chunk_refs *refs =
				realloc(to->refs, (to->count + 1) * sizeof(*refs));
			if (!refs) return false;
			to->refs = refs;
			last = &refs[to->count++];
			*last = (struct chunk_refs){.segment = chunks[i].place.number};
		}
		last->count++;
		last->octets += chunks[i].length;
	}
	return true;
}

bool chunked_add(struct spool *s, const struct disk_chunk *chunks, uint32_t count, uint32_t offset,
	uint32_t *ret_place)
{
	struct chunked_table *t = &s->chunked;
	struct chunked one = {.offset = offset};
	uint32_t place = t->free ? t->free - 1 : t->count;
	if (place == t->count && (t->count & (t->count + 1)) == 0) {
		if (t->count >= 1 << 24) return false;
		struct chunked *all = realloc(t->all, (t->count + 1ul) * 2 * sizeof(*all));
		if (!all) return false;
		t->all = all;
	}
	if (!gather(s, chunks, count, &one)) {
		free(one.refs);
		return false;
	}
	if (place == t->count)
		t->count++;
	else
		t->free = t->all[place].next_free;
	t->all[place] = one;
	*ret_place = place;
	return true;
}

void chunked_remove(struct spool *s, uint32_t place)
{
	struct chunked *one = &s->chunked.all[place];
	free(one->refs);
	*one = (struct chunked){.next_free = s->chunked.free};
	s->chunked.free = place + 1;
}

uint32_t message_offset(const struct spool *s, const struct spool_message *m)
{
	return m->flags & SPOOL_MESSAGE_CHUNKED ? s->chunked.all[m->offset].offset
						: (uint32_t)m->offset;
}

/* A segment that a damaged or missing file has taken away holds nothing.  */
static void hold(struct spool *s, uint32_t number, uint32_t refs, uint64_t octets)
{
	struct segment *g = spool_segment(s, number);
	if (g && g->state != SEGMENT_FREE) segment_hold(&s->segments, g, refs, octets);
}

static void let_go(struct spool *s, uint32_t number, uint32_t refs, uint64_t octets)
{
	struct segment *g = spool_segment(s, number);
	if (g && g->state != SEGMENT_FREE) segment_let_go(&s->segments, g, refs, octets);
}

void chunks_hold(struct spool *s, const struct disk_chunk *chunks, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) hold(s, chunks[i].place.number, 1, chunks[i].length);
}

void chunks_release(struct spool *s, const struct disk_chunk *chunks, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (chunks[i].place.number) let_go(s, chunks[i].place.number, 1, chunks[i].length);
}

void message_hold(struct spool *s, const struct spool_message *m)
{
	hold(s, m->segment, 1, size_of_class(m->size_class));
	if (!(m->flags & SPOOL_MESSAGE_CHUNKED)) return;
	const struct chunked *one = &s->chunked.all[m->offset];
	for (uint32_t i = 0; i < one->count; i++)
		hold(s, one->refs[i].segment, one->refs[i].count, one->refs[i].octets);
}

void message_release(
	struct spool *s, uint32_t segment, uint8_t class, uint32_t state_segment, uint32_t chunks)
{
	let_go(s, segment, 1, size_of_class(class));
	if (state_segment) let_go(s, state_segment, 0, SPOOL_STATE_OCTETS);
	if (!chunks) return;
	const struct chunked *one = &s->chunked.all[chunks - 1];
	for (uint32_t i = 0; i < one->count; i++)
		let_go(s, one->refs[i].segment, one->refs[i].count, one->refs[i].octets);
	chunked_remove(s, chunks - 1);
}
