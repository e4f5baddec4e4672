/* What other domains ask of those who bring them mail: MTA-STS records and policies, which read again as
 * they were written; records that ask for TLS reports, and addresses in them; the counts as they lie on
 * the disk.  */
#include "fuzz/fuzz.h"

#include "route/tlsrpt.h"

static bool is_one_line(struct str s)
{
	return str_find(s, '\n') == s.len && str_find(s, '\r') == s.len &&
		str_find(s, '\0') == s.len;
}

static void check_policy(struct str in)
{
	struct mtasts_policy policy, again;
	const char *wrong = mtasts_read_policy(in, &policy);
	if (wrong) {
		ASSERT(*wrong);
		return;
	}
	ASSERT(policy.max_age <= MTASTS_AGE_MAX && policy.mx_count <= MTASTS_MX_MAX);
	ASSERT(policy.mode == STS_NONE || policy.mx_count);
	for (uint32_t i = 0; i < policy.mx_count; i++) ASSERT(is_one_line(policy.mx[i]));
	struct buf text;
	buf_init(&text, 64 << 10);
	mtasts_write_policy(&text, &policy, "");
	ASSERT(buf_ok(&text) && !mtasts_read_policy(buf_str(&text), &again));
	ASSERT(again.mode == policy.mode && again.max_age == policy.max_age);
	ASSERT(again.mx_count == policy.mx_count);
	for (uint32_t i = 0; i < policy.mx_count; i++) ASSERT(str_eq(again.mx[i], policy.mx[i]));
	buf_release(&text);
}

static void check_uri(const char *uri)
{
	struct buf address;
	buf_init(&address, 600);
	bool mail = str_istarts(str_from_c(uri), STR("mailto:"));
	ASSERT(mail || str_istarts(str_from_c(uri), STR("https://")));
	if (tlsrpt_mailto(str_from_c(uri), &address))
		ASSERT(mail && address.len && is_one_line(buf_str(&address)));
	buf_release(&address);
}

/* The input as rdata, and as one string of it.  */
static void check_records(struct str in)
{
	for (int whole = 0; whole < 2; whole++) {
		struct buf rdata;
		buf_init(&rdata, in.len + 1);
		if (whole) buf_add_u8(&rdata, (uint8_t)(in.len < 255 ? in.len : 255));
		buf_add(&rdata, in);
		struct str own = fuzz_own(buf_str(&rdata));
		struct mtasts_record sts = {0};
		struct tlsrpt_record report = {0};
		mtasts_take_record(&sts, own);
		if (mtasts_record_found(&sts)) ASSERT(sts.id[0] && strlen(sts.id) <= MTASTS_ID_MAX);
		tlsrpt_take_record(&report, own);
		ASSERT(report.uri_count <= TLSRPT_URIS_MAX);
		for (uint32_t i = 0; i < report.uri_count; i++) check_uri(report.uris[i]);
		fuzz_forget(own);
		buf_release(&rdata);
	}
}

static void check_day(struct tlsrpt_day *day)
{
	static const struct tlsrpt_about about = {
		.organization = {"o", 1}, .contact = {"c", 1}, .id = {"i", 1}};
	struct buf text;
	buf_init(&text, 8 << 20);
	tlsrpt_write(&text, day);
	ASSERT(buf_ok(&text));
	LIST_EACH (&day->domains, node) {
		struct tlsrpt_domain *domain = CONTAINER_OF(node, struct tlsrpt_domain, link);
		(void)tlsrpt_worth_telling(domain);
		buf_clear(&text);
		ASSERT(tlsrpt_report(&text, &about, day, domain) && text.len);
	}
	buf_release(&text);
	tlsrpt_day_release(day);
}

void fuzz_one(struct str in)
{
	check_policy(in);
	check_records(in);
	struct tlsrpt_day days[2];
	uint32_t count;
	(void)tlsrpt_read(in, 1, days, ARRAY_LEN(days), &count);
	for (uint32_t i = 0; i < count; i++) check_day(&days[i]);
}
