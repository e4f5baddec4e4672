/* What mail programs hand in for submission: the header as it is put right, in any cut, goes through a second
 * time as it is; nobody is named whom the account may not speak for; blind recipients are gone; and what reads
 * addresses and writes encoded words.  */
#include "fuzz/fuzz.h"

#include "mail/draft.h"
#include "mail/encoded_word.h"
#include "mail/header.h"
#include "mail/mailboxes.h"

static bool is_alice(void *context, struct str address)
{
	(void)context;
	return str_ieq(address, STR("alice@example.com"));
}

static bool finish(
	struct str in, size_t step, bool utf8, struct buf *out, struct draft_refusal *why)
{
	const struct draft_terms terms = {.account = STR("alice@example.com"),
		.hostname = STR("mail.example.com"),
		.id = STR("ID"),
		.wall = 1795334400000,
		.utf8 = utf8,
		.may_send_as = is_alice};
	struct draft d;
	draft_init(&d);
	bool whole = false;
	while (in.len && !whole) {
		struct str piece = fuzz_own(str_head(in, step));
		whole = draft_feed(&d, piece);
		in = str_skip(in, piece.len);
		fuzz_forget(piece);
	}
	bool fine = draft_finish(&d, &terms, out, why);
	if (fine) buf_add(out, in);
	draft_release(&d);
	return fine;
}

static void check_header(struct str message, bool utf8)
{
	struct str name, value;
	unsigned dates = 0, ids = 0;
	while (header_next(&message, &name, &value)) {
		ASSERT(!str_ieq(name, STR("Bcc")) && !str_ieq(name, STR("Resent-Bcc")));
		if (str_ieq(name, STR("From")) || str_ieq(name, STR("Sender")))
			ASSERT(mailboxes_each(value, is_alice, NULL));
		dates += str_ieq(name, STR("Date"));
		ids += str_ieq(name, STR("Message-ID"));
		for (size_t i = 0; i < value.len; i++) ASSERT(utf8 || !(value.ptr[i] & 0x80));
	}
	ASSERT(dates && ids);
}

static void check_draft(struct str in, bool utf8)
{
	struct buf whole, cut, again;
	struct draft_refusal why = {0}, other = {0};
	size_t max = 16 * in.len + 4096;
	buf_init(&whole, max);
	buf_init(&cut, max);
	buf_init(&again, 2 * max);
	bool fine = finish(in, in.len ? in.len : 1, utf8, &whole, &why);
	ASSERT(finish(in, 3, utf8, &cut, &other) == fine);
	if (fine) {
		ASSERT(buf_ok(&whole) && str_eq(buf_str(&whole), buf_str(&cut)));
		check_header(buf_str(&whole), utf8);
		ASSERT(finish(buf_str(&whole), whole.len, utf8, &again, &other));
		ASSERT(str_eq(buf_str(&whole), buf_str(&again)));
	} else {
		ASSERT(why.code >= 400 && why.code == other.code && why.text[0]);
	}
	buf_release(&whole);
	buf_release(&cut);
	buf_release(&again);
}

struct boxes {
	struct str value;
	unsigned count;
};

static bool count_box(void *context, struct str address)
{
	struct boxes *b = context;
	ASSERT(address.len <= b->value.len);
	return ++b->count < 1000;
}

static void check_words(struct str in)
{
	struct boxes b = {.value = in};
	(void)mailboxes_each(in, count_box, &b);
	struct buf out;
	buf_init(&out, 32 * in.len + 1000);
	bool fine = encoded_text_add(&out, in);
	ASSERT(fine == buf_ok(&out));
	for (size_t i = 0; i < out.len; i++) ASSERT(!(out.ptr[i] & 0x80));
	buf_clear(&out);
	if (encoded_addresses_add(&out, in))
		for (size_t i = 0; i < out.len; i++) ASSERT(!(out.ptr[i] & 0x80));
	buf_release(&out);
}

void fuzz_one(struct str in)
{
	uint8_t how = fuzz_octet(&in);
	if (how & 2)
		check_words(in);
	else
		check_draft(in, how & 1);
}
