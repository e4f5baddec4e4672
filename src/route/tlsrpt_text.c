/* The texts of TLS reporting: the record that asks for reports, and the report.  */
#include "mail/address.h"
#include "route/tlsrpt_private.h"

#include <jansson.h>

enum { RECORD_MAX = 4096 };

/* ---- the record ---- */

static void take_uri(struct tlsrpt_record *r, struct str uri)
{
	bool known = str_istarts(uri, STR("mailto:")) || str_istarts(uri, STR("https://"));
	if (!known || uri.len >= sizeof r->uris[0] || r->uri_count == TLSRPT_URIS_MAX) return;
	memcpy(r->uris[r->uri_count], uri.ptr, uri.len);
	r->uris[r->uri_count++][uri.len] = '\0';
}

/* "rua=" and URIs with commas between.  A comma, "!" or ";" within one is percent-encoded.  */
static bool take_uris(struct tlsrpt_record *r, struct str value)
{
	do {
		struct str uri;
		str_cut(&value, ',', &uri);
		uri = str_trim(uri);
		if (str_find(uri, ':') == uri.len) return false;
		for (size_t i = 0; i < uri.len; i++)
			if (uri.ptr[i] <= ' ' || uri.ptr[i] >= 127) return false;
		take_uri(r, uri);
	} while (value.len);
	return true;
}

void tlsrpt_take_record(struct tlsrpt_record *r, struct str rdata)
{
	struct buf whole;
	buf_init(&whole, RECORD_MAX);
	for (uint8_t part; take_u8(&rdata, &part) && part <= rdata.len;) {
		buf_add(&whole, str_head(rdata, part));
		rdata = str_skip(rdata, part);
	}
	struct str text = buf_str(&whole), field;
	str_cut(&text, ';', &field);
	if (buf_ok(&whole) && str_eq(str_trim(field), STR("v=TLSRPTv1"))) {
		r->count++;
		r->valid = false;
		r->uri_count = 0;
		bool wrong = false;
		while (text.len && !wrong) {
			str_cut(&text, ';', &field);
			field = str_trim(field);
			if (!str_starts(field, STR("rua="))) continue; /* an extension */
			wrong = r->valid || !take_uris(r, str_skip(field, 4));
			r->valid = !wrong;
		}
		if (wrong) r->valid = false;
	}
	buf_release(&whole);
}

bool tlsrpt_mailto(struct str uri, struct buf *ret_address)
{
	struct str scheme;
	if (!str_cut(&uri, ':', &scheme) || !str_ieq(scheme, STR("mailto"))) return false;
	uri = str_head(uri, str_find(uri, '?'));
	while (uri.len) {
		if (uri.ptr[0] != '%') {
			buf_add_c(ret_address, uri.ptr[0]);
			uri = str_skip(uri, 1);
			continue;
		}
		if (uri.len < 3 || !hex_decode(str_of(uri.ptr + 1, 2), ret_address)) return false;
		uri = str_skip(uri, 3);
	}
	struct address a;
	return buf_ok(ret_address) && address_parse(buf_str(ret_address), false, false, &a);
}

/* ---- the report ---- */

static json_t *text_of(struct str s)
{
	json_t *o = json_stringn(s.ptr ? s.ptr : "", s.len);
	return o ? o : json_string("?"); /* not UTF-8 */
}

/* Seconds are enough: "2026-11-22T00:00:00Z".  */
static json_t *time_of(msec wall)
{
	char text[40];
	struct buf b = {.ptr = text, .cap = sizeof text, .max = sizeof text};
	clock_add_rfc3339(&b, wall - wall % 1000);
	struct str s = buf_str(&b);
	size_t dot = str_find(s, '.');
	if (dot < s.len) b.len = dot, buf_add_c(&b, 'Z');
	return text_of(buf_str(&b));
}

static json_t *lines_of(struct str text)
{
	json_t *lines = json_array();
	while (text.len) {
		struct str line;
		str_cut(&text, '\n', &line);
		json_array_append_new(lines, text_of(line));
	}
	return lines;
}

/* The names in a policy's "mx:" lines.  */
static json_t *patterns_of(struct str text)
{
	json_t *patterns = json_array();
	while (text.len) {
		struct str line;
		str_cut(&text, '\n', &line);
		if (str_starts(line, STR("mx: ")))
			json_array_append_new(patterns, text_of(str_skip(line, 4)));
	}
	return patterns;
}

static void set_address(json_t *o, const char *key, const struct net_address *a)
{
	if (a->family == NET_NONE) return;
	char text[64];
	struct buf b = {.ptr = text, .cap = sizeof text, .max = sizeof text};
	net_add(&b, a);
	json_object_set_new(o, key, text_of(buf_str(&b)));
}

static json_t *failure_of(const struct tlsrpt_failure *f)
{
	json_t *o = json_object();
	json_object_set_new(o, "result-type", json_string(tlsrpt_result_name(f->result)));
	set_address(o, "sending-mta-ip", &f->local);
	if (f->host[0])
		json_object_set_new(o, "receiving-mx-hostname", text_of(str_from_c(f->host)));
	set_address(o, "receiving-ip", &f->peer);
	json_object_set_new(o, "failed-session-count", json_integer((json_int_t)f->count));
	if (f->words[0])
		json_object_set_new(o, "failure-reason-code", text_of(str_from_c(f->words)));
	return o;
}

static json_t *policy_of(const struct tlsrpt_domain *domain, const struct tlsrpt_counts *c)
{
	static const char *const types[] = {[TLSRPT_NO_POLICY] = "no-policy-found",
		[TLSRPT_STS] = "sts",
		[TLSRPT_TLSA] = "tlsa"};
	json_t *policy = json_object(), *failures = json_array(), *o = json_object();
	json_object_set_new(policy, "policy-type", json_string(types[c->policy]));
	if (c->text.len) json_object_set_new(policy, "policy-string", lines_of(c->text));
	json_object_set_new(policy, "policy-domain", text_of(str_from_c(domain->name)));
	if (c->policy == TLSRPT_STS && c->text.len)
		json_object_set_new(policy, "mx-host", patterns_of(c->text));
	LIST_EACH (&c->failures, node)
		json_array_append_new(
			failures, failure_of(CONTAINER_OF(node, struct tlsrpt_failure, link)));
	json_object_set_new(o, "policy", policy);
	json_object_set_new(o, "summary",
		json_pack("{s:I, s:I}", "total-successful-session-count", (json_int_t)c->succeeded,
			"total-failure-session-count", (json_int_t)c->failed));
	if (json_array_size(failures))
		json_object_set_new(o, "failure-details", failures);
	else
		json_decref(failures);
	return o;
}

static int add_piece(const char *octets, size_t len, void *context)
{
	return buf_add(context, str_of(octets, len)) ? 0 : -1;
}

bool tlsrpt_report(struct buf *out, const struct tlsrpt_about *about, const struct tlsrpt_day *d,
	const struct tlsrpt_domain *domain)
{
	json_t *policies = json_array();
	LIST_EACH (&domain->policies, node)
		json_array_append_new(policies,
			policy_of(domain, CONTAINER_OF(node, struct tlsrpt_counts, link)));
	json_t *report = json_pack("{s:o, s:{s:o, s:o}, s:o, s:o, s:o}", "organization-name",
		text_of(about->organization), "date-range", "start-datetime", time_of(d->begin),
		"end-datetime", time_of(d->end - 1), "contact-info", text_of(about->contact),
		"report-id", text_of(about->id), "policies", policies);
	bool fine = report && json_dump_callback(report, add_piece, out, JSON_COMPACT) == 0;
	json_decref(report);
	return fine;
}
