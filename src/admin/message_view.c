#include "admin/message_view.h"

static const char *const state_names[] = {
	[RECIPIENT_FREE] = "done",
	[RECIPIENT_DUE] = "due",
	[RECIPIENT_ACTIVE] = "active",
	[RECIPIENT_HELD] = "held",
	[RECIPIENT_DONE] = "done",
};

static json_t *recipient_view(
	struct admin *admin, slot recipient, const struct recipient *r, struct str account)
{
	struct arena arena;
	struct queue_view v;
	arena_init(&arena, 64 << 10);
	queue_view(admin->queue, recipient, &arena, io_now(admin->io), io_wall(admin->io), &v);
	if (v.state == RECIPIENT_HELD && admin->usage && usage_is_held(admin->usage, account))
		v.reason = STR("held with its account, until `rockdove user release`");
	bool plan = v.state == RECIPIENT_DUE;
	json_t *o = json_pack("{s:o, s:s, s:i, s:o, s:o, s:o}", "address", control_str(r->address),
		"state", state_names[v.state], "attempts", (int)v.attempts, "next_attempt",
		control_time(plan ? v.next_attempt : 0), "destination", control_str(v.destination),
		"reason", control_str(v.reason));
	if (o && r->original.len) json_object_set_new(o, "original", control_str(r->original));
	arena_release(&arena);
	return o;
}

static void add_recipients(struct admin *admin, slot message, const struct envelope *e,
	const struct selection *selection, json_t *to)
{
	const struct spool_index *index = spool_index(admin->spool);
	for (slot s = spool_message(index, message)->recipients; s;
		s = spool_recipient(index, s)->sibling) {
		uint16_t at = spool_recipient(index, s)->index;
		if (at >= e->recipient_count) continue;
		if (selection && !selection_has_recipient(selection, &e->recipients[at])) continue;
		json_array_append_new(to, recipient_view(admin, s, &e->recipients[at], e->account));
	}
}

static json_t *flag_names(uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = {
		{ENVELOPE_8BIT, "8bit"},
		{ENVELOPE_BINARY, "binary"},
		{ENVELOPE_UTF8, "smtputf8"},
		{ENVELOPE_REQUIRETLS, "requiretls"},
		{ENVELOPE_DSN, "dsn"},
		{ENVELOPE_AUTHENTICATED, "authenticated"},
		{ENVELOPE_TLS, "tls"},
		{ENVELOPE_ESMTP, "esmtp"},
	};
	json_t *list = json_array();
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (flags & names[i].flag) json_array_append_new(list, json_string(names[i].name));
	return list;
}

static void add_details(json_t *o, const struct envelope *e)
{
	char text[100];
	struct buf address = {.ptr = text, .cap = sizeof text, .max = sizeof text};
	net_add(&address, &e->client);
	json_object_set_new(o, "client", control_str(buf_str(&address)));
	json_object_set_new(o, "helo", control_str(e->helo));
	json_object_set_new(o, "account", control_str(e->account));
	json_object_set_new(o, "tls", control_str(e->tls));
	json_object_set_new(o, "flags", flag_names(e->flags));
	json_object_set_new(o, "hold_until", control_time(e->hold_until));
}

static json_t *damaged_view(uint64_t id)
{
	char text[SPOOL_ID_LEN + 1];
	return json_pack("{s:o, s:n, s:n, s:o, s:[], s:b}", "id",
		control_str(spool_id_text(id, text)), "sender", "size", "created",
		control_time(spool_created(id)), "recipients", "damaged", 1);
}

json_t *message_view(struct admin *admin, slot message, const struct selection *selection,
	bool details, bool *ret_skipped)
{
	struct spool_reader reader;
	uint64_t id = spool_message(spool_index(admin->spool), message)->id;
	*ret_skipped = false;
	if (spool_read_open(admin->spool, message, &reader) != 0) return damaged_view(id);
	const struct envelope *e = &reader.envelope;
	json_t *o = NULL;
	if (selection && !selection_has_message(selection, e)) {
		*ret_skipped = true;
	} else {
		char text[SPOOL_ID_LEN + 1];
		o = json_pack("{s:o, s:o, s:I, s:o, s:o}", "id",
			control_str(spool_id_text(id, text)), "sender",
			control_str(e->reverse_path), "size", (json_int_t)reader.size, "created",
			control_time(spool_created(id)), "recipients", json_array());
		if (o)
			add_recipients(
				admin, message, e, selection, json_object_get(o, "recipients"));
		if (o && details) add_details(o, e);
	}
	spool_read_close(&reader);
	return o;
}
