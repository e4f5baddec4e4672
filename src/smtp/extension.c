#include "smtp/extension.h"

#include "base/utf8.h"
#include "smtp/xclient.h"

/* One parameter; the table below has them all.  */
struct parameter {
	struct str name;
	bool no_value;
	bool (*offered)(const struct smtp_terms *terms);
	bool (*take)(struct str value, struct smtp_event *event); /* false: bad value */
};

static bool always(const struct smtp_terms *terms)
{
	(void)terms;
	return true;
}

static bool may_hold(const struct smtp_terms *terms)
{
	return terms->config->submission && terms->config->hold_max > 0;
}
static bool under_tls(const struct smtp_terms *terms) { return terms->secured; }
static bool with_auth(const struct smtp_terms *terms)
{
	return smtp_extension_mechanisms(terms).len > 0;
}

/* RFC 3461 4: printable ASCII but '+' and '=', or '+' and two capital hexadecimal digits.  */
static bool is_xtext(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		if (c < '!' || c > '~' || c == '=') return false;
		if (c != '+') continue;
		if (s.len - i < 3) return false;
		for (int digit = 0; digit < 2; digit++) {
			c = s.ptr[++i];
			if (!ascii_digit(c) && (c < 'A' || c > 'F')) return false;
		}
	}
	return true;
}

static bool take_size(struct str value, struct smtp_event *event)
{
	return str_to_u64(value, UINT64_MAX, &event->size);
}

static bool take_body(struct str value, struct smtp_event *event)
{
	if (str_ieq(value, STR("8BITMIME")))
		event->flags |= ENVELOPE_8BIT;
	else if (str_ieq(value, STR("BINARYMIME")))
		event->flags |= ENVELOPE_BINARY;
	else
		return str_ieq(value, STR("7BIT"));
	return true;
}

static bool take_utf8(struct str value, struct smtp_event *event)
{
	(void)value;
	event->flags |= ENVELOPE_UTF8;
	return true;
}

static bool take_requiretls(struct str value, struct smtp_event *event)
{
	(void)value;
	event->flags |= ENVELOPE_REQUIRETLS;
	return true;
}

static bool take_ret(struct str value, struct smtp_event *event)
{
	if (str_ieq(value, STR("FULL")))
		event->flags |= ENVELOPE_RET_FULL;
	else if (str_ieq(value, STR("HDRS")))
		event->flags |= ENVELOPE_RET_HDRS;
	else
		return false;
	return true;
}

static bool take_envid(struct str value, struct smtp_event *event)
{
	event->envid = value;
	return value.len <= SMTP_ENVID_MAX && is_xtext(value);
}

static bool take_auth(struct str value, struct smtp_event *event)
{
	event->auth_param = value;
	return str_eq(value, STR("<>")) || is_xtext(value);
}

static bool take_holdfor(struct str value, struct smtp_event *event)
{
	uint64_t seconds;
	if (event->hold_until || !str_to_u64(value, 999999999, &seconds) || seconds == 0)
		return false;
	event->hold_for = SECONDS((msec)seconds);
	return true;
}

static bool take_holduntil(struct str value, struct smtp_event *event)
{
	return !event->hold_for && clock_parse_rfc3339(value, &event->hold_until) &&
		event->hold_until > 0;
}

static bool take_notify(struct str value, struct smtp_event *event)
{
	struct str word;
	bool more;
	if (str_ieq(value, STR("NEVER"))) {
		event->notify = NOTIFY_NEVER;
		return true;
	}
	do {
		more = str_cut(&value, ',', &word);
		if (str_ieq(word, STR("SUCCESS")))
			event->notify |= NOTIFY_SUCCESS;
		else if (str_ieq(word, STR("FAILURE")))
			event->notify |= NOTIFY_FAILURE;
		else if (str_ieq(word, STR("DELAY")))
			event->notify |= NOTIFY_DELAY;
		else
			return false;
	} while (more);
	return true;
}

/* "rfc822;" and xtext, or another type; "utf-8;" may hold the characters as they are (RFC 6533
 * 3).  */
static bool take_orcpt(struct str value, struct smtp_event *event)
{
	struct str rest = value, type;
	if (value.len > SMTP_ORCPT_MAX || !str_cut(&rest, ';', &type) || type.len == 0)
		return false;
	for (size_t i = 0; i < type.len; i++)
		if (!ascii_alnum(type.ptr[i]) && type.ptr[i] != '-') return false;
	event->orcpt = value;
	if (is_xtext(rest)) return rest.len > 0;
	if (!str_ieq(type, STR("utf-8")) || !utf8_valid(rest)) return false;
	for (size_t i = 0; i < rest.len; i++)
		if (rest.ptr[i] == 0x7f || (rest.ptr[i] >= 0 && rest.ptr[i] <= ' ')) return false;
	return true;
}

