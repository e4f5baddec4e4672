/* Base64, hexadecimal, xtext, UTF-8, times, sizes, rates, host:port: decode what encode gives; read
 * what was printed.  */
#include "fuzz/fuzz.h"

#include "base/clock.h"
#include "base/code.h"
#include "base/utf8.h"
#include "mail/status.h"
#include "server/units.h"

static void check_code(struct str in, void (*add)(struct buf *, struct str),
	bool (*decode)(struct str, struct buf *))
{
	struct buf text, back;
	buf_init(&text, 4 * in.len + 4);
	buf_init(&back, in.len + 1);
	add(&text, in);
	ASSERT(buf_ok(&text) && fuzz_is_printable(buf_str(&text)));
	ASSERT(decode(buf_str(&text), &back) && str_eq(buf_str(&back), in));
	buf_clear(&back);
	/* As a text that is to be read: what comes out goes back in.  */
	if (decode(in, &back)) {
		ASSERT(back.len <= in.len);
		buf_clear(&text);
		add(&text, buf_str(&back));
		struct buf again;
		buf_init(&again, in.len + 1);
		ASSERT(decode(buf_str(&text), &again) && str_eq(buf_str(&again), buf_str(&back)));
		buf_release(&again);
		/* Strict: there is one way to write it.  */
		if (decode == base64_decode) ASSERT(str_eq(buf_str(&text), in));
		if (decode == hex_decode) ASSERT(str_ieq(buf_str(&text), in));
	} else {
		ASSERT(back.len == 0);
	}
	buf_release(&text);
	buf_release(&back);
}

static void check_utf8(struct str in)
{
	bool valid = utf8_valid(in), seen = true;
	for (struct str rest = in; rest.len && seen;) {
		uint32_t character = UINT32_MAX;
		size_t n = utf8_next(rest, &character);
		ASSERT(n <= 4 && n <= rest.len);
		seen = n > 0;
		if (!seen) break;
		ASSERT(character <= 0x10ffff && (character < 0xd800 || character > 0xdfff));
		ASSERT((character < 0x80) == (n == 1) && (character > 0xffff) == (n == 4));
		rest = str_skip(rest, n);
	}
	ASSERT(seen == valid);
}

static void check_time(struct str in)
{
	msec wall, again, span;
	struct buf out;
	buf_init(&out, 200);
	if (clock_parse_rfc3339(in, &wall) && wall >= 0 && wall < 253402300800000) {
		clock_add_rfc3339(&out, wall);
		ASSERT(clock_parse_rfc3339(buf_str(&out), &again) && again == wall);
		clock_add_rfc5322(&out, wall);
	}
	if (units_time(in, &span)) {
		ASSERT(span >= 0);
		clock_add_span(&out, span);
	}
	ASSERT(buf_ok(&out) && fuzz_is_printable(buf_str(&out)));
	buf_release(&out);
}

static void check_units(struct str in)
{
	uint64_t size;
	uint32_t count;
	msec per;
	struct str host;
	uint16_t port;
	if (units_size(in, &size)) ASSERT(size <= INT64_MAX);
	if (units_rate(in, &count, &per)) ASSERT(per > 0);
	if (units_host_port(in, 25, &host, &port)) ASSERT(host.len && fuzz_within(host, in));
	size_t half = in.len / 2;
	struct str a = str_head(in, half), b = str_skip(in, half);
	ASSERT(units_distance(a, a) == 0 && units_distance(a, b) == units_distance(b, a));
}

static void check_enhanced(struct str in)
{
	struct enhanced e, again;
	size_t len, printed;
	if (!enhanced_parse(in, &e, &len)) return;
	struct buf out;
	buf_init(&out, 32);
	enhanced_add(&out, e);
	ASSERT(len <= in.len && enhanced_parse(buf_str(&out), &again, &printed));
	ASSERT(printed == out.len && again.class == e.class && again.subject == e.subject &&
		again.detail == e.detail);
	buf_release(&out);
}

void fuzz_one(struct str in)
{
	check_code(in, base64_add, base64_decode);
	check_code(in, hex_add, hex_decode);
	check_code(in, xtext_add, xtext_decode);
	check_utf8(in);
	check_time(in);
	check_units(in);
	check_enhanced(in);
	ASSERT(crc32c(crc32c(3, str_head(in, in.len / 2)), str_skip(in, in.len / 2)) ==
		crc32c(3, in));
}
