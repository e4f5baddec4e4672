/* Records are looked for where the batches say they are; around damage, at every multiple of 8.
 * The salt makes sure that what is found belongs to this life of the segment, and was written by
 * us.
 *
 *   batch whole                       take its records
 *   a record in it does not pass      look on at multiples of 8 to the end of the batch
 *   no batch where one should begin   the next at a multiple of 4096; take what is whole between
 *   nothing behind                    the end
 *
 * What does not pass is a loss where it had been synced, as the last batch says that is whole;
 * else it is torn: it was on its way when the server ended.  */
#include "spool/scan.h"

#include "spool/index.h"
#include "spool/view.h"

#include <errno.h>

enum { ARENA_MAX = 16 << 20, UNKNOWN_KIND = 0x80, SEGMENTS_MAX = 2 << 20 };

struct place { /* the octets of the file, and where we are */
	struct scan *scan;
	const char *octets;
	uint64_t len;
};

/* ---- one record into the summary ---- */

static struct disk_entry entry_for(const struct disk_record *r, uint64_t at)
{
	return (struct disk_entry){
		.type = r->type, .offset = (uint32_t)(at / RECORD_ALIGN), .id = r->id};
}

static void put_states(struct disk_entry_recipient *to, uint32_t count, struct str states)
{
	struct disk_recipient one;
	struct str outcome;
	while (take_recipient(&states, &one, &outcome)) {
		if (one.index >= count) continue;
		to[one.index].state = one.state;
		to[one.index].attempts = one.attempts;
		to[one.index].due = one.due;
	}
}

static struct str lower_domain(struct str address, struct arena *arena)
{
	size_t at = str_rfind(address, '@');
	struct str copy;
	if (at == address.len || !arena_copy(arena, str_skip(address, at + 1), &copy))
		return STR_NONE;
	char *c = (char *)(uintptr_t)copy.ptr;
	for (size_t i = 0; i < copy.len; i++) c[i] = ascii_lower(c[i]);
	return copy;
}

static bool put_accept(struct summary *to, const struct disk_record *r, struct str payload,
	uint64_t at, struct arena *arena)
{
	struct accept_view view;
	struct envelope e;
	if (!accept_view(payload, &view) || !envelope_decode(&view.envelope, arena, &e))
		return false;
	if (e.recipient_count == 0 || e.recipient_count != view.head.recipients) return false;
	struct disk_entry_recipient *list = arena_alloc(arena, e.recipient_count * sizeof(*list));
	if (!list) return false;
	msec due = e.hold_until ? e.hold_until : spool_created(r->id);
	for (uint32_t i = 0; i < e.recipient_count; i++)
		list[i] = (struct disk_entry_recipient){
			.due = (uint32_t)(due / 1000), .state = RECIPIENT_DUE};
	put_states(list, e.recipient_count, view.states);

	struct summary_accept accept = {.id = r->id,
		.offset = (uint32_t)(at / RECORD_ALIGN),
		.tag = view.head.tag,
		.length = (uint32_t)sizeof(*r) + r->length,
		.chunks = view.head.chunks,
		.recipients = view.head.recipients,
		.flags = (uint8_t)view.head.flags};
	summary_accept(to, &accept);
	summary_put(to, view.chunks.ptr, view.chunks.len);
	for (uint32_t i = 0; i < e.recipient_count; i++)
		summary_recipient(to, lower_domain(e.recipients[i].address, arena), &list[i]);
	summary_end(to);
	return true;
}

static bool put_state(
	struct summary *to, const struct disk_record *r, struct str payload, uint64_t at)
{
	struct disk_state state;
	struct disk_recipient one;
	struct str outcome;
	if (!take_octets(&payload, &state, sizeof(state))) return false;
	struct disk_entry entry = entry_for(r, at);
	entry.flags = (uint8_t)state.flags;
	entry.count = state.count;
	summary_begin(to, &entry);
	for (uint32_t i = 0; i < state.count; i++) {
		if (!take_recipient(&payload, &one, &outcome))
			one = (struct disk_recipient){.index = UINT16_MAX};
		struct disk_entry_state e = {one.index, one.state, one.attempts, one.due};
		summary_put(to, &e, sizeof(e));
	}
	summary_end(to);
	return true;
}

