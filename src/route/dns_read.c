#include "route/resolver.h"

enum { NAME_MAX_TEXT = 253, LABEL_MAX = 63 };

/* Octets that cannot be part of a host's name, or would read as something else in text.  */
static bool label_readable(struct str label)
{
	for (size_t i = 0; i < label.len; i++) {
		unsigned char c = (unsigned char)label.ptr[i];
		if (c <= ' ' || c >= 127 || c == '.' || c == '\\') return false;
	}
	return true;
}

bool dns_read_name(struct str rdata, char ret_name[256])
{
	size_t len = 0;
	for (;;) {
		uint8_t octets;
		if (!take_u8(&rdata, &octets)) return false;
		if (octets == 0) break;
		struct str label = str_head(rdata, octets);
		/* Over 63 would be a compression pointer: rdatas come without.  */
		if (octets > LABEL_MAX || label.len < octets || !label_readable(label))
			return false;
		if (len + (len > 0) + octets > NAME_MAX_TEXT) return false;
		if (len) ret_name[len++] = '.';
		memcpy(ret_name + len, label.ptr, octets);
		len += octets;
		rdata = str_skip(rdata, octets);
	}
	ret_name[len] = '\0';
	return rdata.len == 0;
}

bool dns_read_mx(struct str rdata, uint16_t *ret_preference, char ret_name[256])
{
	if (rdata.len < 3) return false;
	uint16_t preference = (uint16_t)((uint8_t)rdata.ptr[0] << 8 | (uint8_t)rdata.ptr[1]);
	if (!dns_read_name(str_skip(rdata, 2), ret_name)) return false;
	*ret_preference = preference;
	return true;
}
