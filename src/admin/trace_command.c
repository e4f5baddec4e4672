/* trace: the lives of messages, from the history, and how those stand that are still in the queue.  */
#include "admin/commands.h"
#include "admin/message_view.h"

enum { MESSAGES_MAX = 100, SLICE_US = 4000 };

struct trace {
	struct control_call *call;
	struct history_search search;
	struct selection sender, recipient; /* without a history: a sweep over the queue */
	uint64_t ids[MESSAGES_MAX];         /* that the history told of */
	size_t id_count, at;
	size_t told;
};

/* ---- records as JSON ---- */

static const char *const event_names[] = {
	[HISTORY_ACCEPTED] = "accepted",
	[HISTORY_ATTEMPT] = "attempt",
	[HISTORY_HELD] = "held",
	[HISTORY_RELEASED] = "released",
	[HISTORY_RETRIED] = "retried",
	[HISTORY_DELETED] = "deleted",
	[HISTORY_BOUNCED] = "bounced",
	[HISTORY_DELAY_TOLD] = "delay-told",
	[HISTORY_DONE] = "done",
	[HISTORY_ALIAS] = "alias",
	[HISTORY_REPORTED] = "reported",
};

static void add_text(json_t *o, const char *key, struct str s)
{
	if (s.len) json_object_set_new(o, key, control_str(s));
}

static void add_recipients(json_t *o, const struct history_record *r)
{
	json_t *recipients = json_array();
	for (uint32_t i = 0; i < r->recipient_count; i++)
		json_array_append_new(recipients, control_str(r->recipients[i]));
	json_object_set_new(o, "recipients", recipients);
}

static void add_accepted(json_t *o, const struct history_record *r)
{
	json_object_set_new(o, "sender", control_str(r->sender));
	add_recipients(o, r);
	json_object_set_new(o, "size", json_integer((json_int_t)r->size));
	add_text(o, "message_id", r->message_id);
	add_text(o, "client", r->client);
	add_text(o, "helo", r->helo);
	add_text(o, "account", r->account);
	add_text(o, "tls", r->tls);
}

static void add_outcome(json_t *o, const struct history_record *r)
{
	char text[16];
	struct buf status = {.ptr = text, .cap = sizeof text, .max = sizeof text};
	json_object_set_new(o, "outcome", json_string(outcome_name(r->outcome.class)));
	if (r->outcome.code) json_object_set_new(o, "code", json_integer(r->outcome.code));
	if (r->outcome.enhanced.class) enhanced_add(&status, r->outcome.enhanced);
	add_text(o, "status", buf_str(&status));
	add_text(o, "text", r->outcome.text);
	add_text(o, "host", r->outcome.host);
	add_text(o, "tls", r->outcome.tls);
	if (r->outcome.doubtful) json_object_set_new(o, "doubtful", json_true());
	json_object_set_new(o, "elapsed_ms", json_integer(r->elapsed));
	if (r->due) json_object_set_new(o, "next_attempt", control_time(r->due));
}

static json_t *record_view(const struct history_record *r)
{
	char text[SPOOL_ID_LEN + 1];
	const char *event =
		(size_t)r->event < ARRAY_LEN(event_names) ? event_names[r->event] : NULL;
	json_t *o = json_pack("{s:o, s:s, s:o}", "id", control_str(spool_id_text(r->id, text)),
		"event", event ? event : "unknown", "time", control_time(r->wall));
	if (!o) return NULL;
	if (r->event == HISTORY_ACCEPTED) add_accepted(o, r);
	add_text(o, "recipient", r->recipient);
	if (r->event == HISTORY_ALIAS) add_recipients(o, r);
	if (r->event == HISTORY_ATTEMPT) add_outcome(o, r);
	if (r->other_id)
		json_object_set_new(o, "other_id", control_str(spool_id_text(r->other_id, text)));
	return o;
}

/* ---- the queue's part ---- */

