#include "queue/rate.h"

void rate_init(struct rate *r, struct route_rate limit)
{
	*r = (struct rate){.limit = limit};
	if (limit.per <= 0) r->limit.messages = 0;
	if (r->limit.messages == 0) return;
	r->burst = (int64_t)limit.messages * 1000 / limit.per;
	if (r->burst < 1) r->burst = 1;
}

void rate_limit(struct rate *r, struct route_rate limit, msec now)
{
	if (r->limit.messages == limit.messages && r->limit.per == limit.per) return;
	msec owed = rate_full(r) - now;
	rate_init(r, limit);
	if (r->limit.messages && owed > 0) {
		if (owed > r->limit.per) owed = r->limit.per;
		r->full = (__int128)(now + owed) * r->limit.messages;
	}
}

static __int128 divide_up(__int128 a, uint32_t b) { return (a + b - 1) / b; }

uint32_t rate_tokens(const struct rate *r, msec now)
{
	if (r->limit.messages == 0) return UINT32_MAX;
	__int128 ahead = r->full - (__int128)now * r->limit.messages;
	__int128 room = (__int128)r->burst * r->limit.per - (ahead > 0 ? ahead : 0);
	return room > 0 ? (uint32_t)(room / r->limit.per) : 0;
}

msec rate_when(const struct rate *r)
{
	if (r->limit.messages == 0) return 0;
	__int128 at = r->full - (__int128)(r->burst - 1) * r->limit.per;
	return at > 0 ? (msec)divide_up(at, r->limit.messages) : 0;
}

msec rate_full(const struct rate *r)
{
	return r->limit.messages ? (msec)divide_up(r->full, r->limit.messages) : 0;
}

void rate_take(struct rate *r, msec now)
{
	if (r->limit.messages == 0) return;
	__int128 from = (__int128)now * r->limit.messages;
	if (r->full < from) r->full = from;
	r->full += r->limit.per;
}
