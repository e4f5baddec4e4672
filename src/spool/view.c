#include "spool/view.h"

static bool take(struct str *s, uint64_t len, struct str *ret)
{
	if (s->len < len) return false;
	*ret = str_head(*s, len);
	*s = str_skip(*s, len);
	return true;
}

bool accept_view(struct str payload, struct accept_view *ret)
{
	struct disk_accept *head = &ret->head;
	return take_octets(&payload, head, sizeof(*head)) &&
		take(&payload, head->states, &ret->states) &&
		take(&payload, head->envelope, &ret->envelope) &&
		take(&payload, (uint64_t)head->chunks * sizeof(struct disk_chunk), &ret->chunks) &&
		take(&payload, head->body, &ret->body) && payload.len == 0;
}

bool take_recipient(struct str *states, struct disk_recipient *ret, struct str *ret_outcome)
{
	struct str rest = *states;
	if (!take_octets(&rest, ret, sizeof(*ret)) || !take(&rest, ret->outcome, ret_outcome))
		return false;
	*states = rest;
	return true;
}
