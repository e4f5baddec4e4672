/* For tests: a driver of the SMTP server core with a small policy, and a record of what happened.
 *
 *	RCPT    postmaster, *@example.com 250; nobody@example.com 550 5.1.1; others 550 5.7.1
 *	MAIL    250, but <refused@example.org> 550 5.7.1
 *	DATA    354, but 452 4.3.1 when `full`
 *	END     250, queued as 3XAMPLE1D
 *	XCLIENT 220, but of [192.0.2.99] 421 and the end
 *	AUTH    PLAIN with the right response 235, without one 334 first; anything else 535  */
#ifndef SMTP_SERVER_PLAY_TEST_H
#define SMTP_SERVER_PLAY_TEST_H

#include "base/test.h"
#include "smtp/server.h"

static const struct smtp_server_config play_plain = {
	.hostname = STR("mx.example.com"),
	.message_max = 1000,
	.recipients_max = 3,
	.errors_max = 20,
	.timeout = MINUTES(5),
};

struct play {
	struct smtp_server s;
	struct buf out;      /* octets that went to the client */
	struct buf events;   /* a line for each event, CHUNK and REFUSED apart */
	struct buf refused;  /* a line for each REFUSED */
	struct buf content;  /* of the message under way */
	struct buf messages; /* content of all that were queued */
	msec now;
	bool full; /* policy: no room */
	bool closed;
};

static inline void play_begin(struct play *p, const struct smtp_server_config *config)
{
	*p = (struct play){.now = 1000};
	smtp_server_init(&p->s, config);
	buf_init(&p->out, 1 << 24);
	buf_init(&p->events, 1 << 24);
	buf_init(&p->refused, 1 << 24);
	buf_init(&p->content, 1 << 24);
	buf_init(&p->messages, 1 << 24);
}

static inline void play_end(struct play *p)
{
	smtp_server_release(&p->s);
	buf_release(&p->out);
	buf_release(&p->events);
	buf_release(&p->refused);
	buf_release(&p->content);
	buf_release(&p->messages);
}

static inline struct smtp_reply play_rcpt(const struct address *a)
{
	if (a->domain.len == 0 && str_ieq(a->local, STR("postmaster")))
		return (struct smtp_reply){.code = 250};
	if (!str_ieq(a->domain, STR("example.com")))
		return SMTP_REPLY(550, 5, 7, 1, "Relay access denied");
	if (str_ieq(a->local, STR("nobody"))) return SMTP_REPLY(550, 5, 1, 1, "User unknown");
	return (struct smtp_reply){.code = 250};
}

static inline struct smtp_reply play_auth(struct play *p, const struct smtp_event *e)
{
	bool first = e->mechanism.len > 0;
	if (first && !str_eq(e->mechanism, STR("PLAIN")))
		return SMTP_REPLY(535, 5, 7, 8, "Error: no");
	if (first && !e->has_initial) return (struct smtp_reply){.code = 334};
	if (!str_eq(e->response, STR("AGFsaWNlAHNlY3JldA==")))
		return SMTP_REPLY(535, 5, 7, 8, "Error: no");
	smtp_server_authenticated(&p->s);
	return (struct smtp_reply){.code = 235};
}

static inline struct smtp_reply play_verdict(struct play *p, const struct smtp_event *e)
{
	switch (e->type) {
	case SMTP_EVENT_RCPT: return play_rcpt(&e->path);
	case SMTP_EVENT_DATA:
		if (p->full) return SMTP_REPLY(452, 4, 3, 1, "Insufficient system storage");
		return (struct smtp_reply){.code = 354};
	case SMTP_EVENT_END: return SMTP_REPLY(250, 0, 0, 0, "3XAMPLE1D");
	case SMTP_EVENT_STARTTLS: return (struct smtp_reply){.code = 220};
	case SMTP_EVENT_AUTH: return play_auth(p, e);
	case SMTP_EVENT_XCLIENT:
		if (!str_contains(e->attributes, STR("192.0.2.99")))
			return (struct smtp_reply){.code = 220};
		return (struct smtp_reply){
			.code = 421, .enhanced = {4, 7, 0}, .text = STR("too many"), .close = true};
	default: break;
	}
	if (str_eq(e->path.text, STR("refused@example.org")))
		return SMTP_REPLY(550, 5, 7, 1, "Sender refused");
	return (struct smtp_reply){.code = 250};
}

