#include "route/exception.h"

bool tls_exception_day(struct str day, msec *ret_end)
{
	struct buf text;
	msec begin;
	if (day.len != 10) return false;
	buf_init(&text, 32);
	buf_add(&text, day);
	buf_add(&text, STR("T00:00:00Z"));
	bool fine = clock_parse_rfc3339(buf_str(&text), &begin);
	buf_release(&text);
	if (fine) *ret_end = begin + DAYS(1);
	return fine;
}

static bool covers(const struct tls_exception *e, struct str domain)
{
	if (e->domain.len && e->domain.ptr[0] == '.')
		return domain.len > e->domain.len && str_iends(domain, e->domain);
	return str_ieq(domain, e->domain);
}

const struct tls_exception *tls_exception_find(
	const struct tls_exceptions *all, struct str domain, msec wall)
{
	const struct tls_exception *best = NULL;
	for (uint32_t i = 0; i < all->count; i++) {
		const struct tls_exception *e = &all->list[i];
		if (wall >= e->end || !covers(e, domain)) continue;
		if (!best || e->domain.len > best->domain.len) best = e;
	}
	return best;
}
