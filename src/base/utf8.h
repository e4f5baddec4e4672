/* UTF-8 as RFC 3629 has it: no surrogates, no overlong forms, nothing past U+10FFFF.  */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/str.h"

/* The character at the front of s.  Returns its octets, 1 to 4; 0 when s is empty or does not start
 * with a whole and valid one.  */
size_t utf8_next(struct str s, uint32_t *ret_character);
/* All of s is UTF-8.  */
bool utf8_valid(struct str s);

#endif
