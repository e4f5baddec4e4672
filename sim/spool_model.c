#include "sim/spool_model.h"

#include "sim/sim_disk.h"
#include "spool/record.h"

#include <errno.h>

/* ---- messages from their numbers ---- */

static uint64_t word_of(uint64_t number, uint64_t nth)
{
	uint64_t z = number * 0x9e3779b97f4a7c15 + nth * 0xbf58476d1ce4e5b9 + 1;
	z = (z ^ z >> 30) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

void model_content(uint64_t number, uint64_t offset, char *to, size_t len)
{
	for (size_t i = 0; i < len; i++, offset++) {
		uint64_t word = word_of(number, offset / 8);
		to[i] = (char)(word >> offset % 8 * 8);
	}
}

static struct str text(struct arena *arena, const char *format, unsigned long long a, unsigned b)
{
	char line[100];
	struct str copy = STR_NONE;
	int len = snprintf(line, sizeof line, format, a, b);
	bool copied = arena_copy(arena, str_of(line, (size_t)len), &copy);
	ASSERT(copied);
	return copy;
}

void model_envelope(uint64_t number, uint32_t recipients, struct arena *arena, struct envelope *ret)
{
	*ret = (struct envelope){.reverse_path = text(arena, "sender%llu@d%u.example", number,
					 (unsigned)(number % 7)),
		.helo = STR("client.example"),
		.flags = number % 2 ? ENVELOPE_8BIT : 0,
		.recipient_count = recipients};
	ret->client = (struct net_address){.family = NET_IPV4, .port = 4, .octets = {192, 0, 2, 1}};
	ret->recipients = arena_alloc(arena, recipients * sizeof *ret->recipients);
	ASSERT(ret->recipients);
	for (uint32_t i = 0; i < recipients; i++)
		ret->recipients[i].address = text(arena, "r%llu.%u@Next.example", number, i);
}

/* ---- the model ---- */

void model_init(struct spool_model *m, struct world *world)
{
	*m = (struct spool_model){.world = world};
	list_init(&m->messages);
}

static void forget(struct model_message *message)
{
	for (uint32_t i = 0; message->recipients && i < message->recipient_count; i++)
		free(message->recipients[i].states);
	list_remove(&message->link);
	free(message->recipients);
	free(message);
}

void model_release(struct spool_model *m)
{
	while (!list_empty(&m->messages))
		forget(CONTAINER_OF(m->messages.next, struct model_message, link));
}

struct model_message *model_message(struct spool_model *m, uint64_t number, uint64_t size)
{
	struct model_message *message = calloc(1, sizeof *message);
	ASSERT(message);
	*message = (struct model_message){.number = number, .size = size};
	list_push_back(&m->messages, &message->link);
	return message;
}

struct model_message *model_find(struct spool_model *m, uint64_t id)
{
	struct model_message *found = NULL;
	LIST_EACH (&m->messages, node) {
		struct model_message *message = CONTAINER_OF(node, struct model_message, link);
		if (message->id != id) continue;
		/* Others may have had it before, of whom nothing is left; the later is the likelier.  */
		if (!found || message->fate == MODEL_KEPT || found->fate != MODEL_KEPT)
			found = message;
	}
	return found;
}

static void add_state(struct model_recipient *r, struct model_state s)
{
	if (r->count == r->room) {
		r->states = reallocarray(r->states, r->room = r->room * 2 + 2, sizeof *r->states);
		ASSERT(r->states);
	}
	r->states[r->count++] = s;
}

void model_record(struct spool_model *m, struct model_message *message, uint32_t recipient,
	struct model_state s)
{
	s.seq = ++m->seq;
	world_note(m->world, "recorded", message->number * 100 + recipient, s.state);
	add_state(&message->recipients[recipient], s);
}

void model_decided(
	struct spool_model *m, struct model_message *message, enum model_fate fate, msec now)
{
	ASSERT(message->fate == MODEL_WRITING);
	message->fate = fate;
	if (fate == MODEL_REFUSED) return;
	if (fate == MODEL_KEPT) m->acknowledged++;
	message->recipients = calloc(message->recipient_count, sizeof *message->recipients);
	ASSERT(message->recipients);
	struct model_state first = {.at = now,
		.due = (uint32_t)(spool_created(message->id) / 1000),
		.state = RECIPIENT_DUE};
	for (uint32_t i = 0; i < message->recipient_count; i++)
		add_state(&message->recipients[i], first);
}

/* Drop what is certainly superseded.  */
static void prune(struct spool_model *m, struct model_recipient *r, msec now)
{
	uint32_t from = 0;
	for (uint32_t i = 1; i < r->count; i++)
		if (r->states[i].seq <= m->certain ||
			(m->bound && r->states[i].at < now - m->bound))
			from = i;
	memmove(r->states, r->states + from, (r->count - from) * sizeof *r->states);
	r->count -= from;
}

void model_certain(struct spool_model *m, uint64_t seq)
{
	if (seq > m->certain) m->certain = seq;
	world_note(m->world, "certain", seq, m->seq);
}

void model_killed(struct spool_model *m)
{
	LIST_EACH (&m->messages, node) {
		struct model_message *message = CONTAINER_OF(node, struct model_message, link);
		if (message->fate != MODEL_KEPT) continue;
		for (uint32_t i = 0; i < message->recipient_count; i++) {
			struct model_state *now = model_now(&message->recipients[i]);
			if (now->state == RECIPIENT_DONE) now->seq = 0;
		}
	}
}

void model_voided(struct spool_model *m)
{
	LIST_EACH (&m->messages, node) {
		struct model_message *message = CONTAINER_OF(node, struct model_message, link);
		if (message->fate == MODEL_LATELY) message->fate = MODEL_REFUSED;
	}
}

/* ---- recovery ---- */

static const char *name_of(uint8_t state)
{
	static const char *const names[] = {"free", "due", "active", "held", "done"};
	return state < ARRAY_LEN(names) ? names[state] : "?";
}

static bool same(const struct model_state *a, const struct spool_recipient *r)
{
	if (a->state != r->state) return false;
	if (a->state == RECIPIENT_DONE) return true;
	return a->attempts == r->attempts && a->due == r->due;
}

/* What is left of a damaged message is what counts from now on.  */
static void take_over(struct model_recipient *mine, const struct spool_recipient *r)
{
	mine->count = 0;
	add_state(mine,
		(struct model_state){.due = r->due, .attempts = r->attempts, .state = r->state});
}

static void check_recipient(struct spool_model *m, struct model_message *message, uint32_t i,
	const struct spool_recipient *r)
{
	struct model_recipient *mine = &message->recipients[i];
	for (uint32_t k = mine->count; k-- > 0;) {
		if (!same(&mine->states[k], r)) continue;
		struct model_state found = mine->states[k];
		mine->count = 0;
		add_state(mine, found);
		return;
	}
	if (message->excused) return take_over(mine, r);
	const struct model_state *last = model_now(mine);
	sim_violation(m->world,
		"message %llu recipient %u came back %s, attempts %u, due %u: it was %s, attempts %u, due %u (%u states in doubt)",
		(unsigned long long)message->number, i, name_of(r->state), r->attempts, r->due,
		name_of(last->state), last->attempts, last->due, mine->count);
}

static void check_found(struct spool_model *m, struct spool *s, slot at)
{
	const struct spool_message *found = spool_message(spool_index(s), at);
	struct model_message *message = model_find(m, found->id);
	if (!message)
		sim_violation(m->world,
			"recovery found a message with an id that was never given: %llx",
			(unsigned long long)found->id);
	if (message->fate == MODEL_REFUSED || message->fate == MODEL_WRITING ||
		(message->fate == MODEL_LOST && !message->excused))
		sim_violation(m->world, "message %llu was refused or given up, and came back",
			(unsigned long long)message->number);
	if (message->fate == MODEL_GONE && !message->excused)
		sim_violation(m->world, "message %llu had ended, on disk, and came back",
			(unsigned long long)message->number);
	message->fate = MODEL_KEPT;
	uint32_t i = 0;
	for (slot r = found->recipients; r; i++) {
		const struct spool_recipient *recipient = spool_recipient(spool_index(s), r);
		if (i >= message->recipient_count)
			sim_violation(m->world, "message %llu has too many recipients",
				(unsigned long long)message->number);
		check_recipient(m, message, i, recipient);
		r = recipient->sibling;
	}
	if (i != message->recipient_count)
		sim_violation(m->world, "message %llu has lost recipients",
			(unsigned long long)message->number);
	model_read(m, s, message);
}

static bool may_be_gone(const struct model_message *message)
{
	if (message->fate == MODEL_DOUBT) return true;
	for (uint32_t i = 0; i < message->recipient_count; i++) {
		const struct model_recipient *r = &message->recipients[i];
		if (r->states[r->count - 1].state != RECIPIENT_DONE) return false;
	}
	return true;
}

static void check_missing(struct spool_model *m, struct spool *s, struct model_message *message)
{
	if (message->fate == MODEL_REFUSED || message->fate == MODEL_GONE ||
		message->fate == MODEL_LOST)
		return;
	if (message->fate != MODEL_WRITING && spool_find(spool_index(s), message->id)) return;
	if (message->excused && message->fate == MODEL_KEPT && !may_be_gone(message)) m->lost++;
	if (message->fate == MODEL_WRITING || may_be_gone(message) || message->excused) {
		message->fate = message->fate == MODEL_DOUBT ? MODEL_LOST : MODEL_GONE;
		return;
	}
	sim_violation(m->world, "message %llu (id %llx) was acknowledged and is gone",
		(unsigned long long)message->number, (unsigned long long)message->id);
}

void model_recovered(struct spool_model *m, struct spool *s, msec now)
{
	m->lost = 0;
	LIST_EACH (&m->messages, node) {
		struct model_message *message = CONTAINER_OF(node, struct model_message, link);
		if (message->fate == MODEL_LATELY) message->fate = MODEL_DOUBT;
		if (message->fate != MODEL_KEPT && message->fate != MODEL_DOUBT) continue;
		bool ended = true;
		for (uint32_t i = 0; i < message->recipient_count; i++) {
			prune(m, &message->recipients[i], now);
			if (message->recipients[i].states[0].state != RECIPIENT_DONE) ended = false;
		}
		if (ended) message->fate = MODEL_GONE;
	}
	const struct spool_index *x = spool_index(s);
	for (slot at = 1; at < spool_message_end(x); at++)
		if (spool_message(x, at)->id != 0) check_found(m, s, at);
	LIST_EACH_SAFE (&m->messages, node)
		check_missing(m, s, CONTAINER_OF(node, struct model_message, link));
	m->certain = m->seq;
}

struct doubtful {
	struct spool_model *model;
	struct spool *spool;
};

static void note_doubtful(void *context, slot at)
{
	const struct doubtful *d = context;
	const struct spool_recipient *r = spool_recipient(spool_index(d->spool), at);
	uint64_t id = spool_message(spool_index(d->spool), r->message)->id;
	struct model_message *message = model_find(d->model, id);
	ASSERT(message && r->index < message->recipient_count);
	message->recipients[r->index].seen = true;
}

void model_doubtful(struct spool_model *m, struct spool *s, bool killed)
{
	struct doubtful d = {m, s};
	spool_each_doubtful(s, note_doubtful, &d);
	LIST_EACH (&m->messages, node) {
		struct model_message *message = CONTAINER_OF(node, struct model_message, link);
		for (uint32_t i = 0; message->fate == MODEL_KEPT && i < message->recipient_count;
			i++) {
			struct model_recipient *r = &message->recipients[i];
			if (killed && r->sent != r->seen && model_now(r)->state != RECIPIENT_DONE)
				sim_violation(m->world,
					"message %llu recipient %u: %s, and after a kill it is %s",
					(unsigned long long)message->number, i,
					r->sent ? "sent, not answered" : "nothing was sent",
					r->seen ? "in doubt" : "forgotten");
			r->sent = r->seen;
			r->seen = false;
		}
	}
}

/* ---- bit rot ---- */

/* Whatever looks like the header of a record and would lie over the sector; records begin at multiples of 8.  */
void model_rotten(struct spool_model *m, struct str content, uint64_t offset)
{
	struct disk_record head;
	for (uint64_t at = 0; at + sizeof head <= content.len && at < offset + SECTOR;
		at += RECORD_ALIGN) {
		memcpy(&head, content.ptr + at, sizeof head);
		if (head.type == 0 || head.type >= RECORD_TYPES || head.version != RECORD_VERSION)
			continue;
		if (at + sizeof head + head.length <= offset) continue;
		struct model_message *message = head.id ? model_find(m, head.id) : NULL;
		if (!message || message->excused) continue;
		message->excused = true;
		world_note(m->world, "excused", message->number, offset);
	}
}

/* ---- while it is open ---- */

static bool is_open(struct model_message *message)
{
	if (message->fate != MODEL_KEPT) return false;
	for (uint32_t i = 0; i < message->recipient_count; i++)
		if (model_now(&message->recipients[i])->state != RECIPIENT_DONE) return true;
	return false;
}

void model_compare(struct spool_model *m, struct spool *s)
{
	const struct spool_index *x = spool_index(s);
	uint32_t open = 0;
	LIST_EACH (&m->messages, node) {
		struct model_message *message = CONTAINER_OF(node, struct model_message, link);
		bool wanted = is_open(message);
		if (wanted) open++;
		if (message->fate == MODEL_KEPT && wanted != (spool_find(x, message->id) != 0))
			sim_violation(m->world, "message %llu is %s the index",
				(unsigned long long)message->number,
				wanted ? "not in" : "still in");
	}
	if (open != spool_message_count(x))
		sim_violation(m->world, "the index has %u messages, not %u", spool_message_count(x),
			open);
}

static void check_envelope(
	struct spool_model *m, const struct model_message *message, const struct envelope *e)
{
	struct arena arena;
	struct envelope wanted;
	arena_init(&arena, 16 << 20);
	model_envelope(message->number, message->recipient_count, &arena, &wanted);
	bool good = str_eq(e->reverse_path, wanted.reverse_path) &&
		e->recipient_count == wanted.recipient_count && e->flags == wanted.flags &&
		str_eq(e->helo, wanted.helo);
	for (uint32_t i = 0; good && i < wanted.recipient_count; i++)
		good = str_eq(e->recipients[i].address, wanted.recipients[i].address);
	if (!good)
		sim_violation(m->world, "message %llu has another envelope",
			(unsigned long long)message->number);
	arena_release(&arena);
}

void model_read(struct spool_model *m, struct spool *s, struct model_message *message)
{
	struct spool_reader r;
	int error = spool_read_open(s, spool_find(spool_index(s), message->id), &r);
	if (error == -EIO || (error && message->excused)) return;
	if (error)
		sim_violation(m->world, "message %llu cannot be read: %s",
			(unsigned long long)message->number, strerror(-error));
	check_envelope(m, message, &r.envelope);
	if (r.size != message->size)
		sim_violation(m->world, "message %llu has %llu octets, not %llu",
			(unsigned long long)message->number, (unsigned long long)r.size,
			(unsigned long long)message->size);
	static char wanted[64 << 10];
	uint64_t at = 0;
	for (;;) {
		struct str octets;
		error = spool_read(&r, &octets);
		if (error == -EIO || (error && message->excused)) break;
		if (error)
			sim_violation(m->world, "message %llu cannot be read at %llu: %s",
				(unsigned long long)message->number, (unsigned long long)at,
				strerror(-error));
		if (octets.len == 0) break;
		ASSERT(octets.len <= sizeof wanted);
		model_content(message->number, at, wanted, octets.len);
		if (memcmp(wanted, octets.ptr, octets.len) != 0)
			sim_violation(m->world, "message %llu is garbled at %llu",
				(unsigned long long)message->number, (unsigned long long)at);
		at += octets.len;
	}
	if (!error && at != message->size)
		sim_violation(m->world, "message %llu ends at %llu",
			(unsigned long long)message->number, (unsigned long long)at);
	spool_read_close(&r);
	m->checked++;
}
