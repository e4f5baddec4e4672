#include "base/code.h"

/* Remainders of the sixteen half octets under the reflected polynomial 0x82f63b78.  */
static const uint32_t half_octet[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc,
	0x5125dad3, 0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
	0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};

static uint32_t by_table(uint32_t crc, struct str octets)
{
	for (size_t i = 0; i < octets.len; i++) {
		crc ^= (uint8_t)octets.ptr[i];
		crc = crc >> 4 ^ half_octet[crc & 15];
		crc = crc >> 4 ^ half_octet[crc & 15];
	}
	return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t by_sse42(uint32_t crc, struct str octets)
{
	uint64_t wide = crc;
	size_t i = 0;
	for (; octets.len - i >= 8; i += 8) {
		uint64_t word;
		memcpy(&word, octets.ptr + i, 8);
		wide = __builtin_ia32_crc32di(wide, word);
	}
	crc = (uint32_t)wide;
	for (; i < octets.len; i++) crc = __builtin_ia32_crc32qi(crc, (uint8_t)octets.ptr[i]);
	return crc;
}
#endif

uint32_t crc32c(uint32_t crc, struct str octets)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2")) return ~by_sse42(~crc, octets);
#endif
	return ~by_table(~crc, octets);
}
