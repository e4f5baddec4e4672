#include "spool/notes.h"

#include "base/code.h"

#include <errno.h>

enum {
	NOTES_HALF = 256 << 10,
	MARKS_MAX = 4096, /* past it nothing is said of what was sent and not answered */
	SETTLE_TRIES = 3,
};

enum note_kind {
	NOTE_BEGIN = 1, /* first in a half; id: its epoch */
	NOTE_ENDED,
	NOTE_SENT, /* its end is on the way to a next hop */
	NOTE_ANSWERED,
	NOTE_LIFE, /* another life goes on in this half; id: random */
};

struct disk_note {
	uint32_t
		crc; /* of what follows, seeded with the crc of the note before; the first with 0 */
	uint16_t index;
	uint8_t kind;
	uint8_t reserved;
	uint64_t id;
};
_Static_assert(sizeof(struct disk_note) == 16, "on disk");

struct mark { /* SENT, and not answered yet */
	uint64_t id;
	uint32_t index;
};

struct notes {
	struct io_file file; /* closed after a failure: then nothing is noted */
	struct buf pending;
	uint32_t half;
	uint64_t epoch;
	uint32_t chain;    /* crc of the last note */
	uint64_t at;       /* in the half: what is before it is written */
	uint64_t until[2]; /* needed until so many of the states recorded are synced */
	struct mark marks[MARKS_MAX];
	uint32_t mark_count;
	bool applying;
};

/* ---- marks ---- */

/* What was sent last is answered soonest.  */
static bool unmark(struct notes *n, uint64_t id, uint32_t index)
{
	for (uint32_t i = n->mark_count; i-- > 0;) {
		if (n->marks[i].id != id || n->marks[i].index != index) continue;
		n->marks[i] = n->marks[--n->mark_count];
		return true;
	}
	return false;
}

static bool mark(struct notes *n, uint64_t id, uint32_t index)
{
	if (n->mark_count == MARKS_MAX) return false;
	n->marks[n->mark_count++] = (struct mark){id, index};
	return true;
}

/* ---- writing ---- */

/* Notes are a chain, into which each life and each use of a half puts something random: what lies behind a place
 * that a loss of power has torn never becomes a part of it again.  */
static uint32_t crc_of(const struct disk_note *note, uint32_t chain)
{
	enum { FROM = offsetof(struct disk_note, index) };
	return crc32c(chain, str_of((const char *)note + FROM, sizeof(*note) - FROM));
}

static void put(struct notes *n, enum note_kind kind, uint64_t id, uint32_t index)
{
	struct disk_note note = {.index = (uint16_t)index, .kind = (uint8_t)kind, .id = id};
	n->chain = note.crc = crc_of(&note, n->chain);
	buf_add(&n->pending, str_of(&note, sizeof(note)));
}

static void put_life(struct spool *s)
{
	uint64_t id;
	io_random(s->io, &id, sizeof(id));
	put(s->notes, NOTE_LIFE, id, 0);
}

static void begin_half(struct spool *s)
{
	struct notes *n = s->notes;
	n->at = 0;
	n->chain = 0;
	put(n, NOTE_BEGIN, ++n->epoch, 0);
	put_life(s);
}

/* On to the other half, if that is free; what is open goes with us.  */
static bool turn(struct spool *s)
{
	struct notes *n = s->notes;
	s->hurry = true; /* the sooner it is */
	if (s->settled < n->until[!n->half]) return false;
	notes_flush(s);
	n->half = !n->half;
	begin_half(s);
	for (uint32_t i = 0; i < n->mark_count; i++)
		put(n, NOTE_SENT, n->marks[i].id, n->marks[i].index);
	return true;
}

static void note(struct spool *s, enum note_kind kind, uint64_t id, uint32_t index)
{
	struct notes *n = s->notes;
	if (n->file.fd < 0 || n->applying) return;
	if (n->at + n->pending.len + sizeof(struct disk_note) > NOTES_HALF && !turn(s)) return;
	put(n, kind, id, index);
	n->until[n->half] = s->recorded;
}

void notes_ended(struct spool *s, uint64_t id, uint32_t index)
{
	unmark(s->notes, id, index);
	note(s, NOTE_ENDED, id, index);
}

void notes_answered(struct spool *s, uint64_t id, uint32_t index)
{
	if (unmark(s->notes, id, index)) note(s, NOTE_ANSWERED, id, index);
}

void spool_sent(struct spool *s, slot recipient)
{
	const struct spool_recipient *r = spool_recipient(&s->index, recipient);
	uint64_t id = spool_message(&s->index, r->message)->id;
	if (mark(s->notes, id, r->index)) note(s, NOTE_SENT, id, r->index);
}

void notes_flush(struct spool *s)
{
	struct notes *n = s->notes;
	if (n->pending.len == 0 || n->file.fd < 0) return;
	struct iovec iov = {n->pending.ptr, n->pending.len};
	int error = buf_ok(&n->pending)
		? io_file_write(s->io, &n->file, &iov, 1, (uint64_t)n->half * NOTES_HALF + n->at)
		: -ENOMEM;
	n->at += n->pending.len;
	buf_clear(&n->pending);
	if (!error) return;
	spool_told(s, "spool-notes-failed", 0, 0, strerrordesc_np(-error));
	io_file_close(s->io, &n->file);
}

