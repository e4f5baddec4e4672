/* One domain's report: who wants it, and how it gets there.  */
#include "base/code.h"
#include "route/idna.h"
#include "server/tls_report.h"

enum {
	JSON_MAX = 8 << 20,
	LETTER_MAX = 16 << 20,
	POST_MS = 60 * 1000,
	RECIPIENTS_MAX = 20,
	ARENA_MAX = 64 << 10,
	PIECE = 64 << 10,
};

struct tls_report_job {
	struct tls_reports *reports;
	struct server *server;
	struct tlsrpt_domain *domain;
	/* NULL: nobody waits any more, only the commit's end is awaited.  */
	void (*done)(struct tls_reports *r, struct tlsrpt_domain *domain, bool again);
	struct resolver_query query;
	struct timer timer;
	struct tlsrpt_record record;
	uint32_t at; /* of its URIs */
	bool again;
	char id[200];
	struct buf gzip;
	struct io_fetch fetch;
	struct buf letter;
	struct arena arena;
	struct envelope envelope;
	struct spool_writer writer;
	struct spool_op op;
	bool committing;
};

static void step(struct tls_report_job *j);

static void job_free(struct tls_report_job *j)
{
	resolver_cancel(&j->query);
	io_timer_cancel(j->server->io, &j->timer);
	io_fetch_clear(&j->fetch);
	buf_release(&j->gzip);
	buf_release(&j->letter);
	arena_release(&j->arena);
	free(j);
}

static void finish(struct tls_report_job *j)
{
	struct tls_reports *reports = j->reports;
	struct tlsrpt_domain *domain = j->domain;
	bool again = j->again;
	void (*done)(struct tls_reports *, struct tlsrpt_domain *, bool) = j->done;
	job_free(j);
	done(reports, domain, again);
}

/* ---- what is said of it ---- */

static void log_sent(struct tls_report_job *j, struct str queue_id)
{
	struct log *log = j->server->log;
	log_begin(log, LOG_INFO, queue_id, "tls-report-sent");
	log_str(log, "domain", str_from_c(j->domain->name));
	log_str(log, "to", str_from_c(j->record.uris[j->at]));
	log_end(log);
}

/* And go on to the next.  */
static void failed(struct tls_report_job *j, const char *why)
{
	struct log *log = j->server->log;
	log_begin(log, LOG_WARN, STR_NONE, "tls-report-failed");
	log_str(log, "domain", str_from_c(j->domain->name));
	log_str(log, "to", str_from_c(j->record.uris[j->at]));
	log_str(log, "why", str_from_c(why));
	log_end(log);
	j->again = true;
	j->at++;
	step(j);
}

static void sent(struct tls_report_job *j)
{
	j->domain->sent |= 1u << j->at;
	j->at++;
	step(j);
}

/* ---- by HTTPS ---- */

static void posted(struct io_fetch *fetch)
{
	struct tls_report_job *j = CONTAINER_OF(fetch, struct tls_report_job, fetch);
	char why[80];
	if (fetch->error) {
		failed(j, fetch->why);
	} else if (fetch->status / 100 != 2) {
		snprintf(why, sizeof why, "the web server answers %d", fetch->status);
		failed(j, why);
	} else {
		log_sent(j, STR_NONE);
		sent(j);
	}
}

static void post(struct tls_report_job *j)
{
	static const char *const headers[] = {"Content-Type: application/tlsrpt+gzip", NULL};
	j->fetch = (struct io_fetch){.done = posted,
		.url = j->record.uris[j->at],
		.body = buf_str(&j->gzip),
		.headers = headers,
		.timeout = POST_MS};
	if (!j->server->fetcher || io_fetch(j->server->fetcher, &j->fetch) != 0)
		failed(j, "out of memory");
}

/* ---- by mail ---- */

static void committed(struct spool_op *op, int error)
{
	struct tls_report_job *j = CONTAINER_OF(op, struct tls_report_job, op);
	struct server *s = j->server;
	j->committing = false;
	if (!error) {
		slot message = spool_committed(&j->writer);
		uint64_t id = spool_message(spool_index(s->spool), message)->id;
		char text[SPOOL_ID_LEN + 1];
		struct str to = j->envelope.recipients[0].address;
		log_sent(j, spool_id_text(id, text));
		if (s->history)
			history_add(s->history,
				&(struct history_record){.event = HISTORY_ACCEPTED,
					.id = id,
					.wall = j->envelope.created,
					.size = j->envelope.size,
					.recipients = &to,
					.recipient_count = 1});
		queue_accepted(s->queue, message, &j->envelope, io_now(s->io), io_wall(s->io));
	}
	if (!j->done)
		job_free(j);
	else if (error)
		failed(j, strerror(-error));
	else
		sent(j);
}

/* A local address may be an alias.  */
static bool address_it(struct tls_report_job *j, struct str to)
{
	const struct domains *domains = &server_config(j->server)->domains;
	struct address a;
	struct str all[RECIPIENTS_MAX];
	uint32_t count = 0;
	if (!address_parse(to, false, false, &a)) return false;
	if (domain_expand(domains, &a, RECIPIENTS_MAX, &j->arena, all, &count) != EXPAND_DONE)
		all[0] = to, count = 1;
	j->envelope = (struct envelope){.size = j->letter.len,
		.created = io_wall(j->server->io),
		.recipients = arena_alloc(&j->arena, count * sizeof(struct recipient)),
		.recipient_count = count};
	if (!j->envelope.recipients) return false;
	for (uint32_t i = 0; i < count; i++) {
		j->envelope.recipients[i].notify = NOTIFY_NEVER;
		if (!arena_copy(&j->arena, all[i], &j->envelope.recipients[i].address))
			return false;
	}
	char name[IDNA_NAME_MAX];
	if (idna_to_ascii(a.domain, name)) tls_reports_sent_to(j->reports, str_from_c(name));
	return true;
}

