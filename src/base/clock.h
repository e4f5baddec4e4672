/* Times are milliseconds: monotonic (`now`, `at`) or since 1970 (`wall`), never mixed.  */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/buf.h"

typedef int64_t msec;

#define MSEC_NEVER INT64_MAX
#define SECONDS(n) ((msec)(n)*1000)
#define MINUTES(n) SECONDS((n)*60)
#define HOURS(n) MINUTES((n)*60)
#define DAYS(n) HOURS((n)*24)

/* Append wall in UTC: "Sun, 22 Nov 2026 05:12:47 +0000" (RFC 5322 3.3).  */
void clock_add_rfc5322(struct buf *out, msec wall);
/* Append "2026-11-22T05:12:47.123Z" (RFC 3339).  */
void clock_add_rfc3339(struct buf *out, msec wall);
/* Read an RFC 3339 date-time, fraction optional, any offset.  */
bool clock_parse_rfc3339(struct str s, msec *ret_wall);
/* Append a length of time as people say it: "350ms", "5s", "1h 4m".  */
void clock_add_span(struct buf *out, msec span);

#endif
