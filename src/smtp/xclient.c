#include "smtp/xclient.h"

#include "mail/address.h"
#include "smtp/command.h"

static int hexadecimal(char c)
{
	if (ascii_digit(c)) return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decoded, without what could end a line or be seen as something else.  */
static bool decode(struct str text, struct buf *out)
{
	while (text.len) {
		char c = text.ptr[0];
		text = str_skip(text, 1);
		if (c == '+') {
			if (text.len < 2) return false;
			int high = hexadecimal(text.ptr[0]), low = hexadecimal(text.ptr[1]);
			if (high < 0 || low < 0) return false;
			c = (char)(high << 4 | low);
			text = str_skip(text, 2);
		}
		if ((unsigned char)c < ' ' || c == 0x7f || !buf_add_c(out, c)) return false;
	}
	return out->len > 0;
}

static bool read_name(struct str value, struct smtp_xclient *x)
{
	(void)value, (void)x;
	return true;
}

static bool take_address(struct str value, struct net_address *ret)
{
	if (str_istarts(value, STR("IPV6:"))) {
		value = str_skip(value, 5);
		return net_parse(value, ret) && ret->family == NET_IPV6;
	}
	return value.ptr[0] != '[' && net_parse(value, ret);
}

static bool read_address(struct str value, struct smtp_xclient *x)
{
	uint16_t port = x->address.port;
	if (!take_address(value, &x->address)) return false;
	x->address.port = port;
	return true;
}

static bool read_other_address(struct str value, struct smtp_xclient *x)
{
	(void)x;
	struct net_address unused;
	return take_address(value, &unused);
}

static bool read_port(struct str value, struct smtp_xclient *x)
{
	(void)x;
	uint64_t port;
	return str_to_u64(value, UINT16_MAX, &port);
}

static bool read_protocol(struct str value, struct smtp_xclient *x)
{
	x->esmtp = str_ieq(value, STR("ESMTP"));
	return x->esmtp || str_ieq(value, STR("SMTP"));
}

static struct str keep(struct str value, char to[SMTP_XCLIENT_VALUE_MAX])
{
	memcpy(to, value.ptr, value.len);
	return str_of(to, value.len);
}

static bool read_helo(struct str value, struct smtp_xclient *x)
{
	x->helo = keep(value, x->octets[0]);
	return true;
}

static bool read_login(struct str value, struct smtp_xclient *x)
{
	x->login = keep(value, x->octets[1]);
	return str_find(value, ' ') == value.len;
}

static const struct attribute {
	struct str name;
	unsigned bit;
	bool (*read)(struct str value, struct smtp_xclient *x);
} attributes[] = {
	{STR("NAME"), SMTP_XCLIENT_NAME, read_name},
	{STR("ADDR"), SMTP_XCLIENT_ADDR, read_address},
	{STR("PORT"), SMTP_XCLIENT_PORT, read_port},
	{STR("PROTO"), SMTP_XCLIENT_PROTO, read_protocol},
	{STR("HELO"), SMTP_XCLIENT_HELO, read_helo},
	{STR("LOGIN"), SMTP_XCLIENT_LOGIN, read_login},
	{STR("DESTADDR"), SMTP_XCLIENT_DESTADDR, read_other_address},
	{STR("DESTPORT"), SMTP_XCLIENT_DESTPORT, read_port},
};

static bool read_attribute(const struct attribute *a, struct str text, struct smtp_xclient *x)
{
	char octets[SMTP_XCLIENT_VALUE_MAX];
	struct buf value = {.ptr = octets, .cap = sizeof octets, .max = sizeof octets};
	if (x->given & a->bit || !decode(text, &value)) return false;
	x->given |= a->bit;
	struct str v = buf_str(&value);
	if (str_ieq(v, STR("[UNAVAILABLE]")) || str_ieq(v, STR("[TEMPUNAVAIL]"))) return true;
	return a->read(v, x);
}

bool smtp_xclient_parse(struct str args, struct smtp_xclient *ret)
{
	memset(ret, 0, sizeof *ret);
	while (args.len) {
		struct str value = smtp_command_word(&args), name;
		if (!str_cut(&value, '=', &name)) return false;
		size_t i = 0;
		while (i < ARRAY_LEN(attributes) && !str_ieq(attributes[i].name, name)) i++;
		if (i == ARRAY_LEN(attributes) || !read_attribute(&attributes[i], value, ret))
			return false;
	}
	return ret->given != 0;
}
