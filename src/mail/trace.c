#include "mail/trace.h"

#include "base/utf8.h"

enum { NAME_MAX_OCTETS = 255 };

/* A name out of a stranger's mouth: what could end the clause, or begin a comment, becomes '?'.  */
static void add_name(struct buf *out, struct str name, bool utf8)
{
	if (name.len == 0) name = STR("unknown");
	name = str_head(name, NAME_MAX_OCTETS);
	while (name.len) {
		uint32_t character;
		char c = name.ptr[0];
		size_t n = utf8_next(name, &character);
		bool plain = n == 1 ? ascii_alnum(c) || (c && strchr("-._:[]", c)) : n > 1 && utf8;
		if (n == 0 || !utf8) n = 1;
		buf_add(out, plain ? str_head(name, n) : STR("?"));
		name = str_skip(name, n);
	}
}

/* The with-protocol types of RFC 3848 and RFC 6531 4.3.  */
static struct str protocol(uint32_t flags)
{
	static const struct str esmtp[] = {
		STR("ESMTP"), STR("ESMTPA"), STR("ESMTPS"), STR("ESMTPSA")};
	static const struct str utf8[] = {
		STR("UTF8SMTP"), STR("UTF8SMTPA"), STR("UTF8SMTPS"), STR("UTF8SMTPSA")};
	if (!(flags & ENVELOPE_ESMTP)) return STR("SMTP");
	int which = (flags & ENVELOPE_AUTHENTICATED ? 1 : 0) + (flags & ENVELOPE_TLS ? 2 : 0);
	return flags & ENVELOPE_UTF8 ? utf8[which] : esmtp[which];
}

static void add_from(struct buf *out, const struct envelope *e)
{
	bool host = e->client.family == NET_IPV4 || e->client.family == NET_IPV6;
	if (!host && e->helo.len == 0) return;
	buf_add(out, STR("from "));
	add_name(out, e->helo, e->flags & ENVELOPE_UTF8);
	if (host) {
		buf_add(out, STR(" ("));
		net_add_literal(out, &e->client);
		buf_add_c(out, ')');
	}
	buf_add(out, STR("\r\n\t"));
}

bool trace_add_received(
	struct buf *out, const struct envelope *e, struct str hostname, struct str id)
{
	buf_add(out, STR("Received: "));
	add_from(out, e);
	buf_add(out, STR("by "));
	buf_add(out, hostname);
	buf_add(out, STR(" with "));
	buf_add(out, protocol(e->flags));
	buf_add(out, STR(" id "));
	buf_add(out, id);
	if (e->recipient_count == 1) {
		const struct recipient *r = &e->recipients[0];
		buf_add(out, STR("\r\n\tfor <"));
		buf_add(out, r->original.len ? r->original : r->address);
		buf_add_c(out, '>');
	}
	struct str version, cipher = e->tls;
	if (str_cut(&cipher, ' ', &version)) {
		buf_add(out, STR("\r\n\ttls "));
		buf_add(out, cipher); /* RFC 8314 4.3; the version has no clause of its own */
		buf_printf(out, " (" STR_FMT ")", STR_ARG(version));
	}
	buf_add(out, STR(";\r\n\t"));
	clock_add_rfc5322(out, e->created);
	return buf_add(out, STR("\r\n"));
}

bool trace_add_final(struct buf *out, struct str reverse_path, struct str address)
{
	buf_add(out, STR("Return-Path: <"));
	buf_add(out, reverse_path);
	buf_add(out, STR(">\r\nDelivered-To: "));
	buf_add(out, address);
	return buf_add(out, STR("\r\n"));
}
