/* The days of TLS reports: today is counted, yesterday is told.  */
#include "server/tls_report.h"

#include "io/file.h"

#include <errno.h>

enum {
	JOBS_MAX = 8,
	TRIES_MAX = 5,
	SAVE_AFTER_MS = 60 * 1000,
	SPREAD = 6, /* reports leave in the first sixth of the next day */
	AGAIN = 24, /* what failed is tried again after so small a part of a day */
	DAYS_KEPT = 2,
	FILE_MAX = 128 << 20,
};

struct tls_reports {
	struct server *server;
	char *path;
	struct tlsrpt_day today, closed;
	bool has_closed, sending, stopping;
	uint32_t job_count;
	struct {
		struct tls_report_job *job;
		struct tlsrpt_domain *domain;
	} jobs[JOBS_MAX];
	uint32_t left; /* domains of closed that this round has not begun */
	struct timer timer;
	/* on disk */
	bool dirty, saving;
	struct timer save;
	struct io_work work;
	struct buf text;
	int error;
};

static void look(struct tls_reports *r);

struct server *tls_reports_server(const struct tls_reports *r) { return r->server; }
const struct tlsrpt_day *tls_reports_day(const struct tls_reports *r) { return &r->closed; }

static struct io *io_of(const struct tls_reports *r) { return r->server->io; }
static msec period_of(const struct tls_reports *r)
{
	return server_config(r->server)->tls_report.period;
}

static bool is_wanted(const struct tls_reports *r)
{
	return server_config(r->server)->tls_report.from.len > 0;
}

static uint64_t seed(struct tls_reports *r)
{
	uint64_t value;
	io_random(io_of(r), &value, sizeof value);
	return value;
}

/* ---- on disk ---- */

static void complain(struct tls_reports *r, const char *event, const char *why)
{
	struct log *log = r->server->log;
	log_begin(log, LOG_ERROR, STR_NONE, event);
	log_str(log, "path", str_from_c(r->path));
	log_str(log, "why", str_from_c(why));
	log_end(log);
}

static void write_all(struct tls_reports *r)
{
	buf_release(&r->text);
	buf_init(&r->text, FILE_MAX);
	if (r->has_closed) tlsrpt_write(&r->text, &r->closed);
	tlsrpt_write(&r->text, &r->today);
}

static void save_run(struct io_work *work)
{
	struct tls_reports *r = CONTAINER_OF(work, struct tls_reports, work);
	r->error = io_file_save(io_of(r), r->path, buf_str(&r->text));
}

static void changed(struct tls_reports *r);

static void save_done(struct io_work *work)
{
	struct tls_reports *r = CONTAINER_OF(work, struct tls_reports, work);
	r->saving = false;
	buf_release(&r->text);
	if (r->error) complain(r, "tls-report-not-saved", strerror(-r->error));
	if (r->dirty && !r->stopping) changed(r);
}

static void save_fired(struct timer *timer)
{
	struct tls_reports *r = CONTAINER_OF(timer, struct tls_reports, save);
	r->dirty = false;
	r->saving = true;
	write_all(r);
	r->work = (struct io_work){.run = save_run, .done = save_done};
	io_work(r->server->history_workers, &r->work);
}

static void changed(struct tls_reports *r)
{
	r->dirty = true;
	if (r->server->history_workers && !r->saving && !timer_is_set(&r->save))
		io_timer_set(io_of(r), &r->save, io_now(io_of(r)) + SAVE_AFTER_MS);
}

static void save_now(struct tls_reports *r)
{
	io_timer_cancel(io_of(r), &r->save);
	if (!r->dirty) return;
	write_all(r);
	int error = io_file_save(io_of(r), r->path, buf_str(&r->text));
	if (error) complain(r, "tls-report-not-saved", strerror(-error));
}

static void load(struct tls_reports *r)
{
	struct buf text;
	struct tlsrpt_day days[DAYS_KEPT];
	uint32_t count = 0;
	msec wall = io_wall(io_of(r));
	buf_init(&text, FILE_MAX);
	int error = io_file_load(io_of(r), r->path, &text);
	if (error && error != -ENOENT) complain(r, "tls-report-not-read", strerror(-error));
	if (!error && !tlsrpt_read(buf_str(&text), seed(r), days, DAYS_KEPT, &count))
		complain(r, "tls-report-not-read", "some of it makes no sense and is left out");
	buf_release(&text);
	for (uint32_t i = 0; i < count; i++) {
		struct tlsrpt_day *d = &days[i];
		bool is_today = i + 1 == count,
		     stale = d->end + 2 * period_of(r) < wall || d->begin > wall;
		if (stale) {
			tlsrpt_day_release(d);
			continue;
		}
		tlsrpt_day_move(is_today ? &r->today : &r->closed, d);
		if (!is_today) r->has_closed = true;
	}
}

/* ---- telling ---- */

