#include "server/complaints.h"

#include <stdarg.h>

enum { COMPLAINT_MAX = 1024 };

void complain(struct complaints *c, struct place place, const char *format, ...)
{
	char text[COMPLAINT_MAX];
	va_list arguments;
	va_start(arguments, format);
	int len = vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	c->count++; /* counts also when there is no memory to say it */

	struct complaint *one = arena_alloc(c->arena, sizeof *one);
	if (!one) return;
	size_t kept = len < 0 ? 0 : (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
	if (!arena_copy(c->arena, str_of(text, kept), &one->text)) return;
	one->place = place;
	one->order = c->count;
	one->next = c->newest;
	c->newest = one;
}

/* By file, then line, then as they came.  */
static int compare(const void *a, const void *b)
{
	const struct complaint *x = *(const struct complaint *const *)a;
	const struct complaint *y = *(const struct complaint *const *)b;
	const char *xf = x->place.file ? x->place.file : "",
		   *yf = y->place.file ? y->place.file : "";
	int order = strcmp(xf, yf);
	if (order) return order;
	if (x->place.line != y->place.line) return x->place.line < y->place.line ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static void print_one(const struct complaint *c, struct buf *out)
{
	if (c->place.file) buf_printf(out, "%s:", c->place.file);
	if (c->place.file && c->place.line) buf_printf(out, "%u:", c->place.line);
	if (c->place.file) buf_add_c(out, ' ');
	buf_add(out, c->text);
	buf_add_c(out, '\n');
}

void complaints_print(const struct complaints *c, struct buf *out)
{
	if (!c->count) return;
	const struct complaint **all = arena_alloc(c->arena, c->count * sizeof *all);
	if (!all) {
		buf_add(out,
			STR("the configuration is wrong, and there is no memory to say how\n"));
		return;
	}
	size_t count = 0;
	for (const struct complaint *one = c->newest; one; one = one->next) all[count++] = one;
	qsort(all, count, sizeof *all, compare);
	for (size_t i = 0; i < count; i++) print_one(all[i], out);
}