static bool put_fixed(struct summary *to, const struct disk_record *r, struct str payload,
	uint64_t at, size_t size)
{
	if (payload.len < size) return false;
	struct disk_entry entry = entry_for(r, at);
	if (r->type == RECORD_SEGMENTS) {
		entry.count = (uint16_t)(payload.len / sizeof(struct disk_segment));
		size = entry.count * sizeof(struct disk_segment);
	}
	summary_begin(to, &entry);
	summary_put(to, payload.ptr, size);
	summary_end(to);
	return true;
}

static bool put_chunk(struct summary *to, const struct disk_record *r, uint64_t at)
{
	struct disk_chunk chunk = {.place.offset = (uint32_t)(at / RECORD_ALIGN),
		.length = r->length,
		.part = r->part};
	summary_chunk(to, r->id, &chunk);
	return true;
}

static bool put_unknown(struct scan *scan, const struct disk_record *r, uint64_t at)
{
	struct disk_entry entry = entry_for(r, at);
	entry.type |= UNKNOWN_KIND;
	summary_begin(scan->summary, &entry);
	summary_end(scan->summary);
	scan->unknown = true;
	return true;
}

static bool put(struct scan *scan, const struct disk_record *r, struct str payload, uint64_t at)
{
	struct summary *to = scan->summary;
	if (r->version != RECORD_VERSION) return put_unknown(scan, r, at);
	switch (r->type) {
	case RECORD_BATCH: return true;
	case RECORD_CHUNK: return put_chunk(to, r, at);
	case RECORD_STATE: return put_state(to, r, payload, at);
	case RECORD_SEGMENTS: return put_fixed(to, r, payload, at, sizeof(struct disk_segment));
	case RECORD_DONE: return put_fixed(to, r, payload, at, sizeof(struct disk_done));
	case RECORD_FREED: return put_fixed(to, r, payload, at, sizeof(struct disk_freed));
	case RECORD_ACCEPT: break;
	default: return put_unknown(scan, r, at);
	}
	struct arena arena;
	arena_init(&arena, ARENA_MAX);
	bool ok = put_accept(to, r, payload, at, &arena);
	arena_release(&arena);
	return ok;
}

/* ---- the way through the file ---- */

static void lose(struct scan *scan, uint64_t at, const char *what)
{
	if (at >= scan->synced) {
		scan->torn = true;
		return;
	}
	scan->lost++;
	if (scan->damaged) scan->damaged(scan, at, what);
}

static bool read_at(const struct place *p, uint64_t at, uint64_t until, struct disk_record *r,
	struct str *payload, size_t *size)
{
	struct str octets = str_of(p->octets + at, until - at);
	return record_read(octets, p->scan->salt, r, payload, size);
}

static bool batch_at(const struct place *p, uint64_t at, struct disk_batch *ret)
{
	struct disk_record r;
	struct str payload;
	size_t size;
	if (!read_at(p, at, p->len, &r, &payload, &size) || r.type != RECORD_BATCH) return false;
	if (r.version != RECORD_VERSION || !take_octets(&payload, ret, sizeof(*ret))) return false;
	if (r.id > p->scan->summary->last_id) p->scan->summary->last_id = r.id;
	return ret->octets >= RECORD_BLOCK && ret->octets % RECORD_BLOCK == 0;
}

/* Take the records that pass in [at, until); returns behind the last of them, 0 when there is
 * none.  */
static uint64_t salvage(
	const struct place *p, uint64_t at, uint64_t until, uint32_t most, uint32_t *ret_count)
{
	uint64_t end = 0;
	struct disk_record r;
	struct str payload;
	size_t size;
	*ret_count = 0;
	while (at < until && *ret_count < most) {
		if (read_at(p, at, until, &r, &payload, &size)) {
			if (put(p->scan, &r, payload, at))
				++*ret_count;
			else
				lose(p->scan, at, "a record that makes no sense");
			at += size;
			end = at;
			continue;
		}
		at += RECORD_ALIGN;
	}
	return end;
}

