/* Delivery status notifications and trace fields about anything that may stand in an envelope or in a
 * peer's reply: their shape is ours, whatever others wrote.  */
#include "fuzz/fuzz.h"

#include "base/utf8.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/trace.h"

enum { RECIPIENTS = 4 };

static const struct str hostname = STR("mx.example.com");

/* Only addresses get into an envelope; the rest of it is anyone's.  */
static struct str address_or(struct str s, bool utf8, struct str otherwise)
{
	struct address a;
	return address_parse(s, utf8, true, &a) ? s : otherwise;
}

static void make(struct str *in, struct envelope *e, struct recipient *recipients,
	struct dsn_recipient *people, struct dsn *dsn)
{
	e->flags = fuzz_below(in, 1024);
	bool utf8 = e->flags & ENVELOPE_UTF8;
	e->reverse_path = address_or(fuzz_text(in), utf8, STR("a@b.example"));
	e->envid = fuzz_text(in);
	e->helo = fuzz_text(in);
	e->tls = fuzz_bool(in) ? STR("TLSv1.3 TLS_AES_256_GCM_SHA384") : STR_NONE;
	e->created = (msec)(fuzz_u64(in) >> 20);
	e->client.family = fuzz_below(in, 3);
	e->recipient_count = 1 + fuzz_below(in, RECIPIENTS);
	e->recipients = recipients;
	for (uint32_t i = 0; i < e->recipient_count; i++) {
		struct outcome *o = &people[i].outcome;
		recipients[i].address = address_or(fuzz_text(in), utf8, STR("c@d.example"));
		if (fuzz_bool(in))
			recipients[i].original = address_or(fuzz_text(in), utf8, STR("old"));
		recipients[i].orcpt = fuzz_text(in);
		recipients[i].notify = (uint8_t)fuzz_below(in, 16);
		people[i].recipient = &recipients[i];
		people[i].action = fuzz_below(in, DSN_EXPANDED + 1);
		people[i].last_attempt = (msec)fuzz_below(in, 65536);
		o->class = fuzz_below(in, OUTCOME_DELETED + 1);
		o->code = (uint16_t)(200 + fuzz_below(in, 400));
		o->enhanced.class = (uint8_t)fuzz_below(in, 6);
		o->enhanced.subject = (uint16_t)fuzz_below(in, 12);
		o->enhanced.detail = (uint16_t)fuzz_below(in, 40);
		o->text = fuzz_text(in);
		o->host = fuzz_text(in);
		o->remote = fuzz_bool(in);
		(void)dsn_due(e, &recipients[i], people[i].action);
	}
	*dsn = (struct dsn){.envelope = e,
		.hostname = hostname,
		.id = STR("3XAMPLE1D"),
		.own_id = STR("4XAMPLE1D"),
		.now = e->created + 1000,
		.recipients = people,
		.recipient_count = e->recipient_count};
}

/* CRLF line ends, nothing over 998, and no octet that the kind of report does not allow.  */
static void check_text(struct str s, bool utf8)
{
	for (struct str line; s.len;) {
		ASSERT(str_cut(&s, '\n', &line) && line.len && line.len <= 999);
		ASSERT(line.ptr[line.len - 1] == '\r');
		line.len--;
		for (size_t i = 0; i < line.len; i++) {
			unsigned char c = (unsigned char)line.ptr[i];
			ASSERT(c != 0x7f && (c >= ' ' || c == '\t') && (utf8 || c < 0x80));
		}
		ASSERT(utf8_valid(line));
	}
}

static unsigned count(struct str s, struct str line)
{
	unsigned n = 0;
	for (struct str one; s.len;) {
		(void)str_cut(&s, '\n', &one);
		n += str_eq(str_trim(one), line);
	}
	return n;
}

static void check_report(const struct dsn *dsn, bool full)
{
	struct buf out;
	buf_init(&out, 1 << 20);
	ASSERT(dsn_add_head(&out, dsn, full) && dsn_add_tail(&out, dsn));
	struct str whole = buf_str(&out), rest = whole, name, value;
	check_text(whole, dsn->envelope->flags & ENVELOPE_UTF8);
	unsigned to = 0, type = 0;
	while (header_next(&rest, &name, &value)) {
		to += str_ieq(name, STR("To"));
		type += str_ieq(name, STR("Content-Type"));
		ASSERT(!str_ieq(name, STR("Bcc")) && !str_ieq(name, STR("Cc")));
	}
	ASSERT(to == 1 && type == 1);
	/* Three parts, one end; a recipient has one final status.  */
	ASSERT(count(rest, STR("--=_rockdove_4XAMPLE1D")) == 3);
	ASSERT(count(rest, STR("--=_rockdove_4XAMPLE1D--")) == 1);
	unsigned finals = 0;
	for (struct str line; rest.len;) {
		(void)str_cut(&rest, '\n', &line);
		finals += str_istarts(line, STR("Final-Recipient: "));
	}
	ASSERT(finals == dsn->recipient_count);
	buf_release(&out);
}

static void check_trace(const struct envelope *e)
{
	struct buf out;
	struct str name, value;
	buf_init(&out, 1 << 16);
	ASSERT(trace_add_received(&out, e, hostname, STR("3XAMPLE1D")));
	check_text(buf_str(&out), e->flags & ENVELOPE_UTF8);
	struct str rest = buf_str(&out);
	ASSERT(header_next(&rest, &name, &value) && str_eq(name, STR("Received")) && !rest.len);
	buf_clear(&out);
	ASSERT(trace_add_final(&out, e->reverse_path, e->recipients[0].address));
	rest = buf_str(&out);
	ASSERT(header_next(&rest, &name, &value) && header_next(&rest, &name, &value) && !rest.len);
	buf_release(&out);
}

void fuzz_one(struct str in)
{
	struct envelope e = {0};
	struct recipient recipients[RECIPIENTS] = {0};
	struct dsn_recipient people[RECIPIENTS] = {0};
	struct dsn dsn;
	make(&in, &e, recipients, people, &dsn);
	check_report(&dsn, false);
	check_report(&dsn, true);
	check_trace(&e);
}