static void job_done(struct tls_reports *r, struct tlsrpt_domain *domain, bool again)
{
	for (uint32_t i = 0; i < r->job_count; i++)
		if (r->jobs[i].domain == domain) r->jobs[i] = r->jobs[--r->job_count];
	if (!again || ++domain->tries >= TRIES_MAX) tlsrpt_domain_end(&r->closed, domain);
	changed(r);
	look(r);
}

static void begin_jobs(struct tls_reports *r)
{
	while (r->left > 0 && r->job_count < JOBS_MAX) {
		struct tlsrpt_domain *domain =
			CONTAINER_OF(r->closed.domains.next, struct tlsrpt_domain, link);
		r->left--;
		list_remove(&domain->link); /* its turn is over */
		list_push_back(&r->closed.domains, &domain->link);
		if (!tlsrpt_worth_telling(domain)) {
			tlsrpt_domain_end(&r->closed, domain);
			continue;
		}
		struct tls_report_job *job = tls_report_begin(r, domain, job_done);
		if (!job) return;
		r->jobs[r->job_count].domain = domain;
		r->jobs[r->job_count++].job = job;
	}
}

static void end_round(struct tls_reports *r)
{
	r->sending = false;
	r->closed.send_at = io_wall(io_of(r)) + period_of(r) / AGAIN;
	if (!list_empty(&r->closed.domains)) return;
	tlsrpt_day_release(&r->closed);
	r->has_closed = false;
}

static void send(struct tls_reports *r)
{
	if (!r->sending) {
		r->sending = true;
		r->left = (uint32_t)r->closed.names.len;
	}
	begin_jobs(r);
	if (r->left == 0 && r->job_count == 0) end_round(r);
}

/* ---- days ---- */

static void open_day(struct tls_reports *r)
{
	msec wall = io_wall(io_of(r)), period = period_of(r), begin = wall - wall % period;
	tlsrpt_day_init(&r->today, begin, begin + period, seed(r));
}

/* Today is over.  What was not told of the day before never will be.  */
static void close_day(struct tls_reports *r)
{
	if (r->has_closed) tlsrpt_day_release(&r->closed);
	tlsrpt_day_move(&r->closed, &r->today);
	r->has_closed = true;
	r->closed.send_at = r->closed.end + (msec)(seed(r) % (uint64_t)(period_of(r) / SPREAD));
	open_day(r);
	changed(r);
}

/* Do what it is time for, and come again when there is more.  */
static void look(struct tls_reports *r)
{
	if (r->stopping || !is_wanted(r)) return;
	msec wall = io_wall(io_of(r));
	if (wall >= r->today.end) {
		r->left = 0; /* of yesterday nothing more is begun */
		if (r->job_count == 0) {
			r->sending = false;
			close_day(r);
		}
	}
	if (r->has_closed && wall >= r->closed.send_at && (r->left || wall < r->today.end)) send(r);
	msec next = r->today.end;
	if (r->has_closed && !r->sending && r->closed.send_at < next) next = r->closed.send_at;
	if (next <= wall) next = wall + SECONDS(1); /* jobs end, and look by themselves */
	io_timer_set(io_of(r), &r->timer, io_now(io_of(r)) + next - wall);
}

static void fired(struct timer *timer) { look(CONTAINER_OF(timer, struct tls_reports, timer)); }

/* ---- counting ---- */

void tls_reports_note(void *context, const struct tlsrpt_session *session)
{
	struct tls_reports *r = context;
	if (!is_wanted(r)) return;
	tlsrpt_note(&r->today, session);
	changed(r);
}

void tls_reports_sent_to(struct tls_reports *r, struct str domain)
{
	tlsrpt_note_own(&r->today, domain);
}

/* ---- begin and end ---- */

struct tls_reports *tls_reports_new(struct server *s)
{
	struct tls_reports *r = calloc(1, sizeof *r);
	if (!r) return NULL;
	struct buf path;
	buf_init(&path, 4096);
	buf_printf(&path, STR_FMT "/tls-report", STR_ARG(server_config(s)->state));
	buf_add_c(&path, '\0');
	if (!buf_ok(&path)) {
		free(r);
		return NULL;
	}
	r->server = s;
	r->path = path.ptr;
	r->timer.fire = fired;
	r->save.fire = save_fired;
	load(r);
	if (!r->today.end) open_day(r);
	look(r);
	return r;
}

void tls_reports_configure(struct tls_reports *r)
{
	if (r) look(r);
}

void tls_reports_stop(struct tls_reports *r)
{
	if (!r) return;
	r->stopping = true;
	io_timer_cancel(io_of(r), &r->timer);
	while (r->job_count) tls_report_drop(r->jobs[--r->job_count].job);
}

void tls_reports_free(struct tls_reports *r)
{
	if (!r) return;
	save_now(r);
	tlsrpt_day_release(&r->today);
	if (r->has_closed) tlsrpt_day_release(&r->closed);
	buf_release(&r->text);
	free(r->path);
	free(r);
}