static inline void play_note(struct play *p, const struct smtp_event *e)
{
	static const char *const names[] = {"HELO", "MAIL", "RCPT", "DATA", "CHUNK", "END",
		"ABANDON", "RESET", "STARTTLS", "AUTH", "XCLIENT", "REFUSED", "CLOSE"};
	struct buf *b = &p->events;
	if (e->type == SMTP_EVENT_CHUNK) {
		assert_true(e->chunk.len > 0);
		buf_add(&p->content, e->chunk);
		return;
	}
	if (e->type ==
		SMTP_EVENT_REFUSED) { /* apart: the others tell what has become of the session */
		buf_printf(&p->refused, "%u " STR_FMT " [" STR_FMT "]\n", e->refusal.code,
			STR_ARG(e->refusal.text), STR_ARG(e->command));
		return;
	}
	buf_add(b, str_from_c(names[e->type]));
	if (e->type == SMTP_EVENT_HELO)
		buf_printf(b, " %s " STR_FMT, e->esmtp ? "E" : "H", STR_ARG(e->helo));
	if (e->type == SMTP_EVENT_MAIL || e->type == SMTP_EVENT_RCPT)
		buf_printf(b, " <" STR_FMT ">", STR_ARG(e->path.text));
	if (e->type == SMTP_EVENT_MAIL && (e->flags || e->size))
		buf_printf(b, " flags=%u size=%llu", e->flags, (unsigned long long)e->size);
	if (e->envid.len) buf_printf(b, " envid=" STR_FMT, STR_ARG(e->envid));
	if (e->auth_param.len) buf_printf(b, " auth=" STR_FMT, STR_ARG(e->auth_param));
	if (e->notify) buf_printf(b, " notify=%u", e->notify);
	if (e->orcpt.len) buf_printf(b, " orcpt=" STR_FMT, STR_ARG(e->orcpt));
	if (e->type == SMTP_EVENT_AUTH)
		buf_printf(b, " [" STR_FMT "] %d [" STR_FMT "]", STR_ARG(e->mechanism),
			e->has_initial, STR_ARG(e->response));
	if (e->type == SMTP_EVENT_END) {
		assert_int_equal(e->size, p->content.len);
		buf_printf(b, " size=%llu flags=%u", (unsigned long long)e->size, e->flags);
	}
	if (e->type == SMTP_EVENT_XCLIENT) buf_printf(b, " " STR_FMT, STR_ARG(e->attributes));
	if (e->type == SMTP_EVENT_CLOSE) buf_printf(b, " %d", (int)e->closing);
	buf_add_c(b, '\n');
}

static inline void play_take(struct play *p, const struct smtp_event *e)
{
	play_note(p, e);
	switch (e->type) {
	case SMTP_EVENT_MAIL:
	case SMTP_EVENT_RCPT:
	case SMTP_EVENT_DATA:
	case SMTP_EVENT_STARTTLS:
	case SMTP_EVENT_AUTH:
	case SMTP_EVENT_XCLIENT:
	case SMTP_EVENT_END:
		assert_true(smtp_server_waits(&p->s));
		assert_int_equal(smtp_server_deadline(&p->s), MSEC_NEVER);
		if (e->type == SMTP_EVENT_END) buf_add(&p->messages, buf_str(&p->content));
		if (e->type == SMTP_EVENT_END) buf_clear(&p->content);
		smtp_server_answer(&p->s, play_verdict(p, e));
		break;
	case SMTP_EVENT_ABANDON: buf_clear(&p->content); break;
	case SMTP_EVENT_CLOSE: p->closed = true; break;
	case SMTP_EVENT_HELO:
	case SMTP_EVENT_RESET:
	case SMTP_EVENT_REFUSED:
	case SMTP_EVENT_CHUNK: break;
	}
}

static inline void play_events(struct play *p)
{
	struct smtp_event e;
	while (smtp_server_next(&p->s, &e)) play_take(p, &e);
	struct str out = smtp_server_output(&p->s);
	buf_add(&p->out, out);
	smtp_server_sent(&p->s, out.len);
}

/* Octets from the client, as the driver's loop does it: what is fed is on its own piece of
 * memory, gone afterwards.  */
static inline void play_feed(struct play *p, struct str octets)
{
	char *copy = malloc(octets.len + 1);
	if (octets.len) memcpy(copy, octets.ptr, octets.len);
	struct str rest = str_of(copy, octets.len);
	unsigned idle = 0;
	while (rest.len) {
		size_t used = smtp_server_feed(&p->s, p->now, rest);
		rest = str_skip(rest, used);
		idle = used ? 0 : idle + 1;
		assert_true(idle < 3);
		play_events(p);
	}
	free(copy);
}

#define EHLO_REPLY                                                                                 \
	"250-mx.example.com\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-ENHANCEDSTATUSCODES\r\n"     \
	"250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n"            \
	"250 LIMITS RCPTMAX=3\r\n"
#define BANNER "220 mx.example.com ESMTP rockdove\r\n"
#define FRAME "MAIL FROM:<a@b.c>\r\nRCPT TO:<bob@example.com>\r\n"
#define FRAMED "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n"
#define GO "354 End data with <CR><LF>.<CR><LF>\r\n"
#define E "EHLO x\r\n"
#define QUEUED "250 2.0.0 Ok: queued as 3XAMPLE1D\r\n"

/* ---- Dialogues, cut everywhere ---- */

static inline void play_run(
	const struct smtp_server_config *config, struct str in, size_t cut, struct play *p)
{
	play_begin(p, config);
	smtp_server_greet(&p->s, p->now, NULL);
	play_events(p);
	if (cut <= in.len) {
		play_feed(p, str_head(in, cut));
		play_feed(p, str_skip(in, cut));
	} else {
		for (size_t i = 0; i < in.len; i++) play_feed(p, str_of(in.ptr + i, 1));
	}
}

/* What goes out, what happens and what is queued: whole, cut in two everywhere, octet by octet.  */
static inline void play_dialogue(const struct smtp_server_config *config, struct str in,
	const char *out, const char *events, const char *messages)
{
	for (size_t cut = 0; cut <= in.len + 1; cut++) {
		struct play p;
		play_run(config, in, cut, &p);
		struct str said = buf_str(&p.out);
		assert_true(str_starts(said, STR(BANNER)));
		assert_str(str_skip(said, sizeof(BANNER) - 1), out);
		if (events) assert_str(buf_str(&p.events), events);
		if (messages) assert_str(buf_str(&p.messages), messages);
		play_end(&p);
	}
}

#endif
