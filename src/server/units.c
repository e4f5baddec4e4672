#include "server/units.h"

/* ---- numbers ---- */

/* Digits at the front of *s, with up to three behind a point, as thousandths.  */
static bool take_thousandths(struct str *s, uint64_t *ret)
{
	size_t digits = 0;
	while (digits < s->len && ascii_digit(s->ptr[digits])) digits++;
	uint64_t value, scale = 100;
	if (!str_to_u64(str_head(*s, digits), INT64_MAX / 1000 / 2, &value)) return false;
	value *= 1000;
	*s = str_skip(*s, digits);
	if (!s->len || s->ptr[0] != '.') return *ret = value, true;
	*s = str_skip(*s, 1);
	if (!s->len || !ascii_digit(s->ptr[0])) return false;
	for (; s->len && ascii_digit(s->ptr[0]); scale /= 10, *s = str_skip(*s, 1))
		value += (uint64_t)(s->ptr[0] - '0') * scale;
	return *ret = value, true;
}

/* The letters at the front of *s.  */
static struct str take_unit(struct str *s)
{
	size_t letters = 0;
	while (letters < s->len && ascii_alpha(s->ptr[letters])) letters++;
	struct str unit = str_head(*s, letters);
	*s = str_skip(*s, letters);
	return unit;
}

static bool unit_length(struct str unit, msec *ret)
{
	static const struct {
		struct str name;
		msec length;
	} units[] = {
		{STR("ms"), 1},
		{STR("s"), SECONDS(1)},
		{STR(""), SECONDS(1)},
		{STR("m"), MINUTES(1)},
		{STR("min"), MINUTES(1)},
		{STR("h"), HOURS(1)},
		{STR("d"), DAYS(1)},
		{STR("w"), DAYS(7)},
	};
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (str_ieq(unit, units[i].name)) return *ret = units[i].length, true;
	return false;
}

bool units_time(struct str s, msec *ret)
{
	msec total = 0;
	if (!s.len) return false;
	while (s.len) {
		uint64_t thousandths;
		msec length;
		if (!take_thousandths(&s, &thousandths)) return false;
		if (!unit_length(take_unit(&s), &length)) return false;
		msec part;
		if (__builtin_mul_overflow((msec)thousandths, length, &part)) return false;
		if (__builtin_add_overflow(total, part / 1000, &total)) return false;
	}
	*ret = total;
	return true;
}

bool units_size(struct str s, uint64_t *ret)
{
	static const char units[] = "kmgt";
	size_t digits = 0;
	while (digits < s.len && ascii_digit(s.ptr[digits])) digits++;
	uint64_t value;
	if (!str_to_u64(str_head(s, digits), INT64_MAX, &value)) return false;
	struct str unit = str_skip(s, digits);
	if (unit.len > 1 && ascii_lower(unit.ptr[unit.len - 1]) == 'b') unit.len--;
	if (unit.len > 1) return false;
	const char *found = unit.len ? strchr(units, ascii_lower(unit.ptr[0])) : NULL;
	if (unit.len && (!found || !*found)) return false;
	unsigned shift = found ? 10 * (unsigned)(found - units + 1) : 0;
	if (value > (uint64_t)INT64_MAX >> shift) return false;
	*ret = value << shift;
	return true;
}

bool units_rate(struct str s, uint32_t *ret_count, msec *ret_per)
{
	struct str count;
	uint64_t value;
	bool slash = str_cut(&s, '/', &count);
	if (!str_to_u64(str_trim(count), UINT32_MAX, &value)) return false;
	if (!slash && value) return false;
	msec per = SECONDS(1);
	struct str time = str_trim(s);
	if (slash && !(time.len && unit_length(time, &per)) && !units_time(time, &per))
		return false;
	if (per <= 0) return false;
	*ret_count = (uint32_t)value;
	*ret_per = per;
	return true;
}

/* ---- host and port ---- */

static bool read_port(struct str s, uint16_t *ret)
{
	uint64_t port;
	if (!str_to_u64(s, UINT16_MAX, &port)) return false;
	*ret = (uint16_t)port;
	return true;
}

bool units_host_port(struct str s, uint16_t port_default, struct str *ret_host, uint16_t *ret_port)
{
	*ret_port = port_default;
	if (str_starts(s, STR("["))) {
		size_t close = str_find(s, ']');
		if (close == s.len || close == 1) return false;
		*ret_host = str_of(s.ptr + 1, close - 1);
		struct str rest = str_skip(s, close + 1);
		return !rest.len || (rest.ptr[0] == ':' && read_port(str_skip(rest, 1), ret_port));
	}
	size_t colon = str_find(s, ':');
	bool one = colon < s.len && colon == str_rfind(s, ':');
	*ret_host = one ? str_head(s, colon) : s;
	if (!ret_host->len) return false;
	return !one || read_port(str_skip(s, colon + 1), ret_port);
}

/* ---- words ---- */

static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

unsigned units_distance(struct str a, struct str b)
{
	enum { LONG = 64 };
	unsigned rows[3][LONG + 1];
	unsigned *older = rows[0], *old = rows[1], *row = rows[2];
	a = str_head(a, LONG), b = str_head(b, LONG);
	for (size_t j = 0; j <= b.len; j++) old[j] = (unsigned)j;
	for (size_t i = 1; i <= a.len; i++) {
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b.len; j++) {
			char x = ascii_lower(a.ptr[i - 1]), y = ascii_lower(b.ptr[j - 1]);
			row[j] = least(least(old[j], row[j - 1]) + 1, old[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == ascii_lower(b.ptr[j - 2]) &&
				y == ascii_lower(a.ptr[i - 2]))
				row[j] = least(row[j], older[j - 2] + 1);
		}
		unsigned *oldest = older;
		older = old, old = row, row = oldest;
	}
	return old[b.len];
}

bool units_near(struct str word, unsigned distance)
{
	return distance <= 1 || distance <= word.len / 3;
}
