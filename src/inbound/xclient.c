/* XCLIENT: a client that we trust tells for whom it speaks; the session goes on as that one's.  */
#include "inbound/parts.h"
#include "smtp/xclient.h"

#include <stdlib.h>

/* False: no memory.  */
static bool become(struct session *s, struct str login)
{
	char *name = NULL;
	if (login.len) {
		name = malloc(login.len);
		if (!name) return false;
		memcpy(name, login.ptr, login.len);
	}
	free((void *)s->account.ptr);
	s->account = str_of(name, login.len);
	return true;
}

void xclient_event(struct session *s, const struct smtp_event *event)
{
	struct smtp_xclient told;
	ASSERT(smtp_xclient_parse(event->attributes, &told)); /* the core has done it before */
	bool address = told.given & SMTP_XCLIENT_ADDR;
	if (address && !session_count(s, &told.address)) {
		inbound_refused(s->inbound, &told.address);
		struct smtp_reply reply =
			SMTP_REPLY(421, 4, 7, 0, "Error: too many connections from your address");
		reply.close = true;
		smtp_server_answer(&s->smtp, reply);
		return;
	}
	if (told.given & SMTP_XCLIENT_LOGIN && !become(s, told.login)) {
		smtp_server_answer(&s->smtp, SMTP_REPLY(451, 4, 3, 0, "Error: out of memory"));
		return;
	}
	if (address) s->peer = told.address;
	s->told = true;
	smtp_server_answer(&s->smtp, (struct smtp_reply){.code = 220});
	if (s->account.len) smtp_server_authenticated(&s->smtp);
}

/* What was told in clear is nobody's word once TLS runs (RFC 3207 4.2).  */
void xclient_forget(struct session *s)
{
	if (!s->told) return;
	s->told = false;
	s->peer = s->origin;
	(void)become(s, STR_NONE);    /* no name wants no memory */
	session_count(s, &s->origin); /* one that is here already may stay, one too many or not */
}
