/* Fetching a policy: the addresses of mta-sts.DOMAIN, then HTTPS.  Source: RFC 8461 3.3.  */
#include "route/mtasts_private.h"

enum { FETCH_MS = 30 * 1000, FETCHES_MAX = 100, URL_MAX = 400 };

static const msec retry_after = MINUTES(5);

/* ---- the end ---- */

static void ended(struct mtasts_entry *e)
{
	mtasts_fetch_end(e);
	mtasts_entry_settled(e);
}

static void fail(struct mtasts_entry *e, enum mtasts_trouble trouble, const char *why)
{
	static const char *const names[] = {[MTASTS_FETCH_ERROR] = "sts-policy-fetch-error",
		[MTASTS_POLICY_INVALID] = "sts-policy-invalid",
		[MTASTS_WEBPKI_INVALID] = "sts-webpki-invalid"};
	e->trouble = trouble;
	snprintf(e->why, sizeof e->why, "%s", why);
	memcpy(e->failed_id, e->id, sizeof e->failed_id);
	e->retry_at = io_now(e->mtasts->io) + retry_after;
	struct log *log = e->mtasts->options.log;
	log_begin(log, LOG_WARN, STR_NONE, "mta-sts-failed");
	log_str(log, "domain", str_from_c(e->domain));
	log_str(log, "result", str_from_c(names[trouble]));
	log_str(log, "why", str_from_c(why));
	log_str(log, "in-force",
		mtasts_entry_counts(e) ? str_from_c(mtasts_mode_name(e->known->policy.mode))
				       : STR("no policy"));
	log_end(log);
	ended(e);
}

static void succeed(struct mtasts_entry *e, struct mtasts_known *known)
{
	bool same = e->known && strcmp(e->known->id, known->id) == 0;
	mtasts_known_leave(e->known);
	e->known = known;
	e->trouble = MTASTS_FINE;
	e->why[0] = '\0';
	e->retry_at = 0;
	mtasts_changed(e->mtasts);
	struct log *log = e->mtasts->options.log;
	log_begin(log, same ? LOG_DEBUG : LOG_INFO, STR_NONE, "mta-sts-policy");
	log_str(log, "domain", str_from_c(e->domain));
	log_str(log, "mode", str_from_c(mtasts_mode_name(known->policy.mode)));
	log_str(log, "id", str_from_c(known->id));
	log_i64(log, "mx", known->policy.mx_count);
	log_i64(log, "max-age", known->max_age);
	log_end(log);
	ended(e);
}

/* ---- the answer ---- */

static bool is_plain_text(struct str content_type)
{
	struct str type;
	str_cut(&content_type, ';', &type);
	return str_ieq(str_trim(type), STR("text/plain"));
}

static void judge(struct mtasts_entry *e)
{
	const struct io_fetch *f = &e->fetch;
	char why[200];
	if (f->error == IO_FETCH_CERTIFICATE) {
		fail(e, MTASTS_WEBPKI_INVALID, f->why);
	} else if (f->error) {
		fail(e, MTASTS_FETCH_ERROR, f->why);
	} else if (f->status != 200) {
		snprintf(why, sizeof why, "the web server of the policy answers %d", f->status);
		fail(e, MTASTS_FETCH_ERROR, why);
	} else if (!is_plain_text(io_fetch_header(f, STR("Content-Type")))) {
		fail(e, MTASTS_POLICY_INVALID, "the policy's media type is not text/plain");
	} else {
		struct mtasts_policy policy;
		const char *wrong = mtasts_read_policy(buf_str(&f->answer), &policy);
		if (wrong) {
			fail(e, MTASTS_POLICY_INVALID, wrong);
			return;
		}
		struct mtasts_known *known =
			mtasts_known_new(&policy, e->id, io_wall(e->mtasts->io));
		if (known)
			succeed(e, known);
		else
			fail(e, MTASTS_FETCH_ERROR, "out of memory");
	}
}

static void fetched(struct io_fetch *fetch) { judge(fetch->private); }

/* ---- the question ---- */