static void tell_live(struct trace *t, slot message)
{
	bool skipped;
	json_t *view = message_view(t->call->admin, message, NULL, true, &skipped);
	if (view) json_object_set_new(view, "event", json_string("queued"));
	t->told++;
	control_say(t->call, view);
}

static void trace_done(struct trace *t)
{
	control_done(t->call, json_pack("{s:I}", "events", (json_int_t)t->told));
}

/* After the history: what it told of and is still there.  */
static void live_step(struct control_call *call)
{
	struct trace *t = call->private;
	const struct spool_index *index = spool_index(call->admin->spool);
	if (t->at == t->id_count) {
		trace_done(t);
		return;
	}
	slot message = spool_find(index, t->ids[t->at++]);
	if (message) tell_live(t, message);
}

static bool is_meant(struct trace *t, slot message)
{
	struct spool_reader reader;
	if (spool_read_open(t->call->admin->spool, message, &reader) != 0) return false;
	bool meant = selection_has_message(&t->recipient, &reader.envelope) ||
		(t->sender.by_sender && selection_has_message(&t->sender, &reader.envelope));
	spool_read_close(&reader);
	return meant;
}

/* Without a history: whoever is in the queue.  */
static void sweep_step(struct control_call *call)
{
	struct trace *t = call->private;
	int64_t began = io_now_us(call->admin->io);
	slot message;
	struct str id;
	do {
		if (!selection_next(&t->recipient, call->admin, &message, &id)) {
			trace_done(t);
			return;
		}
		if (is_meant(t, message)) tell_live(t, message);
	} while (io_now_us(call->admin->io) - began < SLICE_US && !control_is_done(call));
}

/* ---- the history's part ---- */

static void remember(struct trace *t, uint64_t id)
{
	if (t->id_count && t->ids[t->id_count - 1] == id) return;
	if (t->id_count < MESSAGES_MAX) t->ids[t->id_count++] = id;
}

static void found(struct history_search *search, const struct history_record *record)
{
	struct trace *t = CONTAINER_OF(search, struct trace, search);
	remember(t, record->id);
	t->told++;
	control_say(t->call, record_view(record));
}

static void searched(struct history_search *search, int error)
{
	struct trace *t = CONTAINER_OF(search, struct trace, search);
	if (error) {
		control_fail(t->call, "the history cannot be read: %s", strerror(-error));
		return;
	}
	t->call->step = live_step;
	live_step(t->call);
}

static void trace_release(struct control_call *call)
{
	struct trace *t = call->private;
	history_search_cancel(&t->search);
	free(t);
}

static void begin_sweep(struct trace *t, struct str what)
{
	bool domain = str_starts(what, STR("@"));
	t->sender = (struct selection){.at = 1, .by_sender = !domain, .sender = what};
	t->recipient = (struct selection){.at = 1,
		.by_recipient = !domain,
		.recipient = what,
		.by_domain = domain,
		.domain = domain ? str_skip(what, 1) : STR_NONE};
	t->call->step = sweep_step;
}

void trace_command(struct control_call *call)
{
	struct str what = control_text(call, "what");
	struct trace *t = what.len && call->admin->queue ? calloc(1, sizeof *t) : NULL;
	if (!t) {
		control_fail(call,
			"what is to be traced? a queue id, Message-ID, sender, recipient or @domain is wanted");
		return;
	}
	uint64_t id;
	t->call = call;
	call->private = t;
	call->release = trace_release;
	if (spool_id_parse(what, &id)) remember(t, id);
	if (!call->admin->history && t->id_count) {
		call->step = live_step;
	} else if (!call->admin->history) {
		begin_sweep(t, what);
	} else {
		json_int_t max = json_integer_value(json_object_get(call->request, "max"));
		t->search = (struct history_search){.found = found,
			.done = searched,
			.max = max > 0 && max < MESSAGES_MAX ? (uint32_t)max : MESSAGES_MAX};
		history_search(call->admin->history, &t->search, what);
	}
}
