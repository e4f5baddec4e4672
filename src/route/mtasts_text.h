/* The two texts of MTA-STS (RFC 8461): the TXT record, which says that there is a policy and which one,
 * and the policy itself.  Pure.  */
#ifndef ROUTE_MTASTS_TEXT_H
#define ROUTE_MTASTS_TEXT_H

#include "base/buf.h"
#include "route/security.h"

enum { MTASTS_ID_MAX = 32, MTASTS_MX_MAX = 128, MTASTS_AGE_MAX = 31557600 };

/* What _mta-sts.DOMAIN says.  */
struct mtasts_record {
	uint32_t count; /* records that are meant for us; one is wanted */
	bool valid;     /* the last of them is */
	char id[MTASTS_ID_MAX + 1];
};
/* Take one TXT record into *r, which is all zeros before the first.  rdata: as DNS has it.
 * Source: RFC 8461 3.1; RFC 1035 3.3.14.  */
void mtasts_take_record(struct mtasts_record *r, struct str rdata);
/* Whether the domain says, without contradiction, that there is a policy: its id counts.  */
static inline bool mtasts_record_found(const struct mtasts_record *r)
{
	return r->count == 1 && r->valid;
}

/* A policy; its strs are borrowed from the text.  */
struct mtasts_policy {
	enum sts_mode mode;
	uint32_t max_age; /* s */
	uint32_t mx_count;
	struct str mx[MTASTS_MX_MAX];
};
/* Read a whole policy; lines end with CRLF or LF.  Unknown fields are passed over, of a field that may
 * stand once the first counts.  NULL, or what is wrong with it.  Source: RFC 8461 3.2.  */
const char *mtasts_read_policy(struct str text, struct mtasts_policy *ret);
/* The same as a policy's lines, each behind `indent` and ended with LF.  */
void mtasts_write_policy(struct buf *out, const struct mtasts_policy *policy, const char *indent);

/* "testing", "enforce", "none".  */
const char *mtasts_mode_name(enum sts_mode mode);

#endif
