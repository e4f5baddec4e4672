#include "admin/selection.h"

/* "<a@b>" is a@b.  */
static struct str without_brackets(struct str s)
{
	bool brackets = s.len >= 2 && s.ptr[0] == '<' && s.ptr[s.len - 1] == '>';
	return brackets ? str_of(s.ptr + 1, s.len - 2) : s;
}

static bool take_text(
	struct control_call *call, const char *key, bool *ret_has, struct str *ret_text)
{
	const json_t *value = json_object_get(call->request, key);
	*ret_has = value != NULL;
	if (!value) return true;
	if (json_is_string(value)) {
		*ret_text = without_brackets(control_text(call, key));
		return true;
	}
	control_fail(call, "\"%s\" is not a text", key);
	return false;
}

static bool take_ids(struct selection *s, struct control_call *call)
{
	s->ids = json_object_get(call->request, "ids");
	if (!s->ids) return true;
	size_t index;
	const json_t *id;
	bool fine = json_is_array(s->ids);
	json_array_foreach((json_t *)s->ids, index, id) fine = fine && json_is_string(id);
	if (!fine) control_fail(call, "\"ids\" is not a list of texts");
	return fine;
}

bool selection_read(struct selection *s, struct control_call *call, bool everything)
{
	*s = (struct selection){.at = 1};
	if (!call->admin->queue) return control_fail(call, "there is no queue here"), false;
	if (!take_ids(s, call)) return false;
	if (!take_text(call, "sender", &s->by_sender, &s->sender)) return false;
	if (!take_text(call, "recipient", &s->by_recipient, &s->recipient)) return false;
	if (!take_text(call, "domain", &s->by_domain, &s->domain)) return false;
	if (str_starts(s->domain, STR("@"))) s->domain = str_skip(s->domain, 1);
	bool said = s->ids || s->by_sender || s->by_recipient || s->by_domain ||
		control_flag(call, "all");
	if (said || everything) return true;
	control_fail(call, "which messages? ids, sender, recipient, domain or all is wanted");
	return false;
}

bool selection_next(struct selection *s, struct admin *admin, slot *ret_message, struct str *ret_id)
{
	const struct spool_index *index = spool_index(admin->spool);
	*ret_id = STR_NONE;
	if (s->ids) {
		const json_t *text = json_array_get(s->ids, s->at_id++);
		if (!text) return false;
		uint64_t id;
		*ret_id = str_of(json_string_value(text), json_string_length(text));
		*ret_message = spool_id_parse(*ret_id, &id) ? spool_find(index, id) : 0;
		return true;
	}
	while (s->at < spool_message_end(index) && spool_message(index, s->at)->id == 0) s->at++;
	if (s->at >= spool_message_end(index)) return false;
	*ret_message = s->at++;
	return true;
}

bool selection_has_message(const struct selection *s, const struct envelope *e)
{
	if (s->by_sender && !str_ieq(s->sender, e->reverse_path)) return false;
	for (uint32_t i = 0; i < e->recipient_count; i++)
		if (selection_has_recipient(s, &e->recipients[i])) return true;
	return false;
}

bool selection_has_recipient(const struct selection *s, const struct recipient *r)
{
	if (s->by_recipient && !str_ieq(s->recipient, r->address) &&
		!str_ieq(s->recipient, r->original))
		return false;
	if (!s->by_domain) return true;
	size_t at = str_rfind(r->address, '@');
	struct str domain = at < r->address.len ? str_skip(r->address, at + 1) : STR("");
	return str_ieq(s->domain, domain);
}
