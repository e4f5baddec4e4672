#include "base/utf8.h"

size_t utf8_next(struct str s, uint32_t *ret_character)
{
	static const uint32_t least[] = {
		0, 0, 0x80, 0x800, 0x10000}; /* by length; below it is overlong */
	if (s.len == 0) return 0;
	uint8_t lead = (uint8_t)s.ptr[0];
	if (lead < 0x80) {
		*ret_character = lead;
		return 1;
	}
	size_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	if (lead < 0xc2 || lead > 0xf4 || s.len < n) return 0;
	uint32_t c = lead & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		uint8_t next = (uint8_t)s.ptr[i];
		if ((next & 0xc0) != 0x80) return 0;
		c = c << 6 | (next & 0x3fu);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return 0;
	*ret_character = c;
	return n;
}

bool utf8_valid(struct str s)
{
	while (s.len) {
		uint32_t c;
		size_t n = utf8_next(s, &c);
		if (n == 0) return false;
		s = str_skip(s, n);
	}
	return true;
}