static bool find_batch(const struct place *p, uint64_t at, uint64_t *ret_at)
{
	struct disk_batch batch;
	for (; at < p->len; at += RECORD_BLOCK) {
		if (!record_marked(str_of(p->octets + at, p->len - at), p->scan->salt) ||
			!batch_at(p, at, &batch))
			continue;
		*ret_at = at;
		return true;
	}
	return false;
}

static void find_synced(const struct place *p)
{
	struct disk_batch batch;
	for (uint64_t at = p->len & ~(uint64_t)(RECORD_BLOCK - 1); at >= RECORD_BLOCK;
		at -= RECORD_BLOCK) {
		if (at >= p->len || !batch_at(p, at, &batch)) continue;
		if (batch.synced > p->scan->synced) p->scan->synced = batch.synced;
		return;
	}
}

static bool has_trace(const struct place *p, uint64_t at, uint64_t until)
{
	for (; at < until; at += RECORD_ALIGN)
		if (record_marked(str_of(p->octets + at, until - at), p->scan->salt)) return true;
	return false;
}

static uint64_t take_batch(const struct place *p, uint64_t at, const struct disk_batch *batch)
{
	uint64_t end = batch->octets < p->len - at ? at + batch->octets : p->len;
	/* No more are missed than there is room for.  */
	uint64_t room = (end - at) / sizeof(struct disk_record);
	uint32_t found, records = batch->records < room ? batch->records : (uint32_t)room;
	salvage(p, at + sizeof(struct disk_record) + sizeof(*batch), end, records, &found);
	for (; found < records; found++) lose(p->scan, at, "a record of this batch");
	p->scan->end = record_blocks(end);
	return end;
}

/* From where no batch begins to the next one, or to the end.  */
static uint64_t take_gap(const struct place *p, uint64_t at)
{
	uint64_t next = p->len;
	uint32_t found;
	bool more = find_batch(p, at + RECORD_BLOCK, &next);
	if (!more && at >= p->scan->synced && !has_trace(p, at, next)) return next;
	lose(p->scan, at, "the head of a batch");
	uint64_t last = salvage(p, at, next, UINT32_MAX, &found);
	if (last) p->scan->end = record_blocks(last);
	return next;
}

static void walk(const struct place *p)
{
	struct disk_batch batch;
	p->scan->end = RECORD_BLOCK;
	for (uint64_t at = RECORD_BLOCK; at < p->len;)
		at = batch_at(p, at, &batch) ? take_batch(p, at, &batch) : take_gap(p, at);
}

int scan_segment(struct scan *scan)
{
	if (scan->limit <= RECORD_BLOCK) {
		scan->end = RECORD_BLOCK;
		return 0;
	}
	char *octets = malloc(scan->limit);
	if (!octets) return -ENOMEM;
	int64_t n = io_file_read(scan->io, scan->file, octets, scan->limit, 0);
	struct place place = {
		scan, octets, n > 0 ? (uint64_t)n & ~(uint64_t)(RECORD_ALIGN - 1) : 0};
	if (n >= 0) find_synced(&place);
	if (n >= 0) walk(&place);
	free(octets);
	if (n < 0) return (int)n;
	return summary_ok(scan->summary) ? 0 : -ENOMEM;
}

bool scan_identify(
	struct io *io, const struct io_file *file, uint32_t number, struct disk_segment *ret)
{
	enum { AT = RECORD_BLOCK + sizeof(struct disk_record) + sizeof(struct disk_batch) };
	struct disk_record r;
	struct str payload;
	size_t size;
	char *octets = malloc(SEGMENTS_MAX);
	if (!octets) return false;
	int64_t n = io_file_read(io, file, octets, SEGMENTS_MAX, AT);
	bool ok = n >= (int64_t)(sizeof(r) + sizeof(*ret));
	if (ok) {
		memcpy(ret, octets + sizeof(r), sizeof(*ret));
		ok = record_read(str_of(octets, (size_t)n), ret->salt, &r, &payload, &size) &&
			r.type == RECORD_SEGMENTS && ret->number == number && ret->generation != 0;
	}
	free(octets);
	return ok;
}
