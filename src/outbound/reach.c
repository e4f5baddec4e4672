/* Reaching a next hop: look-up, then its targets one after the other, until one of them talks to us.  */
#include "outbound/session.h"

#include <errno.h>

enum {
	CONNECT_TIMEOUT_MS = 30 * 1000,
	BETTER_US = 10000, /* a host must be so much quicker, and by half, to move to it */
};

void reach_note_trouble(struct client_session *s, const struct outcome *o)
{
	struct str text = str_head(o->text, sizeof s->trouble_text);
	if (text.len) memmove(s->trouble_text, text.ptr, text.len);
	s->trouble = *o;
	s->trouble.text = str_of(s->trouble_text, text.len);
	s->trouble.host = STR_NONE;
	s->trouble.tls = STR_NONE;
	/* Whatever a greeting says, another host, or this one later, may serve.  */
	s->trouble.class = OUTCOME_DEFERRED;
}

void reach_give_up(struct client_session *s)
{
	queue_unreachable(s->outbound->queue, s->site->destination, &s->trouble,
		outbound_now(s->outbound), outbound_wall(s->outbound));
	client_session_over(s);
}

void reach_try(struct client_session *s, uint32_t first)
{
	if (first >= s->lookup.count) {
		reach_give_up(s);
		return;
	}
	client_session_enter(s, SESSION_CONNECTING);
	msec cap = s->config.timeout;
	connect_race(&s->race, s->outbound->parts.io, s->lookup.targets, s->lookup.count, first,
		cap && cap < CONNECT_TIMEOUT_MS ? cap : CONNECT_TIMEOUT_MS);
}

static void name_host(struct buf *to, const struct route_target *target)
{
	buf_add(to, str_from_c(target->host));
	if (target->address.family == NET_UNIX) return;
	struct buf address;
	buf_init(&address, 100);
	net_add(&address, &target->address);
	buf_printf(to, "[" STR_FMT "]:%u", STR_ARG(buf_str(&address)), target->address.port);
	buf_release(&address);
}

void reach_missed(struct connect_race *race, const struct route_target *target, int error)
{
	struct client_session *s = CONTAINER_OF(race, struct client_session, race);
	latency_failed(s->outbound->parts.latency, &target->address, outbound_now(s->outbound));
	struct buf text;
	buf_init(&text, OUTCOME_TEXT_MAX);
	buf_add(&text, STR("connect to "));
	name_host(&text, target);
	buf_printf(&text, ": %s", strerror(error));
	struct outcome o = outcome_local(OUTCOME_DEFERRED, "4.4.1", buf_str(&text));
	reach_note_trouble(s, &o);
	struct log *log = s->outbound->parts.log;
	log_begin(log, LOG_INFO, STR_NONE, "connect-failed");
	log_str(log, "destination", destination_key(s->site->destination));
	log_str(log, "why", buf_str(&text));
	log_end(log);
	buf_release(&text);
}

void reach_refused(struct client_session *s, const struct outcome *why)
{
	struct log *log = s->outbound->parts.log;
	log_begin(log, LOG_INFO, STR_NONE, "host-refused");
	log_str(log, "destination", destination_key(s->site->destination));
	log_str(log, "host", str_of(s->host, s->host_len));
	if (why->code) log_i64(log, "code", why->code);
	log_str(log, "why", why->text);
	log_end(log);
}

/* It takes at least so long: now it is known not to be the quicker one, and is no reason to leave the winner.  */
void reach_outrun(struct connect_race *race, const struct route_target *target, int64_t us)
{
	struct client_session *s = CONTAINER_OF(race, struct client_session, race);
	latency_note(s->outbound->parts.latency, &target->address,
		us > UINT32_MAX ? UINT32_MAX : (uint32_t)us, outbound_now(s->outbound));
}

void reach_won(struct connect_race *race, struct connection *connection, int error)
{
	struct client_session *s = CONTAINER_OF(race, struct client_session, race);
	(void)error; /* told by `missed` */
	if (!connection) {
		reach_give_up(s);
		return;
	}
	s->connection = connection;
	s->outbound->stats.connections++;
	s->outbound->stats.opened++;
	struct buf host = {.ptr = s->host, .cap = sizeof s->host, .max = sizeof s->host};
	name_host(&host, &s->lookup.targets[connection->target]);
	s->host_len = (uint16_t)host.len;
	client_session_enter(s, SESSION_GREETING);
	hop_tls_configure(s);
	hop_login_configure(s);
	if (!smtp_client_init(&s->client, &s->config, outbound_now(s->outbound))) {
		struct outcome o = outcome_local(OUTCOME_DEFERRED, "4.3.0", STR("out of memory"));
		reach_note_trouble(s, &o);
		client_session_drop_connection(s);
		reach_give_up(s);
		return;
	}
	s->client_live = true;
	connection_own(connection, s, &client_session_events);
	if (s->config.implicit_tls) {
		hop_tls_begin(s);
		client_session_work(s); /* it may have failed */
		return;
	}
	client_session_watch(s);
}

bool reach_better_elsewhere(const struct client_session *s)
{
	const struct latency *latency = s->outbound->parts.latency;
	const struct route_target *ours = &s->lookup.targets[s->connection->target];
	bool all = destination_rule(s->site->destination)->latency;
	uint32_t mine = latency_of(latency, &ours->address, outbound_now(s->outbound));
	for (uint32_t i = 0; i < s->lookup.count; i++) {
		const struct route_target *other = &s->lookup.targets[i];
		if (other == ours || (!all && other->preference != ours->preference)) continue;
		uint32_t theirs = latency_of(latency, &other->address, outbound_now(s->outbound));
		if (theirs == 0 || (all && theirs + theirs / 2 + BETTER_US < mine)) return true;
	}
	return false;
}

/* Hosts that their domain's TLS policy keeps us from.  */
static void log_barred(struct client_session *s)
{
	struct log *log = s->outbound->parts.log;
	if (s->lookup.barred == 0) return; /* there may be no targets at all */
	const struct route_target *t = &s->lookup.targets[s->lookup.count];
	for (const struct route_target *end = t + s->lookup.barred; t < end; t++) {
		log_begin(log, LOG_WARN, STR_NONE, "host-barred");
		log_str(log, "destination", destination_key(s->site->destination));
		log_str(log, "host", str_from_c(t->host));
		log_str(log, "policy", str_from_c(t->security.words));
		log_end(log);
	}
}

void reach_looked_up(struct route_lookup *lookup)
{
	struct client_session *s = CONTAINER_OF(lookup, struct client_session, lookup);
	struct outbound *out = s->outbound;
	log_barred(s);
	hop_report_looked_up(s);
	if (lookup->count > 0) {
		reach_try(s, 0);
		return;
	}
	if (lookup->failure.class == OUTCOME_FAILED) {
		queue_impossible(out->queue, s->site->destination, &lookup->failure,
			outbound_now(s->outbound), outbound_wall(out));
		client_session_over(s);
		return;
	}
	reach_note_trouble(s, &lookup->failure);
	reach_give_up(s);
}
