#include "route/security.h"

#include <stdarg.h>

const char *security_level_name(enum security_level level)
{
	static const char *const names[] = {
		[SECURITY_CLEAR] = "clear",
		[SECURITY_MAY] = "opportunistic",
		[SECURITY_TLS] = "any TLS",
		[SECURITY_NAME] = "verified",
		[SECURITY_DANE] = "dane",
	};
	return names[level];
}

/* ---- MTA-STS ---- */

static bool pattern_fits(struct str pattern, struct str host)
{
	if (!str_starts(pattern, STR("*."))) return pattern.len > 0 && str_ieq(pattern, host);
	size_t dot = str_find(host, '.');
	return dot > 0 && dot < host.len && str_ieq(str_skip(pattern, 1), str_skip(host, dot));
}

bool sts_policy_names(const struct sts_policy *policy, struct str host)
{
	for (uint32_t i = 0; i < policy->mx_count; i++)
		if (pattern_fits(policy->mx[i], host)) return true;
	return false;
}

/* ---- the decision ---- */

static void say(struct security *s, const char *format, ...) PRINTF_LIKE(2, 3);

static void say(struct security *s, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(s->words, sizeof s->words, format, arguments);
	va_end(arguments);
}

static void add_name(struct security *s, struct str name)
{
	for (uint32_t i = 0; i < s->name_count; i++)
		if (str_ieq(s->names[i], name)) return;
	if (name.len && s->name_count < SECURITY_NAMES_MAX) s->names[s->name_count++] = name;
}

static void raise_to(struct security *s, enum security_level level, enum security_source source)
{
	if (s->level < level) s->level = level;
	s->source = source;
}

static void bar(struct security *s, enum security_source source)
{
	s->barred = true;
	s->source = source;
}

static void by_rule(struct security *s, const struct security_facts *f)
{
	static const struct {
		enum security_level level;
		const char *words;
	} rules[] = {
		[ROUTE_TLS_OFF] = {SECURITY_CLEAR, "off"},
		[ROUTE_TLS_OPPORTUNISTIC] = {SECURITY_MAY, "opportunistic"},
		[ROUTE_TLS_REQUIRED] = {SECURITY_TLS, "required"},
		[ROUTE_TLS_VERIFY] = {SECURITY_NAME, "verify"},
		[ROUTE_TLS_DANE] = {SECURITY_MAY, "opportunistic"},
	};
	s->level = rules[f->rule].level;
	say(s, "%s", rules[f->rule].words);
}

/* RFC 7672 3.2.2: names count for an authority in DNS (usage 2) alone.  */
static void by_dane(struct security *s, const struct security_facts *f)
{
	uint32_t usable = 0;
	for (uint32_t i = 0; i < f->tlsa_count; i++) usable += tls_tlsa_usable(&f->tlsa[i]);
	if (usable == 0) {
		raise_to(s, SECURITY_TLS, SECURITY_BY_DANE);
		say(s, "dane: no usable TLSA record among %u, so any TLS", f->tlsa_count);
		return;
	}
	s->level = SECURITY_DANE;
	s->source = SECURITY_BY_DANE;
	s->tlsa = f->tlsa;
	s->tlsa_count = f->tlsa_count;
	s->name_count = 0;
	add_name(s, f->tlsa_base);
	add_name(s, f->host);
	if (!f->configured) add_name(s, f->domain);
	say(s, "dane: %u TLSA record%s", usable, usable == 1 ? "" : "s");
}

static void by_sts(struct security *s, const struct security_facts *f)
{
	bool enforce = f->sts->mode == STS_ENFORCE;
	s->sts = f->sts->mode;
	s->sts_stranger = !sts_policy_names(f->sts, f->host);
	if (!enforce) {
		size_t at = strlen(s->words);
		snprintf(s->words + at, sizeof s->words - at, "; sts testing%s",
			s->sts_stranger ? ", which does not name this host" : "");
	} else if (s->sts_stranger) {
		bar(s, SECURITY_BY_STS);
		say(s, "sts enforce: the policy does not name this host");
	} else {
		s->host_known = true;
		raise_to(s, SECURITY_NAME, SECURITY_BY_STS);
		say(s, "sts enforce");
	}
}

static void decide(const struct security_facts *f, struct security *s)
{
	*s = (struct security){.host_known = f->configured || f->mx_secure};
	add_name(s, f->host);
	by_rule(s, f);
	if (f->local || f->rule == ROUTE_TLS_OFF) return;
	if (f->exception) {
		s->excepted = true;
		s->level = SECURITY_MAY;
		say(s, "opportunistic, by an exception until " STR_FMT, STR_ARG(f->exception->day));
		return;
	}
	if (f->tlsa_state == TLSA_FAILED) {
		bar(s, SECURITY_BY_DANE);
		say(s, "dane: the TLSA records cannot be had securely");
		return;
	}
	if (f->tlsa_state == TLSA_FOUND) by_dane(s, f);
	if (s->level != SECURITY_DANE && f->sts && f->sts->mode != STS_NONE) by_sts(s, f);
}

void security_decide(const struct security_facts *f, struct security *ret)
{
	decide(f, ret);
	if (ret->level != SECURITY_MAY || (!f->login && !f->implicit)) return;
	ret->level = SECURITY_TLS;
	say(ret, "any TLS%s", f->implicit ? ", from the first octet" : ", for the login");
}
