#include "smtp/command.h"

#include "smtp/extension.h"

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static struct str skip_blanks(struct str s)
{
	while (s.len && is_blank(s.ptr[0])) s = str_skip(s, 1);
	return s;
}

struct str smtp_command_word(struct str *line)
{
	struct str rest = skip_blanks(*line);
	size_t n = 0;
	while (n < rest.len && !is_blank(rest.ptr[n])) n++;
	*line = skip_blanks(str_skip(rest, n));
	return str_head(rest, n);
}

/* Index of the first octet for which `ends`, outside of a quoted string; s.len when there is
 * none.  */
static size_t find_unquoted(struct str s, bool (*ends)(char c))
{
	bool quoted = false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\\')
			i++;
		else if (s.ptr[i] == '"')
			quoted = !quoted;
		else if (!quoted && ends(s.ptr[i]))
			return i;
	}
	return s.len;
}

static bool is_bracket(char c) { return c == '>'; }

/* "@one,@two:a@b" becomes a@b (RFC 5321 appendix C: hosts on the way are ignored).  */
static bool drop_route(struct str *path)
{
	struct str hop, rest = *path;
	if (rest.len == 0 || rest.ptr[0] != '@') return true;
	if (!str_cut(&rest, ':', &hop)) return false;
	*path = rest;
	bool more;
	do {
		struct str one;
		more = str_cut(&hop, ',', &one);
		if (one.len == 0 || one.ptr[0] != '@' || !domain_valid(str_skip(one, 1), true))
			return false;
	} while (more);
	return true;
}

enum path { PATH_NONE, PATH_BAD, PATH_FOUND };

/* What is between the brackets, or up to a blank, without source route.  */
static enum path take_path(struct str s, struct str *ret_path, struct str *ret_rest)
{
	s = skip_blanks(s);
	if (s.len == 0) return PATH_NONE;
	bool brackets = s.ptr[0] == '<';
	if (brackets) s = str_skip(s, 1);
	size_t end = find_unquoted(s, brackets ? is_bracket : is_blank);
	if (brackets && end == s.len) return PATH_BAD;
	struct str path = str_head(s, end), rest = str_skip(s, brackets ? end + 1 : end);
	if (rest.len && !is_blank(rest.ptr[0])) return PATH_BAD;
	path = str_trim(path);
	if (!drop_route(&path)) return PATH_BAD;
	*ret_path = path;
	*ret_rest = skip_blanks(rest);
	return PATH_FOUND;
}

static bool refuse(struct smtp_refusal *ret_refusal, struct smtp_refusal refusal)
{
	*ret_refusal = refusal;
	return false;
}

bool smtp_command_mail(struct str args, const struct smtp_terms *terms,
	struct smtp_event *ret_event, struct smtp_refusal *ret_refusal)
{
	const struct smtp_refusal syntax =
		SMTP_REFUSAL(501, 5, 5, 4, "Syntax: MAIL FROM:<address>");
	const struct smtp_refusal bad = SMTP_REFUSAL(501, 5, 1, 7, "Bad sender address syntax");
	struct str path, params;
	*ret_event = (struct smtp_event){.type = SMTP_EVENT_MAIL};
	if (!str_istarts(args, STR("FROM:"))) return refuse(ret_refusal, syntax);
	switch (take_path(str_skip(args, 5), &path, &params)) {
	case PATH_NONE: return refuse(ret_refusal, syntax);
	case PATH_BAD: return refuse(ret_refusal, bad);
	case PATH_FOUND: break;
	}
	ret_event->path.text = path;
	if (path.len && !address_parse(path, true, false, &ret_event->path))
		return refuse(ret_refusal, bad);
	if (!smtp_extension_mail(params, terms, ret_event, ret_refusal)) return false;
	if (ret_event->path.utf8 && !(ret_event->flags & ENVELOPE_UTF8))
		return refuse(ret_refusal,
			SMTP_REFUSAL(553, 5, 6, 7, "Error: this sender address needs SMTPUTF8"));
	return true;
}

bool smtp_command_rcpt(struct str args, const struct smtp_terms *terms,
	struct smtp_event *ret_event, struct smtp_refusal *ret_refusal)
{
	const struct smtp_refusal syntax = SMTP_REFUSAL(501, 5, 5, 4, "Syntax: RCPT TO:<address>");
	const struct smtp_refusal bad = SMTP_REFUSAL(501, 5, 1, 3, "Bad recipient address syntax");
	struct str path, params;
	*ret_event = (struct smtp_event){.type = SMTP_EVENT_RCPT};
	if (!str_istarts(args, STR("TO:"))) return refuse(ret_refusal, syntax);
	switch (take_path(str_skip(args, 3), &path, &params)) {
	case PATH_NONE: return refuse(ret_refusal, syntax);
	case PATH_BAD: return refuse(ret_refusal, bad);
	case PATH_FOUND: break;
	}
	if (!address_parse(path, true, true, &ret_event->path)) return refuse(ret_refusal, bad);
	if (ret_event->path.local.len > ADDRESS_LOCAL_MAX) return refuse(ret_refusal, bad);
	if (ret_event->path.utf8 && !terms->utf8)
		return refuse(ret_refusal,
			SMTP_REFUSAL(553, 5, 6, 7, "Error: this recipient address needs SMTPUTF8"));
	return smtp_extension_rcpt(params, terms, ret_event, ret_refusal);
}

bool smtp_command_vrfy(
	struct str args, struct address *ret_address, struct smtp_refusal *ret_refusal)
{
	const struct smtp_refusal syntax = SMTP_REFUSAL(501, 5, 5, 4, "Syntax: VRFY address");
	const struct smtp_refusal bad = SMTP_REFUSAL(501, 5, 1, 3, "Bad recipient address syntax");
	struct str path, rest;
	switch (take_path(args, &path, &rest)) {
	case PATH_NONE: return refuse(ret_refusal, syntax);
	case PATH_BAD: return refuse(ret_refusal, bad);
	case PATH_FOUND: break;
	}
	bool utf8 = str_ieq(rest, STR("SMTPUTF8"));
	if (rest.len && !utf8) return refuse(ret_refusal, syntax);
	if (!address_parse(path, true, true, ret_address)) return refuse(ret_refusal, bad);
	if (ret_address->utf8 && !utf8)
		return refuse(ret_refusal,
			SMTP_REFUSAL(553, 5, 6, 7, "Error: this address needs SMTPUTF8"));
	return true;
}

bool smtp_command_bdat(struct str args, uint64_t *ret_size, bool *ret_last)
{
	struct str size = smtp_command_word(&args);
	*ret_last = str_ieq(args, STR("LAST"));
	return (args.len == 0 || *ret_last) && str_to_u64(size, INT64_MAX, ret_size);
}
