#include "policy/usage.h"

#include "policy/accounts.h"

#include <stdio.h>
#include <stdlib.h>

enum { USUAL_DAYS = 14, ACCOUNTS_MAX = 1000 * 1000 };

void usage_init(struct usage *u, uint64_t seed)
{
	*u = (struct usage){0};
	map_init(&u->accounts, seed);
}

void usage_release(struct usage *u)
{
	for (struct map_node *n; (n = map_next(&u->accounts, NULL));) {
		struct usage_account *a = CONTAINER_OF(n, struct usage_account, node);
		map_remove(&u->accounts, n);
		free((void *)a->name.ptr);
		free(a);
	}
	map_release(&u->accounts);
}

/* ---- accounts ---- */

static struct usage_account *find(const struct usage *u, struct str name)
{
	struct map_node *n = map_find(&u->accounts, name);
	return n ? CONTAINER_OF(n, struct usage_account, node) : NULL;
}

const struct usage_account *usage_find(const struct usage *u, struct str account)
{
	return find(u, account);
}

static struct usage_account *enter(struct usage *u, struct str name, msec wall)
{
	struct usage_account *a = find(u, name);
	if (a || !account_name_valid(name) || u->accounts.len >= ACCOUNTS_MAX) return a;
	a = calloc(1, sizeof *a);
	char *copy = malloc(name.len);
	if (a && copy) {
		for (size_t i = 0; i < name.len; i++) copy[i] = ascii_lower(name.ptr[i]);
		a->name = str_of(copy, name.len);
		a->at = wall;
		if (map_insert(&u->accounts, &a->node, a->name)) return a;
	}
	free(copy);
	free(a);
	return NULL;
}

static bool is_exempt(const struct usage *u, struct str account)
{
	size_t at = str_rfind(account, '@');
	for (uint32_t i = 0; i < u->options.exempt_count; i++) {
		struct str one = u->options.exempt[i];
		if (str_ieq(one, account)) return true;
		if (one.ptr[0] == '@' && at < account.len && str_ieq(one, str_skip(account, at)))
			return true;
	}
	return false;
}

/* ---- time ---- */

/* What is left of 1 when so much time has passed: e to the power of -passed/span.  */
static double fade(msec passed, msec span)
{
	double x = (double)passed / (double)span;
	if (x > 64) return 0;
	double f = 1 - x / 1024;
	for (int i = 0; i < 10; i++) f *= f;
	return f;
}

static double drain(double level, struct usage_rate rate, msec passed)
{
	if (!rate.count || rate.per <= 0) return 0;
	level -= (double)passed * rate.count / (double)rate.per;
	return level > 0 ? level : 0;
}

static void fade_trend(struct usage_trend *t, msec passed)
{
	t->recent *= fade(passed, DAYS(1));
	t->usual *= fade(passed, DAYS(USUAL_DAYS));
}

/* A clock that was put back stops it for as long.  */
static struct usage_account now(const struct usage *u, const struct usage_account *a, msec wall)
{
	struct usage_account copy = *a;
	msec passed = wall - a->at;
	if (passed <= 0) return copy;
	copy.messages = drain(a->messages, u->options.messages, passed);
	copy.recipients = drain(a->recipients, u->options.recipients, passed);
	fade_trend(&copy.sent, passed);
	fade_trend(&copy.failed, passed);
	copy.at = wall;
	return copy;
}

/* ---- limits ---- */

static bool fits(double level, uint32_t more, struct usage_rate rate)
{
	return !rate.count || level + more <= rate.count;
}

static enum usage_verdict judge(
	const struct usage *u, const struct usage_account *a, uint32_t recipients)
{
	if (a->held) return USAGE_HELD;
	if (is_exempt(u, a->name)) return USAGE_FINE;
	if (!fits(a->messages, 1, u->options.messages)) return USAGE_MESSAGES;
	return fits(a->recipients, recipients, u->options.recipients) ? USAGE_FINE
								      : USAGE_RECIPIENTS;
}

enum usage_verdict usage_ask(
	const struct usage *u, struct str account, uint32_t recipients, msec wall)
{
	const struct usage_account *a = find(u, account);
	if (!a)
		return fits(0, recipients, u->options.recipients) || is_exempt(u, account)
			? USAGE_FINE
			: USAGE_RECIPIENTS;
	struct usage_account copy = now(u, a, wall);
	return judge(u, &copy, recipients);
}

/* ---- the breaker ---- */

/* Count; whether that is far more than usual.  What is being counted is no part of what was usual before.  */
static bool surges(const struct usage *u, struct usage_trend *t, uint32_t count, uint32_t least)
{
	t->recent += count;
	t->usual += (double)count / USUAL_DAYS;
	double usual = t->usual - t->recent / USUAL_DAYS;
	if (usual < 0) usual = 0;
	return u->options.surge && t->recent > least && t->recent > usual * u->options.surge;
}