static void resumed(struct spool_writer *w) { (void)w; }

static bool commit(struct tls_report_job *j)
{
	if (spool_begin(j->server->spool, &j->writer, resumed) != 0) return false;
	for (struct str rest = buf_str(&j->letter); rest.len;) {
		struct str piece = str_head(rest, PIECE);
		if (spool_write(&j->writer, piece) == SPOOL_REFUSED) {
			spool_abort(&j->writer);
			return false;
		}
		rest = str_skip(rest, piece.len);
	}
	j->committing = true;
	j->op = (struct spool_op){.done = committed};
	spool_commit(&j->writer, &j->envelope, queue_tag(STR_NONE), &j->op);
	return true;
}

static void mail(struct tls_report_job *j)
{
	const struct config *c = server_config(j->server);
	const struct tlsrpt_day *day = tls_reports_day(j->reports);
	struct buf to;
	buf_init(&to, 512);
	buf_release(&j->letter);
	buf_init(&j->letter, LETTER_MAX);
	arena_release(&j->arena);
	arena_init(&j->arena, ARENA_MAX);
	if (!tlsrpt_mailto(str_from_c(j->record.uris[j->at]), &to)) {
		buf_release(&to);
		j->at++; /* no address: nothing to be done about it */
		step(j);
		return;
	}
	struct tls_report_letter letter = {.from = c->tls_report.from,
		.to = buf_str(&to),
		.submitter = c->hostname,
		.domain = str_from_c(j->domain->name),
		.id = str_from_c(j->id),
		.begin = day->begin,
		.end = day->end,
		.now = io_wall(j->server->io),
		.gzip = buf_str(&j->gzip)};
	tls_report_compose(&j->letter, &letter);
	bool fine = buf_ok(&j->letter) && address_it(j, buf_str(&to)) && commit(j);
	buf_release(&to);
	if (!fine) failed(j, "the spool takes no mail at present");
}

/* ---- the report ---- */

static bool make(struct tls_report_job *j)
{
	const struct config *c = server_config(j->server);
	const struct tlsrpt_day *day = tls_reports_day(j->reports);
	uint64_t number;
	io_random(j->server->io, &number, sizeof number);
	snprintf(j->id, sizeof j->id, "%lld.%016llx@" STR_FMT, (long long)(day->begin / 1000),
		(unsigned long long)number, STR_ARG(str_head(c->hostname, 150)));
	struct tlsrpt_about about = {.organization = c->tls_report.organization.len
			? c->tls_report.organization
			: c->hostname,
		.contact = c->tls_report.contact.len ? c->tls_report.contact : c->tls_report.from,
		.id = str_from_c(j->id)};
	struct buf json;
	buf_init(&json, JSON_MAX);
	bool fine = tlsrpt_report(&json, &about, day, j->domain) &&
		tls_report_gzip(&j->gzip, buf_str(&json));
	buf_release(&json);
	return fine;
}

/* The next who wants it.  */
static void step(struct tls_report_job *j)
{
	while (j->at < j->record.uri_count && j->domain->sent & 1u << j->at) j->at++;
	if (j->at == j->record.uri_count)
		finish(j);
	else if (str_istarts(str_from_c(j->record.uris[j->at]), STR("https:")))
		post(j);
	else
		mail(j);
}

static void answered(struct resolver_query *query, const struct dns_answer *answer)
{
	struct tls_report_job *j = CONTAINER_OF(query, struct tls_report_job, query);
	j->again = answer->result == DNS_TEMPORARY || answer->result == DNS_BOGUS;
	for (uint32_t i = 0; answer->result == DNS_FOUND && i < answer->count; i++)
		tlsrpt_take_record(&j->record, answer->data[i]);
	if (j->record.count != 1 || !j->record.valid) {
		finish(j);
	} else if (!make(j)) {
		j->again = true;
		finish(j);
	} else {
		step(j);
	}
}

static void not_asked(struct timer *timer)
{
	struct tls_report_job *j = CONTAINER_OF(timer, struct tls_report_job, timer);
	j->again = true;
	finish(j);
}

struct tls_report_job *tls_report_begin(struct tls_reports *r, struct tlsrpt_domain *domain,
	void (*done)(struct tls_reports *r, struct tlsrpt_domain *domain, bool again))
{
	struct tls_report_job *j = calloc(1, sizeof *j);
	if (!j) return NULL;
	j->reports = r;
	j->server = tls_reports_server(r);
	j->domain = domain;
	j->done = done;
	j->query.done = answered;
	j->timer.fire = not_asked;
	buf_init(&j->gzip, JSON_MAX);
	char name[300];
	int len = snprintf(name, sizeof name, "_smtp._tls.%s", domain->name);
	if (resolver_ask(j->server->resolver, &j->query, str_of(name, (size_t)len), DNS_TXT) != 0)
		io_timer_set(j->server->io, &j->timer, io_now(j->server->io));
	return j;
}

void tls_report_drop(struct tls_report_job *j)
{
	if (j->committing)
		j->done = NULL;
	else
		job_free(j);
}
