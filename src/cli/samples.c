#include "cli/bench.h"

void samples_add(struct samples *s, int64_t us)
{
	if (s->count == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 4096;
		uint32_t *grown = realloc(s->us, cap * sizeof *grown);
		if (!grown) return; /* the percentiles are then of those before */
		s->us = grown;
		s->cap = cap;
	}
	s->us[s->count++] = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

void samples_sort(struct samples *s)
{
	if (s->count) qsort(s->us, s->count, sizeof *s->us, compare);
}

uint32_t samples_percentile(const struct samples *s, double p)
{
	if (!s->count) return 0;
	size_t at = (size_t)(p / 100 * (double)s->count);
	return s->us[at < s->count ? at : s->count - 1];
}
