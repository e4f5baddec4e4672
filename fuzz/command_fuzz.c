/* The arguments of MAIL, RCPT, VRFY and BDAT, with the parameters of all extensions: RFC 3461's
 * xtext, ORCPT and ENVID, FUTURERELEASE.  The first octet chooses what is offered.  */
#include "fuzz/fuzz.h"

#include "base/code.h"
#include "base/utf8.h"
#include "smtp/extension.h"

static void check_xtext(struct str s)
{
	struct buf plain;
	buf_init(&plain, s.len + 1);
	ASSERT(xtext_decode(s, &plain));
	buf_release(&plain);
}

static void check_path(const struct address *path, struct str line)
{
	struct address again;
	ASSERT(fuzz_within(path->text, line));
	if (!path->text.len) return;
	ASSERT(address_parse(path->text, true, true, &again));
	ASSERT(str_eq(again.local, path->local) && str_eq(again.domain, path->domain));
}

static void check_refusal(const struct smtp_refusal *r, struct str line)
{
	ASSERT((r->code == 501 || r->code == 553 || r->code == 555) && r->enhanced.class == 5);
	ASSERT(r->text.len && fuzz_within(r->detail, line));
}

static void check_mail(struct str args, const struct smtp_terms *terms)
{
	struct smtp_event e;
	struct smtp_refusal why = {0};
	if (!smtp_command_mail(args, terms, &e, &why)) {
		check_refusal(&why, args);
		return;
	}
	ASSERT(e.type == SMTP_EVENT_MAIL && !e.path.text.len == !e.path.domain.len);
	check_path(&e.path, args);
	ASSERT(!e.path.utf8 || e.flags & ENVELOPE_UTF8);
	ASSERT(e.envid.len <= SMTP_ENVID_MAX && fuzz_within(e.envid, args));
	check_xtext(e.envid);
	if (!str_eq(e.auth_param, STR("<>"))) check_xtext(e.auth_param);
	ASSERT(!(e.hold_for && e.hold_until) && e.hold_for >= 0 && e.hold_until >= 0);
	ASSERT(!(e.flags & ENVELOPE_REQUIRETLS) || terms->secured);
	ASSERT(!(e.hold_for || e.hold_until) || terms->config->submission);
	ASSERT(!(e.flags & ENVELOPE_RET_FULL && e.flags & ENVELOPE_RET_HDRS));
}

static void check_rcpt(struct str args, const struct smtp_terms *terms)
{
	struct smtp_event e;
	struct smtp_refusal why = {0};
	if (!smtp_command_rcpt(args, terms, &e, &why)) {
		check_refusal(&why, args);
		return;
	}
	ASSERT(e.type == SMTP_EVENT_RCPT && e.path.text.len);
	check_path(&e.path, args);
	ASSERT(!e.path.utf8 || terms->utf8);
	ASSERT(e.path.local.len <= ADDRESS_LOCAL_MAX);
	ASSERT(!(e.notify & NOTIFY_NEVER) || e.notify == NOTIFY_NEVER);
	ASSERT(e.orcpt.len <= SMTP_ORCPT_MAX && fuzz_within(e.orcpt, args));
	if (!e.orcpt.len) return;
	struct str rest = e.orcpt, type;
	ASSERT(str_cut(&rest, ';', &type) && type.len && rest.len && utf8_valid(rest));
	if (fuzz_is_printable(rest)) check_xtext(rest);
}

void fuzz_one(struct str in)
{
	uint8_t bits = fuzz_octet(&in);
	const struct smtp_server_config config = {.submission = bits & 1,
		.auth_plain = bits & 2 ? STR("PLAIN") : STR_NONE,
		.auth_tls = STR("PLAIN LOGIN")};
	const struct smtp_terms terms = {.config = &config, .secured = bits & 4, .utf8 = bits & 8};
	struct str line = fuzz_own(in), rest = line;
	check_mail(line, &terms);
	check_rcpt(line, &terms);
	struct address a;
	struct smtp_refusal why = {0};
	if (smtp_command_vrfy(line, &a, &why))
		check_path(&a, line);
	else
		check_refusal(&why, line);
	uint64_t size;
	bool last;
	if (smtp_command_bdat(line, &size, &last)) ASSERT(size <= INT64_MAX);
	while (rest.len) {
		size_t before = rest.len;
		struct str word = smtp_command_word(&rest);
		ASSERT(fuzz_within(word, line) && rest.len < before);
		ASSERT(!rest.len || (rest.ptr[0] != ' ' && rest.ptr[0] != '\t'));
	}
	fuzz_forget(line);
}
