/* Header sections: the reader of the stream against the reader of the whole, and any cut against
 * none; the two MIME fields.  */
#include "fuzz/fuzz.h"

#include "mail/header.h"
#include "mail/mime.h"

static void watch(struct str in, size_t step, struct header_watch *w)
{
	header_watch_init(w);
	while (in.len) {
		struct str piece = fuzz_own(str_head(in, step ? step : in.len));
		header_watch_feed(w, piece);
		in = str_skip(in, piece.len);
		fuzz_forget(piece);
	}
}

static bool has_bare_cr(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '\r' && (i + 1 == s.len || s.ptr[i + 1] != '\n')) return true;
	return false;
}

static void check_walk(struct str in, const struct header_watch *w)
{
	struct str rest = in, name, value;
	uint32_t received = 0;
	bool odd = has_bare_cr(
		in); /* the one that watches ends the section where the other takes a name */
	while (header_next(&rest, &name, &value)) {
		ASSERT(fuzz_within(name, in) && fuzz_within(value, in));
		ASSERT(str_find(name, ':') == name.len && str_find(name, '\n') == name.len);
		odd |= name.len == 0 || str_find(name, ' ') < name.len ||
			str_find(name, '\t') < name.len || str_find(name, '\r') < name.len;
		received += !odd && str_ieq(name, STR("Received"));
		struct mime_type type;
		mime_parse_type(value, &type);
		ASSERT(type.boundary_len <= MIME_BOUNDARY_MAX);
		(void)mime_parse_encoding(value);
	}
	ASSERT(fuzz_within(rest, in));
	/* The one that sees loops must see no less.  */
	ASSERT(w->received >= received);
}

void fuzz_one(struct str in)
{
	struct header_watch whole, cut;
	watch(in, 0, &whole);
	ASSERT(whole.message_id_len < sizeof(whole.message_id));
	struct str id = header_message_id(&whole);
	for (size_t i = 0; i < id.len; i++)
		ASSERT(id.ptr[i] != ' ' && id.ptr[i] != '\r' && id.ptr[i] != '\n');
	for (size_t step = 1; step < 14; step += 3) {
		watch(in, step, &cut);
		ASSERT(cut.received == whole.received && cut.done == whole.done);
		ASSERT(cut.eight_bit == whole.eight_bit);
		ASSERT(str_eq(header_message_id(&cut), id));
	}
	check_walk(in, &whole);
}
