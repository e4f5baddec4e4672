/* The two texts of MTA-STS, the TXT record and the policy: taken or refused with words, bounded; a policy that
 * was read is written and read as the same.  */
#include "fuzz/fuzz.h"

#include "base/utf8.h"
#include "route/mtasts_text.h"

static void check_same(const struct mtasts_policy *a, const struct mtasts_policy *b)
{
	ASSERT(a->mode == b->mode && a->max_age == b->max_age && a->mx_count == b->mx_count);
	for (uint32_t i = 0; i < a->mx_count; i++) ASSERT(str_eq(a->mx[i], b->mx[i]));
}

static void check_policy(struct str in)
{
	static struct mtasts_policy p, again;
	const char *wrong = mtasts_read_policy(in, &p);
	if (wrong) {
		ASSERT(*wrong);
		return;
	}
	ASSERT(p.max_age <= MTASTS_AGE_MAX && p.mx_count <= MTASTS_MX_MAX &&
		mtasts_mode_name(p.mode));
	ASSERT(p.mode == STS_NONE || p.mx_count > 0);
	const struct sts_policy policy = {.mode = p.mode, .mx = p.mx, .mx_count = p.mx_count};
	for (uint32_t i = 0; i < p.mx_count; i++) {
		ASSERT(p.mx[i].len > 0 && fuzz_within(p.mx[i], in));
		if (p.mx[i].ptr[0] != '*') ASSERT(sts_policy_names(&policy, p.mx[i]));
	}
	ASSERT(!sts_policy_names(&policy, STR("")));
	struct buf out;
	buf_init(&out, 2 * in.len + 4096);
	buf_add(&out, STR("version: STSv1\n"));
	size_t head = out.len;
	mtasts_write_policy(&out, &p, "");
	struct str text = buf_str(&out);
	/* It says its version itself, or leaves it to who keeps it.  */
	if (str_starts(str_skip(text, head), STR("version"))) text = str_skip(text, head);
	ASSERT(buf_ok(&out) && !mtasts_read_policy(text, &again));
	check_same(&p, &again);
	buf_release(&out);
}

static void check_record(struct str in)
{
	struct mtasts_record r = {0};
	struct str all = in;
	while (all.len && r.count < 20) mtasts_take_record(&r, fuzz_text(&all));
	mtasts_take_record(&r, in);
	if (!mtasts_record_found(&r)) return;
	size_t len = strlen(r.id);
	ASSERT(len > 0 && len <= MTASTS_ID_MAX);
	for (size_t i = 0; i < len; i++) ASSERT(ascii_alnum(r.id[i]));
}

void fuzz_one(struct str in)
{
	check_policy(in);
	check_record(in);
}
