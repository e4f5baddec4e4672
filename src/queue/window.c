#include "queue/window.h"

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

void window_init(struct window *w, uint32_t max)
{
	if (max == 0) max = 1;
	*w = (struct window){.size = least(WINDOW_START, max), .max = max, .threshold = max};
}

void window_limit(struct window *w, uint32_t max)
{
	if (max == 0) max = 1;
	if (w->threshold == w->max || w->threshold > max) w->threshold = max;
	w->max = max;
	w->size = least(w->size, max);
}

void window_served(struct window *w)
{
	if (w->grace) w->grace--;
	if (w->size >= w->max) return;
	if (w->size >= w->threshold && ++w->successes < w->size) return;
	w->successes = 0;
	w->size++;
}

void window_failed(struct window *w, uint32_t under_way)
{
	w->successes = 0;
	if (w->grace) {
		w->grace--;
		return;
	}
	w->grace = under_way > 1 ? under_way - 1 : 0;
	if (w->size > 1) w->size /= 2;
	w->threshold = w->size;
}
