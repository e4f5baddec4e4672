/* Reading a message: the accept record whole, with envelope and the rest of the body; chunks one
 * by one, each checked.  */
#include "spool/internal.h"

#include "spool/view.h"

#include <errno.h>

enum { ARENA_MAX = 32 << 20, CHUNK_ROOM = SPOOL_CHUNK + sizeof(struct disk_record) + RECORD_ALIGN };

static void pin(struct spool *s, uint32_t number, bool in)
{
	struct segment *g = spool_segment(s, number);
	if (!g) return;
	ASSERT(in || g->pins > 0);
	g->pins += in ? 1u : -1u;
}

static void pin_all(struct spool_reader *r, bool in)
{
	pin(r->spool, r->pinned, in);
	struct str rest = r->chunks;
	for (struct disk_chunk c; take_octets(&rest, &c, sizeof(c));)
		pin(r->spool, c.place.number, in);
}

int segment_read(struct spool *s, const struct segment *g, uint32_t offset, size_t room,
	struct buf *to, enum record_type type, uint64_t id, struct disk_record *ret,
	struct str *ret_payload)
{
	size_t size, before = to->len;
	char *at = buf_reserve(to, room);
	if (!at) return -ENOMEM;
	int64_t n = io_file_read(s->io, &g->file, at, room, (uint64_t)offset * RECORD_ALIGN);
	if (n < 0) return (int)n;
	if (!record_read(str_of(at, (size_t)n), g->salt, ret, ret_payload, &size)) return -EBADMSG;
	if (ret->type != type || ret->id != id || ret->version != RECORD_VERSION) return -EBADMSG;
	to->len = before + sizeof(*ret) + ret->length;
	return 0;
}

/* Told once.  */
static int damaged(struct spool *s, struct spool_message *m, const char *what)
{
	if (!(m->flags & SPOOL_MESSAGE_DAMAGED)) {
		char text[SPOOL_ID_LEN + 1];
		log_begin(s->log, LOG_ERROR, spool_id_text(m->id, text), "spool-message-damaged");
		log_i64(s->log, "segment", m->segment);
		log_i64(s->log, "offset", (int64_t)message_offset(s, m) * RECORD_ALIGN);
		log_str(s->log, "what", str_from_c(what));
		log_end(s->log);
	}
	m->flags |= SPOOL_MESSAGE_DAMAGED;
	return -EBADMSG;
}

/* The index knows a recipient by its place in the envelope.  */
static bool envelope_holds(const struct spool_reader *r, const struct spool_message *m)
{
	const struct spool_index *x = &r->spool->index;
	for (slot t = m->recipients; t; t = spool_recipient(x, t)->sibling)
		if (spool_recipient(x, t)->index >= r->envelope.recipient_count) return false;
	return r->envelope.recipient_count > 0;
}

static int open_record(struct spool_reader *r, struct spool_message *m)
{
	struct spool *s = r->spool;
	struct segment *g = spool_segment(s, m->segment);
	struct disk_record head;
	struct str payload;
	struct accept_view view;
	if (!g) return -EBADMSG;
	int error = segment_read(s, g, message_offset(s, m), size_of_class(m->size_class),
		&r->record, RECORD_ACCEPT, m->id, &head, &payload);
	if (error) return error;
	if (!accept_view(payload, &view)) return -EBADMSG;
	if (!envelope_decode(&view.envelope, &r->arena, &r->envelope)) return -EBADMSG;
	if (!envelope_holds(r, m)) return -EBADMSG;
	if (view.chunks.len && !arena_copy(&r->arena, view.chunks, &r->chunks)) return -ENOMEM;
	r->size = view.head.size;
	r->inline_body = view.body;
	r->pinned = m->segment;
	r->id = m->id;
	return 0;
}

/* The parts must be there, and be as much as was said: who sends the message promises its size.  */
static int check_chunks(const struct spool_reader *r)
{
	struct str rest = r->chunks;
	uint64_t octets = r->inline_body.len;
	for (struct disk_chunk c; take_octets(&rest, &c, sizeof(c));) {
		const struct segment *g = spool_segment(r->spool, c.place.number);
		if (!g || g->state == SEGMENT_FREE || g->generation != c.place.generation)
			return -EBADMSG;
		if (c.length > SPOOL_CHUNK) return -EBADMSG;
		octets += c.length;
	}
	return octets == r->size ? 0 : -EBADMSG;
}

int spool_read_open(struct spool *s, slot message, struct spool_reader *r)
{
	struct spool_message *m = spool_message(&s->index, message);
	ASSERT(m->id != 0);
	*r = (struct spool_reader){.spool = s};
	arena_init(&r->arena, ARENA_MAX);
	buf_init(&r->record, SPOOL_RECORD_MAX + SPOOL_RECORD_MAX / 4 + CHUNK_ROOM);
	int error = open_record(r, m);
	if (!error) error = check_chunks(r);
	if (!error) {
		pin_all(r, true);
		return 0;
	}
	buf_release(&r->record);
	arena_release(&r->arena);
	r->spool = NULL;
	return error == -EBADMSG ? damaged(s, m, "the accept record or a part is spoilt") : error;
}

/* The chunk lies behind the accept record in the same buffer, whose rest may move.  */
static int read_chunk(struct spool_reader *r, struct str *ret)
{
	struct disk_chunk c;
	struct disk_record head;
	memcpy(&c, r->chunks.ptr + (size_t)r->chunk * sizeof(c), sizeof(c));
	size_t body = (size_t)(r->inline_body.ptr - r->record.ptr),
	       keep = body + r->inline_body.len;
	r->record.len = keep;
	const struct segment *g = spool_segment(r->spool, c.place.number);
	if (!g || g->generation != c.place.generation) return -EBADMSG;
	int error = segment_read(r->spool, g, c.place.offset, sizeof(head) + c.length, &r->record,
		RECORD_CHUNK, r->id, &head, ret);
	r->inline_body.ptr = r->record.ptr + body;
	r->record.len = keep;
	if (error) return error;
	return head.length == c.length && head.part == (uint16_t)c.part ? 0 : -EBADMSG;
}

int spool_read(struct spool_reader *r, struct str *ret_octets)
{
	uint32_t chunks = (uint32_t)(r->chunks.len / sizeof(struct disk_chunk));
	*ret_octets = STR_NONE;
	if (r->chunk < chunks) {
		int error = read_chunk(r, ret_octets);
		if (error == -EBADMSG) {
			slot message = spool_find(&r->spool->index, r->id);
			if (message)
				return damaged(r->spool, spool_message(&r->spool->index, message),
					"a part is spoilt");
		}
		if (error) return error;
		r->chunk++;
	} else {
		*ret_octets = str_head(str_skip(r->inline_body, r->chunk_offset), SPOOL_CHUNK);
		r->chunk_offset += (uint32_t)ret_octets->len;
	}
	r->position += ret_octets->len;
	return 0;
}

void spool_read_rewind(struct spool_reader *r)
{
	r->position = 0;
	r->chunk = r->chunk_offset = 0;
}

void spool_read_close(struct spool_reader *r)
{
	if (!r->spool) return;
	pin_all(r, false);
	buf_release(&r->record);
	arena_release(&r->arena);
	r->spool = NULL;
}
