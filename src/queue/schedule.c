#include "queue/schedule.h"

/* The first of a list has its bucket in prev, the last in next, marked by the highest bit.  */
#define END_MARK 0x80000000u
enum { DOWN = SCHEDULE_BUCKETS };

void schedule_init(struct schedule *s, struct spool_index *index)
{
	memset(s, 0, sizeof(*s));
	s->index = index;
}

static void fill(struct schedule *s, uint32_t bucket, slot first, slot last)
{
	s->buckets[bucket].first = first;
	s->buckets[bucket].last = last;
	if (bucket != DOWN) s->filled[bucket / 256]++;
}

static void empty(struct schedule *s, uint32_t bucket)
{
	s->buckets[bucket].first = s->buckets[bucket].last = 0;
	if (bucket != DOWN) s->filled[bucket / 256]--;
}

/* Put the list from first to last behind what is in the bucket.  */
static void append(struct schedule *s, uint32_t bucket, slot first, slot last)
{
	slot before = s->buckets[bucket].last;
	spool_recipient(s->index, last)->link.next = END_MARK | bucket;
	spool_recipient(s->index, first)->link.prev = before ? before : END_MARK | bucket;
	if (before) {
		spool_recipient(s->index, before)->link.next = first;
		s->buckets[bucket].last = last;
	} else {
		fill(s, bucket, first, last);
	}
}

/* The wheel turns by octets: the highest octet in which due differs from now says the level.  */
static uint32_t bucket_of(const struct schedule *s, uint32_t due)
{
	/* Before the first schedule_next the time is not known: everything is looked at then.  */
	if (due <= s->now || s->now == 0) return DOWN;
	uint32_t level = (uint32_t)(31 - __builtin_clz(due ^ s->now)) / 8;
	return level * 256 + (due >> (level * 8) & 255);
}

void schedule_add(struct schedule *s, slot recipient)
{
	ASSERT(recipient < END_MARK);
	append(s, bucket_of(s, spool_recipient(s->index, recipient)->due), recipient, recipient);
}

void schedule_remove(struct schedule *s, slot recipient)
{
	struct spool_recipient *r = spool_recipient(s->index, recipient);
	uint32_t next = r->link.next, prev = r->link.prev;
	r->link.next = r->link.prev = 0;
	if ((next & END_MARK) && (prev & END_MARK)) {
		empty(s, next & ~END_MARK);
		return;
	}
	if (next & END_MARK)
		s->buckets[next & ~END_MARK].last = prev;
	else
		spool_recipient(s->index, next)->link.prev = prev;
	if (prev & END_MARK)
		s->buckets[prev & ~END_MARK].first = next;
	else
		spool_recipient(s->index, prev)->link.next = next;
}

static void bring_down(struct schedule *s, uint32_t bucket)
{
	slot first = s->buckets[bucket].first, last = s->buckets[bucket].last;
	if (!first) return;
	empty(s, bucket);
	append(s, DOWN, first, last);
}

/* One second on; or many, as long as nothing is passed.  */
static void turn(struct schedule *s, uint32_t now)
{
	uint32_t level = 0;
	while (level < SCHEDULE_LEVELS && s->filled[level] == 0) level++;
	if (level == SCHEDULE_LEVELS) {
		s->now = now;
		return;
	}
	uint64_t stride = (uint64_t)1 << (level * 8);
	uint64_t next = (s->now / stride + 1) * stride;
	if (next > now) {
		s->now = now;
		return;
	}
	s->now = (uint32_t)next;
	for (uint32_t l = SCHEDULE_LEVELS; l-- > 0;) {
		if (s->now & (((uint64_t)1 << (l * 8)) - 1)) continue;
		bring_down(s, l * 256 + (s->now >> (l * 8) & 255));
	}
}

slot schedule_next(struct schedule *s, uint32_t now, uint32_t *budget)
{
	if (s->now == 0) s->now = now;
	for (;;) {
		slot recipient = s->buckets[DOWN].first;
		if (!recipient) {
			if (s->now >= now) return 0;
			turn(s, now);
			continue;
		}
		if (*budget == 0) return 0;
		--*budget;
		struct spool_recipient *r = spool_recipient(s->index, recipient);
		schedule_remove(s, recipient);
		/* The clock was wrong when it was written, or is now.  */
		if (s->limit && r->attempts && r->due > s->now && r->due - s->now > s->limit)
			r->due = s->now + s->limit;
		if (r->due <= s->now) return recipient;
		schedule_add(s, recipient);
	}
}

uint32_t schedule_when(const struct schedule *s)
{
	if (s->buckets[DOWN].first) return 0;
	for (uint32_t level = 0; level < SCHEDULE_LEVELS; level++) {
		if (s->filled[level]) return s->now + 1;
	}
	return UINT32_MAX;
}
