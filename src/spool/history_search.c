#include "spool/history_search.h"

#include <errno.h>

enum {
	READ_STEP = 1 << 20,
	WINDOW_MAX = READ_STEP + HISTORY_BLOCK_MAX,
	MESSAGES_MAX = 1 << 20,
	IDS_ROOM = 1 << 16, /* kept at least before they are thinned out */
};

struct range {
	uint64_t min, max; /* of the ids in it; min > max: nothing */
};

/* A walk over all blocks, oldest first.  The last part is what is in no file yet.  */
struct walk {
	struct history_query *query;
	void (*block)(struct walk *w, struct history_view *v);
	struct range *parts;
	uint32_t part;
	struct history_texts texts;
	uint64_t *ids; /* of the messages that match; sorted, newest first, after thin_out */
	uint32_t id_count, id_room;
};

static void note_error(struct history_query *q, int error)
{
	if (!q->error) q->error = error;
}

void history_path(struct buf *out, const char *directory, uint64_t number)
{
	buf_printf(out, "%s/history.%08llu", directory, (unsigned long long)number);
	buf_add_c(out, '\0');
}

/* ---- blocks ---- */

/* Visit the blocks at the front of octets.  Damage is stepped over, to the next place where a
 * block can begin.  Returns the octets used, and in *ret_need how many the next block wants to
 * have; `last`: there will be no more.  */
static size_t walk_octets(struct walk *w, struct str octets, bool last, size_t *ret_need)
{
	size_t at = 0;
	while (octets.len - at >= HISTORY_BLOCK_ALIGN) {
		struct history_view v;
		struct str here = str_skip(octets, at);
		enum history_found found = history_view_begin(here, &v, ret_need);
		if (found == HISTORY_SHORT && !last) return at;
		if (found == HISTORY_WHOLE && history_view_check(str_head(here, *ret_need))) {
			w->block(w, &v);
			at += *ret_need;
		} else {
			at += HISTORY_BLOCK_ALIGN;
		}
	}
	*ret_need = HISTORY_BLOCK_HEADER;
	return at;
}

static void walk_open_file(struct walk *w, const struct io_file *f, uint64_t size)
{
	struct history_query *q = w->query;
	struct buf window;
	buf_init(&window, WINDOW_MAX);
	uint64_t offset = HISTORY_FILE_HEADER;
	for (size_t need = 0; offset < size;) {
		size_t len = need > window.len + READ_STEP ? need - window.len : READ_STEP;
		if (len > size - offset) len = (size_t)(size - offset);
		char *to = buf_reserve(&window, len);
		int64_t got = to ? io_file_read(q->io, f, to, len, offset) : -ENOMEM;
		if (got < 0) note_error(q, (int)got);
		if (got <= 0) break;
		window.len += (size_t)got;
		offset += (uint64_t)got;
		if ((size_t)got < len) size = offset;
		buf_consume(&window, walk_octets(w, buf_str(&window), offset == size, &need));
	}
	buf_release(&window);
}

static void walk_file(struct walk *w, const struct history_file *file)
{
	struct history_query *q = w->query;
	struct buf path;
	struct io_file f;
	buf_init(&path, 4096);
	history_path(&path, q->directory, file->number);
	int error = buf_ok(&path) ? io_file_open(q->io, path.ptr, IO_OPEN_READ, &f) : -ENAMETOOLONG;
	buf_release(&path);
	if (error == -ENOENT) return; /* its time has come meanwhile */
	if (error) {
		note_error(q, error);
		return;
	}
	walk_open_file(w, &f, file->size);
	io_file_close(q->io, &f);
}

static bool range_has(const struct walk *w, uint64_t min, uint64_t max);

static void walk_all(struct walk *w, void (*block)(struct walk *, struct history_view *))
{
	struct history_query *q = w->query;
	size_t need;
	w->block = block;
	for (w->part = 0; w->part < q->file_count; w->part++)
		if (range_has(w, w->parts[w->part].min, w->parts[w->part].max))
			walk_file(w, &q->files[w->part]);
	walk_octets(w, buf_str(&q->tail), true, &need);
}

/* ---- the first pass: which messages ---- */

static int newer_first(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? 1 : x > y ? -1 : 0;
}

/* Each once, the newest alone.  */
static void thin_out(struct walk *w)
{
	if (w->id_count == 0) return;
	qsort(w->ids, w->id_count, sizeof(*w->ids), newer_first);
	uint32_t kept = 1;
	for (uint32_t i = 1; i < w->id_count && kept < w->query->max; i++)
		if (w->ids[i] != w->ids[kept - 1]) w->ids[kept++] = w->ids[i];
	w->id_count = kept;
}

static void add_id(struct walk *w, uint64_t id)
{
	if (w->id_count && w->ids[w->id_count - 1] == id) return;
	if (w->id_count == w->id_room && w->id_room >= IDS_ROOM && w->id_room >= 2 * w->query->max)
		thin_out(w);
	if (w->id_count == w->id_room) {
		uint32_t room = w->id_room ? w->id_room * 2 : 64;
		uint64_t *more = realloc(w->ids, room * sizeof(*more));
		if (!more) {
			note_error(w->query, -ENOMEM);
			return;
		}
		w->ids = more;
		w->id_room = room;
	}
	w->ids[w->id_count++] = id;
}

static struct str without_brackets(struct str s)
{
	if (s.len >= 2 && s.ptr[0] == '<' && s.ptr[s.len - 1] == '>')
		return str_of(s.ptr + 1, s.len - 2);
	return s;
}

/* Whether what is sought occurs at all, whatever it means there: one look at each '@' spares
 * reading the records. Texts that repeat in a block are references, but the first is written
 * out.  */
