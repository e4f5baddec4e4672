#include "route/mtasts_text.h"

#include "mail/address.h"

enum { RECORD_MAX = 2048, NAME_LONGEST = 32, AGE_DIGITS = 10 };

static bool is_wsp(char c) { return c == ' ' || c == '\t'; }

static struct str trim_end(struct str s)
{
	while (s.len && is_wsp(s.ptr[s.len - 1])) s.len--;
	return s;
}

static struct str trim_both(struct str s)
{
	while (s.len && is_wsp(s.ptr[0])) s = str_skip(s, 1);
	return trim_end(s);
}

/* sts-ext-name and sts-policy-ext-name.  */
static bool is_field_name(struct str s)
{
	if (s.len == 0 || s.len > NAME_LONGEST || !ascii_alnum(s.ptr[0])) return false;
	for (size_t i = 1; i < s.len; i++)
		if (!ascii_alnum(s.ptr[i]) && !memchr("_-.", s.ptr[i], 3)) return false;
	return true;
}

/* ---- the record ---- */

static bool is_id(struct str s)
{
	if (s.len == 0 || s.len > MTASTS_ID_MAX) return false;
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_alnum(s.ptr[i])) return false;
	return true;
}

static bool is_record_value(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] <= ' ' || s.ptr[i] >= 127 || s.ptr[i] == ';' || s.ptr[i] == '=')
			return false;
	return s.len > 0;
}

/* Behind the version: *WSP ";" *WSP field, and perhaps another delimiter at the end.  */
static bool read_fields(struct str rest, char ret_id[MTASTS_ID_MAX + 1])
{
	bool have_id = false;
	do {
		struct str field, name;
		bool more = str_cut(&rest, ';', &field);
		field = trim_both(field);
		if (field.len == 0) return have_id && !more && rest.len == 0;
		struct str value = field;
		if (!str_cut(&value, '=', &name) || !is_field_name(name)) return false;
		if (!str_eq(name, STR("id"))) {
			if (!is_record_value(value)) return false;
		} else if (!is_id(value)) {
			return false;
		} else if (!have_id) {
			have_id = true;
			memcpy(ret_id, value.ptr, value.len);
			ret_id[value.len] = '\0';
		}
	} while (rest.len);
	return have_id;
}

void mtasts_take_record(struct mtasts_record *r, struct str rdata)
{
	char octets[RECORD_MAX];
	size_t len = 0;
	for (uint8_t part; take_u8(&rdata, &part);) {
		if (part > rdata.len || part > sizeof octets - len) return;
		memcpy(octets + len, rdata.ptr, part);
		len += part;
		rdata = str_skip(rdata, part);
	}
	struct str text = str_of(octets, len), version;
	if (!str_cut(&text, ';', &version) || !str_eq(trim_end(version), STR("v=STSv1"))) return;
	r->count++;
	r->valid = read_fields(text, r->id);
}

/* ---- the policy ---- */

const char *mtasts_mode_name(enum sts_mode mode)
{
	static const char *const names[] = {
		[STS_NONE] = "none", [STS_TESTING] = "testing", [STS_ENFORCE] = "enforce"};
	return names[mode];
}

static bool is_policy_value(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 127) return false;
	return s.len > 0;
}

/* At least two labels: "*.com" and "localhost" name nobody's servers.  */
static bool is_pattern(struct str s)
{
	if (str_starts(s, STR("*."))) s = str_skip(s, 2);
	return domain_valid(s, false) && str_find(s, '.') < s.len;
}

struct reading {
	struct mtasts_policy *policy;
	bool version, mode, max_age;
};

static const char *take_mode(struct reading *r, struct str value)
{
	for (int mode = STS_NONE; mode <= STS_ENFORCE; mode++) {
		if (!str_eq(value, str_from_c(mtasts_mode_name((enum sts_mode)mode)))) continue;
		r->policy->mode = (enum sts_mode)mode;
		r->mode = true;
		return NULL;
	}
	return "its mode is neither testing, enforce nor none";
}

static const char *take_max_age(struct reading *r, struct str value)
{
	uint64_t age;
	if (value.len > AGE_DIGITS || !str_to_u64(value, 9999999999, &age))
		return "its max_age is not a number of seconds";
	r->policy->max_age = (uint32_t)(age < MTASTS_AGE_MAX ? age : MTASTS_AGE_MAX);
	r->max_age = true;
	return NULL;
}

static const char *take_mx(struct reading *r, struct str value)
{
	if (!is_pattern(value)) return "an mx is not a host name, and not \"*.\" before one";
	if (r->policy->mx_count == MTASTS_MX_MAX) return "it has too many mx";
	r->policy->mx[r->policy->mx_count++] = value;
	return NULL;
}

static const char *take_field(struct reading *r, struct str name, struct str value)
{
	if (str_eq(name, STR("version"))) {
		if (r->version) return NULL;
		r->version = str_eq(value, STR("STSv1"));
		return r->version ? NULL : "its version is not STSv1";
	}
	if (str_eq(name, STR("mode"))) return r->mode ? NULL : take_mode(r, value);
	if (str_eq(name, STR("max_age"))) return r->max_age ? NULL : take_max_age(r, value);
	if (str_eq(name, STR("mx"))) return take_mx(r, value);
	return NULL;
}

const char *mtasts_read_policy(struct str text, struct mtasts_policy *ret)
{
	*ret = (struct mtasts_policy){0};
	struct reading r = {.policy = ret};
	while (text.len) {
		struct str line, name;
		str_cut(&text, '\n', &line);
		if (line.len && line.ptr[line.len - 1] == '\r') line.len--;
		line = trim_end(line);
		if (line.len == 0) continue;
		struct str value = line;
		if (!str_cut(&value, ':', &name) || !is_field_name(name) ||
			!is_policy_value(value = trim_both(value)))
			return "a line is not of the form \"name: value\"";
		const char *wrong = take_field(&r, name, value);
		if (wrong) return wrong;
	}
	if (!r.version) return "it has no version";
	if (!r.mode) return "it has no mode";
	if (!r.max_age) return "it has no max_age";
	if (ret->mode != STS_NONE && ret->mx_count == 0) return "it has no mx";
	return NULL;
}

void mtasts_write_policy(struct buf *out, const struct mtasts_policy *policy, const char *indent)
{
	buf_printf(out, "%sversion: STSv1\n%smode: %s\n", indent, indent,
		mtasts_mode_name(policy->mode));
	for (uint32_t i = 0; i < policy->mx_count; i++)
		buf_printf(out, "%smx: " STR_FMT "\n", indent, STR_ARG(policy->mx[i]));
	buf_printf(out, "%smax_age: %u\n", indent, policy->max_age);
}
