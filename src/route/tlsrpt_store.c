/* A day's counts as lines of text; the first word says what a line is:
 *	day BEGIN END SEND-AT
 *	domain NAME OWN SENT TRIES
 *	policy KIND SUCCEEDED FAILED
 *	text LINE
 *	failure RESULT COUNT PEER LOCAL HOST WORDS...
 * Each belongs to the last one of the kind above it.  "-" is nothing.  */
#include "route/tlsrpt_private.h"

/* ---- writing ---- */

static void add_address(struct buf *out, const struct net_address *a)
{
	buf_add_c(out, ' ');
	if (a->family == NET_NONE)
		buf_add_c(out, '-');
	else
		net_add(out, a);
}

static void write_counts(struct buf *out, const struct tlsrpt_counts *c)
{
	buf_printf(out, "policy %d %llu %llu\n", (int)c->policy, (unsigned long long)c->succeeded,
		(unsigned long long)c->failed);
	struct str rest = c->text, line;
	while (rest.len) {
		str_cut(&rest, '\n', &line);
		buf_printf(out, "text " STR_FMT "\n", STR_ARG(line));
	}
	LIST_EACH (&c->failures, node) {
		const struct tlsrpt_failure *f = CONTAINER_OF(node, struct tlsrpt_failure, link);
		buf_printf(out, "failure %d %llu", (int)f->result, (unsigned long long)f->count);
		add_address(out, &f->peer);
		add_address(out, &f->local);
		buf_printf(out, " %s %s\n", f->host[0] ? f->host : "-", f->words);
	}
}

void tlsrpt_write(struct buf *out, const struct tlsrpt_day *d)
{
	buf_printf(out, "day %lld %lld %lld\n", (long long)d->begin, (long long)d->end,
		(long long)d->send_at);
	LIST_EACH (&d->domains, node) {
		const struct tlsrpt_domain *domain = CONTAINER_OF(node, struct tlsrpt_domain, link);
		buf_printf(out, "domain %s %llu %u %u\n", domain->name,
			(unsigned long long)domain->own, domain->sent, domain->tries);
		LIST_EACH (&domain->policies, at)
			write_counts(out, CONTAINER_OF(at, struct tlsrpt_counts, link));
	}
}

/* ---- reading ---- */

struct reading {
	uint64_t seed;
	struct tlsrpt_day *days;
	uint32_t max, count;
	struct tlsrpt_domain *domain;
	/* The policy that is being read; its counts are made when its text is whole.  */
	bool open;
	enum tlsrpt_policy policy;
	uint64_t succeeded, failed;
	struct buf text;
	struct tlsrpt_counts *counts;
};

static bool take_number(struct str *line, uint64_t max, uint64_t *ret)
{
	struct str word;
	str_cut(line, ' ', &word);
	return str_to_u64(word, max, ret);
}

static struct tlsrpt_day *day_of(struct reading *r) { return &r->days[r->count - 1]; }

static struct tlsrpt_counts *counts_of(struct reading *r)
{
	if (r->open && !r->counts) {
		r->counts = tlsrpt_counts_of(day_of(r), r->domain, r->policy, buf_str(&r->text));
		if (r->counts) r->counts->succeeded = r->succeeded, r->counts->failed = r->failed;
	}
	return r->counts;
}

static void end_policy(struct reading *r)
{
	(void)counts_of(r);
	r->open = false;
	r->counts = NULL;
	buf_clear(&r->text);
}

static bool read_day(struct reading *r, struct str line)
{
	uint64_t begin, end, send_at;
	end_policy(r);
	r->domain = NULL;
	if (r->count == r->max || !take_number(&line, INT64_MAX, &begin) ||
		!take_number(&line, INT64_MAX, &end) || !take_number(&line, INT64_MAX, &send_at) ||
		end <= begin)
		return false;
	tlsrpt_day_init(&r->days[r->count++], (msec)begin, (msec)end, r->seed);
	day_of(r)->send_at = (msec)send_at;
	return true;
}

static bool read_domain(struct reading *r, struct str line)
{
	struct str name;
	uint64_t own, sent, tries;
	end_policy(r);
	r->domain = NULL;
	if (!r->count || !str_cut(&line, ' ', &name) || !take_number(&line, UINT64_MAX, &own) ||
		!take_number(&line, UINT32_MAX, &sent) || !take_number(&line, UINT32_MAX, &tries))
		return false;
	r->domain = tlsrpt_domain_of(day_of(r), name);
	if (!r->domain) return false;
	r->domain->own = own;
	r->domain->sent = (unsigned)sent;
	r->domain->tries = (unsigned)tries;
	return true;
}

static bool read_policy(struct reading *r, struct str line)
{
	uint64_t policy;
	end_policy(r);
	if (!r->domain || !take_number(&line, TLSRPT_TLSA, &policy) ||
		!take_number(&line, UINT64_MAX, &r->succeeded) ||
		!take_number(&line, UINT64_MAX, &r->failed))
		return false;
	r->policy = (enum tlsrpt_policy)policy;
	r->open = true;
	return true;
}

static bool read_text(struct reading *r, struct str line)
{
	if (!r->open || r->counts) return false;
	buf_add(&r->text, line);
	return buf_add_c(&r->text, '\n');
}

static bool read_address(struct str *line, struct net_address *ret)
{
	struct str word;
	str_cut(line, ' ', &word);
	*ret = (struct net_address){0};
	return str_eq(word, STR("-")) || net_parse(word, ret);
}

static bool read_failure(struct reading *r, struct str line)
{
	struct tlsrpt_counts *c = counts_of(r);
	struct tlsrpt_failure f = {0};
	uint64_t result;
	struct str host;
	if (!c || !take_number(&line, TLSRPT_RESULTS - 1, &result) ||
		!take_number(&line, UINT64_MAX, &f.count) || !read_address(&line, &f.peer) ||
		!read_address(&line, &f.local) || !str_cut(&line, ' ', &host) ||
		host.len >= sizeof f.host || line.len >= sizeof f.words)
		return false;
	f.result = (enum tlsrpt_result)result;
	if (!str_eq(host, STR("-"))) memcpy(f.host, host.ptr, host.len);
	if (line.len) memcpy(f.words, line.ptr, line.len);
	tlsrpt_add_failure(day_of(r), c, &f);
	return true;
}

bool tlsrpt_read(
	struct str text, uint64_t seed, struct tlsrpt_day *ret, uint32_t max, uint32_t *ret_count)
{
	static const struct {
		const char *word;
		bool (*read)(struct reading *r, struct str line);
	} kinds[] = {{"day", read_day}, {"domain", read_domain}, {"policy", read_policy},
		{"text", read_text}, {"failure", read_failure}};
	struct reading r = {.seed = seed, .days = ret, .max = max};
	buf_init(&r.text, TLSRPT_TEXT_MAX);
	bool fine = true;
	while (text.len && fine) {
		struct str line, word;
		str_cut(&text, '\n', &line);
		str_cut(&line, ' ', &word);
		fine = false;
		for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !fine; i++)
			if (str_eq(word, str_from_c(kinds[i].word))) fine = kinds[i].read(&r, line);
	}
	end_policy(&r);
	buf_release(&r.text);
	*ret_count = r.count;
	return fine;
}
