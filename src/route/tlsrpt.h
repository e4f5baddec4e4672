/* What came of TLS with the hosts of other domains, counted for the daily reports that they ask for
 * (RFC 8460).  A day is data alone: who sends reports, and when, is in server/.  */
#ifndef ROUTE_TLSRPT_H
#define ROUTE_TLSRPT_H

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/net.h"
#include "route/mtasts.h"

/* RFC 8460 4.3.  */
enum tlsrpt_result {
	TLSRPT_SUCCESS,
	TLSRPT_STARTTLS_NOT_SUPPORTED,
	TLSRPT_HOST_MISMATCH,
	TLSRPT_EXPIRED,
	TLSRPT_NOT_TRUSTED,
	TLSRPT_VALIDATION_FAILURE, /* what no other one says */
	TLSRPT_TLSA_INVALID,
	TLSRPT_DNSSEC_INVALID,
	TLSRPT_DANE_REQUIRED,
	TLSRPT_STS_FETCH_ERROR,
	TLSRPT_STS_INVALID,
	TLSRPT_STS_WEBPKI,
	TLSRPT_RESULTS
};
/* "certificate-expired"; of TLSRPT_SUCCESS "".  */
const char *tlsrpt_result_name(enum tlsrpt_result result);

enum tlsrpt_policy { TLSRPT_NO_POLICY, TLSRPT_STS, TLSRPT_TLSA };

/* One session with a host, or why there was none.  All borrowed.  */
struct tlsrpt_session {
	struct str domain; /* of the recipients, A-labels */
	enum tlsrpt_policy policy;
	const struct mtasts_known *sts; /* STS; NULL: it could not be fetched */
	const struct tls_tlsa *tlsa;    /* TLSA */
	uint32_t tlsa_count;
	enum tlsrpt_result result;
	struct str host;                        /* the exchanger; empty: none */
	const struct net_address *peer, *local; /* NULL: no connection */
	struct str words;
};

/* ---- counts ---- */

struct tlsrpt_failure {
	struct list link;
	enum tlsrpt_result result;
	uint64_t count;
	struct net_address peer, local; /* NET_NONE: no connection */
	char host[256];
	char words[160];
};

struct tlsrpt_counts {
	struct list link;
	enum tlsrpt_policy policy;
	struct str text; /* of the policy: lines, each ended with LF */
	uint64_t succeeded, failed;
	uint32_t failure_count;
	struct list failures; /* the kinds of them; of too many some are only in `failed` */
};

enum { TLSRPT_URIS_MAX = 4 };

struct tlsrpt_domain {
	struct map_node node;
	struct list link;
	char name[256];
	uint64_t own;  /* so many reports of ours went there; alone they are worth no report */
	unsigned sent; /* bits: its URIs that have the report */
	unsigned tries;
	uint32_t policy_count;
	struct list policies; /* struct tlsrpt_counts */
};

struct tlsrpt_day {
	msec begin, end, send_at; /* wall; end is not in it */
	struct map names;
	struct list domains; /* struct tlsrpt_domain */
	size_t octets;       /* of memory; bounded */
};

void tlsrpt_day_init(struct tlsrpt_day *d, msec begin, msec end, uint64_t seed);
void tlsrpt_day_release(struct tlsrpt_day *d);
/* All that is in from goes to `to`, which had nothing; from has nothing then.  */
void tlsrpt_day_move(struct tlsrpt_day *to, struct tlsrpt_day *from);
/* Count; what there is no room for is not.  */
void tlsrpt_note(struct tlsrpt_day *d, const struct tlsrpt_session *session);
/* A report of ours goes to the domain.  */
void tlsrpt_note_own(struct tlsrpt_day *d, struct str domain);
/* There is more to tell than that our own reports arrived.  */
bool tlsrpt_worth_telling(const struct tlsrpt_domain *domain);
void tlsrpt_domain_end(struct tlsrpt_day *d, struct tlsrpt_domain *domain);

/* The days as text, and back; days that are in the text are appended to ret, at most max, and must be
 * released.  False: the text makes no sense (what was understood is there).  */
void tlsrpt_write(struct buf *out, const struct tlsrpt_day *d);
bool tlsrpt_read(
	struct str text, uint64_t seed, struct tlsrpt_day *ret, uint32_t max, uint32_t *ret_count);

/* ---- texts ---- */

/* Where a domain wants its reports: from the TXT records of _smtp._tls.DOMAIN.  */
struct tlsrpt_record {
	uint32_t count; /* records that are meant for us; one is wanted */
	bool valid;
	uint32_t uri_count;
	char uris[TLSRPT_URIS_MAX]
		 [512]; /* "mailto:a@b.example", "https://..."; others are left out */
};
/* Take one TXT record, as DNS has it.  Source: RFC 8460 3.  */
void tlsrpt_take_record(struct tlsrpt_record *r, struct str rdata);
/* The address of a mailto: URI, decoded, without what is behind "?".  False: it is none.  */
bool tlsrpt_mailto(struct str uri, struct buf *ret_address);

struct tlsrpt_about {
	struct str organization, contact, id;
};
/* Append the report: JSON (RFC 8460 4.4).  False: no memory.  */
bool tlsrpt_report(struct buf *out, const struct tlsrpt_about *about, const struct tlsrpt_day *d,
	const struct tlsrpt_domain *domain);

#endif