static const struct parameter mail_parameters[] = {
	{.name = STR("SIZE"), .offered = always, .take = take_size},
	{.name = STR("BODY"), .offered = always, .take = take_body},
	{.name = STR("SMTPUTF8"), .offered = always, .take = take_utf8, .no_value = true},
	{.name = STR("RET"), .offered = always, .take = take_ret},
	{.name = STR("ENVID"), .offered = always, .take = take_envid},
	{.name = STR("AUTH"), .offered = with_auth, .take = take_auth},
	{.name = STR("HOLDFOR"), .offered = may_hold, .take = take_holdfor},
	{.name = STR("HOLDUNTIL"), .offered = may_hold, .take = take_holduntil},
	{.name = STR("REQUIRETLS"),
		.offered = under_tls,
		.take = take_requiretls,
		.no_value = true},
};

static const struct parameter rcpt_parameters[] = {
	{.name = STR("NOTIFY"), .offered = always, .take = take_notify},
	{.name = STR("ORCPT"), .offered = always, .take = take_orcpt},
};

static bool refuse(struct smtp_refusal *ret_refusal, struct smtp_refusal refusal, struct str detail)
{
	*ret_refusal = refusal;
	ret_refusal->detail = detail;
	return false;
}

static bool take_all(struct str params, const struct smtp_terms *terms,
	const struct parameter *table, size_t count, struct smtp_event *event,
	struct smtp_refusal *ret_refusal)
{
	unsigned given = 0;
	while (params.len) {
		struct str word = smtp_command_word(&params), value = word, name;
		bool has_value = str_cut(&value, '=', &name);
		size_t i = 0;
		while (i < count && !(str_ieq(name, table[i].name) && table[i].offered(terms))) i++;
		if (i == count)
			return refuse(ret_refusal,
				SMTP_REFUSAL(555, 5, 5, 4, "Unsupported option: "), word);
		if (given & 1u << i)
			return refuse(ret_refusal,
				SMTP_REFUSAL(501, 5, 5, 4, "Error: option given twice: "), name);
		given |= 1u << i;
		bool fits = table[i].no_value ? !has_value : value.len > 0;
		if (!fits || !table[i].take(value, event))
			return refuse(ret_refusal,
				SMTP_REFUSAL(501, 5, 5, 4, "Error: bad option value: "), word);
	}
	return true;
}

bool smtp_extension_mail(struct str params, const struct smtp_terms *terms,
	struct smtp_event *event, struct smtp_refusal *ret_refusal)
{
	return take_all(
		params, terms, mail_parameters, ARRAY_LEN(mail_parameters), event, ret_refusal);
}

bool smtp_extension_rcpt(struct str params, const struct smtp_terms *terms,
	struct smtp_event *event, struct smtp_refusal *ret_refusal)
{
	return take_all(
		params, terms, rcpt_parameters, ARRAY_LEN(rcpt_parameters), event, ret_refusal);
}

struct str smtp_extension_mechanisms(const struct smtp_terms *terms)
{
	const struct smtp_server_config *config = terms->config;
	if (terms->bound && config->auth_bound.len) return config->auth_bound;
	return terms->secured ? config->auth_tls : config->auth_plain;
}

bool smtp_extension_listed(struct str list, struct str word)
{
	while (list.len)
		if (str_ieq(smtp_command_word(&list), word)) return true;
	return false;
}

void smtp_extension_offer(struct buf *out, const struct smtp_terms *terms, msec wall)
{
	const struct smtp_server_config *config = terms->config;
	struct str mechanisms = smtp_extension_mechanisms(terms);
	buf_add(out, STR("\nPIPELINING\nSIZE"));
	if (config->message_max) {
		buf_add_c(out, ' ');
		buf_add_u64(out, config->message_max);
	}
	if (config->offer_starttls && !terms->secured) buf_add(out, STR("\nSTARTTLS"));
	if (mechanisms.len) {
		buf_add(out, STR("\nAUTH "));
		buf_add(out, mechanisms);
	}
	buf_add(out, STR("\nENHANCEDSTATUSCODES\n8BITMIME\nDSN\nSMTPUTF8\nCHUNKING\nBINARYMIME"));
	if (terms->secured) buf_add(out, STR("\nREQUIRETLS"));
	if (may_hold(terms)) {
		buf_add(out, STR("\nFUTURERELEASE "));
		buf_add_u64(out, (uint64_t)(config->hold_max / 1000));
		buf_add_c(out, ' ');
		clock_add_rfc3339(out, wall + config->hold_max);
	}
	if (terms->xclient) buf_add(out, STR("\nXCLIENT " SMTP_XCLIENT_ATTRIBUTES));
	if (config->recipients_max) {
		buf_add(out, STR("\nLIMITS RCPTMAX="));
		buf_add_u64(out, config->recipients_max);
	}
}