/* ---- reading ---- */

struct half {
	uint64_t epoch; /* 0: nothing in it */
	struct str notes;
	uint32_t chain;
};

static bool take_note(struct str *rest, uint32_t *chain, struct disk_note *ret)
{
	if (!take_octets(rest, ret, sizeof(*ret)) || ret->crc != crc_of(ret, *chain)) return false;
	*chain = ret->crc;
	return true;
}

static struct half read_half(struct str octets)
{
	struct half h = {0};
	struct disk_note note;
	struct str rest = octets;
	if (!take_note(&rest, &h.chain, &note) || note.kind != NOTE_BEGIN) return h;
	h.epoch = note.id;
	do {
		h.notes = str_head(octets, (size_t)(rest.ptr - octets.ptr));
	} while (take_note(&rest, &h.chain, &note));
	return h;
}

static slot find_open(const struct spool *s, uint64_t id, uint32_t index)
{
	slot message = spool_find(&s->index, id);
	slot t = message ? spool_message(&s->index, message)->recipients : 0;
	while (t && spool_recipient(&s->index, t)->index != index)
		t = spool_recipient(&s->index, t)->sibling;
	return t && spool_recipient(&s->index, t)->state != RECIPIENT_DONE ? t : 0;
}

/* A note may be older than what the log says; that somebody has ended is true for ever.  */
static void apply(struct spool *s, const struct disk_note *note)
{
	static const struct outcome ended = {.class = OUTCOME_DELIVERED};
	struct notes *n = s->notes;
	unmark(n, note->id, note->index);
	slot recipient = find_open(s, note->id, note->index);
	if (!recipient) return;
	if (note->kind == NOTE_SENT) mark(n, note->id, note->index);
	if (note->kind == NOTE_ENDED) spool_outcome(s, recipient, &ended, 0);
}

static void apply_half(struct spool *s, const struct half *h)
{
	struct str rest = h->notes;
	struct disk_note note;
	(void)take_octets(&rest, &note, sizeof(note)); /* the begin */
	while (h->epoch && take_octets(&rest, &note, sizeof(note))) apply(s, &note);
}

static void read_notes(struct spool *s, struct str octets)
{
	struct notes *n = s->notes;
	struct half halves[2] = {read_half(str_head(octets, NOTES_HALF)),
		read_half(str_skip(octets, octets.len < NOTES_HALF ? octets.len : NOTES_HALF))};
	n->half = halves[1].epoch > halves[0].epoch;
	n->applying = true;
	apply_half(s, &halves[!n->half]);
	apply_half(s, &halves[n->half]);
	n->applying = false;
	n->until[0] = n->until[1] = s->recorded; /* what was applied is to be in the log first */
	n->epoch = halves[n->half].epoch;
	n->at = halves[n->half].notes.len;
	n->chain = halves[n->half].chain;
	if (n->epoch == 0)
		begin_half(s);
	else if (n->at + sizeof(struct disk_note) <= NOTES_HALF)
		put_life(s);
}

/* Applied, it is shown to others: so it must be on the disk, like all that recovery finds.  */
static int settle(struct spool *s, const struct io_file *file)
{
	int error = 0;
	for (int tries = 0; tries < SETTLE_TRIES; tries++)
		if ((error = io_file_settle(s->io, file)) == 0) break;
	return error;
}

static int load(struct spool *s)
{
	struct notes *n = s->notes;
	char path[SPOOL_PATH_MAX];
	snprintf(path, sizeof(path), "%s/notes", s->path);
	int error = io_file_open(s->io, path, IO_OPEN_WRITE | IO_OPEN_CREATE, &n->file);
	if (!error) error = settle(s, &n->file);
	if (error) return error;
	char *octets = malloc(2 * NOTES_HALF);
	if (!octets) return -ENOMEM;
	int64_t got = io_file_read(s->io, &n->file, octets, 2 * NOTES_HALF, 0);
	if (got >= 0) read_notes(s, str_of(octets, (size_t)got));
	free(octets);
	return got < 0 ? (int)got : 0;
}

int notes_open(struct spool *s)
{
	s->notes = calloc(1, sizeof(*s->notes));
	if (!s->notes) return -ENOMEM;
	s->notes->file.fd = -1;
	buf_init(&s->notes->pending, 2 * NOTES_HALF);
	return load(s);
}

void notes_close(struct spool *s)
{
	if (!s->notes) return;
	io_file_close(s->io, &s->notes->file);
	buf_release(&s->notes->pending);
	free(s->notes);
	s->notes = NULL;
}

void spool_each_doubtful(
	struct spool *s, void (*visit)(void *context, slot recipient), void *context)
{
	const struct notes *n = s->notes;
	for (uint32_t i = 0; i < n->mark_count; i++) {
		slot recipient = find_open(s, n->marks[i].id, n->marks[i].index);
		if (recipient) visit(context, recipient);
	}
}

void notes_check(const struct spool *s)
{
	const struct notes *n = s->notes;
	ASSERT(n->at + n->pending.len <= NOTES_HALF || n->file.fd < 0);
	ASSERT(n->until[0] <= s->recorded && n->until[1] <= s->recorded);
	ASSERT(s->recorded - s->settled ==
		waiting_count(&s->states) + waiting_count(&s->batch.states));
}
