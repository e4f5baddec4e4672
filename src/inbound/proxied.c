/* Clients behind a load balancer: it tells in a PROXY header who they are, before anything else, TLS included.  */
#include "inbound/parts.h"
#include "smtp/proxy.h"

enum { HEADER_MS = 10 * 1000 };

void proxied_begin(struct session *s)
{
	struct io *io = s->inbound->parts.io;
	msec timeout = s->office->rules.timeout;
	s->proxied = true;
	io_timer_set(io, &s->timer, io_now(io) + (timeout < HEADER_MS ? timeout : HEADER_MS));
	io_read_on(&s->stream);
}

static void fail(struct session *s, const char *why)
{
	struct log *log = s->inbound->parts.log;
	log_begin(log, LOG_WARN, STR_NONE, "proxy-failed");
	session_log_client(log, s);
	log_str(log, "why", str_from_c(why));
	log_end(log);
	session_end(s);
}

void proxied_timeout(struct session *s) { fail(s, "no whole PROXY header came in time"); }

void proxied_ended(struct session *s)
{
	if (s->input.len)
		fail(s, "the connection ended within the PROXY header");
	else
		session_end(s); /* it only looked whether we are there */
}

/* From now on the session is the client's of whom the header tells.  */
static void identify(struct session *s, const struct net_address *client, struct str octets)
{
	s->proxied = false;
	io_timer_cancel(s->inbound->parts.io, &s->timer);
	if (client->family != NET_NONE) s->peer = *client;
	if (session_count(s, &s->peer))
		session_start(s, octets);
	else
		session_refuse(s);
}

void proxied_feed(struct session *s, struct str octets)
{
	struct proxy_header header;
	if (!buf_add(&s->input, octets)) {
		fail(s, "out of memory");
		return;
	}
	switch (proxy_read(buf_str(&s->input), &header)) {
	case PROXY_MORE: return;
	case PROXY_WRONG: fail(s, header.why); return;
	case PROXY_DONE: break;
	}
	struct buf came = s->input; /* the session may end meanwhile */
	buf_init(&s->input, came.max);
	identify(s, &header.client, str_skip(buf_str(&came), header.len));
	buf_release(&came);
}
