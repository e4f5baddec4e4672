#include "base/clock.h"

enum { DAYS_IN_400_YEARS = 146097 };

struct civil {
	int64_t year;
	int month, day; /* from 1 */
	int weekday;    /* 0 is Sunday */
	int hour, minute, second, ms;
};

/* Days since 1970-01-01.  Years count from March, so that the leap day is a year's last.  */
static int64_t days_from_civil(int64_t year, int month, int day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * DAYS_IN_400_YEARS + day_of_era - 719468; /* 719468: from 0000-03-01 to 1970 */
}

static struct civil civil_from_wall(msec wall)
{
	int64_t days = wall / DAYS(1), rest = wall % DAYS(1);
	if (rest < 0) days--, rest += DAYS(1);
	struct civil c = {
		.weekday = (int)((days % 7 + 7 + 4) % 7), /* 1970-01-01 was a Thursday */
		.hour = (int)(rest / HOURS(1)),
		.minute = (int)(rest / MINUTES(1) % 60),
		.second = (int)(rest / 1000 % 60),
		.ms = (int)(rest % 1000),
	};
	days += 719468;
	int64_t era = (days >= 0 ? days : days - (DAYS_IN_400_YEARS - 1)) / DAYS_IN_400_YEARS;
	int64_t of_era = days - era * DAYS_IN_400_YEARS;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * of_year + 2) / 153; /* 0 is March */
	c.day = (int)(of_year - (153 * month + 2) / 5 + 1);
	c.month = (int)(month < 10 ? month + 3 : month - 9);
	c.year = year + era * 400 + (c.month <= 2);
	return c;
}

void clock_add_rfc5322(struct buf *out, msec wall)
{
	static const char weekdays[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct civil c = civil_from_wall(wall);
	buf_printf(out, "%.3s, %d %.3s %04lld %02d:%02d:%02d +0000", weekdays + 3 * c.weekday,
		c.day, months + 3 * (c.month - 1), (long long)c.year, c.hour, c.minute, c.second);
}

void clock_add_rfc3339(struct buf *out, msec wall)
{
	struct civil c = civil_from_wall(wall);
	buf_printf(out, "%04lld-%02d-%02dT%02d:%02d:%02d.%03dZ", (long long)c.year, c.month, c.day,
		c.hour, c.minute, c.second, c.ms);
}

/* Exactly `digits` decimal digits, at most max, and then the mark (none when 0).  */
static bool take_number(struct str *s, size_t digits, int max, char mark, int *ret_value)
{
	uint64_t value;
	size_t len = digits + (mark != 0);
	if (s->len < len || (mark && s->ptr[digits] != mark)) return false;
	if (!str_to_u64(str_head(*s, digits), (uint64_t)max, &value)) return false;
	*s = str_skip(*s, len);
	*ret_value = (int)value;
	return true;
}

static bool take_fraction(struct str *s, int *ret_ms)
{
	*ret_ms = 0;
	if (s->len == 0 || s->ptr[0] != '.') return true;
	size_t n = 1;
	for (int unit = 100; n < s->len && ascii_digit(s->ptr[n]); n++, unit /= 10)
		*ret_ms += (s->ptr[n] - '0') * unit;
	*s = str_skip(*s, n);
	return n > 1;
}

/* "Z" or "+hh:mm", all that is left.  */
static bool take_offset(struct str s, msec *ret_offset)
{
	*ret_offset = 0;
	if (str_ieq(s, STR("Z"))) return true;
	if (s.len != 6 || (s.ptr[0] != '+' && s.ptr[0] != '-')) return false;
	msec sign = s.ptr[0] == '-' ? -1 : 1;
	s = str_skip(s, 1);
	int hours, minutes;
	if (!take_number(&s, 2, 23, ':', &hours) || !take_number(&s, 2, 59, 0, &minutes))
		return false;
	*ret_offset = sign * (HOURS(hours) + MINUTES(minutes));
	return true;
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[month - 1] + (month == 2 && leap);
}

static bool take_date(struct str *s, int64_t *ret_days)
{
	int year, month, day;
	if (!take_number(s, 4, 9999, '-', &year)) return false;
	if (!take_number(s, 2, 12, '-', &month) || month < 1) return false;
	if (!take_number(s, 2, days_in_month(year, month), 0, &day) || day < 1) return false;
	*ret_days = days_from_civil(year, month, day);
	return true;
}

bool clock_parse_rfc3339(struct str s, msec *ret_wall)
{
	int64_t days;
	int hour, minute, second, ms;
	msec offset;
	if (!take_date(&s, &days)) return false;
	if (s.len == 0 || ascii_lower(s.ptr[0]) != 't') return false;
	s = str_skip(s, 1);
	if (!take_number(&s, 2, 23, ':', &hour) || !take_number(&s, 2, 59, ':', &minute))
		return false;
	if (!take_number(&s, 2, 60, 0, &second)) return false; /* 60: a leap second */
	if (!take_fraction(&s, &ms) || !take_offset(s, &offset)) return false;
	*ret_wall = DAYS(days) + HOURS(hour) + MINUTES(minute) + SECONDS(second) + ms - offset;
	return true;
}

void clock_add_span(struct buf *out, msec span)
{
	static const struct {
		uint64_t ms;
		const char *name;
	} units[] = {{DAYS(1), "d"}, {HOURS(1), "h"}, {MINUTES(1), "m"}, {SECONDS(1), "s"}};

	if (span == MSEC_NEVER) {
		buf_add(out, STR("never"));
		return;
	}
	if (span < 0) buf_add_c(out, '-');
	uint64_t left = span < 0 ? -(uint64_t)span : (uint64_t)span;
	if (left < 1000) {
		buf_printf(out, "%ums", (unsigned)left);
		return;
	}
	if (left < (uint64_t)MINUTES(1)) {
		unsigned tenths = (unsigned)(left % 1000 / 100);
		buf_add_u64(out, left / 1000);
		if (tenths) buf_printf(out, ".%u", tenths);
		buf_add_c(out, 's');
		return;
	}
	/* The largest unit and the one below it: more is noise.  */
	size_t i = 0;
	while (left < units[i].ms) i++;
	buf_printf(out, "%llu%s", (unsigned long long)(left / units[i].ms), units[i].name);
	left = left % units[i].ms / units[i + 1].ms;
	if (left) buf_printf(out, " %llu%s", (unsigned long long)left, units[i + 1].name);
}
