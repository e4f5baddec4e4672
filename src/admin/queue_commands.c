/* queue.list, .show, .retry, .hold, .release, .delete: the queue at the operator's hands, in slices.  */
#include "admin/commands.h"

#include "admin/message_view.h"
#include "base/code.h"

enum {
	SLICE_US = 4000, /* a slice of work between other events */
};

struct sweep {
	struct selection selection;
	enum queue_act act;
	uint64_t messages, recipients;
	json_t *missing;            /* ids that are not in the queue */
	struct spool_reader reader; /* queue.show --message */
	bool reading;
};

static void sweep_release(struct control_call *call)
{
	struct sweep *s = call->private;
	json_decref(s->missing);
	if (s->reading) spool_read_close(&s->reader);
	free(s);
}

static struct sweep *sweep_begin(struct control_call *call, bool everything)
{
	struct sweep *s = calloc(1, sizeof *s);
	if (!s) return control_fail(call, "out of memory"), NULL;
	if (!selection_read(&s->selection, call, everything)) return free(s), NULL;
	s->missing = json_array();
	call->private = s;
	call->release = sweep_release;
	return s;
}

static bool slice_over(const struct control_call *call, int64_t began_us)
{
	return io_now_us(call->admin->io) - began_us >= SLICE_US;
}

static void missing(struct sweep *s, struct str id)
{
	json_array_append_new(s->missing, control_str(str_head(id, 100)));
}

static void sweep_done(struct control_call *call)
{
	struct sweep *s = call->private;
	control_done(call,
		json_pack("{s:I, s:I, s:O}", "messages", (json_int_t)s->messages, "recipients",
			(json_int_t)s->recipients, "missing", s->missing));
}

/* ---- list ---- */

static void list_step(struct control_call *call)
{
	struct sweep *s = call->private;
	int64_t began = io_now_us(call->admin->io);
	slot message;
	struct str id;
	do {
		if (!selection_next(&s->selection, call->admin, &message, &id)) {
			sweep_done(call);
			return;
		}
		if (!message) {
			missing(s, id);
			continue;
		}
		bool skipped;
		json_t *view = message_view(call->admin, message, &s->selection, false, &skipped);
		if (skipped) continue;
		s->messages++;
		s->recipients += json_array_size(json_object_get(view, "recipients"));
		control_say(call, view);
	} while (!slice_over(call, began) && !control_is_done(call));
}

void queue_list_command(struct control_call *call)
{
	if (sweep_begin(call, true)) call->step = list_step;
}

/* ---- acts ---- */

static bool is_meant(const struct sweep *s, const struct spool_reader *reader, uint16_t index)
{
	return index < reader->envelope.recipient_count &&
		selection_has_recipient(&s->selection, &reader->envelope.recipients[index]);
}

/* Which recipients are meant is settled before the first is acted on: the last delete frees all slots.  NULL reader:
 * the message is damaged, its envelope unknown, and only asking for it by id or for all can mean it.  */
static uint32_t collect(const struct sweep *s, const struct spool_index *index, slot message,
	const struct spool_reader *reader, slot **ret_all)
{
	uint32_t count = 0, cap = 0;
	slot *all = NULL;
	for (slot at = spool_message(index, message)->recipients; at;
		at = spool_recipient(index, at)->sibling) {
		if (reader && !is_meant(s, reader, spool_recipient(index, at)->index)) continue;
		if (count == cap) {
			slot *grown = realloc(all, (cap = cap ? cap * 2 : 16) * sizeof *all);
			if (!grown) break;
			all = grown;
		}
		all[count++] = at;
	}
	*ret_all = all;
	return count;
}

static void act_on(struct control_call *call, slot message)
{
	struct sweep *s = call->private;
	struct admin *admin = call->admin;
	struct spool_reader reader;
	const struct selection *by = &s->selection;
	bool known = spool_read_open(admin->spool, message, &reader) == 0;
	bool meant = known ? selection_has_message(by, &reader.envelope)
			   : !by->by_sender && !by->by_recipient && !by->by_domain;
	slot *all = NULL;
	uint32_t count = meant
		? collect(s, spool_index(admin->spool), message, known ? &reader : NULL, &all)
		: 0;
	if (known) spool_read_close(&reader);
	uint32_t acted = 0;
	for (uint32_t i = 0; i < count; i++)
		acted += queue_act(
			admin->queue, all[i], s->act, io_now(admin->io), io_wall(admin->io));
	s->messages += acted > 0;
	s->recipients += acted;
	free(all);
}

static void act_step(struct control_call *call)
{
	struct sweep *s = call->private;
	int64_t began = io_now_us(call->admin->io);
	slot message;
	struct str id;
	do {
		if (!selection_next(&s->selection, call->admin, &message, &id)) {
			sweep_done(call);
			return;
		}
		if (message)
			act_on(call, message);
		else
			missing(s, id);
	} while (!slice_over(call, began));
}

static void begin_act(struct control_call *call, enum queue_act act)
{
	struct sweep *s = sweep_begin(call, false);
	if (!s) return;
	s->act = act;
	call->step = act_step;
}

void queue_retry_command(struct control_call *call) { begin_act(call, QUEUE_RETRY); }
void queue_hold_command(struct control_call *call) { begin_act(call, QUEUE_HOLD); }
void queue_release_command(struct control_call *call) { begin_act(call, QUEUE_RELEASE); }
void queue_delete_command(struct control_call *call) { begin_act(call, QUEUE_DELETE); }

/* ---- show ---- */

/* One piece of the content a step, as base64: it need not be UTF-8.  */
static void body_step(struct control_call *call)
{
	struct sweep *s = call->private;
	struct str octets;
	int error = spool_read(&s->reader, &octets);
	if (error) {
		control_fail(call, "the message cannot be read: %s", strerror(-error));
		return;
	}
	if (!octets.len) {
		control_done(call, NULL);
		return;
	}
	struct buf text;
	buf_init(&text, octets.len * 4 / 3 + 8);
	base64_add(&text, octets);
	control_say(call, json_pack("{s:s%}", "base64", text.ptr, text.len));
	buf_release(&text);
}

void queue_show_command(struct control_call *call)
{
	struct sweep *s = sweep_begin(call, false);
	slot message = 0;
	struct str id = STR_NONE;
	if (!s) return;
	if (!selection_next(&s->selection, call->admin, &message, &id) || !message) {
		control_fail(call, "message " STR_FMT " is not in the queue",
			STR_ARG(str_head(id, 100)));
		return;
	}
	bool skipped;
	control_say(call, message_view(call->admin, message, NULL, true, &skipped));
	if (!control_flag(call, "message")) {
		control_done(call, NULL);
		return;
	}
	int error = spool_read_open(call->admin->spool, message, &s->reader);
	s->reading = !error;
	if (error)
		control_fail(call, "the message cannot be read: %s", strerror(-error));
	else
		call->step = body_step;
}
