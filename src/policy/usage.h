/* What each account sends: its limits, and what is usual for it.  An account that suddenly sends to far more recipients than it
 * usually does, or to far more that do not exist, has been taken over: it is held until the operator releases it.  Times are
 * wall times, for all of this outlives the process.  */
#ifndef POLICY_USAGE_H
#define POLICY_USAGE_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/map.h"

/* So many in any `per`; count 0: no limit.  */
struct usage_rate {
	uint32_t count;
	msec per;
};

struct usage_options {
	struct usage_rate messages, recipients;
	uint32_t surge; /* so many times what is usual in a day; 0: nobody is ever held, */
	uint32_t surge_recipients; /* nor for fewer recipients */
	uint32_t surge_failures;   /* or fewer failing ones */
	const struct str *exempt;  /* accounts, or "@example.com"; kept */
	uint32_t exempt_count;
};

/* Recent: of about a day.  Usual: the same by the day, averaged over about two weeks.  */
struct usage_trend {
	double recent, usual;
};

enum { USAGE_WHY = 120 };

struct usage_account {
	struct map_node node;
	struct str name;             /* lower case */
	double messages, recipients; /* counted against the limits */
	struct usage_trend sent, failed;
	msec at;   /* when the above was true */
	msec held; /* since when; 0: it is not */
	char why[USAGE_WHY];
};

struct usage {
	struct usage_options options;
	struct map accounts;
	bool changed; /* since usage_store */
	void (*held)(const struct usage_account *a, void *context);
	void (*released)(const struct usage_account *a, void *context);
	void *context;
};

void usage_init(struct usage *u, uint64_t seed);
void usage_release(struct usage *u);

enum usage_verdict { USAGE_FINE, USAGE_HELD, USAGE_MESSAGES, USAGE_RECIPIENTS };
/* Whether the account may send one more message to so many recipients.  */
enum usage_verdict usage_ask(
	const struct usage *u, struct str account, uint32_t recipients, msec wall);
/* The same, and it is counted when it may.  This may be the one that has the account held.  */
enum usage_verdict usage_take(struct usage *u, struct str account, uint32_t recipients, msec wall);
/* A recipient of the account's mail has failed for good, which may have it held.  */
void usage_failed(struct usage *u, struct str account, msec wall);
bool usage_is_held(const struct usage *u, struct str account);
/* What the account has sent of late is usual from now on.  False: it is not held.  */
bool usage_free(struct usage *u, struct str account, msec wall);
const struct usage_account *usage_find(const struct usage *u, struct str account);

/* As text, and back; false: which line is wrong is appended to why, and nothing was read from it on.  */
bool usage_store(struct usage *u, struct buf *out);
bool usage_load(struct usage *u, struct str text, struct buf *why);

#endif
