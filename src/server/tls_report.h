/* Reports about TLS (RFC 8460): what came of it with other domains is counted all day, and told to those that ask for it, in
 * the first hours of the next.  */
#ifndef SERVER_TLS_REPORT_H
#define SERVER_TLS_REPORT_H

#include "route/tlsrpt.h"
#include "server/parts.h"

/* For struct outbound_parts; context is the struct tls_reports.  */
void tls_reports_note(void *context, const struct tlsrpt_session *session);

/* Does nothing as long as the configuration in force wants no reports.  NULL: no memory.  */
struct tls_reports *tls_reports_new(struct server *s);
/* There is another configuration.  */
void tls_reports_configure(struct tls_reports *r);
/* Nothing new is begun; what waits for the spool still ends.  */
void tls_reports_stop(struct tls_reports *r);
/* After the spool is closed and the workers are stopped.  */
void tls_reports_free(struct tls_reports *r);

/* ---- tls_report_mail.c ---- */

struct tls_report_letter {
	struct str from, to, submitter, domain, id;
	msec begin, end, now;
	struct str gzip;
};
/* Append the message (RFC 8460 5.3).  */
void tls_report_compose(struct buf *out, const struct tls_report_letter *l);
/* Append what is compressed of octets (RFC 1952).  False: no memory.  */
bool tls_report_gzip(struct buf *out, struct str octets);

/* ---- tls_report_job.c: one domain's report, to each who wants it ---- */

struct tls_report_job;
/* done: the report is with all who want it, or nobody does (`again` false), or is to be tried later.  Not before this
 * returns.  NULL: no memory.  */
struct tls_report_job *tls_report_begin(struct tls_reports *r, struct tlsrpt_domain *domain,
	void (*done)(struct tls_reports *r, struct tlsrpt_domain *domain, bool again));
/* `done` does not come any more.  */
void tls_report_drop(struct tls_report_job *job);

/* tls_report.c, for the jobs.  */
struct server *tls_reports_server(const struct tls_reports *r);
const struct tlsrpt_day *tls_reports_day(const struct tls_reports *r);
void tls_reports_sent_to(struct tls_reports *r, struct str domain);

#endif