static void hold(struct usage *u, struct usage_account *a, const struct usage_trend *t,
	const char *what, msec wall)
{
	double usual = t->usual - t->recent / USUAL_DAYS;
	snprintf(a->why, sizeof a->why, "%.0f %s in about a day, usually %.0f", t->recent, what,
		usual > 0 ? usual : 0);
	a->held = wall > 0 ? wall : 1;
	if (u->held) u->held(a, u->context);
}

enum usage_verdict usage_take(struct usage *u, struct str account, uint32_t recipients, msec wall)
{
	struct usage_account *a = enter(u, account, wall);
	if (!a) return USAGE_FINE;
	struct usage_account next = now(u, a, wall);
	enum usage_verdict verdict = judge(u, &next, recipients);
	if (verdict != USAGE_FINE) return verdict;
	bool surge = surges(u, &next.sent, recipients, u->options.surge_recipients);
	next.messages += 1;
	next.recipients += recipients;
	u->changed = true;
	*a = next;
	if (!surge || is_exempt(u, account)) return USAGE_FINE;
	hold(u, a, &a->sent, "recipients", wall);
	return USAGE_HELD;
}

void usage_failed(struct usage *u, struct str account, msec wall)
{
	struct usage_account *a = enter(u, account, wall);
	if (!a) return;
	*a = now(u, a, wall);
	u->changed = true;
	bool surge = surges(u, &a->failed, 1, u->options.surge_failures);
	if (surge && !a->held && !is_exempt(u, account))
		hold(u, a, &a->failed, "failing recipients", wall);
}

bool usage_is_held(const struct usage *u, struct str account)
{
	const struct usage_account *a = find(u, account);
	return a && a->held;
}

static void get_used_to(struct usage_trend *t)
{
	double usual = t->recent + t->recent / USUAL_DAYS;
	if (t->usual < usual) t->usual = usual;
}

bool usage_free(struct usage *u, struct str account, msec wall)
{
	struct usage_account *a = find(u, account);
	if (!a || !a->held) return false;
	*a = now(u, a, wall);
	get_used_to(&a->sent);
	get_used_to(&a->failed);
	a->held = 0;
	u->changed = true;
	if (u->released) u->released(a, u->context);
	return true;
}

/* ---- on disk ---- */

static const struct str first_line = STR("# rockdove usage 1\n");

static uint64_t thousandths(double v) { return v > 0 && v < 1e15 ? (uint64_t)(v * 1000) : 0; }

/* Thousandths, and the time; then since when and why it is held.  */
bool usage_store(struct usage *u, struct buf *out)
{
	u->changed = false;
	buf_add(out, first_line);
	for (struct map_node *n = NULL; (n = map_next(&u->accounts, n));) {
		const struct usage_account *a = CONTAINER_OF(n, struct usage_account, node);
		const double numbers[] = {a->messages, a->recipients, a->sent.recent, a->sent.usual,
			a->failed.recent, a->failed.usual};
		buf_printf(out, STR_FMT " %lld", STR_ARG(a->name), (long long)a->at);
		for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
			buf_add_c(out, ' ');
			buf_add_u64(out, thousandths(numbers[i]));
		}
		buf_printf(out, " %lld %s\n", (long long)a->held, a->held ? a->why : "");
	}
	return buf_ok(out);
}

static bool take_number(struct str *line, uint64_t *ret)
{
	struct str word;
	str_cut(line, ' ', &word);
	return str_to_u64(word, INT64_MAX / 2, ret);
}

static bool load_line(struct usage *u, struct str line)
{
	struct str name;
	uint64_t at, held, n[6];
	str_cut(&line, ' ', &name);
	if (!take_number(&line, &at)) return false;
	for (size_t i = 0; i < ARRAY_LEN(n); i++)
		if (!take_number(&line, &n[i])) return false;
	if (!take_number(&line, &held)) return false;
	struct usage_account *a = enter(u, name, 0);
	if (!a) return false;
	a->at = (msec)at;
	a->messages = (double)n[0] / 1000;
	a->recipients = (double)n[1] / 1000;
	a->sent = (struct usage_trend){(double)n[2] / 1000, (double)n[3] / 1000};
	a->failed = (struct usage_trend){(double)n[4] / 1000, (double)n[5] / 1000};
	a->held = (msec)held;
	snprintf(a->why, sizeof a->why, STR_FMT, STR_ARG(str_head(line, USAGE_WHY - 1)));
	return true;
}

bool usage_load(struct usage *u, struct str text, struct buf *why)
{
	struct str line;
	unsigned number = 0;
	for (bool more = true; more;) {
		more = str_cut(&text, '\n', &line);
		number++;
		if (line.len == 0 || line.ptr[0] == '#' || load_line(u, line)) continue;
		buf_printf(why, "line %u makes no sense", number);
		return false;
	}
	return true;
}
