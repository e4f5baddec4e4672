/* What came of TLS with a host, told to who counts it (RFC 8460).  */
#include "outbound/session.h"

/* Only of domains that have chosen their hosts themselves.  */
static bool is_counted(const struct client_session *s)
{
	const struct route_rule *rule = destination_rule(s->site->destination);
	return s->outbound->parts.note_tls && rule->kind == ROUTE_MX && rule->tls != ROUTE_TLS_OFF;
}

static void note(struct client_session *s, const struct route_target *target,
	enum tlsrpt_result result, struct str words)
{
	const struct security *security = target ? &target->security : NULL;
	const struct mtasts_lookup *sts = s->lookup.sts;
	bool has_sts = sts && sts->known && sts->known->policy.mode != STS_NONE;
	bool has_tlsa = security && security->source == SECURITY_BY_DANE;
	struct net_address local;
	bool connected = target && s->connection;
	if (connected) io_local_address(&s->connection->stream, &local);
	if (security && security->excepted) return;
	struct tlsrpt_session session = {.domain = str_from_c(s->lookup.ascii),
		.policy = has_tlsa ? TLSRPT_TLSA
			: has_sts  ? TLSRPT_STS
				   : TLSRPT_NO_POLICY,
		.sts = has_sts ? sts->known : NULL,
		.result = result,
		.peer = target ? &target->address : NULL,
		.local = connected ? &local : NULL,
		.words = words};
	if (target) session.host = str_from_c(target->host);
	if (has_tlsa) session.tlsa = security->tlsa, session.tlsa_count = security->tlsa_count;
	s->outbound->parts.note_tls(s->outbound->parts.note_context, &session);
}

static const struct route_target *connected_target(const struct client_session *s)
{
	return &s->lookup.targets[s->connection->target];
}

/* ---- before there is a connection ---- */

static void note_unfetched(struct client_session *s)
{
	static const enum tlsrpt_result results[] = {[MTASTS_FETCH_ERROR] = TLSRPT_STS_FETCH_ERROR,
		[MTASTS_POLICY_INVALID] = TLSRPT_STS_INVALID,
		[MTASTS_WEBPKI_INVALID] = TLSRPT_STS_WEBPKI};
	const struct mtasts_lookup *sts = s->lookup.sts;
	struct tlsrpt_session session = {.domain = str_from_c(s->lookup.ascii),
		.policy = TLSRPT_STS,
		.sts = sts->known,
		.result = results[sts->trouble],
		.words = str_from_c(sts->why)};
	s->outbound->parts.note_tls(s->outbound->parts.note_context, &session);
}

void hop_report_looked_up(struct client_session *s)
{
	if (!is_counted(s)) return;
	if (s->lookup.sts && s->lookup.sts->trouble) note_unfetched(s);
	for (uint32_t i = 0; i < s->lookup.barred; i++) {
		const struct route_target *t = &s->lookup.targets[s->lookup.count + i];
		enum tlsrpt_result result = t->security.source == SECURITY_BY_DANE
			? TLSRPT_DNSSEC_INVALID
			: TLSRPT_VALIDATION_FAILURE;
		note(s, t, result, str_from_c(t->security.words));
	}
}

/* ---- on a connection ---- */

static enum tlsrpt_result result_of_fault(enum tls_fault fault)
{
	static const enum tlsrpt_result results[] = {[TLS_FAULT_NONE] = TLSRPT_VALIDATION_FAILURE,
		[TLS_FAULT_NAME] = TLSRPT_HOST_MISMATCH,
		[TLS_FAULT_DATE] = TLSRPT_EXPIRED,
		[TLS_FAULT_UNTRUSTED] = TLSRPT_NOT_TRUSTED,
		[TLS_FAULT_OTHER] = TLSRPT_VALIDATION_FAILURE};
	return results[fault];
}

void hop_report_secured(struct client_session *s)
{
	if (!is_counted(s)) return;
	const struct route_target *t = connected_target(s);
	const struct security *security = &t->security;
	/* A policy in testing mode is judged, and nothing else is done about it.  */
	bool tested = security->sts == STS_TESTING;
	bool unusable = security->source == SECURITY_BY_DANE && security->level != SECURITY_DANE;
	if (unusable)
		note(s, t, TLSRPT_TLSA_INVALID, str_from_c(security->words));
	else if (tested && security->sts_stranger)
		note(s, t, TLSRPT_VALIDATION_FAILURE, STR("the policy does not name this host"));
	else if (tested && !tls_verified(s->tls))
		note(s, t, result_of_fault(tls_fault(s->tls)), STR_NONE);
	else
		note(s, t, TLSRPT_SUCCESS, STR_NONE);
}

void hop_report_failed(struct client_session *s, struct str why)
{
	if (!is_counted(s)) return;
	enum tls_fault fault = s->tls ? tls_fault(s->tls) : TLS_FAULT_NONE;
	note(s, connected_target(s), result_of_fault(fault), why);
}

void hop_report_clear(struct client_session *s)
{
	/* After a handshake that failed, clear is but its consequence.  */
	if (!is_counted(s) || s->tls || s->connection->target == s->clear_target) return;
	note(s, connected_target(s), TLSRPT_STARTTLS_NOT_SUPPORTED, STR_NONE);
}