static void fetch_from_addresses(struct mtasts_entry *e)
{
	char url[URL_MAX];
	uint16_t port = e->mtasts->options.port;
	struct buf resolve;
	buf_init(&resolve, 2048);
	buf_printf(&resolve, "mta-sts.%s:%u:", e->domain, port);
	for (uint32_t i = 0; i < e->address_count; i++) {
		bool v6 = e->addresses[i].family == NET_IPV6;
		buf_add(&resolve, i ? STR(",") : STR(""));
		if (v6) buf_add_c(&resolve, '[');
		net_add(&resolve, &e->addresses[i]);
		if (v6) buf_add_c(&resolve, ']');
	}
	buf_add_c(&resolve, '\0');
	char named[16] = "";
	if (port != 443) snprintf(named, sizeof named, ":%u", port);
	snprintf(url, sizeof url, "https://mta-sts.%s%s/.well-known/mta-sts.txt", e->domain, named);
	e->fetch = (struct io_fetch){.done = fetched,
		.url = url,
		.resolve = resolve.ptr,
		.timeout = FETCH_MS,
		.private = e};
	int error = buf_ok(&resolve) ? io_fetch(e->mtasts->options.fetcher, &e->fetch) : -1;
	buf_release(&resolve);
	if (error) fail(e, MTASTS_FETCH_ERROR, "out of memory");
}

static void address_answered(
	struct mtasts_entry *e, enum net_family family, const struct dns_answer *answer)
{
	size_t octets = family == NET_IPV6 ? 16 : 4;
	uint32_t room = MTASTS_ADDRESSES_MAX / 2;
	for (uint32_t i = 0; answer->result == DNS_FOUND && i < answer->count && room; i++) {
		if (answer->data[i].len != octets) continue;
		struct net_address *a = &e->addresses[e->address_count++];
		*a = (struct net_address){.family = family};
		memcpy(a->octets, answer->data[i].ptr, octets);
		room--;
	}
	if (--e->pending) return;
	if (e->address_count)
		fetch_from_addresses(e);
	else if (answer->result == DNS_FOUND || answer->result == DNS_NO_DATA ||
		answer->result == DNS_NO_NAME)
		fail(e, MTASTS_FETCH_ERROR, "the web server of the policy has no address");
	else
		fail(e, MTASTS_FETCH_ERROR,
			"the address of the policy's web server is not to be had");
}

static void a_answered(struct resolver_query *query, const struct dns_answer *answer)
{
	address_answered(CONTAINER_OF(query, struct mtasts_entry, a), NET_IPV4, answer);
}

static void aaaa_answered(struct resolver_query *query, const struct dns_answer *answer)
{
	address_answered(CONTAINER_OF(query, struct mtasts_entry, aaaa), NET_IPV6, answer);
}

static void ask_addresses(struct mtasts_entry *e)
{
	char name[300];
	int len = snprintf(name, sizeof name, "mta-sts.%s", e->domain);
	struct str host = str_of(name, (size_t)len);
	struct resolver *resolver = e->mtasts->options.resolver;
	e->a.done = a_answered;
	e->aaaa.done = aaaa_answered;
	e->address_count = 0;
	e->pending = 0;
	if (resolver_ask(resolver, &e->aaaa, host, DNS_AAAA) == 0) e->pending++;
	if (resolver_ask(resolver, &e->a, host, DNS_A) == 0) e->pending++;
	if (!e->pending)
		fail(e, MTASTS_FETCH_ERROR, "the web server of the policy cannot be asked for");
}

void mtasts_fetch(struct mtasts_entry *e, const char *id)
{
	if (e->fetching) return;
	snprintf(e->id, sizeof e->id, "%s", id);
	e->fetching = true;
	if (e->mtasts->fetching++ < FETCHES_MAX)
		ask_addresses(e);
	else
		fail(e, MTASTS_FETCH_ERROR, "too many policies are being fetched");
}

void mtasts_fetch_end(struct mtasts_entry *e)
{
	if (!e->fetching) return;
	e->fetching = false;
	e->mtasts->fetching--;
	resolver_cancel(&e->a);
	resolver_cancel(&e->aaaa);
	io_fetch_clear(&e->fetch);
}
