/* Encodings and checksums used all over: hexadecimal, base64, xtext, CRC-32C.  */
#ifndef BASE_CODE_H
#define BASE_CODE_H

#include "base/buf.h"

/* Append two digits an octet, small letters.  */
void hex_add(struct buf *out, struct str octets);
/* False on an odd length or a foreign digit.  The decoders append nothing when they return false.  */
bool hex_decode(struct str text, struct buf *out);

/* Base64 with padding, no line breaks (RFC 4648 4).  */
void base64_add(struct buf *out, struct str octets);
/* Strict: canonical padding, no foreign octets.  */
bool base64_decode(struct str text, struct buf *out);
/* Base64 for URLs, without padding (RFC 4648 5).  */
void base64url_add(struct buf *out, struct str octets);

/* xtext (RFC 3461 4): printable ASCII but '+' and '=', anything else as +XX.  */
void xtext_add(struct buf *out, struct str octets);
/* Takes small letters as digits, too.  */
bool xtext_decode(struct str text, struct buf *out);

/* CRC-32C (Castagnoli) of octets, continued from crc; start with a seed of your own or 0.
 * Uses SSE4.2 where the processor has it.  */
uint32_t crc32c(uint32_t crc, struct str octets);

#endif
