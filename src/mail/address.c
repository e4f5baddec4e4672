#include "mail/address.h"

#include "base/utf8.h"

enum { LABEL_MAX = 63 };

/* RFC 5322 3.2.3 atext, a bit for each octet below 128: letters, digits, !#$%&'*+-/=?^_`{|}~.  An
 * octet over 127 counts too: that all of them are UTF-8 was looked at before.  */
static bool is_atext(char c)
{
	static const uint32_t bits[4] = {0, 0xa3ffacfa, 0xc7fffffe, 0x7fffffff};
	unsigned char octet = (unsigned char)c;
	return octet & 0x80 || bits[octet >> 5] >> (octet & 31) & 1;
}

static bool has_high(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] & 0x80) return true;
	return false;
}

/* Octets of the Dot-string at the front of s; 0 when there is none.  */
static size_t dot_string(struct str s)
{
	size_t n = 0;
	bool dot = true; /* a dot may not be first, nor follow a dot, nor be last */
	for (; n < s.len; n++) {
		if (s.ptr[n] == '.') {
			if (dot) return 0;
			dot = true;
		} else if (is_atext(s.ptr[n])) {
			dot = false;
		} else {
			break;
		}
	}
	return dot ? 0 : n;
}

static bool is_printable(char c) { return (c >= ' ' && c <= '~') || (c & 0x80); }

/* Octets of the Quoted-string at the front of s, quotes included; 0 when it has no end.  */
static size_t quoted_string(struct str s)
{
	for (size_t n = 1; n < s.len; n++) {
		if (s.ptr[n] == '"') return n + 1;
		if (s.ptr[n] == '\\') n++;
		if (n == s.len || !is_printable(s.ptr[n])) return 0;
	}
	return 0;
}

bool address_parse(struct str s, bool utf8, bool bare, struct address *ret)
{
	if (s.len == 0 || s.len > ADDRESS_PATH_MAX) return false;
	struct address a = {.text = s, .quoted = s.ptr[0] == '"', .utf8 = has_high(s)};
	if (a.utf8 && !(utf8 && utf8_valid(s))) return false;

	size_t n = a.quoted ? quoted_string(s) : dot_string(s);
	if (n == 0) return false;
	a.local = str_head(s, n);
	struct str rest = str_skip(s, n);
	if (rest.len == 0) {
		*ret = a;
		return bare;
	}
	if (rest.ptr[0] != '@') return false;
	a.domain = str_skip(rest, 1);
	struct net_address unused;
	a.literal = a.domain.len > 0 && a.domain.ptr[0] == '[';
	if (a.literal ? !domain_literal(a.domain, &unused) : !domain_valid(a.domain, utf8))
		return false;
	*ret = a;
	return true;
}

/* Octets of the label at the front of s; 0 when there is no good one.  One that is to be encoded
 * (RFC 5890) may have more of them than its encoded form.  */
static size_t take_label(struct str s)
{
	bool high = false;
	size_t n = 0;
	for (; n < s.len && s.ptr[n] != '.'; n++) {
		char c = s.ptr[n];
		if (!ascii_alnum(c) && c != '-' && c != '_' && !(c & 0x80)) return 0;
		high |= (c & 0x80) != 0;
	}
	if (n == 0 || s.ptr[0] == '-' || s.ptr[n - 1] == '-') return 0;
	return n > LABEL_MAX && !high ? 0 : n;
}

bool domain_valid(struct str s, bool utf8)
{
	if (s.len == 0 || s.len > ADDRESS_DOMAIN_MAX) return false;
	if (has_high(s) && !(utf8 && utf8_valid(s))) return false;
	for (;;) {
		size_t n = take_label(s);
		if (n == 0 || n == s.len) return n > 0;
		s = str_skip(s, n + 1); /* a dot that is last leaves a label that is none */
	}
}

bool domain_literal(struct str s, struct net_address *ret_address)
{
	if (s.len < 2 || s.ptr[0] != '[' || s.ptr[s.len - 1] != ']') return false;
	struct net_address a;
	if (!net_parse(s, &a)) return false;
	/* IPv6 has its tag, RFC 5321 4.1.3.  */
	if (a.family == NET_IPV6 && !str_istarts(s, STR("[IPv6:"))) return false;
	*ret_address = a;
	return true;
}

bool address_local_plain(const struct address *a, struct buf *out)
{
	if (!a->quoted) return buf_add(out, a->local);
	struct str s = str_of(a->local.ptr + 1, a->local.len - 2);
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\\') i++;
		buf_add_c(out, s.ptr[i]);
	}
	return buf_ok(out);
}
