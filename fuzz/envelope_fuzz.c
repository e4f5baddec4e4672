/* Envelopes and outcomes as they lie in the spool: damage is refused within bounds, and what is read
 * is written and read again as the same.  */
#include "fuzz/fuzz.h"

#include "mail/envelope.h"
#include "mail/status.h"

static void check_envelope(struct str in)
{
	struct arena arena, other;
	struct envelope e, again, copy;
	struct str rest = in;
	arena_init(&arena, 4 << 20);
	arena_init(&other, 8 << 20);
	if (envelope_decode(&rest, &arena, &e)) {
		struct buf out, second;
		buf_init(&out, in.len + 64);
		buf_init(&second, in.len + 64);
		ASSERT(envelope_encode(&out, &e) && out.len <= in.len - rest.len);
		struct str from = buf_str(&out);
		ASSERT(envelope_decode(&from, &other, &again) && from.len == 0);
		ASSERT(envelope_copy(&again, &other, &copy) && envelope_encode(&second, &copy));
		ASSERT(str_eq(buf_str(&out), buf_str(&second)));
		buf_release(&out);
		buf_release(&second);
	}
	arena_release(&arena);
	arena_release(&other);
}

static void check_outcome(struct str in)
{
	struct outcome o, again, copy;
	struct str rest = in;
	struct arena arena;
	struct buf out, second;
	if (!outcome_decode(&rest, &o)) return;
	arena_init(&arena, 1 << 20);
	buf_init(&out, in.len + 64);
	buf_init(&second, in.len + 64);
	ASSERT(fuzz_within(o.text, in) && fuzz_within(o.host, in) && fuzz_within(o.tls, in));
	ASSERT(outcome_name(o.class) && outcome_encode(&out, &o) && out.len <= in.len - rest.len);
	struct str from = buf_str(&out);
	ASSERT(outcome_decode(&from, &again) && from.len == 0);
	ASSERT(outcome_copy(&again, &arena, &copy) && outcome_encode(&second, &copy));
	ASSERT(str_eq(buf_str(&out), buf_str(&second)));
	buf_release(&out);
	buf_release(&second);
	arena_release(&arena);
}

void fuzz_one(struct str in)
{
	check_envelope(in);
	check_outcome(in);
}
