/* The resolver's place in the server.  Other settings mean another resolver; the one before stays until its last question has
 * ended, for nobody would tell those who asked.  */
#include "server/parts.h"

enum { LAST_ANSWER_MS = 20 * 1000 }; /* a question ends after 12 s */

struct retired {
	struct server *server;
	struct resolver *resolver;
	struct timer timer;
	struct list link;
};

static struct resolver *open_with(struct server *s, const struct config *c, const char **ret_why)
{
	struct resolver_options dns = {
		.servers = c->dns.servers,
		.server_count = c->dns.server_count,
		.trust_anchor = c->dns.trust_anchor,
		.validate = c->dns.validate,
		.log = s->log,
	};
	return resolver_new(s->io, &dns, ret_why);
}

static bool is_same(const struct config *a, const struct config *b)
{
	if (a->dns.validate != b->dns.validate || a->dns.server_count != b->dns.server_count)
		return false;
	for (uint32_t i = 0; i < a->dns.server_count; i++) {
		const struct net_address *one = &a->dns.servers[i], *other = &b->dns.servers[i];
		if (one->port != other->port || !net_same_host(one, other)) return false;
	}
	return str_eq(a->dns.trust_anchor, b->dns.trust_anchor);
}

static void end(struct retired *r)
{
	io_timer_cancel(r->server->io, &r->timer);
	list_remove(&r->link);
	resolver_free(r->resolver);
	free(r);
}

static void end_retired(struct timer *timer) { end(CONTAINER_OF(timer, struct retired, timer)); }

bool server_open_dns(struct server *s, const char **ret_why)
{
	s->resolver = open_with(s, server_config(s), ret_why);
	return s->resolver != NULL;
}

void server_configure_dns(struct server *s, const struct config *before)
{
	if (is_same(before, server_config(s))) return;
	const char *why = "no memory";
	struct retired *r = calloc(1, sizeof *r);
	struct resolver *new = r ? open_with(s, server_config(s), &why) : NULL;
	if (!new) {
		free(r);
		log_begin(s->log, LOG_ERROR, STR_NONE, "dns-unchanged");
		log_str(s->log, "why", str_from_c(why));
		log_end(s->log);
		return;
	}
	*r = (struct retired){.server = s, .resolver = s->resolver, .timer.fire = end_retired};
	list_push_back(&s->retired, &r->link);
	io_timer_set(s->io, &r->timer, io_now(s->io) + LAST_ANSWER_MS);
	s->resolver = new;
}

void server_close_dns(struct server *s)
{
	while (!list_empty(&s->retired)) end(CONTAINER_OF(s->retired.next, struct retired, link));
	if (s->resolver) resolver_free(s->resolver);
	s->resolver = NULL;
}