static bool may_contain(struct str records, struct str what)
{
	size_t before = str_find(what, '@');
	if (before == what.len) return true;
	const char *end = records.ptr + records.len, *from = records.ptr;
	size_t behind = what.len - before - 1;
	char next = behind ? ascii_lower(what.ptr[before + 1]) : 0;
	for (const char *at; (at = memchr(from, '@', (size_t)(end - from))); from = at + 1) {
		if ((size_t)(at - records.ptr) < before || (size_t)(end - at - 1) < behind)
			continue;
		if (behind && ascii_lower(at[1]) != next) continue;
		if (str_ieq(str_of(at - before, what.len), what)) return true;
	}
	return false;
}

static bool address_matches(struct str address, struct str what)
{
	return what.ptr[0] == '@' ? str_iends(address, what) : str_ieq(address, what);
}

static bool record_matches(const struct history_record *r, struct str what)
{
	if (str_ieq(without_brackets(r->message_id), what)) return true;
	if (address_matches(r->sender, what) || address_matches(r->recipient, what)) return true;
	for (uint32_t i = 0; i < r->recipient_count; i++)
		if (address_matches(r->recipients[i], what)) return true;
	return false;
}

static void match_block(struct walk *w, struct history_view *v)
{
	struct range *part = &w->parts[w->part];
	struct str what = buf_str(&w->query->what);
	if (v->id_min < part->min) part->min = v->id_min;
	if (v->id_max > part->max) part->max = v->id_max;
	if (!may_contain(v->records, what)) return;
	struct history_record r;
	while (history_view_next(v, &w->texts, &r))
		if (record_matches(&r, what)) add_id(w, r.id);
}

/* ---- the second: all that is known about them ---- */

/* Index of the first id that is not over max; they descend.  */
static uint32_t find_id(const struct walk *w, uint64_t max)
{
	uint32_t low = 0, high = w->id_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (w->ids[middle] > max)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* During the first pass nothing is known yet, and everything is looked at.  */
static bool range_has(const struct walk *w, uint64_t min, uint64_t max)
{
	if (w->block == match_block) return true;
	uint32_t i = find_id(w, max);
	return i < w->id_count && w->ids[i] >= min;
}

static bool copy_record(
	struct arena *arena, const struct history_record *from, struct history_record *ret)
{
	struct history_record to = *from;
	struct str *texts[] = {&to.sender, &to.client, &to.helo, &to.account, &to.tls,
		&to.message_id, &to.recipient, &to.outcome.text, &to.outcome.host, &to.outcome.tls};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (texts[i]->len && !arena_copy(arena, *texts[i], texts[i])) return false;
	if (to.recipient_count) {
		struct str *recipients =
			arena_alloc(arena, to.recipient_count * sizeof(*recipients));
		if (!recipients) return false;
		for (uint32_t i = 0; i < to.recipient_count; i++)
			if (!arena_copy(arena, from->recipients[i], &recipients[i])) return false;
		to.recipients = recipients;
	}
	*ret = to;
	return true;
}

static bool add_hit(struct history_query *q, const struct history_record *r)
{
	if (q->hit_count == q->hit_room) {
		uint32_t room = q->hit_room ? q->hit_room * 2 : 64;
		struct history_hit *more = realloc(q->hits, room * sizeof(*more));
		if (!more) return false;
		q->hits = more;
		q->hit_room = room;
	}
	struct history_hit *hit = &q->hits[q->hit_count];
	*hit = (struct history_hit){.id = r->id, .order = q->hit_count};
	if (!copy_record(&q->arena, r, &hit->record)) return false;
	q->hit_count++;
	return true;
}

static void collect_block(struct walk *w, struct history_view *v)
{
	struct history_record r;
	if (!range_has(w, v->id_min, v->id_max)) return;
	while (history_view_next(v, &w->texts, &r))
		if (range_has(w, r.id, r.id) && !add_hit(w->query, &r))
			note_error(w->query, -ENOMEM);
}

static int hit_order(const void *a, const void *b)
{
	const struct history_hit *x = a, *y = b;
	if (x->id != y->id) return x->id < y->id ? 1 : -1;
	return x->order < y->order ? -1 : 1;
}

/* ---- both ---- */

static void run(struct walk *w)
{
	struct history_query *q = w->query;
	struct str what = buf_str(&q->what);
	uint64_t id;
	if (spool_id_parse(what, &id)) {
		for (uint32_t i = 0; i <= q->file_count; i++)
			w->parts[i] = (struct range){0, UINT64_MAX};
		add_id(w, id);
	} else {
		for (uint32_t i = 0; i <= q->file_count; i++)
			w->parts[i] = (struct range){UINT64_MAX, 0};
		walk_all(w, match_block);
		thin_out(w);
	}
	if (w->id_count) walk_all(w, collect_block);
	if (q->hit_count) qsort(q->hits, q->hit_count, sizeof(*q->hits), hit_order);
}

void history_query_run(struct history_query *q)
{
	if (q->what.len == 0 || q->max == 0) return;
	if (q->max > MESSAGES_MAX) q->max = MESSAGES_MAX;
	struct walk w = {.query = q, .parts = calloc(q->file_count + 1, sizeof(struct range))};
	if (w.parts)
		run(&w);
	else
		note_error(q, -ENOMEM);
	free(w.parts);
	free(w.ids);
	free(w.texts.list);
}

void history_query_release(struct history_query *q)
{
	buf_release(&q->what);
	buf_release(&q->tail);
	arena_release(&q->arena);
	free(q->files);
	free(q->hits);
}
